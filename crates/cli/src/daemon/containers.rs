//! Carries out an agent's launches and destructions, and reports how containers end.
//!
//! One thread prepares and launches, in the order of the agent's actions; one waits for the end of
//! every container at once. Fetching may take long, and so may destroying (a process in the kernel
//! can't be hurried): each has a thread of its own. A container whose URIs are there comes back to
//! the first thread, which alone decides whether it is started or was destroyed meanwhile.

mod launching;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meseta_agent::{Input, Launch, VolumeFolder, VolumeLink, recovery};
use meseta_containerizer::{self as containerizer, Container, Process, Supervisor, Usage, Watcher};
use meseta_proto::v1::ContainerId;

use super::alive::Alive;
use super::driver::Inputs;
use super::fetching::{Fetch, Fetcher};
use super::garbage::{self, Garbage};
use super::known_ends::KnownEnds;
use super::output::{self, Outputs};
use super::process::{End, Ends};
use super::sessions::Sessions;
use super::started::StartedFiles;
use launching::Launching;

/// The containers of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Containers {
    orders: Sender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    alive: Alive,
    known_ends: KnownEnds,
    started: StartedFiles,
    supervisor: Supervisor,
    fetching: Mutex<HashMap<ContainerId, (Arc<Fetch>, PathBuf)>>,
    fetcher: Fetcher,
    watcher: Watcher<ContainerId>,
    output: Output,
    sessions: Sessions,
    /// How the programs of sessions are started.
    attendant: Supervisor,
    /// How those on terminals are.
    keeper: Supervisor,
    inputs: Inputs<Input>,
    /// How often something of a container may have been left.
    destroy_errors: AtomicU64,
}

