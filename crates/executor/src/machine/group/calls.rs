//! The calls of the agent's own API that deal with containers.

use meseta_proto::v1::agent::{Call, call};
use meseta_proto::v1::environment::Variable;
use meseta_proto::v1::volume::source::{SandboxPath, Type, sandbox_path};
use meseta_proto::v1::{
    CommandInfo, ContainerId, ContainerInfo, TaskInfo, Volume, container_info, volume,
};

use super::super::Signal;

/// Launches the container of a task.
pub(super) fn launch(task: &TaskInfo, container: &ContainerId, container_ip: &str) -> Call {
    let mut command = task.command.clone().unwrap_or_default();
    let role = task
        .resources
        .first()
        .and_then(|r| r.allocation_info.as_ref()?.role.as_deref())
        .map(str::to_owned);
    let environment = command.environment.get_or_insert_default();
    environment.variables.extend([
        variable("MESOS_CONTAINER_IP", container_ip),
        variable("MESOS_ALLOCATION_ROLE", &role.unwrap_or_default()),
    ]);
    Call {
        r#type: Some(call::Type::LaunchContainer.into()),
        launch_container: Some(call::LaunchContainer {
            container_id: container.clone(),
            command: Some(command),
            resources: task.resources.clone(),
            container: with_volumes(task),
            limits: task.limits.clone(),
        }),
        ..Call::default()
    }
}

/// Launches a command beside a task, in a container below the task's that sees what the task sees.
/// Its output is the answer, and it ends with the request.
pub(super) fn launch_session(command: &CommandInfo, container: &ContainerId) -> Call {
    Call {
        r#type: Some(call::Type::LaunchNestedContainerSession.into()),
        launch_nested_container_session: Some(call::LaunchNestedContainerSession {
            container_id: container.clone(),
            command: Some(command.clone()),
            container: None,
        }),
        ..Call::default()
    }
}

/// Launches a command beside a task, in a container like any other below the task's.
pub(super) fn launch_beside(
    command: &CommandInfo,
    container: &ContainerId,
    sandbox: Option<&str>,
) -> Call {
    Call {
        r#type: Some(call::Type::LaunchContainer.into()),
        launch_container: Some(call::LaunchContainer {
            container_id: container.clone(),
            command: Some(match sandbox {
                Some(sandbox) => within(sandbox, command),
                None => command.clone(),
            }),
            ..call::LaunchContainer::default()
        }),
        ..Call::default()
    }
}

/// Where a container of the executor's has its sandbox.
pub(super) fn sandbox_of(executor: &str, container: &ContainerId) -> String {
    format!("{executor}/containers/{}", container.value)
}

/// The command, to be run in another folder than that of its container.
fn within(folder: &str, command: &CommandInfo) -> CommandInfo {
    let mut arguments = ["sh", "-c", "cd \"$0\" && exec \"$@\"", folder]
        .map(str::to_owned)
        .to_vec();
    if command.shell() {
        arguments.extend(["/bin/sh", "-c"].map(str::to_owned));
    }
    arguments.push(command.value().to_owned());
    if !command.shell() {
        // The first is the name that the program sees, for which there is no way through a shell.
        arguments.extend(command.arguments.iter().skip(1).cloned());
    }
    let mut environment = command.environment.clone().unwrap_or_default();
    environment
        .variables
        .push(variable("MESOS_SANDBOX", folder));
    CommandInfo {
        shell: Some(false),
        value: Some("/bin/sh".to_owned()),
        arguments,
        environment: Some(environment),
        ..command.clone()
    }
}

/// Is answered when the container has ended.
pub(super) fn wait(container: &ContainerId) -> Call {
    Call {
        r#type: Some(call::Type::WaitContainer.into()),
        wait_container: Some(call::WaitContainer {
            container_id: container.clone(),
        }),
        ..Call::default()
    }
}

pub(super) fn kill(container: &ContainerId, signal: Signal) -> Call {
    let signal = match signal {
        Signal::Term => nix::sys::signal::Signal::SIGTERM,
        Signal::Kill => nix::sys::signal::Signal::SIGKILL,
    };
    Call {
        r#type: Some(call::Type::KillContainer.into()),
        kill_container: Some(call::KillContainer {
            container_id: container.clone(),
            signal: Some(signal as i32),
        }),
        ..Call::default()
    }
}

/// Removes what is left of a container that has ended.
pub(super) fn remove(container: &ContainerId) -> Call {
    Call {
        r#type: Some(call::Type::RemoveContainer.into()),
        remove_container: Some(call::RemoveContainer {
            container_id: container.clone(),
        }),
        ..Call::default()
    }
}

/// Persistent volumes are mounted into the executor's sandbox; the task has them from there.
fn with_volumes(task: &TaskInfo) -> Option<ContainerInfo> {
    let volumes = task
        .resources
        .iter()
        .filter_map(|resource| resource.disk.as_ref()?.volume.as_ref());
    let mut container = task.container.clone();
    for shared in volumes {
        let container = container.get_or_insert_with(|| ContainerInfo {
            r#type: container_info::Type::Mesos.into(),
            ..ContainerInfo::default()
        });
        container.volumes.push(Volume {
            mode: shared.mode,
            container_path: shared.container_path.clone(),
            source: Some(volume::Source {
                r#type: Some(Type::SandboxPath.into()),
                sandbox_path: Some(SandboxPath {
                    r#type: Some(sandbox_path::Type::Parent.into()),
                    path: shared.container_path.clone(),
                }),
                ..volume::Source::default()
            }),
            ..Volume::default()
        });
    }
    container
}

fn variable(name: &str, value: &str) -> Variable {
    Variable {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..Variable::default()
    }
}
