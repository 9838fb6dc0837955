//! The master's side.

use hmac::Mac as _;

use crate::credentials::Credentials;
use crate::digest::{hex, keyed, unhex};

/// Longer responses are none, as in Cyrus SASL.
const MAX_RESPONSE: usize = 1024;

/// Knows who may come, and makes challenges that nobody can foresee.
#[derive(Clone)]
pub struct Authenticator {
    credentials: Credentials,
    key: [u8; 16],
}

impl Authenticator {
    /// An authenticator. The key must be random and known to nobody: challenges are made from it.
    pub fn new(credentials: Credentials, key: [u8; 16]) -> Self {
        Self { credentials, key }
    }

    /// One that refuses whoever wants to authenticate, for a master without credentials.
    pub fn refusing() -> Self {
        Self::new(Credentials::default(), [0; 16])
    }

    /// The challenge for a session. No two numbers have the same.
    pub fn challenge(&self, number: u64, hostname: &str) -> String {
        let mac = keyed(&self.key, &number.to_be_bytes());
        let nonce = mac.map(|mac| hex(&mac.finalize().into_bytes()));
        format!("<{}.{number}@{hostname}>", nonce.unwrap_or_default())
    }

    /// Whether a digest proves that its sender knows the principal's secret. Takes as long for
    /// principals that do not exist, and wherever a wrong digest differs from the right one.
    fn is_right(&self, principal: &str, challenge: &str, digest: [u8; 16]) -> bool {
        let secret = self.credentials.secret(principal);
        let mac = keyed(secret.unwrap_or_default().as_bytes(), challenge.as_bytes());
        let is_equal = mac.is_some_and(|mac| mac.verify_slice(&digest).is_ok());
        is_equal && secret.is_some()
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authenticator")
            .field(&self.credentials)
            .finish()
    }
}

/// How far one client is.
///
/// ```text
/// Starting ──start──▶ Stepping ──step──▶ (completed, or failed)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    phase: Phase,
    challenge: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Stepping,
}

/// What a session makes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The client is to answer this challenge.
    Continue(Vec<u8>),
    /// The client is this principal. The session is over.
    Completed(String),
    /// The client is not who it says to be. The session is over.
    Failed,
    /// The client speaks otherwise than agreed. The session is over.
    Error(String),
}

impl Session {
    /// A session with a client that was told the mechanisms.
    pub fn new(challenge: String) -> Self {
        Self {
            phase: Phase::Starting,
            challenge,
        }
    }

    /// The client chose a mechanism.
    pub fn on_start(&mut self, mechanism: &str, data: &[u8]) -> Verdict {
        if self.phase != Phase::Starting {
            return Verdict::Error("Unexpected authentication 'start' received".to_owned());
        }
        // The sentences are those of Cyrus SASL, which C++ masters pass on.
        if mechanism != crate::CRAM_MD5 {
            let shown: String = mechanism.chars().take(MAX_SHOWN).collect();
            let sentence = format!("SASL(-4): no mechanism available: Couldn't find mech {shown}");
            return Verdict::Error(sentence);
        }
        if !data.is_empty() {
            let sentence = "SASL(-5): bad protocol / cancel: Remote sent first but mech does not \
                            allow it.";
            return Verdict::Error(sentence.to_owned());
        }
        self.phase = Phase::Stepping;
        Verdict::Continue(self.challenge.clone().into_bytes())
    }

    /// The client answered the challenge.
    pub fn on_step(&mut self, authenticator: &Authenticator, data: &[u8]) -> Verdict {
        if self.phase != Phase::Stepping {
            return Verdict::Error("Unexpected authentication 'step' received".to_owned());
        }
        // Principals may hold spaces, digests do not.
        let space = data.iter().rposition(|byte| *byte == b' ');
        let Some((principal, digest)) = space
            .filter(|at| *at > 0 && data.len() <= MAX_RESPONSE)
            .and_then(|at| data.split_at_checked(at))
        else {
            let sentence = "SASL(-5): bad protocol / cancel: need authentication name";
            return Verdict::Error(sentence.to_owned());
        };
        let digest = digest.get(1..).and_then(unhex);
        match (std::str::from_utf8(principal), digest) {
            (Ok(principal), Some(digest))
                if authenticator.is_right(principal, &self.challenge, digest) =>
            {
                Verdict::Completed(principal.to_owned())
            }
            _ => Verdict::Failed,
        }
    }
}

