//! Facts that were lost, or that make no sense.

use std::collections::{BTreeMap, BTreeSet};

use meseta_proto::v1::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::facts::{COPY, Change, TASK};
use crate::Action;
use crate::agent::{Agent, Turn};
use crate::executors::RunKey;

pub(super) type Fact = (String, Vec<u8>);

/// The facts, with copies only where the first of the two is missing, and under its key.
pub(super) fn without_copies(facts: &[Fact]) -> Vec<(&str, &[u8])> {
    let mut single: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for (key, bytes) in facts {
        match key.strip_prefix(COPY) {
            Some(of) => drop(single.entry(of).or_insert(bytes)),
            None => drop(single.insert(key, bytes)),
        }
    }
    single.into_iter().collect()
}

/// What is wrong, for an agent that does not go on then.
pub(super) fn sentence(unreadable: &[Fact], damaged: &BTreeSet<String>) -> String {
    let keys = unreadable.iter().map(|(key, _)| key).chain(damaged);
    let keys: Vec<&str> = keys.map(String::as_str).collect();
    format!(
        "Failed to perform recovery: what the agent kept can't be read: {}. Without --strict it goes \
         on with the rest",
        keys.join(", ")
    )
}

impl Agent {
    pub(super) fn set_aside(turn: &mut Turn<'_>, unreadable: Vec<Fact>) {
        if unreadable.is_empty() {
            return;
        }
        let keys = unreadable.iter().map(|(key, _)| key.clone());
        let changes = keys.map(Change::forget).collect();
        turn.act(Action::SetAside { facts: unreadable });
        turn.persist(changes);
    }

    /// Ends tasks of which nothing is known but their names, and tells again how tasks ended of whose
    /// updates none is left.
    pub(super) fn make_up_for_damage(&mut self, turn: &mut Turn<'_>, damaged: &BTreeSet<String>) {
        for key in damaged {
            if let Some((key, task)) = task_of(key)
                && let Some(run) = self.runs.get_mut(&key)
            {
                run.kills.insert(task, None);
                // It had one task at least, so that it is not one to be sent away unheard.
                run.has_served = true;
            }
        }
        if !damaged.is_empty() {
            self.repeat_lost_ends(turn);
        }
    }

    /// The update that ends a task is there for as long as the task is.
    fn repeat_lost_ends(&mut self, turn: &mut Turn<'_>) {
        let mut lost = Vec::new();
        for framework in self.frameworks.values() {
            for executor in framework.executors.values() {
                for task in executor.terminated_tasks.values() {
                    let key = (framework.id(), task.task_id.clone());
                    if self.updates.head(&key).is_none() {
                        lost.push((key, executor.id().clone(), task.statuses.last().cloned()));
                    }
                }
            }
        }
        for (key, executor, status) in lost {
            if let Some(status) = status {
                self.repeat_update(turn, &key, &executor, status);
            }
        }
    }

    /// Ends containers that run and that nothing is known of: what was kept of their frameworks is
    /// lost.
    pub(super) fn end_strangers(&self, turn: &mut Turn<'_>, alive: &BTreeSet<ContainerId>) {
        let roots: BTreeSet<&ContainerId> = alive.iter().map(ContainerId::root).collect();
        for root in roots {
            if !self.containers.contains_key(root) {
                turn.act(Action::Destroy {
                    container_id: root.clone(),
                });
            }
        }
    }
}

/// The executor and the task whose fact has this key.
fn task_of(key: &str) -> Option<(RunKey, TaskId)> {
    let mut parts = key.strip_prefix(TASK)?.splitn(3, '/');
    let framework = FrameworkId::from(parts.next()?);
    let executor = ExecutorId::from(parts.next()?);
    Some(((framework, executor), TaskId::from(parts.next()?)))
}
