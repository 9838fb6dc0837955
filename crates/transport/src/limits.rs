//! Bounds on what peers can make this process hold, and for how long.

use std::time::Duration;

/// Longest request line with headers: what http_parser allows in Mesos (80 KiB), so that nothing
/// that reaches Mesos is refused here.
pub const HEAD_BYTES: usize = 80 * 1024;

/// What one connection buffers of its socket's bytes in each direction. It holds a whole head, and
/// more of it gains no throughput.
pub const CONNECTION_BUFFER_BYTES: usize = 128 * 1024;

/// Largest body of a request or message, after unpacking. The largest legitimate one is an agent
/// that re-registers: a hundred thousand completed and running tasks of a few hundred bytes each
/// stay below it.
pub const BODY_BYTES: usize = 64 * 1024 * 1024;

/// What all bodies that are being read or wait to be handled may hold together. Requests that
/// find no room are refused with 503, which every client retries.
pub const BODIES_BYTES: usize = 512 * 1024 * 1024;

/// Bodies are counted against [`BODIES_BYTES`] in steps of this size; one that is smaller is not
/// counted, because the number of connections bounds those.
pub const BODY_STEP_BYTES: usize = 8 * 1024;

/// From the first byte of a head to its last. A head is a packet or two, so only a peer that
/// means to hold the connection takes longer.
pub const HEAD_TIME: Duration = Duration::from_secs(30);

/// Longest silence within a body: longer than any pause of a network that still works.
pub const BODY_SILENCE: Duration = Duration::from_secs(30);

/// From the first byte of a body to its last: [`BODY_BYTES`] over a link of one megabit a second.
pub const BODY_TIME: Duration = Duration::from_mins(10);

/// How long a peer may take no byte of an answer that waits for it. Streams that carry little
/// never reach it, since the kernel's buffers hold hours of heartbeats.
pub const WRITE_SILENCE: Duration = Duration::from_mins(1);

/// What is written to one connection before others have their turn. The kernel takes megabytes at once,
/// and a few clients that get a large state would hold up everybody else for tens of milliseconds.
pub const TURN_BYTES: usize = 64 * 1024;

/// What all answers that are at hand whole may come to while their clients take them: some states
/// of the largest cluster. A request whose answer finds no room is refused with 503.
pub const ANSWERS_BYTES: usize = 1024 * 1024 * 1024;

/// Answers are counted against [`ANSWERS_BYTES`] in steps of this size; one that is smaller is not
/// counted, because the number of connections bounds those.
pub const ANSWER_STEP_BYTES: usize = 64 * 1024;

/// What may wait for the clients of all event streams together. Beyond it, a stream is cut off
/// that has more waiting than [`STREAM_SHARE_BYTES`].
pub const STREAMS_BYTES: usize = 1024 * 1024 * 1024;

/// What may wait for one event stream however much waits for others, so that clients that keep up
/// do not suffer from those that do not.
pub const STREAM_SHARE_BYTES: usize = 256 * 1024;

/// How long the rest of a refused request is read and thrown away, so that its sender gets to see
/// the refusal.
pub const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// How much of it is read.
pub const FAREWELL_BYTES: usize = 8 * 1024 * 1024;

/// What is kept of requests that a client sends while it is being sent a stream. They come to be
/// answered only after the stream's end, so that hardly any client sends some.
pub const EARLY_BYTES: usize = 4 * 1024;

/// Connections of one listener: the 40,000 agents of the largest known cluster with their
/// frameworks. Beyond it, idle HTTP clients are sent away first, and then newcomers.
pub const CONNECTIONS: usize = 65_536;

/// An ordinary HTTP client that has been silent for this long can be sent away when connections
/// run out; browsers and HTTP libraries reconnect by themselves. Libprocess links never are: their
/// end means to the peer that this process has died.
pub const IDLE_TIME: Duration = Duration::from_mins(1);

/// Connections that the kernel completes before they are accepted: room for a cluster that
/// reconnects at once after a failover. The kernel lowers it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// How long accepting rests after an error such as a lack of file descriptors, which only the end
/// of other connections can cure.
pub const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Messages between the connections and the service. Each connection waits for its message to
/// be taken before it reads on, so this only keeps the thread that hands them over busy.
pub const MESSAGES_WAITING: usize = 1024;

/// How long the lookup of a sender's host name may take.
pub const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// How much of a file is read at a time for an answer.
pub const FILE_STEP_BYTES: usize = 256 * 1024;

/// What may wait for one peer. A single message of any size is taken by an empty queue, so this
/// only has to cover a burst: a thousand tasks' status updates are a few megabytes.
pub const PEER_QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Messages that may wait for one peer, each of which costs its bookkeeping even if it is empty.
pub const PEER_QUEUE_MESSAGES: usize = 65_536;

/// What may wait for all peers together; a peer that would exceed it is cut off as if its own
/// queue had overflown.
pub const PEERS_QUEUE_BYTES: usize = 1024 * 1024 * 1024;

/// Addresses that are connected to at once: agents, schedulers and executors name their own, so a
/// peer could otherwise send this process to as many as it likes.
pub const PEERS: usize = CONNECTIONS;

/// How long a connection to a peer may take to be made.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long an outgoing connection without a link is kept for further messages.
pub const PEER_IDLE_TIME: Duration = Duration::from_mins(1);

/// Messages to a peer are gathered into writes of about this size.
pub const PEER_WRITE_BYTES: usize = 64 * 1024;

/// Silence after which the kernel asks whether the other end of a connection still exists, and the
/// time between its questions. Applications' pings find out sooner where it matters; this frees
/// what was left behind by machines that vanished.
pub const KEEPALIVE_TIME: Duration = Duration::from_mins(2);
