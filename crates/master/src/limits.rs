//! What is bounded, and why.

use std::time::Duration;

/// Statuses that are kept for one task. Mesos keeps one for each change of state, which an executor
/// that goes back and forth makes grow without end; a task's honest life has at most four.
pub(crate) const MAX_STATUSES_PER_TASK: usize = 32;

/// The shortest time between two looks through the agents that stay away, which takes some
/// milliseconds when there are many.
pub(crate) const MIN_REGISTRY_GC_INTERVAL: Duration = Duration::from_secs(1);

/// How many tasks `/tasks` shows unless it is asked for more, as in Mesos.
pub(crate) const DEFAULT_TASKS_LIMIT: usize = 100;

/// How long a pattern in offer constraints may be. A pattern compiles to a program that is matched
/// against every agent, so its size is bounded; Mesos bounds the program at some thousand steps.
pub(crate) const MAX_REGEX_LENGTH: usize = 4 * 1024;

/// What an executor of task groups needs at least, in CPUs.
pub(crate) const MIN_EXECUTOR_CPUS: f64 = 0.01;

/// What an executor of task groups needs at least, in megabytes.
pub(crate) const MIN_EXECUTOR_MEM: f64 = 32.0;
