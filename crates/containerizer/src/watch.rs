use std::collections::{HashMap, VecDeque};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::children::{forget, reap_orphans};
use crate::limits::ENDS_AT_ONCE;
use crate::process::Process;

/// Waits for the ends of many processes at once, without asking about any of them again and again.
///
/// Processes may be added from any thread while another one waits. Each is told of once, with the
/// status that `wait` gives: the exit code shifted by 8, or the signal, with 0x80 for a core dump.
/// There is no status for a process that is not a child of this one, as after a restart.
#[derive(Debug)]
pub struct Watcher<I> {
    epoll: OwnedFd,
    /// Wakes the waiting thread for what is in `ended` from the start.
    wake: OwnedFd,
    state: Mutex<State<I>>,
}

#[derive(Debug)]
struct State<I> {
    next_token: u64,
    watched: HashMap<u64, Watched<I>>,
    ended: VecDeque<(I, Option<i32>)>,
}

#[derive(Debug)]
struct Watched<I> {
    process: Process,
    handle: OwnedFd,
    id: I,
}

/// Stands for [`Watcher::wake`]; processes count from one.
const WAKE: u64 = 0;

impl<I> Watcher<I> {
    /// A watcher of nothing yet.
    pub fn new() -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self {
            epoll,
            wake,
            state: Mutex::new(State {
                next_token: WAKE + 1,
                watched: HashMap::new(),
                ended: VecDeque::new(),
            }),
        })
    }

    /// Watches a process; one that is gone already is told of at once. Takes a descriptor for as
    /// long as the process runs.
    pub fn watch(&self, process: Process, id: I) -> std::io::Result<()> {
        let handle = process.open()?;
        let mut state = self.state();
        let Some(handle) = handle else {
            state.ended.push_back((id, None));
            drop(state);
            rustix::io::write(&self.wake, &1_u64.to_ne_bytes())?;
            return Ok(());
        };
        let token = state.next_token;
        state.next_token += 1;
        // Under the lock: the end may be reported before this returns.
        epoll::add(
            &self.epoll,
            &handle,
            EventData::new_u64(token),
            EventFlags::IN,
        )?;
        let watched = Watched {
            process,
            handle,
            id,
        };
        state.watched.insert(token, watched);
        Ok(())
    }

    /// The next end, waiting for it as long as it takes. Also takes the ends of orphans from the
    /// kernel, so that they do not pile up.
    pub fn next(&self) -> std::io::Result<(I, Option<i32>)> {
        let mut events = Vec::with_capacity(ENDS_AT_ONCE);
        loop {
            if let Some(end) = self.state().ended.pop_front() {
                return Ok(end);
            }
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) => self.take(&events)?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn take(&self, events: &[Event]) -> std::io::Result<()> {
        for event in events {
            let token = event.data.u64();
            if token == WAKE {
                let mut count = [MaybeUninit::uninit(); 8];
                // Another thread may have been quicker.
                let _ = rustix::io::read(&self.wake, &mut count);
                continue;
            }
            let Some(watched) = self.state().watched.remove(&token) else {
                continue;
            };
            // To close the handle would do only when there is no copy of it. A process that is being
            // launched has one until it is its program, and this loop would spin for as long.
            epoll::delete(&self.epoll, &watched.handle)?;
            let status = reap(watched.process, watched.handle.as_fd())?;
            self.state().ended.push_back((watched.id, status));
        }
        reap_orphans();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State<I>> {
        // Nothing that holds the lock leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of one process, as [`Watcher::next`] does for many.
pub fn wait(process: Process) -> std::io::Result<Option<i32>> {
    let Some(handle) = process.open()? else {
        return Ok(None);
    };
    loop {
        let mut wanted = [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)];
        match poll(&mut wanted, None) {
            Ok(_) => return reap(process, handle.as_fd()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Takes the end of a process that has ended from the kernel.
fn reap(process: Process, handle: BorrowedFd<'_>) -> std::io::Result<Option<i32>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = match waitid(WaitId::PidFd(handle), options) {
        Ok(status) => status,
        // Not a child of ours, or taken by another thread.
        Err(Errno::CHILD) => None,
        Err(errno) => return Err(errno.into()),
    };
    forget(process.pid);
    Ok(status.and_then(|status| {
        let core = if status.dumped() { 0x80 } else { 0 };
        let exited = status.exit_status().map(|code| code << 8);
        exited.or_else(|| status.terminating_signal().map(|signal| signal | core))
    }))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::start_time;

    #[allow(clippy::zombie_processes, reason = "the watcher takes its end")]
    #[test]
    fn an_end_is_told_once_even_while_a_child_holds_a_copy_of_the_handle() {
        let child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = Process {
            pid,
            start_time: start_time(pid).unwrap(),
        };
        let watcher = Watcher::new().unwrap();
        watcher.watch(process, ()).unwrap();
        let copies: Vec<OwnedFd> = watcher
            .state()
            .watched
            .values()
            .map(|watched| rustix::io::dup(&watched.handle).unwrap())
            .collect();
        assert_eq!(copies.len(), 1);
        assert_eq!(watcher.next().unwrap(), ((), Some(0)));
        let mut events = Vec::with_capacity(1);
        let now = rustix::event::Timespec::default();
        epoll::wait(&watcher.epoll, spare_capacity(&mut events), Some(&now)).unwrap();
        assert!(events.is_empty());
    }
}
