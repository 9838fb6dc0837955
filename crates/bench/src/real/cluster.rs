//! A master and an agent, each a process of its own.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::error::Error;
use crate::measure::ProcessError;
use crate::target::{Target, metric};

/// How long daemons have to end by themselves, and to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// A master and an agent with their files, all of which end with this.
#[derive(Debug)]
pub(super) struct Cluster {
    binary: PathBuf,
    master: Child,
    agent: Child,
    /// Command line of the agent, to start it again.
    agent_flags: Vec<OsString>,
    master_port: u16,
    folder: TempDir,
}

/// What may grow when something leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Census {
    /// Processes that belong to the cluster.
    pub(super) processes: u64,
    /// Open descriptors of the master.
    pub(super) descriptors: u64,
}

impl Cluster {
    /// Starts both, the agent with room for so many small tasks.
    pub(super) fn start(binary: Option<&Path>, slots: usize) -> Result<Self, Error> {
        let failed = |source| Error::Start {
            program: "a cluster".to_owned(),
            source,
        };
        let own = std::env::current_exe();
        let binary = binary.map_or(own, |named| Ok(named.to_owned()));
        // As /proc shows it.
        let binary = binary.and_then(|binary| binary.canonicalize());
        let binary = binary.map_err(failed)?;
        let folder = tempfile::Builder::new()
            .prefix("meseta-bench-")
            .tempdir()
            .map_err(failed)?;
        let [master_port, agent_port] = free_ports().map_err(failed)?;
        let work_dir = |name| flag("work_dir", folder.path().join(name).display());
        let common = || {
            let quiet = ["--ip=127.0.0.1", "--logging_level=WARNING"];
            quiet.map(OsString::from).into_iter()
        };
        let master_flags: Vec<OsString> = ["master".into()]
            .into_iter()
            .chain(common())
            .chain([work_dir("master"), flag("port", master_port)])
            .collect();
        let agent_flags: Vec<OsString> = ["agent".into()]
            .into_iter()
            .chain(common())
            .chain([
                work_dir("agent"),
                flag("port", agent_port),
                flag("master", format!("127.0.0.1:{master_port}")),
                // Room for `Work::of`: 0.1 cpus and 32 MB each.
                flag(
                    "resources",
                    format!("cpus:{};mem:{}", slots.div_ceil(10), slots * 32),
                ),
                flag("registration_backoff_factor", "10ms"),
            ])
            .collect();
        let mut master = spawn(&binary, &master_flags)?;
        let agent = spawn(&binary, &agent_flags).inspect_err(|_| {
            // Nobody else would end it; that it has ended already is as good.
            let _ = master.kill();
        })?;
        Ok(Self {
            binary,
            master,
            agent,
            agent_flags,
            master_port,
            folder,
        })
    }

    /// The master, once the agent is registered.
    pub(super) async fn master(&self) -> Result<Target, Error> {
        let name = format!("127.0.0.1:{}", self.master_port);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = Target::find(&name, Some(id(&self.master)), false)?;
            match metric(found.address, "master/slaves_active").await {
                Ok(active) if active > 0.0 => return Ok(found),
                Err(error) if Instant::now() > deadline => return Err(error),
                _ if Instant::now() > deadline => {
                    return Err(Error::Program {
                        program: "meseta agent".to_owned(),
                        what: format!("has not registered within {PATIENCE:?}"),
                    });
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Ends the agent, as the kernel would.
    pub(super) fn kill_agent(&mut self) {
        // That it has ended already is as good.
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }

    pub(super) fn start_agent(&mut self) -> Result<(), Error> {
        self.agent = spawn(&self.binary, &self.agent_flags)?;
        Ok(())
    }

    pub(super) fn census(&self) -> Result<Census, Error> {
        let master = Process::new(id(&self.master)).map_err(ProcessError::from)?;
        let descriptors = master.fd_count().map_err(ProcessError::from)?;
        Ok(Census {
            processes: self.members()?.len() as u64,
            descriptors: descriptors as u64,
        })
    }

    /// Processes that work in the cluster's folder, and the daemons: also those whose parent is gone.
    /// Processes that end while they are looked at are none.
    fn members(&self) -> Result<Vec<i32>, Error> {
        let daemons = [id(&self.master), id(&self.agent)];
        let belongs = |process: &Process| {
            daemons.contains(&process.pid)
                || process
                    .cwd()
                    .is_ok_and(|cwd| cwd.starts_with(self.folder.path()))
        };
        Ok(all_processes()
            .map_err(ProcessError::from)?
            .filter_map(Result::ok)
            .filter(belongs)
            .map(|process| process.pid)
            .collect())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Those that a failed run has left: no agent must see them end and start anything.
        for daemon in [&mut self.agent, &mut self.master] {
            end(daemon);
        }
        for left in self.members().unwrap_or_default() {
            if let Some(left) = Pid::from_raw(left) {
                // That it has ended in between is as good.
                let _ = kill_process(left, Signal::KILL);
            }
        }
    }
}

fn spawn(binary: &Path, flags: &[OsString]) -> Result<Child, Error> {
    Command::new(binary)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|source| Error::Start {
            program: binary.display().to_string(),
            source,
        })
}

/// Asks a daemon to end, and makes it when it does not.
fn end(daemon: &mut Child) {
    let asked = Pid::from_raw(id(daemon)).is_some_and(|id| kill_process(id, Signal::TERM).is_ok());
    let deadline = Instant::now() + PATIENCE;
    while asked && Instant::now() < deadline {
        if !matches!(daemon.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    // That it has ended in between is as good.
    let _ = daemon.kill();
    let _ = daemon.wait();
}

fn id(process: &Child) -> i32 {
    i32::try_from(process.id()).unwrap_or_default()
}

fn flag(name: &str, value: impl Display) -> OsString {
    format!("--{name}={value}").into()
}

/// Ports that nobody listens on at the moment.
fn free_ports() -> std::io::Result<[u16; 2]> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}
