//! What a nested container is to be.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use meseta_proto::v1::environment::variable;
use meseta_proto::v1::volume::source::{self, sandbox_path};
use meseta_proto::v1::{CommandInfo, ContainerId, ContainerInfo, Resource, Volume, container_info};

use crate::action::{Launch, OnTerminal, Session, Terminal};
use crate::agent::Agent;
use crate::executors::RunKey;
use crate::launch::{DEFAULT_PATH, command_line, refuse_unserved};
use crate::nested::{SharedFolder, WindowSize, directory};
use crate::records::{Executor, NestedContainer, NestedState};

impl Agent {
    /// The record of a container, and what starts it.
    ///
    /// # Errors
    /// A sentence that says why it cannot be.
    pub(super) fn nested_container(
        &self,
        key: &RunKey,
        executor: &Executor,
        id: ContainerId,
        command: &CommandInfo,
        container: Option<&ContainerInfo>,
    ) -> Result<(NestedContainer, Launch), String> {
        if container.is_some_and(|it| it.r#type() != container_info::Type::Mesos) {
            return Err("The provided ContainerInfo is not supported".into());
        }
        refuse_unserved(container)?;
        refuse_secrets(command)?;
        let (program, arguments) = command_line(Some(command))?;
        let shared = self.shared_folders(key, executor, &id, container)?;
        let terminal = container.and_then(Terminal::of);
        let directory = directory(&executor.directory, &id);
        let record = NestedContainer {
            user: self.user_of(executor, &id, command),
            directory: directory.clone(),
            state: NestedState::Starting,
            process: None,
            links: links(&shared),
            is_session: false,
            container_id: id,
        };
        let launch = Launch {
            container_id: record.container_id.clone(),
            executor: Arc::clone(&executor.info),
            uris: command.uris.clone(),
            latest: None,
            user: record.user.clone(),
            program,
            arguments,
            environment: environment(&directory, command),
            volumes: Vec::new(),
            shared,
            stdout: directory.join("stdout"),
            stderr: directory.join("stderr"),
            directory,
            on_terminal: terminal.map(|terminal| OnTerminal {
                terminal,
                is_passed_on: false,
            }),
            session: None,
        };
        Ok((record, launch))
    }

    /// The record of a session, and what starts it.
    ///
    /// # Errors
    /// A sentence that says why it cannot be.
    pub(super) fn session(
        &self,
        executor: &Executor,
        id: ContainerId,
        command: &CommandInfo,
        container: Option<&ContainerInfo>,
    ) -> Result<(NestedContainer, Launch), String> {
        refuse_in_session(command, container)?;
        refuse_secrets(command)?;
        let (program, arguments) = command_line(Some(command))?;
        let directory = directory(&executor.directory, &id);
        let around = id.parent.as_deref().unwrap_or(&id);
        let session = Session {
            directory: super::directory(&executor.directory, around),
            terminal: container.and_then(Terminal::of),
        };
        let record = NestedContainer {
            user: self.user_of(executor, &id, command),
            directory: directory.clone(),
            state: NestedState::Starting,
            process: None,
            links: Vec::new(),
            is_session: true,
            container_id: id,
        };
        let launch = Launch {
            container_id: record.container_id.clone(),
            executor: Arc::clone(&executor.info),
            uris: Vec::new(),
            latest: None,
            user: record.user.clone(),
            program,
            arguments,
            environment: own_variables(command).collect(),
            volumes: Vec::new(),
            shared: Vec::new(),
            stdout: directory.join("stdout"),
            stderr: directory.join("stderr"),
            directory,
            on_terminal: None,
            session: Some(session),
        };
        Ok((record, launch))
    }

    /// Who runs it: whom the command names, else who runs what it is in.
    fn user_of(
        &self,
        executor: &Executor,
        id: &ContainerId,
        command: &CommandInfo,
    ) -> Option<String> {
        let own = command.user.clone().filter(|_| self.config.switch_user);
        let parent = id
            .parent
            .as_deref()
            .and_then(|it| executor.containers.get(it));
        let of_parent = || match parent {
            Some(parent) => parent.user.clone(),
            None => executor.user.clone(),
        };
        own.or_else(of_parent)
    }

    /// The folders that a container shares with those that it is in.
    fn shared_folders(
        &self,
        key: &RunKey,
        executor: &Executor,
        id: &ContainerId,
        container: Option<&ContainerInfo>,
    ) -> Result<Vec<SharedFolder>, String> {
        let volumes = container
            .map(|it| it.volumes.as_slice())
            .unwrap_or_default();
        let mut shared: Vec<SharedFolder> = Vec::new();
        for volume in volumes {
            let (kind, path) = sandbox_path(volume)?;
            let name = below(&volume.container_path).ok_or_else(|| {
                format!(
                    "The volume cannot be put at '{}': this agent serves paths inside of the sandbox",
                    volume.container_path
                )
            })?;
            let around = match kind {
                sandbox_path::Type::Self_ => id,
                sandbox_path::Type::Parent => id.parent.as_deref().unwrap_or(id),
                sandbox_path::Type::Unknown => {
                    return Err("Unknown SANDBOX_PATH volume type".into());
                }
            };
            let links = self.links_in(key, executor, around);
            let (root, path) = through(&links, &path)
                .unwrap_or_else(|| (directory(&executor.directory, around), path));
            shared.push(SharedFolder { root, path, name });
        }
        Ok(shared)
    }

