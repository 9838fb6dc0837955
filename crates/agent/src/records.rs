//! What an agent knows of its frameworks, executors and tasks: its state and its readers' view at
//! once, in maps whose copies share what did not change.

use std::path::PathBuf;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use meseta_machine::StreamId;
use meseta_proto::Upid;
use meseta_proto::v1::{
    ContainerId, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, Task, TaskId, TaskInfo,
    framework_info::capability,
};

/// A framework with executors on this agent, or with memories of some.
#[derive(Debug, Clone)]
pub struct Framework {
    /// With its id.
    pub info: Arc<FrameworkInfo>,
    /// The old driver's process; `None` for frameworks on the HTTP API.
    pub pid: Option<Upid>,
    /// Whether the master has ended it and its executors are being shut down.
    pub terminating: bool,
    /// Executors that have, or are about to have, a container.
    pub executors: OrdMap<ExecutorId, Arc<Executor>>,
    /// Ended executors, oldest first, bounded.
    pub completed_executors: Vector<Arc<Executor>>,
}

/// An executor's life.
///
/// ```text
/// Registering ──SUBSCRIBE──▶ Running ──shutdown──▶ Terminating ──exit──▶ Terminated
///      └───────────────────────┴────────exit──────────────────────────────▲
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExecutorState {
    /// Its container was asked for, or survived the agent; it has not subscribed yet.
    Registering,
    /// It has subscribed.
    Running,
    /// It was told to shut down, or its container is being destroyed.
    Terminating,
    /// Nothing of it runs; it waits for the last acknowledgements of its tasks' updates.
    Terminated,
}

/// One run of an executor.
#[derive(Debug, Clone)]
pub struct Executor {
    /// With its framework's id.
    pub info: Arc<ExecutorInfo>,
    /// Whether the agent made it up for a task that is a plain command.
    pub is_command_executor: bool,
    /// This run's container.
    pub container_id: ContainerId,
    /// The sandbox.
    pub directory: PathBuf,
    /// The user whom it runs as, if that is not the agent's.
    pub user: Option<String>,
    /// How far it is.
    pub state: ExecutorState,
    /// The container's first process, once it runs.
    pub process: Option<Process>,
    /// Its event stream while it is subscribed.
    pub stream: Option<StreamId>,
    /// Containers inside of its own, running or ended, until they are removed.
    pub containers: OrdMap<ContainerId, Arc<NestedContainer>>,
    /// Tasks that wait for the executor to subscribe.
    pub queued_tasks: OrdMap<TaskId, Arc<TaskInfo>>,
    /// Tasks that the executor was given, not terminal.
    pub launched_tasks: OrdMap<TaskId, Arc<Task>>,
    /// Tasks that ended, with updates still to be acknowledged by the framework.
    pub terminated_tasks: OrdMap<TaskId, Arc<Task>>,
    /// Tasks that ended and are acknowledged, oldest first, bounded.
    pub completed_tasks: Vector<Arc<Task>>,
}

/// A container inside of an executor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedContainer {
    /// Its id, which says what it is in.
    pub container_id: ContainerId,
    /// The sandbox.
    pub directory: PathBuf,
    /// The user whom it runs as, if that is not the agent's.
    pub user: Option<String>,
    /// How far it is.
    pub state: NestedState,
    /// The container's first process, once it runs.
    pub process: Option<Process>,
    /// The folders of other containers in its sandbox: names of links, and where they lead.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Whether it lives only as long as who has asked for it listens, and no longer than the agent.
    pub is_session: bool,
}

impl NestedContainer {
    /// Whether nothing of it runs any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, NestedState::Ended(_))
    }
}

/// A nested container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NestedState {
    /// It was asked for.
    Starting,
    /// Its program runs.
    Running,
    /// It is being destroyed.
    Ending,
    /// Nothing of it runs any more. With the raw wait status, if anybody knows it.
    Ended(Option<i32>),
}

/// A process of the operating system, told apart from later ones of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, by the kernel's count.
    pub start_time: u64,
}

impl Framework {
    /// The framework's id.
    pub fn id(&self) -> FrameworkId {
        self.info.id.clone().unwrap_or_default()
    }

    /// Whether the framework declared a capability.
    pub fn has_capability(&self, wanted: capability::Type) -> bool {
        has_capability(&self.info, wanted)
    }
}

/// Whether a framework declared a capability.
pub(crate) fn has_capability(info: &FrameworkInfo, wanted: capability::Type) -> bool {
    info.capabilities.iter().any(|c| c.r#type() == wanted)
}

impl Executor {
    /// The executor's id.
    pub fn id(&self) -> &ExecutorId {
        &self.info.executor_id
    }

    /// The framework that the executor belongs to.
    pub fn framework_id(&self) -> FrameworkId {
        self.info.framework_id.clone().unwrap_or_default()
    }
}
