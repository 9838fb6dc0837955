//! The facts that an agent persists, by key. Ids are names of folders elsewhere and contain no
//! slash, so keys need no escaping.
//!
//! | key | fact |
//! |---|---|
//! | `agent`, `copy/agent` | its own description, with the id that a master gave it |
//! | `framework/<f>` | [`FrameworkFact`] |
//! | `executor/<f>/<e>` | [`ExecutorFact`] |
//! | `container/<f>/<e>/<container>` | [`NestedFact`] |
//! | `task/<f>/<e>/<t>` | [`TaskFact`] |
//! | `stream/<f>/<t>` | [`StreamFact`] |
//! | `update/<f>/<t>/<number>` | a status update that its framework has not acknowledged |
//! | `resources`, `copy/resources` | [`ResourcesFact`] |
//! | `operation/<uuid>` | [`OperationFact`] |
//! | `drain` | how the agent is being drained |

use meseta_proto::Upid;
use meseta_proto::internal::UpdateOperationStatusMessage;
use meseta_proto::v1::{
    ContainerId, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, Operation, Resource, Task,
    TaskId, TaskInfo,
};
use prost::Message;

use crate::records::{Framework, Process};
use crate::updates::StreamKey;

pub(crate) const AGENT: &str = "agent";
pub(crate) const RESOURCES: &str = "resources";
pub(crate) const DRAIN: &str = "drain";
pub(crate) const FRAMEWORK: &str = "framework/";
pub(crate) const EXECUTOR: &str = "executor/";
pub(crate) const NESTED: &str = "container/";
pub(crate) const TASK: &str = "task/";
pub(crate) const STREAM: &str = "stream/";
pub(crate) const UPDATE: &str = "update/";
pub(crate) const OPERATION: &str = "operation/";

/// Before the key of a fact that is kept twice: without it, all the others are of no use.
pub(crate) const COPY: &str = "copy/";

/// A key with its new bytes, or with `None` to forget it.
pub(crate) struct Change(pub(crate) String, pub(crate) Option<Vec<u8>>);

impl Change {
    pub(crate) fn put(key: String, fact: &impl Message) -> Self {
        Self(key, Some(fact.encode_to_vec()))
    }

    /// For a fact without which the others are of no use.
    pub(crate) fn put_twice(key: &str, fact: &impl Message) -> Vec<Self> {
        let bytes = fact.encode_to_vec();
        let copy = Self(format!("{COPY}{key}"), Some(bytes.clone()));
        vec![Self(key.to_owned(), Some(bytes)), copy]
    }

    pub(crate) fn forget(key: String) -> Self {
        Self(key, None)
    }

    pub(crate) fn forget_twice(key: &str) -> Vec<Self> {
        vec![
            Self(key.to_owned(), None),
            Self(format!("{COPY}{key}"), None),
        ]
    }
}

/// A framework with something on the agent.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FrameworkFact {
    #[prost(message, required, tag = "1")]
    pub(crate) info: FrameworkInfo,
    /// The old driver's process.
    #[prost(string, optional, tag = "2")]
    pub(crate) pid: Option<String>,
    /// The master has ended it.
    #[prost(bool, tag = "3")]
    pub(crate) terminating: bool,
}

impl FrameworkFact {
    /// The change that makes a framework's present state durable.
    pub(crate) fn change(framework: &Framework) -> Change {
        let fact = Self {
            info: (*framework.info).clone(),
            pid: pid_text(framework.pid.as_ref()),
            terminating: framework.terminating,
        };
        Change::put(framework_key(&framework.id()), &fact)
    }
}

/// An executor whose container may live.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExecutorFact {
    /// With the framework's id.
    #[prost(message, required, tag = "1")]
    pub(crate) info: ExecutorInfo,
    #[prost(bool, tag = "2")]
    pub(crate) is_command_executor: bool,
    #[prost(message, required, tag = "3")]
    pub(crate) container_id: ContainerId,
    #[prost(string, optional, tag = "4")]
    pub(crate) user: Option<String>,
    /// The container's first process, once it runs.
    #[prost(message, optional, tag = "5")]
    pub(crate) process: Option<ProcessFact>,
    /// The process of an executor on the old driver.
    #[prost(string, optional, tag = "6")]
    pub(crate) pid: Option<String>,
    /// Nothing of it runs any more; its tasks' updates wait for acknowledgements.
    #[prost(bool, tag = "7")]
    pub(crate) terminated: bool,
    /// It has reported of a task that is over and acknowledged.
    #[prost(bool, tag = "8")]
    pub(crate) has_served: bool,
    /// The machine's boot in which its container was asked for.
    #[prost(string, tag = "9")]
    pub(crate) boot_id: String,
}

