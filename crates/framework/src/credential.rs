use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::HeaderValue;

use crate::Error;

/// What proves who calls, where masters ask. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Basic { principal: String, secret: String },
    Bearer { token: String },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({self})")
    }
}

/// Whose it is, for messages.
impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Basic { principal, .. } => write!(f, "the secret of '{principal}'"),
            Kind::Bearer { .. } => f.write_str("a token"),
        }
    }
}

impl Credential {
    /// A principal and its secret, as the file of the master's `--credentials` has them (HTTP basic).
    pub fn basic(principal: impl Into<String>, secret: impl Into<String>) -> Self {
        Self(Kind::Basic {
            principal: principal.into(),
            secret: secret.into(),
        })
    }

    /// A token (HTTP bearer), for what stands before the masters and wants one.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self(Kind::Bearer {
            token: token.into(),
        })
    }

    pub(crate) fn authorization(&self) -> Result<HeaderValue, Error> {
        let value = match &self.0 {
            Kind::Basic { principal, secret } => {
                let encoded = BASE64_STANDARD.encode(format!("{principal}:{secret}"));
                sensitive(&format!("Basic {encoded}"))
            }
            Kind::Bearer { token } => sensitive(&format!("Bearer {token}")),
        };
        value.ok_or(Error::Credential(
            "a token cannot hold line ends or other control characters",
        ))
    }
}

/// A header's value that is never printed; none if it holds what no header can.
pub(crate) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_goes_into_the_header_and_is_never_printed() {
        for (credential, expected) in [
            (Credential::basic("me", "hush"), "Basic bWU6aHVzaA=="),
            (Credential::bearer("hush"), "Bearer hush"),
        ] {
            let header = credential.authorization().unwrap();
            assert_eq!(header.to_str().unwrap(), expected);
            let shown = format!("{credential:?}{credential}{header:?}");
            assert!(
                !shown.contains("hush") && !shown.contains("bWU6"),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_no_header_can_hold_is_refused() {
        let error = Credential::bearer("a\nb").authorization().unwrap_err();
        assert!(error.to_string().contains("line ends"), "{error}");
    }
}
