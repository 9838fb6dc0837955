//! Bounds and periods of the executors.

use std::time::Duration;

/// The longest event that is read: a task's description with its data. Masters refuse calls long
/// before they reach this size.
pub(crate) const MAX_EVENT: usize = 64 * 1024 * 1024;

/// The longest head of an answer, and the most of its header lines. Agents send a dozen.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
pub(crate) const MAX_HEADERS: usize = 64;

/// How much of a refusal's body is kept: enough for every sentence an agent gives.
pub(crate) const MAX_REFUSAL: usize = 4 * 1024;

/// The longest answer of the agent's own API that is read: how a container ended, and in what words.
pub(crate) const MAX_ANSWER: usize = 1024 * 1024;

/// The longest piece of a check's output. Agents pass it on as they read it, a few pages at a time.
pub(crate) const MAX_OUTPUT_RECORD: usize = 1024 * 1024;

/// How much is read from a connection at once, and how often before others get their turn: a task's
/// own server may send faster than anybody can read.
pub(crate) const READ_SIZE: usize = 8 * 1024;
pub(crate) const READS_PER_TURN: usize = 8;

/// How much of what `curl` prints is kept: a status, or a sentence.
pub(crate) const MAX_CURL_OUTPUT: u64 = 4 * 1024;

/// The longest delay, interval, timeout or grace period of a check, so that no sum of times
/// overflows: thirty years.
pub(crate) const LONGEST_CHECK_PERIOD: Duration = Duration::from_secs(1_000_000_000);

/// Between looks at whether a check may tell something again, while too many updates wait.
pub(crate) const PROBE_RETRY: Duration = Duration::from_secs(1);

/// Updates that wait for their acknowledgement. A task makes a handful; launches beyond the first
/// add to them, and more of those than this are not even answered. Checks add to them too, and
/// pause while there are so many.
pub(crate) const MAX_UNACKNOWLEDGED: usize = 64;

/// Tasks of a default executor at a time. Each keeps a connection to the agent open, and agents run
/// far fewer.
pub(crate) const MAX_TASKS: usize = 4096;

/// Between attempts at what the agent did not answer although it is there.
pub(crate) const REQUEST_RETRY: Duration = Duration::from_secs(1);

/// A container that an agent does not refuse to wait for within this time is one that it knows:
/// refusing takes it an instant.
pub(crate) const CONFIRMATION: Duration = Duration::from_secs(1);

/// How long the agent may take to open a connection and to answer a subscription: as long as Mesos's
/// agents wait for an executor to register, by default, before they destroy its container.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long killed processes may take to be gone after the task's end. Only one that hangs in the
/// kernel takes longer than an instant; the task's end is then reported without waiting for it.
pub(crate) const SWEEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two rounds of killing what is left of a task: one that forks faster than it is found
/// needs several.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_millis(50);

/// Between TERM and KILL when neither the task nor the kill says how long, as in Mesos.
pub(crate) const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(3);

/// Grace of a shutdown when the agent does not say.
pub(crate) const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What a shutdown's grace keeps back for KILL and the last update, before the agent destroys the
/// container: as in Mesos, whose agents add these two seconds to a task's own grace period.
pub(crate) const SHUTDOWN_RESERVE: Duration = Duration::from_secs(2);

/// How long the acknowledgement of the last update may take while the agent is there.
pub(crate) const LAST_ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_mins(1);

/// Between attempts to subscribe with an agent that is still recovering.
pub(crate) const NOT_READY_RETRY: Duration = Duration::from_secs(1);

/// A sign of life, so that nothing on the way takes the connection for dead.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(30);

/// Without `MESOS_RECOVERY_TIMEOUT`, as in Mesos's driver.
pub(crate) const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_mins(15);

/// Without `MESOS_SUBSCRIPTION_BACKOFF_MAX`, the default of the agent's flag behind it.
pub(crate) const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Upper bound of the first wait before an agent that is away is looked for again; it doubles up to
/// what the agent allows. One that is started again at once should have its executors at once.
pub(crate) const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// How often the processes below one are looked for by their parents' lists until two looks agree, before
/// every process of the machine is looked at instead.
pub(crate) const WALKS: usize = 4;
