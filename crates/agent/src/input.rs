use std::collections::BTreeSet;

use crate::nested::ContainerCall;
use bytes::Bytes;
use meseta_authentication::Claims;
use meseta_machine::{RequestId, StreamId};
use meseta_proto::Upid;
use meseta_proto::v1::{ContainerId, MasterInfo, executor};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use crate::oversubscription::Load;

/// What can happen to an agent.
#[derive(Debug, Clone)]
pub enum Input {
    /// Once, before anything else: what an earlier life of the agent left behind.
    Recovered {
        /// Every persisted fact.
        facts: Vec<(String, Vec<u8>)>,
        /// The containers of [`crate::recovery::survivors`] whose process still lives.
        alive: BTreeSet<ContainerId>,
        /// Those that may not have been started, and were not: nothing of them has ever run.
        unstarted: BTreeSet<ContainerId>,
        /// The keys of facts that were lost to damage.
        damaged: BTreeSet<String>,
    },
    /// The detector's news about the leading master.
    MasterDetected {
        /// The leader, or `None` while there is none.
        master: Option<MasterInfo>,
    },
    /// A libprocess message.
    Message {
        /// Who sent it.
        from: Upid,
        /// The process it was sent to, such as `slave(1)`.
        to: String,
        /// The message's full name, such as `mesos.internal.RunTaskMessage`.
        name: String,
        /// The encoded message.
        body: Bytes,
    },
    /// A link is broken.
    Exited {
        /// The peer whose connection ended.
        address: SocketAddrV4,
    },
    /// A call of the executor API, parsed by [`crate::http::parse_executor_call`].
    ExecutorCall {
        /// What to reply to.
        request: RequestId,
        /// The call.
        call: Box<executor::Call>,
        /// The id of the event stream that a SUBSCRIBE opens.
        new_stream: StreamId,
        /// What the caller's token says, if executors must authenticate.
        principal: Option<Claims>,
    },
    /// A call of the agent's API about a container, parsed by [`crate::http::answer`].
    ContainerCall {
        /// What to reply to; the reply may take as long as the container lives.
        request: RequestId,
        /// The call.
        call: Box<ContainerCall>,
    },
    /// Whoever has asked for a session has gone.
    SessionClosed {
        /// The session's container.
        container_id: ContainerId,
    },
    /// An executor's event stream has ended, from whichever side.
    StreamClosed {
        /// Which stream.
        stream: StreamId,
    },
    /// A container's first process runs.
    ContainerLaunched {
        /// Which container.
        container_id: ContainerId,
        /// The process.
        pid: u32,
        /// When it started, by the kernel's count, to tell it from a later process of that number.
        start_time: u64,
    },
    /// A container could not be started; nothing of it runs.
    ContainerLaunchFailed {
        /// Which container.
        container_id: ContainerId,
        /// What was attempted and what was found.
        failure: LaunchFailure,
    },
    /// A container's first process has ended and nothing of the container runs any more.
    ContainerExited {
        /// Which container.
        container_id: ContainerId,
        /// The raw wait status, unless an earlier life of the agent was the process's parent.
        status: Option<i32>,
    },
    /// Folders of sandboxes that were on the disk at the start: any at the places where sandboxes,
    /// and those above them, lie. May come at any time after [`Input::Recovered`].
    SandboxesFound {
        /// The folders.
        found: Vec<FoundSandbox>,
    },
    /// A folder was removed, as far as that was possible.
    Removed {
        /// Whether nothing of it is left.
        has_succeeded: bool,
    },
    /// What [`crate::Action::ChangeVolumes`] asked for is done, or the sentence says why it is not.
    VolumesChanged {
        /// The operation that waits for it.
        operation: Option<Vec<u8>>,
        /// How it went.
        result: Result<(), String>,
    },
    /// Volumes could not be put into an executor's sandbox.
    VolumesNotLinked {
        /// The executor's container.
        container_id: ContainerId,
        /// What was attempted and what was found.
        reason: String,
    },
    /// Whether the disk has room for what is to be known of more tasks. It has until this says otherwise.
    Room {
        /// Whether it has.
        has_room: bool,
    },
    /// How full the disk of the work directory is.
    DiskMeasured {
        /// From 0 to 1.
        used: f64,
    },
    /// How loaded the machine is.
    LoadMeasured {
        /// How many processes want to run.
        load: Load,
    },
    /// Stop for good, as a shutdown signal asks: every executor is shut down, the master is told,
    /// and when nothing runs any more, [`crate::Action::Exit`] follows.
    Shutdown,
    /// The time of [`crate::Agent::next_wake`] has come.
    Wake,
}

/// A folder that an earlier life of the agent has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSandbox {
    /// The folder's place below the work directory, such as `slaves/<agent>`.
    pub path: PathBuf,
    /// When it was last needed, since the Unix epoch.
    pub last_used: Duration,
}

/// Why a container could not be started, by how far it came, with a sentence that the scheduler
/// reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchFailure {
    /// There is no sandbox: its folder could not be made or given to the user. Mesos reports the
    /// tasks as dropped: they were never near running.
    Sandbox(String),
    /// The sandbox is there, but the container did not start. Mesos reports the tasks as failed;
    /// the agent puts before the sentence that it failed to launch the container.
    Container(String),
}
