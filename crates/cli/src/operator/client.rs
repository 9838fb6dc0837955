//! Questions to the leading master and to agents, in the operator API of Mesos.

mod answers;
mod events;
mod streams;

use std::cell::RefCell;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use meseta_master::EventId as Place;
use meseta_proto::v1::agent::{self, ProcessIo};
use meseta_proto::v1::master;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message as _;
use serde::de::DeserializeOwned;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{Request, Response, StatusCode, request};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

use self::answers::{
    accepted, body, from_agent, is_before_sending, leader_in, reason, sentence, understood,
};
pub(super) use self::events::Events;
pub(super) use self::streams::{Messages, RecordReader};
use super::error::Error;
use super::limits::{
    CONNECT_PATIENCE, MAX_EVENT, MAX_OUTPUT_RECORD, MAX_REDIRECTS, PATIENCE, SILENCE,
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const RECORDIO: &str = "application/recordio";

/// Of the process `master`, which has it wherever it listens; `/api/v1` alone is a short form.
const MASTER_API: &str = "/master/api/v1";

/// After the path of an agent's process.
const AGENT_API: &str = "/api/v1";

/// Who asks.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) principal: String,
    pub(super) secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// One question, to whomever.
struct Question<'a> {
    target: &'a str,
    /// What is posted; a GET without.
    call: Option<Vec<u8>>,
    accept: &'static str,
    /// One more header.
    also: Option<(&'static str, String)>,
    /// Whether it changes something, so that it must not be sent twice.
    changes: bool,
    /// For errors: `failed to {attempt}`.
    attempt: &'a str,
}

impl<'a> Question<'a> {
    /// A call of the master's API.
    fn of_master(call: &master::Call, attempt: &'a str) -> Self {
        Self::calling(MASTER_API, call.encode_to_vec(), attempt)
    }

    /// A call of an agent's API.
    fn of_agent(call: &agent::Call, attempt: &'a str) -> Self {
        Self::calling(AGENT_API, call.encode_to_vec(), attempt)
    }

    fn calling(target: &'a str, call: Vec<u8>, attempt: &'a str) -> Self {
        Self {
            target,
            call: Some(call),
            accept: PROTOBUF,
            also: None,
            changes: false,
            attempt,
        }
    }
}

/// A call of the master's API, still without what it says beside its type.
pub(super) fn to_master(kind: master::call::Type) -> master::Call {
    master::Call {
        r#type: Some(kind.into()),
        ..master::Call::default()
    }
}

/// A call of an agent's API, still without what it says beside its type.
pub(super) fn to_agent(kind: agent::call::Type) -> agent::Call {
    agent::Call {
        r#type: Some(kind.into()),
        ..agent::Call::default()
    }
}

/// A value as part of a path's query.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// How a cluster is reached, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Base URLs of the masters, in the order of preference.
    pub(super) masters: Vec<String>,
    /// What stands before the addresses of agents: `http://` or `https://`.
    pub(super) agents: &'static str,
    pub(super) credentials: Option<Credentials>,
    /// Who may vouch for masters and agents with TLS.
    pub(super) trusted: RootCerts,
}

/// A cluster, by its masters.
#[derive(Debug)]
pub(super) struct Client {
    access: Access,
    agent: Agent,
    /// Who answered last: asked first the next time.
    leader: RefCell<Option<String>>,
}

