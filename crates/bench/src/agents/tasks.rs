//! Emulated tasks and their status updates, of which one at a time is on its way until it is
//! acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use meseta_proto::internal::{
    ExitedExecutorMessage, KillTaskMessage, RunTaskGroupMessage, RunTaskMessage, StatusUpdate,
    StatusUpdateAcknowledgementMessage, StatusUpdateMessage,
};
use meseta_proto::v1::task_status::Source;
use meseta_proto::v1::{
    self, AgentId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo, TaskState,
    TaskStatus,
};

use super::{Fleet, Outgoing, Phase, new_uuid};
use crate::limits;

/// A task's name on its agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TaskKey {
    pub(super) framework: FrameworkId,
    pub(super) task: TaskId,
}

/// What is due later.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    End { agent: usize, key: TaskKey },
}

/// What somebody should have answered by now.
#[derive(Debug)]
pub(super) enum Unanswered {
    Registration(usize),
    Update {
        agent: usize,
        key: TaskKey,
        uuid: [u8; 16],
    },
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) framework: Arc<FrameworkInfo>,
    /// None for a command.
    pub(super) executor: Option<Arc<ExecutorInfo>>,
    name: String,
    resources: Vec<v1::Resource>,
    /// The newest state, acknowledged or not.
    state: TaskState,
    /// The first one is on its way; none is empty-handed after a terminal one.
    updates: VecDeque<Update>,
}

#[derive(Debug, Clone, Copy)]
struct Update {
    state: TaskState,
    uuid: [u8; 16],
}

impl Task {
    /// As its agent reports it.
    pub(super) fn to_v1(&self, key: &TaskKey, agent: &AgentId) -> v1::Task {
        let head = self.updates.front();
        v1::Task {
            name: self.name.clone(),
            task_id: key.task.clone(),
            framework_id: key.framework.clone(),
            executor_id: self.executor.as_ref().map(|info| info.executor_id.clone()),
            agent_id: agent.clone(),
            state: self.state.into(),
            resources: self.resources.clone(),
            status_update_state: head.map(|update| update.state.into()),
            status_update_uuid: head.map(|update| update.uuid.to_vec()),
            ..v1::Task::default()
        }
    }
}

impl Fleet {
    pub(super) fn on_run_task(
        &mut self,
        index: usize,
        message: RunTaskMessage,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let framework = Arc::new(message.framework);
        let executor = message.task.executor.clone().map(Arc::new);
        self.run(index, &framework, executor, message.task, now, out)
    }

    pub(super) fn on_run_task_group(
        &mut self,
        index: usize,
        message: RunTaskGroupMessage,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let framework = Arc::new(message.framework);
        let executor = Arc::new(message.executor);
        for task in message.task_group.tasks {
            let executor = Some(Arc::clone(&executor));
            self.run(index, &framework, executor, task, now, out)?;
        }
        Some(())
    }

    fn run(
        &mut self,
        index: usize,
        framework: &Arc<FrameworkInfo>,
        executor: Option<Arc<ExecutorInfo>>,
        info: TaskInfo,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let key = TaskKey {
            framework: framework.id.clone()?,
            task: info.task_id,
        };
        let task = Task {
            framework: Arc::clone(framework),
            executor,
            name: info.name,
            resources: info.resources,
            state: TaskState::TaskStaging,
            updates: VecDeque::new(),
        };
        let agent = self.agents.get_mut(index)?;
        agent.tasks.insert(key.clone(), task);
        self.tally.launched += 1;
        for state in self.shape.pattern.opening.clone() {
            self.update(index, &key, state, now, out)?;
        }
        if let Some(ending) = self.shape.pattern.ending {
            if self.shape.pattern.duration.is_zero() {
                self.update(index, &key, ending, now, out)?;
            } else {
                let at = now + self.shape.pattern.duration;
                self.due.enter(at, Due::End { agent: index, key });
            }
        }
        Some(())
    }

    /// A task enters a state, of which its framework is to learn.
    fn update(
        &mut self,
        index: usize,
        key: &TaskKey,
        state: TaskState,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let uuid = new_uuid(&mut self.random);
        let task = self.agents.get_mut(index)?.tasks.get_mut(key)?;
        if task.state.is_terminal() {
            return Some(());
        }
        task.state = state;
        task.updates.push_back(Update { state, uuid });
        if task.updates.len() == 1 {
            self.send_head(index, key, now, out)?;
        }
        Some(())
    }

