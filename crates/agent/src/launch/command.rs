//! The executor that the agent makes up for a task that is a plain command.

use std::time::Duration;

use meseta_proto::v1::{
    CommandInfo, DurationInfo, ExecutorInfo, FrameworkInfo, Resource, TaskInfo, container_info,
    value,
};

use crate::Config;

/// What the command executor itself uses. As in Mesos.
const CPUS: f64 = 0.1;
const MEGABYTES: f64 = 32.0;

/// How much longer than its task the command executor may take to end: Mesos adds the time in
/// which the end of a process is noticed and a second more.
const GRACE_BEYOND_TASK: Duration = Duration::from_secs(2);

/// How much of the command is shown in the executor's name.
const SHOWN_COMMAND: usize = 15;

/// The executor for a command task, as Mesos makes it.
pub(crate) fn executor(
    config: &Config,
    framework: &FrameworkInfo,
    task: &TaskInfo,
) -> ExecutorInfo {
    let command = task.command.clone().unwrap_or_default();
    let grace = task.kill_policy.and_then(|policy| policy.grace_period);
    #[allow(deprecated, reason = "old readers group executors by it")]
    ExecutorInfo {
        executor_id: task.task_id.as_str().into(),
        framework_id: framework.id.clone(),
        container: task.container.clone(),
        name: Some(format!(
            "Command Executor (Task: {}) {}",
            task.task_id,
            shown(&command)
        )),
        source: Some(task.task_id.to_string()),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        shutdown_grace_period: grace.map(|grace| DurationInfo {
            nanoseconds: grace
                .nanoseconds
                .saturating_add(DurationInfo::from(GRACE_BEYOND_TASK).nanoseconds),
        }),
        resources: overhead(task),
        command: Some(program(config, framework, task, command)),
        ..ExecutorInfo::default()
    }
}

fn program(
    config: &Config,
    framework: &FrameworkInfo,
    task: &TaskInfo,
    command: CommandInfo,
) -> CommandInfo {
    let (path, rest) = &config.command_executor;
    let name = path.file_name().unwrap_or(path.as_os_str());
    let mut arguments = vec![name.to_string_lossy().into_owned()];
    arguments.extend(rest.iter().cloned());
    let has_image = task.container.as_ref().is_some_and(|container| {
        container.r#type() == container_info::Type::Mesos
            && container.mesos.as_ref().is_some_and(|m| m.image.is_some())
    });
    if has_image {
        arguments.push(format!("--sandbox_directory={}", config.sandbox_directory));
        if config.switch_user {
            let user = command.user.as_ref().unwrap_or(&framework.user);
            arguments.push(format!("--user={user}"));
        }
    }
    CommandInfo {
        shell: Some(false),
        value: Some(path.to_string_lossy().into_owned()),
        arguments,
        ..command
    }
}

/// The command in brief: what `ps` would show of it.
fn shown(command: &CommandInfo) -> String {
    let shorten = |text: &str, end: &str| {
        if text.len() > SHOWN_COMMAND {
            let kept: String = text.chars().take(SHOWN_COMMAND - 3).collect();
            format!("{kept}...{end}")
        } else {
            format!("{text}{end}")
        }
    };
    match (&command.value, command.shell()) {
        (None, true) => "(Command: NO COMMAND)".into(),
        (None, false) => "(Command: NO EXECUTABLE)".into(),
        (Some(value), true) => format!("(Command: sh -c '{}", shorten(value, "')")),
        (Some(value), false) => {
            let argv = format!("{value}, {}", command.arguments.join(", "));
            format!("(Command: [{}", shorten(&argv, "])"))
        }
    }
}

fn overhead(task: &TaskInfo) -> Vec<Resource> {
    let allocation = task
        .resources
        .first()
        .and_then(|r| r.allocation_info.clone());
    [("cpus", CPUS), ("mem", MEGABYTES)]
        .map(|(name, amount)| Resource {
            name: name.into(),
            r#type: value::Type::Scalar.into(),
            scalar: Some(value::Scalar { value: amount }),
            allocation_info: allocation.clone(),
            ..Resource::default()
        })
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(command: CommandInfo) -> String {
        let config = Config::new("slave(1)@127.0.0.1:5051".parse().unwrap(), "/w");
        let task = TaskInfo {
            task_id: "t".into(),
            command: Some(command),
            ..TaskInfo::default()
        };
        executor(&config, &FrameworkInfo::default(), &task)
            .name
            .unwrap()
    }

    #[test]
    fn the_name_shows_the_beginning_of_the_command() {
        let shell = |value: &str| CommandInfo {
            value: Some(value.into()),
            ..CommandInfo::default()
        };
        assert_eq!(
            name_of(shell("echo starting; sleep 1000")),
            "Command Executor (Task: t) (Command: sh -c 'echo startin...')"
        );
        assert_eq!(
            name_of(shell("true")),
            "Command Executor (Task: t) (Command: sh -c 'true')"
        );
        let argv = CommandInfo {
            shell: Some(false),
            value: Some("/bin/sleep".into()),
            arguments: vec!["sleep".into(), "1000".into()],
            ..CommandInfo::default()
        };
        assert_eq!(
            name_of(argv),
            "Command Executor (Task: t) (Command: [/bin/sleep, ...])"
        );
    }
}
