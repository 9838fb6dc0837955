//! Bounds on what the generator holds, so that no target can make it grow without end.

use std::time::Duration;

/// Messages that are handed to the connection to the target before they must be on their way: far
/// below what `meseta_transport` lets wait for a peer (65,536), beyond which it would cut it off.
pub(crate) const MESSAGES_ON_THEIR_WAY: usize = 8 * 1024;

/// The same in bytes (the transport lets 16 MB wait).
pub(crate) const BYTES_ON_THEIR_WAY: usize = 4 * 1024 * 1024;

/// Messages and events that wait for the generator's one thread. Beyond it their connections are not
/// read, as with any slow peer.
pub(crate) const INPUTS_WAITING: usize = 4 * 1024;

/// Inputs that are handled before the sockets get their turn.
pub(crate) const INPUTS_AT_ONCE: usize = 256;

/// Agents whose registrations are written at once.
pub(crate) const ASKED_AT_ONCE: usize = 64;

/// Connections that carry the calls of all frameworks: enough to keep a master of some cores busy
/// although each carries one call at a time.
pub(crate) const CALL_CONNECTIONS: usize = 16;

/// Calls that may wait on one of those connections.
pub(crate) const CALLS_WAITING: usize = 64 * 1024;

/// Listening sockets over which agents can be spread: each has a thread of its own in the transport.
pub(crate) const PORTS: usize = 256;

/// Longest record of an event stream that is read: the offers of 40,000 agents to one framework
/// come to some tens of megabytes, and an operator's first event to the state of the cluster.
pub(crate) const RECORD_BYTES: usize = 1024 * 1024 * 1024;

/// Longest answer to a call that is kept, which is a sentence that refuses it.
pub(crate) const ANSWER_BYTES: usize = 1024 * 1024;

/// How long the target may take to answer a call before it counts as failed.
pub(crate) const ANSWER_TIME: Duration = Duration::from_mins(2);

/// From when on an agent repeats what nobody answered, as agents of Mesos do with status updates.
pub(crate) const REPEAT_AFTER: Duration = Duration::from_secs(10);

/// Refusals that are kept word for word: enough to see what is wrong.
pub(crate) const SENTENCES: usize = 8;
