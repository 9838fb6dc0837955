//! What the log tells of a machine's work, read off what leaves the machine.
//!
//! Agents, frameworks, containers, and tasks that end badly are told of at the usual level; whatever
//! else is sent, in detail.

use meseta_agent::Action as AgentAction;
use meseta_master::Action as MasterAction;
use meseta_proto::Upid;
use meseta_proto::v1::scheduler::event;
use meseta_proto::v1::{FrameworkId, TaskState};
use tracing::{debug, info, trace, warn};

/// Tells of something that a master does.
pub(super) fn of_master(action: &MasterAction) {
    match action {
        MasterAction::Send { to, name, .. } => sent_by_master(to, name),
        MasterAction::Event { stream, event } => told(&stream.0, event),
        _ => {}
    }
}

fn sent_by_master(to: &Upid, name: &str) {
    match of_mesos(name) {
        "SlaveRegisteredMessage" => info!(%to, "an agent has registered"),
        "SlaveReregisteredMessage" => info!(%to, "an agent has come back"),
        "ShutdownMessage" => info!(%to, "an agent is told to end"),
        "DrainSlaveMessage" => info!(%to, "an agent is drained"),
        "FrameworkRegisteredMessage" => info!(%to, "a framework has registered"),
        "FrameworkReregisteredMessage" => info!(%to, "a framework has come back"),
        "FrameworkErrorMessage" => warn!(%to, "a framework is refused"),
        "ShutdownFrameworkMessage" => info!(%to, "an agent is told to end a framework"),
        "PingSlaveMessage" => trace!(%to, name, "sent"),
        _ => debug!(%to, name, "sent"),
    }
}

fn told(stream: &str, event: &meseta_proto::v1::scheduler::Event) {
    match event.r#type() {
        event::Type::Subscribed => {
            let id = event.subscribed.as_ref().map(|it| it.framework_id.as_str());
            info!(stream, framework = id, "a framework has subscribed");
        }
        event::Type::Error => {
            let message = event.error.as_ref().map(|error| &error.message);
            warn!(stream, message, "a framework is cut off");
        }
        event::Type::Update => {
            let Some(status) = event.update.as_ref().map(|update| &update.status) else {
                return;
            };
            let (task, state) = (status.task_id.as_str(), status.state().as_str_name());
            if is_bad(status.state()) {
                info!(
                    stream,
                    task,
                    state,
                    message = status.message,
                    "a task has a new state"
                );
            } else {
                debug!(stream, task, state, "a task has a new state");
            }
        }
        event::Type::Heartbeat => trace!(stream, "an event is sent"),
        other => debug!(stream, kind = other.as_str_name(), "an event is sent"),
    }
}

/// Whether a state is one that somebody will ask about.
fn is_bad(state: TaskState) -> bool {
    match state {
        TaskState::TaskFailed
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskUnreachable
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskKilled
        | TaskState::TaskFinished
        | TaskState::TaskUnknown => false,
    }
}

/// Tells of something that an agent does.
pub(super) fn of_agent(action: &AgentAction) {
    match action {
        AgentAction::Send { to, name, .. } => match of_mesos(name) {
            "RegisterSlaveMessage" => info!(%to, "asks the master to be registered"),
            "ReregisterSlaveMessage" => info!(%to, "comes back to the master"),
            "UnregisterSlaveMessage" => info!(%to, "takes leave of the master"),
            "PongSlaveMessage" => trace!(%to, name, "sent"),
            _ => debug!(%to, name, "sent"),
        },
        AgentAction::Launch(launch) => info!(
            container = %launch.container_id,
            executor = launch.executor.executor_id.as_str(),
            framework = launch.executor.framework_id.as_ref().map(FrameworkId::as_str),
            "a container is started"
        ),
        AgentAction::Destroy { container_id } => {
            info!(container = %container_id, "a container is ended");
        }
        AgentAction::Remove { path } => debug!(path = %path.display(), "a sandbox is removed"),
        _ => {}
    }
}

/// The name of a message without the package that all of them are in.
fn of_mesos(name: &str) -> &str {
    name.strip_prefix("mesos.internal.").unwrap_or(name)
}