/// A process of the operating system.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ProcessFact {
    #[prost(uint32, tag = "1")]
    pub(crate) pid: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) start_time: u64,
    /// The machine's boot that it belongs to.
    #[prost(string, tag = "3")]
    pub(crate) boot_id: String,
}

impl ProcessFact {
    pub(crate) fn new(process: Process, boot_id: &str) -> Self {
        Self {
            pid: process.pid,
            start_time: process.start_time,
            boot_id: boot_id.to_owned(),
        }
    }

    /// The process, unless the machine was started anew since.
    pub(crate) fn process(&self, boot_id: &str) -> Option<Process> {
        (self.boot_id == boot_id).then_some(Process {
            pid: self.pid,
            start_time: self.start_time,
        })
    }
}

/// A container inside of an executor's.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NestedFact {
    #[prost(string, tag = "1")]
    pub(crate) framework_id: String,
    #[prost(string, tag = "2")]
    pub(crate) executor_id: String,
    #[prost(message, required, tag = "3")]
    pub(crate) container_id: ContainerId,
    #[prost(string, optional, tag = "4")]
    pub(crate) user: Option<String>,
    /// The container's first process, once it runs.
    #[prost(message, optional, tag = "5")]
    pub(crate) process: Option<ProcessFact>,
    #[prost(bool, tag = "6")]
    pub(crate) has_ended: bool,
    /// How it has ended, if that is known.
    #[prost(sint32, optional, tag = "7")]
    pub(crate) status: Option<i32>,
    /// Folders of other containers in its sandbox.
    #[prost(message, repeated, tag = "8")]
    pub(crate) links: Vec<LinkFact>,
    #[prost(bool, tag = "9")]
    pub(crate) is_session: bool,
}

/// A link in a sandbox, and where it leads.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LinkFact {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) target: Vec<u8>,
}

/// A task: still queued, or in the executor's hands.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskFact {
    #[prost(string, tag = "1")]
    pub(crate) executor_id: String,
    /// Set while the executor has not reported of the task: it may have to be given once more.
    #[prost(message, optional, tag = "2")]
    pub(crate) queued: Option<TaskInfo>,
    /// Orders queued tasks; those of one group share it.
    #[prost(uint64, tag = "3")]
    pub(crate) position: u64,
    #[prost(bool, tag = "4")]
    pub(crate) in_group: bool,
    /// Set once the executor has been given the task.
    #[prost(message, optional, tag = "5")]
    pub(crate) task: Option<Task>,
    #[prost(string, tag = "6")]
    pub(crate) framework_id: String,
}

/// What a stream of updates remembers beside those that wait.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamFact {
    #[prost(message, required, tag = "1")]
    pub(crate) framework_id: FrameworkId,
    #[prost(message, required, tag = "2")]
    pub(crate) task_id: TaskId,
    #[prost(uint64, tag = "3")]
    pub(crate) next: u64,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) acknowledged: Vec<Vec<u8>>,
}

/// Reservations and volumes that schedulers made.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResourcesFact {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resources: Vec<Resource>,
}

/// An operation whose outcome has not been acknowledged.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OperationFact {
    #[prost(message, required, tag = "1")]
    pub(crate) operation: Operation,
    #[prost(message, optional, tag = "2")]
    pub(crate) update: Option<UpdateOperationStatusMessage>,
}

pub(crate) fn framework_key(framework: &FrameworkId) -> String {
    format!("{FRAMEWORK}{framework}")
}

pub(crate) fn executor_key(framework: &FrameworkId, executor: &ExecutorId) -> String {
    format!("{EXECUTOR}{framework}/{executor}")
}

/// No id of a container has a dot in it, which stands between them here.
pub(crate) fn nested_key(
    framework: &FrameworkId,
    executor: &ExecutorId,
    container: &ContainerId,
) -> String {
    format!("{NESTED}{framework}/{executor}/{container}")
}

pub(crate) fn task_key(framework: &FrameworkId, executor: &ExecutorId, task: &TaskId) -> String {
    format!("{TASK}{framework}/{executor}/{task}")
}

pub(crate) fn stream_key((framework, task): &StreamKey) -> String {
    format!("{STREAM}{framework}/{task}")
}

pub(crate) fn update_key((framework, task): &StreamKey, number: u64) -> String {
    format!("{UPDATE}{framework}/{task}/{number:016x}")
}

/// The number in an update's key.
pub(crate) fn update_number(key: &str) -> Option<u64> {
    let (_, number) = key.rsplit_once('/')?;
    u64::from_str_radix(number, 16).ok()
}

pub(crate) fn operation_key(uuid: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut key = String::from(OPERATION);
    for byte in uuid {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

pub(crate) fn pid_text(pid: Option<&Upid>) -> Option<String> {
    pid.map(ToString::to_string)
}
