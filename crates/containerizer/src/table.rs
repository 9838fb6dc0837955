//! The processes of this machine at one moment, and which of them belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::children::own_pid;
use crate::limits::EXEC_PATIENCE;
use crate::process::{Process, has_ended, is_alive, stat};
use crate::shared::Shared;

/// The variables that name a sandbox.
const SANDBOX_VARIABLES: [&[u8]; 2] = [b"MESOS_SANDBOX=", b"MESOS_DIRECTORY="];

/// The kernel's first process, which nothing may be done to.
const INIT: i32 = 1;

/// One process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) process: Process,
    pub(crate) has_ended: bool,
    /// With the time of those that it has waited for.
    pub(crate) user_ticks: u64,
    /// The same.
    pub(crate) system_ticks: u64,
    pub(crate) threads: u32,
    pub(crate) resident_pages: u64,
    parent: i32,
    group: i32,
    session: i32,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Table {
    entries: BTreeMap<i32, Entry>,
    children: BTreeMap<i32, Vec<i32>>,
    sessions: BTreeMap<i32, Vec<i32>>,
    groups: BTreeMap<i32, Vec<i32>>,
    /// The sandboxes that processes name which may have lost their parents, once somebody has asked.
    named: OnceLock<BTreeMap<PathBuf, Vec<i32>>>,
}

/// Processes of whose sessions and groups more are looked for.
#[derive(Default)]
struct Found {
    pids: BTreeSet<i32>,
    sessions: BTreeSet<i32>,
    groups: BTreeSet<i32>,
    queue: Vec<i32>,
}

static LOOKS: Shared<Table> = Shared::new();

impl Table {
    /// The processes at one moment after this call. Hundreds of containers that end at once look together.
    pub(crate) fn look() -> std::io::Result<Arc<Self>> {
        LOOKS.look(Self::read)
    }

    fn read() -> std::io::Result<Self> {
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
                    user_ticks: stat.utime.saturating_add_signed(stat.cutime.max(0)),
                    system_ticks: stat.stime.saturating_add_signed(stat.cstime.max(0)),
                    threads: u32::try_from(stat.num_threads).unwrap_or_default(),
                    resident_pages: stat.rss,
                    parent: stat.ppid,
                    group: stat.pgrp,
                    session: stat.session,
                },
            );
        }
        let by = |number: fn(&Entry) -> i32| {
            let mut related: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
            for (pid, entry) in &entries {
                related.entry(number(entry)).or_default().push(*pid);
            }
            related
        };
        Ok(Self {
            children: by(|entry| entry.parent),
            sessions: by(|entry| entry.session),
            groups: by(|entry| entry.group),
            entries,
            named: OnceLock::new(),
        })
    }

    /// The children of a process.
    pub(crate) fn children(&self, pid: i32) -> &[i32] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// The root, everything below it, everything in sessions and groups that these opened, and
    /// everything whose environment names the sandbox; never this process or what it shares a
    /// session with.
    pub(crate) fn tree(&self, root: Option<Process>, sandbox: Option<&Path>) -> Vec<Entry> {
        let mut found = self.found_below(root);
        if let Some(sandbox) = sandbox {
            // The sandboxes inside of a sandbox follow it in their order.
            let named = self
                .named()
                .range::<Path, _>((Bound::Included(sandbox), Bound::Unbounded));
            let named = named.take_while(|(named, _)| named.starts_with(sandbox));
            found.queue.extend(named.flat_map(|(_, pids)| pids));
            self.close(&mut found);
        }
        self.entries_of(&found)
    }

    /// Everything below this process.
    pub(crate) fn below_own(&self) -> Vec<Entry> {
        let mut found = self.nothing_found(None);
        found.queue.extend_from_slice(self.children(own_pid()));
        self.close(&mut found);
        self.entries_of(&found)
    }

    /// The sandboxes that processes name which may have lost their parents, with those processes.
    fn named(&self) -> &BTreeMap<PathBuf, Vec<i32>> {
        self.named.get_or_init(|| {
            let mut named: BTreeMap<PathBuf, Vec<i32>> = BTreeMap::new();
            for entry in self.orphans() {
                for sandbox in sandboxes(&settled_environment(entry)) {
                    let pids = named.entry(sandbox.to_owned()).or_default();
                    pids.push(entry.process.pid);
                }
            }
            named
        })
    }

    fn orphans(&self) -> impl Iterator<Item = &Entry> {
        let all = self.entries.values();
        all.filter(|entry| self.may_have_been_orphaned(entry))
    }

    fn found_below(&self, root: Option<Process>) -> Found {
        let mut found = self.nothing_found(root);
        if let Some(root) = root {
            self.begin_at(&mut found, root);
        }
        self.close(&mut found);
        found
    }

    fn entries_of(&self, found: &Found) -> Vec<Entry> {
        let pids = found.pids.iter();
        pids.filter_map(|pid| self.entries.get(pid).copied())
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
            found.queue.extend_from_slice(self.children(pid));
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
        let session = self.sessions.get(&session).filter(|_| new_session);
        let group = self.groups.get(&group).filter(|_| new_group);
        let related = session.into_iter().chain(group).flatten();
        found.queue.extend(related);
    }

    /// Whether a process has another session than its parent. All that lost their parents have, so
    /// that few environments need to be read.
    fn may_have_been_orphaned(&self, entry: &Entry) -> bool {
        let parent = self.entries.get(&entry.parent);
        !entry.has_ended && parent.is_none_or(|parent| parent.session != entry.session)
    }
}

/// The environment of a process that may have lost its parent.
fn settled_environment(entry: &Entry) -> Vec<u8> {
    let mut environment = environment(entry.process.pid);
    // While it becomes another program a process shows none. Orphans of containers are children of
    // this process; others, those of the kernel among them, have none for ever.
    if entry.parent == own_pid() {
        let give_up = Instant::now() + EXEC_PATIENCE;
        while environment.is_empty()
            && is_alive(entry.process.pid, entry.process.start_time)
            && Instant::now() < give_up
        {
            std::thread::yield_now();
            environment = self::environment(entry.process.pid);
        }
    }
    environment
}

/// The environment of a process; that of one which is gone is empty.
fn environment(pid: i32) -> Vec<u8> {
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|mut file| file.read_to_end(&mut environment));
    if read.is_err() {
        environment.clear();
    }
    environment
}

/// The sandboxes that an environment names.
fn sandboxes(environment: &[u8]) -> impl Iterator<Item = &Path> {
    let variables = environment.split(|byte| *byte == 0);
    variables
        .filter_map(|variable| {
            let mut names = SANDBOX_VARIABLES.iter();
            names.find_map(|name| variable.strip_prefix(*name))
        })
        .filter_map(|value| std::str::from_utf8(value).ok())
        .map(Path::new)
}
