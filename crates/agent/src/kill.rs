//! Ending single tasks.

use meseta_proto::internal;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{KillPolicy, TaskId, TaskState};

use crate::agent::{Agent, Phase, Turn};
use crate::executors::{RunKey, ToExecutor};
use crate::records::ExecutorState;
use crate::task::{self, Verdict};

impl Agent {
    pub(crate) fn on_kill_task(&mut self, turn: &mut Turn<'_>, message: internal::KillTaskMessage) {
        if !matches!(self.phase, Phase::Disconnected | Phase::Running) {
            return;
        }
        let key = (message.framework_id, message.task_id);
        let Some(framework) = self.frameworks.get(&key.0).filter(|f| !f.terminating) else {
            return;
        };
        let Some(executor) = self.tasks.get(&key).cloned() else {
            let verdict = Verdict::new(
                task::dropped_for(Some(&framework.info)),
                Reason::ExecutorTerminated,
                "Cannot find executor",
            );
            self.report(turn, &key, None, &verdict);
            return;
        };
        self.kill_task(turn, &(key.0, executor), key.1, message.kill_policy);
    }

    pub(crate) fn kill_task(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        id: TaskId,
        policy: Option<KillPolicy>,
    ) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let state = executor.state;
        let is_queued = executor.queued_tasks.contains_key(&id);
        match state {
            // Its tasks end with it.
            ExecutorState::Terminating | ExecutorState::Terminated => {}
            ExecutorState::Registering | ExecutorState::Running if is_queued => {
                self.kill_queued(turn, key, &id);
                if state == ExecutorState::Running && !self.has_purpose(key) {
                    self.shut_down_executor(turn, key);
                }
            }
            ExecutorState::Registering | ExecutorState::Running => {
                if self.is_reachable(key) {
                    self.tell_executor(turn, key, ToExecutor::Kill(id, policy));
                } else if let Some(run) = self.runs.get_mut(key) {
                    run.kills.insert(id, policy);
                }
            }
        }
    }

    /// Ends a task that its executor was not given yet, and with it the rest of its group.
    fn kill_queued(&mut self, turn: &mut Turn<'_>, key: &RunKey, id: &TaskId) {
        let entry = self
            .runs
            .get(key)
            .and_then(|run| run.queue.values().find(|entry| entry.tasks.contains(id)))
            .cloned();
        let (tasks, message) = match entry {
            Some(entry) if entry.in_group => (
                entry.tasks,
                "A task within the task group was killed before delivery to the executor",
            ),
            _ => (vec![id.clone()], "Killed before delivery to the executor"),
        };
        let verdict = Verdict::new(
            TaskState::TaskKilled,
            Reason::TaskKilledDuringLaunch,
            message,
        );
        for task in tasks {
            self.report(turn, &(key.0.clone(), task), Some(&key.1), &verdict);
        }
    }
}
