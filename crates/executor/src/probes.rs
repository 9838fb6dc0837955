//! Probes of the task that are under way: commands, connections and requests, none of which the
//! loop ever waits for.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Stdio};

use rustix::event::PollFd;
use rustix::process::Pid;

use crate::connection::{Connection, ConnectionError};
use crate::http::{self, Part};
use crate::limits::MAX_CURL_OUTPUT;
use crate::machine::{HttpProbe, Input, Launch, Observation, Probe, ProbeId, ProbeOutcome, Scheme};
use crate::process;
use crate::settings::Endpoint;
use crate::status::Ending;

/// The probes under way, at most one of each kind for each task.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    running: BTreeMap<ProbeId, Running>,
}

#[derive(Debug)]
enum Running {
    Command(Pid),
    Curl(Curl),
    Tcp(Connection),
    Http(HttpProbe, Connection, Option<u16>),
}

/// A request that the executor's own client cannot make.
#[derive(Debug)]
struct Curl {
    pid: Pid,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Probes {
    /// Begins a probe; some fail before they have begun.
    pub(crate) fn start(
        &mut self,
        id: ProbeId,
        probe: Probe,
        directory: Option<&Path>,
    ) -> Option<Input> {
        match Running::start(probe, directory) {
            Ok(running) => {
                self.running.insert(id, running);
                None
            }
            Err(outcome) => Some(Input::Probed { probe: id, outcome }),
        }
    }

    /// Ends a probe whose outcome is of no interest any more, and every process of it.
    pub(crate) fn stop(&mut self, id: ProbeId) -> io::Result<()> {
        match self.running.remove(&id) {
            Some(Running::Command(pid) | Running::Curl(Curl { pid, .. })) => {
                process::kill_tree(pid)
            }
            Some(Running::Tcp(_) | Running::Http(..)) | None => Ok(()),
        }
    }

    /// What to poll for, and whose it is.
    pub(crate) fn poll_fds(&self) -> impl Iterator<Item = (ProbeId, PollFd<'_>)> {
        self.running.iter().filter_map(|(id, running)| {
            let connection = match running {
                Running::Tcp(connection) | Running::Http(_, connection, _) => connection,
                Running::Command(_) | Running::Curl(_) => return None,
            };
            let fd = PollFd::from_borrowed_fd(connection.as_fd(), connection.interest());
            Some((*id, fd))
        })
    }

    /// Goes on where [`Self::poll_fds`] found something.
    pub(crate) fn on_ready(&mut self, id: ProbeId) -> Option<Input> {
        let outcome = match self.running.get_mut(&id)? {
            Running::Tcp(connection) => Ok(Observation::Connected(connection.connected().is_ok())),
            Running::Http(probe, connection, status) => match read_answer(connection, status) {
                Ok(None) => return None,
                Ok(Some(301 | 302 | 303 | 307 | 308)) => {
                    let probe = probe.clone();
                    self.running.remove(&id);
                    return self.follow(id, &probe);
                }
                Ok(Some(status)) => Ok(Observation::Answered(status)),
                Err(error) => Err(error.to_string()),
            },
            Running::Command(_) | Running::Curl(_) => return None,
        };
        self.running.remove(&id);
        Some(Input::Probed { probe: id, outcome })
    }

    /// Takes in the end of a process if it is a probe's.
    pub(crate) fn on_ended(&mut self, pid: Pid, ending: Ending) -> Option<Input> {
        let (&id, _) = self.running.iter().find(|(_, running)| {
            matches!(running, Running::Command(p) | Running::Curl(Curl { pid: p, .. }) if *p == pid)
        })?;
        let outcome = match (self.running.remove(&id)?, ending) {
            (Running::Curl(curl), ending) => curl.outcome(ending),
            (_, Ending::Exited(status)) => Ok(Observation::Exited(status)),
            (_, ending) => Err(format!("Command {ending}")),
        };
        Some(Input::Probed { probe: id, outcome })
    }

    /// Asks again, by a client that goes where it is sent.
    fn follow(&mut self, id: ProbeId, probe: &HttpProbe) -> Option<Input> {
        match Curl::start(probe) {
            Ok(curl) => {
                self.running.insert(id, Running::Curl(curl));
                None
            }
            Err(reason) => Some(Input::Probed {
                probe: id,
                outcome: Err(reason),
            }),
        }
    }
}

impl Running {
    fn start(probe: Probe, directory: Option<&Path>) -> Result<Self, ProbeOutcome> {
        match probe {
            Probe::Command(launch) => start_command(&launch, directory)
                .map(Self::Command)
                .map_err(|error| Err(format!("Failed to create subprocess: {error}"))),
            Probe::Tcp(address) => Connection::open(&Endpoint::Tcp(address))
                .map(Self::Tcp)
                .map_err(|_| Ok(Observation::Connected(false))),
            Probe::Http(probe) if probe.scheme == Scheme::Https => {
                Curl::start(&probe).map(Self::Curl).map_err(Err)
            }
            Probe::Http(probe) => {
                let mut connection = Connection::open(&Endpoint::Tcp(probe.authority.clone()))
                    .map_err(|error| Err(error.to_string()))?;
                connection.queue(&http::get(&probe.authority, &probe.path));
                Ok(Self::Http(probe, connection, None))
            }
        }
    }
}

/// What the command writes belongs to the sandbox, but not among the task's own output.
fn start_command(launch: &Launch, directory: Option<&Path>) -> io::Result<Pid> {
    let stdout = io::stderr().as_fd().try_clone_to_owned()?;
    let mut command = process::command(launch, directory);
    command.stdin(Stdio::null()).stdout(stdout);
    process::spawn(&mut command).map(|(pid, _)| pid)
}

/// The status of the answer when all of it has come. Of the body nothing is kept.
fn read_answer(
    connection: &mut Connection,
    status: &mut Option<u16>,
) -> Result<Option<u16>, ConnectionError> {
    let read = connection.on_ready();
    while let Some(part) = connection.next_part()? {
        match part {
            // One that announces the real answer.
            Part::Head(100..200) | Part::Body(_) => {}
            Part::Head(code) => *status = Some(code),
            Part::End if status.is_some() => return Ok(*status),
            Part::End => {}
        }
    }
    read?;
    match (connection.has_ended(), *status) {
        (false, _) => Ok(None),
        (true, Some(status)) => Ok(Some(status)),
        (true, None) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

impl Curl {
    fn start(probe: &HttpProbe) -> Result<Self, String> {
        let scheme = match probe.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let url = format!("{scheme}://{}{}", probe.authority, probe.path);
        let mut command = process::own_command("curl");
        command
            // Quiet but for errors; follow redirects; take any certificate, for a task's is its
            // own; print the last status alone; take brackets in the URL as they are.
            .args([
                "-s",
                "-S",
                "-L",
                "-k",
                "-w",
                "%{http_code}",
                "-o",
                "/dev/null",
                "-g",
            ])
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |error: io::Error| format!("Failed to create the curl subprocess: {error}");
        let (pid, child) = process::spawn(&mut command).map_err(failed)?;
        match (child.stdout, child.stderr) {
            (Some(stdout), Some(stderr)) => Ok(Self {
                pid,
                stdout,
                stderr,
            }),
            _ => Err(failed(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn outcome(self, ending: Ending) -> ProbeOutcome {
        if ending != Ending::Exited(0) {
            return Err(format!(
                "curl {ending}: {}",
                rest_of(self.stderr).trim_end()
            ));
        }
        let output = rest_of(self.stdout);
        output
            .trim()
            .parse()
            .map(Observation::Answered)
            .map_err(|_| format!("Unexpected output from curl: {output}"))
    }
}

/// What a process that has ended left in a pipe, without waiting for others that may hold it open.
fn rest_of(mut pipe: impl io::Read + AsFd) -> String {
    let mut bytes = Vec::new();
    if rustix::io::ioctl_fionbio(pipe.as_fd(), true).is_ok() {
        // An error ends it as the end of the pipe does: what came before it is kept.
        let _ = pipe.by_ref().take(MAX_CURL_OUTPUT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
