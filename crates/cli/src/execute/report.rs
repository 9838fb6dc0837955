//! A status update in the lines that `mesos-execute` prints.

use std::fmt;

use meseta_framework::v1::TaskStatus;
use meseta_proto::json;
use meseta_resources::Resources;

/// Prints as several lines.
pub(super) struct Report<'a>(pub(super) &'a TaskStatus);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        let (state, task) = (status.state().as_str_name(), &status.task_id);
        writeln!(f, "Received status update {state} for task '{task}'")?;
        if let Some(message) = &status.message {
            writeln!(f, "  message: '{message}'")?;
        }
        if status.source.is_some() {
            writeln!(f, "  source: {}", status.source().as_str_name())?;
        }
        if status.reason.is_some() {
            writeln!(f, "  reason: {}", status.reason().as_str_name())?;
        }
        if let Some(healthy) = status.healthy {
            writeln!(f, "  healthy?: {}", u8::from(healthy))?;
        }
        if let Some(check) = &status.check_status {
            writeln!(f, "  check status: {}", json::to_string(&**check))?;
        }
        let limitation = status
            .limitation
            .as_ref()
            .map(|l| &l.resources[..])
            .unwrap_or_default();
        if let Ok(resources) = Resources::from_v1(limitation)
            && !resources.is_empty()
        {
            writeln!(f, "  resource limit violation: {resources}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use meseta_framework::v1::TaskState;
    use meseta_framework::v1::task_status::{Reason, Source};

    use super::*;

    #[test]
    fn an_update_reads_as_in_mesos_execute() {
        let status = TaskStatus {
            task_id: "t".into(),
            state: TaskState::TaskRunning.into(),
            ..TaskStatus::default()
        };
        assert_eq!(
            Report(&status).to_string(),
            "Received status update TASK_RUNNING for task 't'\n"
        );
        let status = TaskStatus {
            state: TaskState::TaskFailed.into(),
            message: Some("Command exited with status 1".into()),
            source: Some(Source::Executor.into()),
            reason: Some(Reason::CommandExecutorFailed.into()),
            healthy: Some(false),
            ..status
        };
        assert_eq!(
            Report(&status).to_string(),
            "Received status update TASK_FAILED for task 't'\n  \
             message: 'Command exited with status 1'\n  \
             source: SOURCE_EXECUTOR\n  \
             reason: REASON_COMMAND_EXECUTOR_FAILED\n  \
             healthy?: 0\n"
        );
    }
}
