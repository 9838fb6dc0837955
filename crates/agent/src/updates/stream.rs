use std::collections::{BTreeMap, VecDeque};

use meseta_proto::internal::StatusUpdate;
use meseta_proto::v1::{FrameworkId, TaskId, TaskState};
use prost::Message as _;

use crate::limits::{MAX_PENDING_BYTES, MAX_PENDING_UPDATES, MAX_REMEMBERED_UPDATES, MAX_STREAMS};
use crate::recovery::facts::{Change, StreamFact, stream_key, update_key};

/// Which task's stream.
pub(crate) type StreamKey = (FrameworkId, TaskId);

/// The updates that frameworks have not acknowledged: one stream a task, in the order in which
/// they came, of which only the head is ever on its way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams {
    streams: BTreeMap<StreamKey, Stream>,
    /// How long all updates are that wait for a framework.
    bytes: BTreeMap<FrameworkId, usize>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Stream {
    /// With the number under which each is kept; the head is first.
    pending: VecDeque<(u64, StatusUpdate)>,
    /// The number of the next update.
    next: u64,
    /// Identities of the latest acknowledged updates, oldest first.
    acknowledged: VecDeque<Vec<u8>>,
}

/// What became of an update that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is the head: it may be sent.
    Head,
    /// Others are before it.
    Queued,
    /// It was received before.
    Duplicate,
    /// There are too many; nothing was kept of it.
    Full,
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// There is a next update, now the head.
    Next,
    /// Nothing is left to send for now.
    Drained,
    /// The task's terminal update is acknowledged: the stream is gone.
    Ended,
    /// It is not for the head: a repetition, or for something never sent.
    Unexpected,
}

impl Streams {
    /// Takes an update at the end of its task's stream.
    pub(crate) fn receive(
        &mut self,
        key: &StreamKey,
        update: StatusUpdate,
        changes: &mut Vec<Change>,
    ) -> Received {
        let stream = self.streams.entry(key.clone()).or_default();
        if stream.knows(update.uuid()) {
            return Received::Duplicate;
        }
        if stream.pending.len() >= MAX_PENDING_UPDATES && !update.status.state().is_terminal() {
            return Received::Full;
        }
        let number = stream.next;
        stream.next += 1;
        changes.push(Change::put(update_key(key, number), &update));
        *self.bytes.entry(key.0.clone()).or_default() += update.encoded_len();
        stream.pending.push_back((number, update));
        if stream.pending.len() == 1 {
            Received::Head
        } else {
            Received::Queued
        }
    }

    /// Takes an acknowledgement.
    pub(crate) fn acknowledge(
        &mut self,
        key: &StreamKey,
        uuid: &[u8],
        changes: &mut Vec<Change>,
    ) -> Acknowledged {
        let Some(stream) = self.streams.get_mut(key) else {
            return Acknowledged::Unexpected;
        };
        let Some((number, head)) = stream.pending.pop_front_if(|(_, head)| head.uuid() == uuid)
        else {
            return Acknowledged::Unexpected;
        };
        release(&mut self.bytes, &key.0, &head);
        if head.status.state().is_terminal() {
            // What an executor reports after its task's end is nobody's business any more.
            changes.push(Change::forget(update_key(key, number)));
            self.remove(key, changes);
            return Acknowledged::Ended;
        }
        if stream.acknowledged.len() == MAX_REMEMBERED_UPDATES {
            stream.acknowledged.pop_front();
        }
        stream.acknowledged.push_back(uuid.to_vec());
        changes.push(Change::forget(update_key(key, number)));
        changes.push(Change::put(stream_key(key), &stream.fact(key)));
        if stream.pending.is_empty() {
            Acknowledged::Drained
        } else {
            Acknowledged::Next
        }
    }

    /// Whether there is room for the stream of a task that the agent does not know.
    pub(crate) fn admits_stranger(&self, key: &StreamKey) -> bool {
        self.streams.contains_key(key) || self.streams.len() < MAX_STREAMS
    }

