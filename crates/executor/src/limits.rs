//! Bounds and periods of the command executor.

use std::time::Duration;

/// The longest event that is read: a task's description with its data. Masters refuse calls long
/// before they reach this size.
pub(crate) const MAX_EVENT: usize = 64 * 1024 * 1024;

/// How much of a refusal's body is read: enough for every sentence an agent gives.
pub(crate) const MAX_REFUSAL: usize = 4 * 1024;

/// Events that wait for the machine, which is never busy for long.
pub(crate) const PENDING_INPUTS: usize = 64;

/// Calls that wait for the agent to take them. A task makes a handful of updates; an agent that
/// takes none of so many is treated as gone, and gets them with the next subscription.
pub(crate) const PENDING_CALLS: usize = 64;

/// Updates that wait for their acknowledgement; more launches than this are not even answered.
pub(crate) const MAX_UNACKNOWLEDGED: usize = 64;

/// How long the agent may take to open a connection, and to answer a call. It is on this host.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long killed processes may take to be gone after the task's end. Only one that hangs in the
/// kernel takes longer than an instant; the task's end is then reported without waiting for it.
pub(crate) const SWEEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Between TERM and KILL when neither the task nor the kill says how long, as in Mesos.
pub(crate) const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(3);

/// Grace of a shutdown when the agent does not say.
pub(crate) const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What a shutdown's grace keeps back for KILL and the last update, before the agent destroys the
/// container: as in Mesos, whose agents add these two seconds to a task's own grace period.
pub(crate) const SHUTDOWN_RESERVE: Duration = Duration::from_secs(2);

/// How long the acknowledgement of the last update may take while the agent is there.
pub(crate) const LAST_ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Between attempts to subscribe with an agent that is still recovering.
pub(crate) const NOT_READY_RETRY: Duration = Duration::from_secs(1);

/// A sign of life, so that nothing on the way takes the connection for dead.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Without `MESOS_RECOVERY_TIMEOUT`, as in Mesos's driver.
pub(crate) const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Without `MESOS_SUBSCRIPTION_BACKOFF_MAX`, the default of the agent's flag behind it.
pub(crate) const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(2);
