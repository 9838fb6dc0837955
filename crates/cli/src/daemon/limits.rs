//! Bounds of the daemons.

/// Inputs that may wait for a machine. Senders are held back beyond it: enough for a burst from
/// every agent of a large cluster, little enough to bound memory (the queue has its room from the
/// start).
pub(crate) const MAX_WAITING_INPUTS: usize = 4_096;

/// Inputs that are worked through before a snapshot is published and actions leave.
pub(crate) const MAX_BATCH: usize = 1_024;

/// Batches of actions that may wait for the disk before their machine waits as well.
pub(crate) const MAX_WAITING_BATCHES: usize = 64;

/// Bytes that may wait for one subscriber before it is cut off.
pub(crate) const MAX_STREAM_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a file that one `/files/read` gives: Mesos's own cap is 16 memory pages.
pub(crate) const MAX_FILE_READ: u64 = 16 * 4096;
