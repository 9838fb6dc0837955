use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_allocator::Sorter;
use meseta_authentication::Authenticator;
use meseta_proto::v1::{Address, DomainInfo, MasterInfo, master_info};
use meseta_proto::{Upid, v1};

/// What a master is told once, at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The id of this run of the master: a UUID as text. Agents, frameworks and offers are named after it.
    pub id: String,
    /// The address that agents and schedulers have detected. They drop what comes from any other.
    pub pid: Upid,
    /// The name under which others reach this machine.
    pub hostname: String,
    /// The version that clients are told: three plain numbers, because clients parse them.
    pub version: String,
    /// The name of the cluster, for those who look at it.
    pub cluster: Option<String>,
    /// Where this machine stands.
    pub domain: Option<DomainInfo>,
    /// The rules.
    pub policy: Policy,
    /// Who may join as whom.
    pub authenticator: Authenticator,
    /// The flags as they were given and as `/flags` shows them.
    pub flags: BTreeMap<String, String>,
    /// When the process began, since the Unix epoch.
    pub start_time: Duration,
    /// When this master was elected, since the Unix epoch.
    pub elected_time: Duration,
}

/// The rules of a master, under the names of the flags that set them.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Policy {
    /// How long an agent may take to answer a ping, and so the time between two.
    pub agent_ping_timeout: Duration,
    /// How many pings in a row an agent may miss before it is unreachable.
    pub max_agent_ping_timeouts: u32,
    /// How long a disconnected or recovered agent has to register again.
    pub agent_reregister_timeout: Duration,
    /// How often agents that stay away are forgotten.
    pub registry_gc_interval: Duration,
    /// How long an unreachable or gone agent is remembered.
    pub registry_max_agent_age: Duration,
    /// How many unreachable agents are remembered, and how many gone ones.
    pub registry_max_agent_count: usize,
    /// How long resources stay away at least from a framework that declined them.
    pub allocation_interval: Duration,
    /// How long changes are collected before an allocation.
    pub allocation_delay: Duration,
    /// How long a scheduler may sit on an offer.
    pub offer_timeout: Option<Duration>,
    /// How many completed frameworks are remembered.
    pub max_completed_frameworks: usize,
    /// How many completed tasks are remembered for each framework.
    pub max_completed_tasks_per_framework: usize,
    /// How many unreachable tasks are remembered for each framework.
    pub max_unreachable_tasks_per_framework: usize,
    /// An agent's free resources are offered when they hold any of these sets of quantities.
    pub min_allocatable_resources: Vec<BTreeMap<String, f64>>,
    /// Whether frameworks may submit tasks that run as root.
    pub root_submissions: bool,
    /// The roles that frameworks may take; all if there is no list.
    pub roles: Option<BTreeSet<String>>,
    /// The weights of roles; 1 for those not named. What the registry has counts instead, if it has
    /// any.
    pub weights: BTreeMap<String, f64>,
    /// In which order roles that compete with each other are served.
    pub role_sorter: Sorter,
    /// In which order the frameworks of one role are served.
    pub framework_sorter: Sorter,
    /// Resources that do not count in shares.
    pub fair_sharing_excluded_resource_names: BTreeSet<String>,
    /// How long nothing is offered at most after a failover, while agents come back, if there are
    /// quotas.
    pub allocator_recovery_timeout: Duration,
    /// The fraction of agents whose return ends this waiting.
    pub allocator_agent_recovery_factor: f64,
    /// Whether agents' GPUs are kept for frameworks that ask for them.
    pub filter_gpu_resources: bool,
    /// How often a subscriber hears that its stream is alive.
    pub heartbeat_interval: Duration,
    /// Whether metrics tell of single frameworks.
    pub publish_per_framework_metrics: bool,
    /// How many operators may watch by event streams.
    pub max_operator_event_stream_subscribers: usize,
    /// Whether agents must say where they stand.
    pub require_agent_domain: bool,
    /// Who has to authenticate.
    pub authentication: AuthenticationPolicy,
}

