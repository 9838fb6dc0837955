//! Bounds and periods of the client.

use std::time::Duration;

/// The longest event that is read; a master's longest are offers of thousands of agents.
pub(crate) const MAX_EVENT: usize = 64 * 1024 * 1024;

/// The longest answer to a call that is read: enough for every sentence that a master gives.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// How long a master may take to take a connection and to answer a call.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long ZooKeeper waits for word of us before it forgets us. We keep nothing there, so it only
/// bounds how long its silence goes unnoticed; as long as Mesos's own detectors have it.
#[cfg(feature = "zookeeper")]
pub(crate) const ZOOKEEPER_SESSION: Duration = Duration::from_secs(10);

/// So many heartbeats in a row may be missing before a connection counts as lost.
pub(crate) const MISSED_HEARTBEATS: f64 = 3.0;

/// Redirects from master to master before an attempt counts as failed: while a new leader is being
/// elected they may run in a circle.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Pauses between attempts: from the first, doubling, to the longest.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Updates that may wait for an agent's confirmation: a subscription after its restart carries all.
pub(crate) const MAX_UNACKNOWLEDGED: usize = 10_000;

/// How long executors wait for an agent, and their tasks for their end, where agents do not say.
pub(crate) const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_mins(15);
pub(crate) const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Pauses before a kept task runs again: from the first, doubled with each failure in a row, to the
/// longest.
pub(crate) const FIRST_RESTART: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_RESTART: Duration = Duration::from_mins(5);

/// How often a keeper asks what became of its tasks, for calls may be lost.
pub(crate) const RECONCILE_EVERY: Duration = Duration::from_mins(1);

/// How long a keeper waits before it makes a call again that was lost.
pub(crate) const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// How long a keeper waits for offers before it asks for them again: the master may be short of
/// resources, or have forgotten.
pub(crate) const OFFERS_EXPECTED_WITHIN: Duration = Duration::from_mins(1);

/// How long a keeper wants to hear nothing of an offer that does not fit.
pub(crate) const REFUSE_SECONDS: f64 = 5.0;

/// The longest name of a kept task: masters take ids of 255 bytes, of which 21 are for the number of
/// the run.
pub(crate) const MAX_NAME: usize = 234;

/// Requests to a keeper that may wait; more make their callers wait.
pub(crate) const MAX_REQUESTS: usize = 256;
