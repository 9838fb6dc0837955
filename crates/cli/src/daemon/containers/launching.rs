//! The thread that prepares containers and starts them, in the order of the agent's actions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use meseta_agent::{
    Input, Launch, LaunchFailure, OnTerminal, Session, SharedFolder, Terminal, VolumeLink,
};
use meseta_containerizer::{
    self as containerizer, Container, Kept, LaunchError, Process, Record, Role, Sandbox, Spec,
    VolumeError,
};
use meseta_proto::v1::ContainerId;

use super::{LinkOrder, Order, Shared, VolumeChanges, aside, lock, mark_end};
use crate::daemon::fetching::{self, Fetch};
use crate::daemon::garbage::Garbage;

/// The variable with what proves that an executor is who it says.
const TOKEN_VARIABLE: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

/// The thread that launches.
pub(super) struct Launching {
    pub(super) shared: Arc<Shared>,
    pub(super) fetched: Sender<Order>,
}

impl Launching {
    pub(super) fn carry_out(&self, garbage: &Garbage, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Launch(launch) => self.launch(launch),
                Order::Fetched(launch, outcome) => self.go_on(&launch, outcome),
                Order::Destroy(container_id) => self.destroy(&container_id),
                Order::Signal(container_id, signal) => self.signal(&container_id, signal),
                Order::RemoveNested(container_id, directory, done) => {
                    garbage.discard_nested(&directory);
                    self.shared.known_ends.forget(&container_id);
                    let _ = done.send(());
                }
                // In order with launches: the next may make the folder anew.
                Order::Discard(folder) => garbage.discard(folder),
                Order::ChangeVolumes(changes) => self.change_volumes(garbage, changes),
                Order::LinkVolumes(order, done) => {
                    self.link_volumes(order);
                    let _ = done.send(());
                }
            }
        }
    }

    fn change_volumes(&self, garbage: &Garbage, changes: VolumeChanges) {
        let result = change_volumes(garbage, &changes);
        if let Err(error) = &result {
            tracing::error!(%error, "a volume is not as it should be");
        }
        self.shared.inputs.send(Input::VolumesChanged {
            operation: changes.operation,
            result: result.map_err(|e| e.to_string()),
        });
    }

    fn link_volumes(&self, order: LinkOrder) {
        let linked = link_all(&order.directory, order.user.as_deref(), &order.volumes);
        if let Err(error) = linked {
            self.shared.inputs.send(Input::VolumesNotLinked {
                container_id: order.container_id,
                reason: error.to_string(),
            });
        }
    }

    fn launch(&self, launch: Box<Launch>) {
        if let Err(failure) = self.prepare(&launch) {
            return self.failed(&launch, failure);
        }
        if fetching::is_needed(&launch) {
            self.fetch(launch);
        } else {
            self.start(&launch);
        }
    }

    /// Makes the sandbox, and puts into it what the agent itself has for the container.
    fn prepare(&self, launch: &Launch) -> Result<(), LaunchFailure> {
        self.check_parent(launch)?;
        if launch.session.is_some() {
            // It has the sandbox of what it is in.
            return Ok(());
        }
        let user = launch.user.as_deref();
        let prepared = if let Some(latest) = &launch.latest {
            let sandbox = Sandbox {
                directory: &launch.directory,
                latest,
                stdout: &launch.stdout,
                stderr: &launch.stderr,
                user,
            };
            containerizer::prepare_sandbox(&sandbox).map_err(|e| e.to_string())
        } else {
            let outputs = [&launch.stdout, &launch.stderr];
            let outputs = outputs.map(|path| path.file_name().unwrap_or_default());
            containerizer::prepare_nested_sandbox(&launch.directory, outputs, user)
                .map_err(|e| e.to_string())
        };
        prepared.map_err(LaunchFailure::Sandbox)?;
        link_all(&launch.directory, user, &launch.volumes)
            .and_then(|()| share_all(&launch.directory, user, &launch.shared))
            .map_err(|error| LaunchFailure::Container(error.to_string()))
    }

    fn check_parent(&self, launch: &Launch) -> Result<(), LaunchFailure> {
        let id = &launch.container_id;
        match &id.parent {
            Some(parent) if !self.shared.alive.has_parent_of(id) => Err(LaunchFailure::Container(
                format!("Parent container {parent} does not exist"),
            )),
            _ => Ok(()),
        }
    }

    fn fetch(&self, launch: Box<Launch>) {
        let fetch = Arc::new(Fetch::default());
        let entry = (Arc::clone(&fetch), launch.directory.clone());
        let container_id = launch.container_id.clone();
        lock(&self.shared.fetching).insert(container_id, entry);
        let shared = Arc::clone(&self.shared);
        let fetched = self.fetched.clone();
        aside("fetch", move || {
            let outcome = shared.fetcher.fetch(&launch, &fetch);
            // The other side lives as long as the process.
            let _ = fetched.send(Order::Fetched(launch, outcome));
        });
    }

    /// Goes on with a container whose URIs are there, unless it was destroyed meanwhile.
    fn go_on(&self, launch: &Launch, outcome: Result<(), String>) {
        let fetch = lock(&self.shared.fetching).remove(&launch.container_id);
        if fetch.is_some_and(|(fetch, _)| fetch.is_cancelled()) {
            mark_end(&launch.container_id, &launch.directory);
            return self.shared.inputs.send(Input::ContainerExited {
                container_id: launch.container_id.clone(),
                status: None,
            });
        }
        match outcome {
            Ok(()) => self.start(launch),
            Err(reason) => {
                mark_end(&launch.container_id, &launch.directory);
                self.failed(launch, LaunchFailure::Container(reason));
            }
        }
    }

    fn start(&self, launch: &Launch) {
        let shared = &self.shared;
        if let Err(failure) = self.check_parent(launch) {
            return self.failed(launch, failure);
        }
        let bounds = match shared.output.policy.of_container(variables(launch)) {
            Ok(bounds) => bounds,
            Err(reason) => return self.failed(launch, LaunchFailure::Container(reason)),
        };
        let container_id = launch.container_id.clone();
        let spec = Spec {
            program: launch.program.clone(),
            arguments: launch.arguments.clone(),
            environment: launch.environment.clone(),
            directory: launch.directory.clone(),
            stdout: launch.stdout.clone(),
            stderr: launch.stderr.clone(),
            user: launch.user.clone(),
        };
        let is_nested = container_id.parent.is_some();
        let word = shared.started.file(&container_id);
        let record = shared.started.record(&word);
        let launched = if let Some(session) = &launch.session {
            self.start_session(launch, session, &record)
        } else if let Some(on_terminal) = launch.on_terminal {
            self.start_on_terminal(&container_id, &spec, on_terminal, &record)
        } else if is_nested {
            let file = shared.known_ends.file(&container_id);
            containerizer::launch_supervised(&spec, &shared.supervisor, &file, Some(&record))
        } else {
            containerizer::launch_recorded(&spec, &record)
        };
        let process = match launched {
            Ok(process) => process,
            Err(error) => {
                return self.failed(launch, LaunchFailure::Container(error.to_string()));
            }
        };
        // Before it is watched, so that its end is not told before its beginning.
        shared.inputs.send(Input::ContainerLaunched {
            container_id: container_id.clone(),
            pid: process.pid.unsigned_abs(),
            start_time: process.start_time,
        });
        if launch.session.is_none() {
            shared.keep_output(&container_id, &launch.directory, bounds);
        }
        let container = Container {
            process: Some(process),
            directory: launch.directory.clone(),
        };
        shared.alive.insert(container_id.clone(), container.clone());
        // From here on it is known to be inside of its parent. Who looked there before, for that has
        // ended, has not seen it.
        if !shared.alive.has_parent_of(&container_id) {
            shared.destroy(&container);
        }
        if !shared.watch(&container_id, process) {
            shared.report_end(container_id, None);
        }
    }

    fn start_on_terminal(
        &self,
        id: &ContainerId,
        spec: &Spec,
        on_terminal: OnTerminal,
        record: &Record<'_>,
    ) -> Result<Process, LaunchError> {
        let shared = &self.shared;
        let socket = shared.sessions.listen(id);
        let socket = socket.map_err(|source| LaunchError::Streams {
            program: spec.program.clone(),
            source,
        })?;
        let role = if on_terminal.is_passed_on {
            Role::Executor
        } else {
            Role::Program
        };
        let exit_status = id.parent.as_ref().map(|_| shared.known_ends.file(id));
        let kept = Kept {
            spec,
            terminal: terminal(on_terminal.terminal),
            role,
            socket,
            exit_status: exit_status.as_deref(),
        };
        containerizer::launch_kept(kept, &shared.keeper, Some(record))
    }

    fn start_session(
        &self,
        launch: &Launch,
        session: &Session,
        record: &Record<'_>,
    ) -> Result<Process, LaunchError> {
        let shared = &self.shared;
        let id = &launch.container_id;
        // Of an earlier container of that id.
        shared.known_ends.forget(id);
        let terminal = session.terminal.map(terminal);
        let session = containerizer::Session {
            program: launch.program.clone(),
            arguments: launch.arguments.clone(),
            environment: self.environment_around(launch),
            directory: session.directory.clone(),
            place: launch.directory.clone(),
            user: launch.user.clone(),
            terminal,
        };
        let (process, ends) =
            containerizer::launch_session(&session, &shared.attendant, Some(record))?;
        if let Err(error) = shared.sessions.insert(id.clone(), ends) {
            // Who has asked for it is told when he is to be given its output, and it ends.
            tracing::error!(container_id = %id, %error, "a session has no streams");
        }
        Ok(process)
    }

    /// The environment of a session: that of what it is in, and what its own command asks for.
    fn environment_around(&self, launch: &Launch) -> Vec<(String, String)> {
        let around = launch.container_id.parent.as_deref();
        let around = around.and_then(|id| self.shared.alive.get(id)?.process);
        let around = around.and_then(|it| containerizer::environment(it).ok());
        let mut variables: BTreeMap<_, _> = around.unwrap_or_default().into_iter().collect();
        // It speaks for the executor, and a session does not.
        variables.remove(TOKEN_VARIABLE);
        variables.extend(launch.environment.iter().cloned());
        variables.into_iter().collect()
    }

    fn signal(&self, container_id: &ContainerId, signal: i32) {
        let container = self.shared.alive.get(container_id);
        if let Some(process) = container.and_then(|it| it.process)
            && let Err(error) = containerizer::send_signal(process, signal)
        {
            tracing::warn!(%container_id, signal, %error, "a container can't be signalled");
        }
    }

    fn failed(&self, launch: &Launch, failure: LaunchFailure) {
        self.shared.inputs.send(Input::ContainerLaunchFailed {
            container_id: launch.container_id.clone(),
            failure,
        });
    }

    fn destroy(&self, container_id: &ContainerId) {
        let ending = self.shared.begin_end(container_id);
        // One that is gone has been reported, or is about to be.
        if !ending.is_empty() {
            let shared = Arc::clone(&self.shared);
            aside("destroy", move || ending.finish(&shared));
        }
    }
}

