//! Agents that an operator declares gone for ever: they may not come back, and nor do their tasks.

use std::sync::Arc;

use meseta_machine::Reply;
use meseta_proto::internal::ShutdownMessage;
use meseta_proto::v1::framework_info::capability::Type::PartitionAware;
use meseta_proto::v1::{AgentId, FrameworkId, OperationState, TaskState, task_status};

use crate::CompletedTask;
use crate::events::NO_PID;
use crate::master::Master;
use crate::operator::Outcome;
use crate::registry;
use crate::step::Step;
use crate::tasks::{Leaving, note_end};
use crate::updates::{MasterStatus, master_update};

const SENTENCE: &str = "Agent has been marked gone";

impl Master {
    /// Declares an agent gone, wherever this master takes it to be.
    pub(crate) fn mark_agent_gone(&mut self, step: &mut Step<'_>, id: &AgentId) -> Outcome {
        if self.state.gone_agents.contains_key(id) {
            return Ok(());
        }
        let is_registered = self.state.agents.contains_key(id);
        let is_unreachable = self.state.unreachable_agents.contains_key(id);
        if !is_registered && !is_unreachable && !self.state.recovered_agents.contains_key(id) {
            let sentence = format!("Agent '{id}' not found");
            return Err(Reply::refused(404, sentence));
        }
        let since = step.time_info();
        let mut changes = vec![
            registry::mark_gone(id, since),
            registry::forget(id),
            registry::mark_reachable(id),
        ];
        changes.extend(self.forget_deactivation(id));
        step.persist(changes);
        self.state.gone_agents.insert(id.clone(), since);
        self.state.recovered_agents.remove(id);
        self.state.unreachable_agents.remove(id);
        self.schedule_registry_gc(step);
        if is_unreachable {
            self.end_unreachable_tasks(step, id);
        }
        if let Some(agent) = self.state.agents.get(id) {
            let message = ShutdownMessage {
                message: Some(SENTENCE.to_owned()),
            };
            step.send(&agent.pid, &message);
            let state = OperationState::OperationGoneByOperator;
            self.lose_operations(step, id, state, SENTENCE);
            self.end_agent(step, id, |partition_aware| {
                (gone(partition_aware), Leaving::Completed)
            });
        }
        Ok(())
    }

    /// Tasks that were unreachable are over: their frameworks are told, and remember them as
    /// completed.
    fn end_unreachable_tasks(&mut self, step: &mut Step<'_>, agent: &AgentId) {
        let frameworks = self.unreachable_frameworks.get(agent).cloned();
        for id in frameworks.into_iter().flatten() {
            self.end_unreachable_tasks_of(step, agent, &id);
        }
        self.forget_unreachable_tasks(agent);
    }

    fn end_unreachable_tasks_of(&mut self, step: &mut Step<'_>, agent: &AgentId, id: &FrameworkId) {
        let bound = self.state.config.policy.max_completed_tasks_per_framework;
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        let status = gone(framework.is_capable_of(PartitionAware));
        let mut updates = Vec::new();
        for task in &framework.unreachable_tasks.clone() {
            if task.agent_id != *agent {
                continue;
            }
            let executor = task.executor_id.as_ref();
            let update = master_update(step, id, Some(agent), &task.task_id, executor, &status);
            let mut task = Arc::clone(task);
            note_end(Arc::make_mut(&mut task), &update.status);
            let completed = &mut framework.completed_tasks;
            completed.push_back(CompletedTask::new(&task));
            if completed.len() > bound {
                completed.pop_front();
            }
            updates.push(update);
        }
        for update in updates {
            self.forward(step, update, Some(NO_PID.to_owned()));
        }
    }
}

/// What becomes of a task on an agent that is gone.
fn gone(partition_aware: bool) -> MasterStatus {
    let (state, reason) = if partition_aware {
        (
            TaskState::TaskGoneByOperator,
            task_status::Reason::AgentRemovedByOperator,
        )
    } else {
        (TaskState::TaskLost, task_status::Reason::AgentRemoved)
    };
    MasterStatus {
        state,
        reason,
        message: SENTENCE.to_owned(),
        unreachable_time: None,
    }
}