#[derive(Debug)]
enum Order {
    Launch(Box<Launch>),
    /// Its URIs are there, or will not be.
    Fetched(Box<Launch>, Result<(), String>),
    Destroy(ContainerId),
    Signal(ContainerId, i32),
    RemoveNested(ContainerId, PathBuf, SyncSender<()>),
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
        work_dir: &Path,
        started: StartedFiles,
        inputs: Inputs<Input>,
        garbage: Arc<Garbage>,
        fetcher: Fetcher,
        output: Output,
        ends: Ends,
    ) -> std::io::Result<Self> {
        containerizer::become_subreaper()?;
        let shared = Arc::new(Shared {
            alive: Alive::default(),
            known_ends: KnownEnds::new(work_dir),
            started,
            supervisor: own_program(super::SUPERVISOR)?,
            fetching: Mutex::default(),
            fetcher,
            watcher: Watcher::new()?,
            output,
            sessions: Sessions::new(work_dir, inputs.clone()),
            attendant: own_program(super::ATTENDANT)?,
            keeper: own_program(super::TERMINAL_KEEPER)?,
            inputs,
            destroy_errors: AtomicU64::new(0),
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

    /// Takes over containers of the agent's former life, each after what it is in.
    pub(crate) fn adopt(&self, known: Vec<recovery::Survivor>) -> Adopted {
        let mut adopted = Adopted::default();
        let (mut gone, mut ended) = (Vec::new(), Vec::new());
        self.end_strangers(&known);
        for survivor in known {
            let process = survivor.process.and_then(|process| {
                Some(Process {
                    pid: i32::try_from(process.pid).ok()?,
                    start_time: process.start_time,
                })
            });
            let id = survivor.container_id;
            let is_known = process.is_some();
            let process = process.or_else(|| self.shared.started.read(&id)?.process);
            let container = Container {
                process,
                directory: survivor.directory,
            };
            let mut variables = survivor.variables;
            if variables.is_empty() {
                let own = process.and_then(|process| containerizer::environment(process).ok());
                variables = own.unwrap_or_default();
            }
            let variables = variables.iter();
            let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
            // They have been understood before it was started.
            let bounds = self.shared.output.policy.of_container(variables);
            let bounds = bounds.unwrap_or_default();
            if let Some(process) = process
                && !survivor.is_session
                && containerizer::is_alive(process.pid, process.start_time)
                && self.shared.alive.has_parent_of(&id)
            {
                self.shared.alive.insert(id.clone(), container.clone());
                self.shared.keep_output(&id, &container.directory, bounds);
                if !is_known {
                    adopted.found.push((id.clone(), process));
                }
                adopted.processes.push((id, process));
            } else if process.is_none() && survivor.may_be_unstarted {
                gone.push(container);
                adopted.unstarted.insert(id);
            } else {
                ended.push((id, container.directory.clone(), bounds));
                gone.push(container);
            }
        }
        // Their first processes have ended while no agent watched, or are not known: what there is of
        // the containers goes.
        self.shared.destroy_all(&gone);
        for (id, directory, bounds) in ended {
            // What it printed while nobody looked is cut once.
            self.shared.keep_output(&id, &directory, bounds);
            self.shared.output.keeper.end(&id);
            mark_end(&id, &directory);
            adopted.ended.push(id);
        }
        self.shared.known_ends.keep_only(&adopted.alive());
        adopted
    }

    /// Ends what runs, or may, and is none of the agent's.
    fn end_strangers(&self, known: &[recovery::Survivor]) {
        let known: BTreeSet<&ContainerId> = known.iter().map(|it| &it.container_id).collect();
        let mut strangers = self.shared.started.all();
        strangers.retain(|id| !known.contains(id));
        let started = strangers.iter();
        let started = started.filter_map(|id| self.shared.started.read(id));
        let started = started.map(|it| Container {
            process: it.process,
            directory: it.directory,
        });
        self.shared.destroy_all(&started.collect::<Vec<_>>());
        for id in strangers {
            self.shared.started.forget(&id);
        }
    }

    /// Forgets the word of what a container has started.
    pub(crate) fn forget_started(&self, container_id: &ContainerId) {
        self.shared.started.forget(container_id);
    }

    /// Watches what was taken over, once the agent knows of it; reports what had ended before.
    pub(crate) fn watch(&self, adopted: Adopted) {
        for (container_id, process) in adopted.found {
            self.shared.inputs.send(Input::ContainerLaunched {
                container_id,
                pid: process.pid.unsigned_abs(),
                start_time: process.start_time,
            });
        }
        for (container_id, process) in adopted.processes {
            if !self.shared.watch(&container_id, process) {
                self.shared.report_end(container_id, None);
            }
        }
        for container_id in adopted.ended {
            self.shared.report_end(container_id, None);
        }
    }

    /// Whether a process is one of a container's. All that descends from the agent is: from the moment
    /// of its start, and when what it descended from has ended.
    pub(crate) fn holds(&self, pid: i32) -> bool {
        let agent = i32::try_from(std::process::id()).unwrap_or_default();
        let lineage = containerizer::lineage(pid);
        lineage.contains(&agent) || self.shared.alive.has_first(&lineage)
    }

    /// Prepares a sandbox and starts a container in it.
    pub(crate) fn launch(&self, launch: Box<Launch>) {
        // The thread lives as long as the process.
        let _ = self.orders.send(Order::Launch(launch));
    }

    /// Sends a signal to a container's first process.
    pub(crate) fn signal(&self, container_id: ContainerId, signal: i32) {
        let _ = self.orders.send(Order::Signal(container_id, signal));
    }

    /// Removes what is left of a nested container; returns when that is out of the way.
    pub(crate) fn remove_nested(&self, container_id: ContainerId, directory: PathBuf) {
        let (done, is_done) = sync_channel(1);
        let order = Order::RemoveNested(container_id, directory, done);
        if self.orders.send(order).is_ok() {
            let _ = is_done.recv();
        }
    }

    /// Ends every process of a container, and before them those of the containers inside of it.
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

    /// Those whose input and output are in somebody's hands.
    pub(crate) fn sessions(&self) -> Sessions {
        self.shared.sessions.clone()
    }

    /// What each container uses that runs.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(crate) fn usage(&self) -> std::io::Result<Vec<(ContainerId, Usage)>> {
        let (ids, containers): (Vec<_>, Vec<_>) = self.shared.alive.running().into_iter().unzip();
        let usage = containerizer::usage(&containers)?;
        Ok(ids.into_iter().zip(usage).collect())
    }

    /// What has been counted of containers and fetches, under the names of its metrics.
    pub(crate) fn metrics(&self) -> Vec<(String, f64)> {
        let mut metrics = self.shared.fetcher.metrics();
        #[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
        let errors = self.shared.destroy_errors.load(Ordering::Relaxed) as f64;
        let name = "containerizer/mesos/container_destroy_errors";
        metrics.push((name.to_owned(), errors));
        metrics
    }

    /// Ends every process of every container, now, and returns when none is left.
    pub(crate) fn destroy_all(&self) {
        let fetches: Vec<_> = lock(&self.shared.fetching).values().cloned().collect();
        for (fetch, sandbox) in &fetches {
            self.shared.fetcher.cancel(fetch, sandbox);
        }
        self.shared.destroy_all(&self.shared.alive.all());
    }
}

/// What is left of the containers of the agent's former life.
#[derive(Debug, Default)]
pub(crate) struct Adopted {
    processes: Vec<(ContainerId, Process)>,
    /// Those of them whose processes the agent does not know.
    found: Vec<(ContainerId, Process)>,
    unstarted: BTreeSet<ContainerId>,
    ended: Vec<ContainerId>,
}

impl Adopted {
    /// Those that still run.
    pub(crate) fn alive(&self) -> BTreeSet<ContainerId> {
        self.processes.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Those that were to be started, and were not.
    pub(crate) fn unstarted(&self) -> BTreeSet<ContainerId> {
        self.unstarted.clone()
    }
}

/// How the output of containers is kept within bounds.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) policy: output::Policy,
    pub(crate) keeper: Outputs,
}

impl Shared {
    fn destroy(&self, container: &Container) {
        self.destroy_all(std::slice::from_ref(container));
    }

    fn destroy_all(&self, containers: &[Container]) {
        for error in containerizer::destroy_all(containers) {
            self.destroy_errors.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "something of a container may be left");
        }
    }

    fn keep_output(&self, id: &ContainerId, folder: &Path, bounds: Option<output::Bounds>) {
        if let Some(bounds) = bounds {
            self.output.keeper.watch(id.clone(), folder, bounds);
        }
    }

    /// Watches the first process of a container that is alive; false if that is impossible, and the
    /// container destroyed.
    fn watch(&self, container_id: &ContainerId, process: Process) -> bool {
        let watched = self.watcher.watch(process, container_id.clone());
        if let Err(error) = &watched {
            tracing::error!(%container_id, %error, "a container can't be watched");
            self.output.keeper.end(container_id);
            self.begin_end(container_id).finish(self);
            self.alive.remove(container_id);
        }
        watched.is_ok()
    }

    /// Lets nothing new start inside of a container, and gives what there is of it and in it.
    fn begin_end(&self, container_id: &ContainerId) -> Ending {
        let fetching = lock(&self.fetching);
        let of_it = fetching.iter();
        let of_it = of_it.filter(|(id, _)| id.lineage().any(|around| around == container_id));
        Ending {
            fetches: of_it.map(|(_, fetch)| fetch.clone()).collect(),
            containers: self.alive.begin_end(container_id),
        }
    }

    fn report_end(&self, id: ContainerId, status: Option<i32>) {
        // The file knows it more exactly than the end of the supervisor tells, and if nobody was
        // there to be told, it alone.
        let status = self.known_ends.read(&id).or(status);
        match id.parent {
            None => self.known_ends.forget(&id),
            Some(_) => self.started.forget(&id),
        }
        let streams = self.sessions.of_ended(&id);
        self.inputs.send(Input::ContainerExited {
            container_id: id,
            status,
        });
        // Its end is known by the time its reader sees it.
        streams.end();
    }
}

