//! An ACCEPT: offers are taken, and its operations use them up in order.

use meseta_proto::internal::FrameworkErrorMessage;
use meseta_proto::v1::framework_info::capability::Type::PartitionAware;
use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::resource::AllocationInfo;
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    self, AgentId, FrameworkId, OperationState, OperationStatus, TaskInfo, TaskState,
};
use meseta_resources::Resources;

use crate::events::Notice;
use crate::master::Master;
use crate::offers::{Rescinding, Unused};
use crate::records::Endpoint;
use crate::step::Step;
use crate::updates::MasterStatus;
use crate::validation;

/// What is left of accepted offers, while operations use it up.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) framework: FrameworkId,
    pub(crate) agent: AgentId,
    role: String,
    pub(crate) left: Resources,
    /// Shared resources, of which each task may use as many copies as it likes.
    pub(crate) shared: Resources,
    /// What volumes were resized to, and what became free thereby: for later offers only.
    pub(crate) resized: Resources,
}

impl Accepted {
    /// What the next task may use.
    pub(crate) fn available(&self) -> Resources {
        &self.left.non_shared() + &self.shared
    }
}

impl Master {
    /// A scheduler accepts offers, to do what its operations say with their resources. What they
    /// make of them is free for anyone; what they leave is declined.
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
        let count = accept.offer_ids.len() as u64;
        self.count_of(framework, |counts| counts.offers_accepted += count);
        for operation in accept.operations {
            self.operate(step, &mut accepted, operation);
        }
        let filters = accept.filters.as_ref();
        let Accepted {
            agent,
            left,
            resized,
            ..
        } = accepted;
        let unused = if left == offered {
            Unused::Declined
        } else {
            Unused::LeftOver
        };
        let made = &(&left + &resized) - &offered;
        self.recover(framework, &agent, &made);
        self.refuse(step, framework, &agent, &(&left - &made), unused, filters);
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
                resized: Resources::new(),
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
        self.count_of(&accepted.framework, |counts| {
            *counts.operations.entry(kind).or_default() += 1;
        });
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
                let wants_feedback = operation.id.is_some();
                if wants_feedback && self.refuse_feedback_to_driver(step, &accepted.framework) {
                    return;
                }
                if let Err(sentence) = self.carry_out_operation(step, accepted, &operation) {
                    self.drop_operation(step, &accepted.framework, &operation, sentence);
                }
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
        let state = OperationState::OperationError;
        self.state
            .metrics
            .operations
            .enter(operation.r#type(), state);
        if let Some(id) = &operation.id {
            let status = OperationStatus {
                operation_id: Some(id.clone()),
                state: state.into(),
                message: Some(sentence),
                ..Default::default()
            };
            self.notify(step, framework, Notice::OperationStatus(Box::new(status)));
        }
    }

    /// The old driver knows no feedback: asking for it ends it, as in Mesos.
    fn refuse_feedback_to_driver(&self, step: &mut Step<'_>, framework: &FrameworkId) -> bool {
        let endpoint = self.framework(framework).map(|record| &record.endpoint);
        let Some(Endpoint::Driver(pid)) = endpoint else {
            return false;
        };
        let message =
            "The 'id' field was set in an offer operation, but operation feedback is not \
                       supported for the SchedulerDriver API; please use the HTTP scheduler API \
                       for this feature"
                .to_owned();
        step.send(pid, &FrameworkErrorMessage { message });
        true
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

/// Checks an operation's resources by themselves, brings them into post-refinement form, and says to
/// which role they are allocated where the scheduler has not.
fn prepare(operation: &mut Operation, role: &str) -> Result<(), String> {
    use operation::Type;
    let kind = operation.r#type();
    let missing = |article: &str, field: &str| {
        let name = kind.as_str_name();
        Err(format!(
            "{article} {name} offer operation must have the Offer.Operation.{field} field set."
        ))
    };
    match kind {
        Type::Launch => {
            if let Some(launch) = &mut operation.launch {
                prepare_tasks(&mut launch.task_infos, role)?;
            }
        }
        Type::LaunchGroup => {
            if let Some(launch) = &mut operation.launch_group {
                prepare_resources(&mut launch.executor.resources, role)?;
                prepare_tasks(&mut launch.task_group.tasks, role)?;
                for task in &mut launch.task_group.tasks {
                    task.executor.get_or_insert_with(|| launch.executor.clone());
                }
            }
        }
        Type::Reserve => {
            let Some(reserve) = &mut operation.reserve else {
                return missing("A", "reserve");
            };
            prepare_resources(&mut reserve.resources, role)?;
            if !reserve.source.is_empty() {
                return Err(
                    "Reservation updates are not yet implemented for the scheduler API.".into(),
                );
            }
        }
        Type::Unreserve => match &mut operation.unreserve {
            Some(unreserve) => prepare_resources(&mut unreserve.resources, role)?,
            None => return missing("An", "unreserve"),
        },
        Type::Create => match &mut operation.create {
            Some(create) => prepare_resources(&mut create.volumes, role)?,
            None => return missing("A", "create"),
        },
        Type::Destroy => match &mut operation.destroy {
            Some(destroy) => prepare_resources(&mut destroy.volumes, role)?,
            None => return missing("A", "destroy"),
        },
        Type::GrowVolume => match &mut operation.grow_volume {
            Some(grow) => {
                prepare_resource(&mut grow.volume, role)?;
                prepare_resource(&mut grow.addition, role)?;
            }
            None => return missing("A", "grow_volume"),
        },
        Type::ShrinkVolume => match &mut operation.shrink_volume {
            Some(shrink) => prepare_resource(&mut shrink.volume, role)?,
            None => return missing("A", "shrink_volume"),
        },
        Type::CreateDisk => match &mut operation.create_disk {
            Some(create) => prepare_resource(&mut create.source, role)?,
            None => return missing("A", "create_disk"),
        },
        Type::DestroyDisk => match &mut operation.destroy_disk {
            Some(destroy) => prepare_resource(&mut destroy.source, role)?,
            None => return missing("A", "destroy_disk"),
        },
        Type::Unknown => {}
    }
    if matches!(kind, Type::Launch | Type::LaunchGroup) && operation.id.is_some() {
        let name = kind.as_str_name();
        return Err(format!("The `id` field cannot be set on {name} operations"));
    }
    Ok(())
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

fn prepare_resource(resource: &mut v1::Resource, role: &str) -> Result<(), String> {
    prepare_resources(std::slice::from_mut(resource), role)
}

fn prepare_resources(resources: &mut [v1::Resource], role: &str) -> Result<(), String> {
    meseta_resources::validate(resources).map_err(|e| e.to_string())?;
    for resource in resources {
        meseta_resources::upgrade(resource).map_err(|e| e.to_string())?;
        resource
            .allocation_info
            .get_or_insert_with(|| AllocationInfo {
                role: Some(role.into()),
            });
    }
    Ok(())
}
