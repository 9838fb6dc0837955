//! What executors prove with who they are: JSON Web Tokens (RFC 7519), signed with HMAC-SHA256.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

/// Signatures are written without padding, and read as other libraries write them.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The one algorithm, by its name in RFC 7518.
const ALGORITHM: &str = "HS256";

/// What a token says of its bearer, by name; values that are no strings as JSON.
pub type Claims = BTreeMap<String, String>;

/// Signs tokens and knows its own again.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey(Vec<u8>);

/// Leaves the secret out.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").finish_non_exhaustive()
    }
}

/// Why a token proves nothing, in the words of Mesos.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token at all.
    #[error("Expected 3 components in token, got {0}")]
    Components(usize),
    /// A part of it cannot be read.
    #[error("Failed to decode token {part}: {reason}")]
    Undecodable {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It does not say how it is signed, or asks for what is not understood.
    #[error("{0}")]
    Header(&'static str),
    /// It is signed in another way, or not at all.
    #[error("Token 'alg' value \"{0}\" does not match, expected \"{ALGORITHM}\"")]
    Algorithm(String),
    /// It was signed with another key, or changed since.
    #[error("Token signature does not match")]
    Signature,
    /// The time of its end cannot be read.
    #[error("JSON payload 'exp' field is not a number")]
    Expiry,
    /// It is no longer valid.
    #[error("Token has expired: exp({expiry}) < now({now})")]
    Expired {
        /// The second of the Unix epoch up to which it was valid.
        expiry: i64,
        /// The present second.
        now: u64,
    },
}

impl TokenKey {
    /// A key of any length.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// A token that says this of its bearer, for ever.
    pub fn sign(&self, claims: &Claims) -> String {
        let encode = |value: &Value| BASE64.encode(value.to_string());
        let header = serde_json::json!({ "alg": ALGORITHM, "typ": "JWT" });
        let payload = serde_json::json!(claims);
        let mut token = format!("{}.{}", encode(&header), encode(&payload));
        let signature = self.keyed(&token).map(Mac::finalize);
        let signature = signature.map(|mac| BASE64.encode(mac.into_bytes()));
        token.push('.');
        token.push_str(&signature.unwrap_or_default());
        token
    }

    /// What a token says of its bearer, if this key has signed it and it has not expired `now`, by
    /// the time since the Unix epoch.
    pub fn verify(&self, token: &str, now: Duration) -> Result<Claims, TokenError> {
        let components: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = components[..] else {
            return Err(TokenError::Components(components.len()));
        };
        check_header(&object(header, "header")?)?;
        let signature = decode(signature, "signature")?;
        let (signed, _) = token.rsplit_once('.').unwrap_or_default();
        self.keyed(signed)
            .and_then(|mac| mac.verify_slice(&signature).ok())
            .ok_or(TokenError::Signature)?;
        let payload = object(payload, "payload")?;
        check_expiry(&payload, now)?;
        let claims = payload.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        });
        Ok(claims.collect())
    }

    fn keyed(&self, text: &str) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length, so that there always is one.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    }
}

fn decode(component: &str, part: &'static str) -> Result<Vec<u8>, TokenError> {
    BASE64
        .decode(component)
        .map_err(|error| TokenError::Undecodable {
            part,
            reason: format!("Failed to base64url-decode: {error}"),
        })
}

fn object(component: &str, part: &'static str) -> Result<Map<String, Value>, TokenError> {
    serde_json::from_slice(&decode(component, part)?).map_err(|error| TokenError::Undecodable {
        part,
        reason: format!("Failed to parse into JSON: {error}"),
    })
}

fn check_header(header: &Map<String, Value>) -> Result<(), TokenError> {
    let refuse = |sentence| Err(TokenError::Header(sentence));
    if header.get("typ").is_some_and(|it| !it.is_string()) {
        return refuse("Token 'typ' is not a string");
    }
    match header.get("alg") {
        None => return refuse("Failed to locate 'alg' in token JSON header"),
        Some(Value::String(algorithm)) if algorithm == ALGORITHM => {}
        Some(Value::String(other)) => return Err(TokenError::Algorithm(other.clone())),
        Some(_) => return refuse("Token 'alg' field is not a string"),
    }
    // It names extensions that must be understood, and none is.
    if header.contains_key("crit") {
        return refuse("Token 'crit' field is unsupported");
    }
    Ok(())
}

