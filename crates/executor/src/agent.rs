//! The agent's v1 executor API: one connection for the stream of events, one for calls.

use std::collections::VecDeque;

use meseta_proto::recordio::Decoder;
use meseta_proto::v1::executor::{Call, Event};
use prost::Message as _;
use rustix::event::PollFd;

use crate::connection::{Connection, ConnectionError};
use crate::http::{Part, Target};
use crate::limits::{MAX_EVENT, MAX_REFUSAL};
use crate::machine::Input;
use crate::settings::{Endpoint, Settings};

/// The client.
#[derive(Debug)]
pub(crate) struct Agent {
    endpoint: Endpoint,
    target: Target,
    session: Option<Session>,
}

/// The connections of one subscription.
#[derive(Debug)]
struct Session {
    events: Connection,
    stream: Stream,
    calls: Connection,
    answers: Answers,
}

/// How far the answer to a subscription is.
#[derive(Debug)]
enum Stream {
    Unanswered,
    Events(Decoder),
    Refusal { status: u16, sentence: Vec<u8> },
}

/// Calls whose answers are to come, and the one that is being answered.
#[derive(Debug, Default)]
struct Answers {
    expected: usize,
    status: u16,
    body: Vec<u8>,
}

/// The connections of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Events,
    Calls,
}

/// What came from the agent.
pub(crate) enum Heard {
    Input(Input),
    /// The agent refused a call.
    Complaint(String),
}

impl Agent {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            target: Target {
                path: settings.path.clone(),
                host: settings.agent.host().to_owned(),
                token: settings.token.clone(),
            },
            endpoint: settings.agent.clone(),
            session: None,
        }
    }

    /// Connects anew and subscribes.
    pub(crate) fn subscribe(&mut self, call: &Call) -> Result<(), ConnectionError> {
        self.session = None;
        let mut events = Connection::open(&self.endpoint)?;
        events.queue(&self.target.post(&call.encode_to_vec()));
        let calls = Connection::open(&self.endpoint)?;
        self.session = Some(Session {
            events,
            stream: Stream::Unanswered,
            calls,
            answers: Answers::default(),
        });
        Ok(())
    }

    /// Queues a call; without a connection it is dropped, for the machine will subscribe again.
    pub(crate) fn send(&mut self, call: &Call) {
        if let Some(session) = &mut self.session {
            session
                .calls
                .queue(&self.target.post(&call.encode_to_vec()));
            session.answers.expected += 1;
        }
    }

    pub(crate) fn disconnect(&mut self) {
        self.session = None;
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) -> Option<Input> {
        let session = self.session.as_mut()?;
        let flushed = session.events.flush().and_then(|()| session.calls.flush());
        flushed.err().map(|error| self.lost(&error.to_string()))
    }

    /// What to poll for, and which of the connections it is.
    pub(crate) fn poll_fds(&self) -> impl Iterator<Item = (Channel, PollFd<'_>)> {
        self.session.iter().flat_map(|session| {
            [
                (Channel::Events, &session.events),
                (Channel::Calls, &session.calls),
            ]
            .map(|(channel, connection)| {
                let fd = PollFd::from_borrowed_fd(connection.as_fd(), connection.interest());
                (channel, fd)
            })
        })
    }

    /// Goes on where [`Self::poll_fds`] found something.
    pub(crate) fn on_ready(&mut self, channel: Channel, heard: &mut VecDeque<Heard>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let outcome = match channel {
            Channel::Events => session.read_events(heard),
            Channel::Calls => session.read_answers(&self.endpoint, heard),
        };
        if let Err(reason) = outcome {
            let lost = self.lost(&reason);
            heard.push_back(Heard::Input(lost));
        }
    }

    fn lost(&mut self, reason: &str) -> Input {
        self.session = None;
        Input::Disconnected {
            reason: reason.to_owned(),
        }
    }
}

impl Session {
    fn read_events(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), String> {
        // What arrived before an error still counts.
        let read = self.events.on_ready();
        while let Some(part) = self.events.next_part().map_err(|e| e.to_string())? {
            match (&mut self.stream, part) {
                (_, Part::Head(200)) => self.stream = Stream::Events(Decoder::new(MAX_EVENT)),
                (_, Part::Head(status)) => {
                    self.stream = Stream::Refusal {
                        status,
                        sentence: Vec::new(),
                    };
                }
                (Stream::Events(decoder), Part::Body(bytes)) => {
                    decoder.extend(&bytes);
                    read_records(decoder, heard)?;
                }
                (Stream::Refusal { sentence, .. }, Part::Body(bytes)) => {
                    keep_start(sentence, &bytes);
                }
                (Stream::Refusal { status, sentence }, Part::End) => {
                    heard.push_back(refused(*status, sentence));
                    return Ok(());
                }
                (Stream::Events(_), Part::End) => return Err(END_OF_STREAM.into()),
                (Stream::Unanswered, Part::Body(_) | Part::End) => {}
            }
        }
        read.map_err(|e| e.to_string())?;
        if self.events.has_ended() {
            if let Stream::Refusal { status, sentence } = &self.stream {
                heard.push_back(refused(*status, sentence));
                return Ok(());
            }
            return Err(END_OF_STREAM.into());
        }
        Ok(())
    }

    fn read_answers(
        &mut self,
        endpoint: &Endpoint,
        heard: &mut VecDeque<Heard>,
    ) -> Result<(), String> {
        let read = self.calls.on_ready();
        while let Some(part) = self.calls.next_part().map_err(|e| e.to_string())? {
            let answers = &mut self.answers;
            match part {
                Part::Head(status) => answers.status = status,
                Part::Body(bytes) => keep_start(&mut answers.body, &bytes),
                Part::End => {
                    let body = std::mem::take(&mut answers.body);
                    if answers.status >= 300 {
                        heard.push_back(Heard::Complaint(format!(
                            "The agent answered a call with status {}: {}",
                            answers.status,
                            String::from_utf8_lossy(&body)
                        )));
                    }
                    if answers.status >= 200 {
                        answers.expected = answers.expected.saturating_sub(1);
                    }
                }
            }
        }
        read.map_err(|e| e.to_string())?;
        if self.calls.has_ended() {
            if self.answers.expected > 0 {
                return Err("the agent left a call unanswered".into());
            }
            // Servers may close a connection that has been idle for long.
            self.calls = Connection::open(endpoint).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

const END_OF_STREAM: &str = "the agent closed the event stream";

fn refused(status: u16, sentence: &[u8]) -> Heard {
    let sentence = String::from_utf8_lossy(sentence).into_owned();
    Heard::Input(Input::Refused { status, sentence })
}

fn read_records(decoder: &mut Decoder, heard: &mut VecDeque<Heard>) -> Result<(), String> {
    while let Some(record) = decoder.next_record().map_err(|e| e.to_string())? {
        match meseta_proto::decode::<Event>(&record) {
            Ok(event) => heard.push_back(Heard::Input(Input::Event(Box::new(event)))),
            // Skipping it could mean to miss a kill: a new subscription sets things right.
            Err(error) => return Err(format!("failed to decode an event: {error}")),
        }
    }
    Ok(())
}

/// Appends what fits into a refusal's sentence.
fn keep_start(sentence: &mut Vec<u8>, more: &[u8]) {
    let room = MAX_REFUSAL.saturating_sub(sentence.len());
    sentence.extend(more.iter().take(room));
}
