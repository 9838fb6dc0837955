//! What the master knows, as readers see it: immutable records behind `Arc`, in persistent maps.

use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet, Vector};
use meseta_machine::StreamId;
use meseta_proto::Upid;
use meseta_proto::v1::scheduler::OfferConstraints;
use meseta_proto::v1::{
    AgentId, AgentInfo, DrainInfo, DrainState, ExecutorId, ExecutorInfo, FrameworkId,
    FrameworkInfo, OfferId, Operation, OperationId, Task, TaskId, TimeInfo, agent_info,
    framework_info,
};
use meseta_resources::Resources;

use crate::CompletedTask;

/// Names an operation between master and agent: a UUID of 16 bytes.
pub type OperationKey = Vec<u8>;

/// An agent that is registered, connected or not.
#[derive(Debug, Clone)]
pub struct AgentRecord {
    /// The id that a master gave it.
    pub id: AgentId,
    /// What it said about itself; resources in post-refinement form.
    pub info: Arc<AgentInfo>,
    /// Where it listens.
    pub pid: Upid,
    /// Whether the link to it holds.
    pub connected: bool,
    /// Whether its resources are offered.
    pub active: bool,
    /// The version of its program.
    pub version: String,
    /// What its program can do.
    pub capabilities: Vec<agent_info::Capability>,
    /// When it registered, since the Unix epoch.
    pub registered_time: Duration,
    /// When it last came back, since the Unix epoch.
    pub reregistered_time: Option<Duration>,
    /// Everything it has.
    pub total: Resources,
    /// What dynamic reservations and volumes it has on disk.
    pub checkpointed: Resources,
    /// What tasks and executors take, by framework.
    pub used: OrdMap<FrameworkId, Resources>,
    /// What lies in offers.
    pub offered: Resources,
    /// Names the state of its resources, so that it can tell stale launches: 16 bytes.
    pub resource_version: Option<Vec<u8>>,
    /// Its tasks; each is in its framework's active tasks.
    pub tasks: OrdSet<(FrameworkId, TaskId)>,
    /// Its executors other than those that agents make for command tasks.
    pub executors: OrdMap<(FrameworkId, ExecutorId), Arc<ExecutorInfo>>,
    /// The offers of its resources.
    pub offers: OrdSet<OfferId>,
    /// Operations on its resources that are not over, or whose end is not acknowledged.
    pub operations: OrdMap<OperationKey, Arc<Operation>>,
    /// Tasks that were to be killed; told again when the agent comes back.
    pub kills: OrdSet<(FrameworkId, TaskId)>,
    /// The number of its `slave-observer(N)`.
    pub observer: u64,
}

impl AgentRecord {
    /// Whether the agent's program can do something.
    pub fn is_capable_of(&self, capability: agent_info::capability::Type) -> bool {
        self.capabilities.iter().any(|c| c.r#type() == capability)
    }

    /// What is taken, by all frameworks.
    pub fn used_total(&self) -> Resources {
        self.used.values().sum()
    }
}

/// An agent of which the registry knows that this master has not seen it.
#[derive(Debug, Clone)]
pub struct RecoveredAgent {
    /// What it said about itself when it was admitted.
    pub info: Arc<AgentInfo>,
}

/// An agent that was lost.
#[derive(Debug, Clone)]
pub struct UnreachableAgent {
    /// What it said about itself when it was last admitted.
    pub info: Arc<AgentInfo>,
    /// When it was given up.
    pub since: TimeInfo,
}

/// That an operator wants nothing offered of an agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deactivation {
    /// How it is emptied, if it is, and whether it has been.
    pub drain: Option<Arc<DrainInfo>>,
    /// When this master first told the agent so, since the Unix epoch.
    pub drain_start: Option<Duration>,
}

impl Deactivation {
    /// Whether the agent is not empty yet, as far as the master knows.
    pub fn is_draining(&self) -> bool {
        let drain = self.drain.as_ref();
        drain.is_some_and(|drain| drain.state() == DrainState::Draining)
    }
}

/// How a framework's scheduler is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Through its event stream.
    Http(StreamId),
    /// Through the libprocess messages of the old driver.
    Driver(Upid),
    /// Not at all: its scheduler is away, or this master learned of it from an agent.
    None,
}

impl Endpoint {
    /// The event stream, for schedulers that have one.
    pub fn stream(&self) -> Option<&StreamId> {
        match self {
            Self::Http(stream) => Some(stream),
            Self::Driver(_) | Self::None => None,
        }
    }

    /// The process id, for schedulers that use the old driver.
    pub fn pid(&self) -> Option<&Upid> {
        match self {
            Self::Driver(pid) => Some(pid),
            Self::Http(_) | Self::None => None,
        }
    }
}

/// A framework.
#[derive(Debug, Clone)]
pub struct FrameworkRecord {
    /// The id that a master gave it.
    pub id: FrameworkId,
    /// What its scheduler said about it, with the id.
    pub info: Arc<FrameworkInfo>,
    /// How its scheduler is reached.
    pub endpoint: Endpoint,
    /// Whether its scheduler has subscribed to this master at all; if not, agents told of it.
    pub recovered: bool,
    /// Whether it gets offers.
    pub active: bool,
    /// Roles in which it wants no offers.
    pub suppressed_roles: OrdSet<String>,
    /// Which agents it wants offers of.
    pub offer_constraints: Option<Arc<OfferConstraints>>,
    /// When it subscribed first, since the Unix epoch.
    pub registered_time: Duration,
    /// When it subscribed last, if again.
    pub reregistered_time: Option<Duration>,
    /// When it ended.
    pub unregistered_time: Option<Duration>,
    /// Its tasks that are not over, or whose end is not acknowledged.
    pub tasks: OrdMap<TaskId, Arc<Task>>,
    /// Its latest tasks that are over; the oldest come first.
    pub completed_tasks: Vector<Arc<CompletedTask>>,
    /// Its latest tasks on agents that are unreachable; the oldest come first.
    pub unreachable_tasks: Vector<Arc<Task>>,
    /// Its executors by agent.
    pub executors: OrdMap<AgentId, OrdMap<ExecutorId, Arc<ExecutorInfo>>>,
    /// The offers that it holds.
    pub offers: OrdSet<OfferId>,
    /// Its operations, and on which agents; each is in the books of that.
    pub operations: OrdMap<OperationKey, AgentId>,
    /// Those of which it wants to hear.
    pub operation_ids: OrdMap<OperationId, OperationKey>,
    /// What its tasks and executors take, by agent.
    pub used: OrdMap<AgentId, Resources>,
    /// What lies in its offers, by agent.
    pub offered: OrdMap<AgentId, Resources>,
}

impl FrameworkRecord {
    /// Whether its scheduler is there.
    pub fn connected(&self) -> bool {
        self.endpoint != Endpoint::None
    }

    /// Whether its scheduler can deal with something.
    pub fn is_capable_of(&self, capability: framework_info::capability::Type) -> bool {
        self.info
            .capabilities
            .iter()
            .any(|c| c.r#type() == capability)
    }

    /// The roles in which it takes offers.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let multi_role = self.is_capable_of(framework_info::capability::Type::MultiRole);
        let single = (!multi_role).then(|| self.info.role());
        let several = multi_role.then(|| self.info.roles.iter().map(String::as_str));
        single.into_iter().chain(several.into_iter().flatten())
    }

    /// What its tasks and executors take, on all agents.
    pub fn used_total(&self) -> Resources {
        self.used.values().sum()
    }

    /// What lies in its offers, of all agents.
    pub fn offered_total(&self) -> Resources {
        self.offered.values().sum()
    }
}
