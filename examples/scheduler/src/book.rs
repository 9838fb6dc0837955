//! All tasks, and the rules that they live by. Nothing here waits, writes or calls: what is to be
//! written down and who is to be called is told to `service.rs`.

use std::collections::BTreeMap;

use meseta_framework::resource::{Remainder, cpus, mem};
use meseta_framework::v1::{AgentId, Offer, TaskId, TaskInfo, TaskState, TaskStatus};

use crate::limits::{CPUS, MAX_COMMAND, MAX_TASKS, MEM};
use crate::task::Task;

#[cfg(test)]
mod tests;

#[derive(Debug, Default)]
pub(crate) struct Book {
    tasks: BTreeMap<u64, Task>,
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the command is empty")]
    Empty,
    #[error("the command has {0} bytes, and {MAX_COMMAND} are the most")]
    TooLong(usize),
    #[error("the command contains a NUL character, which no program can be given")]
    Nul,
    #[error("{MAX_TASKS} tasks wait or run already; kill one, or wait until one has ended")]
    Full,
    #[error("there is no task {0}")]
    Unknown(u64),
    #[error("task {0} has ended already: {state}", state = .1.as_str_name())]
    Ended(u64, TaskState),
}

/// What a status update asks for, before it is acknowledged.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Consequence {
    /// Has changed and is to be written down.
    pub(crate) changed: Option<Task>,
    /// Was to die and lives: a call to kill it may have been lost.
    pub(crate) to_kill: Option<(TaskId, AgentId)>,
}

impl Book {
    pub(crate) fn new(tasks: impl IntoIterator<Item = Task>) -> Self {
        Self {
            tasks: tasks.into_iter().map(|task| (task.id, task)).collect(),
        }
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// Whether offers are wanted.
    pub(crate) fn is_any_waiting(&self) -> bool {
        self.tasks().any(Task::is_waiting)
    }

    /// Takes a command, and forgets a task that ended long ago if there are too many.
    pub(crate) fn schedule(&mut self, command: String) -> Result<(Task, Option<u64>), Refusal> {
        if command.trim().is_empty() {
            return Err(Refusal::Empty);
        }
        if command.len() > MAX_COMMAND {
            return Err(Refusal::TooLong(command.len()));
        }
        if command.contains('\0') {
            return Err(Refusal::Nul);
        }
        let forgotten = if self.tasks.len() < MAX_TASKS {
            None
        } else {
            let oldest = self.tasks().find(|task| task.has_ended());
            Some(oldest.ok_or(Refusal::Full)?.id)
        };
        // The last one is never forgotten, so no number is given twice.
        let id = self.tasks.keys().next_back().map_or(1, |last| last + 1);
        if let Some(forgotten) = &forgotten {
            self.tasks.remove(forgotten);
        }
        let task = Task::new(id, command);
        self.tasks.insert(id, task.clone());
        Ok((task, forgotten))
    }

    /// Fits waiting tasks into an offer, the oldest first.
    pub(crate) fn launch(&mut self, offer: &Offer) -> Vec<(Task, TaskInfo)> {
        let mut left = Remainder::of(offer);
        let mut launches = Vec::new();
        for task in self.tasks.values_mut().filter(|task| task.is_waiting()) {
            let Some(resources) = left.take(&[cpus(CPUS), mem(MEM)]) else {
                break;
            };
            let info = task.launch(&offer.agent_id, resources);
            launches.push((task.clone(), info));
        }
        launches
    }

    /// Takes note of a status update, or of an answer to reconciliation.
    pub(crate) fn on_status(&mut self, status: &TaskStatus) -> Consequence {
        let number = Task::number_in(&status.task_id);
        let task = number.and_then(|number| self.tasks.get_mut(&number));
        // What is said of a former launch, or of a task that is forgotten, changes nothing.
        let Some(task) = task.filter(|task| task.is_launched() && task.task_id() == status.task_id)
        else {
            return Consequence::default();
        };
        let has_changed = task.enter(status);
        // In other states nobody could kill it, and the master would only answer with the state.
        let can_be_killed = matches!(
            task.state,
            TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskRunning
        );
        Consequence {
            to_kill: task_to_call(task).filter(|_| task.is_to_die && can_be_killed),
            changed: has_changed.then(|| task.clone()),
        }
    }

    /// Wants a task to end. It is to be written down, and then to be killed if it runs.
    pub(crate) fn kill(&mut self, id: u64) -> Result<(Task, Option<(TaskId, AgentId)>), Refusal> {
        let task = self.tasks.get_mut(&id).ok_or(Refusal::Unknown(id))?;
        if task.has_ended() {
            return Err(Refusal::Ended(id, task.state));
        }
        task.is_to_die = true;
        if task.is_waiting() {
            task.die();
        }
        Ok((task.clone(), task_to_call(task)))
    }

    /// Holds for certain of no launched task that it still runs.
    pub(crate) fn doubt(&mut self) {
        for task in self.tasks.values_mut() {
            task.is_confirmed = false;
        }
    }

    /// The launched tasks of which nothing is certain, to be asked for.
    pub(crate) fn unconfirmed(&self) -> Vec<(TaskId, Option<AgentId>)> {
        let tasks = self.tasks().filter(|task| !task.is_confirmed);
        let called = tasks.filter_map(task_to_call);
        called.map(|(task, agent)| (task, Some(agent))).collect()
    }
}

/// What a launched task and its agent are called.
fn task_to_call(task: &Task) -> Option<(TaskId, AgentId)> {
    let agent = task.agent_id.as_deref().filter(|_| task.is_launched())?;
    Some((task.task_id(), agent.into()))
}
