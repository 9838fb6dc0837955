//! The task's processes: all of them are children or further descendants of this process.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use meseta_proto::v1::environment::variable;
use nix::sys::signal::SigSet;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

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

/// Starts the task in a session of its own, so that a terminal's signals or a kill of the
/// executor's group do not reach it.
pub(crate) fn launch(launch: &Launch, directory: Option<&Path>) -> io::Result<Pid> {
    let value = launch.command.value();
    let mut command = if launch.command.shell() {
        let mut command = Command::new("/bin/sh");
        command.arg0("sh").args(["-c", value]);
        command
    } else {
        // The first argument is the name that the program sees.
        let mut arguments = launch.command.arguments.iter();
        let mut command = Command::new(value);
        command
            .arg0(arguments.next().map_or(value, String::as_str))
            .args(arguments);
        command
    };
    if std::env::var_os("PATH").is_none() {
        command.env("PATH", DEFAULT_PATH);
    }
    command.env_remove(TOKEN_VARIABLE);
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
    detach(&mut command);
    let child = command.spawn()?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Errno::SRCH.into())
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

/// What a round of reaping found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reaped {
    /// How the process of interest ended, if it did.
    pub(crate) ending: Option<Ending>,
    /// Whether there is no process left.
    pub(crate) all_gone: bool,
}

/// Takes in every process that has ended.
pub(crate) fn reap(task: Option<Pid>) -> Reaped {
    let mut ending = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if Some(pid) == task {
                    ending = ending_of(status);
                }
            }
            Ok(None) => {
                return Reaped {
                    ending,
                    all_gone: false,
                };
            }
            Err(Errno::INTR) => {}
            // No child: the only other error.
            Err(_) => {
                return Reaped {
                    ending,
                    all_gone: true,
                };
            }
        }
    }
}

fn ending_of(status: WaitStatus) -> Option<Ending> {
    const CORE_DUMPED: i32 = 0x80;
    if let Some(status) = status.exit_status() {
        return Some(Ending::Exited(status));
    }
    status.terminating_signal().map(|signal| Ending::Signaled {
        signal,
        dumped_core: status.as_raw() & CORE_DUMPED != 0,
    })
}

/// Signals every process of the task, which is every one below this process: those that lost their
/// parent have been adopted. Parents come before their children, so that none reacts to the end of
/// a child before it has the signal itself.
pub(crate) fn kill_all(signal: Signal) -> io::Result<()> {
    let signal = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    for pid in descendants()? {
        // One that has ended meanwhile needs no signal; one of another user that a set-user-id
        // program became cannot get one.
        let _ = rustix::process::kill_process(pid, signal);
        // A process that was stopped would not see the signal before it goes on.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
    }
    Ok(())
}

/// All processes below this one, level by level.
fn descendants() -> io::Result<Vec<Pid>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ends meanwhile has no such file any more.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if let Some(parent) = parent_in(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut level = children.remove(&own).unwrap_or_default();
    let mut found = Vec::new();
    while !level.is_empty() {
        found.extend(level.iter().filter_map(|pid| Pid::from_raw(*pid)));
        level = level
            .iter()
            .filter_map(|pid| children.remove(pid))
            .flatten()
            .collect();
    }
    Ok(found)
}

/// `pid (name) state parent …`, where the name may hold anything, even parentheses.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_whatever_the_process_is_called() {
        assert_eq!(parent_in("12 (sh) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent_in("12 (a) R 1 (b) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent_in("12"), None);
    }
}