    /// Sends the oldest update that is not acknowledged.
    fn send_head(
        &mut self,
        index: usize,
        key: &TaskKey,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let agent = self.agents.get(index)?;
        let id = agent.id.as_ref()?;
        let task = agent.tasks.get(key)?;
        let Update { state, uuid } = *task.updates.front()?;
        let message = self.status_update(index, id, key, task.state, state, uuid, now);
        out.push(self.shape.to_master(index, &message));
        self.tally.updates += 1;
        let what = Unanswered::Update {
            agent: index,
            key: key.clone(),
            uuid,
        };
        self.unanswered
            .push_back((now + limits::REPEAT_AFTER, what));
        Some(())
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    fn status_update(
        &self,
        index: usize,
        agent: &AgentId,
        key: &TaskKey,
        latest: TaskState,
        state: TaskState,
        uuid: [u8; 16],
        now: Duration,
    ) -> StatusUpdateMessage {
        let timestamp = self.shape.time_of_day(now);
        StatusUpdateMessage {
            update: StatusUpdate {
                framework_id: key.framework.clone(),
                executor_id: None,
                slave_id: Some(agent.clone()),
                status: TaskStatus {
                    task_id: key.task.clone(),
                    state: state.into(),
                    source: Some(Source::Executor.into()),
                    agent_id: Some(agent.clone()),
                    timestamp: Some(timestamp),
                    uuid: Some(uuid.to_vec()),
                    ..TaskStatus::default()
                },
                timestamp,
                uuid: Some(uuid.to_vec()),
                latest_state: Some(latest.into()),
            },
            // A master of Mesos ends when it is missing.
            pid: self.shape.pid(index).map(|pid| pid.to_string()),
        }
    }

    pub(super) fn on_acknowledgement(
        &mut self,
        index: usize,
        message: StatusUpdateAcknowledgementMessage,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let key = TaskKey {
            framework: message.framework_id,
            task: message.task_id,
        };
        let agent = self.agents.get_mut(index)?;
        // What is acknowledged twice is gone after the first time.
        let Some(task) = agent.tasks.get_mut(&key) else {
            return Some(());
        };
        let head = task.updates.front();
        let Some(acknowledged) = head.filter(|head| head.uuid[..] == message.uuid[..]) else {
            return Some(());
        };
        self.tally.acknowledged += 1;
        let ended = acknowledged.state.is_terminal();
        task.updates.pop_front();
        if ended {
            return self.forget(index, &key, out);
        }
        if task.updates.is_empty() {
            return Some(());
        }
        self.send_head(index, &key, now, out)
    }

    /// A task has ended and everybody knows. Its executor ends with the last of its tasks.
    fn forget(&mut self, index: usize, key: &TaskKey, out: &mut Vec<Outgoing>) -> Option<()> {
        let agent = self.agents.get_mut(index)?;
        let executor = agent.tasks.remove(key)?.executor;
        let Some(executor) = executor else {
            return Some(());
        };
        let same = |other: &ExecutorInfo| other.executor_id == executor.executor_id;
        let busy = agent.tasks.iter().any(|(other, task)| {
            other.framework == key.framework && task.executor.as_deref().is_some_and(same)
        });
        if !busy {
            let message = ExitedExecutorMessage {
                slave_id: agent.id.clone()?,
                framework_id: key.framework.clone(),
                executor_id: executor.executor_id.clone(),
                status: 0,
            };
            out.push(self.shape.to_master(index, &message));
        }
        Some(())
    }

    pub(super) fn on_kill(
        &mut self,
        index: usize,
        message: KillTaskMessage,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let key = TaskKey {
            framework: message.framework_id,
            task: message.task_id,
        };
        let agent = self.agents.get(index)?;
        if agent.tasks.contains_key(&key) {
            return self.update(index, &key, TaskState::TaskKilled, now, out);
        }
        // A standing task: it is on the master's books alone, so nothing of it is kept here.
        let id = agent.id.clone()?;
        let uuid = new_uuid(&mut self.random);
        let killed = TaskState::TaskKilled;
        let message = self.status_update(index, &id, &key, killed, killed, uuid, now);
        out.push(self.shape.to_master(index, &message));
        self.tally.updates += 1;
        Some(())
    }

    /// A framework is back: it gets what it has not acknowledged once more, and now.
    pub(super) fn resend(
        &mut self,
        index: usize,
        framework: &FrameworkId,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let agent = self.agents.get(index)?;
        let waiting: Vec<TaskKey> = agent
            .tasks
            .iter()
            .filter(|(key, task)| key.framework == *framework && !task.updates.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        for key in waiting {
            self.send_head(index, &key, now, out)?;
        }
        Some(())
    }

    pub(super) fn on_due(&mut self, due: Due, now: Duration, out: &mut Vec<Outgoing>) {
        let Due::End { agent, key } = due;
        if let Some(ending) = self.shape.pattern.ending {
            // A task that has been killed, or whose framework is gone, gets no further update.
            let _ = self.update(agent, &key, ending, now, out);
        }
    }

    /// Says something again, unless it has been answered since.
    pub(super) fn repeat(&mut self, what: Unanswered, now: Duration, out: &mut Vec<Outgoing>) {
        match what {
            Unanswered::Registration(index) => {
                let phase = self.agents.get(index).map(|agent| agent.phase);
                // A later question has a reminder of its own.
                let since = now.saturating_sub(limits::REPEAT_AFTER);
                if phase.is_some_and(|phase| matches!(phase, Phase::Asked { at } if at <= since)) {
                    self.tally.repeated += 1;
                    self.to_ask.push_back(index);
                }
            }
            Unanswered::Update { agent, key, uuid } => {
                let task = self.agents.get(agent).and_then(|a| a.tasks.get(&key));
                let head = task.and_then(|task| task.updates.front());
                if head.is_some_and(|head| head.uuid == uuid) {
                    self.tally.repeated += 1;
                    let _ = self.send_head(agent, &key, now, out);
                }
            }
        }
    }
}
