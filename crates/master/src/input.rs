use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use bytes::Bytes;
use meseta_machine::{RequestId, StreamId};
use meseta_proto::{Upid, v1};

use crate::operator::Change;
use crate::recent::EventId;
use crate::why::Question;

/// What can happen to a master.
#[derive(Debug, Clone)]
pub enum Input {
    /// What the registry held when this master was elected. Comes first: until then everything
    /// else is dropped or refused.
    Recovered {
        /// Facts by key, as [`Action::Persist`](crate::Action::Persist) wrote them.
        facts: Vec<(String, Vec<u8>)>,
    },
    /// A libprocess message arrived.
    Message {
        /// Who says to have sent it.
        from: Upid,
        /// The process of ours that it is for, such as `master` or `slave-observer(3)`.
        to: String,
        /// The full name of its type.
        name: String,
        /// The encoded message.
        body: Bytes,
    },
    /// A link broke, or could not be made.
    Exited {
        /// Where it led.
        address: SocketAddrV4,
    },
    /// A scheduler called, well-formed as far as the call alone shows.
    SchedulerCall {
        /// The request that waits for an answer.
        request: RequestId,
        /// The call.
        call: Box<v1::scheduler::Call>,
        /// The request's `Mesos-Stream-Id`.
        stream: Option<StreamId>,
        /// A fresh name, for the stream that a SUBSCRIBE opens.
        new_stream: StreamId,
    },
    /// A subscriber's connection ended, or was cut for being too slow.
    StreamClosed {
        /// Its stream.
        stream: StreamId,
    },
    /// An operator asks for the end of a framework.
    Teardown {
        /// The request that waits for an answer.
        request: RequestId,
        /// The framework.
        framework_id: v1::FrameworkId,
    },
    /// An operator wants something changed.
    Operator {
        /// The request that waits for an answer.
        request: RequestId,
        /// What.
        change: Change,
    },
    /// An operator wants to hear of what happens in the cluster.
    Watch {
        /// The request that waits for an answer.
        request: RequestId,
        /// A fresh name for the stream of events.
        stream: StreamId,
        /// What the stream begins with.
        opening: Opening,
        /// The last event that the caller has seen, if it wants those that it has missed.
        after: Option<EventId>,
    },
    /// What the streams of the last [`Action::OpenWatches`](crate::Action::OpenWatches) begin with has
    /// been made.
    WatchesOpened,
    /// The list of agents that may be offered has changed.
    Whitelist {
        /// Their hostnames; all agents if there is no list.
        hostnames: Option<BTreeSet<String>>,
    },
    /// Somebody asks why a framework gets no offers.
    Why {
        /// The request that waits for an answer.
        request: RequestId,
        /// About which framework.
        question: Question,
    },
    /// The time that [`Master::next_wake`](crate::Master::next_wake) named has come.
    Wake,
}

/// What a stream of operators' events begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// All that there is, as Mesos has it.
    State,
    /// Nothing but that it has begun: for watchers that read what they show by pages.
    Bare,
}
