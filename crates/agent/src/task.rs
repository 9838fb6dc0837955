//! Tasks and their statuses.

use meseta_machine::Now;
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{
    AgentId, ExecutorId, FrameworkId, FrameworkInfo, Task, TaskId, TaskInfo, TaskState, TaskStatus,
    framework_info::capability,
};

use crate::limits::MAX_TASK_STATUSES;
use crate::records::has_capability;

/// How a task ends that never ran: in the word that the framework knows.
pub(crate) fn dropped_for(framework: Option<&FrameworkInfo>) -> TaskState {
    if framework.is_some_and(|f| has_capability(f, capability::Type::PartitionAware)) {
        TaskState::TaskDropped
    } else {
        TaskState::TaskLost
    }
}

/// How a task ends whose executor is gone: in the word that the framework knows.
pub(crate) fn gone_for(framework: Option<&FrameworkInfo>) -> TaskState {
    if framework.is_some_and(|f| has_capability(f, capability::Type::PartitionAware)) {
        TaskState::TaskGone
    } else {
        TaskState::TaskLost
    }
}

/// The record of a task that is about to start.
pub(crate) fn staging(info: &TaskInfo, framework: &FrameworkId) -> Task {
    let user = |command: Option<&meseta_proto::v1::CommandInfo>| command?.user.clone();
    Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: framework.clone(),
        // Absent for plain commands: their executor is the agent's own affair.
        executor_id: info.executor.as_ref().map(|e| e.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: TaskState::TaskStaging.into(),
        resources: info.resources.clone(),
        statuses: Vec::new(),
        status_update_state: None,
        status_update_uuid: None,
        labels: info.labels.clone().map(Box::new),
        discovery: info.discovery.clone().map(Box::new),
        container: info.container.clone().map(Box::new),
        health_check: info.health_check.clone().map(Box::new),
        kill_policy: info.kill_policy,
        user: user(info.command.as_ref())
            .or_else(|| user(info.executor.as_ref().and_then(|e| e.command.as_ref()))),
        limits: info.limits.clone(),
    }
}

/// Puts a status on a task's record; a repetition of the latest state replaces it. What it brings for the
/// framework is that one's alone, and may be large.
pub(crate) fn record_status(task: &mut Task, status: &TaskStatus) {
    if task
        .statuses
        .last()
        .is_some_and(|s| s.state == status.state)
    {
        task.statuses.pop();
    } else if task.statuses.len() >= MAX_TASK_STATUSES {
        task.statuses.remove(0);
    }
    task.statuses.push(TaskStatus {
        data: None,
        ..status.clone()
    });
    task.state = status.state;
}

/// Whether the executor has ever reported of the task.
pub(crate) fn was_reported(task: &Task) -> bool {
    task.statuses.iter().any(|s| s.source() == Source::Executor)
}

/// What an agent itself has to say about a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) state: TaskState,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Verdict {
    pub(crate) fn new(state: TaskState, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            state,
            reason,
            message: message.into(),
        }
    }

    /// The status that says so.
    pub(crate) fn status(
        &self,
        now: Now,
        uuid: [u8; 16],
        agent: Option<&AgentId>,
        task: &TaskId,
        executor: Option<&ExecutorId>,
    ) -> TaskStatus {
        TaskStatus {
            task_id: task.clone(),
            state: self.state.into(),
            message: Some(self.message.clone()),
            source: Some(Source::Agent.into()),
            reason: Some(self.reason.into()),
            agent_id: agent.cloned(),
            executor_id: executor.cloned(),
            timestamp: Some(now.unix_seconds()),
            uuid: Some(uuid.to_vec()),
            ..TaskStatus::default()
        }
    }
}
