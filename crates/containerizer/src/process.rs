use std::fs::File;
use std::io::Read as _;

use procfs::FromRead as _;
use procfs::process::Stat;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::limits::{DEEPEST_LINEAGE, MAX_ENVIRONMENT};

/// A process, told apart from a later one with the same number by when it started.
///
/// Both numbers are good until the machine starts again; who keeps them longer keeps the boot's id
/// with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in the kernel's clock ticks since the machine did.
    pub start_time: u64,
}

impl Process {
    /// A handle of exactly this process, or `None` when it is gone. A process that has ended but
    /// was not waited for yet is still there.
    pub(crate) fn open(self) -> std::io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // The number may have gone to another process before the handle was made, never after.
        Ok((start_time(self.pid) == Some(self.start_time)).then_some(handle))
    }
}

/// Sends a signal to a process; false if it is gone. Signal 0 only tells whether it is there.
///
/// # Errors
/// When there is no such signal, or the kernel refuses it.
pub fn send_signal(process: Process, signal: i32) -> std::io::Result<bool> {
    let signal = match signal {
        0 => None,
        _ => Some(Signal::from_named_raw(signal).ok_or(Errno::INVAL)?),
    };
    let Some(handle) = process.open()? else {
        return Ok(false);
    };
    match signal.map(|signal| pidfd_send_signal(&handle, signal)) {
        None | Some(Ok(())) => Ok(true),
        Some(Err(Errno::SRCH)) => Ok(false),
        Some(Err(errno)) => Err(errno.into()),
    }
}

/// When the process of this number started, in clock ticks since the machine did; `None` when
/// there is no such process.
pub fn start_time(pid: i32) -> Option<u64> {
    Some(stat(pid)?.starttime)
}

/// A process, those that it descends from, and the leader of its session, by their numbers.
pub fn lineage(pid: i32) -> Vec<i32> {
    let session = session(pid).filter(|leader| *leader > 0);
    let ancestors = std::iter::successors(Some(pid), |pid| {
        stat(*pid)
            .map(|stat| stat.ppid)
            .filter(|parent| *parent > 0)
    });
    ancestors.take(DEEPEST_LINEAGE).chain(session).collect()
}

/// The environment that a process was started with, unless it has changed that.
///
/// # Errors
/// When the process is over, or its environment cannot be read.
pub fn environment(process: Process) -> std::io::Result<Vec<(String, String)>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{}/environ", process.pid))?
        .take(MAX_ENVIRONMENT)
        .read_to_end(&mut text)?;
    if !is_alive(process.pid, process.start_time) {
        return Err(Errno::SRCH.into());
    }
    let variables = text.split(|byte| *byte == 0);
    let variables = variables.filter_map(|it| std::str::from_utf8(it).ok()?.split_once('='));
    Ok(variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Whether the process of this number and start time has not ended yet.
pub fn is_alive(pid: i32, start_time: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.starttime == start_time && !has_ended(&stat))
}

pub(crate) fn stat(pid: i32) -> Option<Stat> {
    // A process that ends while its file is read is as gone as one without a file.
    Stat::from_read(File::open(format!("/proc/{pid}/stat")).ok()?).ok()
}

/// The session of a process; 0 for one whose leader is outside this PID namespace, as that of all
/// that a container's entry point starts. (`getsid` of `rustix` takes that 0 for impossible.)
pub(crate) fn session(pid: i32) -> Option<i32> {
    Some(stat(pid)?.session)
}

/// Whether a process has ended and only waits for its end to be taken. One whose first thread has
/// ended looks the same, but for the threads it still has.
pub(crate) fn has_ended(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X' | 'x') && stat.num_threads <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_alive_and_another_of_its_number_is_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let started = start_time(pid).unwrap();
        assert!(is_alive(pid, started));
        assert!(!is_alive(pid, started + 1));
        let other = Process {
            pid,
            start_time: started + 1,
        };
        assert!(other.open().unwrap().is_none());
    }

    #[test]
    fn the_environment_of_a_process_is_what_it_was_started_with() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .env_clear()
            .env("A", "1=2")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let start_time = start_time(pid).unwrap();
        let read = environment(Process { pid, start_time });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(read.unwrap(), [("A".to_owned(), "1=2".to_owned())]);
        assert!(
            environment(Process { pid, start_time }).is_err(),
            "it is over"
        );
    }

    #[test]
    fn a_process_descends_from_its_parent() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let lineage = lineage(i32::try_from(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(lineage[1], pid);
    }

    #[test]
    fn numbers_that_no_process_has_are_no_process() {
        assert_eq!(start_time(0), None);
        assert_eq!(start_time(-1), None);
        assert_eq!(start_time(i32::MAX), None);
        let none = Process {
            pid: i32::MAX,
            start_time: 1,
        };
        assert!(none.open().unwrap().is_none());
    }
}
