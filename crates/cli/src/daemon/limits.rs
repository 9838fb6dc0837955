//! Bounds of the daemons.

use std::time::Duration;

/// Inputs that may wait for a machine. Senders are held back beyond it: enough for a burst from
/// every agent of a large cluster, little enough to bound memory (the queue has its room from the
/// start).
pub(crate) const MAX_WAITING_INPUTS: usize = 4_096;

/// Inputs that may be left for a machine's next turn: an answer to a ping of every agent of the
/// largest known cluster. Further ones wake the machine, which then takes them all.
pub(crate) const MAX_LEFT_INPUTS: usize = 40_000;

/// Inputs that are worked through before a snapshot is published and actions leave.
pub(crate) const MAX_BATCH: usize = 1_024;

/// Batches of actions that may wait for the disk before their machine waits as well.
pub(crate) const MAX_WAITING_BATCHES: usize = 64;

/// How long a change may wait for the disk that nothing else waits for. A crash loses what was noted
/// within that time: little enough to be of no consequence, long enough for a promise to come by
/// that takes the change along.
pub(crate) const NOTE_PATIENCE: Duration = Duration::from_millis(5);

/// How often room is looked for on a full disk: soon after somebody has made it, launches go on.
pub(crate) const ROOM_PATIENCE: Duration = Duration::from_secs(1);

/// How long the latest large answers are kept for the next: longer than the intervals of dashboards and
/// of most monitoring, so that memory is taken only where somebody asks again and again.
pub(crate) const KEPT_ANSWERS: Duration = Duration::from_mins(1);

/// Folders of former lives that are told of at once.
pub(crate) const MAX_FOUND_AT_ONCE: usize = 1_000;

/// Spans of traces that may wait for their exporter: those of a second with hundreds of tasks. More are
/// dropped, and counted.
pub(crate) const MAX_WAITING_SPANS: usize = 8_192;

/// Spans of one sort that have begun and not ended; the oldest give way.
pub(crate) const MAX_PENDING_SPANS: usize = 16_384;

/// Spans of one request to a collector, as OpenTelemetry's own exporters have it.
pub(crate) const MAX_EXPORTED_SPANS: usize = 512;

/// How long spans are gathered for a request.
pub(crate) const EXPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a collector may take to answer. As in OpenTelemetry.
pub(crate) const EXPORT_PATIENCE: Duration = Duration::from_secs(10);

/// How often a request is made to a collector that is away or has too much to do, and the time before
/// the second; each further one takes twice as long. What comes meanwhile waits.
pub(crate) const EXPORT_ATTEMPTS: u32 = 3;
pub(crate) const EXPORT_RETRY: Duration = Duration::from_secs(1);

/// How often the list of agents that may be offered is read again. As in Mesos.
pub(crate) const WHITELIST_INTERVAL: Duration = Duration::from_secs(5);

/// How large that list may be: 40,000 agents with the longest names that there are take ten megabytes.
pub(crate) const MAX_WHITELIST: u64 = 16 * 1024 * 1024;

/// Requests without a body that are looked up at once. Each may render the state of a whole cluster,
/// and more of them at once than there are cores are no sooner done.
pub(crate) const MAX_READS: usize = 64;

/// What the bodies of all calls in work may come to. Decoded they may take many times that, so
/// this is little; a larger call is in work alone.
pub(crate) const CALLS_BYTES: usize = 16 * 1024 * 1024;

/// The unit in which they are counted. Every call takes one at least, so that it bounds their number too.
pub(crate) const CALL_STEP_BYTES: usize = 32 * 1024;

/// Bytes that may wait for one subscriber before it is cut off.
pub(crate) const MAX_STREAM_BYTES: usize = 64 * 1024 * 1024;

/// What operators' event streams begin with, of so many moments and encodings, is in memory at once. Of the
/// largest clusters it takes some hundred megabytes each. Streams of one moment share it, and a dashboard
/// that takes it slowly shall not keep the next from beginning.
pub(crate) const MAX_OPENINGS: usize = 4;

/// How long a stream waits for room for what it begins with: longer than whoever keeps up takes for his.
pub(crate) const OPENING_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a file that one `/files/read` gives: Mesos's own cap is 16 memory pages.
pub(crate) const MAX_FILE_READ: u64 = 16 * 4096;

/// Bytes of a call's body that is parsed on a worker of the network: few enough to hold up nobody
/// else's request, enough for all but the largest calls.
pub(crate) const MAX_SMALL_CALL: usize = 64 * 1024;

