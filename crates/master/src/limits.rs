//! What is bounded, and why.

/// Statuses that are kept for one task. Mesos keeps one for each change of state, which an executor
/// that goes back and forth makes grow without end; a task's honest life has at most four.
pub(crate) const MAX_STATUSES_PER_TASK: usize = 32;

/// Agents that are remembered as unreachable: as many as `--registry_max_agent_count` keeps in Mesos.
pub(crate) const MAX_UNREACHABLE_AGENTS: usize = 100 * 1024;

/// How many tasks `/tasks` shows unless it is asked for more, as in Mesos.
pub(crate) const DEFAULT_TASKS_LIMIT: usize = 100;

/// How long a pattern in offer constraints may be. A pattern compiles to a program that is matched
/// against every agent, so its size is bounded; Mesos bounds the program at some thousand steps.
pub(crate) const MAX_REGEX_LENGTH: usize = 4 * 1024;

/// What an executor of task groups needs at least, in CPUs.
pub(crate) const MIN_EXECUTOR_CPUS: f64 = 0.01;

/// What an executor of task groups needs at least, in megabytes.
pub(crate) const MIN_EXECUTOR_MEM: f64 = 32.0;
