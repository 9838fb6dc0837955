//! What comes in at the null target: messages of agents, and HTTP.

use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use meseta_proto::internal::{
    PingSlaveMessage, RegisterSlaveMessage, ReregisterSlaveMessage, SlaveRegisteredMessage,
    SlaveReregisteredMessage, StatusUpdateMessage, UnregisterSlaveMessage,
};
use meseta_proto::v1::AgentInfo;
use meseta_proto::v1::master::{self, event as master_event};
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use meseta_proto::{Upid, Wire, decode};
use meseta_transport::{
    Backlog, Body, Message, Peers, Request, Response, Service, StreamSender, event_stream,
};
use tokio::runtime::Handle;

use super::books::{Books, Stream};
use super::calls;
use crate::frameworks::{Encoding, decode_event, encode};
use crate::limits;

/// The null target.
#[derive(Debug, Clone)]
pub(crate) struct Null {
    books: Arc<Mutex<Books>>,
    peers: Arc<Peers>,
}

impl Service for Null {
    fn message(&self, message: Message) {
        // What cannot be read is dropped, as a master does.
        let _ = self.on_message(&message);
    }

    async fn request(&self, request: Request) -> Response {
        let path = request
            .path
            .strip_prefix("/master")
            .unwrap_or(&request.path);
        match path {
            "/api/v1/scheduler" => self.scheduler_call(&request),
            "/api/v1" => self.operator_call(&request),
            "/metrics/snapshot" => self.metrics(),
            "/health" | "/state" | "/tasks" | "/slaves" => json("{}"),
            _ => Response::new(StatusCode::NOT_FOUND, Body::Full(Bytes::new())),
        }
    }
}

