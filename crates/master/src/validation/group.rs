use std::collections::BTreeSet;

use meseta_proto::v1::{
    ExecutorInfo, Task, TaskGroupInfo, TaskInfo, container_info, executor_info, health_check,
};
use meseta_resources::Resources;

use super::executor::{executor, is_same, running, shares_cgroups};
use super::resource::{one_revocability, overlap, unique_volumes};
use super::task::{share_cgroups, task_alone};
use super::{Checked, Invalid, within};
use crate::limits::{MIN_EXECUTOR_CPUS, MIN_EXECUTOR_MEM};
use crate::records::{AgentRecord, FrameworkRecord};

/// Checks the tasks of a LAUNCH_GROUP operation and their executor. `offered` is what is left of
/// the accepted offers. The resources carry allocation roles already, and the executor (in the
/// tasks too) its framework's id.
pub fn task_group(
    group: &TaskGroupInfo,
    executor: &ExecutorInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
    offered: &Resources,
) -> Checked {
    let mut tasks = Vec::with_capacity(group.tasks.len());
    let mut ids = BTreeSet::new();
    for task in &group.tasks {
        let resources = nested_task(task, framework, agent)
            .and_then(|resources| {
                if ids.insert(&task.task_id) {
                    Ok(resources)
                } else {
                    // Mesos ends itself over this.
                    Err(Invalid(format!("Task has duplicate ID: {}", task.task_id)))
                }
            })
            .map_err(|e| Invalid(format!("Task '{}' is invalid: {e}", task.task_id)))?;
        tasks.push(resources);
    }
    group_executor(group, &tasks, executor, framework, agent, offered)?;
    cgroups(group, executor, framework, agent)
}

fn nested_task(
    task: &TaskInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
) -> Result<Resources, Invalid> {
    let resources = task_alone(task, framework, agent)?;
    if task.executor.is_none() {
        return Err(Invalid::new("'TaskInfo.executor' must be set"));
    }
    if let Some(container) = &task.container {
        let over_network = task.health_check.as_ref().is_some_and(|check| {
            matches!(
                check.r#type(),
                health_check::Type::Http | health_check::Type::Tcp
            )
        });
        if !container.network_infos.is_empty() && over_network {
            return Err(Invalid::new(
                "HTTP and TCP health checks are not supported for nested containers not joining \
                 parent's network",
            ));
        }
        if container.r#type() == container_info::Type::Docker {
            return Err(Invalid::new(
                "Docker ContainerInfo is not supported on the task",
            ));
        }
    }
    if !task.limits.is_empty() && share_cgroups(task.container.as_ref()) != Some(false) {
        return Err(Invalid::new(
            "Resource limits may only be set for tasks within a task group when the \
             'share_cgroups' field is set to 'false'.",
        ));
    }
    Ok(resources)
}

fn group_executor(
    group: &TaskGroupInfo,
    tasks: &[Resources],
    info: &ExecutorInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
    offered: &Resources,
) -> Checked {
    let own = executor(info, framework, agent)?;
    if info.r#type.is_none() {
        return Err(Invalid::new("'ExecutorInfo.type' must be set"));
    }
    if info.r#type() == executor_info::Type::Unknown {
        return Err(Invalid::new("Unknown executor type"));
    }
    let container = info.container.as_ref();
    if container.is_some_and(|c| c.r#type() == container_info::Type::Docker) {
        return Err(Invalid::new(
            "Docker ContainerInfo is not supported on the executor",
        ));
    }
    let differs = |task: &&TaskInfo| task.executor.as_ref().is_some_and(|e| !is_same(e, info));
    if let Some(task) = group.tasks.iter().find(differs) {
        return Err(Invalid(format!(
            "The `ExecutorInfo` of task '{}' is different from executor '{}'",
            task.task_id, info.executor_id
        )));
    }
    minimum(info, &own)?;
    let total = together(tasks, &own)?;
    let required = match running(info, framework, agent) {
        Some(_) => tasks.iter().sum(),
        None => total,
    };
    if offered.contains(&required) {
        Ok(())
    } else {
        Err(Invalid(format!(
            "Total resources {required} required by task group and its executor are more than \
             available {offered}"
        )))
    }
}

/// Checks that the executor has what its own process needs.
fn minimum(info: &ExecutorInfo, own: &Resources) -> Checked {
    let id = &info.executor_id;
    let too_little = |what: &str, found: String, minimum: String| {
        Err(Invalid(format!(
            "Executor '{id}' uses less {what} ({found}) than the minimum required ({minimum})"
        )))
    };
    let none = || "None".to_owned();
    let cpus = own.cpus();
    if cpus.is_none_or(|cpus| cpus < MIN_EXECUTOR_CPUS) {
        let found = cpus.map_or_else(none, |cpus| cpus.to_string());
        return too_little("CPUs", found, MIN_EXECUTOR_CPUS.to_string());
    }
    let mem = own.mem();
    if mem.is_none_or(|mem| mem < MIN_EXECUTOR_MEM) {
        let found = mem.map_or_else(none, |mem| format!("{mem}MB"));
        return too_little("memory", found, format!("{MIN_EXECUTOR_MEM}MB"));
    }
    if own.disk().is_none() {
        return Err(Invalid(format!("Executor '{id}' uses no disk")));
    }
    Ok(())
}

/// Checks the resources of the tasks and the executor as a whole, and adds them up.
fn together(tasks: &[Resources], own: &Resources) -> Result<Resources, Invalid> {
    let parts: Vec<&Resources> = tasks.iter().chain([own]).collect();
    let total: Resources = parts.iter().copied().sum();
    unique_volumes(&total).map_err(within(
        "Task group and executor use duplicate persistence ID",
    ))?;
    one_revocability(&total).map_err(within(
        "Task group and executor mix revocable and non-revocable resources",
    ))?;
    if overlap(&parts) {
        let tasks: Vec<String> = tasks.iter().map(Resources::to_string).collect();
        return Err(Invalid(format!(
            "There are overlapping resources in the task group's task resources {{ {} }} and/or \
             executor resources {own}",
            tasks.join(", ")
        )));
    }
    Ok(total)
}

/// Checks that all tasks of the executor, old and new, share its cgroups or none does.
fn cgroups(
    group: &TaskGroupInfo,
    info: &ExecutorInfo,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
) -> Checked {
    if shares_cgroups(info) {
        return Err(Invalid::new(
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ));
    }
    let is_of_executor = |task: &&Task| {
        task.agent_id == agent.id && task.executor_id.as_ref() == Some(&info.executor_id)
    };
    let is_known = running(info, framework, agent).is_some();
    let earlier = framework
        .tasks
        .values()
        .chain(framework.unreachable_tasks.iter())
        .map(AsRef::as_ref)
        .filter(|task| is_known && is_of_executor(task));
    let shares = |container| share_cgroups(container).unwrap_or(true);
    let mut all = group
        .tasks
        .iter()
        .map(|task| shares(task.container.as_ref()))
        .chain(earlier.map(|task| shares(task.container.as_deref())));
    let first = all.next();
    if all.any(|next| Some(next) != first) {
        return Err(Invalid::new(
            "If set, the value of 'share_cgroups' must be the same for all tasks in each task \
             group and under a single executor",
        ));
    }
    Ok(())
}
