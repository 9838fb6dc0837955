use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use meseta_authentication::{Credential, TokenKey};
use meseta_proto::Upid;
use meseta_proto::v1::{Attribute, DomainInfo, Resource};

use crate::limits::ESTIMATE_INTERVAL;
use crate::{QosController, ResourceEstimator};

/// What an agent is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The agent's own process: `slave(1)@ip:port`, as others reach it.
    pub pid: Upid,
    /// The name that offers show.
    pub hostname: String,
    /// The Mesos version that the agent speaks, such as `1.11.0`.
    pub version: String,
    /// The root of every sandbox.
    pub work_dir: PathBuf,
    /// Everything that the machine offers, in post-refinement form (no `role`).
    pub resources: Vec<Resource>,
    /// What offers tell schedulers about the machine.
    pub attributes: Vec<Attribute>,
    /// The agent's place, if faults domains are in use.
    pub domain: Option<DomainInfo>,
    /// Every flag in effect, as `/flags` and `/state` show them.
    pub flags: BTreeMap<String, String>,
    /// What the agent proves to masters to know, if it is to authenticate at all.
    pub credential: Option<Credential>,
    /// The shortest time that an attempt to authenticate may take.
    pub authentication_timeout_min: Duration,
    /// The longest time that an attempt to authenticate may take.
    pub authentication_timeout_max: Duration,
    /// Half of the range above the shortest time in which the first attempt's is chosen at random;
    /// doubles with each retry.
    pub authentication_backoff_factor: Duration,
    /// Upper bound of the random wait before the first (re-)registration; doubles with each retry.
    pub registration_backoff_factor: Duration,
    /// How long a new executor may take to subscribe.
    pub executor_registration_timeout: Duration,
    /// How long executors have to resubscribe after the agent's restart.
    pub executor_reregistration_timeout: Duration,
    /// How often executors on the old driver are asked to come back, if more than once.
    pub executor_reregistration_retry_interval: Option<Duration>,
    /// How long an executor that was told to shut down may take, unless its `ExecutorInfo` says so.
    pub executor_shutdown_grace_period: Duration,
    /// How long executors wait for an agent that is away.
    pub recovery_timeout: Duration,
    /// How many ended executors of a framework the agent remembers for its readers.
    pub max_completed_executors_per_framework: usize,
    /// Whether tasks run as the user that they name.
    pub switch_user: bool,
    /// Replaces the environment that executors get beside Mesos's own variables.
    pub executor_environment_variables: Option<BTreeMap<String, String>>,
    /// The command executor: the path of a program, and its arguments without the name in front.
    pub command_executor: (PathBuf, Vec<String>),
    /// The executor of task groups: the path of a program, and its arguments without the name in front.
    pub default_executor: (PathBuf, Vec<String>),
    /// Where a sandbox appears inside a container that has an image.
    pub sandbox_directory: String,
    /// What to do with executors of the agent's former life.
    pub recover: Recover,
    /// What may have changed of the agent since its former life.
    pub reconfiguration_policy: ReconfigurationPolicy,
    /// Whether the agent ends, instead of going on with the rest, if something that it has kept can't be
    /// read.
    pub strict: bool,
    /// How long sandboxes are kept after their executor has ended, on an empty disk.
    pub gc_delay: Duration,
    /// The share of the disk that is to stay free: sandboxes go the sooner the less of it is.
    pub gc_disk_headroom: f64,
    /// How often the disk's use is looked at.
    pub disk_watch_interval: Duration,
    /// What finds out how much can be lent beyond the agent's resources, if any is.
    pub resource_estimator: Option<ResourceEstimator>,
    /// How often that is estimated.
    pub oversubscribed_resources_interval: Duration,
    /// What finds out when those who borrow are in the way of others.
    pub qos_controller: Option<QosController>,
    /// The shortest time from one such look to the next.
    pub qos_correction_interval_min: Duration,
    /// What the machine's kernel calls the time since it was started: numbers of processes mean
    /// nothing beyond it.
    pub boot_id: String,
    /// A unix socket of the executor API, if there is one.
    pub domain_socket: Option<PathBuf>,
    /// Whether executors on the HTTP API must prove who they are.
    pub authenticate_executors: bool,
    /// What signs the tokens by which executors prove it; without it they get none.
    pub executor_key: Option<TokenKey>,
    /// The address that programs on libprocess are to listen on, where the agent was told one.
    pub libprocess_ip: Option<String>,
}

/// What an agent does with live executors after its restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recover {
    /// Let them subscribe again.
    #[default]
    Reconnect,
    /// Kill them, for an upgrade that they would not survive.
    Cleanup,
}

/// What may change of an agent between two lives for it to be known by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReconfigurationPolicy {
    /// Nothing.
    Equal,
    /// It may have more than it had.
    Additive,
    /// Everything but its name. Tasks that it can no longer hold end.
    #[default]
    Any,
}

impl Config {
    /// A configuration with Mesos's defaults where Mesos has some.
    pub fn new(pid: Upid, work_dir: impl Into<PathBuf>) -> Self {
        Self {
            hostname: pid.address.ip().to_string(),
            pid,
            version: "1.11.0".into(),
            work_dir: work_dir.into(),
            resources: Vec::new(),
            attributes: Vec::new(),
            domain: None,
            flags: BTreeMap::new(),
            credential: None,
            authentication_timeout_min: Duration::from_secs(5),
            authentication_timeout_max: Duration::from_mins(1),
            authentication_backoff_factor: Duration::from_secs(1),
            registration_backoff_factor: Duration::from_secs(1),
            executor_registration_timeout: Duration::from_mins(1),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_reregistration_retry_interval: None,
            executor_shutdown_grace_period: Duration::from_secs(5),
            recovery_timeout: Duration::from_mins(15),
            max_completed_executors_per_framework: 150,
            switch_user: true,
            executor_environment_variables: None,
            command_executor: ("meseta".into(), vec!["command-executor".into()]),
            default_executor: ("meseta".into(), vec!["default-executor".into()]),
            sandbox_directory: "/mnt/mesos/sandbox".into(),
            recover: Recover::default(),
            reconfiguration_policy: ReconfigurationPolicy::default(),
            strict: false,
            gc_delay: Duration::from_hours(7 * 24),
            gc_disk_headroom: 0.1,
            disk_watch_interval: Duration::from_mins(1),
            resource_estimator: None,
            oversubscribed_resources_interval: ESTIMATE_INTERVAL,
            qos_controller: None,
            qos_correction_interval_min: Duration::ZERO,
            boot_id: String::new(),
            domain_socket: None,
            authenticate_executors: false,
            executor_key: None,
            libprocess_ip: None,
        }
    }
}
