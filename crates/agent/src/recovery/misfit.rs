//! Executors and tasks for which an agent that has less than it had has no room any more.

use std::sync::Arc;

use meseta_proto::v1::Resource;
use meseta_proto::v1::task_status::Reason;
use meseta_resources::Resources;

use crate::agent::{Agent, Turn};
use crate::executors::RunKey;
use crate::records::{Executor, ExecutorState};
use crate::task::{self, Verdict};

impl Agent {
    /// Ends what does not fit into the agent's resources. Only a change of them makes that possible.
    pub(super) fn end_misfits(&mut self, turn: &mut Turn<'_>) {
        let mut free = self.total.clone();
        let mut misfits = Vec::new();
        for framework in self.frameworks.values() {
            for executor in framework.executors.values() {
                if executor.state == ExecutorState::Terminated {
                    continue;
                }
                let used = used_by(executor);
                // What is shared is not used up, and what is lent was never the agent's own.
                let own = used.non_revocable().non_shared();
                if free.contains(&own) && self.total.contains(&used.non_revocable().shared()) {
                    free = &free - &own;
                } else {
                    misfits.push((framework.id(), executor.id().clone()));
                }
            }
        }
        for key in misfits {
            self.end_misfit(turn, &key);
        }
    }

    fn end_misfit(&mut self, turn: &mut Turn<'_>, key: &RunKey) {
        let framework = self.frameworks.get(&key.0).map(|f| Arc::clone(&f.info));
        let verdict = Verdict::new(
            task::gone_for(framework.as_deref()),
            Reason::ResourcesUnknown,
            "The agent came back with resources that do not hold the task's any more",
        );
        match self.runs.get_mut(key) {
            Some(run) if run.is_unstarted => {
                run.is_unstarted = false;
                run.end = Some(verdict);
                self.on_executor_ended(turn, key, None);
            }
            Some(_) | None => self.give_up_on_executor(turn, key, verdict),
        }
    }
}

fn used_by(executor: &Executor) -> Resources {
    let queued = executor
        .queued_tasks
        .values()
        .flat_map(|task| &task.resources);
    let launched = executor
        .launched_tasks
        .values()
        .flat_map(|task| &task.resources);
    // What a command executor needs is counted as its task's.
    let own = executor.info.resources.iter();
    let own = own.filter(|_| !executor.is_command_executor);
    let all: Vec<Resource> = queued.chain(launched).chain(own).cloned().collect();
    // They were valid when they were admitted.
    Resources::from_v1(&all).unwrap_or_default().unallocate()
}
