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

use crate::agent::{Agent, Heard};
use crate::machine::{Action, Input, Launch, Machine, Outcome, Signal, Which};
use crate::probes::Probes;
use crate::process;
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

pub(crate) fn run(settings: Settings) -> Result<ExitCode, Error> {
    let mut shell = Shell::new(settings)?;
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

struct Shell {
    machine: Machine,
    agent: Agent,
    signals: SignalFd,
    directory: Option<PathBuf>,
    inputs: VecDeque<Input>,
    task: Option<Pid>,
    probes: Probes,
    sweeping: bool,
    started: Instant,
}

impl Shell {
    fn new(settings: Settings) -> Result<Self, Error> {
        process::adopt_orphans().map_err(system("become the reaper of the task's processes"))?;
        Ok(Self {
            signals: watch_signals().map_err(system("watch for signals"))?,
            agent: Agent::new(&settings),
            machine: Machine::new(settings.identity, Entropy::new(seed())),
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
            Action::Probe(which, probe) => {
                let failed = self.probes.start(which, probe, self.directory.as_deref());
                self.inputs.extend(failed);
            }
            Action::StopProbe(which) => self.stop_probe(which),
            Action::Sweep => self.sweep(),
            Action::Log(line) => log(&line),
            Action::Exit(outcome) => return Some(outcome),
        }
        None
    }

    fn launch(&mut self, launch: &Launch) {
        let mut command = process::command(launch, self.directory.as_deref());
        match process::spawn(&mut command) {
            Ok((pid, _)) => self.task = Some(pid),
            Err(error) => {
                log(&format!("Failed to execute command: {error}"));
                self.inputs.push_back(Input::Ended(Ending::Exited(1)));
            }
        }
    }

    fn stop_probe(&mut self, which: Which) {
        if let Err(error) = self.probes.stop(which) {
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
        let mut fds: Vec<PollFd<'_>> = std::iter::once(signals)
            .chain(self.agent.poll_fds())
            .collect();
        let first_probe = fds.len();
        let mut probing = Vec::new();
        for (which, fd) in self.probes.poll_fds() {
            probing.push(which);
            fds.push(fd);
        }
        let timeout = self.machine.next_wake().map(|at| timespec(self.until(at)));
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system("wait for events")(error.into())),
        }
        let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let signalled = ready(0);
        // Without a connection to the agent, these places are the probes' or nobody's.
        let connections = [1, 2].map(|at| at < first_probe && ready(at));
        let mut at = first_probe..;
        probing.retain(|_| at.next().is_some_and(ready));

        if signalled {
            self.on_signals();
        }
        for which in probing {
            self.inputs.extend(self.probes.on_ready(which));
        }
        let mut heard = VecDeque::new();
        self.agent.on_ready(connections, &mut heard);
        for heard in heard {
            match heard {
                Heard::Input(input) => self.inputs.push_back(input),
                Heard::Complaint(complaint) => log(&complaint),
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
