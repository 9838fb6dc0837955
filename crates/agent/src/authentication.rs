//! Proving to the master who the agent is, before it registers: LIBPROCESS 3.
//!
//! Each attempt is made by a process of its own, so that answers to an earlier one are not taken
//! for this one's. An attempt that fails for whatever reason but a refusal is repeated when its time
//! is over; the times grow, because a master that does not answer has too much to do.

use std::time::Duration;

use meseta_authentication::{Answer, Authenticatee, OutOfStep};
use meseta_proto::Upid;
use meseta_proto::internal::{
    AuthenticateMessage, AuthenticationErrorMessage, AuthenticationMechanismsMessage,
    AuthenticationStartMessage, AuthenticationStepMessage,
};

use crate::agent::{Agent, Phase, Timer, Turn};
use crate::messages::with;
use crate::{Action, ExitReason};

/// How far the agent is with the present master.
#[derive(Debug, Default)]
pub(crate) struct Authentication {
    is_done: bool,
    attempt: Option<Authenticatee>,
    /// Numbers the attempts.
    last: u64,
    /// By how much the next attempt's time may exceed the shortest; `None` before the first.
    range: Option<Duration>,
}

impl Authentication {
    /// The process that makes the present attempt.
    fn process(&self) -> String {
        format!("crammd5-authenticatee({})", self.last)
    }

    /// What was proved is to be proved again at the next attempt to register.
    pub(crate) fn expire(&mut self) {
        self.is_done = false;
    }
}

impl Agent {
    /// Whether nothing is left to prove.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.config.credential.is_none() || self.authentication.is_done
    }

    /// What was proved counts for one master and one connection.
    pub(crate) fn forget_authentication(&mut self) {
        self.timers.cancel(&Timer::Authentication);
        let last = self.authentication.last;
        self.authentication = Authentication {
            last,
            ..Authentication::default()
        };
    }

    /// Asks the master to authenticate the agent.
    pub(crate) fn authenticate(&mut self, turn: &mut Turn<'_>) {
        let Some(credential) = self.config.credential.clone() else {
            return;
        };
        let Some(master) = self.registration.master().cloned() else {
            return;
        };
        let shortest = self.config.authentication_timeout_min;
        let longest = self.config.authentication_timeout_max;
        let range = self.authentication.range.map_or_else(
            || self.config.authentication_backoff_factor.saturating_mul(2),
            |range| range.saturating_mul(2),
        );
        let range = range.min(longest.saturating_sub(shortest));
        let timeout = shortest.saturating_add(self.random_up_to(range));

        let authentication = &mut self.authentication;
        authentication.range = Some(range);
        authentication.last += 1;
        authentication.attempt = Some(Authenticatee::new(credential));
        let process = authentication.process();
        self.timers.set(Timer::Authentication, turn.after(timeout));
        let message = AuthenticateMessage {
            pid: self.config.pid.to_string(),
        };
        Self::send_from(turn, process, master, &message);
    }

    /// The attempt was not answered, or not as agreed.
    pub(crate) fn on_authentication_timeout(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Disconnected && !self.is_authenticated() {
            self.authenticate(turn);
        }
    }

    /// The master's session has something to say.
    pub(crate) fn on_authentication_message(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        to: &str,
        name: &str,
        body: &[u8],
    ) {
        let process = self.authentication.process();
        let master = self.registration.master().map(|master| master.address);
        // The session is a process of the master's, with a name that only it knows.
        if to != process || master != Some(from.address) {
            return;
        }
        match name {
            "AuthenticationMechanismsMessage" => {
                with(body, |message: AuthenticationMechanismsMessage| {
                    self.answer(turn, from, |client| {
                        client.on_mechanisms(&message.mechanisms)
                    });
                });
            }
            "AuthenticationStepMessage" => {
                with(body, |message: AuthenticationStepMessage| {
                    self.answer(turn, from, |client| client.on_step(&message.data));
                });
            }
            "AuthenticationCompletedMessage" => self.on_authentication_completed(turn),
            "AuthenticationFailedMessage" => self.on_authentication_refused(turn),
            "AuthenticationErrorMessage" => {
                with(body, |_: AuthenticationErrorMessage| {
                    self.authentication.attempt = None;
                });
            }
            _ => {}
        }
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_>,
        session: &Upid,
        react: impl FnOnce(&mut Authenticatee) -> Result<Answer, OutOfStep>,
    ) {
        let process = self.authentication.process();
        let answer = self.authentication.attempt.as_mut().map(react);
        match answer {
            Some(Ok(Answer::Start { mechanism, data })) => {
                let data = Some(data);
                let message = AuthenticationStartMessage { mechanism, data };
                Self::send_from(turn, process, session.clone(), &message);
            }
            Some(Ok(Answer::Step { data })) => {
                let message = AuthenticationStepMessage { data };
                Self::send_from(turn, process, session.clone(), &message);
            }
            Some(Err(_)) => self.authentication.attempt = None,
            None => {}
        }
    }

    fn on_authentication_completed(&mut self, turn: &mut Turn<'_>) {
        let attempt = self.authentication.attempt.take();
        if attempt.is_some_and(|client| client.on_completed().is_ok()) {
            self.authentication.is_done = true;
            self.timers.cancel(&Timer::Authentication);
            self.register(turn);
        }
    }

    /// The master does not believe the agent. Only the agent's process ends: what runs on it goes
    /// on, and a restart with the right credential finds it again.
    fn on_authentication_refused(&mut self, turn: &mut Turn<'_>) {
        if self.authentication.attempt.take().is_none() {
            return;
        }
        self.timers.cancel(&Timer::Authentication);
        let master = self.registration.master();
        let master = master.map(ToString::to_string).unwrap_or_default();
        turn.act(Action::Exit {
            reason: ExitReason::Conflict(format!("Master {master} refused authentication")),
        });
    }
}
