//! Updates of tasks on their way up, and their acknowledgements on the way down.

use std::time::Duration;

use meseta_proto::internal::{StatusUpdateAcknowledgementMessage, StatusUpdateMessage};
use meseta_proto::v1::{FrameworkId, TaskState, TaskStatus};
use meseta_proto::{Wire, decode};

use super::pending::Pending;
use super::{TASK, TaskKey, Traces, UpdateKey};

/// What is said of an update.
#[derive(Debug)]
pub(crate) enum Word {
    /// It comes.
    Comes(UpdateKey, TaskState),
    /// The scheduler has taken note of it.
    Acknowledged(UpdateKey),
}

impl Word {
    /// What a message says, if it is of an update.
    pub(super) fn of_message(name: &str, body: &[u8]) -> Option<Self> {
        if let Some(StatusUpdateMessage { update, .. }) = read(name, body) {
            let word = Self::comes(&update.framework_id, &update.status, update.uuid);
            return Some(word);
        }
        let StatusUpdateAcknowledgementMessage {
            framework_id,
            task_id,
            uuid,
            ..
        } = read(name, body)?;
        let key = TaskKey::new(&framework_id, &task_id);
        Some(Self::Acknowledged((key, uuid)))
    }

    /// An update with an id that stands in it or beside it.
    pub(super) fn comes(
        framework: &FrameworkId,
        status: &TaskStatus,
        uuid: Option<Vec<u8>>,
    ) -> Self {
        let key = TaskKey::new(framework, &status.task_id);
        let uuid = uuid.or_else(|| status.uuid.clone()).unwrap_or_default();
        Self::Comes((key, uuid), status.state())
    }
}

/// A message, if it is of that type.
pub(super) fn read<M: Wire>(name: &str, body: &[u8]) -> Option<M> {
    (name == M::SCHEMA.name).then(|| decode(body).ok())?
}

/// The updates that were passed on and are not acknowledged.
#[derive(Debug)]
pub(super) struct Updates {
    /// The name of the span in which an update is passed on.
    passing: &'static str,
    /// The name of the span from then on until it is acknowledged.
    waiting: &'static str,
    pending: Pending<UpdateKey, (Duration, TaskState)>,
}

impl Updates {
    pub(super) fn new(passing: &'static str, waiting: &'static str) -> Self {
        Self {
            passing,
            waiting,
            pending: Pending::default(),
        }
    }

    /// Makes the span of what was said, in a step that began and ended at these times. Gives the task and its
    /// state when an update has gone its whole way.
    pub(super) fn on_word(
        &mut self,
        word: Word,
        (start, end): (Duration, Duration),
        traces: &Traces,
    ) -> Option<(TaskKey, TaskState)> {
        match word {
            Word::Comes(update, state) => {
                let (key, uuid) = &update;
                let span = key.span(self.passing, TASK, start, end).of_update(uuid);
                traces.send(span.with("mesos.task.state", state.as_str_name()));
                self.pending.begin(update, (end, state));
                None
            }
            Word::Acknowledged(update) => {
                let (told, state) = self.pending.end(&update)?;
                let (key, uuid) = update;
                let span = key.span(self.waiting, TASK, told, end).of_update(&uuid);
                traces.send(span.with("mesos.task.state", state.as_str_name()));
                Some((key, state))
            }
        }
    }
}
