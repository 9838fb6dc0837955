//! Calls of the agent's own API, `/api/v1`, parsed and validated as Mesos does it.

mod input;
mod media;
#[cfg(test)]
mod tests;
mod validation;
mod views;

pub use input::{Attaching, Input, attaching, is_streamed};

use meseta_endpoints::{call as read_call, method_not_allowed};
use meseta_machine::Reply;
use meseta_proto::v1::ContainerId;
use meseta_proto::v1::agent::{Call, call};

use self::media::Accepted;
use super::endpoints::{Answer, Request, Surroundings};
use super::{origin, tokens};
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
    let (call, accepted) = match parse(request) {
        Ok(parsed) => parsed,
        Err(refusal) => return Answer::Reply(*refusal),
    };
    let content_type = accepted.content_type;
    if principal.is_some() && is_for_operators_alone(call.r#type()) {
        return Answer::Reply(forbidden());
    }
    match views::read(snapshot, &call, content_type, process) {
        Ok(Some(reply)) => return Answer::Reply(reply),
        Err(refusal) => return Answer::Reply(*refusal),
        Ok(None) => {}
    }
    let unserved = unserved(&call);
    let answer = match call.attach_container_output {
        Some(attach) if call.r#type == Some(call::Type::AttachContainerOutput.into()) => {
            Answer::AttachOutput {
                container_id: attach.container_id,
                form: accepted.form,
            }
        }
        attach_container_output => {
            let call = Call {
                attach_container_output,
                ..call
            };
            match container_call(call, accepted) {
                Some(call) => Answer::ContainerCall(Box::new(call)),
                None => return Answer::Reply(unserved),
            }
        }
    };
    if let Err(refusal) = origin::check(snapshot, &request.more) {
        return Answer::Reply(*refusal);
    }
    let id = match &answer {
        Answer::AttachOutput { container_id, .. } => container_id,
        Answer::ContainerCall(call) => call.container_id(),
        _ => return answer,
    };
    // An executor that shows a token has a say in the containers inside of its own.
    if principal.is_some_and(|claims| !tokens::is_of_container(&claims, id.root())) {
        return Answer::Reply(forbidden());
    }
    if matches!(answer, Answer::AttachOutput { .. }) && !has_container(snapshot, id.root()) {
        return Answer::Reply(container_not_found(id));
    }
    answer
}

fn container_not_found(id: &ContainerId) -> Reply {
    Reply::refused(404, format!("Container {id} cannot be found"))
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
fn unserved(call: &Call) -> Reply {
    use call::Type;
    let configures_provider = matches!(
        call.r#type(),
        Type::AddResourceProviderConfig
            | Type::UpdateResourceProviderConfig
            | Type::RemoveResourceProviderConfig
    );
    if configures_provider {
        let sentence = "Missing required flag --resource_provider_config_dir";
        return Reply::refused(500, sentence);
    }
    let name = call.r#type().as_str_name();
    let sentence = format!("This agent does not serve {name} calls yet");
    Reply::refused(501, sentence)
}

/// The answer to who wants to attach to a container that nobody can attach to, in Mesos's words.
pub fn not_attachable(snapshot: &Snapshot, id: &ContainerId) -> Reply {
    let nested = || {
        let executors = snapshot.frameworks.values();
        let mut executors = executors.flat_map(|framework| framework.executors.values());
        executors.find_map(|executor| executor.containers.get(id))
    };
    let is_there = id.parent.is_none() || nested().is_some_and(|it| !it.has_ended());
    let sentence = if is_there {
        "I/O switchboard server was disabled for this container".to_owned()
    } else {
        format!("Unknown container {id}")
    };
    Reply::refused(500, sentence)
}

/// Whether an executor runs in a container.
fn has_container(snapshot: &Snapshot, id: &ContainerId) -> bool {
    let frameworks = snapshot.frameworks.values();
    let mut executors = frameworks.flat_map(|framework| framework.executors.values());
    executors.any(|it| it.container_id == *id && it.state != ExecutorState::Terminated)
}

/// A call, valid in itself, and the form of its answer.
fn parse(request: &Request<'_>) -> Result<(Call, Accepted), Box<Reply>> {
    use call::Type;
    if request.method != "POST" {
        return Err(Box::new(method_not_allowed(&["POST"], request.method)));
    }
    media::body(request)?;
    let accepted = media::accepted(request)?;
    let call: Call = read_call(request.content_type, request.body)?;
    validation::validate(&call).map_err(|reason| {
        let sentence = format!("Failed to validate agent::Call: {reason}");
        Box::new(Reply::bad_request(sentence))
    })?;
    let kind = call.r#type();
    if kind == Type::AttachContainerInput {
        return Err(Box::new(Reply::refused(
            415,
            "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call",
        )));
    }
    let streams = matches!(
        kind,
        Type::AttachContainerOutput | Type::LaunchNestedContainerSession
    );
    if accepted.is_stream() && !streams {
        let kind = kind.as_str_name();
        return Err(Box::new(Reply::refused(
            406,
            format!("Streaming response is not supported for {kind} call"),
        )));
    }
    Ok((call, accepted))
}

/// The call as the machine takes it; `None` for what it has nothing to do with.
#[allow(
    deprecated,
    reason = "Mesos's own default executor makes the older calls"
)]
fn container_call(call: Call, accepted: Accepted) -> Option<ContainerCall> {
    use call::Type;
    let content_type = accepted.content_type;
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
        Type::LaunchNestedContainerSession => {
            let launch = call.launch_nested_container_session?;
            ContainerCall::Session {
                container_id: launch.container_id,
                command: Box::new(launch.command.unwrap_or_default()),
                container: launch.container.map(Box::new),
                form: accepted.form,
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
