//! The loop that feeds the machine and carries out what it decides.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use meseta_machine::{Entropy, Now};
use nix::sys::signal::{SigSet, Signal as Name};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Pid;

use crate::Kind;
use crate::agent::{Agent, Channel, Heard};
use crate::machine::{
    Action, Command, Group, Input, Launch, Machine, Outcome, ProbeId, RequestId, Signal,
};
use crate::probes::Probes;
use crate::process;
use crate::requests::Requests;
use crate::sandbox;
use crate::settings::{Settings, SettingsError};
use crate::status::Ending;

/// Why the executor cannot do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("failed to {attempt}: {error}")]
    System {
        attempt: &'static str,
        error: io::Error,
    },
}

fn system(attempt: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::System { attempt, error }
}

pub(crate) fn run(kind: Kind, settings: Settings) -> Result<ExitCode, Error> {
    let mut shell = Shell::new(kind, settings)?;
    shell.inputs.push_back(Input::Start);
    loop {
        if let Some(outcome) = shell.run_machine() {
            return Ok(match outcome {
                Outcome::Success => ExitCode::SUCCESS,
                Outcome::Failure => ExitCode::FAILURE,
            });
        }
        shell.wait()?;
    }
}

/// Who a descriptor that is waited for belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Agent(Channel),
    Probe(ProbeId),
    Request(RequestId),
}

struct Shell {
    machine: Box<dyn Machine>,
    agent: Agent,
    requests: Requests,
    signals: SignalFd,
    directory: Option<PathBuf>,
    inputs: VecDeque<Input>,
    task: Option<Pid>,
    probes: Probes,
    sweeping: bool,
    started: Instant,
}

impl Shell {
    fn new(kind: Kind, settings: Settings) -> Result<Self, Error> {
        process::adopt_orphans().map_err(system("become the reaper of the task's processes"))?;
        if kind == Kind::Default {
            process::allow_descriptors();
        }
        Ok(Self {
            signals: watch_signals().map_err(system("watch for signals"))?,
            agent: Agent::new(&settings),
            requests: Requests::new(&settings),
            machine: match kind {
                Kind::Command => Box::new(Command::new(settings.identity, Entropy::new(seed()))),
                Kind::Default => Box::new(Group::new(
                    settings.identity,
                    settings.container_ip,
                    settings
                        .sandbox
                        .as_ref()
                        .map(|path| path.to_string_lossy().into_owned()),
                    Entropy::new(seed()),
                )),
            },
            directory: settings.sandbox,
            inputs: VecDeque::new(),
            task: None,
            probes: Probes::default(),
            sweeping: false,
            started: Instant::now(),
        })
    }

