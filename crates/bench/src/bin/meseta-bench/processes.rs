//! What processes take, as /proc tells it.

use std::collections::HashMap;
use std::path::Path;

use procfs::process::{MMapExtension, Process};

use crate::error::Error;

/// The memory of one process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Its part of what it shares, and all that it has alone.
    pub(crate) proportional: u64,
    /// All that it has in memory.
    pub(crate) resident: u64,
}

impl Memory {
    pub(crate) fn of(process: i32) -> Result<Self, Error> {
        let rollup = Process::new(process)?.smaps_rollup()?.memory_map_rollup;
        let maps: Vec<HashMap<String, u64>> = rollup
            .into_iter()
            .map(|map| {
                let MMapExtension { map, .. } = map.extension;
                map
            })
            .collect();
        let figure = |name: &'static str| {
            let found = maps.iter().find_map(|map| map.get(name).copied());
            found.ok_or(Error::NoFigure(name))
        };
        Ok(Self {
            proportional: figure("Pss")?,
            resident: figure("Rss")?,
        })
    }
}

/// What may grow when something leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    /// Open descriptors of the master.
    pub(crate) master_descriptors: usize,
    /// Open descriptors of the agent.
    pub(crate) agent_descriptors: usize,
    /// Processes that belong to the cluster.
    pub(crate) processes: usize,
}

impl Census {
    pub(crate) fn take(master: i32, agent: i32, members: usize) -> Result<Self, Error> {
        Ok(Self {
            master_descriptors: Process::new(master)?.fd_count()?,
            agent_descriptors: Process::new(agent)?.fd_count()?,
            processes: members,
        })
    }
}

/// Processes that run the binary or work in the folder: daemons, executors and tasks, also those
/// whose parent is gone. Processes that end while they are looked at are none.
pub(crate) fn members(binary: &Path, folder: &Path) -> Result<Vec<i32>, Error> {
    let belongs = |process: &Process| {
        process.exe().is_ok_and(|exe| exe == binary)
            || process.cwd().is_ok_and(|cwd| cwd.starts_with(folder))
    };
    Ok(procfs::process::all_processes()?
        .filter_map(Result::ok)
        .filter(belongs)
        .map(|process| process.pid)
        .collect())
}

/// Processes that run the binary under one of the agent's sandboxes: its executors.
pub(crate) fn executors(binary: &Path, daemons: [i32; 2]) -> Result<Vec<i32>, Error> {
    Ok(procfs::process::all_processes()?
        .filter_map(Result::ok)
        .filter(|process| process.exe().is_ok_and(|exe| exe == binary))
        .map(|process| process.pid)
        .filter(|id| !daemons.contains(id))
        .collect())
}
