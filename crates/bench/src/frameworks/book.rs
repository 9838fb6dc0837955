//! What a crowd of frameworks sees, counted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use meseta_proto::v1::{AgentId, TaskState};

use crate::limits;
use crate::measure::Distribution;

/// Counts and times of all frameworks together.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) subscribed: Distribution,
    pub(crate) offers: u64,
    pub(crate) rescinded: u64,
    pub(crate) declined: u64,
    pub(crate) launched: u64,
    /// Updates by the state that they tell.
    pub(crate) states: BTreeMap<TaskState, u64>,
    /// Tasks of which the last update came.
    pub(crate) ended: u64,
    /// From ACCEPT to TASK_RUNNING.
    pub(crate) running: Distribution,
    /// From ACCEPT to the last update.
    pub(crate) completed: Distribution,
    /// From the last update of a task to the next offer of its agent.
    pub(crate) freed: Distribution,
    /// Answers to reconciliation.
    pub(crate) reconciled: u64,
    pub(crate) failures: u64,
    /// Calls by their answers' time.
    pub(crate) calls: Distribution,
    pub(crate) refused: u64,
    /// Streams that the master has ended.
    pub(crate) disconnected: u64,
    /// What the master refused, in its words; a few of many.
    pub(crate) sentences: Vec<String>,
    /// When something became free on agents that have not been offered since.
    pub(super) waiting: HashMap<AgentId, Duration>,
    /// Whether to measure the time from freed to offered again.
    pub(crate) watches_freed: bool,
}

impl Book {
    pub(crate) fn states(&self, state: TaskState) -> u64 {
        self.states.get(&state).copied().unwrap_or_default()
    }

    pub(crate) fn refuse(&mut self, sentence: String) {
        self.refused += 1;
        self.note(sentence);
    }

    pub(crate) fn note(&mut self, sentence: String) {
        if self.sentences.len() < limits::SENTENCES && !self.sentences.contains(&sentence) {
            self.sentences.push(sentence);
        }
    }

    /// Forgets the figures of a warm-up. What went wrong stays.
    pub(crate) fn start_anew(&mut self) {
        let before = std::mem::take(self);
        self.refused = before.refused;
        self.failures = before.failures;
        self.disconnected = before.disconnected;
        self.sentences = before.sentences;
        self.waiting = before.waiting;
        self.watches_freed = before.watches_freed;
    }
}
