//! Containers inside of executors' containers: those of a task group's tasks, of their checks, and
//! whatever else an executor starts by the agent's API.
//!
//! A nested container belongs to its executor's record and ends with it, or with the nested one that
//! it is in. How it ended is known until it is removed, also to a later life of the agent.
//!
//! ```text
//! Starting ──launched──▶ Running ──exited──▶ Ended ──removed, or forgotten──▶
//!     │                     └───kill───▶ Ending ───▲
//!     └──────kill or failure────────────────────────┘
//! ```
//!
//! [`calls`] is what is asked for, [`launch`] what a container is to be, and [`lifecycle`] what
//! becomes of it.

mod calls;
mod launch;
mod lifecycle;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

#[cfg(debug_assertions)]
use crate::records::Executor;
use meseta_endpoints::message;
use meseta_machine::{ContentType, Reply, RequestId};
use meseta_proto::v1::agent::{Response, response};
use meseta_proto::v1::{CommandInfo, ContainerId, ContainerInfo, tty_info};

/// A call of the agent's API about a container, valid in itself.
#[derive(Debug, Clone, PartialEq)]
pub enum ContainerCall {
    /// Start one.
    Launch {
        /// Its id, which says what it is in.
        container_id: ContainerId,
        /// What runs in it.
        command: Box<CommandInfo>,
        /// What it is to be like.
        container: Option<Box<ContainerInfo>>,
    },
    /// Start one with the caller's input and output, which ends when he goes.
    Session {
        /// Its id, which says what it is in.
        container_id: ContainerId,
        /// What runs in it.
        command: Box<CommandInfo>,
        /// What it is to be like.
        container: Option<Box<ContainerInfo>>,
        /// How its output is written.
        form: OutputForm,
    },
    /// Answer when it has ended.
    Wait {
        /// Which one.
        container_id: ContainerId,
        /// How to answer.
        answer: WaitAnswer,
    },
    /// Send it a signal.
    Kill {
        /// Which one.
        container_id: ContainerId,
        /// The signal's number.
        signal: i32,
    },
    /// Remove what is left of it.
    Remove {
        /// Which one.
        container_id: ContainerId,
    },
}

impl ContainerCall {
    /// The container that it is about.
    pub fn container_id(&self) -> &ContainerId {
        match self {
            Self::Launch { container_id, .. }
            | Self::Session { container_id, .. }
            | Self::Wait { container_id, .. }
            | Self::Kill { container_id, .. }
            | Self::Remove { container_id } => container_id,
        }
    }
}

/// How the output of a container is written to who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputForm {
    /// The encoding of each message: JSON or protobuf.
    pub messages: ContentType,
    /// What the stream is said to be: RecordIO, or for older readers the type of its messages.
    pub stream: ContentType,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl From<tty_info::WindowSize> for WindowSize {
    fn from(size: tty_info::WindowSize) -> Self {
        let bounded = |number| u16::try_from(number).unwrap_or(u16::MAX);
        Self {
            rows: bounded(size.rows),
            columns: bounded(size.columns),
        }
    }
}

/// In which form the end of a container is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitAnswer {
    /// JSON or protobuf.
    pub content_type: ContentType,
    /// Whether the call was `WAIT_NESTED_CONTAINER`, which has an answer of its own.
    pub is_old_form: bool,
}

impl WaitAnswer {
    /// The answer for a container that has ended; nobody may know how.
    fn reply(self, exit_status: Option<i32>) -> Reply {
        let answer = if self.is_old_form {
            Response {
                r#type: Some(response::Type::WaitNestedContainer.into()),
                wait_nested_container: Some(response::WaitNestedContainer {
                    exit_status,
                    ..response::WaitNestedContainer::default()
                }),
                ..Response::default()
            }
        } else {
            Response {
                r#type: Some(response::Type::WaitContainer.into()),
                wait_container: Some(response::WaitContainer {
                    exit_status,
                    ..response::WaitContainer::default()
                }),
                ..Response::default()
            }
        };
        message(&answer, self.content_type)
    }
}

/// A folder that containers share: one of a parent's in the sandbox of a nested container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFolder {
    /// What the folder is in and must not lead out of: a sandbox, or a volume.
    pub root: PathBuf,
    /// The folder, relative to that; empty for all of it.
    pub path: PathBuf,
    /// Where the container finds it, below its sandbox.
    pub name: PathBuf,
}

impl SharedFolder {
    fn target(&self) -> PathBuf {
        // Not to end with a slash.
        if self.path == Path::new("") {
            self.root.clone()
        } else {
            self.root.join(&self.path)
        }
    }
}

/// What the machine keeps of an executor's containers beside their records.
#[derive(Debug, Clone, Default)]
pub(crate) struct NestedRuns {
    /// Who waits to hear that a container has started.
    launches: BTreeMap<ContainerId, Asker>,
    /// Who waits for the end of a container, the executor's own among them.
    waiters: BTreeMap<ContainerId, VecDeque<(RequestId, WaitAnswer)>>,
    /// Those that have ended, in the order of their ends.
    ended: VecDeque<ContainerId>,
}

/// Who has asked for a container.
#[derive(Debug, Clone, Copy)]
struct Asker {
    request: RequestId,
    /// How it is told what the container prints, if it is a session.
    form: Option<OutputForm>,
}

impl NestedRuns {
    /// What must hold after every step.
    #[cfg(debug_assertions)]
    pub(crate) fn check_invariants(&self, executor: &Executor) {
        let ended = |id: &ContainerId| executor.containers.get(id).map(|it| it.has_ended());
        for id in self.launches.keys() {
            assert_eq!(ended(id), Some(false), "a launch is waited for, {id}");
        }
        for id in self.waiters.keys() {
            let has_ended = ended(id).unwrap_or(*id != executor.container_id);
            assert!(!has_ended, "an end is waited for, {id}");
        }
        let known = executor.containers.values().filter(|it| it.has_ended());
        assert_eq!(known.count(), self.ended.len(), "every end is remembered");
    }
}

/// Where the sandbox of a container lies, given that of the executor's own.
pub(crate) fn directory(of_root: &Path, id: &ContainerId) -> PathBuf {
    match &id.parent {
        None => of_root.to_owned(),
        Some(parent) => directory(of_root, parent)
            .join("containers")
            .join(&id.value),
    }
}
