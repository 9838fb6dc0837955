//! Status updates, from their making to their acknowledgement.

use std::collections::VecDeque;

use meseta_machine::{Entropy, Now};
use meseta_proto::v1::executor::call::Update;
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{ExecutorId, TaskInfo, TaskState, TaskStatus};

use super::checks::no_result;
use crate::limits::MAX_UNACKNOWLEDGED;

/// The updates that the agent has not acknowledged, in the order in which they were made.
#[derive(Debug)]
pub(super) struct Updates {
    executor_id: ExecutorId,
    pending: VecDeque<Pending>,
    any_acknowledged: bool,
}

#[derive(Debug)]
struct Pending {
    update: Update,
    /// On the present connection.
    sent: bool,
}

impl Updates {
    pub(super) fn new(executor_id: ExecutorId) -> Self {
        Self {
            executor_id,
            pending: VecDeque::new(),
            any_acknowledged: false,
        }
    }

    /// A status of the task, without what makes it an update.
    pub(super) fn status(
        &self,
        task: &TaskInfo,
        state: TaskState,
        reason: Option<Reason>,
        message: Option<&str>,
    ) -> TaskStatus {
        TaskStatus {
            task_id: task.task_id.clone(),
            state: state.into(),
            source: Some(Source::Executor.into()),
            reason: reason.map(Into::into),
            message: message.map(str::to_owned),
            executor_id: Some(self.executor_id.clone()),
            check_status: task
                .check
                .as_ref()
                .map(|check| Box::new(no_result(check.r#type()))),
            ..TaskStatus::default()
        }
    }

    /// A status of the running task that tells what a check found.
    pub(super) fn running(&self, task: &TaskInfo, reason: Reason) -> TaskStatus {
        self.status(task, TaskState::TaskRunning, Some(reason), None)
    }

    /// Makes an update of the status.
    pub(super) fn push(&mut self, mut status: TaskStatus, now: Now, entropy: &mut Entropy) {
        status.uuid = Some(entropy.uuid_bytes().to_vec());
        status.timestamp = Some(now.unix_seconds());
        self.pending.push_back(Pending {
            update: Update { status },
            sent: false,
        });
    }

    /// Whether nothing should be added that can wait, for nobody takes what is there.
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_UNACKNOWLEDGED
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// All updates, for a new connection; they then count as sent.
    pub(super) fn take_all(&mut self) -> Vec<Update> {
        for pending in &mut self.pending {
            pending.sent = true;
        }
        self.pending.iter().map(|p| p.update.clone()).collect()
    }

    /// The updates that this connection has not carried yet; they then count as sent.
    pub(super) fn take_unsent(&mut self) -> Vec<Update> {
        let unsent = self.pending.iter_mut().filter(|p| !p.sent);
        unsent
            .map(|pending| {
                pending.sent = true;
                pending.update.clone()
            })
            .collect()
    }

    pub(super) fn acknowledge(&mut self, uuid: &[u8]) {
        let before = self.pending.len();
        self.pending
            .retain(|p| p.update.status.uuid.as_deref() != Some(uuid));
        self.any_acknowledged |= self.pending.len() < before;
    }

    /// Whether the agent has the task on record.
    pub(super) fn any_acknowledged(&self) -> bool {
        self.any_acknowledged
    }

    /// Whether the end of a task waits for its acknowledgement.
    pub(super) fn any_terminal(&self) -> bool {
        self.pending.iter().any(|p| {
            matches!(
                p.update.status.state(),
                TaskState::TaskFinished | TaskState::TaskFailed | TaskState::TaskKilled
            )
        })
    }
}
