//! Programs whose ends are known even if nobody who could be told of them is there.
//!
//! The kernel tells the end of a process to its parent alone, and an agent that was killed is nobody's
//! parent any more. So a nested container's program gets a parent of its own: a small process, the
//! first of the container, that passes signals on to the program, waits for its end and writes it down.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::unistd::Pid;

use crate::launch::{LaunchError, Spec, launch_with};
use crate::limits::EXIT_STATUS_LENGTH;
use crate::process::Process;
use crate::started::Record;

/// What a shell says of a program that could not be started; Mesos's launcher says it, too.
const NOT_STARTED: u8 = 1;

/// What is added to a signal's number in the exit code of who waited for its victim.
const SIGNAL_BASE: i32 = 128;

/// How to start the process that calls [`supervise`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    /// The program.
    pub program: PathBuf,
    /// The arguments before those of the supervised program, the program's own name included.
    pub arguments: Vec<String>,
}

/// Starts a program as [`crate::launch`] does, below a supervisor: the process is the supervisor's,
/// and signals that it gets reach the program. Its end can be read by [`exit_status`] ever after.
pub fn launch_supervised(
    spec: &Spec,
    supervisor: &Supervisor,
    exit_status: &Path,
    record: Option<&Record<'_>>,
) -> Result<Process, LaunchError> {
    let mut arguments = supervisor.arguments.clone();
    arguments.push(spec.program.clone());
    arguments.extend(spec.arguments.iter().cloned());
    let supervised = Spec {
        program: supervisor.program.to_string_lossy().into_owned(),
        arguments,
        ..spec.clone()
    };
    // The supervisor is the task's user by the time it writes: it gets the file open.
    launch_with(&supervised, place_for_end(exit_status)?, record)
}

/// Makes the file for an end, and the folders around it.
pub(crate) fn place_for_end(exit_status: &Path) -> Result<OwnedFd, LaunchError> {
    let failed = |source| LaunchError::Open {
        path: exit_status.to_owned(),
        source,
    };
    if let Some(folder) = exit_status.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    keep_place(exit_status).map(OwnedFd::from).map_err(failed)
}

/// Makes the file for an end, as long as it will be: the end is written over what is there, so that a disk
/// that is full by then has room for it.
fn keep_place(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&[b' '; EXIT_STATUS_LENGTH])?;
    Ok(file)
}

/// How a supervised program has ended, as `wait` gives it. `None` while it runs, or if its
/// supervisor was killed.
pub fn exit_status(path: &Path) -> Option<i32> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(EXIT_STATUS_LENGTH as u64)
        .read_to_string(&mut text)
        .ok()?;
    // Without its end the line may be half of one.
    text.strip_suffix('\n')?.trim_start().parse().ok()
}

/// The supervisor's whole life. Its arguments are the program and the program's arguments, with the
/// name in front that it sees itself under; its standard input is the file for the end.
pub fn supervise(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match follow(arguments) {
        Ok(status) => code(status),
        Err(sentence) => {
            // The container's own, where its owner looks for reasons.
            let _ = writeln!(std::io::stderr(), "{sentence}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn follow(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitStatus, String> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let file = rustix::io::dup(rustix::stdio::stdin()).map(File::from);
    let mut file = file.map_err(|error| format!("Failed to find the file for the end: {error}"))?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC)
        .map_err(|error| format!("Failed to keep the file for the end: {error}"))?;

    // Nothing may be missed: signals wait until they are asked for.
    let all = SigSet::all();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&all), None)
        .map_err(|error| format!("Failed to hold signals: {error}"))?;
    let mut command = Command::new(&program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).stdin(Stdio::null());
    unblock_signals(&mut command);
    let status = match command.spawn() {
        Ok(child) => wait(child, &all)?,
        Err(error) => {
            let program = program.to_string_lossy();
            let _ = writeln!(std::io::stderr(), "Failed to execute '{program}': {error}");
            ExitStatus::from_raw(i32::from(NOT_STARTED) << 8)
        }
    };
    if let Err(error) = write_down(&mut file, status) {
        // An agent that lives is told all the same.
        let _ = writeln!(std::io::stderr(), "Failed to write the end down: {error}");
    }
    Ok(status)
}

/// Lets the program start with no signal blocked: it inherits what the supervisor blocks, across exec
/// too, and would never see those that are passed on.
#[allow(
    unsafe_code,
    reason = "the standard library has no safe way to set the signal mask of a child"
)]
fn unblock_signals(command: &mut Command) {
    // SAFETY: pthread_sigmask is safe between fork and exec; it neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?));
    }
}

/// Passes signals on to the program until it has ended.
fn wait(mut child: Child, all: &SigSet) -> Result<ExitStatus, String> {
    let failed = |error: &dyn std::fmt::Display| format!("Failed to wait for the program: {error}");
    let pid = i32::try_from(child.id()).map_err(|error| failed(&error))?;
    loop {
        match all.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(status) = child.try_wait().map_err(|error| failed(&error))? {
                    return Ok(status);
                }
            }
            // It runs, or nobody has taken its end: the number is its own.
            Ok(signal) => {
                let _ = kill(Pid::from_raw(pid), signal);
            }
            // A real-time signal, which has no name here.
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

pub(crate) fn write_down(file: &mut File, status: ExitStatus) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let width = EXIT_STATUS_LENGTH - 1;
    file.write_all(format!("{:>width$}\n", status.into_raw()).as_bytes())
}

fn code(status: ExitStatus) -> ExitCode {
    let signal = || status.signal().map(|signal| SIGNAL_BASE + signal);
    let code = status.code().or_else(signal).unwrap_or_default();
    ExitCode::from(u8::try_from(code).unwrap_or(NOT_STARTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_needs_no_room_that_was_not_taken_at_the_start() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("end");
        let mut file = keep_place(&path).unwrap();
        let room = file.metadata().unwrap().len();
        assert_eq!(exit_status(&path), None);
        for status in [0, 9, 256, i32::MIN] {
            write_down(&mut file, ExitStatus::from_raw(status)).unwrap();
            assert_eq!(exit_status(&path), Some(status));
            assert_eq!(file.metadata().unwrap().len(), room);
        }
    }

    #[test]
    fn half_an_end_is_none() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("end");
        for (text, end) in [("256\n", Some(256)), ("      25", None), ("x\n", None)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(exit_status(&path), end, "{text:?}");
        }
    }
}
