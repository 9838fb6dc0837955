//! Bounds and periods of the client.

use std::time::Duration;

/// The longest event that is read; a master's longest are offers of thousands of agents.
pub(crate) const MAX_EVENT: usize = 64 * 1024 * 1024;

/// The longest answer to a call that is read: enough for every sentence that a master gives.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// How long a master may take to take a connection and to answer a call.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

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
