use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// A principal and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Who one is.
    pub principal: String,
    pub(crate) secret: String,
}

impl Credential {
    /// A credential that was not read from a file.
    pub fn new(principal: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            principal: principal.into(),
            secret: secret.into(),
        }
    }

    /// Reads the file of `--credential`: one credential, as JSON or as `principal secret`.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        if !is_json(text) {
            return Credentials::parse(text)?.into_only();
        }
        let raw: RawCredential = read_json(text)?;
        raw.check()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?})", self.principal)
    }
}

/// Credentials by principal. Their secrets are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, String>);

impl Credentials {
    /// Reads the file of `--credentials`: `{"credentials": [{"principal": …, "secret": …}, …]}`, or
    /// lines of `principal secret`. A principal that comes twice has the last secret.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let listed = if is_json(text) {
            let raw: RawCredentials = read_json(text)?;
            let checked = raw.credentials.into_iter().map(RawCredential::check);
            checked.collect::<Result<Vec<_>, _>>()?
        } else {
            read_lines(text)?
        };
        if listed.is_empty() {
            return Err(CredentialsError::Empty);
        }
        let pairs = listed.into_iter().map(|c| (c.principal, c.secret));
        Ok(Self(pairs.collect()))
    }

    /// The credential, if there is exactly one.
    pub fn into_only(self) -> Result<Credential, CredentialsError> {
        let count = self.0.len();
        let mut all = self.0.into_iter();
        match (all.next(), all.next()) {
            (Some((principal, secret)), None) => Ok(Credential { principal, secret }),
            _ => Err(CredentialsError::NotOne(count)),
        }
    }

    pub(crate) fn secret(&self, principal: &str) -> Option<&str> {
        self.0.get(principal).map(String::as_str)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a text holds no credentials. Says nothing of what stands in it: that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Not the JSON that was expected.
    #[error("invalid JSON of credentials at line {line}, column {column}")]
    Json {
        /// Where it is wrong, counted from 1.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// A line without two words.
    #[error("invalid credential at line {0}: expected a principal and its secret")]
    Line(usize),
    /// A principal without a secret proves nothing.
    #[error("principal '{0}' has no secret")]
    NoSecret(String),
    /// No credential at all.
    #[error("expected at least one credential")]
    Empty,
    /// Several credentials where there is use for one.
    #[error("expected one credential, found {0}")]
    NotOne(usize),
}

#[derive(Deserialize)]
struct RawCredentials {
    #[serde(default)]
    credentials: Vec<RawCredential>,
}

#[derive(Deserialize)]
struct RawCredential {
    principal: String,
    secret: Option<String>,
}

impl RawCredential {
    fn check(self) -> Result<Credential, CredentialsError> {
        let Self { principal, secret } = self;
        match secret {
            Some(secret) => Ok(Credential { principal, secret }),
            None => Err(CredentialsError::NoSecret(principal)),
        }
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fn read_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, CredentialsError> {
    serde_json::from_str(text).map_err(|e| CredentialsError::Json {
        line: e.line(),
        column: e.column(),
    })
}

fn read_lines(text: &str) -> Result<Vec<Credential>, CredentialsError> {
    let mut credentials = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            [principal, secret] => credentials.push(Credential::new(principal, secret)),
            _ => return Err(CredentialsError::Line(number)),
        }
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_file_say_the_same() {
        let json = r#"{"credentials": [
            {"principal": "p", "secret": "s"}, {"principal": "q", "secret": "t"}
        ]}"#;
        let lines = "p s\n\n  q\tt  \n";
        let parsed = Credentials::parse(json).unwrap();
        assert_eq!(parsed, Credentials::parse(lines).unwrap());
        assert_eq!(
            (parsed.secret("p"), parsed.secret("q")),
            (Some("s"), Some("t"))
        );
        assert_eq!(parsed.into_only(), Err(CredentialsError::NotOne(2)));
    }

    #[test]
    fn an_agent_has_one_credential() {
        let one = Ok(Credential::new("p", "s"));
        assert_eq!(
            Credential::parse(r#"{"principal": "p", "secret": "s"}"#),
            one
        );
        assert_eq!(Credential::parse("p s\n"), one);
        assert_eq!(
            Credential::parse("p s\nq t"),
            Err(CredentialsError::NotOne(2))
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_showing_secrets() {
        let sentence = |text| Credentials::parse(text).unwrap_err().to_string();
        let secrets = [
            r#"{"credentials": "hush"}"#,
            r#"{"credentials": [{"principal": "p", "secret": 7, "x": "hush"}]}"#,
            "p hush\nq",
            "hush",
            r#"{"credentials": [{"principal": "p"}]}"#,
        ];
        for text in secrets {
            assert!(!sentence(text).contains("hush"), "{}", sentence(text));
        }
        assert_eq!(
            sentence("p s\nq"),
            "invalid credential at line 2: expected a principal and its secret"
        );
        assert_eq!(
            sentence(r#"{"credentials": [{"principal": "p"}]}"#),
            "principal 'p' has no secret"
        );
        for empty in ["", "\n", "{}", r#"{"credentials": []}"#] {
            assert_eq!(sentence(empty), "expected at least one credential");
        }
        let shown = format!("{:?}", Credentials::parse("p hush").unwrap());
        assert_eq!(shown, r#"{"p"}"#);
    }
}
