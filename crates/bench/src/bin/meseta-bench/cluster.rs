//! The daemons under measurement.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::load::{TASK_CPUS, TASK_MEM};
use crate::processes::{self, Census};

/// How often processes and descriptors are counted again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many counts in a row must agree to be believed.
const STEADY: usize = 10;

/// How long daemons have to end by themselves.
const PATIENCE: Duration = Duration::from_secs(5);

/// A master and an agent, each a process of its own, so that each can be measured.
#[derive(Debug)]
pub(crate) struct Cluster {
    binary: PathBuf,
    /// Removed at the end, after the daemons.
    folder: TempDir,
    master: Child,
    agent: Child,
    master_address: String,
}

impl Cluster {
    /// Starts both, the agent with room for so many tasks.
    pub(crate) fn start(binary: &Path, slots: u16) -> Result<Self, Error> {
        let start_error = |program| {
            move |source| Error::Start {
                binary: binary.to_owned(),
                program,
                source,
            }
        };
        // As /proc shows it.
        let binary = binary.canonicalize().map_err(start_error("master"))?;
        let folder = tempfile::Builder::new()
            .prefix("meseta-bench-")
            .tempdir()
            .map_err(Error::Prepare)?;
        let [master_port, agent_port] = free_ports().map_err(Error::Prepare)?;
        let start = |program, flags: Vec<String>| {
            Command::new(&binary)
                .arg(program)
                .arg("--ip=127.0.0.1")
                .arg("--logging_level=WARNING")
                .arg(flag("work_dir", folder.path().join(program).display()))
                .args(flags)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .map_err(start_error(program))
        };
        let master_address = format!("127.0.0.1:{master_port}");
        let tasks = f64::from(slots);
        let resources = format!(
            "cpus:{:.1};mem:{:.0};ports:[31000-31009]",
            TASK_CPUS * tasks,
            TASK_MEM * tasks
        );
        let mut master = start("master", vec![flag("port", master_port)])?;
        let agent = start(
            "agent",
            vec![
                flag("port", agent_port),
                flag("master", &master_address),
                flag("resources", resources),
                flag("registration_backoff_factor", "10ms"),
            ],
        );
        let agent = agent.inspect_err(|_| {
            // Nobody else would end it; that it has ended already is as good.
            let _ = master.kill();
        })?;
        Ok(Self {
            binary,
            folder,
            master,
            agent,
            master_address,
        })
    }

    pub(crate) fn master_address(&self) -> &str {
        &self.master_address
    }

    pub(crate) fn master_id(&self) -> i32 {
        id(&self.master)
    }

    pub(crate) fn agent_id(&self) -> i32 {
        id(&self.agent)
    }

    /// The executors that run now.
    pub(crate) fn executors(&self) -> Result<Vec<i32>, Error> {
        processes::executors(&self.binary, [self.master_id(), self.agent_id()])
    }

    /// Counts until the count is as wanted, or for a while nothing changes when nothing is wanted.
    /// What is counted when the patience ends is the answer all the same.
    pub(crate) async fn settle(
        &self,
        wanted: Option<&Census>,
        patience: Duration,
    ) -> Result<Census, Error> {
        let end = Instant::now() + patience;
        let mut steady = 0;
        let mut last = self.census()?;
        while Instant::now() < end && steady < STEADY && wanted != Some(&last) {
            sleep(PAUSE).await;
            let next = self.census()?;
            steady = if next == last && wanted.is_none() {
                steady + 1
            } else {
                0
            };
            last = next;
        }
        Ok(last)
    }

    fn census(&self) -> Result<Census, Error> {
        let members = processes::members(&self.binary, self.folder.path())?;
        Census::take(self.master_id(), self.agent_id(), members.len())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in [&mut self.agent, &mut self.master] {
            end(daemon);
        }
    }
}

/// Asks a daemon to end, and makes it when it does not.
fn end(daemon: &mut Child) {
    let asked = Pid::from_raw(id(daemon)).is_some_and(|id| kill_process(id, Signal::TERM).is_ok());
    let deadline = std::time::Instant::now() + PATIENCE;
    while asked && std::time::Instant::now() < deadline {
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

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

/// Ports that nobody listens on at the moment.
fn free_ports() -> std::io::Result<[u16; 2]> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}
