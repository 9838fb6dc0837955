//! Carries out an agent's launches and destructions, and reports how containers end.
//!
//! One thread prepares and launches, in the order of the agent's actions; one waits for the end of
//! every container at once. Fetching may take long, and so may destroying (a process in the kernel
//! can't be hurried): each has a thread of its own. A container whose URIs are there comes back to
//! the first thread, which alone decides whether it is started or was destroyed meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meseta_agent::{Input, Launch, LaunchFailure, VolumeFolder, VolumeLink, recovery};
use meseta_containerizer::{
    self as containerizer, Container, Process, Sandbox, Spec, VolumeError, Watcher,
};
use meseta_proto::v1::ContainerId;

use super::driver::Inputs;
use super::fetching::{self, Fetch, Fetcher};
use super::garbage::{self, Garbage};
use super::output::{self, Outputs};
use super::process::{End, Ends};

/// The containers of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Containers {
    orders: Sender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    alive: Mutex<HashMap<ContainerId, Container>>,
    fetching: Mutex<HashMap<ContainerId, (Arc<Fetch>, PathBuf)>>,
    fetcher: Fetcher,
    watcher: Watcher<ContainerId>,
    output: Output,
    inputs: Inputs<Input>,
}

#[derive(Debug)]
enum Order {
    Launch(Box<Launch>),
    /// Its URIs are there, or will not be.
    Fetched(Box<Launch>, Result<(), String>),
    Destroy(ContainerId),
    Discard(PathBuf),
    ChangeVolumes(VolumeChanges),
    LinkVolumes(LinkOrder, SyncSender<()>),
}

/// Folders of volumes that are to be there, and to be there no more.
#[derive(Debug)]
struct VolumeChanges {
    operation: Option<Vec<u8>>,
    create: Vec<VolumeFolder>,
    remove: Vec<VolumeFolder>,
}

/// Volumes for the sandbox of a container that runs already.
#[derive(Debug)]
struct LinkOrder {
    container_id: ContainerId,
    directory: PathBuf,
    user: Option<String>,
    volumes: Vec<VolumeLink>,
}

impl Containers {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system refuses a thread or the means to wait for processes.
    pub(crate) fn start(
        inputs: Inputs<Input>,
        garbage: Arc<Garbage>,
        fetcher: Fetcher,
        output: Output,
        ends: Ends,
    ) -> std::io::Result<Self> {
        containerizer::become_subreaper()?;
        let shared = Arc::new(Shared {
            alive: Mutex::default(),
            fetching: Mutex::default(),
            fetcher,
            watcher: Watcher::new()?,
            output,
            inputs,
        });
        let (orders, receiver) = channel();
        let launching = Launching {
            shared: Arc::clone(&shared),
            fetched: orders.clone(),
        };
        std::thread::Builder::new()
            .name("launches".into())
            .spawn(move || launching.carry_out(&garbage, &receiver))?;
        let watching = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("exits".into())
            .spawn(move || {
                let error = report_exits(&watching);
                let why = format!("the ends of containers can't be waited for: {error}");
                ends.tell(End::Failed(why));
            })?;
        Ok(Self { orders, shared })
    }

    /// Takes over containers of the agent's former life; gives those that still run.
    pub(crate) fn adopt(&self, known: Vec<recovery::Survivor>) -> BTreeSet<ContainerId> {
        let mut alive = BTreeSet::new();
        for survivor in known {
            let process = survivor.process.and_then(|process| {
                Some(Process {
                    pid: i32::try_from(process.pid).ok()?,
                    start_time: process.start_time,
                })
            });
            let id = survivor.container_id;
            let container = Container {
                process,
                directory: survivor.directory,
            };
            if let Some(process) = process
                && containerizer::is_alive(process.pid, process.start_time)
                && self.shared.watch(&id, process, &container.directory)
            {
                let variables = survivor.variables.iter();
                let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
                // They have been understood before it was started.
                let bounds = self.shared.output.policy.of_container(variables);
                self.shared
                    .keep_output(&id, &container.directory, bounds.unwrap_or_default());
                alive.insert(id);
            } else {
                // Its first process has ended while no agent watched, or is not known: what there
                // is of the container goes.
                destroy(&container);
                garbage::mark_end(&container.directory);
            }
        }
        alive
    }