impl Client {
    pub(super) fn new(access: Access) -> Self {
        let trusted = access.trusted.clone();
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(trusted).build())
            .http_status_as_error(false)
            // A redirect leads to the leader, and calls are sent to it again, which a library must not.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A cluster is reached directly.
            .proxy(None)
            .timeout_connect(Some(CONNECT_PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Self {
            access,
            agent: config.new_agent(),
            leader: RefCell::new(None),
        }
    }

    /// Another client of the same cluster, for another thread.
    pub(super) fn fellow(&self) -> Self {
        Self::new(self.access.clone())
    }

    /// Whom the questions are asked as.
    pub(super) fn principal(&self) -> Option<&str> {
        let credentials = self.access.credentials.as_ref();
        credentials.map(|it| it.principal.as_str())
    }

    /// Asks the leading master for something.
    pub(super) fn ask(
        &self,
        kind: master::call::Type,
        attempt: &str,
    ) -> Result<master::Response, Error> {
        self.ask_for(&to_master(kind), attempt)
    }

    /// Asks the leading master for something that the call says more about.
    pub(super) fn ask_for(
        &self,
        call: &master::Call,
        attempt: &str,
    ) -> Result<master::Response, Error> {
        let (address, answer) = self.put_to_leader(&Question::of_master(call, attempt))?;
        understood(&address, answer, attempt)
    }

    /// Has the leading master change something.
    pub(super) fn change(&self, call: &master::Call, attempt: &str) -> Result<(), Error> {
        let question = Question {
            changes: true,
            ..Question::of_master(call, attempt)
        };
        self.put_to_leader(&question).map(drop)
    }

    /// What the JSON says that stands at a path of the leading master.
    pub(super) fn get<T: DeserializeOwned>(&self, target: &str, attempt: &str) -> Result<T, Error> {
        let question = Question {
            target,
            call: None,
            accept: JSON,
            also: None,
            changes: false,
            attempt,
        };
        let (address, answer) = self.put_to_leader(&question)?;
        let body = body(&address, answer, attempt)?;
        serde_json::from_slice(&body).map_err(|error| Error::Unreadable {
            attempt: attempt.to_owned(),
            address,
            reason: error.to_string(),
        })
    }

    /// The events of the leading master.
    ///
    /// `after` is the last event that was seen, where only what came after it is wanted; a master
    /// that does not remember all of that refuses.
    pub(super) fn subscribe(&self, after: Option<&Place>, attempt: &str) -> Result<Events, Error> {
        let call = to_master(master::call::Type::Subscribe);
        let question = Question {
            also: after.map(|place| ("Last-Event-ID", place.to_string())),
            ..Question::of_master(&call, attempt)
        };
        let answer = self.put_to_leader(&question)?;
        let place = answer.1.headers().get("Meseta-Event-ID");
        let place = place.and_then(|it| it.to_str().ok()?.parse().ok());
        Ok(Events::new(place, Messages::of(answer, MAX_EVENT, attempt)))
    }

    /// Asks an agent, by the address and path of its process.
    pub(super) fn ask_agent(
        &self,
        address: &str,
        call: &agent::Call,
        attempt: &str,
    ) -> Result<agent::Response, Error> {
        let question = Question::of_agent(call, attempt);
        let (address, answer) = self.put_to_agent(address, &question)?;
        understood(&address, answer, attempt)
    }

    /// Has an agent do something that is answered without words.
    pub(super) fn tell_agent(
        &self,
        address: &str,
        call: &agent::Call,
        attempt: &str,
    ) -> Result<(), Error> {
        let question = Question::of_agent(call, attempt);
        self.put_to_agent(address, &question).map(drop)
    }

    /// Makes a call of an agent's API that is answered with what a container prints.
    pub(super) fn output_of(
        &self,
        address: &str,
        call: &agent::Call,
        attempt: &str,
    ) -> Result<Messages<ProcessIo>, Error> {
        let question = Question {
            accept: RECORDIO,
            also: Some(("Message-Accept", PROTOBUF.to_owned())),
            ..Question::of_agent(call, attempt)
        };
        let answer = self.put_to_agent(address, &question)?;
        Ok(Messages::of(answer, MAX_OUTPUT_RECORD, attempt))
    }

    /// Sends a container its input, for as long as there is more of it.
    pub(super) fn send_input(
        &self,
        address: &str,
        mut records: RecordReader,
        attempt: &str,
    ) -> Result<(), Error> {
        let base = self.agent_at(address);
        let request = Request::builder()
            .method("POST")
            .uri(format!("{base}{AGENT_API}"))
            .header(CONTENT_TYPE, RECORDIO)
            .header("Message-Content-Type", PROTOBUF)
            .header(ACCEPT, PROTOBUF);
        let request = self
            .authorized(request)
            .body(SendBody::from_reader(&mut records));
        let answer = request
            .map_err(ureq::Error::from)
            .and_then(|request| self.agent.run(request));
        from_agent(base, answer, attempt).map(drop)
    }

    fn agent_at(&self, address: &str) -> String {
        format!("{}{address}", self.access.agents)
    }

    fn put_to_agent(
        &self,
        address: &str,
        question: &Question<'_>,
    ) -> Result<(String, Response<Body>), Error> {
        let base = self.agent_at(address);
        let answer = self.put(&base, question);
        from_agent(base, answer, question.attempt)
    }

    /// Asks one master after the other, and whom they name as the leader.
    fn put_to_leader(&self, question: &Question<'_>) -> Result<(String, Response<Body>), Error> {
        let known = self.leader.borrow().clone();
        let mut reasons = Vec::new();
        for first in known.iter().chain(&self.access.masters) {
            let mut base = first.clone();
            for _ in 0..=MAX_REDIRECTS {
                let answer = match self.put(&base, question) {
                    Ok(answer) => answer,
                    Err(error) if question.changes && !is_before_sending(&error) => {
                        return Err(Error::Broken {
                            attempt: question.attempt.to_owned(),
                            address: base,
                            reason: reason(&error),
                            advice: "; it may have been done nevertheless: look before trying again",
                        });
                    }
                    Err(error) => {
                        reasons.push(format!("{base}: {}", reason(&error)));
                        break;
                    }
                };
                if answer.status().is_redirection() {
                    match leader_in(&answer, &base) {
                        Some(leader) if leader != base => base = leader,
                        _ => {
                            reasons.push(format!("{base} redirects to nowhere"));
                            break;
                        }
                    }
                } else if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                    reasons.push(format!("{base}: {}", sentence(answer)));
                    break;
                } else {
                    *self.leader.borrow_mut() = Some(base.clone());
                    return accepted(base, answer, question.attempt);
                }
            }
        }
        reasons.dedup();
        Err(Error::Unreachable {
            attempt: question.attempt.to_owned(),
            reasons: reasons.join("; "),
        })
    }

    /// Says who asks.
    fn authorized(&self, request: request::Builder) -> request::Builder {
        let Some(Credentials { principal, secret }) = &self.access.credentials else {
            return request;
        };
        let pair = BASE64_STANDARD.encode(format!("{principal}:{secret}"));
        request.header(AUTHORIZATION, format!("Basic {pair}"))
    }

    fn put(&self, base: &str, question: &Question<'_>) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder()
            .uri(format!("{base}{}", question.target))
            .header(ACCEPT, question.accept);
        if let Some((name, value)) = &question.also {
            request = request.header(*name, value);
        }
        let request = self.authorized(request);
        match &question.call {
            Some(call) => self.agent.run(
                request
                    .method("POST")
                    .header(CONTENT_TYPE, PROTOBUF)
                    .body(call.as_slice())?,
            ),
            None => self.agent.run(request.method("GET").body(())?),
        }
    }
}
