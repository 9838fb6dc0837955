use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use meseta_proto::v1::{AgentInfo, DrainConfig, FrameworkId, MasterInfo, Operation, Resource};

use meseta_resources::Resources;

use crate::config::Config;
use crate::metrics::Counters;
use crate::records::Framework;

/// An agent at one moment, for its readers. Copies share everything.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the agent was told at its start.
    pub config: Arc<Config>,
    /// Hostname, port, resources, attributes; with the id once a master has given one.
    pub info: Arc<AgentInfo>,
    /// Whether a master has the agent registered, as far as the agent knows.
    pub registered: bool,
    /// When the agent started, since the Unix epoch.
    pub start_time: Duration,
    /// The leading master, as detected.
    pub master: Option<Arc<MasterInfo>>,
    /// Frameworks with something on this agent.
    pub frameworks: OrdMap<FrameworkId, Arc<Framework>>,
    /// Frameworks that are over, oldest first, bounded.
    pub completed_frameworks: Vector<Arc<Framework>>,
    /// Reservations and volumes that schedulers made.
    pub checkpointed_resources: Arc<Vec<Resource>>,
    /// Everything that the agent has: its own resources with reservations and volumes applied.
    pub total_resources: Arc<Vec<Resource>>,
    /// Operations whose outcome the framework has not acknowledged.
    pub operations: OrdMap<Vec<u8>, Arc<Operation>>,
    /// What is lent and can be lent beyond that, all of it revocable.
    pub oversubscribed: Option<Arc<Resources>>,
    /// Set while the agent is drained.
    pub drain: Option<Arc<DrainConfig>>,
    /// When this life of the agent began to drain it, since the Unix epoch.
    pub drain_start: Option<Duration>,
    /// Folders that are to be removed.
    pub pending_removals: usize,
    /// How old they may become.
    pub max_allowed_age: Duration,
    /// How long it took until every executor was back or given up, once that is over.
    pub recovery_time: Option<Duration>,
    /// What has been counted.
    pub counters: Counters,
}
