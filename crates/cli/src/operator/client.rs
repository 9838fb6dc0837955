//! Questions to the leading master and to agents, in the operator API of Mesos.

mod streams;

use std::cell::RefCell;
use std::error::Error as _;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use meseta_master::EventId as Place;
use meseta_proto::v1::master::event::Type;
use meseta_proto::v1::{agent, master};
use meseta_proto::{Wire, decode, recordio};
use prost::Message as _;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use ureq::http::{Request, Response, StatusCode, request};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, BodyReader};

pub(super) use self::streams::{ContainerOutput, RecordReader};
use super::error::Error;
use super::limits::{
    CONNECT_PATIENCE, MAX_ANSWER, MAX_EVENT, MAX_REDIRECTS, MAX_REFUSAL, PATIENCE, SILENCE,
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Of the process `master`, which has it wherever it listens; `/api/v1` alone is a short form.
const MASTER_API: &str = "/master/api/v1";

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
    accept: &'a str,
    /// The last event that was seen, where a stream is to go on.
    after: Option<String>,
    /// Whether it changes something, so that it must not be sent twice.
    changes: bool,
    /// For errors: `failed to {attempt}`.
    attempt: &'a str,
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
        let call = master::Call {
            r#type: Some(kind.into()),
            ..master::Call::default()
        };
        self.ask_for(&call, attempt)
    }

    /// Asks the leading master for something that the call says more about.
    pub(super) fn ask_for(
        &self,
        call: &master::Call,
        attempt: &str,
    ) -> Result<master::Response, Error> {
        let question = Question {
            target: MASTER_API,
            call: Some(call.encode_to_vec()),
            accept: PROTOBUF,
            after: None,
            changes: false,
            attempt,
        };
        let (address, answer) = self.put_to_leader(&question)?;
        understood(&address, answer, attempt)
    }

    /// Has the leading master change something.
    pub(super) fn change(&self, call: &master::Call, attempt: &str) -> Result<(), Error> {
        let question = Question {
            target: MASTER_API,
            call: Some(call.encode_to_vec()),
            accept: PROTOBUF,
            after: None,
            changes: true,
            attempt,
        };
        self.put_to_leader(&question).map(drop)
    }

    /// The JSON that stands at a path of the leading master.
    pub(super) fn get(&self, target: &str, attempt: &str) -> Result<Vec<u8>, Error> {
        let question = reading(target, attempt);
        let (address, answer) = self.put_to_leader(&question)?;
        body(&address, answer, attempt)
    }

    /// The events of the leading master.
    ///
    /// `after` is the last event that was seen, where only what came after it is wanted; a master
    /// that does not remember all of that refuses.
    pub(super) fn subscribe(&self, after: Option<&Place>, attempt: &str) -> Result<Events, Error> {
        let call = master::Call {
            r#type: Some(master::call::Type::Subscribe.into()),
            ..master::Call::default()
        };
        let question = Question {
            target: MASTER_API,
            call: Some(call.encode_to_vec()),
            accept: PROTOBUF,
            after: after.map(ToString::to_string),
            changes: false,
            attempt,
        };
        let (address, answer) = self.put_to_leader(&question)?;
        let place = answer.headers().get("meseta-event-id");
        Ok(Events {
            place: place.and_then(|it| it.to_str().ok()?.parse().ok()),
            address,
            attempt: attempt.to_owned(),
            reader: answer
                .into_body()
                .into_with_config()
                .limit(u64::MAX)
                .reader(),
            decoder: recordio::Decoder::new(MAX_EVENT),
        })
    }

    /// Asks an agent, by the address and path of its process.
    pub(super) fn ask_agent(
        &self,
        address: &str,
        call: &agent::Call,
        attempt: &str,
    ) -> Result<agent::Response, Error> {
        let question = Question {
            target: "/api/v1",
            call: Some(call.encode_to_vec()),
            accept: PROTOBUF,
            after: None,
            changes: false,
            attempt,
        };
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
        let question = Question {
            target: "/api/v1",
            call: Some(call.encode_to_vec()),
            accept: PROTOBUF,
            after: None,
            changes: true,
            attempt,
        };
        self.put_to_agent(address, &question).map(drop)
    }

    fn put_to_agent(
        &self,
        address: &str,
        question: &Question<'_>,
    ) -> Result<(String, Response<Body>), Error> {
        let base = format!("{}{address}", self.access.agents);
        let answer = self
            .put(&base, question)
            .map_err(|error| Error::AgentUnreachable {
                attempt: question.attempt.to_owned(),
                agent: base.clone(),
                reason: reason(&error) + tls_advice(&error),
                advice: if tls_advice(&error) == PLAIN {
                    "; `meseta context set NAME --agents=http` says that agents do"
                } else {
                    ""
                },
            })?;
        accepted(base, answer, question.attempt)
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
                        let advice = tls_advice(&error);
                        reasons.push(format!("{base}: {}{advice}", reason(&error)));
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
        if let Some(after) = &question.after {
            request = request.header("Last-Event-ID", after);
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

fn reading<'a>(target: &'a str, attempt: &'a str) -> Question<'a> {
    Question {
        target,
        call: None,
        accept: JSON,
        after: None,
        changes: false,
        attempt,
    }
}

/// Whether the other side cannot have got the question.
fn is_before_sending(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => true,
        _ => false,
    }
}

/// Of a server that does not answer a greeting of TLS with one.
const PLAIN: &str = "; it seems to speak plain HTTP";

/// What helps where TLS is at fault.
fn tls_advice(error: &ureq::Error) -> &'static str {
    let ureq::Error::Io(error) = error else {
        return "";
    };
    match error.get_ref().and_then(|it| it.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; --ca-cert names the certificate of who vouches for the cluster"
        }
        Some(rustls::Error::InvalidMessage(_)) => PLAIN,
        _ => "",
    }
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        other => match other.source() {
            Some(source) => format!("{other}: {source}"),
            None => other.to_string(),
        },
    }
}