    /// Whether a process is one of a container's. All that descends from the agent is: from the moment
    /// of its start, and when what it descended from has ended.
    pub(crate) fn holds(&self, pid: i32) -> bool {
        let agent = i32::try_from(std::process::id()).unwrap_or_default();
        let lineage = containerizer::lineage(pid);
        let alive = lock(&self.shared.alive);
        let is_first = |pid: &i32| {
            let mut containers = alive.values();
            containers.any(|it| it.process.is_some_and(|process| process.pid == *pid))
        };
        lineage.contains(&agent) || lineage.iter().any(is_first)
    }

    /// Prepares a sandbox and starts a container in it.
    pub(crate) fn launch(&self, launch: Box<Launch>) {
        // The thread lives as long as the process.
        let _ = self.orders.send(Order::Launch(launch));
    }

    /// Ends every process of a container.
    pub(crate) fn destroy(&self, container_id: ContainerId) {
        let _ = self.orders.send(Order::Destroy(container_id));
    }

    /// Removes a folder that no launch before this one needs any more.
    pub(crate) fn discard(&self, folder: PathBuf) {
        let _ = self.orders.send(Order::Discard(folder));
    }

    /// Makes and removes folders of volumes.
    pub(crate) fn change_volumes(
        &self,
        operation: Option<Vec<u8>>,
        create: Vec<VolumeFolder>,
        remove: Vec<VolumeFolder>,
    ) {
        let changes = VolumeChanges {
            operation,
            create,
            remove,
        };
        let _ = self.orders.send(Order::ChangeVolumes(changes));
    }

    /// Puts volumes into the sandbox of a container that runs already; returns when they are there,
    /// because a task is about to look for them.
    pub(crate) fn link_volumes(
        &self,
        container_id: ContainerId,
        directory: PathBuf,
        user: Option<String>,
        volumes: Vec<VolumeLink>,
    ) {
        let order = LinkOrder {
            container_id,
            directory,
            user,
            volumes,
        };
        let (done, is_done) = sync_channel(1);
        if self.orders.send(Order::LinkVolumes(order, done)).is_ok() {
            let _ = is_done.recv();
        }
    }

    /// Ends every process of every container, now, and returns when none is left.
    pub(crate) fn destroy_all(&self) {
        let fetches: Vec<_> = lock(&self.shared.fetching).values().cloned().collect();
        for (fetch, sandbox) in &fetches {
            self.shared.fetcher.cancel(fetch, sandbox);
        }
        let all: Vec<Container> = lock(&self.shared.alive).values().cloned().collect();
        for container in &all {
            destroy(container);
        }
    }
}

/// How the output of containers is kept within bounds.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) policy: output::Policy,
    pub(crate) keeper: Outputs,
}

impl Shared {
    fn keep_output(&self, id: &ContainerId, folder: &Path, bounds: Option<output::Bounds>) {
        if let Some(bounds) = bounds {
            self.output.keeper.watch(id.clone(), folder, bounds);
        }
    }

    /// Watches a process; false if it is over already.
    fn watch(&self, container_id: &ContainerId, process: Process, directory: &Path) -> bool {
        let container = Container {
            process: Some(process),
            directory: directory.to_owned(),
        };
        lock(&self.alive).insert(container_id.clone(), container);
        let watched = self.watcher.watch(process, container_id.clone());
        if watched.is_err() {
            lock(&self.alive).remove(container_id);
        }
        watched.is_ok()
    }
}

/// The thread that launches.
struct Launching {
    shared: Arc<Shared>,
    fetched: Sender<Order>,
}