fn terminal(terminal: Terminal) -> containerizer::Terminal {
    let size = terminal.size.map(|size| containerizer::WindowSize {
        rows: size.rows,
        columns: size.columns,
    });
    containerizer::Terminal { size }
}

/// The variables of a container, which may say how its output is kept.
fn variables(launch: &Launch) -> impl Iterator<Item = (&str, &str)> {
    let variables = launch.environment.iter();
    variables.map(|(name, value)| (name.as_str(), value.as_str()))
}

fn change_volumes(garbage: &Garbage, changes: &VolumeChanges) -> Result<(), VolumeError> {
    for folder in &changes.remove {
        if folder.is_mount {
            containerizer::empty_volume(&folder.path)?;
        } else if !garbage.discard_volume(&folder.path) {
            // Not there, or on another disk: then it is removed where it is, before one of the same
            // name is made.
            containerizer::remove_volume(&folder.path)?;
        }
    }
    changes
        .create
        .iter()
        .try_for_each(|folder| containerizer::create_volume(&folder.path))
}

fn link_all(sandbox: &Path, user: Option<&str>, volumes: &[VolumeLink]) -> Result<(), VolumeError> {
    volumes.iter().try_for_each(|volume| {
        let link = containerizer::VolumeLink {
            volume: &volume.volume,
            name: &volume.name,
            give_to: user.filter(|_| volume.is_given),
        };
        containerizer::link_volume(sandbox, &link)
    })
}

fn share_all(
    sandbox: &Path,
    user: Option<&str>,
    shared: &[SharedFolder],
) -> Result<(), VolumeError> {
    shared.iter().try_for_each(|shared| {
        let folder = containerizer::SharedFolder {
            root: &shared.root,
            path: &shared.path,
            name: &shared.name,
        };
        containerizer::link_shared_folder(sandbox, &folder, user)
    })
}