    /// Steps the machine until it has nothing more to do.
    fn run_machine(&mut self) -> Option<Outcome> {
        let mut actions = Vec::new();
        loop {
            while let Some(input) = self.inputs.pop_front() {
                self.machine.step(self.now(), input, &mut actions);
                for action in actions.drain(..) {
                    if let Some(outcome) = self.carry_out(action) {
                        return Some(outcome);
                    }
                }
            }
            self.inputs.extend(self.agent.flush());
            if self.inputs.is_empty() {
                return None;
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<Outcome> {
        match action {
            Action::Subscribe(call) => {
                if let Err(error) = self.agent.subscribe(&call) {
                    self.inputs.push_back(Input::Disconnected {
                        reason: error.to_string(),
                    });
                }
            }
            Action::Disconnect => self.agent.disconnect(),
            Action::Send(call) => self.agent.send(&call),
            Action::Launch(launch) => {
                // What is to be told before is on its way while the task starts.
                self.inputs.extend(self.agent.flush());
                self.launch(&launch);
            }
            Action::Kill(signal) => kill_all(signal),
            Action::Probe(id, probe) => {
                let failed = self.probes.start(id, probe, self.directory.as_deref());
                self.inputs.extend(failed);
            }
            Action::StopProbe(id) => self.stop_probe(id),
            Action::Request(request, call) => {
                // What is to be told before is on its way already.
                self.inputs.extend(self.agent.flush());
                self.inputs.extend(self.requests.start(request, &call));
            }
            Action::Abandon(request) => self.requests.abandon(request),
            Action::LinkSandbox {
                task_id,
                container_id,
            } => {
                let linked = sandbox::link(self.directory.as_deref(), &task_id, &container_id);
                if let Err(error) = linked {
                    log(&format!(
                        "Failed to link the sandbox of task '{task_id}': {error}"
                    ));
                }
            }
            Action::Sweep => self.sweep(),
            Action::Log(line) => log(&line),
            Action::Exit(outcome) => return Some(outcome),
        }
        None
    }

    fn launch(&mut self, launch: &Launch) {
        let mut command = process::command(launch, self.directory.as_deref());
        match process::spawn_task(&mut command) {
            Ok((pid, _)) => self.task = Some(pid),
            Err(error) => {
                log(&format!("Failed to execute command: {error}"));
                self.inputs.push_back(Input::Ended(Ending::Exited(1)));
            }
        }
    }

    fn stop_probe(&mut self, id: ProbeId) {
        if let Err(error) = self.probes.stop(id) {
            log(&format!("Failed to list the processes of a check: {error}"));
        }
    }

    fn sweep(&mut self) {
        self.sweeping = true;
        self.reap();
        if self.sweeping {
            kill_all(Signal::Kill);
        }
    }

    fn reap(&mut self) {
        let Self {
            task,
            probes,
            inputs,
            ..
        } = self;
        let all_gone = process::reap(|pid, ending| {
            if *task == Some(pid) {
                *task = None;
                inputs.push_back(Input::Ended(ending));
            } else {
                inputs.extend(probes.on_ended(pid, ending));
            }
        });
        if all_gone && self.sweeping {
            self.sweeping = false;
            self.inputs.push_back(Input::Swept);
        }
    }

    /// Waits for the agent, a signal, a probe or a timer, and turns it into inputs.
    fn wait(&mut self) -> Result<(), Error> {
        let signals = PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN);
        let (sources, mut fds): (Vec<Source>, Vec<PollFd<'_>>) =
            std::iter::once((Source::Signals, signals))
                .chain(of(self.agent.poll_fds(), Source::Agent))
                .chain(of(self.probes.poll_fds(), Source::Probe))
                .chain(of(self.requests.poll_fds(), Source::Request))
                .unzip();
        let timeout = self.machine.next_wake().map(|at| timespec(self.until(at)));
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system("wait for events")(error.into())),
        }
        let ready: Vec<Source> = sources
            .into_iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(source, _)| source)
            .collect();
        for source in ready {
            match source {
                Source::Signals => self.on_signals(),
                Source::Agent(channel) => self.on_agent(channel),
                Source::Probe(id) => self.inputs.extend(self.probes.on_ready(id)),
                Source::Request(id) => self.inputs.extend(self.requests.on_ready(id)),
            }
        }
        if self
            .machine
            .next_wake()
            .is_some_and(|at| self.until(at).is_zero())
        {
            self.inputs.push_back(Input::Wake);
        }
        Ok(())
    }

    fn on_agent(&mut self, channel: Channel) {
        let mut heard = VecDeque::new();
        self.agent.on_ready(channel, &mut heard);
        for heard in heard {
            match heard {
                Heard::Input(input) => self.inputs.push_back(input),
                Heard::Complaint(complaint) => log(&complaint),
            }
        }
    }

    fn on_signals(&mut self) {
        let mut child_ended = false;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if i32::try_from(signal.ssi_signo) == Ok(Name::SIGCHLD as i32) {
                child_ended = true;
            } else {
                self.inputs.push_back(Input::Terminate);
            }
        }
        if child_ended {
            self.reap();
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.started.elapsed(),
            wall: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    fn until(&self, at: Duration) -> Duration {
        at.saturating_sub(self.started.elapsed())
    }
}

fn of<'a, T>(
    fds: impl Iterator<Item = (T, PollFd<'a>)>,
    source: impl Fn(T) -> Source,
) -> impl Iterator<Item = (Source, PollFd<'a>)> {
    fds.map(move |(id, fd)| (source(id), fd))
}

fn kill_all(signal: Signal) {
    if let Err(error) = process::kill_all(signal) {
        log(&format!("Failed to list the task's processes: {error}"));
    }
}

/// Blocks the signals, so that they arrive in the loop only. The task's start undoes it for the task.
fn watch_signals() -> io::Result<SignalFd> {
    let watched = SigSet::from_iter([Name::SIGCHLD, Name::SIGTERM, Name::SIGINT]);
    watched.thread_block()?;
    Ok(SignalFd::with_flags(
        &watched,
        SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
    )?)
}

/// Randomness for ids: the standard library keys its hashers from the kernel's.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Tells the reader of the sandbox's stderr; nobody is left to tell when that fails.
pub(crate) fn log(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
