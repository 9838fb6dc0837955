//! Calls of the agent's own API, `/api/v1`, parsed and validated as Mesos does it.

#[cfg(test)]
mod tests;
mod validation;
mod views;

use meseta_endpoints::{accepts, call as read_call, method_not_allowed};
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::ContainerId;
use meseta_proto::v1::agent::{Call, call};

use super::endpoints::{Answer, Request, Surroundings};
use super::tokens;
use crate::limits::SIGKILL;
use crate::nested::{ContainerCall, WaitAnswer};
use crate::records::ExecutorState;
use crate::snapshot::Snapshot;

/// What becomes of a request to `/api/v1`.
pub(super) fn answer(
    snapshot: &Snapshot,
    request: &Request<'_>,
    process: &dyn Surroundings,
) -> Answer {
    let config = &snapshot.config;
    let principal = match tokens::operator(config, request.authorization, request.now) {
        Ok(principal) => principal,
        Err(refusal) => return Answer::Reply(*refusal),
    };
    let (call, content_type) = match parse(request) {
        Ok(parsed) => parsed,
        Err(refusal) => return Answer::Reply(*refusal),
    };
    if principal.is_some() && is_for_operators_alone(call.r#type()) {
        return Answer::Reply(forbidden());
    }
    match views::read(snapshot, &call, content_type, process) {
        Ok(Some(reply)) => return Answer::Reply(reply),
        Err(refusal) => return Answer::Reply(*refusal),
        Ok(None) => {}
    }
    let unserved = unserved(snapshot, &call);
    let Some(call) = container_call(call, content_type) else {
        return Answer::Reply(unserved);
    };
    // An executor that shows a token has a say in the containers inside of its own.
    let root = call.container_id().root();
    if principal.is_some_and(|claims| !tokens::is_of_container(&claims, root)) {
        return Answer::Reply(forbidden());
    }
    Answer::ContainerCall(Box::new(call))
}

fn forbidden() -> Reply {
    Reply {
        status: 403,
        ..Reply::ok()
    }
}

/// Whether a call is refused to an executor that shows its token, as in Mesos.
fn is_for_operators_alone(kind: call::Type) -> bool {
    use call::Type;
    matches!(
        kind,
        Type::GetFlags
            | Type::GetLoggingLevel
            | Type::SetLoggingLevel
            | Type::ListFiles
            | Type::ReadFile
            | Type::PruneImages
            | Type::AddResourceProviderConfig
            | Type::UpdateResourceProviderConfig
            | Type::RemoveResourceProviderConfig
            | Type::MarkResourceProviderGone
    )
}

/// The answer to a call that nothing comes of, as Mesos gives it as far as it says what is missing.
fn unserved(snapshot: &Snapshot, call: &Call) -> Reply {
    use call::Type;
    let session = call.launch_nested_container_session.as_ref();
    let input = call.attach_container_input.as_ref();
    let output = call.attach_container_output.as_ref();
    let attached = match call.r#type() {
        Type::LaunchNestedContainerSession => {
            let id = session.map(|it| it.container_id.root());
            if let Some(id) = id.filter(|id| !has_container(snapshot, id)) {
                return Reply::bad_request(format!("Root container {id} not found"));
            }
            None
        }
        Type::AttachContainerInput => input.and_then(|it| it.container_id.as_ref()),
        Type::AttachContainerOutput => output.map(|it| &it.container_id),
        Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig => {
            let sentence = "Missing required flag --resource_provider_config_dir";
            return Reply::refused(500, sentence);
        }
        _ => None,
    };
    if let Some(id) = attached.filter(|id| !has_container(snapshot, id.root())) {
        return Reply::refused(404, format!("Container {id} cannot be found"));
    }
    let name = call.r#type().as_str_name();
    let sentence = format!("This agent does not serve {name} calls yet");
    Reply::refused(501, sentence)
}

/// Whether an executor runs in a container.
fn has_container(snapshot: &Snapshot, id: &ContainerId) -> bool {
    let frameworks = snapshot.frameworks.values();
    let mut executors = frameworks.flat_map(|framework| framework.executors.values());
    executors.any(|it| it.container_id == *id && it.state != ExecutorState::Terminated)
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
    validation::validate(&call).map_err(|reason| {
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
