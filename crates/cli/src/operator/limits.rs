//! Bounds of the operator's commands.

use std::time::Duration;

/// To connect to a master or an agent: those of one cluster are near.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// For the beginning of an answer. A busy master answers in less than a second; an operation on an
/// agent's resources waits for the offers that are taken back.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Without a byte of an answer: a stream of events has a heartbeat each 15 seconds, and five may be
/// missed.
pub(super) const SILENCE: Duration = Duration::from_secs(75);

/// The largest answer that is read. The state of a large cluster with its tasks takes less.
pub(super) const MAX_ANSWER: u64 = 1024 * 1024 * 1024;

/// The largest event: the first holds the state of the whole cluster.
pub(super) const MAX_EVENT: usize = 1024 * 1024 * 1024;

/// The longest refusal that is shown.
pub(super) const MAX_REFUSAL: u64 = 64 * 1024;

/// Masters that are asked in turn because the one before named the next. One is right; more happen
/// while a new leader is elected.
pub(super) const MAX_REDIRECTS: usize = 4;

/// Candidates that are listed when a name is not unique.
pub(super) const MAX_CANDIDATES: usize = 10;

/// Bytes of a file that are asked for at once.
pub(super) const READ_LENGTH: u64 = 256 * 1024;

/// Between two looks at a file that is followed.
pub(super) const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Between two attempts to subscribe again when a stream of events is lost.
pub(super) const SUBSCRIBE_EVERY: Duration = Duration::from_secs(1);

/// Between two looks of `meseta top`, at least.
pub(super) const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The longest record of what a container prints: agents make one of what they read at once.
pub(super) const MAX_OUTPUT_RECORD: usize = 16 * 1024 * 1024;

/// What is read at once of standard input for a container.
pub(super) const INPUT_STEP_BYTES: usize = 32 * 1024;

/// Records of input that wait to be sent: enough that reading and sending overlap.
pub(super) const INPUT_RECORDS_WAITING: usize = 4;

/// Between two words to an agent that whoever may type is still there. As in Mesos.
pub(super) const INPUT_HEARTBEAT: Duration = Duration::from_secs(30);
