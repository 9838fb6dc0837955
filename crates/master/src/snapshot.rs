use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use meseta_allocator::Quota;
use meseta_proto::v1::allocator::InverseOfferStatus;
use meseta_proto::v1::maintenance::Schedule;
use meseta_proto::v1::{
    AgentId, FrameworkId, InverseOffer, MachineId, MasterInfo, Offer, OfferId, TimeInfo,
};

use crate::config::Config;
use crate::maintenance::MachineKey;
use crate::metrics::Metrics;
use crate::records::{
    AgentRecord, Deactivation, FrameworkRecord, RecoveredAgent, UnreachableAgent,
};

/// Everything that readers may see, at one moment. Cloning takes constant time: the maps are
/// persistent and the records shared.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the master was told at its start.
    pub config: Arc<Config>,
    /// How the master presents itself.
    pub master_info: Arc<MasterInfo>,
    /// The moment, since the Unix epoch.
    pub time: Duration,
    /// Registered agents.
    pub agents: OrdMap<AgentId, Arc<AgentRecord>>,
    /// Agents of the registry that have not come back to this master yet.
    pub recovered_agents: OrdMap<AgentId, RecoveredAgent>,
    /// Agents that were given up.
    pub unreachable_agents: OrdMap<AgentId, UnreachableAgent>,
    /// Agents that an operator declared gone for ever, and when.
    pub gone_agents: OrdMap<AgentId, TimeInfo>,
    /// Agents of which operators want nothing offered, registered or not.
    pub deactivations: OrdMap<AgentId, Deactivation>,
    /// Frameworks that are not completed.
    pub frameworks: OrdMap<FrameworkId, Arc<FrameworkRecord>>,
    /// The latest completed frameworks; the oldest come first.
    pub completed_frameworks: Vector<Arc<FrameworkRecord>>,
    /// Offers that are neither answered nor rescinded.
    pub offers: OrdMap<OfferId, Arc<Offer>>,
    /// When machines will be away.
    pub schedule: Arc<Schedule>,
    /// The machines of the schedule that are away just now.
    pub down_machines: OrdMap<MachineKey, MachineId>,
    /// Inverse offers that are neither answered nor rescinded.
    pub inverse_offers: OrdMap<OfferId, Arc<InverseOffer>>,
    /// What frameworks have answered when they were asked to leave agents.
    pub inverse_answers: OrdMap<AgentId, OrdMap<FrameworkId, InverseOfferStatus>>,
    /// What operators have guaranteed to roles, and where they have limited them.
    pub quotas: OrdMap<String, Quota>,
    /// The weights that operators have given to roles; others count as 1.
    pub weights: OrdMap<String, f64>,
    /// For how many agents the frameworks of each role have declined something, added up.
    pub offer_filters: OrdMap<Arc<str>, usize>,
    /// How many operators watch by event streams.
    pub watchers: usize,
    /// Counters.
    pub metrics: Metrics,
}

/// A snapshot to render later. Two are the same when they were taken at once.
#[derive(Debug, Clone)]
pub struct Moment(pub Arc<Snapshot>);

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
