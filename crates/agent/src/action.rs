use std::fmt;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::Upid;
use meseta_proto::v1::{ContainerId, ExecutorInfo, command_info, executor};

use crate::nested::{OutputForm, SharedFolder, WindowSize};
use crate::volumes::{VolumeFolder, VolumeLink};

/// What an agent wants done. The shell carries actions out in order, and holds back whatever
/// follows a [`Action::Persist`] until that is on disk.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send a libprocess message.
    Send {
        /// The sending process, `slave(1)`.
        from: String,
        /// The receiver.
        to: Upid,
        /// The message's full name.
        name: &'static str,
        /// The encoded message.
        body: Bytes,
    },
    /// Hold a connection to a peer and tell of its end ([`crate::Input::Exited`]).
    Link {
        /// The peer.
        address: SocketAddrV4,
    },
    /// Answer a request.
    Reply {
        /// Which request.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Answer whoever has asked for a session with its output. When he has gone,
    /// [`crate::Input::SessionClosed`] follows.
    OpenSession {
        /// Which request.
        request: RequestId,
        /// The session's container, which has been launched.
        container_id: ContainerId,
        /// How its output is written.
        form: OutputForm,
    },
    /// Answer a SUBSCRIBE with an event stream.
    OpenStream {
        /// Which request.
        request: RequestId,
        /// The stream's id, as the input gave it.
        stream: StreamId,
    },
    /// Write an event to a stream.
    Event {
        /// Which stream.
        stream: StreamId,
        /// The event.
        event: Arc<executor::Event>,
    },
    /// End a stream, after what was written to it.
    CloseStream {
        /// Which stream.
        stream: StreamId,
    },
    /// Make facts durable, or forget them: all of them, or after a crash none.
    Persist {
        /// Keys with their new bytes, or with `None` to forget them.
        changes: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Write facts down, or forget them, before anything that follows: whatever ends this process, the next
    /// one knows. They need not be on disk before the next [`Action::Persist`] is: when the machine loses
    /// its power, its containers end as well.
    Record {
        /// As in [`Action::Persist`].
        changes: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Write facts down soon, or forget them: with the next [`Action::Persist`], or within
    /// milliseconds. Nothing that follows waits for it. What is written is always what all changes
    /// up to some point, persisted or noted, have made; so the end of this process may lose the latest
    /// notes, that of the machine's power those since the last durable change, and none before.
    Note {
        /// As in [`Action::Persist`].
        changes: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Tell the operator of facts that can't be read, and keep them where he finds them: they are
    /// forgotten.
    SetAside {
        /// Their keys, and what was kept under them.
        facts: Vec<(String, Vec<u8>)>,
    },
    /// Forget the word that a container's processes have left of themselves, once all that was noted
    /// and persisted before is on disk: no later life of the agent will ask for it.
    ForgetStarted {
        /// Which container.
        container_id: ContainerId,
    },
    /// Make a sandbox and start a container in it.
    Launch(Box<Launch>),
    /// End every process of a container, and of those inside of it before.
    /// [`crate::Input::ContainerExited`] follows.
    Destroy {
        /// Which container.
        container_id: ContainerId,
    },
    /// Send a signal to a container's program.
    Signal {
        /// Which container.
        container_id: ContainerId,
        /// The signal's number.
        signal: i32,
    },
    /// Remove the sandbox of a nested container that has ended, and whatever else is kept of it,
    /// before what follows; in order with launches.
    RemoveNested {
        /// Which container.
        container_id: ContainerId,
        /// The sandbox.
        directory: PathBuf,
    },
    /// Remove a folder below the work directory with all that is in it, in order with launches: one
    /// that follows may make the folder anew. [`crate::Input::Removed`] follows.
    Remove {
        /// The folder.
        path: PathBuf,
    },
    /// Make the folders of persistent volumes, where they are not there, and remove others with all
    /// that is in them; in order with launches. [`crate::Input::VolumesChanged`] follows.
    ChangeVolumes {
        /// The operation that is done then, if one waits for it.
        operation: Option<Vec<u8>>,
        /// What is to be there.
        create: Vec<VolumeFolder>,
        /// What is to be there no more.
        remove: Vec<VolumeFolder>,
    },
    /// Put persistent volumes into the sandbox of an executor that runs already, before what follows.
    /// If that fails, [`crate::Input::VolumesNotLinked`] follows.
    LinkVolumes {
        /// The executor's container.
        container_id: ContainerId,
        /// The sandbox.
        directory: PathBuf,
        /// Who owns it; `None` means the agent's own user.
        user: Option<String>,
        /// The volumes.
        volumes: Vec<VolumeLink>,
    },
    /// Find out how full the disk of the work directory is. [`crate::Input::DiskMeasured`] follows.
    MeasureDisk,
    /// Find out how loaded the machine is. [`crate::Input::LoadMeasured`] follows.
    MeasureLoad,
    /// Ask the detector again who leads: the master has been silent for too long.
    Redetect,
    /// End the agent's process.
    Exit {
        /// Why, for the log and the exit status.
        reason: ExitReason,
    },
}

/// Why an agent ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// It was asked to, and nothing runs any more.
    Shutdown(String),
    /// The master and the agent disagree about who the agent is.
    Conflict(String),
}

/// A container to start.
#[derive(Clone, PartialEq)]
pub struct Launch {
    /// The container's id, also the name of its sandbox's folder.
    pub container_id: ContainerId,
    /// The executor that runs in it, or in what it is in; in its own with its resources.
    pub executor: Arc<ExecutorInfo>,
    /// What is to be fetched into the sandbox.
    pub uris: Vec<command_info::Uri>,
    /// The sandbox, also the working directory.
    pub directory: PathBuf,
    /// The link `latest`, to be made to point to the sandbox; nested containers have none.
    pub latest: Option<PathBuf>,
    /// Who owns the sandbox and runs the program; `None` means the agent's own user.
    pub user: Option<String>,
    /// The program: a path, or a name to be looked up in the `PATH` of [`Launch::environment`].
    pub program: String,
    /// The arguments, with the name that the program sees itself under in front.
    pub arguments: Vec<String>,
    /// The whole environment; nothing of the agent's own is added.
    pub environment: Vec<(String, String)>,
    /// The persistent volumes to be found in the sandbox.
    pub volumes: Vec<VolumeLink>,
    /// The folders of other containers to be found in the sandbox.
    pub shared: Vec<SharedFolder>,
    /// Where standard output goes.
    pub stdout: PathBuf,
    /// Where standard error goes.
    pub stderr: PathBuf,
    /// The terminal that is the program's instead of input and files, if it is to have one.
    pub on_terminal: Option<OnTerminal>,
    /// What it is instead of all that is about its sandbox, if it is a session.
    pub session: Option<Session>,
}

/// A container that has no sandbox of its own, but the one of what it is in; its environment is added to
/// the one there; and its input and output are its caller's, who gets them with [`Action::OpenSession`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The sandbox of what it is in, where its program starts.
    pub directory: PathBuf,
    /// The terminal that it is to have.
    pub terminal: Option<Terminal>,
}

/// A program's terminal: what is printed there goes to [`Launch::stdout`], too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnTerminal {
    /// What it is like.
    pub terminal: Terminal,
    /// Whether the program leaves it to those that it starts.
    pub is_passed_on: bool,
}

/// A terminal to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// How large it is, if that is known.
    pub size: Option<WindowSize>,
}

/// Shows variables of the environment by their names alone: their values may be secrets.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.environment.iter().map(|(name, _)| name);
        f.debug_struct("Launch")
            .field("container_id", &self.container_id)
            .field("directory", &self.directory)
            .field("user", &self.user)
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &variables.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
