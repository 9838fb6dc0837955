//! What the kernel knows of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Sends SIGKILL; a process that is already gone is all right.
pub(crate) fn kill9(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    let _ = kill_process(pid, signal);
}

/// Whether a process runs; one that only waits to be reaped does not.
pub(crate) fn runs(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold blanks and parentheses.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Every process of the machine.
pub(crate) fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The children of a process, their children, and so on; zombies too.
pub(crate) fn descendants(root: u32) -> BTreeSet<u32> {
    let parents: BTreeMap<u32, u32> = all().filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
    let mut found = BTreeSet::new();
    let mut front = vec![root];
    while let Some(parent) = front.pop() {
        for (pid, of) in &parents {
            if *of == parent && found.insert(*pid) {
                front.push(*pid);
            }
        }
    }
    found
}

/// Processes that work in a folder or carry its path in their arguments or environment.
pub(crate) fn with_traces_of(folder: &Path) -> BTreeSet<u32> {
    let wanted = folder
        .to_str()
        .expect("a folder's name in UTF-8")
        .as_bytes();
    let mentions = |path: String| {
        fs::read(path).is_ok_and(|bytes| bytes.windows(wanted.len()).any(|part| part == wanted))
    };
    all()
        .filter(|pid| *pid != std::process::id() && runs(*pid))
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
                || mentions(format!("/proc/{pid}/cmdline"))
                || mentions(format!("/proc/{pid}/environ"))
        })
        .collect()
}

/// How many descriptors a process holds.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most that it has ever been.
pub(crate) fn most_resident(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .expect("a number of kilobytes");
    kilobytes * 1024
}
