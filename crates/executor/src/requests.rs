//! Requests to the agent's own API, each on a connection of its own: the answers to some come only
//! when a container ends.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use meseta_proto::recordio::Decoder;
use meseta_proto::v1::agent::{Call, ProcessIo, call};
use prost::Message as _;
use rustix::event::PollFd;

use crate::connection::{Connection, ConnectionError};
use crate::http::{Part, Target};
use crate::limits::{MAX_ANSWER, MAX_OUTPUT_RECORD};
use crate::machine::{Answer, Input, RequestId};
use crate::settings::{Endpoint, Settings};

/// The requests that are not answered yet.
#[derive(Debug)]
pub(crate) struct Requests {
    endpoint: Endpoint,
    target: Target,
    running: BTreeMap<RequestId, Exchange>,
}

/// A request under way, and what has come of its answer.
#[derive(Debug)]
struct Exchange {
    connection: Connection,
    status: u16,
    body: Vec<u8>,
    output: Option<Decoder>,
}

impl Requests {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            endpoint: settings.agent.clone(),
            target: Target {
                path: settings.operator_path(),
                host: settings.agent.host().to_owned(),
                token: settings.token.clone(),
            },
            running: BTreeMap::new(),
        }
    }

    /// Begins a request; some fail before they have begun.
    pub(crate) fn start(&mut self, request: RequestId, call: &Call) -> Option<Input> {
        let body = call.encode_to_vec();
        let has_output = call.r#type() == call::Type::LaunchNestedContainerSession;
        let message = if has_output {
            self.target.post_for_records(&body)
        } else {
            self.target.post(&body)
        };
        match Connection::open(&self.endpoint) {
            Ok(mut connection) => {
                connection.queue(&message);
                let exchange = Exchange {
                    connection,
                    status: 0,
                    body: Vec::new(),
                    output: has_output.then(|| Decoder::new(MAX_OUTPUT_RECORD)),
                };
                self.running.insert(request, exchange);
                None
            }
            Err(error) => Some(answered(request, Err(error.to_string()))),
        }
    }

    /// Drops a request whose answer is of no interest any more.
    pub(crate) fn abandon(&mut self, request: RequestId) {
        self.running.remove(&request);
    }

    /// What to poll for, and whose it is.
    pub(crate) fn poll_fds(&self) -> impl Iterator<Item = (RequestId, PollFd<'_>)> {
        self.running.iter().map(|(request, exchange)| {
            let connection = &exchange.connection;
            let fd = PollFd::from_borrowed_fd(connection.as_fd(), connection.interest());
            (*request, fd)
        })
    }

    /// Goes on where [`Self::poll_fds`] found something.
    pub(crate) fn on_ready(&mut self, request: RequestId) -> Option<Input> {
        let answer = match self.running.get_mut(&request)?.read() {
            Ok(None) => return None,
            Ok(Some(answer)) => Ok(answer),
            Err(error) => Err(error.to_string()),
        };
        self.running.remove(&request);
        Some(answered(request, answer))
    }
}

fn answered(request: RequestId, answer: Result<Answer, String>) -> Input {
    Input::Answered { request, answer }
}

impl Exchange {
    /// The answer when all of it has come.
    fn read(&mut self) -> Result<Option<Answer>, ConnectionError> {
        // What arrived before an error still counts.
        let read = self.connection.on_ready();
        while let Some(part) = self.connection.next_part()? {
            match part {
                Part::Head(status) => self.status = status,
                Part::Body(bytes) => self.take(&bytes)?,
                Part::End if self.status >= 200 => return Ok(Some(self.answer())),
                Part::End => {}
            }
        }
        read?;
        match self.connection.has_ended() {
            false => Ok(None),
            true if self.connection.answer_ends_with_it() => Ok(Some(self.answer())),
            true => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// What a container writes goes to the sandbox's stderr, everything else to the machine.
    fn take(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        if self.status == 200
            && let Some(decoder) = &mut self.output
        {
            decoder.extend(bytes);
            while let Some(record) = decoder.next_record().map_err(io::Error::other)? {
                print(&record);
            }
            return Ok(());
        }
        if self.body.len() + bytes.len() > MAX_ANSWER {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn answer(&mut self) -> Answer {
        Answer {
            status: self.status,
            body: std::mem::take(&mut self.body),
        }
    }
}

/// A record that is no output, or that nobody can be told, is none that matters.
fn print(record: &[u8]) {
    if let Ok(output) = meseta_proto::decode::<ProcessIo>(record)
        && let Some(data) = output.data.and_then(|data| data.data)
    {
        let _ = io::stderr().write_all(&data);
    }
}
