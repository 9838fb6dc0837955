//! The processes of this machine at one moment, and which of them belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::children::own_pid;
use crate::process::{Process, has_ended, stat};

/// The variables that name a sandbox.
const SANDBOX_VARIABLES: [&[u8]; 2] = [b"MESOS_SANDBOX=", b"MESOS_DIRECTORY="];

/// The kernel's first process, which nothing may be done to.
const INIT: i32 = 1;

/// One process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) process: Process,
    pub(crate) has_ended: bool,
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) resident_pages: u64,
    parent: i32,
    group: i32,
    session: i32,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Table {
    entries: BTreeMap<i32, Entry>,
}

/// Processes of whose sessions and groups more are looked for.
#[derive(Default)]
struct Found {
    pids: BTreeSet<i32>,
    sessions: BTreeSet<i32>,
    groups: BTreeSet<i32>,
    queue: Vec<i32>,
}

impl Table {
    pub(crate) fn read() -> std::io::Result<Self> {
        let mut entries = BTreeMap::new();
        for file in std::fs::read_dir("/proc")? {
            let Some(pid) = file?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // What has ended meanwhile is not there.
            let Some(stat) = stat(pid) else { continue };
            entries.insert(
                pid,
                Entry {
                    process: Process {
                        pid,
                        start_time: stat.starttime,
                    },
                    has_ended: has_ended(&stat),
                    user_ticks: stat.utime,
                    system_ticks: stat.stime,
                    resident_pages: stat.rss,
                    parent: stat.ppid,
                    group: stat.pgrp,
                    session: stat.session,
                },
            );
        }
        Ok(Self { entries })
    }

    /// The children of a process.
    pub(crate) fn children(&self, pid: i32) -> Vec<i32> {
        let children = self.entries.values().filter(|entry| entry.parent == pid);
        children.map(|entry| entry.process.pid).collect()
    }

    /// The root, everything below it, everything in sessions and groups that these opened, and
    /// everything whose environment names the sandbox; never this process or what it shares a
    /// session with.
    pub(crate) fn tree(&self, root: Option<Process>, sandbox: Option<&Path>) -> Vec<Entry> {
        let mut found = self.nothing_found(root);
        if let Some(root) = root {
            self.begin_at(&mut found, root);
        }
        self.close(&mut found);
        if let Some(sandbox) = sandbox {
            for entry in self.entries.values() {
                if self.may_have_been_orphaned(entry)
                    && !found.pids.contains(&entry.process.pid)
                    && names_sandbox(entry.process.pid, sandbox)
                {
                    found.queue.push(entry.process.pid);
                }
            }
            self.close(&mut found);
        }
        found
            .pids
            .iter()
            .filter_map(|pid| self.entries.get(pid).copied())
            .collect()
    }

    fn begin_at(&self, found: &mut Found, root: Process) {
        match self.entries.get(&root.pid) {
            Some(entry) if entry.process != root => {
                // Another process has the number by now. The kernel gives a number away only when
                // no session or group of it is left.
            }
            _ => {
                found.queue.push(root.pid);
                self.follow(found, root.pid, root.pid);
            }
        }
    }

    /// The sessions and groups around the tree are where it must not spread to.
    fn nothing_found(&self, root: Option<Process>) -> Found {
        let mut found = Found::default();
        if let Some(own) = self.entries.get(&own_pid()) {
            found.groups.insert(own.group);
            found.sessions.insert(own.session);
        }
        let parent = root
            .and_then(|root| self.entries.get(&root.pid).filter(|e| e.process == root))
            .and_then(|entry| self.entries.get(&entry.parent));
        if let Some(parent) = parent {
            found.sessions.insert(parent.session);
            found.groups.insert(parent.group);
        }
        found
    }

    fn close(&self, found: &mut Found) {
        while let Some(pid) = found.queue.pop() {
            if pid == INIT || pid == own_pid() || !found.pids.insert(pid) {
                continue;
            }
            found.queue.extend(self.children(pid));
            if let Some(entry) = self.entries.get(&pid) {
                self.follow(found, entry.session, entry.group);
            }
        }
    }

    fn follow(&self, found: &mut Found, session: i32, group: i32) {
        let new_session = session > INIT && found.sessions.insert(session);
        let new_group = group > INIT && found.groups.insert(group);
        if !new_session && !new_group {
            return;
        }
        let related = self.entries.values().filter(|entry| {
            (new_session && entry.session == session) || (new_group && entry.group == group)
        });
        found.queue.extend(related.map(|entry| entry.process.pid));
    }

    /// Whether a process has another session than its parent. All that lost their parents have, so
    /// that few environments need to be read.
    fn may_have_been_orphaned(&self, entry: &Entry) -> bool {
        let parent = self.entries.get(&entry.parent);
        !entry.has_ended && parent.is_none_or(|parent| parent.session != entry.session)
    }
}

/// Whether the environment of a process names the sandbox, or one inside of it.
fn names_sandbox(pid: i32, sandbox: &Path) -> bool {
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|mut file| file.read_to_end(&mut environment));
    if read.is_err() {
        return false;
    }
    environment.split(|byte| *byte == 0).any(|variable| {
        SANDBOX_VARIABLES
            .iter()
            .filter_map(|name| variable.strip_prefix(*name))
            .filter_map(|value| std::str::from_utf8(value).ok())
            .any(|value| Path::new(value).starts_with(sandbox))
    })
}
