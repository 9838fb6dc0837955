use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::HeaderValue;

/// A principal and its secret, for masters that ask frameworks who they are (HTTP basic).
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Who calls.
    pub principal: String,
    /// What proves it. It is never printed.
    pub secret: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

impl Credential {
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let Self { principal, secret } = self;
        let encoded = BASE64_STANDARD.encode(format!("{principal}:{secret}"));
        sensitive(&format!("Basic {encoded}"))
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
        let credential = Credential {
            principal: "me".into(),
            secret: "hush".into(),
        };
        let header = credential.authorization().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic bWU6aHVzaA==");
        assert!(!format!("{credential:?}{header:?}").contains("hush"));
        assert!(!format!("{header:?}").contains("bWU6"));
    }
}
