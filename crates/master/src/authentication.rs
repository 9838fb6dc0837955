//! Who has proved to be whom: agents and old drivers that authenticate before they register.
//!
//! A client asks from a process made for that, and names the process that is to be known
//! (LIBPROCESS 3). Each attempt has a session, a process of the master's own:
//!
//! ```text
//! AuthenticateMessage ─▶ session ──start, step──▶ completed ─▶ the pid has a principal
//!                          │ failed, out of step, too slow, gone
//!                          └──────────────────────▶ nothing is known of the pid
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use bytes::Bytes;
use meseta_authentication::{CRAM_MD5, Session, Verdict};
use meseta_proto::Upid;
use meseta_proto::internal::{
    AuthenticateMessage, AuthenticationCompletedMessage, AuthenticationErrorMessage,
    AuthenticationFailedMessage, AuthenticationMechanismsMessage, AuthenticationStartMessage,
    AuthenticationStepMessage,
};
use meseta_proto::v1::FrameworkInfo;

use crate::limits::{MAX_AUTHENTICATED, MAX_AUTHENTICATIONS, MAX_HELD_BYTES};
use crate::master::Master;
use crate::step::Step;
use crate::timers::Timer;
use crate::validation::Invalid;

/// The attempts that are under way, and what earlier ones came to.
#[derive(Debug, Default)]
pub(crate) struct Authentications {
    attempts: BTreeMap<u64, Attempt>,
    by_client: BTreeMap<Place, u64>,
    by_address: BTreeSet<(SocketAddrV4, u64)>,
    /// As whom processes have authenticated, and in which attempt.
    principals: BTreeMap<Place, (u64, String)>,
    /// The same from the oldest attempt to the latest.
    by_age: BTreeMap<u64, Place>,
    /// The bytes of all registrations that are held.
    held_bytes: usize,
    last: u64,
}

/// A process, ordered by where it is.
type Place = (SocketAddrV4, String);

fn place(pid: &Upid) -> Place {
    (pid.address, pid.id.clone())
}

#[derive(Debug)]
struct Attempt {
    /// The process that is to be known.
    client: Upid,
    /// The process that speaks for it.
    authenticatee: Upid,
    session: Session,
    held: Option<Held>,
}

/// A registration that came before the client was known.
#[derive(Debug)]
struct Held {
    name: String,
    body: Bytes,
}

impl Authentications {
    /// As whom a process has authenticated.
    fn principal(&self, pid: &Upid) -> Option<&str> {
        let known = self.principals.get(&place(pid));
        known.map(|(_, principal)| principal.as_str())
    }

    fn enter(&mut self, number: u64, client: &Upid, principal: String) {
        self.by_age.insert(number, place(client));
        self.principals.insert(place(client), (number, principal));
        if self.principals.len() > MAX_AUTHENTICATED
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.principals.remove(&oldest);
        }
    }

    fn forget(&mut self, client: &Upid) {
        if let Some((number, _)) = self.principals.remove(&place(client)) {
            self.by_age.remove(&number);
        }
    }

    fn is_under_way(&self, pid: &Upid) -> bool {
        self.by_client.contains_key(&place(pid))
    }

    fn add(&mut self, attempt: Attempt) {
        self.by_client.insert(place(&attempt.client), self.last);
        let address = attempt.authenticatee.address;
        self.by_address.insert((address, self.last));
        self.attempts.insert(self.last, attempt);
    }

    fn remove(&mut self, number: u64) -> Option<Attempt> {
        let attempt = self.attempts.remove(&number)?;
        self.by_client.remove(&place(&attempt.client));
        let address = attempt.authenticatee.address;
        self.by_address.remove(&(address, number));
        let held = attempt.held.as_ref().map_or(0, |held| held.body.len());
        self.held_bytes = self.held_bytes.saturating_sub(held);
        Some(attempt)
    }

    /// The attempt that is the concern of a process named `crammd5-authenticator-session(N)`.
    fn number_of(process: &str) -> Option<u64> {
        let number = process.strip_prefix(SESSION)?.strip_prefix('(')?;
        number.strip_suffix(')')?.parse().ok()
    }
}

/// The name of the sessions' processes, before their number.
const SESSION: &str = "crammd5-authenticator-session";

fn session(number: u64) -> String {
    format!("{SESSION}({number})")
}

impl Master {
    /// A client wants to authenticate. Whatever it did before about that does not count any more.
    pub(crate) fn on_authenticate(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: &AuthenticateMessage,
    ) {
        self.state.metrics.messages.authenticate += 1;
        let Ok(client) = message.pid.parse::<Upid>() else {
            self.drop_message();
            return;
        };
        self.forget_authentication(&client);
        if let Some(number) = self.authentications.by_client.get(&place(&client)) {
            self.end_attempt(*number);
        }
        self.authentications.last += 1;
        let number = self.authentications.last;
        if self.authentications.attempts.len() >= MAX_AUTHENTICATIONS {
            let error = Some("Too many clients are authenticating".to_owned());
            let message = AuthenticationErrorMessage { error };
            step.send_from(session(number), from, &message);
            return;
        }
        let config = &self.state.config;
        let challenge = config.authenticator.challenge(number, &config.hostname);
        let timeout = config.policy.authentication.timeout;
        self.authentications.add(Attempt {
            client,
            authenticatee: from.clone(),
            session: Session::new(challenge),
            held: None,
        });
        let due = step.now.monotonic.saturating_add(timeout);
        self.timers.set(Timer::Authentication(number), due);
        // Its end ends the attempt.
        step.link(from.address);
        let message = AuthenticationMechanismsMessage {
            mechanisms: vec![CRAM_MD5.to_owned()],
        };
        step.send_from(session(number), from, &message);
    }