/// How much of a mechanism's name is repeated to who sent it.
const MAX_SHOWN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::response;

    fn authenticator() -> Authenticator {
        let credentials = Credentials::parse("p s\nq t").unwrap();
        Authenticator::new(credentials, [1; 16])
    }

    fn challenged() -> (Authenticator, Session, Vec<u8>) {
        let authenticator = authenticator();
        let mut session = Session::new(authenticator.challenge(7, "h"));
        let Verdict::Continue(challenge) = session.on_start(crate::CRAM_MD5, b"") else {
            panic!("a challenge")
        };
        (authenticator, session, challenge)
    }

    #[test]
    fn challenges_differ_and_cannot_be_told_from_one_another() {
        let authenticator = authenticator();
        let (one, two) = (
            authenticator.challenge(1, "h"),
            authenticator.challenge(2, "h"),
        );
        assert!(one.starts_with('<') && one.ends_with(".1@h>"), "{one}");
        assert_ne!(one[..33], two[..33]);
        let other = Authenticator::new(Credentials::default(), [2; 16]);
        assert_ne!(one, other.challenge(1, "h"));
    }

    #[test]
    fn only_the_right_secret_of_a_known_principal_is_accepted() {
        for (principal, secret, expected) in [
            ("p", "s", Verdict::Completed("p".into())),
            ("q", "t", Verdict::Completed("q".into())),
            ("p", "t", Verdict::Failed),
            ("r", "s", Verdict::Failed),
            ("r", "", Verdict::Failed),
        ] {
            let (authenticator, mut session, challenge) = challenged();
            let step = format!("{principal} {}", response(secret, &challenge));
            let verdict = session.on_step(&authenticator, step.as_bytes());
            assert_eq!(verdict, expected, "{principal} {secret}");
        }
    }

    #[test]
    fn an_answer_to_another_challenge_is_refused() {
        let (authenticator, mut session, _) = challenged();
        let old = authenticator.challenge(6, "h");
        let step = format!("p {}", response("s", old.as_bytes()));
        assert_eq!(
            session.on_step(&authenticator, step.as_bytes()),
            Verdict::Failed
        );
    }

    #[test]
    fn what_is_no_response_is_said_to_be_none() {
        let long = format!("p {}", "a".repeat(MAX_RESPONSE));
        for (step, expected) in [
            ("hello", Some("need authentication name")),
            (" abc", Some("need authentication name")),
            ("", Some("need authentication name")),
            (&long, Some("need authentication name")),
            ("p abc", None),
            ("p ", None),
        ] {
            let (authenticator, mut session, _) = challenged();
            let verdict = session.on_step(&authenticator, step.as_bytes());
            match expected {
                Some(end) => assert!(
                    matches!(&verdict, Verdict::Error(sentence) if sentence.ends_with(end)),
                    "{verdict:?}"
                ),
                None => assert_eq!(verdict, Verdict::Failed),
            }
        }
    }

    #[test]
    fn messages_out_of_step_end_the_session() {
        let (_, mut session, _) = challenged();
        let again = session.on_start(crate::CRAM_MD5, b"");
        let sentence = "Unexpected authentication 'start' received";
        assert_eq!(again, Verdict::Error(sentence.into()));

        let authenticator = authenticator();
        let mut session = Session::new(authenticator.challenge(1, "h"));
        let sentence = "Unexpected authentication 'step' received";
        let early = session.on_step(&authenticator, b"p x");
        assert_eq!(early, Verdict::Error(sentence.into()));
        let sentence = "SASL(-4): no mechanism available: Couldn't find mech PLAIN";
        let other = session.on_start("PLAIN", b"");
        assert_eq!(other, Verdict::Error(sentence.into()));
    }

    #[test]
    fn a_master_without_credentials_refuses_everybody() {
        let authenticator = Authenticator::refusing();
        let mut session = Session::new(authenticator.challenge(1, "h"));
        let Verdict::Continue(challenge) = session.on_start(crate::CRAM_MD5, b"") else {
            panic!("a challenge")
        };
        let step = format!("p {}", response("", &challenge));
        assert_eq!(
            session.on_step(&authenticator, step.as_bytes()),
            Verdict::Failed
        );
    }
}
