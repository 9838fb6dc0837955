//! Calls of the agent's own API, `/api/v1`, parsed and validated as Mesos does it.

use meseta_endpoints::{accepts, call as read_call, method_not_allowed};
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::agent::{Call, Response, call, response};
use meseta_proto::v1::{
    CommandInfo, ContainerId, ContainerInfo, ContainerStatus, container_info, environment,
    volume::source,
};

use super::endpoints::{Answer, Request};
use super::tokens;
use crate::limits::{MAX_CONTAINER_ID_LENGTH, MAX_ID_LENGTH, SIGKILL};
use crate::nested::{ContainerCall, WaitAnswer, in_form};
use crate::records::ExecutorState;
use crate::snapshot::Snapshot;

/// What becomes of a request to `/api/v1`.
pub(super) fn answer(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    let config = &snapshot.config;
    let principal = match tokens::operator(config, request.authorization, request.now) {
        Ok(principal) => principal,
        Err(refusal) => return Answer::Reply(*refusal),
    };
    let (call, content_type) = match parse(request) {
        Ok(parsed) => parsed,
        Err(refusal) => return Answer::Reply(*refusal),
    };
    if call.r#type() == call::Type::GetContainers {
        return Answer::Reply(containers(snapshot, &call, content_type));
    }
    let name = call.r#type().as_str_name();
    let Some(call) = container_call(call, content_type) else {
        let sentence = format!("This agent does not serve {name} calls yet");
        return Answer::Reply(Reply::refused(501, sentence));
    };
    // An executor that shows a token has a say in the containers inside of its own.
    let root = call.container_id().root();
    if principal.is_some_and(|claims| !tokens::is_of_container(&claims, root)) {
        return Answer::Reply(Reply {
            status: 403,
            ..Reply::ok()
        });
    }
    Answer::ContainerCall(Box::new(call))
}

/// A call, valid in itself, and the form of its answer.
fn parse(request: &Request<'_>) -> Result<(Call, ContentType), Box<Reply>> {
    if request.method != "POST" {
        return Err(Box::new(method_not_allowed(&["POST"], request.method)));
    }
    let call: Call = read_call(request.content_type, request.body).map_err(|refusal| {
        // This API has calls with streams, of which it tells here.
        if refusal.status == 415 {
            let sentence = "Expecting 'Content-Type' of application/json or \
                            application/x-protobuf or application/recordio";
            Box::new(Reply::refused(415, sentence))
        } else {
            refusal
        }
    })?;
    validate(&call).map_err(|reason| {
        let sentence = format!("Failed to validate agent::Call: {reason}");
        Box::new(Reply::bad_request(sentence))
    })?;
    let form = [ContentType::Json, ContentType::Protobuf]
        .into_iter()
        .find(|offered| accepts(request.accept, *offered));
    match form {
        Some(form) => Ok((call, form)),
        None => Err(Box::new(Reply::refused(
            406,
            "Expecting 'Accept' to allow application/json or application/x-protobuf or \
             application/recordio",
        ))),
    }
}

/// The call as the machine takes it; `None` for what it has nothing to do with.
#[allow(
    deprecated,
    reason = "Mesos's own default executor makes the older calls"
)]
fn container_call(call: Call, content_type: ContentType) -> Option<ContainerCall> {
    use call::Type;
    let wait = |container_id, is_old_form| ContainerCall::Wait {
        container_id,
        answer: WaitAnswer {
            content_type,
            is_old_form,
        },
    };
    let kill = |container_id, signal: Option<i32>| ContainerCall::Kill {
        container_id,
        signal: signal.unwrap_or(SIGKILL),
    };
    Some(match call.r#type() {
        Type::LaunchNestedContainer => {
            let launch = call.launch_nested_container?;
            ContainerCall::Launch {
                container_id: launch.container_id,
                command: Box::new(launch.command.unwrap_or_default()),
                container: launch.container.map(Box::new),
            }
        }
        Type::LaunchContainer => {
            let launch = call.launch_container?;
            ContainerCall::Launch {
                container_id: launch.container_id,
                command: Box::new(launch.command.unwrap_or_default()),
                container: launch.container.map(Box::new),
            }
        }
        Type::WaitNestedContainer => wait(call.wait_nested_container?.container_id, true),
        Type::WaitContainer => wait(call.wait_container?.container_id, false),
        Type::KillNestedContainer => {
            let call = call.kill_nested_container?;
            kill(call.container_id, call.signal)
        }
        Type::KillContainer => {
            let call = call.kill_container?;
            kill(call.container_id, call.signal)
        }
        Type::RemoveNestedContainer => ContainerCall::Remove {
            container_id: call.remove_nested_container?.container_id,
        },
        Type::RemoveContainer => ContainerCall::Remove {
            container_id: call.remove_container?.container_id,
        },
        _ => return None,
    })
}

/// Checks what a call must bring. The sentences are Mesos's.
#[allow(deprecated, reason = "the older calls are validated, too")]
fn validate(call: &Call) -> Result<(), String> {
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
            present("attach_container_input.type", has_type)
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

/// Answers GET_CONTAINERS.
fn containers(snapshot: &Snapshot, call: &Call, content_type: ContentType) -> Reply {
    let show_nested = call.get_containers.is_some_and(|it| it.show_nested());
    let mut shown = Vec::new();
    let mut inside = Vec::new();
    for framework in snapshot.frameworks.values() {
        let executors = framework.executors.values();
        for executor in executors.filter(|it| it.state != ExecutorState::Terminated) {
            let pid = executor.process.map(|it| it.pid);
            shown.push(response::get_containers::Container {
                framework_id: executor.info.framework_id.clone(),
                executor_id: Some(executor.id().clone()),
                executor_name: Some(executor.info.name().to_owned()),
                container_id: executor.container_id.value.as_str().into(),
                container_status: Some(status(&executor.container_id, pid)),
                resource_statistics: None,
            });
            let nested = executor.containers.values();
            let nested = nested.filter(|it| show_nested && !it.has_ended());
            inside.extend(nested.map(|it| response::get_containers::Container {
                // Alone, as in Mesos; what it is in is told by its status.
                container_id: it.container_id.value.as_str().into(),
                container_status: Some(status(&it.container_id, it.process.map(|it| it.pid))),
                ..response::get_containers::Container::default()
            }));
        }
    }
    shown.append(&mut inside);
    let answer = Response {
        r#type: Some(response::Type::GetContainers.into()),
        get_containers: (!shown.is_empty())
            .then_some(response::GetContainers { containers: shown }),
        ..Response::default()
    };
    in_form(content_type, &answer)
}

fn status(id: &ContainerId, pid: Option<u32>) -> ContainerStatus {
    ContainerStatus {
        container_id: Some(id.clone()),
        executor_pid: pid,
        ..ContainerStatus::default()
    }
}
