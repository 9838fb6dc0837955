//! Bounds, each with its reason.

use std::time::Duration;

/// The largest file of an image, in bytes: photographs of today's cameras have a third of it. Agents'
/// tasks are not limited in what they send, so downloads and uploads are.
pub const MAX_FILE: usize = 64 * 1024 * 1024;

/// The largest image without compression, in bytes: a small file can hold very large images, and an
/// executor has several in memory at a time.
pub(crate) const MAX_DECODED: u64 = 256 * 1024 * 1024;

/// Requests that the file server answers at a time; more wait. Each takes a file descriptor or two.
pub(crate) const MAX_REQUESTS: usize = 256;

/// How long a file may take over the network; after that a stalled connection is given up.
pub(crate) const TRANSFER_TIMEOUT: Duration = Duration::from_mins(2);

/// Calls and updates may be lost with a connection or a master: how often the scheduler asks what became
/// of its tasks.
pub(crate) const RECONCILE_EVERY: Duration = Duration::from_secs(30);

/// How long the master lets tasks run, in seconds, while the scheduler is away. Not for long: without it
/// there is no file server either.
pub(crate) const FAILOVER_TIMEOUT: f64 = 60.0;
