use imbl::OrdMap;
use meseta_proto::v1::offer::operation;
use meseta_proto::v1::scheduler::{call, event};
use meseta_proto::v1::{FrameworkId, TaskState};

use crate::master::Master;

/// What one framework has done and was told, `master/frameworks/<name>/<id>/…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameworkCounts {
    /// Its calls by type.
    pub calls: OrdMap<call::Type, u64>,
    /// What it was told, by type.
    pub events: OrdMap<event::Type, u64>,
    /// What it did with offers, by type.
    pub operations: OrdMap<operation::Type, u64>,
    /// Its tasks that ended in each state.
    pub terminal_tasks: OrdMap<TaskState, u64>,
    /// Offers that it got.
    pub offers_sent: u64,
    /// Offers that it accepted.
    pub offers_accepted: u64,
    /// Offers that it declined.
    pub offers_declined: u64,
    /// Offers that were taken back.
    pub offers_rescinded: u64,
}

impl Master {
    /// Counts something of a framework that is in the books.
    pub(crate) fn count_of(&mut self, id: &FrameworkId, count: impl FnOnce(&mut FrameworkCounts)) {
        if self.state.frameworks.contains_key(id) {
            count(self.state.metrics.frameworks.entry(id.clone()).or_default());
        }
    }
}
