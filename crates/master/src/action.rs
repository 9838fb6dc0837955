use std::net::SocketAddrV4;
use std::sync::Arc;

use bytes::Bytes;
use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::{Upid, v1};

use crate::recent::EventId;
use crate::snapshot::Moment;

/// What a master wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send a libprocess message.
    Send {
        /// The process of ours that it comes from, such as `master`.
        from: String,
        /// Whom it is for.
        to: Upid,
        /// The full name of its type.
        name: &'static str,
        /// The encoded message.
        body: Bytes,
    },
    /// Hold a connection to this address, and report its end as
    /// [`Input::Exited`](crate::Input::Exited).
    Link {
        /// The peer's address.
        address: SocketAddrV4,
    },
    /// Answer a request.
    Reply {
        /// The request.
        request: RequestId,
        /// Its answer.
        reply: Reply,
    },
    /// Answer a request with 200 and a stream of events.
    OpenStream {
        /// The request.
        request: RequestId,
        /// The name of its stream.
        stream: StreamId,
    },
    /// Write an event to a stream. Shared, because one event may go to many subscribers.
    Event {
        /// The stream.
        stream: StreamId,
        /// The event.
        event: Arc<v1::scheduler::Event>,
    },
    /// Answer a request with 200 and a stream of events that begins with what
    /// [`http::subscribed`](crate::http::subscribed) makes of this moment, without its state.
    OpenWatch {
        /// The request.
        request: RequestId,
        /// The name of its stream.
        stream: StreamId,
        /// What the cluster was like.
        moment: Moment,
        /// The last event before those that follow.
        after: EventId,
        /// Events that come at once.
        missed: Vec<Arc<v1::master::Event>>,
    },
    /// Answer requests with 200 and streams of events that all begin with what
    /// [`http::subscribed`](crate::http::subscribed) makes of this moment with its state, and report
    /// by [`Input::WatchesOpened`](crate::Input::WatchesOpened) when that has been made: so much is
    /// made of it that the next are to wait.
    OpenWatches {
        /// The requests, each with the name of its stream.
        watches: Vec<(RequestId, StreamId)>,
        /// What the cluster was like.
        moment: Moment,
        /// The last event before those that follow.
        after: EventId,
    },
    /// Write an event to the streams of operators.
    TellWatchers {
        /// The streams.
        streams: Arc<[StreamId]>,
        /// The event.
        event: Arc<v1::master::Event>,
    },
    /// End a stream after what was written to it. Nothing is reported back.
    CloseStream {
        /// The stream.
        stream: StreamId,
    },
    /// Change the registry. Whatever follows this action waits until the change is on disk.
    Persist {
        /// Facts by key: a value to write, or `None` to forget the fact.
        changes: Vec<(String, Option<Vec<u8>>)>,
    },
}
