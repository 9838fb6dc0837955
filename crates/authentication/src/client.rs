//! The side of an agent.

use crate::credentials::Credential;
use crate::digest::response;

/// Proves to a master that it has a credential, once.
///
/// ```text
/// Starting ──mechanisms──▶ Stepping ──step──▶ Stepping ──▶ (the master's verdict)
/// ```
#[derive(Debug, Clone)]
pub struct Authenticatee {
    credential: Credential,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Stepping,
    Answered,
}

/// What to send to the master's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The choice of a mechanism.
    Start {
        /// Its SASL name.
        mechanism: String,
        /// Nothing, which is sent nevertheless.
        data: Vec<u8>,
    },
    /// The response to the challenge.
    Step {
        /// The principal and the digest.
        data: Vec<u8>,
    },
}

/// The master speaks otherwise than agreed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfStep {
    /// A message that is not the next one.
    #[error("Unexpected authentication '{0}' received")]
    Unexpected(&'static str),
    /// No mechanism that is known here.
    #[error("Failed to start the SASL client: the master does not speak CRAM-MD5")]
    NoMechanism,
}

impl Authenticatee {
    /// One that has just asked a master to authenticate it.
    pub fn new(credential: Credential) -> Self {
        Self {
            credential,
            phase: Phase::Starting,
        }
    }

    /// The master named what it speaks.
    pub fn on_mechanisms(&mut self, mechanisms: &[String]) -> Result<Answer, OutOfStep> {
        if self.phase != Phase::Starting {
            return Err(OutOfStep::Unexpected("mechanisms"));
        }
        if !mechanisms.iter().any(|name| name == crate::CRAM_MD5) {
            return Err(OutOfStep::NoMechanism);
        }
        self.phase = Phase::Stepping;
        Ok(Answer::Start {
            mechanism: crate::CRAM_MD5.to_owned(),
            data: Vec::new(),
        })
    }

    /// The master sent its challenge.
    pub fn on_step(&mut self, challenge: &[u8]) -> Result<Answer, OutOfStep> {
        if self.phase != Phase::Stepping {
            return Err(OutOfStep::Unexpected("step"));
        }
        self.phase = Phase::Answered;
        let Credential { principal, secret } = &self.credential;
        let data = format!("{principal} {}", response(secret, challenge)).into_bytes();
        Ok(Answer::Step { data })
    }

    /// The master is convinced.
    pub fn on_completed(&self) -> Result<(), OutOfStep> {
        if self.phase == Phase::Answered {
            Ok(())
        } else {
            Err(OutOfStep::Unexpected("completed"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mechanisms() -> Vec<String> {
        vec!["PLAIN".into(), crate::CRAM_MD5.into()]
    }

    #[test]
    fn the_response_names_the_principal() {
        let mut client = Authenticatee::new(Credential::new("tim", "tanstaaftanstaaf"));
        client.on_mechanisms(&mechanisms()).unwrap();
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let data = b"tim b913a602c7eda7a495b4e6e7334d3890".to_vec();
        assert_eq!(client.on_step(challenge), Ok(Answer::Step { data }));
        assert_eq!(client.on_completed(), Ok(()));
    }

    #[test]
    fn a_master_cannot_have_two_challenges_answered_or_skip_one() {
        let mut client = Authenticatee::new(Credential::new("p", "s"));
        assert_eq!(client.on_step(b"x"), Err(OutOfStep::Unexpected("step")));
        let lacking = client.on_mechanisms(&["PLAIN".into()]);
        assert_eq!(lacking, Err(OutOfStep::NoMechanism));
        client.on_mechanisms(&mechanisms()).unwrap();
        assert_eq!(
            client.on_completed(),
            Err(OutOfStep::Unexpected("completed"))
        );
        client.on_step(b"x").unwrap();
        assert_eq!(client.on_step(b"y"), Err(OutOfStep::Unexpected("step")));
        let again = client.on_mechanisms(&mechanisms());
        assert_eq!(again, Err(OutOfStep::Unexpected("mechanisms")));
    }
}
