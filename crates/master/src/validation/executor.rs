use meseta_proto::v1::executor_info::Type;
use meseta_proto::v1::{CommandInfo, ExecutorInfo, container_info};
use meseta_proto::{json, v1};
use meseta_resources::Resources;

use super::resource::{one_allocation_role, one_revocability, unique_volumes};
use super::{Checked, Invalid, command, id, resource, within};
use crate::records::{AgentRecord, FrameworkRecord};

/// Checks an executor on its own and against the one of the same id that runs already, and reads
/// its resources.
pub(super) fn executor(
    executor: &ExecutorInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
) -> Result<Resources, Invalid> {
    kind(executor)?;
    id(executor.executor_id.as_str())?;
    if nanoseconds(executor.shutdown_grace_period) < 0 {
        return Err(Invalid::new(
            "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
        ));
    }
    if let Some(given) = &executor.command {
        command::command(given).map_err(within("Executor's `CommandInfo` is invalid"))?;
    }
    if let Some(given) = &executor.container {
        command::container(given).map_err(within("Executor's `ContainerInfo` is invalid"))?;
    }
    match &executor.framework_id {
        None => {
            return Err(Invalid::new("'ExecutorInfo.framework_id' must be set"));
        }
        Some(given) if *given != framework.id => {
            return Err(Invalid(format!(
                "ExecutorInfo has an invalid FrameworkID (Actual: {given} vs Expected: {})",
                framework.id
            )));
        }
        Some(_) => {}
    }
    let resources = resources(executor)?;
    if let Some(existing) = running(executor, framework, agent)
        && !is_same(existing, executor)
    {
        let line = "------------------------------------------------------------\n";
        return Err(Invalid(format!(
            "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
             {line}Existing ExecutorInfo:\n{}\n{line}ExecutorInfo:\n{}\n{line}",
            json::to_string(existing),
            json::to_string(executor),
        )));
    }
    Ok(resources)
}

/// The framework's executor of the same id on the agent, if there is one.
pub(super) fn running<'a>(
    executor: &ExecutorInfo,
    framework: &FrameworkRecord,
    agent: &'a AgentRecord,
) -> Option<&'a ExecutorInfo> {
    let key = (framework.id.clone(), executor.executor_id.clone());
    agent.executors.get(&key).map(AsRef::as_ref)
}

/// Whether two describe the same executor. Its labels and grace period do not count.
pub(super) fn is_same(left: &ExecutorInfo, right: &ExecutorInfo) -> bool {
    left.r#type == right.r#type
        && left.executor_id == right.executor_id
        && left.data() == right.data()
        && left.framework_id == right.framework_id
        && left.name() == right.name()
        && source(left) == source(right)
        && left.container == right.container
        && left.discovery == right.discovery
        && is_same_command(left.command.as_ref(), right.command.as_ref())
        && match (
            Resources::from_v1(&left.resources),
            Resources::from_v1(&right.resources),
        ) {
            (Ok(left), Ok(right)) => left == right,
            _ => false,
        }
}

#[allow(deprecated, reason = "old frameworks set it")]
fn source(executor: &ExecutorInfo) -> &str {
    executor.source()
}

/// URIs and variables are bags: clients keep them in maps, and send them in any order.
fn is_same_command(left: Option<&CommandInfo>, right: Option<&CommandInfo>) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return left == right;
    };
    let variables = |command: &CommandInfo| {
        let environment = command.environment.clone();
        environment.map(|e| e.variables).unwrap_or_default()
    };
    let rest = |command: &CommandInfo| CommandInfo {
        uris: Vec::new(),
        environment: None,
        shell: Some(command.shell()),
        ..command.clone()
    };
    is_same_bag(&left.uris, &right.uris)
        && is_same_bag(&variables(left), &variables(right))
        && rest(left) == rest(right)
}

fn is_same_bag<T: PartialEq>(left: &[T], right: &[T]) -> bool {
    if left == right {
        return true;
    }
    let mut unmatched: Vec<&T> = right.iter().collect();
    left.len() == right.len()
        && left.iter().all(|wanted| {
            let found = unmatched.iter().position(|other| *other == wanted);
            found.map(|at| unmatched.swap_remove(at)).is_some()
        })
}

fn kind(executor: &ExecutorInfo) -> Checked {
    let refuse = |sentence: &str| Err(Invalid::new(sentence));
    match executor.r#type() {
        Type::Default => {
            if executor.command.is_some() {
                return refuse("'ExecutorInfo.command' must not be set for 'DEFAULT' executor");
            }
            let Some(container) = &executor.container else {
                return Ok(());
            };
            if container.r#type() != container_info::Type::Mesos {
                return refuse(
                    "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
                );
            }
            if container.mesos.as_ref().is_some_and(|m| m.image.is_some()) {
                return refuse(
                    "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
                );
            }
            Ok(())
        }
        Type::Custom if executor.command.is_none() => {
            refuse("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
        }
        // The type is optional: tasks with their own executor often leave it out.
        Type::Custom | Type::Unknown => Ok(()),
    }
}

fn resources(executor: &ExecutorInfo) -> Result<Resources, Invalid> {
    let resources = resource::resources(&executor.resources)
        .map_err(within("Executor uses invalid resources"))?;
    unique_volumes(&resources).map_err(within("Executor uses duplicate persistence ID"))?;
    one_allocation_role(&resources).map_err(within("Invalid executor resources"))?;
    one_revocability(&resources).map_err(within(
        "Executor mixes revocable and non-revocable resources",
    ))?;
    Ok(resources)
}

/// A duration that may be absent.
pub(super) fn nanoseconds(duration: Option<v1::DurationInfo>) -> i64 {
    duration.map_or(0, |d| d.nanoseconds)
}

/// Whether the executor's container asks to share its parent's cgroups, which only tasks can.
pub(super) fn shares_cgroups(executor: &ExecutorInfo) -> bool {
    let container = executor.container.as_ref();
    let linux = container.and_then(|container| container.linux_info.as_ref());
    linux.is_some_and(|linux| linux.share_cgroups == Some(true))
}
