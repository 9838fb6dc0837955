//! Bounds of this crate.

use std::time::Duration;

/// The stack on which a child prepares itself until it becomes its program: a few system calls
/// deep, with room for what an unoptimised build makes of them.
pub(crate) const SPAWN_STACK: usize = 128 * 1024;

/// What the kernel says of a process in one line: some fifty numbers and a short name.
pub(crate) const STAT_LENGTH: usize = 2048;

/// What is read of the word that a process has left: that line, the name of a boot, and a path, which
/// the kernel takes up to 4096 bytes.
pub(crate) const RECORD_LENGTH: u64 = 8192;

/// How long killed processes may take to be gone. Only one that hangs in the kernel (on a dead
/// network file system, say) takes longer than an instant, and no signal helps there.
pub(crate) const DESTROY_TIMEOUT: Duration = Duration::from_mins(1);

/// Ends of processes that are taken from the kernel at once.
pub(crate) const ENDS_AT_ONCE: usize = 256;

/// How often the list of this process's children is read again when it changed while it was being
/// read, before the whole process table is searched instead.
pub(crate) const CHILDREN_READINGS: usize = 4;

/// How long a process may take to become another program, and has no environment meanwhile. Only
/// processes that really have none are looked at for so long.
pub(crate) const EXEC_PATIENCE: Duration = Duration::from_millis(20);

/// What is read of a process's environment: as much as Linux lets a usual program begin with.
pub(crate) const MAX_ENVIRONMENT: u64 = 2 * 1024 * 1024;

/// Holes that are taken out of a file of output at once. A program that does not append leaves one with
/// each rotation.
pub(crate) const MAX_HOLES: usize = 64;

/// Heads that are cut off a file of output at once: more than the default keeps, so that only files with other
/// bounds are cut in several goes.
pub(crate) const HEADS_AT_ONCE: u32 = 16;

/// How many generations of a process are looked at: those of a container's own processes are a
/// handful, and numbers of processes that change while they are read must not lead on for ever.
pub(crate) const DEEPEST_LINEAGE: usize = 256;

/// The length of a file that holds the end of a process: a number in decimal digits, and the end of its
/// line. No more is read of one that somebody has spoilt.
pub(crate) const EXIT_STATUS_LENGTH: usize = 16;

/// What is copied at once of what a terminal prints; kernels give no more.
pub(crate) const TERMINAL_STEP: usize = 4096;

/// The longest frame of what is typed on a terminal. Longer input takes several.
pub(crate) const FRAME_BYTES: usize = 4096;

/// Connections to one terminal: an agent has one for each who looks on, and one for who types.
pub(crate) const TERMINAL_CLIENTS: usize = 32;

/// How long one who looks on may hold up a terminal, and all who use it, before he is left out.
pub(crate) const TERMINAL_PATIENCE: Duration = Duration::from_secs(5);
