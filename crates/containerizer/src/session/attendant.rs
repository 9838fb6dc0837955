//! The process between an agent and the program of a session.

#![allow(
    unsafe_code,
    reason = "a terminal of its own, and the end by a signal, need code of ours after fork"
)]

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, WaitOptions, WaitStatus};

use super::Session;
use crate::children::own_pid;
use crate::destroy::kill_descendants;

/// What a shell says of a program that could not be started; Mesos's launcher says it, too.
const NOT_STARTED: u8 = 1;

/// What is added to a signal's number where an exit code must stand for it.
const SIGNAL_BASE: i32 = 128;

/// How the streams of a program are told to the attendant.
const TERMINAL: &str = "terminal";
const PIPES: &str = "pipes";

/// The arguments that [`attend`] takes: this process, the streams, the program, and its arguments with the
/// name in front that it sees itself under.
pub(super) fn arguments(session: &Session) -> impl Iterator<Item = String> {
    let streams = match session.terminal {
        Some(_) => TERMINAL,
        None => PIPES,
    };
    let first = [
        own_pid().to_string(),
        streams.to_owned(),
        session.program.clone(),
    ];
    first.into_iter().chain(session.arguments.clone())
}

/// The attendant's whole life. Its streams are the program's.
pub fn attend(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ended = follow(arguments);
    // What the program has left behind ends with it.
    let _ = kill_descendants();
    match ended {
        Ok(status) => end_as(status),
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "{sentence}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn follow(arguments: impl IntoIterator<Item = OsString>) -> Result<WaitStatus, String> {
    let mut arguments = arguments.into_iter();
    let agent = arguments.next().and_then(|it| it.to_str()?.parse().ok());
    let agent: i32 = agent.ok_or("The first argument is not the agent's process")?;
    let has_terminal = arguments.next().is_some_and(|it| it == TERMINAL);
    let program = arguments.next().unwrap_or_default();

    // Nothing may be missed: signals wait until they are asked for.
    let all = SigSet::all();
    nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&all), None)
        .map_err(|error| format!("Failed to hold signals: {error}"))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| format!("Failed to adopt orphans: {error}"))?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::HUP))
        .map_err(|error| format!("Failed to be told of the agent's end: {error}"))?;

    let mut command = Command::new(&program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    set_apart(&mut command, has_terminal);
    // It may have ended before the kernel was asked to tell.
    still_is(agent)?;
    let child = command.spawn();
    let child = child.map_err(|error| {
        let program = program.to_string_lossy();
        format!("Failed to execute '{program}': {error}")
    })?;
    let child = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    // Who reads them is to see when the program has closed them.
    close_streams().map_err(|error| format!("Failed to close the streams: {error}"))?;
    wait(agent, child, &all)
}

/// Prepares the program's process: no signal is blocked, and the terminal is its own.
pub(super) fn set_apart(command: &mut Command, has_terminal: bool) {
    // SAFETY: between fork and exec only system calls are made; nothing allocates or takes a lock.
    unsafe {
        command.pre_exec(move || {
            if has_terminal {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            }
            Ok(SigSet::empty().thread_set_mask()?)
        });
    }
}

fn close_streams() -> Result<(), Errno> {
    let nothing = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)
}

/// Passes signals on to the program until it, or the agent, has ended.
fn wait(agent: i32, child: i32, all: &SigSet) -> Result<WaitStatus, String> {
    loop {
        let signal = all.wait();
        still_is(agent)?;
        match signal {
            Ok(Signal::SIGCHLD) => {
                if let Some(status) = take_ends(child) {
                    return Ok(status);
                }
            }
            // It runs, or nobody has taken its end: the number is its own.
            Ok(signal) => {
                let _ = nix::sys::signal::kill(Pid::from_raw(child), signal);
            }
            // A real-time signal, which has no name here.
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(format!("Failed to wait for the program: {error}")),
        }
    }
}

/// Takes the ends of all children that have ended from the kernel, and gives the program's.
pub(super) fn take_ends(child: i32) -> Option<WaitStatus> {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid.as_raw_pid() == child {
            return Some(status);
        }
    }
    None
}

fn still_is(agent: i32) -> Result<(), String> {
    match rustix::process::getppid() {
        Some(parent) if parent.as_raw_pid() == agent => Ok(()),
        _ => Err("The agent has ended".into()),
    }
}

/// Ends this process as the program has ended.
pub(super) fn end_as(status: WaitStatus) -> ExitCode {
    if let Some(code) = status.exit_status() {
        return ExitCode::from(u8::try_from(code).unwrap_or(NOT_STARTED));
    }
    let number = status.terminating_signal().unwrap_or_default();
    if let Ok(signal) = Signal::try_from(number) {
        // A core of this process would tell nobody anything.
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = rustix::process::setrlimit(Resource::Core, none);
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default disposition runs no code of this process.
        let _ = unsafe { nix::sys::signal::sigaction(signal, &default) };
        let _ = nix::sys::signal::kill(Pid::this(), signal);
        let mut only = SigSet::empty();
        only.add(signal);
        let _ = only.thread_unblock();
    }
    ExitCode::from(u8::try_from(SIGNAL_BASE + number).unwrap_or(NOT_STARTED))
}
