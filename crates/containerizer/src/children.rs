//! The children of this process: the first processes of containers, whose ends somebody waits for,
//! and orphans of containers, which nobody does.
//!
//! Which is which must be known for the whole process, as the kernel keeps its children for the
//! whole process, too.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};

use crate::limits::CHILDREN_READINGS;
use crate::process::session;
use crate::table::Table;

/// Makes this process the parent of every descendant whose own parent ends, so that nothing that a
/// container starts can slip away. To be called once, before the first [`crate::launch`].
///
/// From then on a child of this process that is in another session counts as what a container has
/// left behind: its end is taken from the kernel. Helpers of this process stay in its session.
pub fn become_subreaper() -> std::io::Result<()> {
    // The kernel asks for any number but zero.
    rustix::process::set_child_subreaper(Some(getpid()))?;
    Ok(())
}

pub(crate) fn is_subreaper() -> bool {
    rustix::process::child_subreaper().is_ok_and(|reaper| reaper.is_some())
}

static CHILDREN: Mutex<Children> = Mutex::new(Children {
    launching: Vec::new(),
    first: BTreeSet::new(),
});

struct Children {
    /// Where processes that are being launched announce themselves.
    launching: Vec<Arc<AtomicI32>>,
    /// First processes of containers that nobody has waited for yet.
    first: BTreeSet<i32>,
}

impl Children {
    fn is_first(&self, pid: i32) -> bool {
        self.first.contains(&pid)
            || self
                .launching
                .iter()
                .any(|announced| announced.load(Ordering::SeqCst) == pid)
    }
}

fn children() -> MutexGuard<'static, Children> {
    // Nothing that holds the lock leaves it half done.
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A launch under way, from before its process exists until it is known.
pub(crate) struct Launching {
    announced: Arc<AtomicI32>,
}

impl Launching {
    pub(crate) fn begin() -> Self {
        let announced = Arc::new(AtomicI32::new(0));
        children().launching.push(Arc::clone(&announced));
        Self { announced }
    }

    /// Where the process is to leave its number before it leaves this process's session: from then
    /// on it would look like an orphan.
    pub(crate) fn announced(&self) -> &AtomicI32 {
        &self.announced
    }

    /// The process is there, and its end will be waited for.
    pub(crate) fn succeeded(self) {
        children()
            .first
            .insert(self.announced.load(Ordering::SeqCst));
    }
}

impl Drop for Launching {
    fn drop(&mut self) {
        children()
            .launching
            .retain(|other| !Arc::ptr_eq(other, &self.announced));
    }
}

/// The end of a container's first process was taken from the kernel.
pub(crate) fn forget(pid: i32) {
    children().first.remove(&pid);
}

/// Takes the ends of orphans from the kernel; tells whether any is left that has not ended. Children that
/// are not of any container (they share this process's session) are somebody else's to wait for.
pub(crate) fn reap_orphans() -> bool {
    let mut any_runs = false;
    for orphan in orphans().into_iter().filter_map(Pid::from_raw) {
        let ended = waitid(
            WaitId::Pid(orphan),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        // One that another thread has taken is none any more.
        any_runs |= matches!(ended, Ok(None));
    }
    any_runs
}

/// The children of this process that came from containers, but are not the first process of any.
fn orphans() -> Vec<i32> {
    let mut found = list();
    if found.is_empty() {
        return found;
    }
    let own_session = session(own_pid());
    // Who has announced itself before the list was made is still known, here or as a first process.
    let children = children();
    found.retain(|pid| {
        let session = session(*pid);
        session.is_some() && session != own_session && !children.is_first(*pid)
    });
    found
}

/// The children that may be orphans.
///
/// The kernel gives orphans to the first thread of their new parent that has not ended. That is the
/// main thread, which lives as long as its process, so the children of other threads (the first
/// processes of containers, mostly) need not be looked at.
fn list() -> Vec<i32> {
    // The kernel may leave out children while others end. Two lists that agree are complete, and so
    // is an empty one.
    let mut before = read_list();
    for _ in 0..CHILDREN_READINGS {
        let Some(last) = before else { break };
        if last.is_empty() {
            return last;
        }
        before = read_list();
        if before.as_ref() == Some(&last) {
            return last;
        }
    }
    Table::look().map_or_else(|_| Vec::new(), |table| table.children(own_pid()).to_vec())
}

/// The children of the main thread; `None` from a kernel that keeps no such list.
fn read_list() -> Option<Vec<i32>> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{}/children", own_pid())).ok()?;
    let pids = text.split_ascii_whitespace().map(str::parse::<i32>);
    pids.collect::<Result<_, _>>().ok()
}

pub(crate) fn own_pid() -> i32 {
    getpid().as_raw_pid()
}
