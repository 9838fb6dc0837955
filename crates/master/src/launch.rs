//! Launching: from an operation of an ACCEPT to what the agent is told.

use meseta_proto::internal::{ResourceVersionUuid, RunTaskGroupMessage, RunTaskMessage};
use meseta_proto::v1::agent_info::capability::Type::ReservationRefinement;
use meseta_proto::v1::offer::operation;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    self, FrameworkId, FrameworkInfo, HealthCheck, TaskInfo, TaskState, health_check,
};
use meseta_resources::Resources;

use crate::accept::Accepted;
use crate::agents::{downgrade, downgrade_task, pid_text};
use crate::master::Master;
use crate::records::AgentRecord;
use crate::step::Step;
use crate::tasks::{resources_of, staging};
use crate::updates::MasterStatus;
use crate::validation;

impl Master {
    pub(crate) fn refuse_tasks(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        tasks: &[TaskInfo],
        reason: Reason,
        sentence: &str,
    ) {
        let status = MasterStatus {
            state: TaskState::TaskError,
            reason,
            message: sentence.to_owned(),
            unreachable_time: None,
        };
        for task in tasks {
            self.refuse_task(step, framework, task, &status);
        }
    }

    pub(crate) fn launch_task(
        &mut self,
        step: &mut Step<'_>,
        accepted: &mut Accepted,
        mut task: TaskInfo,
    ) {
        let framework_id = accepted.framework.clone();
        if let Some(executor) = &mut task.executor {
            let owner = executor.framework_id.take();
            executor.framework_id = owner.or_else(|| Some(framework_id.clone()));
        }
        name_health_check(task.health_check.as_mut());
        let (Some(framework), Some(agent)) = (
            self.framework(&framework_id),
            self.state.agents.get(&accepted.agent),
        ) else {
            return;
        };
        let checked = validation::task(&task, framework, agent, &accepted.available());
        if let Err(invalid) = checked {
            let sentence = invalid.to_string();
            let reason = Reason::TaskInvalid;
            self.refuse_tasks(step, &framework_id, &[task], reason, &sentence);
            return;
        }
        let mut message = RunTaskMessage {
            framework: FrameworkInfo::clone(&framework.info),
            resource_version_uuids: resource_versions(agent),
            pid: Some(pid_text(framework)),
            launch_executor: Some(true),
            task,
            ..Default::default()
        };
        let pid = agent.pid.clone();
        let needs_old_form = !agent.is_capable_of(ReservationRefinement);

        let mut consumed = resources_of(&message.task.resources);
        if let Some(executor) = &message.task.executor {
            let known = self.has_executor(&framework_id, &accepted.agent, &executor.executor_id);
            message.launch_executor = Some(!known);
            if !known {
                consumed += &resources_of(&executor.resources);
                self.add_executor(&framework_id, &accepted.agent, executor);
            }
        }
        self.consume(accepted, &consumed);
        self.add_task(staging(&message.task, &framework_id));
        if needs_old_form {
            downgrade_task(&mut message.task);
        }
        step.send(&pid, &message);
    }

    /// Launches all tasks of a group, or none.
    pub(crate) fn launch_group(
        &mut self,
        step: &mut Step<'_>,
        accepted: &mut Accepted,
        launch: operation::LaunchGroup,
    ) {
        let operation::LaunchGroup {
            executor,
            task_group,
        } = launch;
        let framework_id = accepted.framework.clone();
        let (Some(framework), Some(agent)) = (
            self.framework(&framework_id),
            self.state.agents.get(&accepted.agent),
        ) else {
            return;
        };
        let checked =
            validation::task_group(&task_group, &executor, framework, agent, &accepted.left);
        if let Err(invalid) = checked {
            let (tasks, sentence) = (task_group.tasks, invalid.to_string());
            let reason = Reason::TaskGroupInvalid;
            self.refuse_tasks(step, &framework_id, &tasks, reason, &sentence);
            return;
        }
        let mut message = RunTaskGroupMessage {
            framework: FrameworkInfo::clone(&framework.info),
            resource_version_uuids: resource_versions(agent),
            launch_executor: Some(true),
            executor,
            task_group,
        };
        let pid = agent.pid.clone();
        let needs_old_form = !agent.is_capable_of(ReservationRefinement);

        let mut consumed = Resources::new();
        let executor = &message.executor;
        let known = self.has_executor(&framework_id, &accepted.agent, &executor.executor_id);
        message.launch_executor = Some(!known);
        if !known {
            consumed += &resources_of(&executor.resources);
            self.add_executor(&framework_id, &accepted.agent, executor);
        }
        for task in &message.task_group.tasks {
            consumed += &resources_of(&task.resources);
            self.add_task(staging(task, &framework_id));
        }
        self.consume(accepted, &consumed);
        if needs_old_form {
            downgrade(&mut message.executor.resources);
            for task in &mut message.task_group.tasks {
                downgrade_task(task);
            }
        }
        step.send(&pid, &message);
    }

    /// Takes from the offers what a launch uses. Further copies of shared resources are made.
    fn consume(&mut self, accepted: &mut Accepted, consumed: &Resources) {
        let more = &consumed.shared() - &accepted.left.shared();
        if !more.is_empty() {
            self.allocator
                .take(&accepted.framework, &accepted.agent, &more);
        }
        accepted.left -= consumed;
    }
}

/// Old schedulers do not say of what type a health check is: it shows.
fn name_health_check(check: Option<&mut HealthCheck>) {
    if let Some(check) = check
        && check.r#type.is_none()
    {
        let kind = match (&check.command, &check.http) {
            (Some(_), None) => Some(health_check::Type::Command),
            (None, Some(_)) => Some(health_check::Type::Http),
            (Some(_), Some(_)) | (None, None) => None,
        };
        check.r#type = kind.map(Into::into);
    }
}

/// By which an agent tells launches that it should not follow any more. A C++ agent ends itself over
/// versions without its own.
fn resource_versions(agent: &AgentRecord) -> Vec<ResourceVersionUuid> {
    let version = agent.resource_version.as_ref();
    version
        .map(|version| ResourceVersionUuid {
            resource_provider_id: None,
            uuid: v1::Uuid {
                value: version.clone(),
            },
        })
        .into_iter()
        .collect()
}
