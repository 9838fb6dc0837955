//! The task's processes: all of them are children or further descendants of this process.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};

use meseta_proto::v1::environment::variable;
use nix::sys::signal::SigSet;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, WaitOptions};

use crate::descendants::descendants;
use crate::machine::{Launch, Signal};
use crate::settings::TOKEN_VARIABLE;
use crate::status::Ending;

/// Where programs are found when neither the agent nor the task says, as in Mesos.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes every process that loses its parent below this one a child of this one.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// As many open connections as there may be: each task is waited for on one of its own. Where that
/// fails, what finds no room is tried again.
pub(crate) fn allow_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

/// A program of the executor's own choice, with the executor's environment but for its secret.
pub(crate) fn own_command(program: &str) -> Command {
    let mut command = Command::new(program);
    if std::env::var_os("PATH").is_none() {
        command.env("PATH", DEFAULT_PATH);
    }
    command.env_remove(TOKEN_VARIABLE);
    command
}

/// The task's command, or one of its checks.
pub(crate) fn command(launch: &Launch, directory: Option<&Path>) -> Command {
    let value = launch.command.value();
    let mut command = if launch.command.shell() {
        let mut command = own_command("/bin/sh");
        command.arg0("sh").args(["-c", value]);
        command
    } else {
        // The first argument is the name that the program sees.
        let mut arguments = launch.command.arguments.iter();
        let mut command = own_command(value);
        command
            .arg0(arguments.next().map_or(value, String::as_str))
            .args(arguments);
        command
    };
    // As in Mesos, the role cannot be overridden, everything else can.
    let (role, own): (Vec<_>, Vec<_>) = launch
        .variables
        .iter()
        .partition(|(name, _)| *name == "MESOS_ALLOCATION_ROLE");
    command.envs(own.into_iter().map(|(name, value)| (name, value)));
    for variable in launch.command.environment.iter().flat_map(|e| &e.variables) {
        // Secrets would have to be resolved first.
        if variable.r#type() != variable::Type::Secret && is_usable(&variable.name) {
            command.env(&variable.name, variable.value());
        }
    }
    command.envs(role.into_iter().map(|(name, value)| (name, value)));
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    command
}

/// Starts a process in a session of its own, so that a terminal's signals or a kill of the
/// executor's group do not reach it.
pub(crate) fn spawn(command: &mut Command) -> io::Result<(Pid, Child)> {
    detach(command);
    start(command)
}

/// The same for the task itself: if the executor has a terminal, it is the task's, and its keys mean to the task
/// what they mean.
pub(crate) fn spawn_task(command: &mut Command) -> io::Result<(Pid, Child)> {
    detach(command);
    take_terminal(command);
    start(command)
}

fn start(command: &mut Command) -> io::Result<(Pid, Child)> {
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok((pid.ok_or(Errno::SRCH)?, child))
}

#[allow(
    unsafe_code,
    reason = "the standard library has no way to give a session its terminal"
)]
fn take_terminal(command: &mut Command) {
    // SAFETY: the call only makes a system call, in the child alone.
    unsafe {
        command.pre_exec(|| {
            // Standard input is no terminal, or one that others use already.
            let _ = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin());
            Ok(())
        });
    }
}

/// The kernel's form of an environment has no room for other names.
fn is_usable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// Gives the task a session of its own and no blocked signals: the executor blocks those that it
/// watches, and a child inherits that, across exec too.
#[allow(
    unsafe_code,
    reason = "the standard library has no safe way to open a session or to set the signal mask"
)]
fn detach(command: &mut Command) {
    // SAFETY: setsid and pthread_sigmask are safe between fork and exec; neither allocates or
    // takes a lock.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
}

/// Takes in every process that has ended; tells whether there is none left.
pub(crate) fn reap(mut on_ended: impl FnMut(Pid, Ending)) -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if let Some(ending) = Ending::from_wait_status(status.as_raw()) {
                    on_ended(pid, ending);
                }
            }
            Ok(None) => return false,
            Err(Errno::INTR) => {}
            // No child: the only other error.
            Err(_) => return true,
        }
    }
}

/// Signals every process of the task, which is every one below this process: those that lost their
/// parent have been adopted. Parents come before their children, so that none reacts to the end of
/// a child before it has the signal itself.
pub(crate) fn kill_all(signal: Signal) -> io::Result<()> {
    let signal = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    for pid in descendants(rustix::process::getpid())? {
        // One that has ended meanwhile needs no signal; one of another user that a set-user-id
        // program became cannot get one.
        let _ = rustix::process::kill_process(pid, signal);
        // A process that was stopped would not see the signal before it goes on.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
    }
    Ok(())
}

/// Ends a process that has not been taken in yet, and all below it.
pub(crate) fn kill_tree(root: Pid) -> io::Result<()> {
    // First, so that it cannot start others while they are listed.
    let _ = rustix::process::kill_process(root, rustix::process::Signal::STOP);
    let below = descendants(root);
    let _ = rustix::process::kill_process(root, rustix::process::Signal::KILL);
    for pid in below? {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    Ok(())
}
