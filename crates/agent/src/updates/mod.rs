//! Status updates: from executors and the agent itself to the frameworks, each once, in order,
//! and again until it is acknowledged.
//!
//! An update is durable before its executor is told that it was received, and stays so until the
//! framework has acknowledged it.

mod stream;

use std::sync::Arc;

pub(crate) use stream::{Acknowledged, Received, StreamKey, Streams};

use meseta_machine::is_uuid;
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{ExecutorId, NetworkInfo, Task, TaskState, TaskStatus, network_info};
use meseta_proto::{Upid, internal};
use prost::Message as _;

use crate::agent::{Agent, Phase, Timer, Turn};
use crate::executors::{RunKey, ToExecutor};
use crate::limits::{MAX_LAST_WORD_BYTES, UPDATE_RETRY_MAX, UPDATE_RETRY_MIN};
use crate::records::{Executor, ExecutorState, has_capability};
use crate::recovery::facts::{Change, TaskFact, task_key};
use crate::sandbox::is_valid_id;
use crate::task::{self, Verdict};

/// What became of an executor's update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is durable, or of no consequence; the executor has been told that it was received.
    Kept,
    /// There is no room for it now.
    Full,
}

/// What an update does to the record of its task.
enum Effect {
    /// The agent knows of no such task at this executor.
    Unknown,
    /// The task takes the new state.
    Change,
    /// The task is over already.
    Ignored,
}

