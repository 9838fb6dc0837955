//! Whether a task can run here and now.

use meseta_proto::v1::TaskState;
use meseta_proto::v1::task_status::Reason;
use meseta_resources::Resources;

use super::{Order, Refusal};
use crate::agent::Agent;
use crate::records::ExecutorState;
use crate::task::Verdict;

impl Agent {
    pub(super) fn admit(&self, order: &Order) -> Result<(), Refusal> {
        let dropped = |reason, message: &str| Err(Refusal::dropped(order, reason, message));
        let one_of = |task: &meseta_proto::v1::TaskInfo| {
            order.in_group || task.command.is_some() != task.executor.is_some()
        };
        if !order.tasks.iter().all(one_of) {
            return dropped(
                Reason::TaskInvalid,
                "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
            );
        }
        if self.drain.is_some() {
            return dropped(
                Reason::AgentDraining,
                "Task was received while agent was already draining",
            );
        }
        if !self.has_room {
            return dropped(
                Reason::GcError,
                "The disk of the agent's work directory is full: there is no room to keep what \
                 has to be known of another task",
            );
        }
        if self.is_outdated(order) {
            return dropped(
                Reason::InvalidOffers,
                "Task assumes outdated resource state",
            );
        }
        let used_by_tasks = order.tasks.iter().flat_map(|task| &task.resources);
        let used_by_tasks: Vec<_> = used_by_tasks.cloned().collect();
        let parsed = Resources::from_v1(&used_by_tasks)
            .and_then(|tasks| Ok((tasks, Resources::from_v1(&order.executor.resources)?)));
        let (used_by_tasks, used_by_executor) = match parsed {
            Ok(used) => used,
            Err(error) => return dropped(Reason::TaskInvalid, &error.to_string()),
        };
        if !self.knows_checkpointed(&used_by_tasks) {
            return dropped(
                Reason::ResourcesUnknown,
                "The checkpointed resources being used by the task or task group are \
                 unknown to the agent",
            );
        }
        if !self.knows_checkpointed(&used_by_executor) {
            return dropped(
                Reason::ResourcesUnknown,
                "The checkpointed resources being used by the executor are unknown to the agent",
            );
        }
        let resources: Vec<_> = order.resources().cloned().collect();
        if let Err(sentence) = self.volume_links(&order.key(), &resources) {
            return Err(Refusal {
                verdict: Verdict::new(
                    TaskState::TaskFailed,
                    Reason::ContainerLaunchFailed,
                    format!("Failed to launch container: {sentence}"),
                ),
                ends_executor: false,
            });
        }
        self.admit_to_executor(order)
    }

    /// Whether the task was offered resources of an earlier life of the agent.
    fn is_outdated(&self, order: &Order) -> bool {
        let uses_own = |task: &meseta_proto::v1::TaskInfo| {
            task.resources.iter().any(|r| r.provider_id.is_none())
        };
        let current = order
            .versions
            .iter()
            .find(|version| version.resource_provider_id.is_none())
            .is_some_and(|version| version.uuid.value == self.resource_version);
        !order.versions.is_empty() && !current && order.tasks.iter().any(uses_own)
    }

    /// Whether the master and the agent agree that the executor is there, or is not.
    fn admit_to_executor(&self, order: &Order) -> Result<(), Refusal> {
        let key = order.key();
        let dropped = |reason, message: &str| Refusal::dropped(order, reason, message);
        let Some(executor) = self.executor(&key) else {
            return match order.launch_executor {
                Some(false) if !order.is_command => Err(dropped(
                    Reason::ExecutorTerminated,
                    "No executor is expected to launch and there is none running",
                )),
                _ => Ok(()),
            };
        };
        if order.is_command || executor.is_command_executor {
            return Err(dropped(
                Reason::TaskInvalid,
                "Cannot reuse an already existing executor for a command task",
            ));
        }
        if order.launch_executor == Some(true) {
            return Err(Refusal {
                ends_executor: true,
                ..dropped(
                    Reason::ExecutorTerminated,
                    "Master wants to launch executor, but one already exists",
                )
            });
        }
        match executor.state {
            ExecutorState::Registering | ExecutorState::Running => Ok(()),
            ExecutorState::Terminating => {
                Err(dropped(Reason::ExecutorTerminated, "Executor terminating"))
            }
            ExecutorState::Terminated => {
                Err(dropped(Reason::ExecutorTerminated, "Executor terminated"))
            }
        }
    }
}
