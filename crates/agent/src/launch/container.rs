//! What a container is to be.

use std::sync::Arc;

use meseta_proto::v1::{CommandInfo, ContainerInfo, container_info, executor_info};
use meseta_resources::Resources;

use super::{Order, environment::environment};
use crate::agent::Agent;
use crate::records::Executor;
use crate::{Launch, OnTerminal, Terminal, sandbox};

impl Agent {
    /// The container for an executor and its first tasks.
    ///
    /// # Errors
    /// A sentence that says what the executor lacks.
    pub(super) fn container(&self, executor: &Executor, order: &Order) -> Result<Launch, String> {
        let mut info = order.executor.clone();
        if info.r#type() == executor_info::Type::Default {
            let user = executor.user.clone();
            info.command = Some(super::default::command(&self.config, user));
        }
        refuse_unserved(info.container.as_ref())?;
        if info.container.iter().any(|it| !it.volumes.is_empty()) {
            return Err("This agent does not mount volumes into containers".into());
        }
        let (program, arguments) = command_line(info.command.as_ref())?;
        let mut resources = info.resources;
        resources.extend(order.tasks.iter().flat_map(|task| task.resources.clone()));
        // Adds up what is alike. Admission has seen that all of it is valid.
        info.resources = Resources::from_v1(&resources).map_or(resources, |sum| sum.to_v1());
        let volumes = self.volume_links(&order.key(), &info.resources)?;
        let agent = self.id().cloned().unwrap_or_default();
        let checkpoint = order.framework.checkpoint();
        let directory = executor.directory.clone();
        let terminal = info.container.as_ref().and_then(Terminal::of);
        let on_terminal = terminal.map(|terminal| OnTerminal {
            terminal,
            is_passed_on: executor.is_command_executor,
        });
        let environment = environment(&self.config, &agent, &info, checkpoint, executor);
        let (framework, id) = order.key();
        let (_, latest) = sandbox::sandbox(
            &self.config.work_dir,
            &agent,
            &framework,
            &id,
            &executor.container_id,
        );
        Ok(Launch {
            container_id: executor.container_id.clone(),
            uris: info.command.clone().unwrap_or_default().uris,
            executor: Arc::new(info),
            latest: Some(latest),
            user: executor.user.clone(),
            program,
            arguments,
            environment,
            volumes,
            shared: Vec::new(),
            stdout: directory.join("stdout"),
            stderr: directory.join("stderr"),
            directory,
            on_terminal,
            session: None,
        })
    }
}

/// What changes the world that a program sees must not be left out silently: the program would work
/// on another one.
pub(crate) fn refuse_unserved(container: Option<&ContainerInfo>) -> Result<(), String> {
    let Some(container) = container else {
        return Ok(());
    };
    if container.r#type() == container_info::Type::Docker {
        return Err(
            "None of the enabled containerizers (mesos) could create a container for the provided \
             TaskInfo/ExecutorInfo message"
                .into(),
        );
    }
    if container.mesos.as_ref().is_some_and(|m| m.image.is_some()) {
        return Err("This agent does not provide container images".into());
    }
    match container.network_infos.iter().find_map(|n| n.name.as_ref()) {
        Some(network) => Err(format!("Unknown CNI network '{network}'")),
        None => Ok(()),
    }
}

/// A program and its arguments, with its own name in front.
pub(crate) fn command_line(command: Option<&CommandInfo>) -> Result<(String, Vec<String>), String> {
    let command = command.ok_or("There is no command")?;
    match (command.value.as_deref(), command.shell()) {
        (None, _) => Err("The command has no value".into()),
        (Some(value), true) => Ok((
            "/bin/sh".into(),
            vec!["sh".into(), "-c".into(), value.into()],
        )),
        (Some(value), false) if command.arguments.is_empty() => {
            Ok((value.into(), vec![value.into()]))
        }
        (Some(value), false) => Ok((value.into(), command.arguments.clone())),
    }
}
