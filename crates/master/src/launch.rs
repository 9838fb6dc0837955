//! Launching: from an ACCEPT to what the agent is told.

use meseta_proto::internal::{
    FrameworkErrorMessage, ResourceVersionUuid, RunTaskGroupMessage, RunTaskMessage,
};
use meseta_proto::v1::agent_info::capability::Type::ReservationRefinement;
use meseta_proto::v1::framework_info::capability::Type::PartitionAware;
use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::resource::AllocationInfo;
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    self, AgentId, FrameworkId, FrameworkInfo, HealthCheck, OperationState, OperationStatus,
    TaskInfo, TaskState, health_check,
};
use meseta_resources::Resources;

use crate::agents::{downgrade, downgrade_task, pid_text};
use crate::events::Notice;
use crate::master::Master;
use crate::offers::{Rescinding, Unused};
use crate::records::{AgentRecord, Endpoint};
use crate::step::Step;
use crate::tasks::{resources_of, staging};
use crate::updates::MasterStatus;
use crate::validation;

/// What is left of accepted offers, while operations use it up.
#[derive(Debug)]
struct Accepted {
    framework: FrameworkId,
    agent: AgentId,
    role: String,
    left: Resources,
    /// Shared resources, of which each task may use as many copies as it likes.
    shared: Resources,
}

impl Accepted {
    /// What the next task may use.
    fn available(&self) -> Resources {
        &self.left.non_shared() + &self.shared
    }
}

impl Master {
    /// A scheduler accepts offers, to do what its operations say with their resources. What they
    /// leave is declined.
    pub(crate) fn accept(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        accept: call::Accept,
    ) {
        self.count_launches(&accept);
        if let Err(sentence) = self.check_offers(framework, &accept) {
            for id in &accept.offer_ids {
                let offer = self.state.offers.get(id);
                if offer.is_some_and(|offer| offer.framework_id == *framework) {
                    self.remove_offer(step, id, Rescinding::Silent);
                }
            }
            self.refuse_operations(step, framework, accept.operations, &sentence);
            return;
        }
        let Some(mut accepted) = self.take_offers(framework, &accept) else {
            return;
        };
        let offered = accepted.left.clone();
        for operation in accept.operations {
            self.operate(step, &mut accepted, operation);
        }
        let filters = accept.filters.as_ref();
        let Accepted { agent, left, .. } = accepted;
        let unused = if left == offered {
            Unused::Declined
        } else {
            Unused::LeftOver
        };
        self.refuse(step, framework, &agent, &left, unused, filters);
    }

    fn count_launches(&mut self, accept: &call::Accept) {
        let messages = &mut self.state.metrics.messages;
        for operation in &accept.operations {
            if let Some(launch) = launch_of(operation) {
                if launch.task_infos.is_empty() {
                    messages.decline_offers += 1;
                } else {
                    messages.launch_tasks += 1;
                }
            }
        }
    }

    fn check_offers(&self, framework: &FrameworkId, accept: &call::Accept) -> Result<(), String> {
        if accept.offer_ids.is_empty() {
            return Err("No offers specified".to_owned());
        }
        let outstanding = |id: &v1::OfferId| self.state.offers.get(id).map(AsRef::as_ref);
        validation::offers(&accept.offer_ids, framework, outstanding).map_err(|e| e.to_string())
    }

    /// Takes offers out of the books that were found to go together.
    fn take_offers(&mut self, framework: &FrameworkId, accept: &call::Accept) -> Option<Accepted> {
        let mut accepted: Option<Accepted> = None;
        for id in &accept.offer_ids {
            let (offer, resources) = self.take_offer(id)?;
            let accepted = accepted.get_or_insert_with(|| Accepted {
                framework: framework.clone(),
                agent: offer.agent_id.clone(),
                role: offer
                    .allocation_info
                    .as_ref()
                    .map_or("*", |allocation| allocation.role())
                    .to_owned(),
                left: Resources::new(),
                shared: Resources::new(),
            });
            accepted.left += &resources;
            accepted.shared += &resources.shared();
        }
        accepted
    }

    /// The offers are not there: neither will be what was to be made of them.
    fn refuse_operations(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        operations: Vec<Operation>,
        sentence: &str,
    ) {
        let aware = self
            .framework(framework)
            .is_some_and(|f| f.is_capable_of(PartitionAware));
        let status = MasterStatus {
            state: if aware {
                TaskState::TaskDropped
            } else {
                TaskState::TaskLost
            },
            reason: Reason::InvalidOffers,
            message: format!("Task launched with invalid offers: {sentence}"),
            unreachable_time: None,
        };
        for operation in operations {
            if is_launch(&operation) {
                for task in tasks_of(operation) {
                    self.refuse_task(step, framework, &task, &status);
                }
            } else {
                let sentence = format!("Operation attempted with invalid offers: {sentence}");
                self.drop_operation(step, framework, &operation, sentence);
            }
        }
    }