/// Where a master that does not lead says that the leader is: `//host:port/path`, with or without
/// a scheme.
fn leader_in(answer: &Response<Body>, base: &str) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let own = if base.starts_with("https://") {
        "https://"
    } else {
        "http://"
    };
    let (scheme, rest) = match location.split_once("//")? {
        ("", rest) => (own, rest),
        ("http:", rest) => ("http://", rest),
        ("https:", rest) => ("https://", rest),
        _ => return None,
    };
    let authority = rest.split('/').next().filter(|it| !it.is_empty())?;
    Some(format!("{scheme}{authority}"))
}

fn accepted(
    address: String,
    answer: Response<Body>,
    attempt: &str,
) -> Result<(String, Response<Body>), Error> {
    if answer.status().is_success() {
        return Ok((address, answer));
    }
    let status = answer.status();
    let advice = match status {
        StatusCode::UNAUTHORIZED => {
            " (name who asks in a context: `meseta context set NAME --principal=… --secret=…`)"
        }
        _ => "",
    };
    Err(Error::Refused {
        attempt: attempt.to_owned(),
        address,
        status: status.as_u16(),
        sentence: sentence(answer) + advice,
    })
}

/// The text of a refusal.
fn sentence(answer: Response<Body>) -> String {
    let status = answer.status();
    let text = answer
        .into_body()
        .into_with_config()
        .limit(MAX_REFUSAL)
        .read_to_string()
        .unwrap_or_default();
    match text.trim() {
        "" => status.canonical_reason().unwrap_or("no reason").to_owned(),
        text => text.to_owned(),
    }
}

fn body(address: &str, answer: Response<Body>, attempt: &str) -> Result<Vec<u8>, Error> {
    answer
        .into_body()
        .into_with_config()
        .limit(MAX_ANSWER)
        .read_to_vec()
        .map_err(|error| Error::Broken {
            attempt: attempt.to_owned(),
            address: address.to_owned(),
            reason: reason(&error),
            advice: "",
        })
}

fn understood<M: Wire>(address: &str, answer: Response<Body>, attempt: &str) -> Result<M, Error> {
    let body = body(address, answer, attempt)?;
    decode(&body).map_err(|error| Error::Unreadable {
        attempt: attempt.to_owned(),
        address: address.to_owned(),
        reason: error.to_string(),
    })
}

/// What happens on a cluster, as its master tells.
pub(super) struct Events {
    /// Where the stream is, if its master counts. Not all do: Mesos does not.
    place: Option<Place>,
    address: String,
    attempt: String,
    reader: BodyReader<'static>,
    decoder: recordio::Decoder,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Events {
    /// The last event that was seen, for a stream that goes on after it.
    pub(super) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Waits for the next event. The end of the stream is an error: it has none.
    pub(super) fn next(&mut self) -> Result<master::Event, Error> {
        let event = self.read()?;
        let counts = !matches!(event.r#type(), Type::Heartbeat | Type::Subscribed);
        if let Some(place) = self.place.as_mut().filter(|_| counts) {
            place.number += 1;
        }
        Ok(event)
    }

    fn read(&mut self) -> Result<master::Event, Error> {
        let mut piece = [0; 16 * 1024];
        loop {
            let record = self.decoder.next_record();
            if let Some(record) = record.map_err(|e| self.unreadable(e.to_string()))? {
                return decode(&record).map_err(|e| self.unreadable(e.to_string()));
            }
            let read = self.reader.read(&mut piece);
            match read {
                Ok(0) => return Err(self.broken("the stream has ended".to_owned())),
                Ok(read) => self.decoder.extend(piece.get(..read).unwrap_or_default()),
                Err(error) => return Err(self.broken(error.to_string())),
            }
        }
    }

    fn unreadable(&self, reason: String) -> Error {
        Error::Unreadable {
            attempt: self.attempt.clone(),
            address: self.address.clone(),
            reason,
        }
    }

    fn broken(&self, reason: String) -> Error {
        Error::Broken {
            attempt: self.attempt.clone(),
            address: self.address.clone(),
            reason,
            advice: "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_the_leader_with_and_without_a_scheme() {
        for (location, base, leader) in [
            ("//b:5050/api/v1", "http://a:1", Some("http://b:5050")),
            ("//b:5050/api/v1", "https://a:1", Some("https://b:5050")),
            ("https://b:5050", "http://a:1", Some("https://b:5050")),
            ("/api/v1", "http://a:1", None),
            ("ftp://b/", "http://a:1", None),
        ] {
            let answer = Response::builder()
                .header(LOCATION, location)
                .body(Body::builder().data(""))
                .unwrap();
            assert_eq!(leader_in(&answer, base).as_deref(), leader, "{location}");
        }
    }
}
