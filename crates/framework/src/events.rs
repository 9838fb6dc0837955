//! The half that reads events and keeps the framework subscribed.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::connection::{Connection, Endpoint, Target, leader};
use crate::credential::Credential;
use crate::limits::MAX_REDIRECTS;
use crate::masters::Masters;
use crate::scheduler::{Current, Session};
use crate::stream::Stream;
use crate::{Error, Settings, Tls};

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
    state: State,
    backoff: Backoff,
    /// Made with the first attempt.
    masters: Option<Masters>,
    /// Who leads, where somebody has said so.
    hint: Option<Endpoint>,
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
    /// Kept while [`Events::next`] is dropped: an attempt that is dropped half-way may have made a
    /// framework that nobody knows of.
    Opening(Attempt),
    Streaming(Box<Stream>),
    /// The master has ended the framework.
    Ended,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

/// Why an attempt failed.
enum Failure {
    /// Worth another attempt.
    Passing(String),
    Final(Error),
}

impl Events {
    pub(crate) fn new(settings: Settings, session: Arc<Session>) -> Self {
        Self {
            settings,
            session,
            state: State::Waiting(Instant::now()),
            backoff: Backoff::default(),
            masters: None,
            hint: None,
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
                    let until = *until;
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = news(&mut self.masters) => {}
                    }
                    match self.prepare().await {
                        Ok(attempt) => self.state = State::Opening(attempt),
                        Err(failure) => return self.fail(failure),
                    }
                }
                State::Opening(attempt) => match attempt.as_mut().await {
                    Ok(stream) => {
                        self.settings.tls.clone_from(&stream.target.tls);
                        self.state = State::Streaming(Box::new(stream));
                    }
                    Err(failure) => return self.fail(failure),
                },
                State::Streaming(stream) => {
                    let peer = stream.target.endpoint.clone();
                    let moved_to = tokio::select! {
                        next = stream.next() => match next {
                            Ok(event) => {
                                if self.observe(&event) {
                                    return Ok(Some(Incoming::Event(Box::new(event))));
                                }
                                continue;
                            }
                            Err(reason) => return Ok(Some(self.disconnect(reason))),
                        },
                        leader = self.session.moved() => leader,
                        leader = another(&mut self.masters) => leader,
                    };
                    let reason = format!("{peer} does not lead any more, {moved_to} does");
                    let disconnected = self.disconnect(reason);
                    self.hint = Some(moved_to);
                    self.state = State::Waiting(Instant::now());
                    return Ok(Some(disconnected));
                }
            }
        }
    }

    /// The same as a [`Stream`](futures_core::Stream), which ends with the framework.
    pub fn into_stream(self) -> impl futures_core::Stream<Item = Result<Incoming, Error>> + Send {
        futures_util::stream::try_unfold(self, async |mut events| {
            let next = events.next().await?;
            Ok(next.map(|incoming| (incoming, events)))
        })
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

    fn fail(&mut self, failure: Failure) -> Result<Option<Incoming>, Error> {
        match failure {
            Failure::Passing(reason) => Ok(Some(self.disconnect(reason))),
            Failure::Final(error) => {
                self.end();
                Err(error)
            }
        }
    }

    fn end(&mut self) {
        self.session.set(None);
        self.state = State::Ended;
    }

    /// What an attempt needs to know. It may be dropped while it waits.
    async fn prepare(&mut self) -> Result<Attempt, Failure> {
        if let Some((framework, suppressed_roles)) = self.session.take_update() {
            let id = self.settings.framework.id.take();
            self.settings.framework = framework;
            self.settings.framework.id = id;
            self.settings.suppressed_roles = suppressed_roles;
        }
        let masters = match &mut self.masters {
            Some(masters) => masters,
            none => none.insert(Masters::new(&self.settings).map_err(Failure::Final)?),
        };
        let endpoint = match self.hint.take() {
            Some(leader) => leader,
            None => masters.next().await.map_err(Failure::Passing)?,
        };
        let credential = self.settings.credential.as_ref();
        let target = Target {
            endpoint,
            path: PATH.to_owned(),
            encoding: self.settings.encoding,
            authorization: credential
                .map(Credential::authorization)
                .transpose()
                .map_err(Failure::Final)?,
            tls: self.settings.tls.clone(),
        };
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
        Ok(Box::pin(open(target, body)))
    }
}

/// Subscribes at the leading master, to which any other leads the way.
async fn open(mut target: Target, body: Vec<u8>) -> Result<Stream, Failure> {
    for _ in 0..=MAX_REDIRECTS {
        let passing = |error: Error| Failure::Passing(error.to_string());
        if matches!(target.endpoint, Endpoint::Tls(_)) && target.tls.is_none() {
            target.tls = Some(Tls::native().map_err(Failure::Final)?);
        }
        let mut connection = Connection::open(&target).await.map_err(passing)?;
        let answer = connection.post(body.clone(), None).await.map_err(passing)?;
        match answer.status() {
            StatusCode::OK => return Ok(Stream::new(connection, target, answer)),
            StatusCode::TEMPORARY_REDIRECT => {
                target.endpoint = leader(&answer, &target).map_err(passing)?;
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

/// [`Masters::news`], once there are masters.
async fn news(masters: &mut Option<Masters>) {
    match masters {
        Some(masters) => masters.news().await,
        None => std::future::pending().await,
    }
}

/// [`Masters::another`], once there are masters.
async fn another(masters: &mut Option<Masters>) -> Endpoint {
    match masters {
        Some(masters) => masters.another().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use meseta_proto::v1::FrameworkInfo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use crate::{Error, Settings, subscribe};

    #[tokio::test]
    async fn an_attempt_is_made_once_however_often_the_wait_for_it_is_dropped() {
        let master = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = master.local_addr().unwrap().to_string();
        let settings = Settings::new(address, FrameworkInfo::default());
        let (_, mut events) = subscribe(settings);
        let (mut only, _) = tokio::select! {
            connection = master.accept() => connection.unwrap(),
            _ = events.next() => panic!("nobody has answered"),
        };
        let mut request = Vec::new();
        while !request.windows(4).any(|part| part == b"\r\n\r\n") {
            let read = tokio::select! {
                read = only.read_buf(&mut request) => read.unwrap(),
                _ = events.next() => panic!("nobody has answered"),
            };
            assert!(read > 0, "the attempt was dropped");
        }
        let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
        only.write_all(refusal).await.unwrap();
        let error = events.next().await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { status: 403, .. }),
            "{error}"
        );
    }
}