impl Null {
    /// One that listens here, and knows nobody yet.
    pub(crate) fn new(address: SocketAddrV4) -> Self {
        Self {
            books: Arc::default(),
            peers: Arc::new(Peers::new(address, Handle::current(), |_| ())),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message as the master, or as one of its pingers.
    fn send<M: Wire>(&self, from: &str, to: &Upid, message: &M) {
        let body = message.encode_to_vec().into();
        self.peers.send(from, to, M::SCHEMA.name, body);
    }

    fn on_message(&self, message: &Message) -> Option<()> {
        let body = &message.body;
        let from = &message.from;
        match message.name.strip_prefix("mesos.internal.")? {
            "RegisterSlaveMessage" => {
                let RegisterSlaveMessage { slave, .. } = decode(body).ok()?;
                let mut books = self.books();
                let known = books.by_pid.get(from).cloned();
                let number = books.next_number();
                let id = known.unwrap_or_else(|| format!("null-S{number}").into());
                books.enter_agent(id.clone(), from.clone(), AgentInfo::from(slave));
                let answer = SlaveRegisteredMessage {
                    slave_id: id,
                    connection: None,
                };
                self.send("master", from, &answer);
                let ping = PingSlaveMessage { connected: true };
                self.send("slave-observer(1)", from, &ping);
            }
            "ReregisterSlaveMessage" => {
                let ReregisterSlaveMessage { slave, tasks, .. } = decode(body).ok()?;
                let id = slave.id.clone()?;
                let mut books = self.books();
                for task in tasks {
                    let state = task.state();
                    calls::enter_task(&mut books, &id, task.framework_id, task.task_id, state);
                }
                books.enter_agent(id.clone(), from.clone(), AgentInfo::from(slave));
                let answer = SlaveReregisteredMessage {
                    slave_id: id,
                    reconciliations: Vec::new(),
                    connection: None,
                };
                self.send("master", from, &answer);
            }
            "UnregisterSlaveMessage" => {
                let UnregisterSlaveMessage { slave_id } = decode(body).ok()?;
                self.books().remove_agent(&slave_id);
            }
            "StatusUpdateMessage" => {
                let StatusUpdateMessage { update, .. } = decode(body).ok()?;
                self.on_update(update);
            }
            _ => {}
        }
        Some(())
    }

    fn on_update(&self, update: meseta_proto::internal::StatusUpdate) {
        let mut books = self.books();
        let state = update.status.state();
        let watched = master::Event {
            r#type: Some(master_event::Type::TaskUpdated.into()),
            task_updated: Some(master_event::TaskUpdated {
                framework_id: update.framework_id.clone(),
                status: update.status.clone(),
                state: state.into(),
            }),
            ..master::Event::default()
        };
        for watcher in &books.watchers {
            watcher.send(&watched);
        }
        if let Some(framework) = books.frameworks.get_mut(&update.framework_id) {
            let task = &update.status.task_id;
            if state.is_terminal() {
                framework.tasks.remove(task);
            } else if let Some(known) = framework.tasks.get_mut(task) {
                known.state = state;
            }
        }
        let event = Event {
            r#type: Some(event::Type::Update.into()),
            update: Some(event::Update {
                status: update.status,
            }),
            ..Event::default()
        };
        books.send(&update.framework_id, &event);
    }

    fn scheduler_call(&self, request: &Request) -> Response {
        let encoding = encoding(request);
        let call: Call = match decode_event(&request.body, encoding) {
            Ok(call) => call,
            Err(reason) => return refused(reason),
        };
        let mut books = self.books();
        if call.r#type() == call::Type::Subscribe {
            let Some(subscribe) = call.subscribe else {
                return refused("Expecting 'subscribe' to be present".to_owned());
            };
            let (response, sender) = stream(encoding);
            let stream = Stream { sender, encoding };
            let id = books.enter_framework(subscribe.framework_info, stream);
            return response.header("Mesos-Stream-Id", id.as_str());
        }
        for (to, message) in calls::carry_out(&mut books, call) {
            match message {
                calls::ToAgent::Run(message) => self.send("master", &to, &*message),
                calls::ToAgent::Kill(message) => self.send("master", &to, &message),
                calls::ToAgent::Acknowledge(message) => self.send("master", &to, &message),
            }
        }
        Response::new(StatusCode::ACCEPTED, Body::Full(Bytes::new()))
    }

    fn operator_call(&self, request: &Request) -> Response {
        let encoding = encoding(request);
        let call: master::Call = match decode_event(&request.body, encoding) {
            Ok(call) => call,
            Err(reason) => return refused(reason),
        };
        if call.r#type() == master::call::Type::Subscribe {
            let (response, sender) = stream(encoding);
            let stream = Stream { sender, encoding };
            stream.send(&master::Event {
                r#type: Some(master_event::Type::Subscribed.into()),
                subscribed: Some(master_event::Subscribed::default()),
                ..master::Event::default()
            });
            self.books().watchers.push(stream);
            return response;
        }
        for config in call
            .update_quota
            .map(|u| u.quota_configs)
            .unwrap_or_default()
        {
            let quotas = &mut self.books().quotas;
            match config.limits.get("cpus") {
                Some(limit) => quotas.insert(config.role, limit.value),
                None => quotas.remove(&config.role),
            };
        }
        let answer = encode(&master::Response::default(), encoding).into();
        Response::new(StatusCode::OK, Body::Full(answer))
            .header(CONTENT_TYPE.as_str(), encoding.media_type())
    }

    fn metrics(&self) -> Response {
        let books = self.books();
        json(&format!(
            r#"{{"master/slaves_active":{},"master/tasks_running":{}}}"#,
            books.agents.len(),
            books.tasks_running()
        ))
    }
}

fn stream(encoding: Encoding) -> (Response, StreamSender) {
    let (sender, body) = event_stream(limits::RECORD_BYTES, &Backlog::default());
    let response = Response::new(StatusCode::OK, Body::Stream(body))
        .header(CONTENT_TYPE.as_str(), encoding.media_type());
    (response, sender)
}

fn encoding(request: &Request) -> Encoding {
    let value = request.headers.get(CONTENT_TYPE);
    if value.is_some_and(|value| value == Encoding::Json.media_type()) {
        Encoding::Json
    } else {
        Encoding::Protobuf
    }
}

fn json(text: &str) -> Response {
    Response::new(StatusCode::OK, Body::Full(text.to_owned().into()))
        .header(CONTENT_TYPE.as_str(), "application/json")
}

fn refused(reason: String) -> Response {
    Response::new(StatusCode::BAD_REQUEST, Body::Full(reason.into()))
}