/// How long requests that are being answered may hold up the end of a daemon. One that waits for a
/// disk that is gone would do so for ever.
pub(crate) const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// The size at which a daemon's log goes on in a new file: a day of a busy master, and still a file
/// that an editor opens.
pub(crate) const LOG_BYTES: u64 = 64 * 1024 * 1024;

/// How many files of a daemon's log are kept: less than a gigabyte altogether, where Mesos keeps all
/// until the disk is full.
pub(crate) const LOG_FILES: usize = 10;

/// The size at which a container's output goes on in a new file, unless `--container_logger` says
/// otherwise. As in Mesos's logger.
pub(crate) const OUTPUT_BYTES: u64 = 10 * 1024 * 1024;

/// How many older files of output are kept beside the one that is written: with it 100 MB, enough to
/// look for what went wrong, little enough that no talkative task fills a disk.
pub(crate) const OUTPUT_ROTATED: u32 = 9;

/// The shortest time after which the sizes of output are looked at again: at a gigabyte in a second,
/// ten files' worth.
pub(crate) const LOOK_SHORTEST: Duration = Duration::from_millis(100);

/// The longest time, for files that do not grow: what a program can print meanwhile that begins all
/// of a sudden should fit the disk, and 500 containers should cost less than a thousandth of a
/// processor.
pub(crate) const LOOK_LONGEST: Duration = Duration::from_secs(2);

/// Containers whose output is looked at within [`LOOK_SHORTEST`], so that ten thousand of them take no
/// more than a few hundredths of a processor.
pub(crate) const MAX_LOOKS_AT_ONCE: usize = 256;

/// Containers whose output is cut at the same time: one that prints much, or that asks for files which take long
/// to copy, does not keep the others from being cut.
pub(crate) const MAX_ROTATIONS: usize = 4;

/// The most older files of output that may be asked for. Each head that is cut off renames all of them.
pub(crate) const MAX_OUTPUT_ROTATED: u32 = 1_000;

/// How deep below the work directory the sandbox of an executor is:
/// `slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>`.
pub(crate) const RUN_DEPTH: usize = 8;

/// What of the words of a fetch goes into the status of a task whose URIs it could not bring.
pub(super) const MAX_LAST_WORDS: u64 = 2 * 1024;

/// The size from which on an answer is compressed for clients that ask for it. What is smaller goes in
/// one or two packets in any case.
pub(crate) const MIN_COMPRESSED: usize = 4 * 1024;

/// The longest time that is told from longer ones in metrics.
pub(crate) const MAX_TIMING: Duration = Duration::from_mins(10);

/// To how many digits times are kept for metrics: two take 30 KiB for each sort of times.
pub(crate) const TIMING_DIGITS: u8 = 2;

/// How long what containers use is shown after it was measured: who looks more often sees no more of it,
/// and a measurement reads some files of every process of the machine.
pub(crate) const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// What is read at once of what a session prints, and becomes one record: as much as a pipe's usual writes.
pub(crate) const OUTPUT_STEP_BYTES: usize = 32 * 1024;

/// Records that wait for one reader of a session, beside what the kernel keeps for its connection: enough that
/// reading and sending overlap.
pub(crate) const OUTPUT_RECORDS_WAITING: usize = 4;

/// Readers of one session: who has asked for it, and a few who look on.
pub(crate) const MAX_SESSION_READERS: usize = 16;

/// How long one who looks on may hold up a session, and all others who read it, before he is left out.
pub(crate) const WATCHER_PATIENCE: Duration = Duration::from_secs(5);

/// How long what a session has printed is kept after its end, if nobody has begun to read it. As in Mesos.
pub(crate) const UNREAD_PATIENCE: Duration = Duration::from_secs(5);

/// How often readers of a session are told that it is there. As in Mesos.
pub(crate) const OUTPUT_HEARTBEAT: Duration = Duration::from_secs(30);

/// The longest record of a session's input: typed and pasted text comes in less, and what is piped in
/// pieces of the sender's choice.
pub(crate) const MAX_INPUT_RECORD: usize = 1024 * 1024;

/// How long a request with input may take to say whom it is for: it is its first word.
pub(crate) const FIRST_RECORD_TIME: Duration = Duration::from_secs(30);

/// Requests that bring input to sessions at once, so that their records come to a quarter of a gigabyte.
pub(crate) const MAX_ATTACHED_INPUTS: usize = 256;
