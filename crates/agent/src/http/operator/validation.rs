use meseta_proto::v1::agent::{Call, call};
use meseta_proto::v1::{
    CommandInfo, ContainerId, ContainerInfo, container_info, environment, volume::source,
};

use crate::limits::{MAX_CONTAINER_ID_LENGTH, MAX_ID_LENGTH};

/// Checks what a call must bring. The sentences are Mesos's.
#[allow(deprecated, reason = "the older calls are validated, too")]
pub(super) fn validate(call: &Call) -> Result<(), String> {
    use call::Type;
    if call.r#type.is_none() {
        return Err("Expecting 'type' to be present".into());
    }
    let nested = |name: &str, id: Option<&ContainerId>| {
        let id = contained(name, id)?;
        match id.parent {
            Some(_) => Ok(()),
            None => Err(format!(
                "Expecting '{name}.container_id.parent' to be present"
            )),
        }
    };
    match call.r#type() {
        Type::GetMetrics => present("get_metrics", call.get_metrics.is_some()),
        Type::SetLoggingLevel => present("set_logging_level", call.set_logging_level.is_some()),
        Type::ListFiles => present("list_files", call.list_files.is_some()),
        Type::ReadFile => present("read_file", call.read_file.is_some()),
        Type::LaunchNestedContainer => {
            let launch = call.launch_nested_container.as_ref();
            nested("launch_nested_container", launch.map(|it| &it.container_id))?;
            launch.map_or(Ok(()), |it| {
                let (command, container) = (it.command.as_ref(), it.container.as_ref());
                validate_launch("launch_nested_container", command, container)?;
                share_cgroups("launch_nested_container", &it.container_id, container)
            })
        }
        Type::WaitNestedContainer => {
            let wait = call.wait_nested_container.as_ref();
            nested("wait_nested_container", wait.map(|it| &it.container_id))
        }
        Type::KillNestedContainer => {
            let kill = call.kill_nested_container.as_ref();
            nested("kill_nested_container", kill.map(|it| &it.container_id))
        }
        Type::RemoveNestedContainer => {
            let remove = call.remove_nested_container.as_ref();
            nested("remove_nested_container", remove.map(|it| &it.container_id))
        }
        Type::LaunchNestedContainerSession => {
            let name = "launch_nested_container_session";
            let launch = call.launch_nested_container_session.as_ref();
            nested(name, launch.map(|it| &it.container_id))?;
            launch.map_or(Ok(()), |it| {
                validate_launch(name, it.command.as_ref(), it.container.as_ref())
            })
        }
        Type::AttachContainerInput => {
            let attach = call.attach_container_input.as_ref();
            present("attach_container_input", attach.is_some())?;
            let has_type = attach.is_some_and(|it| it.r#type.is_some());
            present("attach_container_input.type", has_type)?;
            attach.map_or(Ok(()), validate_attach)
        }
        Type::AttachContainerOutput => {
            let attach = call.attach_container_output.as_ref();
            contained("attach_container_output", attach.map(|it| &it.container_id)).map(drop)
        }
        Type::LaunchContainer => {
            let launch = call.launch_container.as_ref();
            contained("launch_container", launch.map(|it| &it.container_id))?;
            launch.map_or(Ok(()), validate_launch_container)
        }
        Type::WaitContainer => {
            let wait = call.wait_container.as_ref();
            contained("wait_container", wait.map(|it| &it.container_id)).map(drop)
        }
        Type::KillContainer => {
            let kill = call.kill_container.as_ref();
            contained("kill_container", kill.map(|it| &it.container_id)).map(drop)
        }
        Type::RemoveContainer => {
            let remove = call.remove_container.as_ref();
            contained("remove_container", remove.map(|it| &it.container_id)).map(drop)
        }
        Type::AddResourceProviderConfig => {
            let is_present = call.add_resource_provider_config.is_some();
            present("add_resource_provider_config", is_present)
        }
        Type::UpdateResourceProviderConfig => {
            let is_present = call.update_resource_provider_config.is_some();
            present("update_resource_provider_config", is_present)
        }
        Type::RemoveResourceProviderConfig => {
            let is_present = call.remove_resource_provider_config.is_some();
            present("remove_resource_provider_config", is_present)
        }
        Type::MarkResourceProviderGone => {
            let is_present = call.mark_resource_provider_gone.is_some();
            present("mark_resource_provider_gone", is_present)
        }
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent
        | Type::GetResourceProviders
        | Type::PruneImages => Ok(()),
    }
}

fn validate_attach(attach: &call::AttachContainerInput) -> Result<(), String> {
    use call::attach_container_input::Type;
    match attach.r#type() {
        Type::Unknown => Err("'attach_container_input.type' is unknown".into()),
        Type::ContainerId => {
            let id = attach.container_id.as_ref();
            let id = id.ok_or("ID must not be empty".to_owned());
            id.and_then(validate_id).map_err(|reason| {
                format!("'attach_container_input.container_id' is invalid: {reason}")
            })
        }
        Type::ProcessIo => Ok(()),
    }
}

fn present(field: &str, is_present: bool) -> Result<(), String> {
    if is_present {
        Ok(())
    } else {
        Err(format!("Expecting '{field}' to be present"))
    }
}

