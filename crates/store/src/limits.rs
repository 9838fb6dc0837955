//! Bounds of this crate.

use std::time::Duration;

/// How long the lock of a process that is about to end is waited for. One that was killed while it
/// started another is held by that for a moment.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Between two attempts to get it.
pub(crate) const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Damaged files that are kept beside. The oldest are what an operator wants to see, and the last is
/// written over.
pub(crate) const KEPT_FILES: u32 = 8;

/// A file is written anew when it has grown to twice what its facts took, and by so much more: a small
/// one is not worth the syncs.
pub(crate) const GROWTH: u64 = 1024 * 1024;

/// About how much of the facts goes into one frame when a file is written anew.
pub(crate) const FRAME_BYTES: usize = 1024 * 1024;

/// Room on the disk that is taken before it is needed, so that what is promised already can be kept when
/// others have filled the disk: what an agent writes to see a thousand tasks to their ends.
pub(crate) const ROOM: u64 = 8 * 1024 * 1024;

/// When no more of it is left, more is taken: a full disk is noticed while most of the room is there.
pub(crate) const LITTLE_ROOM: u64 = ROOM - 1024 * 1024;