impl Launching {
    fn carry_out(&self, garbage: &Garbage, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Launch(launch) => self.launch(launch),
                Order::Fetched(launch, outcome) => self.go_on(&launch, outcome),
                Order::Destroy(container_id) => self.destroy(&container_id),
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
        let sandbox = Sandbox {
            directory: &launch.directory,
            latest: &launch.latest,
            stdout: &launch.stdout,
            stderr: &launch.stderr,
            user: launch.user.as_deref(),
        };
        if let Err(error) = containerizer::prepare_sandbox(&sandbox) {
            return self.failed(&launch, LaunchFailure::Sandbox(error.to_string()));
        }
        let user = launch.user.as_deref();
        if let Err(error) = link_all(&launch.directory, user, &launch.volumes) {
            return self.failed(&launch, LaunchFailure::Container(error.to_string()));
        }
        if fetching::is_needed(&launch) {
            self.fetch(launch);
        } else {
            self.start(&launch);
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
            garbage::mark_end(&launch.directory);
            return self.shared.inputs.send(Input::ContainerExited {
                container_id: launch.container_id.clone(),
                status: None,
            });
        }
        match outcome {
            Ok(()) => self.start(launch),
            Err(reason) => {
                garbage::mark_end(&launch.directory);
                self.failed(launch, LaunchFailure::Container(reason));
            }
        }
    }

    fn start(&self, launch: &Launch) {
        let shared = &self.shared;
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
        let process = match containerizer::launch(&spec) {
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
        shared.keep_output(&container_id, &launch.directory, bounds);
        if !shared.watch(&container_id, process, &launch.directory) {
            shared.output.keeper.end(&container_id);
            destroy(&Container {
                process: Some(process),
                directory: launch.directory.clone(),
            });
            shared.inputs.send(Input::ContainerExited {
                container_id,
                status: None,
            });
        }
    }

    fn failed(&self, launch: &Launch, failure: LaunchFailure) {
        self.shared.inputs.send(Input::ContainerLaunchFailed {
            container_id: launch.container_id.clone(),
            failure,
        });
    }

    fn destroy(&self, container_id: &ContainerId) {
        let fetching = lock(&self.shared.fetching).get(container_id).cloned();
        if let Some((fetch, sandbox)) = fetching {
            let shared = Arc::clone(&self.shared);
            return aside("destroy", move || shared.fetcher.cancel(&fetch, &sandbox));
        }
        let container = lock(&self.shared.alive).get(container_id).cloned();
        // One that is gone has been reported, or is about to be.
        if let Some(container) = container {
            aside("destroy", move || destroy(&container));
        }
    }
}

/// The variables of a container's command.
fn variables(launch: &Launch) -> impl Iterator<Item = (&str, &str)> {
    let command = launch.executor.command.as_ref();
    let environment = command.and_then(|command| command.environment.as_ref());
    let variables = environment.into_iter().flat_map(|it| &it.variables);
    variables.filter_map(|it| Some((it.name.as_str(), it.value.as_deref()?)))
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

/// Does something on a thread of its own, or if there is none to be had, on this one: nobody asks
/// again.
fn aside(name: &str, job: impl FnOnce() + Send + 'static) {
    let job = Arc::new(Mutex::new(Some(job)));
    let theirs = Arc::clone(&job);
    let spawned = std::thread::Builder::new()
        .name(name.into())
        .spawn(move || run_once(&theirs));
    if spawned.is_err() {
        run_once(&job);
    }
}

fn run_once(job: &Mutex<Option<impl FnOnce()>>) {
    let job = lock(job).take();
    if let Some(job) = job {
        job();
    }
}

fn destroy(container: &Container) {
    if let Err(error) = containerizer::destroy(container) {
        tracing::error!(%error, "something of a container may be left");
    }
}

/// Reports ends for as long as they can be heard of; gives the reason why they no longer can.
fn report_exits(shared: &Arc<Shared>) -> std::io::Error {
    loop {
        match shared.watcher.next() {
            Ok((container_id, status)) => {
                shared.output.keeper.end(&container_id);
                let container = lock(&shared.alive).remove(&container_id);
                let left = container
                    .as_ref()
                    .filter(|it| !containerizer::is_destroyed(it))
                    .cloned();
                let sender = Arc::clone(shared);
                let report = move || {
                    if let Some(container) = container {
                        garbage::mark_end(&container.directory);
                    }
                    sender.inputs.send(Input::ContainerExited {
                        container_id,
                        status,
                    });
                };
                match left {
                    None => report(),
                    // What it has left behind goes with it. Processes that hang in the kernel
                    // do not hold up the ends of other containers.
                    Some(left) => aside("destroy", move || {
                        destroy(&left);
                        report();
                    }),
                }
            }
            Err(error) => return error,
        }
    }
}

/// The map is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
