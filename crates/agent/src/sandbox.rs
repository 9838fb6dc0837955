//! Where sandboxes lie, as Mesos lays them out:
//! `slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>`.

use std::path::{Path, PathBuf};

use meseta_proto::v1::{AgentId, ContainerId, ExecutorId, FrameworkId};

use crate::limits::MAX_ID_LENGTH;

/// The folder of an agent's sandboxes.
pub(crate) fn of_agent(work_dir: &Path, agent: &AgentId) -> PathBuf {
    work_dir.join("slaves").join(agent.as_str())
}

/// The folder of a framework's sandboxes.
pub(crate) fn of_framework(work_dir: &Path, agent: &AgentId, framework: &FrameworkId) -> PathBuf {
    of_agent(work_dir, agent)
        .join("frameworks")
        .join(framework.as_str())
}

/// The folder of every run of an executor.
pub(crate) fn of_executor(
    work_dir: &Path,
    agent: &AgentId,
    framework: &FrameworkId,
    executor: &ExecutorId,
) -> PathBuf {
    of_framework(work_dir, agent, framework)
        .join("executors")
        .join(executor.as_str())
}

/// The sandbox of one run, and the link to the latest one.
pub(crate) fn sandbox(
    work_dir: &Path,
    agent: &AgentId,
    framework: &FrameworkId,
    executor: &ExecutorId,
    container: &ContainerId,
) -> (PathBuf, PathBuf) {
    let runs = of_executor(work_dir, agent, framework, executor).join("runs");
    (runs.join(&container.value), runs.join("latest"))
}

/// Whether an id can be the name of a folder and part of a fact's key. Masters validate ids; the
/// agent does not stake its file system on that.
pub(crate) fn is_valid_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_ID_LENGTH
        && id != "."
        && id != ".."
        && !id.chars().any(|c| c == '/' || c == '\\' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandboxes_lie_where_mesos_puts_them() {
        let (directory, latest) = sandbox(
            Path::new("/w"),
            &"S0".into(),
            &"F".into(),
            &"hello world".into(),
            &"c".into(),
        );
        assert_eq!(
            directory,
            Path::new("/w/slaves/S0/frameworks/F/executors/hello world/runs/c")
        );
        assert_eq!(
            latest,
            Path::new("/w/slaves/S0/frameworks/F/executors/hello world/runs/latest")
        );
    }

    #[test]
    fn ids_cannot_leave_their_folder() {
        for id in ["", ".", "..", "a/b", "../x", "a\0", "a\nb"] {
            assert!(!is_valid_id(id), "{id:?}");
        }
        assert!(is_valid_id("a task.of-mine"));
    }
}