fn check_expiry(payload: &Map<String, Value>, now: Duration) -> Result<(), TokenError> {
    let Some(expiry) = payload.get("exp") else {
        return Ok(());
    };
    #[allow(clippy::cast_possible_truncation, reason = "whole seconds are meant")]
    let expiry = expiry
        .as_i64()
        .or_else(|| expiry.as_f64().map(|seconds| seconds as i64))
        .ok_or(TokenError::Expiry)?;
    let now = now.as_secs();
    if i64::try_from(now).is_ok_and(|now| expiry < now) {
        return Err(TokenError::Expired { expiry, now });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn claims() -> Claims {
        [("fid", "F"), ("eid", "e"), ("cid", "c")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn key() -> TokenKey {
        TokenKey::new("hush")
    }

    /// A token of others' making, with a signature that fits.
    fn signed(header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let mac = key().keyed(&signed).unwrap().finalize();
        format!("{signed}.{}", BASE64.encode(mac.into_bytes()))
    }

    const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    #[test]
    fn a_token_says_what_was_signed() {
        let token = key().sign(&claims());
        assert_eq!(key().verify(&token, NOW), Ok(claims()));
        assert_eq!(format!("{:?}", key()), "TokenKey { .. }");
    }

    #[allow(
        clippy::duration_suboptimal_units,
        reason = "the second beside it is the point"
    )]
    #[test]
    fn the_example_of_rfc_7515_is_understood() {
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs\
                     DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = TokenKey::new(BASE64.decode(secret).unwrap());
        let claims = key
            .verify(token, Duration::from_secs(1_300_819_380))
            .unwrap();
        assert_eq!(claims["iss"], "joe");
        assert_eq!(claims["http://example.com/is_root"], "true");
        let refused = key.verify(token, Duration::from_secs(1_300_819_381));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "Token has expired: exp(1300819380) < now(1300819381)"
        );
    }

    #[test]
    fn what_this_key_has_not_signed_proves_nothing() {
        let token = TokenKey::new("other").sign(&claims());
        assert_eq!(key().verify(&token, NOW), Err(TokenError::Signature));
        let own = key().sign(&claims());
        let (head, signature) = own.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", BASE64.encode(r#"{"fid":"G"}"#));
        assert_eq!(key().verify(&forged, NOW), Err(TokenError::Signature));
        assert_eq!(
            key().verify(&format!("{head}."), NOW),
            Err(TokenError::Signature)
        );
    }

    #[test]
    fn refusals_are_those_of_mesos() {
        let refusal = |token: &str| key().verify(token, NOW).unwrap_err().to_string();
        assert_eq!(refusal("x"), "Expected 3 components in token, got 1");
        for (header, sentence) in [
            (
                r#"{"alg":"none"}"#,
                r#"Token 'alg' value "none" does not match, expected "HS256""#,
            ),
            (
                r#"{"alg":"RS256"}"#,
                r#"Token 'alg' value "RS256" does not match, expected "HS256""#,
            ),
            ("{}", "Failed to locate 'alg' in token JSON header"),
            (r#"{"alg":1}"#, "Token 'alg' field is not a string"),
            (r#"{"alg":"HS256","typ":1}"#, "Token 'typ' is not a string"),
            (
                r#"{"alg":"HS256","crit":[]}"#,
                "Token 'crit' field is unsupported",
            ),
        ] {
            assert_eq!(refusal(&signed(header, "{}")), sentence);
        }
        assert_eq!(
            refusal(&signed(HS256, r#"{"exp":"soon"}"#)),
            "JSON payload 'exp' field is not a number"
        );
        assert!(refusal("?.e30.").starts_with("Failed to decode token header: "));
        assert!(refusal(&signed(HS256, "[]")).starts_with("Failed to decode token payload: "));
    }
}
