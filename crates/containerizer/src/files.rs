//! The number of files that a process may have open.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that this process was started with.
static AT_START: OnceLock<Rlimit> = OnceLock::new();

/// Raises the number of files that this process may have open to what the system allows: every
/// connection and every container takes one. Containers get the limit that this process was started
/// with: programs that loop over all possible descriptors, or use `select`, rely on a low one.
pub fn raise_file_limit() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    AT_START.get_or_init(|| limit);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    Ok(())
}

/// The limit to be restored in a container's first process.
pub(crate) fn limit_at_start() -> Option<Rlimit> {
    AT_START.get().copied()
}
