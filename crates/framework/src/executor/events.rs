//! The half that reads events and keeps the executor subscribed.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use meseta_proto::v1::executor::{Call, Event, call, event};
use tokio::time::{Instant, sleep_until};

use super::handle::{Session, of};
use super::{Executor, Settings};
use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::stream::Stream;
use crate::{Error, Incoming};

/// The events of one executor.
pub struct Events {
    settings: Arc<Settings>,
    session: Arc<Session>,
    state: State,
    backoff: Backoff,
    /// When an agent that is away has given the executor up.
    given_up_at: Option<Instant>,
    is_shutting_down: bool,
}

enum State {
    /// The next attempt is due at that time.
    Waiting(Instant),
    /// Kept while [`Events::next`] is dropped, so that the agent gets one attempt and not many.
    Opening(Attempt),
    Streaming(Box<Stream>),
    Ended,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Stream, Error>> + Send>>;

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Events {
    pub(super) fn new(settings: Arc<Settings>, session: Arc<Session>) -> Self {
        Self {
            backoff: settings
                .recovery
                .map_or_else(Backoff::default, |r| Backoff::up_to(r.longest_pause)),
            settings,
            session,
            state: State::Waiting(Instant::now()),
            given_up_at: None,
            is_shutting_down: false,
        }
    }

    /// Waits for what comes next; `None` once the agent has ended the executor, by `SHUTDOWN` and
    /// the end of the stream, or by `ERROR`. It may be dropped while it waits, as in `select!`,
    /// without losing an event.
    ///
    /// # Errors
    /// [`Error::Refused`] when the agent wants no such executor, and [`Error::AgentLost`] when it
    /// has been away for longer than its recovery may take, or at all without checkpointing. Either
    /// is the end: the executor is to kill its tasks and to exit.
    pub async fn next(&mut self) -> Result<Option<Incoming<Event>>, Error> {
        loop {
            let failed = match &mut self.state {
                State::Ended => return Ok(None),
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    let (settings, session) = (&self.settings, &self.session);
                    let attempt = open(Arc::clone(settings), Arc::clone(session));
                    self.state = State::Opening(Box::pin(attempt));
                    continue;
                }
                State::Opening(attempt) => match attempt.as_mut().await {
                    Ok(stream) => {
                        self.state = State::Streaming(Box::new(stream));
                        continue;
                    }
                    // An agent that still recovers answers 503; other refusals are final.
                    Err(
                        error @ (Error::Refused {
                            status: 400..500, ..
                        }
                        | Error::Unauthenticated { .. }),
                    ) => {
                        self.end();
                        return Err(error);
                    }
                    Err(error) => error.to_string(),
                },
                State::Streaming(stream) => {
                    let next = tokio::select! {
                        next = stream.next::<Event>() => next,
                        () = self.session.broken.notified() =>
                            Err("the agent does not take calls".to_owned()),
                    };
                    match next {
                        Ok(event) => {
                            if self.observe(&event) {
                                return Ok(Some(Incoming::Event(Box::new(event))));
                            }
                            continue;
                        }
                        Err(reason) => reason,
                    }
                }
            };
            return self.disconnect(failed);
        }
    }

    /// Takes note of an event; whether it is for the executor too.
    fn observe(&mut self, event: &Event) -> bool {
        self.session.state().unacknowledged.observe(event);
        match event.r#type() {
            event::Type::Heartbeat => return false,
            event::Type::Error => self.end(),
            event::Type::Shutdown => self.is_shutting_down = true,
            event::Type::Subscribed => {
                if let State::Streaming(stream) = &mut self.state {
                    // Agents tell no interval.
                    stream.expect_heartbeats(None);
                    self.session.state().target = Some(stream.target.clone());
                }
                self.backoff.reset();
                self.given_up_at = None;
                // Updates that were made while the subscription was under way.
                let executor = Executor::new(Arc::clone(&self.settings), Arc::clone(&self.session));
                tokio::spawn(async move { drop(executor.flush().await) });
            }
            _ => {}
        }
        true
    }

    fn disconnect(&mut self, reason: String) -> Result<Option<Incoming<Event>>, Error> {
        self.session.state().target = None;
        if self.is_shutting_down {
            self.end();
            return Ok(None);
        }
        let now = Instant::now();
        let timeout = self.settings.recovery.map(|recovery| recovery.timeout);
        let given_up_at = *self
            .given_up_at
            .get_or_insert_with(|| now + timeout.unwrap_or_default());
        if now >= given_up_at {
            self.end();
            return Err(Error::AgentLost {
                peer: self.settings.target().endpoint.to_string(),
                reason,
            });
        }
        let again = (now + self.backoff.pause()).min(given_up_at);
        self.state = State::Waiting(again);
        Ok(Some(Incoming::Disconnected { reason }))
    }

    fn end(&mut self) {
        self.session.state().target = None;
        self.state = State::Ended;
    }
}

async fn open(settings: Arc<Settings>, session: Arc<Session>) -> Result<Stream, Error> {
    let target = settings.target();
    let mut connection = Connection::open(&target).await?;
    let subscribe = session.state().unacknowledged.subscribe();
    let call = Call {
        subscribe: Some(subscribe),
        ..of(&settings, call::Type::Subscribe)
    };
    let answer = connection.post(target.encoding.encode(&call), None).await?;
    if answer.status().is_success() {
        Ok(Stream::new(connection, target, answer))
    } else {
        Err(connection.refusal(answer).await)
    }
}
