//! The executor's own sandbox, in which its containers have theirs.

use std::path::Path;
use std::{fs, io};

use meseta_proto::v1::ContainerId;

/// Lets the sandbox of a task's container be found by the task's id, at `tasks/ID`: agents do not
/// tell which container is whose.
pub(crate) fn link(
    sandbox: Option<&Path>,
    task_id: &str,
    container_id: &ContainerId,
) -> io::Result<()> {
    let sandbox = sandbox.unwrap_or(Path::new("."));
    // Agents refuse such ids; a link must not end up elsewhere even if one does not.
    if task_id.contains('/') || matches!(task_id, "." | "..") {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    }
    let tasks = sandbox.join("tasks");
    fs::create_dir_all(&tasks)?;
    let link = tasks.join(task_id);
    // A former task of the same id has ended: who looks for the task now means this one.
    if fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(&link)?;
    }
    let target = sandbox.join("containers").join(&container_id.value);
    std::os::unix::fs::symlink(target, link)
}
