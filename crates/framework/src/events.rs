//! The half that reads events and keeps the framework subscribed.

use std::fmt;
use std::sync::Arc;

use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use hyper::body::Incoming as Body;
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use tokio::time::{Instant, sleep_until};

use crate::address;
use crate::backoff::Backoff;
use crate::connection::{Connection, Endpoint, Target};
use crate::credential::Credential;
use crate::limits::MAX_REDIRECTS;
use crate::scheduler::{Current, Session};
use crate::stream::Stream;
use crate::{Error, Settings};

/// As the C++ library posts: a master that shares its process with agents answers only here.
const PATH: &str = "/master/api/v1/scheduler";

/// What a scheduler gets to know, or an executor.
#[derive(Debug)]
pub enum Incoming<E = Event> {
    /// The master says something, or the agent. Heartbeats are not told; `SUBSCRIBED` is, also after a
    /// reconnection: then is the time to reconcile.
    Event(Box<E>),
    /// The connection broke, or an attempt to make one failed. Another follows by itself; until
    /// the next `SUBSCRIBED`, calls fail and offers are void.
    Disconnected {
        /// What happened.
        reason: String,
    },
}

/// The events of one framework.
pub struct Events {
    settings: Settings,
    session: Arc<Session>,
    authorization: Option<HeaderValue>,
    state: State,
    backoff: Backoff,
    /// Which of the masters is asked next.
    turn: usize,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

enum State {
    /// The next attempt is due at that time.
    Waiting(Instant),
    Streaming(Box<Stream>),
    /// The master has ended the framework.
    Ended,
}

/// Why an attempt failed.
enum Failure {
    /// Worth another attempt.
    Passing(String),
    Final(Error),
}

impl Events {
    pub(crate) fn new(settings: Settings, session: Arc<Session>) -> Self {
        Self {
            authorization: settings
                .credential
                .as_ref()
                .and_then(Credential::authorization),
            settings,
            session,
            state: State::Waiting(Instant::now()),
            backoff: Backoff::default(),
            turn: 0,
        }
    }

    /// Waits for what comes next; `None` after the master's `ERROR` event, which ends the
    /// framework. It may be dropped while it waits, as in `select!`, without losing an event.
    ///
    /// # Errors
    /// [`Error::Refused`] when the subscription is refused in a way that another attempt would not
    /// change, [`Error::Address`] when a master's address is none. These too are the end.
    pub async fn next(&mut self) -> Result<Option<Incoming>, Error> {
        loop {
            match &mut self.state {
                State::Ended => return Ok(None),
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    match self.open().await {
                        Ok(stream) => self.state = State::Streaming(Box::new(stream)),
                        Err(Failure::Passing(reason)) => return Ok(Some(self.disconnect(reason))),
                        Err(Failure::Final(error)) => {
                            self.end();
                            return Err(error);
                        }
                    }
                }
                State::Streaming(stream) => match stream.next().await {
                    Ok(event) => {
                        if self.observe(&event) {
                            return Ok(Some(Incoming::Event(Box::new(event))));
                        }
                    }
                    Err(reason) => return Ok(Some(self.disconnect(reason))),
                },
            }
        }
    }

    /// Takes note of an event; whether it is for the scheduler too.
    fn observe(&mut self, event: &Event) -> bool {
        match event.r#type() {
            event::Type::Heartbeat => return false,
            event::Type::Error => self.end(),
            event::Type::Subscribed => {
                if let (Some(subscribed), State::Streaming(stream)) =
                    (&event.subscribed, &mut self.state)
                {
                    stream.expect_heartbeats(subscribed.heartbeat_interval_seconds);
                    self.backoff.reset();
                    self.settings.framework.id = Some(subscribed.framework_id.clone());
                    self.session.set(Some(Current {
                        target: stream.target.clone(),
                        stream_id: stream.id.clone(),
                        framework_id: subscribed.framework_id.clone(),
                    }));
                }
            }
            _ => {}
        }
        true
    }

    fn disconnect(&mut self, reason: String) -> Incoming {
        self.session.set(None);
        self.state = State::Waiting(Instant::now() + self.backoff.pause());
        Incoming::Disconnected { reason }
    }

    fn end(&mut self) {
        self.session.set(None);
        self.state = State::Ended;
    }

    /// Subscribes at the leading master, to which any other leads the way.
    async fn open(&mut self) -> Result<Stream, Failure> {
        let masters = &self.settings.masters;
        let turn = self.turn.checked_rem(masters.len()).unwrap_or_default();
        // One that is wrong is told at once, however far down the list.
        for master in masters {
            address::check(master).map_err(Failure::Final)?;
        }
        let master = masters.get(turn).map_or("", String::as_str);
        let mut target = Target {
            endpoint: Endpoint::Tcp(address::check(master).map_err(Failure::Final)?),
            path: PATH.to_owned(),
            encoding: self.settings.encoding,
            authorization: self.authorization.clone(),
        };
        self.turn = turn + 1;
        let subscribe = Call {
            r#type: Some(call::Type::Subscribe.into()),
            framework_id: self.settings.framework.id.clone(),
            subscribe: Some(call::Subscribe {
                framework_info: self.settings.framework.clone(),
                suppressed_roles: self.settings.suppressed_roles.clone(),
                offer_constraints: None,
            }),
            ..Call::default()
        };
        let body = self.settings.encoding.encode(&subscribe);
        for _ in 0..=MAX_REDIRECTS {
            let passing = |error: Error| Failure::Passing(error.to_string());
            let mut connection = Connection::open(&target).await.map_err(passing)?;
            let answer = connection.post(body.clone(), None).await.map_err(passing)?;
            match answer.status() {
                StatusCode::OK => return Ok(Stream::new(connection, target, answer)),
                StatusCode::TEMPORARY_REDIRECT => {
                    let leader = leader(&answer).ok_or_else(|| {
                        let peer = &target.endpoint;
                        Failure::Passing(format!("{peer} redirects without saying where to"))
                    })?;
                    target.endpoint = Endpoint::Tcp(leader);
                }
                status => {
                    let error = connection.refusal(answer).await;
                    return Err(if status.is_client_error() {
                        Failure::Final(error)
                    } else {
                        passing(error)
                    });
                }
            }
        }
        Err(Failure::Passing("the masters redirect in a circle".into()))
    }
}

/// The `host:port` that a redirect leads to, as in `//10.0.0.1:5050/api/v1/scheduler`.
fn leader(answer: &Response<Body>) -> Option<String> {
    authority_of(answer.headers().get(LOCATION)?.to_str().ok()?)
}

fn authority_of(location: &str) -> Option<String> {
    let rest = location
        .strip_prefix("http:")
        .unwrap_or(location)
        .strip_prefix("//")?;
    let authority = rest.split('/').next().filter(|a| !a.is_empty())?;
    Some(authority.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_name_the_leader_with_or_without_a_scheme() {
        for location in [
            "//10.0.0.1:5050/api/v1/scheduler",
            "http://10.0.0.1:5050/x",
            "//10.0.0.1:5050",
        ] {
            assert_eq!(
                authority_of(location).as_deref(),
                Some("10.0.0.1:5050"),
                "{location}"
            );
        }
        for location in ["", "/api/v1/scheduler", "//", "https://10.0.0.1:5050/x"] {
            assert_eq!(authority_of(location), None, "{location}");
        }
    }
}
