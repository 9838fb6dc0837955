//! Answers to schedulers that ask for the state of their tasks.

use meseta_proto::v1::framework_info::capability::Type::PartitionAware;
use meseta_proto::v1::scheduler::call::reconcile;
use meseta_proto::v1::{FrameworkId, Task, TaskState, task_status};

use crate::events::Notice;
use crate::master::Master;
use crate::step::Step;
use crate::tasks::told_state;
use crate::updates::{MasterStatus, master_update, update_of_known_task};

impl Master {
    /// Answers for the tasks that the scheduler names, or for all that it has if it names none.
    pub(crate) fn reconcile(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        tasks: &[reconcile::Task],
    ) {
        self.state.metrics.messages.reconcile_tasks += 1;
        let Some(record) = self.state.frameworks.get(framework) else {
            return;
        };
        if tasks.is_empty() {
            for task in record.tasks.values() {
                self.answer_known(step, task);
            }
        }
        for asked in tasks {
            match record.tasks.get(&asked.task_id) {
                Some(task) => self.answer_known(step, task),
                None => self.answer_unknown(step, framework, asked),
            }
        }
    }

    fn answer_known(&self, step: &mut Step<'_>, task: &Task) {
        let message = "Reconciliation: Latest task state";
        let reason = task_status::Reason::Reconciliation;
        let update = update_of_known_task(step, task, told_state(task), message, reason);
        let notice = Notice::Update(Box::new(update), None);
        self.notify(step, &task.framework_id, notice);
    }

    /// What there is to say of a task that is not in the books depends on its agent. While that may
    /// still come back to this master, there is nothing to say.
    fn answer_unknown(
        &self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        asked: &reconcile::Task,
    ) {
        let agent = asked.agent_id.as_ref();
        let undecided = match agent {
            Some(id) => self.state.recovered_agents.contains_key(id),
            None => !self.state.recovered_agents.is_empty(),
        };
        if undecided {
            return;
        }
        let mut unreachable_time = None;
        let (state, message) = match agent {
            Some(id) if self.state.agents.contains_key(id) => (
                TaskState::TaskGone,
                "Reconciliation: Task is unknown to the agent",
            ),
            Some(id) if self.state.unreachable_agents.contains_key(id) => {
                let agent = self.state.unreachable_agents.get(id);
                unreachable_time = agent.map(|agent| agent.since);
                (
                    TaskState::TaskUnreachable,
                    "Reconciliation: Task is unreachable",
                )
            }
            Some(id) if self.state.gone_agents.contains_key(id) => (
                TaskState::TaskGoneByOperator,
                "Reconciliation: Task is gone",
            ),
            Some(_) | None => (TaskState::TaskUnknown, "Reconciliation: Task is unknown"),
        };
        let aware = self
            .framework(framework)
            .is_some_and(|f| f.is_capable_of(PartitionAware));
        let status = MasterStatus {
            state: if aware { state } else { TaskState::TaskLost },
            reason: task_status::Reason::Reconciliation,
            message: message.to_owned(),
            unreachable_time,
        };
        let update = master_update(step, framework, agent, &asked.task_id, None, &status);
        let notice = Notice::Update(Box::new(update), None);
        self.notify(step, framework, notice);
    }
}