    /// What the agent itself has put into a container's sandbox: names of links, and where they lead.
    fn links_in(
        &self,
        key: &RunKey,
        executor: &Executor,
        id: &ContainerId,
    ) -> Vec<(PathBuf, PathBuf)> {
        if id.parent.is_some() {
            let nested = executor.containers.get(id);
            return nested.map(|it| it.links.clone()).unwrap_or_default();
        }
        let of_queued = executor.queued_tasks.values().flat_map(|it| &it.resources);
        let of_tasks = executor.launched_tasks.values();
        let of_tasks = of_tasks.flat_map(|it| &it.resources);
        let resources = executor.info.resources.iter();
        let resources = resources.chain(of_queued).chain(of_tasks);
        // One at a time: several tasks may have the same.
        resources
            .filter_map(|it: &Resource| self.volume_links(key, std::slice::from_ref(it)).ok())
            .flatten()
            .map(|link| (link.name, link.volume))
            .collect()
    }
}

/// A session is in what is there already: it brings nothing of its own. The sentences are Mesos's where
/// it has one.
fn refuse_in_session(
    command: &CommandInfo,
    container: Option<&ContainerInfo>,
) -> Result<(), String> {
    if !command.uris.is_empty() {
        return Err("This agent fetches nothing into sessions".into());
    }
    let Some(container) = container else {
        return Ok(());
    };
    if container.r#type() != container_info::Type::Mesos {
        return Err("The provided ContainerInfo is not supported".into());
    }
    if container
        .mesos
        .as_ref()
        .is_some_and(|it| it.image.is_some())
    {
        return Err("A 'rootfs' cannot be set for DEBUG containers".into());
    }
    if !container.volumes.is_empty() {
        return Err("Volumes not supported for DEBUG containers".into());
    }
    refuse_unserved(Some(container))
}

impl Terminal {
    /// The one that a container is to have.
    pub(crate) fn of(container: &ContainerInfo) -> Option<Self> {
        let info = container.tty_info.as_ref()?;
        Some(Self {
            size: info.window_size.map(WindowSize::from),
        })
    }
}

/// A program must not go without what it was to be told.
fn refuse_secrets(command: &CommandInfo) -> Result<(), String> {
    let variables = command.environment.iter().flat_map(|it| &it.variables);
    let mut secrets = variables.filter(|it| it.r#type() == variable::Type::Secret);
    match secrets.next() {
        Some(secret) => Err(format!(
            "This agent resolves no secrets, such as the one of the environment variable '{}'",
            secret.name
        )),
        None => Ok(()),
    }
}

fn links(shared: &[SharedFolder]) -> Vec<(PathBuf, PathBuf)> {
    let links = shared.iter();
    links.map(|it| (it.name.clone(), it.target())).collect()
}

/// Where a path leads that begins with a link of the agent's own making.
fn through(links: &[(PathBuf, PathBuf)], path: &Path) -> Option<(PathBuf, PathBuf)> {
    links.iter().find_map(|(name, target)| {
        let rest = path.strip_prefix(name).ok()?;
        Some((target.clone(), rest.to_owned()))
    })
}

/// What a volume shares of which sandbox.
fn sandbox_path(volume: &Volume) -> Result<(sandbox_path::Type, PathBuf), String> {
    // A relative path of the host's is the older way to name one in the container's own sandbox.
    if let Some(path) = volume.host_path.as_deref().and_then(below) {
        return Ok((sandbox_path::Type::Self_, path));
    }
    let source = volume.source.as_ref();
    let source = source.filter(|it| it.r#type() == source::Type::SandboxPath);
    let Some(source) = source.and_then(|it| it.sandbox_path.as_ref()) else {
        return Err("This agent mounts no volumes into containers but those of sandboxes".into());
    };
    let refused = |why: &str| format!("Path '{}' in SANDBOX_PATH volume {why}", source.path);
    if Path::new(&source.path).is_absolute() {
        return Err(refused("is absolute"));
    }
    let path = below(&source.path).ok_or_else(|| refused("leads out of the sandbox"))?;
    Ok((source.r#type(), path))
}

/// A path to something inside of what it starts from; `None` for any other.
fn below(path: &str) -> Option<PathBuf> {
    let parts = Path::new(path).components();
    let parts = parts.filter(|part| *part != Component::CurDir);
    let path: Option<PathBuf> = parts
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    path.filter(|path| path != Path::new(""))
}

/// The whole environment: where the sandbox is, and what the command asks for. Nothing of the
/// executor's own gets here, as in Mesos.
fn environment(directory: &Path, command: &CommandInfo) -> Vec<(String, String)> {
    let sandbox = directory.to_string_lossy().into_owned();
    let mut variables = BTreeMap::from([
        ("PATH".to_owned(), DEFAULT_PATH.to_owned()),
        ("MESOS_SANDBOX".to_owned(), sandbox),
    ]);
    variables.extend(own_variables(command));
    variables.into_iter().collect()
}

/// What a command asks for.
fn own_variables(command: &CommandInfo) -> impl Iterator<Item = (String, String)> {
    let wanted = command.environment.iter().flat_map(|it| &it.variables);
    let wanted = wanted.filter(|it| it.r#type() == variable::Type::Value);
    wanted.map(|it| (it.name.clone(), it.value().to_owned()))
}
