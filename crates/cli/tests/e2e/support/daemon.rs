//! Daemons of the real binary, in a folder of their own, and their certain end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::programs::Program;
use super::scheduler::{Endpoint, Scheduler, Voice};
use super::{eventually, http, processes};

/// What a test offers when it does not say otherwise: what the golden scenarios ran on.
pub(crate) const RESOURCES: &str = "--resources=cpus:4;mem:4096;disk:10000;ports:[31000-32000]";

/// Lines of a log that a failed test shows.
const SHOWN_LINES: usize = 60;

/// A folder for a test's daemons. In the end, every process with a trace of it is killed.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("meseta-e2e-")
                .tempdir()
                .expect("a folder"),
        )
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Starts a program; its standard error goes to `NAME.log`.
    pub(crate) fn run(&self, name: &str, command: &mut Command) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.join(&format!("{name}.log")))
            .expect("a log");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }
}

impl Place {
    /// The sandboxes of every executor, in no order.
    pub(crate) fn sandboxes(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.path().to_owned()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).expect("a folder");
            for entry in entries.map(|entry| entry.expect("an entry")) {
                if !entry.file_type().expect("a type").is_dir() {
                    continue;
                }
                if folder.ends_with("runs") {
                    found.push(entry.path());
                } else {
                    folders.push(entry.path());
                }
            }
        }
        found
    }

    /// The sandbox of an executor's only run.
    pub(crate) fn sandbox_of(&self, executor: &str) -> PathBuf {
        let runs = format!("executors/{executor}/runs");
        let is_its = |sandbox: &PathBuf| sandbox.parent().is_some_and(|it| it.ends_with(&runs));
        self.sandboxes()
            .into_iter()
            .find(is_its)
            .unwrap_or_else(|| panic!("{executor} has no sandbox"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        eventually("the end of every process of the test", || {
            let left = processes::with_traces_of(self.path());
            for pid in &left {
                processes::kill9(*pid);
            }
            left.is_empty().then_some(())
        });
    }
}

impl Place {
    fn show_logs(&self) {
        for entry in std::fs::read_dir(self.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.path().extension() != Some(OsStr::new("log")) {
                continue;
            }
            let text = std::fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!(
                "--- {}\n{}",
                entry.path().display(),
                lines[from..].join("\n")
            );
        }
    }
}

/// The binary under test.
pub(crate) fn meseta() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meseta"));
    // A developer's own settings are no part of a test.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("MESOS_") || name.starts_with("MESETA_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// A running daemon that said where its page is.
#[derive(Debug)]
pub(crate) struct Daemon {
    program: Program,
    pub(crate) address: SocketAddr,
}

impl Daemon {
    /// Starts `command` and waits for the line that says where its page is.
    pub(crate) fn start(place: &Place, name: &str, command: &mut Command) -> Self {
        Self::try_start(place, name, command)
            .unwrap_or_else(|status| panic!("{name} ended at its start: {status}"))
    }

    /// Like [`Self::start`], of a daemon that may end before it says anything.
    pub(crate) fn try_start(
        place: &Place,
        name: &str,
        command: &mut Command,
    ) -> Result<Self, ExitStatus> {
        let mut program = Program::start(place, name, command);
        let address = eventually("a line that says where the page is", || {
            match program.end_if_any() {
                Some(status) => Some(Err(status)),
                None => program.lines().iter().find_map(|it| page_in(it)).map(Ok),
            }
        });
        Ok(Self {
            address: address?,
            program,
        })
    }

    /// How it has ended, if it has.
    pub(crate) fn end_if_any(&mut self) -> Option<ExitStatus> {
        self.program.end_if_any()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// What it printed until now.
    pub(crate) fn printed(&self) -> String {
        self.program.lines().join("\n")
    }

    /// Ends it as the kernel would, and everything that it left behind stays.
    pub(crate) fn kill9(mut self) {
        self.program.kill9();
    }

    /// Sends it a signal and waits for its end.
    pub(crate) fn stop_by(mut self, signal: Signal) -> ExitStatus {
        processes::signal(self.pid(), signal);
        self.program.end()
    }
}

/// The address in a link to this machine.
fn page_in(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("http://127.0.0.1:")?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let port: u16 = rest[..end].parse().ok()?;
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// `meseta local` on free ports.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Dropped in this order: first the daemon, then what it left behind.
    pub(crate) daemon: Daemon,
    pub(crate) place: Place,
}

impl Cluster {
    /// One agent with [`RESOURCES`].
    pub(crate) fn start() -> Self {
        Self::with(&[RESOURCES])
    }

    pub(crate) fn with(flags: &[&str]) -> Self {
        Self::in_place(Place::new(), flags)
    }

    /// In a folder that holds something for it already.
    pub(crate) fn in_place(place: Place, flags: &[&str]) -> Self {
        Self::in_environment(place, flags, &[])
    }

    /// With variables beside its own.
    pub(crate) fn in_environment(
        place: Place,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = meseta();
        command
            .args(["local", "--port=0"])
            .envs(environment.iter().copied())
            .args(flags)
            .arg(format!("--work_dir={}", place.join("work").display()));
        let daemon = Daemon::start(&place, "local", &mut command);
        Self { daemon, place }
    }

    pub(crate) fn master(&self) -> SocketAddr {
        self.daemon.address
    }

    pub(crate) fn scheduler_api(&self) -> Endpoint {
        scheduler_api(self.master())
    }

    pub(crate) fn subscribe(&self, info: Value) -> Scheduler {
        Scheduler::subscribe(self.scheduler_api(), Voice::JSON, info)
    }
}

pub(crate) fn scheduler_api(address: SocketAddr) -> Endpoint {
    Endpoint {
        address,
        target: "/api/v1/scheduler",
    }
}

/// `meseta master` on a free port.
pub(crate) fn start_master(place: &Place, flags: &[&str]) -> Daemon {
    start_master_at(place, 0, flags)
}

/// `meseta master` on a port, or on a free one instead of 0.
pub(crate) fn start_master_at(place: &Place, port: u16, flags: &[&str]) -> Daemon {
    let mut command = meseta();
    command
        .args(["master", "--ip=127.0.0.1"])
        .arg(format!("--port={port}"))
        .args(flags)
        .arg(format!("--work_dir={}", place.join("master").display()));
    Daemon::start(place, "master", &mut command)
}

/// `meseta agent` that joins a master; port 0 for a free one.
pub(crate) fn start_agent(place: &Place, master: SocketAddr, port: u16, flags: &[&str]) -> Daemon {
    let mut command = agent_command(place, master, port, flags);
    Daemon::start(place, "agent", &mut command)
}

/// What [`start_agent`] starts.
pub(crate) fn agent_command(
    place: &Place,
    master: SocketAddr,
    port: u16,
    flags: &[&str],
) -> Command {
    let mut command = meseta();
    command
        .args(["agent", "--ip=127.0.0.1"])
        .args(flags)
        .arg(format!("--port={port}"))
        .arg(format!("--master={master}"))
        .arg(format!("--work_dir={}", place.join("agent").display()));
    command
}

/// Waits until so many agents are registered and active; gives what `/slaves` says of them.
pub(crate) fn registered_agents(master: SocketAddr, count: usize) -> Vec<Value> {
    eventually("the agents' registration", || {
        // A genuine master serves it under this path alone, and not before it has recovered.
        let answer = http::request(master, "GET", "/master/slaves", &[], None).ok()?;
        if answer.status() != 200 {
            return None;
        }
        let agents = answer.json()["slaves"].as_array()?.clone();
        (agents
            .iter()
            .filter(|agent| agent["active"] == true)
            .count()
            == count)
            .then_some(agents)
    })
}

/// The address in an agent's process id, `slave(1)@127.0.0.1:5051`.
pub(crate) fn agent_address(agent: &Value) -> SocketAddr {
    agent["pid"]
        .as_str()
        .and_then(|pid| pid.rsplit_once('@')?.1.parse().ok())
        .unwrap_or_else(|| panic!("no address in the pid of {agent}"))
}

/// Runs a program of the binary to its end.
pub(crate) fn finish(place: &Place, name: &str, command: &mut Command) -> (ExitStatus, String) {
    let mut child = place.run(name, command);
    let mut output = child.stdout.take().expect("its output");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = output.read_to_string(&mut text);
        text
    });
    let status = eventually("the program's end", || child.try_wait().expect("its state"));
    (status, reader.join().expect("its output"))
}