/// Who has to authenticate, and in which time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationPolicy {
    /// Whether old drivers have to, by `--authenticate_frameworks`.
    pub frameworks: bool,
    /// Whether agents have to, by `--authenticate_agents`.
    pub agents: bool,
    /// How long it may take, by `--authentication_v0_timeout`.
    pub timeout: Duration,
}

impl Default for AuthenticationPolicy {
    fn default() -> Self {
        Self {
            frameworks: false,
            agents: false,
            timeout: Duration::from_secs(15),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let set = |name: &str, quantity| BTreeMap::from([(name.to_owned(), quantity)]);
        Self {
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_mins(10),
            registry_gc_interval: Duration::from_mins(15),
            registry_max_agent_age: Duration::from_hours(14 * 24),
            registry_max_agent_count: 100 * 1024,
            allocation_interval: Duration::from_secs(1),
            allocation_delay: Duration::from_millis(2),
            offer_timeout: None,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            min_allocatable_resources: vec![set("cpus", 0.01), set("mem", 32.0)],
            root_submissions: true,
            roles: None,
            weights: BTreeMap::new(),
            role_sorter: Sorter::Drf,
            framework_sorter: Sorter::Drf,
            fair_sharing_excluded_resource_names: BTreeSet::new(),
            allocator_recovery_timeout: Duration::from_mins(10),
            allocator_agent_recovery_factor: 0.8,
            filter_gpu_resources: true,
            heartbeat_interval: Duration::from_secs(15),
            publish_per_framework_metrics: true,
            max_operator_event_stream_subscribers: 1000,
            require_agent_domain: false,
            authentication: AuthenticationPolicy::default(),
        }
    }
}

impl Policy {
    /// Whether the role may be used.
    pub fn allows(&self, role: &str) -> bool {
        role == "*" || self.roles.as_ref().is_none_or(|roles| roles.contains(role))
    }

    /// How long an agent hears nothing from a dead master before it looks for another, and how
    /// long the master hears nothing from a dead agent.
    pub fn total_ping_timeout(&self) -> Duration {
        self.agent_ping_timeout
            .saturating_mul(self.max_agent_ping_timeouts)
    }
}

impl Config {
    /// A master with default rules.
    pub fn new(id: impl Into<String>, pid: Upid) -> Self {
        Self {
            id: id.into(),
            hostname: pid.address.ip().to_string(),
            pid,
            version: VERSION.to_owned(),
            cluster: None,
            domain: None,
            policy: Policy::default(),
            authenticator: Authenticator::refusing(),
            flags: BTreeMap::new(),
            start_time: Duration::ZERO,
            elected_time: Duration::ZERO,
        }
    }

    /// How the master presents itself to schedulers, agents and in the election.
    pub fn master_info(&self) -> MasterInfo {
        use master_info::capability::Type::{AgentDraining, AgentUpdate, QuotaV2};
        let address = self.pid.address;
        MasterInfo {
            id: self.id.clone(),
            // Network order, read as the little-endian number that C++ peers make of it.
            ip: u32::from_le_bytes(address.ip().octets()),
            port: u32::from(address.port()),
            pid: Some(self.pid.to_string()),
            hostname: Some(self.hostname.clone()),
            version: Some(self.version.clone()),
            address: Some(Address {
                hostname: Some(self.hostname.clone()),
                ip: Some(address.ip().to_string()),
                port: i32::from(address.port()),
            }),
            domain: self.domain.clone(),
            capabilities: [AgentUpdate, AgentDraining, QuotaV2]
                .map(|capability| v1::master_info::Capability {
                    r#type: Some(capability.into()),
                })
                .to_vec(),
        }
    }
}

/// The version of Mesos whose protocols are spoken.
pub const VERSION: &str = "1.11.0";
