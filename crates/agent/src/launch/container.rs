//! What a container is to be.

use std::sync::Arc;

use meseta_proto::v1::{CommandInfo, executor_info};
use meseta_resources::Resources;

use super::{Order, environment::environment};
use crate::agent::Agent;
use crate::records::Executor;
use crate::{Launch, sandbox};

impl Agent {
    /// The container for an executor and its first tasks.
    ///
    /// # Errors
    /// A sentence that says what the executor lacks.
    pub(super) fn container(&self, executor: &Executor, order: &Order) -> Result<Launch, String> {
        let mut info = order.executor.clone();
        if info.r#type() == executor_info::Type::Default {
            return Err("The agent has no default executor".into());
        }
        let (program, arguments) = command_line(info.command.as_ref())?;
        let mut resources = info.resources;
        resources.extend(order.tasks.iter().flat_map(|task| task.resources.clone()));
        // Adds up what is alike. Admission has seen that all of it is valid.
        info.resources = Resources::from_v1(&resources).map_or(resources, |sum| sum.to_v1());
        let agent = self.id().cloned().unwrap_or_default();
        let checkpoint = order.framework.checkpoint();
        let directory = executor.directory.clone();
        let environment = environment(&self.config, &agent, &info, checkpoint, &directory);
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
            executor: Arc::new(info),
            latest,
            user: executor.user.clone(),
            program,
            arguments,
            environment,
            stdout: directory.join("stdout"),
            stderr: directory.join("stderr"),
            directory,
        })
    }
}

/// A program and its arguments, with its own name in front.
fn command_line(command: Option<&CommandInfo>) -> Result<(String, Vec<String>), String> {
    let command = command.ok_or("The executor has no command")?;
    match (command.value.as_deref(), command.shell()) {
        (None, _) => Err("The executor's command has no value".into()),
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
