//! The bounds of the agent: what it waits, keeps and takes at most.

use std::time::Duration;

/// First wait for an acknowledgement of a status update; doubles with each retry. As in Mesos.
pub(crate) const UPDATE_RETRY_MIN: Duration = Duration::from_secs(10);

/// Longest wait between two retries of a status update. As in Mesos.
pub(crate) const UPDATE_RETRY_MAX: Duration = Duration::from_mins(10);

/// Longest wait between two attempts to register. As in Mesos.
pub(crate) const REGISTRATION_BACKOFF_MAX: Duration = Duration::from_mins(1);

/// How long a master may be silent, unless it says so itself. As in Mesos: 5 pings, 15 s apart.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(75);

/// How often executors get a HEARTBEAT, so that nothing on the way takes their stream for dead.
pub(crate) const EXECUTOR_HEARTBEAT_INTERVAL: Duration = Duration::from_mins(30);

/// Frameworks that are over and still shown. As in Mesos.
pub(crate) const MAX_COMPLETED_FRAMEWORKS: usize = 50;

/// Tasks of one executor that are over and still shown. As in Mesos.
pub(crate) const MAX_COMPLETED_TASKS: usize = 200;

/// Updates of one task that wait for its framework. An executor that reports more is refused until
/// some are acknowledged: 1,000 changes of state without one are a fault, not a workload.
pub(crate) const MAX_PENDING_UPDATES: usize = 1_000;

/// Bytes of all updates that wait for one framework. Executors may put data into each, and one that nobody
/// hears must not fill the agent's memory: more than any workload says, little beside a machine's.
pub(crate) const MAX_PENDING_BYTES: usize = 128 * 1024 * 1024;

/// The last update of a task that is always taken, however many wait: much more than the reason of an end
/// takes, so little that all tasks of an agent may have one.
pub(crate) const MAX_LAST_WORD_BYTES: usize = 64 * 1024;

/// Tasks with updates that wait for their frameworks. Only updates of tasks that the agent was
/// never given count against it: an executor can invent those without end.
pub(crate) const MAX_STREAMS: usize = 100_000;

/// Identities of acknowledged updates that a stream remembers, to know late repetitions: an
/// executor repeats at most what the agent had not confirmed when their connection broke.
pub(crate) const MAX_REMEMBERED_UPDATES: usize = 64;

/// Statuses that a task keeps. Mesos replaces repetitions of a state; a task that alternates
/// between states for days must not grow either.
pub(crate) const MAX_TASK_STATUSES: usize = 32;

/// Containers of one executor that run at once. A thousand tasks, or checks of them, are more than a
/// machine holds.
pub(crate) const MAX_NESTED_CONTAINERS: usize = 1_000;

/// Containers of one executor that have ended and are still known, if nobody removes them: who waits
/// for the end of one asks before a thousand more have ended.
pub(crate) const MAX_ENDED_CONTAINERS: usize = 1_000;

/// How deep containers are nested, the executor's own included. Tasks are two deep, their checks
/// three; each more makes the paths of sandboxes longer, which are bounded, too.
pub(crate) const MAX_CONTAINER_DEPTH: usize = 8;

/// Requests that wait for the end of one container. With more than this the oldest is answered: its
/// sender has most likely gone.
pub(crate) const MAX_WAITERS_PER_CONTAINER: usize = 16;

/// The longest id of a container: what else is made of it must be the name of a file. As in Mesos.
pub(crate) const MAX_CONTAINER_ID_LENGTH: usize = 242;

/// The numbers of the signals that have names, which supervisors of containers pass on; zero sends none.
pub(crate) const SIGNALS: std::ops::RangeInclusive<i32> = 0..=31;

/// The signal that nothing survives, and that containers get unless another is asked for.
pub(crate) const SIGKILL: i32 = 9;

/// How often what can be lent is estimated, unless flags say otherwise. As in Mesos.
pub(crate) const ESTIMATE_INTERVAL: Duration = Duration::from_secs(15);

/// The shortest time between two looks at the load, whatever flags say: kernels compute it every five
/// seconds, and Mesos's default would have the agent look without a pause.
pub(crate) const QOS_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Longest id that becomes the name of a folder. As in Mesos.
pub(crate) const MAX_ID_LENGTH: usize = 255;

/// Folders that wait for their removal. With more than this, those that have waited longest go before
/// their time: an agent that ends hundreds of tasks a second must not remember a week of them.
pub(crate) const MAX_DISCARDED: usize = 100_000;
