use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::children::{is_subreaper, own_pid, reap_orphans};
use crate::limits::DESTROY_TIMEOUT;
use crate::process::{Process, is_alive, start_time};
use crate::table::{Entry, Table};

/// A container, as it is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its first process, running or not; `None` if nobody knows it any more.
    pub process: Option<Process>,
    /// Its sandbox, as the environment of its processes names it.
    pub directory: PathBuf,
}

/// Why something of a container may be left.
#[derive(Debug, thiserror::Error)]
pub enum DestroyError {
    /// The processes of this machine cannot be looked at, or not be signalled.
    #[error("failed to destroy the container in '{directory}': {source}", directory = .directory.display())]
    Kernel {
        /// The sandbox.
        directory: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Killed processes did not end.
    #[error("processes of the container in '{directory}' hang in the kernel: {left:?}", directory = .directory.display())]
    Hanging {
        /// The sandbox.
        directory: PathBuf,
        /// Those that are left.
        left: Vec<i32>,
    },
}

/// Kills everything that belongs to a container and returns when nothing of it runs any more.
///
/// The end of the first process is left to whoever waits for it ([`crate::Watcher`],
/// [`crate::wait`]). To be called as well after that has ended by itself: it may have left others
/// behind. When it has not, the call costs next to nothing.
pub fn destroy(container: &Container) -> Result<(), DestroyError> {
    let errors = destroy_all(std::slice::from_ref(container));
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// Kills everything that belongs to any of these containers, as [`destroy`] does, but looks at the machine for
/// all of them at once. Says of which something may be left.
pub fn destroy_all(containers: &[Container]) -> Vec<DestroyError> {
    let wanted = containers.iter();
    let wanted: Vec<&Container> = wanted
        .filter(|container| !container.process.is_some_and(nothing_can_be_left))
        .collect();
    let Some(first) = wanted.first() else {
        return Vec::new();
    };
    let errors = kill_all(&wanted).unwrap_or_else(|source| {
        let directory = first.directory.clone();
        vec![DestroyError::Kernel { directory, source }]
    });
    reap_orphans();
    errors
}

/// Kills until nothing is left that could be killed.
fn kill_all(containers: &[&Container]) -> std::io::Result<Vec<DestroyError>> {
    let deadline = Instant::now() + DESTROY_TIMEOUT;
    loop {
        let killed = stop_all(|table| {
            let containers = containers.iter();
            containers.flat_map(|it| tree(table, it)).collect()
        })?;
        if killed.is_empty() {
            return Ok(Vec::new());
        }
        send(&killed, Signal::KILL)?;
        let mut left = BTreeSet::new();
        for process in killed {
            if !ends_before(process, deadline)? {
                left.insert(process);
            }
        }
        if !left.is_empty() {
            return hanging(containers, &left);
        }
    }
}

/// Says which containers these processes are of.
fn hanging(
    containers: &[&Container],
    left: &BTreeSet<Process>,
) -> std::io::Result<Vec<DestroyError>> {
    let table = Table::look()?;
    let errors = containers.iter().filter_map(|container| {
        let processes = tree(&table, container).into_iter();
        let processes = processes.map(|entry| entry.process);
        let hang: Vec<i32> = processes
            .filter(|process| left.contains(process))
            .map(|process| process.pid)
            .collect();
        (!hang.is_empty()).then(|| DestroyError::Hanging {
            directory: container.directory.clone(),
            left: hang,
        })
    });
    Ok(errors.collect())
}

fn tree(table: &Table, container: &Container) -> Vec<Entry> {
    table.tree(container.process, Some(&container.directory))
}

/// Whether it is certain, at next to no cost, that nothing of a container runs any more: then
/// [`destroy`] need not be called, which may have to wait for processes that hang in the kernel.
pub fn is_destroyed(container: &Container) -> bool {
    container.process.is_some_and(nothing_can_be_left)
}

/// Sends a signal to a process, everything below it, and everything in sessions and groups that
/// these opened. Tells whom it was sent to; none when the process and all that is gone.
pub fn kill_tree(pid: i32, signal: Signal) -> std::io::Result<Vec<i32>> {
    let root = Process {
        pid,
        start_time: start_time(pid).unwrap_or_default(),
    };
    let stopped = stop_all(|table| table.tree(Some(root), None))?;
    send(&stopped, signal)?;
    if signal != Signal::STOP {
        send(&stopped, Signal::CONT)?;
    }
    Ok(stopped.into_iter().map(|process| process.pid).collect())
}

/// Kills everything below this process, which must be a subreaper, and returns when nothing of it runs
/// any more. Their ends are left in the kernel.
pub(crate) fn kill_descendants() -> std::io::Result<()> {
    let deadline = Instant::now() + DESTROY_TIMEOUT;
    loop {
        let killed = stop_all(Table::below_own)?;
        if killed.is_empty() {
            return Ok(());
        }
        send(&killed, Signal::KILL)?;
        for process in killed {
            if !ends_before(process, deadline)? {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Whether it is certain, without looking at every process of the machine, that nothing of a
/// container runs: its first process has ended, and no child of this process is an orphan.
fn nothing_can_be_left(root: Process) -> bool {
    // What was launched before this process started has its orphans elsewhere.
    let launched_by_us = own_start_time().is_some_and(|ours| ours < root.start_time);
    launched_by_us && is_subreaper() && !is_alive(root.pid, root.start_time) && !reap_orphans()
}

/// When this process started, which does not change.
fn own_start_time() -> Option<u64> {
    static OWN: OnceLock<Option<u64>> = OnceLock::new();
    *OWN.get_or_init(|| start_time(own_pid()))
}

/// Stops a tree until no process of it is left that could make another: a child that is born while
/// its parent is killed might be lost from sight.
fn stop_all(tree: impl Fn(&Table) -> Vec<Entry>) -> std::io::Result<BTreeSet<Process>> {
    let mut stopped = BTreeSet::new();
    loop {
        let table = Table::look()?;
        let fresh: BTreeSet<Process> = tree(&table)
            .into_iter()
            .filter(|entry| !entry.has_ended && !stopped.contains(&entry.process))
            .map(|entry| entry.process)
            .collect();
        if fresh.is_empty() {
            return Ok(stopped);
        }
        send(&fresh, Signal::STOP)?;
        stopped.extend(fresh);
    }
}

fn send(processes: &BTreeSet<Process>, signal: Signal) -> std::io::Result<()> {
    for process in processes {
        let Some(handle) = process.open()? else {
            continue;
        };
        match pidfd_send_signal(&handle, signal) {
            // Gone meanwhile.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Waits for a process to end; not for its end to be taken from the kernel.
fn ends_before(process: Process, deadline: Instant) -> std::io::Result<bool> {
    let Some(handle) = process.open()? else {
        return Ok(true);
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut wanted = [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)];
        match poll(&mut wanted, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