    /// Whether there is room for an update of that length.
    pub(crate) fn has_room(&self, framework: &FrameworkId, length: usize) -> bool {
        let taken = self.bytes.get(framework).copied().unwrap_or_default();
        taken.saturating_add(length) <= MAX_PENDING_BYTES
    }

    /// The update that waits for its acknowledgement.
    pub(crate) fn head(&self, key: &StreamKey) -> Option<&StatusUpdate> {
        self.streams
            .get(key)?
            .pending
            .front()
            .map(|(_, update)| update)
    }

    /// Whether the end of a task is among the updates that wait.
    pub(crate) fn holds_end(&self, key: &StreamKey) -> bool {
        let pending = self.streams.get(key).map(|stream| &stream.pending);
        pending.is_some_and(|pending| {
            let mut states = pending.iter().map(|(_, update)| update.status.state());
            states.any(TaskState::is_terminal)
        })
    }

    /// The streams of a framework that have something to send.
    pub(crate) fn waiting_of(&self, framework: &FrameworkId) -> Vec<StreamKey> {
        self.streams
            .range((framework.clone(), TaskId::default())..)
            .take_while(|((f, _), _)| f == framework)
            .filter(|(_, stream)| !stream.pending.is_empty())
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Every stream that has something to send.
    pub(crate) fn waiting(&self) -> Vec<StreamKey> {
        self.streams
            .iter()
            .filter(|(_, stream)| !stream.pending.is_empty())
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Every stream, sending or not.
    pub(crate) fn all(&self) -> Vec<StreamKey> {
        self.streams.keys().cloned().collect()
    }

    /// Forgets a stream with all that is in it.
    pub(crate) fn remove(&mut self, key: &StreamKey, changes: &mut Vec<Change>) {
        if let Some(stream) = self.streams.remove(key) {
            for (number, update) in stream.pending {
                release(&mut self.bytes, &key.0, &update);
                changes.push(Change::forget(update_key(key, number)));
            }
            if !stream.acknowledged.is_empty() {
                changes.push(Change::forget(stream_key(key)));
            }
        }
    }

    /// The streams of a framework, sending or not.
    pub(crate) fn of(&self, framework: &FrameworkId) -> Vec<StreamKey> {
        self.streams
            .range((framework.clone(), TaskId::default())..)
            .take_while(|((f, _), _)| f == framework)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Puts back what an earlier life of the agent kept of a stream.
    pub(crate) fn recover_acknowledged(&mut self, fact: StreamFact) {
        let stream = self
            .streams
            .entry((fact.framework_id, fact.task_id))
            .or_default();
        stream.next = stream.next.max(fact.next);
        stream.acknowledged = fact.acknowledged.into();
    }

    /// Puts back an update that an earlier life of the agent kept. They come in order.
    pub(crate) fn recover_pending(&mut self, number: u64, update: StatusUpdate) {
        let key = (update.framework_id.clone(), update.status.task_id.clone());
        let stream = self.streams.entry(key).or_default();
        stream.next = stream.next.max(number + 1);
        let framework = update.framework_id.clone();
        *self.bytes.entry(framework).or_default() += update.encoded_len();
        stream.pending.push_back((number, update));
    }
}

/// An update waits no more.
fn release(bytes: &mut BTreeMap<FrameworkId, usize>, framework: &FrameworkId, it: &StatusUpdate) {
    if let Some(taken) = bytes.get_mut(framework) {
        debug_assert!(it.encoded_len() <= *taken, "what waited was counted");
        *taken = taken.saturating_sub(it.encoded_len());
        if *taken == 0 {
            bytes.remove(framework);
        }
    }
}

impl Stream {
    fn knows(&self, uuid: &[u8]) -> bool {
        self.pending.iter().any(|(_, update)| update.uuid() == uuid)
            || self.acknowledged.iter().any(|known| known == uuid)
    }

    fn fact(&self, key: &StreamKey) -> StreamFact {
        StreamFact {
            framework_id: key.0.clone(),
            task_id: key.1.clone(),
            next: self.next,
            acknowledged: self.acknowledged.iter().cloned().collect(),
        }
    }
}