    /// Carries out one operation.
    fn operate(&mut self, step: &mut Step<'_>, accepted: &mut Accepted, mut operation: Operation) {
        use operation::Type;
        let kind = operation.r#type();
        let prepared = prepare(&mut operation, &accepted.role);
        match (kind, prepared) {
            (Type::Launch, Ok(())) => {
                for task in tasks_of(operation) {
                    self.launch_task(step, accepted, task);
                }
            }
            (Type::LaunchGroup, Ok(())) => {
                let group = operation.launch_group.unwrap_or_default();
                self.launch_group(step, accepted, *group);
            }
            (Type::Launch | Type::LaunchGroup, Err(sentence)) => {
                let reason = match kind {
                    Type::LaunchGroup => Reason::TaskGroupInvalid,
                    _ => Reason::TaskInvalid,
                };
                let tasks = tasks_of(operation);
                self.refuse_tasks(step, &accepted.framework, &tasks, reason, &sentence);
            }
            (Type::Unknown, _) => {}
            (_, Err(sentence)) => {
                let sentence = format!("Operation attempted with invalid resources: {sentence}");
                self.drop_operation(step, &accepted.framework, &operation, sentence);
            }
            (_, Ok(())) => {
                let sentence = format!("{} is not supported by this master", kind.as_str_name());
                self.drop_operation(step, &accepted.framework, &operation, sentence);
            }
        }
    }

    /// Refuses an operation that is no launch. Who did not ask for feedback gets none.
    fn drop_operation(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        operation: &Operation,
        sentence: String,
    ) {
        let (Some(id), Some(record)) = (&operation.id, self.framework(framework)) else {
            return;
        };
        match &record.endpoint {
            Endpoint::Http(_) => {
                let status = OperationStatus {
                    operation_id: Some(id.clone()),
                    state: OperationState::OperationError.into(),
                    message: Some(sentence),
                    ..Default::default()
                };
                self.notify(step, framework, Notice::OperationStatus(Box::new(status)));
            }
            Endpoint::Driver(pid) => {
                let message = "The 'id' field was set in an offer operation, but operation \
                               feedback is not supported for the SchedulerDriver API; please use \
                               the HTTP scheduler API for this feature"
                    .to_owned();
                step.send(pid, &FrameworkErrorMessage { message });
            }
            Endpoint::None => {}
        }
    }

    fn refuse_tasks(
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

    fn launch_task(&mut self, step: &mut Step<'_>, accepted: &mut Accepted, mut task: TaskInfo) {
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
    fn launch_group(
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

fn is_launch(operation: &Operation) -> bool {
    matches!(
        operation.r#type(),
        operation::Type::Launch | operation::Type::LaunchGroup
    )
}

fn launch_of(operation: &Operation) -> Option<&operation::Launch> {
    let is_launch = operation.r#type() == operation::Type::Launch;
    operation.launch.as_ref().filter(|_| is_launch)
}

/// The tasks of a launch.
fn tasks_of(operation: Operation) -> Vec<TaskInfo> {
    match operation.r#type() {
        operation::Type::Launch => operation.launch.unwrap_or_default().task_infos,
        operation::Type::LaunchGroup => {
            let group = operation.launch_group.unwrap_or_default();
            group.task_group.tasks
        }
        _ => Vec::new(),
    }
}

/// Checks a launch's resources by themselves, brings them into post-refinement form, and says to
/// which role they are allocated where the scheduler has not.
fn prepare(operation: &mut Operation, role: &str) -> Result<(), String> {
    let name = match operation.r#type() {
        operation::Type::Launch => "LAUNCH",
        operation::Type::LaunchGroup => "LAUNCH_GROUP",
        _ => return Ok(()),
    };
    if let Some(launch) = &mut operation.launch {
        prepare_tasks(&mut launch.task_infos, role)?;
    }
    if let Some(launch) = &mut operation.launch_group {
        prepare_resources(&mut launch.executor.resources, role)?;
        prepare_tasks(&mut launch.task_group.tasks, role)?;
        for task in &mut launch.task_group.tasks {
            task.executor.get_or_insert_with(|| launch.executor.clone());
        }
    }
    match operation.id {
        Some(_) => Err(format!("The `id` field cannot be set on {name} operations")),
        None => Ok(()),
    }
}

fn prepare_tasks(tasks: &mut [TaskInfo], role: &str) -> Result<(), String> {
    for task in tasks {
        prepare_resources(&mut task.resources, role)?;
        if let Some(executor) = &mut task.executor {
            prepare_resources(&mut executor.resources, role)?;
        }
    }
    Ok(())
}

fn prepare_resources(resources: &mut [v1::Resource], role: &str) -> Result<(), String> {
    meseta_resources::validate(resources).map_err(|e| e.to_string())?;
    for resource in resources {
        meseta_resources::upgrade(resource).map_err(|e| e.to_string())?;
        resource
            .allocation_info
            .get_or_insert_with(|| AllocationInfo {
                role: Some(role.to_owned()),
            });
    }
    Ok(())
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