/// The container that a call is about, with ids that can be names of folders.
fn contained<'a>(name: &str, id: Option<&'a ContainerId>) -> Result<&'a ContainerId, String> {
    let id = id.ok_or_else(|| format!("Expecting '{name}' to be present"))?;
    validate_id(id).map_err(|reason| format!("'{name}.container_id' is invalid: {reason}"))?;
    Ok(id)
}

fn validate_id(id: &ContainerId) -> Result<(), String> {
    let value = id.value.as_str();
    if value.is_empty() {
        return Err("ID must not be empty".into());
    }
    if value.len() > MAX_ID_LENGTH {
        return Err(format!(
            "ID must not be greater than {MAX_ID_LENGTH} characters"
        ));
    }
    if matches!(value, "." | "..") {
        return Err(format!("'{value}' is disallowed"));
    }
    if value
        .chars()
        .any(|c| c.is_control() || matches!(c, '/' | '\\'))
    {
        return Err(format!("'{value}' contains invalid characters"));
    }
    if value.len() > MAX_CONTAINER_ID_LENGTH {
        return Err(format!(
            "'ContainerID.value' '{value}' exceeds the maximum length ({MAX_CONTAINER_ID_LENGTH})"
        ));
    }
    if value.contains(['.', ' ']) {
        return Err(format!(
            "'ContainerID.value' '{value}' contains invalid characters"
        ));
    }
    id.parent.as_ref().map_or(Ok(()), |parent| {
        validate_id(parent).map_err(|reason| format!("'ContainerID.parent' is invalid: {reason}"))
    })
}

fn validate_launch(
    name: &str,
    command: Option<&CommandInfo>,
    container: Option<&ContainerInfo>,
) -> Result<(), String> {
    let invalid =
        |field: &'static str| move |reason| format!("'{name}.{field}' is invalid: {reason}");
    if let Some(command) = command {
        validate_environment(command).map_err(invalid("command"))?;
    }
    container.map_or(Ok(()), |container| {
        validate_container(container).map_err(invalid("container"))
    })
}

fn validate_environment(command: &CommandInfo) -> Result<(), String> {
    let variables = command.environment.iter().flat_map(|it| &it.variables);
    for variable in variables {
        let name = &variable.name;
        let wrong = match variable.r#type() {
            environment::variable::Type::Secret if variable.secret.is_none() => {
                "of type 'SECRET' must have a secret set"
            }
            environment::variable::Type::Secret if variable.value.is_some() => {
                "of type 'SECRET' must not have a value set"
            }
            environment::variable::Type::Value if variable.value.is_none() => {
                "of type 'VALUE' must have a value set"
            }
            environment::variable::Type::Value if variable.secret.is_some() => {
                "of type 'VALUE' must not have a secret set"
            }
            environment::variable::Type::Unknown => {
                return Err("Environment variable of type 'UNKNOWN' is not allowed".into());
            }
            environment::variable::Type::Secret | environment::variable::Type::Value => continue,
        };
        return Err(format!("Environment variable '{name}' {wrong}"));
    }
    Ok(())
}

fn validate_container(container: &ContainerInfo) -> Result<(), String> {
    for volume in &container.volumes {
        let ways = [
            volume.host_path.is_some(),
            volume.image.is_some(),
            volume.source.is_some(),
        ];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            return Err(
                "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'"
                    .into(),
            );
        }
        let source = volume.source.as_ref();
        if source
            .is_some_and(|it| it.r#type() == source::Type::SandboxPath && it.sandbox_path.is_none())
        {
            return Err(
                "Invalid volume: 'source.sandbox_path' is not set for SANDBOX_PATH volume".into(),
            );
        }
    }
    if container.r#type() == container_info::Type::Docker && container.docker.is_none() {
        return Err("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo".into());
    }
    Ok(())
}

fn validate_launch_container(launch: &call::LaunchContainer) -> Result<(), String> {
    meseta_resources::Resources::from_v1(&launch.resources)
        .map_err(|error| format!("Invalid resources: {error}"))?;
    let container = launch.container.as_ref();
    validate_launch("launch_container", launch.command.as_ref(), container)?;
    if is_nested_twice(&launch.container_id) {
        let cannot = |what: &str| {
            Err(format!(
                "'launch_container' is invalid: containers nested at the second level or greater \
                 cannot specify {what}"
            ))
        };
        if !launch.resources.is_empty() {
            return cannot("resources");
        }
        if !launch.limits.is_empty() {
            return cannot("resource limits");
        }
    }
    share_cgroups("launch_container", &launch.container_id, container)
}

fn share_cgroups(
    name: &str,
    id: &ContainerId,
    container: Option<&ContainerInfo>,
) -> Result<(), String> {
    let linux = container.and_then(|it| it.linux_info.as_ref());
    let shares = linux.and_then(|it| it.share_cgroups).unwrap_or(true);
    if is_nested_twice(id) && !shares {
        return Err(format!(
            "'{name}' is invalid: containers nested at the second level or greater cannot set \
             'share_cgroups' to 'false'"
        ));
    }
    Ok(())
}

fn is_nested_twice(id: &ContainerId) -> bool {
    id.lineage().count() > 2
}