/// What of a container, and of those inside of it, is to end.
struct Ending {
    fetches: Vec<(Arc<Fetch>, PathBuf)>,
    /// Innermost first.
    containers: Vec<Container>,
}

impl Ending {
    fn is_empty(&self) -> bool {
        self.fetches.is_empty() && self.containers.is_empty()
    }

    /// Returns when nothing of it is left.
    fn finish(&self, shared: &Shared) {
        for (fetch, sandbox) in &self.fetches {
            shared.fetcher.cancel(fetch, sandbox);
        }
        self.containers.iter().for_each(|it| shared.destroy(it));
    }
}

/// This program as another that it can be.
fn own_program(name: &str) -> std::io::Result<Supervisor> {
    Ok(Supervisor {
        program: std::env::current_exe()?,
        arguments: vec!["meseta".into(), name.into()],
    })
}

/// Does something on a thread of its own, or if there is none to be had, on this one: nobody asks
/// again.
pub(super) fn aside(name: &str, job: impl FnOnce() + Send + 'static) {
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

/// Notes when an executor's sandbox was last used. Those inside of it go with it; and where they are,
/// others may have put something else by now.
fn mark_end(container_id: &ContainerId, sandbox: &Path) {
    if container_id.parent.is_none() {
        garbage::mark_end(sandbox);
    }
}

/// Reports ends for as long as they can be heard of; gives the reason why they no longer can.
fn report_exits(shared: &Arc<Shared>) -> std::io::Error {
    loop {
        match shared.watcher.next() {
            Ok((container_id, status)) => {
                shared.output.keeper.end(&container_id);
                let container = shared.alive.remove(&container_id);
                // What it has left behind goes with it, and what is inside of it before.
                let mut left = shared.begin_end(&container_id);
                let own = container.clone().into_iter();
                let own = own.filter(|it| !containerizer::is_destroyed(it));
                left.containers.extend(own);
                let sender = Arc::clone(shared);
                let report = move || {
                    if let Some(container) = container {
                        mark_end(&container_id, &container.directory);
                    }
                    sender.report_end(container_id, status);
                };
                if left.is_empty() {
                    report();
                } else {
                    // Processes that hang in the kernel do not hold up the ends of other containers.
                    let shared = Arc::clone(shared);
                    aside("destroy", move || {
                        left.finish(&shared);
                        report();
                    });
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
