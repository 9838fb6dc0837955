//! Bounds, and how long things take.

use std::time::Duration;

/// What each task gets.
pub(crate) const CPUS: f64 = 0.1;
/// In megabytes.
pub(crate) const MEM: f64 = 32.0;

/// How long the framework's tasks may run on without a scheduler: the time that there is to start it
/// again.
pub(crate) const FAILOVER_SECONDS: f64 = 3600.0;

/// The longest command, in bytes. Linux gives a program no argument above 128 KiB.
pub(crate) const MAX_COMMAND: usize = 64 * 1024;

/// Tasks in the book. With more, the oldest that has ended is forgotten.
pub(crate) const MAX_TASKS: usize = 10_000;

/// Requests that may wait for the service; more make their clients wait.
pub(crate) const MAX_REQUESTS: usize = 64;

/// Pauses between questions for the same tasks: from the first, doubling, to the longest. A master
/// that was just started does not know its agents' tasks yet, and answers nothing for so long.
pub(crate) const FIRST_QUESTION: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_QUESTION: Duration = Duration::from_mins(1);