    pub(crate) fn on_authentication_start(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        to: &str,
        message: &AuthenticationStartMessage,
    ) {
        self.on_session_message(step, from, to, |_, session| {
            let data = message.data.as_deref().unwrap_or_default();
            session.on_start(&message.mechanism, data)
        });
    }

    pub(crate) fn on_authentication_step(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        to: &str,
        message: &AuthenticationStepMessage,
    ) {
        self.on_session_message(step, from, to, |authenticator, session| {
            session.on_step(authenticator, &message.data)
        });
    }

    fn on_session_message(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        to: &str,
        judge: impl FnOnce(&meseta_authentication::Authenticator, &mut Session) -> Verdict,
    ) {
        let number = Authentications::number_of(to);
        let attempts = &mut self.authentications.attempts;
        let attempt = number.and_then(|number| attempts.get_mut(&number));
        // Nobody else has a say in it.
        let attempt = attempt.filter(|attempt| attempt.authenticatee == *from);
        let (Some(number), Some(attempt)) = (number, attempt) else {
            self.drop_message();
            return;
        };
        let us = session(number);
        match judge(&self.state.config.authenticator, &mut attempt.session) {
            Verdict::Continue(data) => {
                step.send_from(us, from, &AuthenticationStepMessage { data });
            }
            Verdict::Completed(principal) => {
                step.send_from(us, from, &AuthenticationCompletedMessage {});
                let client = attempt.client.clone();
                self.authentications.enter(number, &client, principal);
                self.conclude(step, number);
            }
            Verdict::Failed => {
                step.send_from(us, from, &AuthenticationFailedMessage {});
                self.conclude(step, number);
            }
            Verdict::Error(sentence) => {
                let error = Some(sentence);
                step.send_from(us, from, &AuthenticationErrorMessage { error });
                self.end_attempt(number);
            }
        }
    }

    /// The client has been judged: what it sent meanwhile is dealt with accordingly.
    fn conclude(&mut self, step: &mut Step<'_>, number: u64) {
        let attempt = self.end_attempt(number);
        if let Some((client, held)) = attempt.and_then(|a| Some((a.client, a.held?))) {
            self.on_message(step, &client, "master", &held.name, &held.body);
        }
    }

    fn end_attempt(&mut self, number: u64) -> Option<Attempt> {
        self.timers.cancel(&Timer::Authentication(number));
        self.authentications.remove(number)
    }

    /// A client took too long to authenticate. It will try again.
    pub(crate) fn on_authentication_timeout(&mut self, number: u64) {
        self.end_attempt(number);
    }

    /// The link to an address broke, and whoever was authenticating there begins anew. Who already
    /// has may go on to register: clients are told of no failure, so they would not try again.
    pub(crate) fn end_attempts_at(&mut self, address: SocketAddrV4) {
        let attempts = self.authentications.by_address.range((address, 0)..);
        let attempts = attempts.take_while(|(there, _)| *there == address);
        let attempts: Vec<u64> = attempts.map(|(_, number)| *number).collect();
        for number in attempts {
            self.end_attempt(number);
        }
    }

    /// The client went away, or begins anew.
    pub(crate) fn forget_authentication(&mut self, pid: &Upid) {
        self.authentications.forget(pid);
    }

    /// Keeps a registration for later whose sender is authenticating just now; says whether it did.
    /// The latest counts: clients that hear nothing send another.
    pub(crate) fn hold(&mut self, from: &Upid, name: &str, body: &[u8]) -> bool {
        let all = &mut self.authentications;
        let number = all.by_client.get(&place(from));
        let Some(attempt) = number.and_then(|number| all.attempts.get_mut(number)) else {
            return false;
        };
        let freed = attempt.held.take().map_or(0, |held| held.body.len());
        all.held_bytes = all.held_bytes.saturating_sub(freed);
        if all.held_bytes.saturating_add(body.len()) <= MAX_HELD_BYTES {
            all.held_bytes += body.len();
            attempt.held = Some(Held {
                name: name.to_owned(),
                body: Bytes::copy_from_slice(body),
            });
        } else {
            self.drop_message();
        }
        true
    }

    /// Whether an agent at this pid may register.
    pub(crate) fn may_agent_register(&self, pid: &Upid) -> bool {
        !self.state.config.policy.authentication.agents
            || self.authentications.principal(pid).is_some()
    }

    /// Checks that a driver is who it says, and enters who it is if it does not say.
    pub(crate) fn check_principal(
        &self,
        pid: &Upid,
        info: &mut FrameworkInfo,
    ) -> Result<(), Invalid> {
        if self.authentications.is_under_way(pid) {
            return Err(Invalid("Re-authentication in progress".to_owned()));
        }
        let Some(principal) = self.authentications.principal(pid) else {
            let required = self.state.config.policy.authentication.frameworks;
            let sentence = || format!("Framework at {pid} is not authenticated");
            return if required {
                Err(Invalid(sentence()))
            } else {
                Ok(())
            };
        };
        match &info.principal {
            Some(claimed) if claimed != principal => Err(Invalid(format!(
                "Framework principal '{claimed}' does not match authenticated principal \
                 '{principal}'"
            ))),
            Some(_) => Ok(()),
            None => {
                info.principal = Some(principal.to_owned());
                Ok(())
            }
        }
    }
}
