use meseta_proto::v1::agent_info::capability::Type::TaskResourceLimits;
use meseta_proto::v1::{ContainerInfo, ExecutorInfo, TaskInfo, executor_info};
use meseta_resources::Resources;

use super::executor::{executor, nanoseconds, running, shares_cgroups};
use super::resource::{one_allocation_role, one_revocability, overlap, resources, unique_volumes};
use super::{Checked, Invalid, check, command, id, within};
use crate::records::{AgentRecord, FrameworkRecord};

/// Checks a task of a LAUNCH operation and its executor. `offered` is what is left of the accepted
/// offers. The resources carry allocation roles already, and the executor its framework's id.
pub fn task(
    task: &TaskInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
    offered: &Resources,
) -> Checked {
    let resources = task_alone(task, framework, agent)?;
    with_executor(task, &resources, framework, agent, offered)?;
    if share_cgroups(task.container.as_ref()) == Some(false) {
        return Err(Invalid::new(
            "Only tasks in a task group may have 'share_cgroups' set to 'false'",
        ));
    }
    Ok(())
}

/// Checks everything of a task but its executor, and reads its resources.
pub(super) fn task_alone(
    task: &TaskInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
) -> Result<Resources, Invalid> {
    let task_id = &task.task_id;
    id(task_id.as_str())?;
    if framework.tasks.contains_key(task_id) {
        return Err(Invalid(format!("Task has duplicate ID: {task_id}")));
    }
    let is_unreachable = |known: &std::sync::Arc<meseta_proto::v1::Task>| known.task_id == *task_id;
    if framework.unreachable_tasks.iter().any(is_unreachable) {
        return Err(Invalid(format!(
            "Task reuses the ID of an unreachable task: {task_id}"
        )));
    }
    if task.agent_id != agent.id {
        return Err(Invalid(format!(
            "Task uses invalid agent {} while agent {} is expected",
            task.agent_id, agent.id
        )));
    }
    let grace_period = task.kill_policy.and_then(|policy| policy.grace_period);
    if nanoseconds(grace_period) < 0 {
        return Err(Invalid::new(
            "Task's 'kill_policy.grace_period' must be non-negative",
        ));
    }
    if nanoseconds(task.max_completion_time) < 0 {
        return Err(Invalid::new(
            "Task's `max_completion_time` must be non-negative",
        ));
    }
    if let Some(given) = &task.check {
        check::check(given).map_err(within("Task uses invalid check"))?;
    }
    if let Some(given) = &task.health_check {
        check::health_check(given).map_err(within("Task uses invalid health check"))?;
    }
    let resources = own_resources(task)?;
    if let Some(given) = &task.command {
        command::command(given).map_err(within("Task's `CommandInfo` is invalid"))?;
    }
    if let Some(given) = &task.container {
        command::container(given).map_err(within("Task's `ContainerInfo` is invalid"))?;
    }
    limits(task, &resources, agent)?;
    Ok(resources)
}

fn own_resources(task: &TaskInfo) -> Result<Resources, Invalid> {
    if task.resources.is_empty() {
        return Err(Invalid::new("Task uses no resources"));
    }
    let resources = resources(&task.resources).map_err(within("Task uses invalid resources"))?;
    unique_volumes(&resources).map_err(within("Task uses duplicate persistence ID"))?;
    one_allocation_role(&resources).map_err(within("Invalid task resources"))?;
    one_revocability(&resources)
        .map_err(within("Task mixes revocable and non-revocable resources"))?;
    Ok(resources)
}

fn limits(task: &TaskInfo, resources: &Resources, agent: &AgentRecord) -> Checked {
    if task.limits.is_empty() {
        return Ok(());
    }
    let refuse = |sentence: &str| Err(Invalid::new(sentence));
    if !agent.is_capable_of(TaskResourceLimits) {
        return refuse("Agent is not capable of handling task resource limits");
    }
    if task
        .limits
        .keys()
        .any(|name| name != "cpus" && name != "mem")
    {
        return refuse("Only cpus and mem may be included in a task's resource limits");
    }
    if let Some(limit) = task.limits.get("cpus") {
        match resources.cpus() {
            None => {
                return refuse(
                    "When a CPU limit is specified, a CPU request must also be specified",
                );
            }
            Some(request) if !is_at_least(limit.value, request) => {
                return refuse("The cpu limit must be greater than or equal to the cpu request");
            }
            Some(_) => {}
        }
    }
    if let Some(limit) = task.limits.get("mem") {
        match resources.mem() {
            None => {
                return refuse(
                    "When a memory limit is specified, a memory request must also be specified",
                );
            }
            Some(request) if !is_at_least(limit.value, request) => {
                return refuse(
                    "The memory limit must be greater than or equal to the memory request",
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A limit may be infinite, but it must be a number.
fn is_at_least(limit: f64, request: f64) -> bool {
    limit >= request
}

fn with_executor(
    task: &TaskInfo,
    own: &Resources,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
    offered: &Resources,
) -> Checked {
    if task.executor.is_some() == task.command.is_some() {
        return Err(Invalid::new(
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ));
    }
    let mut total = own.clone();
    if let Some(given) = &task.executor {
        let executors = custom_executor(given, framework, agent)?;
        let both = own + &executors;
        if overlap(&[own, &executors]) {
            return Err(Invalid(format!(
                "There are overlapping resources in the task resources {own} and executor \
                 resources {executors}"
            )));
        }
        unique_volumes(&both)
            .map_err(within("Task and its executor use duplicate persistence ID"))?;
        one_revocability(&both).map_err(within(
            "Task and its executor mix revocable and non-revocable resources",
        ))?;
        if running(given, framework, agent).is_none() {
            total = both;
        }
    }
    if offered.contains(&total) {
        Ok(())
    } else {
        Err(Invalid(format!(
            "Total resources {total} required by task and its executor is more than available \
             {offered}"
        )))
    }
}

fn custom_executor(
    given: &ExecutorInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
) -> Result<Resources, Invalid> {
    let resources = executor(given, framework, agent)?;
    if given.r#type.is_some() && given.r#type() != executor_info::Type::Custom {
        return Err(Invalid::new("'ExecutorInfo.type' must be 'CUSTOM'"));
    }
    if given.command.is_none() {
        return Err(Invalid::new("'ExecutorInfo.command' must be set"));
    }
    if !resources.shared().is_empty() {
        return Err(Invalid(format!(
            "Executor resources {resources} should not contain any shared resources"
        )));
    }
    if shares_cgroups(given) {
        return Err(Invalid::new(
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ));
    }
    Ok(resources)
}

/// What a container says about sharing its parent's cgroups, if anything.
pub(super) fn share_cgroups(container: Option<&ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}
