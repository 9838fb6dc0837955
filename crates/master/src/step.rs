use std::net::SocketAddrV4;
use std::sync::Arc;

use bytes::Bytes;
use meseta_machine::{Now, Reply, RequestId, StreamId};
use meseta_proto::v1::FrameworkId;
use meseta_proto::{Upid, Wire, v1};

use crate::action::Action;

/// One step: its time, and what it has decided so far.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) now: Now,
    actions: &'a mut Vec<Action>,
    /// What frameworks were told in this step.
    pub(crate) told: Vec<(FrameworkId, v1::scheduler::event::Type)>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(now: Now, actions: &'a mut Vec<Action>) -> Self {
        Self {
            now,
            actions,
            told: Vec::new(),
        }
    }

    /// Sends a message as the process `master`.
    pub(crate) fn send<M: Wire>(&mut self, to: &Upid, message: &M) {
        self.send_from("master".to_owned(), to, message);
    }

    /// Sends a message to many as the process `master`. It is encoded once, because the many may be
    /// all agents.
    pub(crate) fn send_to_all<'t, M: Wire>(
        &mut self,
        to: impl Iterator<Item = &'t Upid>,
        message: &M,
    ) {
        let body = Bytes::from(message.encode_to_vec());
        self.actions.extend(to.map(|to| Action::Send {
            from: "master".to_owned(),
            to: to.clone(),
            name: M::SCHEMA.name,
            body: body.clone(),
        }));
    }

    /// Sends a message as another process of the master.
    pub(crate) fn send_from<M: Wire>(&mut self, from: String, to: &Upid, message: &M) {
        self.actions.push(Action::Send {
            from,
            to: to.clone(),
            name: M::SCHEMA.name,
            body: Bytes::from(message.encode_to_vec()),
        });
    }

    pub(crate) fn link(&mut self, address: SocketAddrV4) {
        self.actions.push(Action::Link { address });
    }

    pub(crate) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.actions.push(Action::Reply { request, reply });
    }

    pub(crate) fn open_stream(&mut self, request: RequestId, stream: StreamId) {
        self.actions.push(Action::OpenStream { request, stream });
    }

    pub(crate) fn event(&mut self, stream: &StreamId, event: v1::scheduler::Event) {
        self.actions.push(Action::Event {
            stream: stream.clone(),
            event: Arc::new(event),
        });
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(crate) fn tell_watchers(
        &mut self,
        streams: Arc<[StreamId]>,
        event: Arc<v1::master::Event>,
    ) {
        self.actions.push(Action::TellWatchers { streams, event });
    }

    pub(crate) fn close_stream(&mut self, stream: StreamId) {
        self.actions.push(Action::CloseStream { stream });
    }

    pub(crate) fn persist(&mut self, changes: Vec<(String, Option<Vec<u8>>)>) {
        self.actions.push(Action::Persist { changes });
    }

    /// This moment, as protocol fields want it.
    pub(crate) fn time_info(&self) -> v1::TimeInfo {
        v1::TimeInfo {
            nanoseconds: self.now.unix_nanoseconds(),
        }
    }
}