impl Agent {
    pub(crate) fn is_registered(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Takes an update that the agent itself makes.
    pub(crate) fn report(
        &mut self,
        turn: &mut Turn<'_>,
        key: &StreamKey,
        executor: Option<&ExecutorId>,
        verdict: &Verdict,
    ) {
        let uuid = self.entropy.uuid_bytes();
        let status = verdict.status(turn.now, uuid, self.id(), &key.1, executor);
        let owner = self.tasks.get(key).map(|e| (key.0.clone(), e.clone()));
        self.take_update(turn, key, owner.as_ref(), status);
    }

    /// Takes an update that an executor sends, and tells it so.
    pub(crate) fn take_executor_update(
        &mut self,
        turn: &mut Turn<'_>,
        from: &RunKey,
        mut status: TaskStatus,
    ) -> Taken {
        let key = (from.0.clone(), status.task_id.clone());
        if self.frameworks.get(&from.0).is_some_and(|f| f.terminating) {
            // Nobody is left to hear of it, so the executor need not wait for that either.
            let uuid = status.uuid().to_vec();
            self.tell_executor(turn, from, ToExecutor::Acknowledged(key.1, uuid));
            return Taken::Kept;
        }
        let owner = self.tasks.get(&key).cloned();
        if !self.is_credible(from, owner.as_ref(), &status) {
            self.counters.invalid_status_updates += 1;
            return Taken::Kept;
        }
        status.source = Some(Source::Executor.into());
        status.agent_id = self.id().cloned();
        status.timestamp.get_or_insert(turn.now.unix_seconds());
        let uuid = status.uuid().to_vec();
        let is_over = self.executor(from).is_some_and(|e| {
            let completed = &e.completed_tasks;
            owner.is_none() && completed.iter().any(|t| t.task_id == key.1)
        });
        let taken = if is_over {
            Taken::Kept
        } else if !self.has_room(&key, owner.as_ref(), &status) {
            Taken::Full
        } else {
            let owner = owner.map(|e| (key.0.clone(), e));
            self.take_update(turn, &key, owner.as_ref(), status)
        };
        if taken == Taken::Kept {
            self.tell_executor(turn, from, ToExecutor::Acknowledged(key.1, uuid));
        }
        taken
    }

    /// Whether there is room for an executor's update.
    fn has_room(&self, key: &StreamKey, owner: Option<&ExecutorId>, status: &TaskStatus) -> bool {
        if owner.is_none() && !self.updates.admits_stranger(key) {
            return false;
        }
        let length = status.encoded_len();
        let is_last_word = owner.is_some() && status.state().is_terminal();
        (is_last_word && length <= MAX_LAST_WORD_BYTES) || self.updates.has_room(&key.0, length)
    }

    /// Whether an update is one that this executor may send: for this agent, and not of another
    /// executor's task.
    fn is_credible(&self, from: &RunKey, owner: Option<&ExecutorId>, status: &TaskStatus) -> bool {
        let ours = status.agent_id.is_none() || status.agent_id.as_ref() == self.id();
        // Of tasks that the agent was never given, the executor makes up the ids.
        let own = match owner {
            Some(owner) => *owner == from.1,
            None => is_valid_id(status.task_id.as_str()),
        };
        is_uuid(status.uuid()) && ours && own
    }

    fn take_update(
        &mut self,
        turn: &mut Turn<'_>,
        key: &StreamKey,
        owner: Option<&RunKey>,
        mut status: TaskStatus,
    ) -> Taken {
        self.apply_drain(key, &mut status);
        let executor = owner.and_then(|run| self.executor(run));
        let effect = executor.map_or(Effect::Unknown, |e| Effect::of(e, &status));
        if matches!(effect, Effect::Ignored) {
            return Taken::Kept;
        }
        if let Some(executor) = executor
            && status.source() == Source::Executor
            && executor.state != ExecutorState::Terminated
        {
            self.add_container_status(executor, &mut status);
        }
        let update = internal::StatusUpdate {
            framework_id: key.0.clone(),
            executor_id: status.executor_id.clone(),
            slave_id: status.agent_id.clone(),
            timestamp: status.timestamp.unwrap_or_default(),
            uuid: status.uuid.clone(),
            status: status.clone(),
            latest_state: None,
        };
        let mut changes = Vec::new();
        let received = self.updates.receive(key, update, &mut changes);
        match received {
            Received::Full => return Taken::Full,
            Received::Duplicate => return Taken::Kept,
            Received::Head | Received::Queued => {}
        }
        self.counters.valid_status_updates += 1;
        if let (Effect::Change, Some(owner)) = (effect, owner) {
            self.change_task(owner, &status, &mut changes);
        }
        turn.persist(changes);
        if received == Received::Head {
            self.forward(turn, key, UPDATE_RETRY_MIN);
        }
        Taken::Kept
    }

    /// While the agent is drained, what ends tasks is the draining, whoever carries it out.
    fn apply_drain(&self, key: &StreamKey, status: &mut TaskStatus) {
        use meseta_proto::v1::framework_info::capability::Type::PartitionAware;
        let Some(drain) = &self.drain else {
            return;
        };
        let state = status.state();
        if !matches!(state, TaskState::TaskKilling | TaskState::TaskKilled) {
            return;
        }
        status.set_reason(Reason::AgentDraining);
        let framework = self.frameworks.get(&key.0);
        let knows_gone = framework.is_some_and(|f| has_capability(&f.info, PartitionAware));
        // A task that is only being killed still has its resources: it is not gone yet.
        if drain.mark_gone() && knows_gone && state == TaskState::TaskKilled {
            status.set_state(TaskState::TaskGoneByOperator);
        }
    }

    /// What the agent knows of the container, beside what the executor says.
    fn add_container_status(&self, executor: &Executor, status: &mut TaskStatus) {
        let container = status.container_status.get_or_insert_default();
        container
            .container_id
            .get_or_insert_with(|| executor.container_id.clone());
        let id = container.container_id.as_ref();
        // A task of a group runs in a container of its own.
        let nested = id.and_then(|id| executor.containers.get(id));
        let process = nested.map_or(executor.process, |nested| nested.process);
        container.executor_pid = container.executor_pid.or(process.map(|it| it.pid));
        if container.network_infos.is_empty() {
            container.network_infos.push(NetworkInfo {
                ip_addresses: vec![network_info::IpAddress {
                    ip_address: Some(self.config.pid.address.ip().to_string()),
                    ..network_info::IpAddress::default()
                }],
                ..NetworkInfo::default()
            });
        }
    }

    /// Takes the latest update of a task once more, of which nothing else is left.
    pub(crate) fn repeat_update(
        &mut self,
        turn: &mut Turn<'_>,
        key: &StreamKey,
        executor: &ExecutorId,
        status: TaskStatus,
    ) {
        let update = internal::StatusUpdate {
            framework_id: key.0.clone(),
            executor_id: Some(executor.clone()),
            slave_id: self.id().cloned(),
            timestamp: status.timestamp.unwrap_or_default(),
            uuid: status.uuid.clone(),
            status,
            latest_state: None,
        };
        let mut changes = Vec::new();
        // It is sent when the agent is registered.
        self.updates.receive(key, update, &mut changes);
        turn.persist(changes);
    }

    fn change_task(&mut self, owner: &RunKey, status: &TaskStatus, changes: &mut Vec<Change>) {
        let id = &status.task_id;
        if let Some(run) = self.runs.get_mut(owner) {
            run.confirm(id);
        }
        let Some(executor) = self.executor_mut(owner) else {
            return;
        };
        let mut task = if let Some(info) = executor.queued_tasks.remove(id) {
            task::staging(&info, &owner.0)
        } else if let Some(task) = executor.launched_tasks.remove(id) {
            Arc::unwrap_or_clone(task)
        } else {
            return;
        };
        task::record_status(&mut task, status);
        let fact = TaskFact::launched(owner, &task);
        changes.push(Change::put(task_key(&owner.0, &owner.1, id), &fact));
        let task = Arc::new(task);
        if status.state().is_terminal() {
            executor.terminated_tasks.insert(id.clone(), task);
            self.count_ended_task(status.state());
        } else {
            executor.launched_tasks.insert(id.clone(), task);
        }
    }

    fn count_ended_task(&mut self, state: TaskState) {
        let counter = match state {
            TaskState::TaskFinished => &mut self.counters.tasks_finished,
            TaskState::TaskFailed => &mut self.counters.tasks_failed,
            TaskState::TaskKilled => &mut self.counters.tasks_killed,
            TaskState::TaskLost => &mut self.counters.tasks_lost,
            TaskState::TaskGone => &mut self.counters.tasks_gone,
            _ => return,
        };
        *counter += 1;
    }

    /// Sends the head of a stream to the master, and again after `wait` and longer and longer.
    fn forward(&mut self, turn: &mut Turn<'_>, key: &StreamKey, wait: std::time::Duration) {
        if !self.is_registered() {
            return;
        }
        let Some(mut update) = self.updates.head(key).cloned() else {
            return;
        };
        if let Some(task) = self.task_mut(key) {
            task.status_update_state = Some(update.status.state);
            task.status_update_uuid.clone_from(&update.uuid);
            update.latest_state = Some(task.state);
        }
        let message = internal::StatusUpdateMessage {
            update,
            // Acknowledgements come here first.
            pid: Some(self.config.pid.to_string()),
        };
        self.send_to_master(turn, &message);
        self.retry_intervals.insert(key.clone(), wait);
        let at = turn.after(wait);
        self.timers.set(Timer::UpdateRetry(key.clone()), at);
    }

    fn task_mut(&mut self, key: &StreamKey) -> Option<&mut Task> {
        let owner = (key.0.clone(), self.tasks.get(key)?.clone());
        let executor = self.executor_mut(&owner)?;
        let tasks = if executor.launched_tasks.contains_key(&key.1) {
            &mut executor.launched_tasks
        } else {
            &mut executor.terminated_tasks
        };
        tasks.get_mut(&key.1).map(Arc::make_mut)
    }

    pub(crate) fn retry_update(&mut self, turn: &mut Turn<'_>, key: &StreamKey) {
        let last = self.retry_intervals.get(key).copied();
        let wait = last
            .unwrap_or(UPDATE_RETRY_MIN)
            .saturating_mul(2)
            .min(UPDATE_RETRY_MAX);
        self.forward(turn, key, wait);
    }

    /// Sends every update that waits: the agent is registered again.
    pub(crate) fn resume_updates(&mut self, turn: &mut Turn<'_>) {
        for key in self.updates.waiting() {
            self.forward(turn, &key, UPDATE_RETRY_MIN);
        }
    }

    /// Sends every update of a framework that waits: it is back.
    pub(crate) fn resume_updates_of(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &meseta_proto::v1::FrameworkId,
    ) {
        for key in self.updates.waiting_of(framework) {
            self.forward(turn, &key, UPDATE_RETRY_MIN);
        }
    }

    pub(crate) fn on_acknowledgement(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        message: internal::StatusUpdateAcknowledgementMessage,
    ) {
        // Old drivers acknowledge directly; but of masters only the leader's word counts.
        let leads = self.registration.master() == Some(from) && self.is_registered();
        if from.id.starts_with("master") && !leads {
            return;
        }
        let key = (message.framework_id, message.task_id);
        let mut changes = Vec::new();
        let outcome = self.updates.acknowledge(&key, &message.uuid, &mut changes);
        if outcome != Acknowledged::Unexpected {
            self.forget_retry(&key);
        }
        match outcome {
            Acknowledged::Unexpected => {}
            Acknowledged::Drained => {
                // Of a task that is none here, nothing that would end the stream need ever come.
                if !self.tasks.contains_key(&key) {
                    self.updates.remove(&key, &mut changes);
                }
                // Without it the next life would send the update again, and nothing in between.
                turn.note(changes);
            }
            Acknowledged::Next => {
                // First written: after the next update this one must not come again. After the loss
                // of the machine's power it may, and its task's end with it.
                turn.record(changes);
                self.forward(turn, &key, UPDATE_RETRY_MIN);
            }
            Acknowledged::Ended => self.complete_task(turn, &key, changes),
        }
    }

    pub(crate) fn forget_retry(&mut self, key: &StreamKey) {
        self.retry_intervals.remove(key);
        self.timers.cancel(&Timer::UpdateRetry(key.clone()));
    }

    /// The framework knows how the task ended: it is over.
    fn complete_task(&mut self, turn: &mut Turn<'_>, key: &StreamKey, mut changes: Vec<Change>) {
        use crate::limits::MAX_COMPLETED_TASKS;
        let Some(owner) = self.tasks.get(key).map(|e| (key.0.clone(), e.clone())) else {
            turn.note(changes);
            return;
        };
        let mut has_ended = false;
        let (mut has_served, mut is_kept_for_more) = (false, false);
        if let Some(executor) = self.executor_mut(&owner)
            && let Some(task) = executor.terminated_tasks.remove(&key.1)
        {
            has_served = task::was_reported(&task);
            is_kept_for_more = has_served && !executor.is_command_executor;
            executor.completed_tasks.push_back(task);
            if executor.completed_tasks.len() > MAX_COMPLETED_TASKS {
                executor.completed_tasks.pop_front();
            }
            has_ended = executor.state == ExecutorState::Terminated && Self::is_complete(executor);
            self.tasks.remove(key);
            changes.push(Change::forget(task_key(&owner.0, &owner.1, &key.1)));
        }
        if let Some(run) = self.runs.get_mut(&owner)
            && has_served
            && !std::mem::replace(&mut run.has_served, true)
            && is_kept_for_more
        {
            changes.extend(self.executor_change(&owner));
        }
        turn.note(changes);
        if has_ended {
            self.remove_executor(turn, &owner);
            self.remove_framework_when_idle(turn, &key.0);
        }
    }
}

impl Effect {
    fn of(executor: &Executor, status: &TaskStatus) -> Self {
        let id = &status.task_id;
        if executor.queued_tasks.contains_key(id) {
            // An executor cannot say anything of a task that it was not given.
            match status.source() {
                Source::Executor => Self::Ignored,
                Source::Agent | Source::Master => Self::Change,
            }
        } else if executor.launched_tasks.contains_key(id) {
            Self::Change
        } else if executor.terminated_tasks.contains_key(id) {
            Self::Ignored
        } else {
            Self::Unknown
        }
    }
}
