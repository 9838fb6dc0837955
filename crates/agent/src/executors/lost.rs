//! Tasks that were given to an executor and did not arrive: the agent died, or the connection broke.

use std::collections::BTreeMap;
use std::sync::Arc;

use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{TaskId, TaskState};

use crate::agent::{Agent, Turn};
use crate::executors::{Queued, RunKey, Unconfirmed};
use crate::recovery::facts::{Change, TaskFact, task_key};
use crate::task::{self, Verdict};

impl Agent {
    /// Puts tasks back into the queue that their executor knows nothing of, as it says when it
    /// subscribes: it is given them once more. A group of which it knows a part can't be given again;
    /// the others of it end.
    pub(crate) fn take_back_lost_launches(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        known: &[TaskId],
    ) {
        let (Some(executor), Some(run)) = (self.executor(key), self.runs.get(key)) else {
            return;
        };
        let mut again: BTreeMap<u64, Vec<(TaskId, Unconfirmed)>> = BTreeMap::new();
        let mut lost = Vec::new();
        for (id, task) in &executor.launched_tasks {
            if task.state() != TaskState::TaskStaging || known.contains(id) {
                continue;
            }
            match run.unconfirmed.get(id) {
                Some(given) if !self.is_known_in_part(key, given, known) => {
                    let entry = again.entry(given.position).or_default();
                    entry.push((id.clone(), given.clone()));
                }
                Some(_) | None => lost.push(id.clone()),
            }
        }
        for (position, tasks) in again {
            self.requeue(turn, key, position, tasks);
        }
        let framework = self.frameworks.get(&key.0).map(|f| Arc::clone(&f.info));
        let verdict = Verdict::new(
            task::dropped_for(framework.as_deref()),
            Reason::AgentRestarted,
            "Task launched during agent restart",
        );
        for id in lost {
            self.report(turn, &(key.0.clone(), id), Some(&key.1), &verdict);
        }
    }

    /// Whether the executor knows others of the task's group.
    fn is_known_in_part(&self, key: &RunKey, task: &Unconfirmed, known: &[TaskId]) -> bool {
        let others = self
            .runs
            .get(key)
            .into_iter()
            .flat_map(|run| &run.unconfirmed);
        task.in_group
            && others
                .filter(|(_, other)| other.position == task.position)
                .any(|(id, _)| known.contains(id))
    }

    fn requeue(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        position: u64,
        tasks: Vec<(TaskId, Unconfirmed)>,
    ) {
        let mut changes = Vec::new();
        for (id, task) in tasks {
            let fact = TaskFact::waiting(key, &task);
            changes.push(Change::put(task_key(&key.0, &key.1, &id), &fact));
            if let Some(executor) = self.executor_mut(key) {
                executor.launched_tasks.remove(&id);
                executor.queued_tasks.insert(id.clone(), task.info);
            }
            if let Some(run) = self.runs.get_mut(key) {
                run.unconfirmed.remove(&id);
                let entry = run.queue.entry(position).or_insert_with(|| Queued {
                    tasks: Vec::new(),
                    in_group: task.in_group,
                });
                entry.tasks.push(id);
            }
        }
        turn.note(changes);
    }
}
