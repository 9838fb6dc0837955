//! Status updates: made by the master, forwarded from agents, and acknowledged by schedulers.

use meseta_machine::is_uuid;
use meseta_proto::Upid;
use meseta_proto::internal::{
    StatusUpdate, StatusUpdateAcknowledgementMessage, StatusUpdateMessage,
};
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::{
    AgentId, ExecutorId, FrameworkId, Task, TaskId, TaskInfo, TaskState, TaskStatus, TimeInfo,
    task_status,
};

use crate::events::{NO_PID, Notice};
use crate::master::Master;
use crate::step::Step;
use crate::tasks::Leaving;

/// What the master itself has to say about a task.
#[derive(Debug, Clone)]
pub(crate) struct MasterStatus {
    pub(crate) state: TaskState,
    pub(crate) reason: task_status::Reason,
    pub(crate) message: String,
    pub(crate) unreachable_time: Option<TimeInfo>,
}

/// An update by the master about a task, without UUID: nobody waits for its acknowledgement.
pub(crate) fn master_update(
    step: &Step<'_>,
    framework: &FrameworkId,
    agent: Option<&AgentId>,
    task: &TaskId,
    executor: Option<&ExecutorId>,
    status: &MasterStatus,
) -> StatusUpdate {
    let timestamp = step.now.unix_seconds();
    StatusUpdate {
        framework_id: framework.clone(),
        executor_id: executor.cloned(),
        slave_id: agent.cloned(),
        status: TaskStatus {
            task_id: task.clone(),
            state: status.state.into(),
            message: Some(status.message.clone()),
            source: Some(task_status::Source::Master.into()),
            reason: Some(status.reason.into()),
            agent_id: agent.cloned(),
            timestamp: Some(timestamp),
            unreachable_time: status.unreachable_time,
            ..Default::default()
        },
        timestamp,
        ..Default::default()
    }
}

/// An update by the master about a task that it knows, with what is known of its health.
pub(crate) fn update_of_known_task(
    step: &Step<'_>,
    task: &Task,
    state: TaskState,
    message: &str,
    reason: task_status::Reason,
) -> StatusUpdate {
    let status = MasterStatus {
        state,
        reason,
        message: message.to_owned(),
        unreachable_time: None,
    };
    let mut update = master_update(
        step,
        &task.framework_id,
        Some(&task.agent_id),
        &task.task_id,
        task.executor_id.as_ref(),
        &status,
    );
    if let Some(last) = task.statuses.last() {
        update.status.healthy = last.healthy;
        update.status.check_status.clone_from(&last.check_status);
        update
            .status
            .container_status
            .clone_from(&last.container_status);
    }
    update
}

impl Master {
    /// Ends a task that is in the books, removes it, and tells its framework.
    pub(crate) fn end_task(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        task_id: &TaskId,
        status: &MasterStatus,
        leaving: Leaving,
    ) {
        let Some(task) = self.task(framework, task_id) else {
            return;
        };
        let update = master_update(
            step,
            framework,
            Some(&task.agent_id),
            task_id,
            task.executor_id.as_ref(),
            status,
        );
        if leaving == Leaving::Completed {
            let agent = task.agent_id.clone();
            self.note_given_up(framework, agent);
        }
        self.update_task(framework, &update.status, None);
        self.remove_task(framework, task_id, leaving);
        self.forward(step, update, Some(NO_PID.to_owned()));
    }

    /// Refuses a task that is not in the books.
    pub(crate) fn refuse_task(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        task: &TaskInfo,
        status: &MasterStatus,
    ) {
        let agent = Some(&task.agent_id);
        let update = master_update(step, framework, agent, &task.task_id, None, status);
        self.count_refused(&update.status);
        self.forward(step, update, Some(NO_PID.to_owned()));
    }

    /// Passes an update on to the framework's scheduler, if that is there. `from` is who waits for
    /// the acknowledgement, as the update's sender wrote it.
    pub(crate) fn forward(&self, step: &mut Step<'_>, update: StatusUpdate, from: Option<String>) {
        let framework = update.framework_id.clone();
        self.notify(step, &framework, Notice::Update(Box::new(update), from));
    }

    /// An agent tells what became of a task.
    pub(crate) fn on_status_update(&mut self, step: &mut Step<'_>, message: StatusUpdateMessage) {
        self.state.metrics.messages.status_update += 1;
        let StatusUpdateMessage { update, pid } = message;
        let is_from_agent = update
            .slave_id
            .as_ref()
            .is_some_and(|id| self.state.agents.contains_key(id));
        let is_acknowledgeable = update.uuid.as_ref().is_some_and(|uuid| is_uuid(uuid))
            && update.status.uuid.is_some()
            && Upid::from_field(pid.as_deref()).is_some();
        if !is_from_agent || !is_acknowledgeable {
            self.state.metrics.invalid_status_updates += 1;
            return;
        }
        let framework_id = update.framework_id.clone();
        let connected = self
            .framework(&framework_id)
            .is_some_and(super::records::FrameworkRecord::connected);
        let on_this_agent = |task: &Task| Some(&task.agent_id) == update.slave_id.as_ref();
        let known = self
            .task_mut(&framework_id, &update.status.task_id)
            .filter(|task| on_this_agent(task));
        let is_known = known.is_some();
        if let Some(task) = known.filter(|_| connected) {
            task.status_update_state = Some(update.status.state);
            task.status_update_uuid.clone_from(&update.status.uuid);
        }
        let latest = update.latest_state.map(TaskState::try_from);
        let (status, latest) = (update.status.clone(), latest.and_then(Result::ok));
        if connected {
            self.forward(step, update, pid);
        }
        if is_known {
            self.update_task(&framework_id, &status, latest);
        }
        let metrics = &mut self.state.metrics;
        if connected && is_known {
            metrics.valid_status_updates += 1;
        } else {
            metrics.invalid_status_updates += 1;
        }
    }

    /// A scheduler has taken note of an update: the agent may forget it. With its end acknowledged,
    /// a task leaves the books.
    pub(crate) fn acknowledge(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        acknowledge: call::Acknowledge,
    ) {
        self.state.metrics.messages.status_update_acknowledgement += 1;
        let call::Acknowledge {
            agent_id,
            task_id,
            uuid,
        } = acknowledge;
        let pid = self.connected_agent(&agent_id);
        let task = self.task(framework, &task_id);
        let task = task.filter(|task| task.agent_id == agent_id);
        // Another master forwarded it; the agent will send it again, and to this one.
        let never_forwarded = task.is_some_and(|task| task.status_update_state.is_none());
        let (Some(pid), false) = (pid, never_forwarded) else {
            self.state.metrics.invalid_status_update_acknowledgements += 1;
            return;
        };
        let is_end = task.is_some_and(|task| {
            task.status_update_state().is_terminal()
                && task.status_update_uuid.as_ref() == Some(&uuid)
        });
        if is_end {
            self.remove_task(framework, &task_id, Leaving::Completed);
        }
        let message = StatusUpdateAcknowledgementMessage {
            slave_id: agent_id,
            framework_id: framework.clone(),
            task_id,
            uuid,
        };
        step.send(&pid, &message);
        self.state.metrics.valid_status_update_acknowledgements += 1;
    }
}
