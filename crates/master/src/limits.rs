//! Bounds on what clients may ask of a master.

/// How long a pattern in offer constraints may be. A pattern compiles to a program that is matched
/// against every agent, so its size is bounded; Mesos bounds the program at some thousand steps.
pub const MAX_REGEX_LENGTH: usize = 4 * 1024;

/// What an executor of task groups needs at least, in CPUs.
pub const MIN_EXECUTOR_CPUS: f64 = 0.01;

/// What an executor of task groups needs at least, in megabytes.
pub const MIN_EXECUTOR_MEM: f64 = 32.0;
