use procfs::{page_size, ticks_per_second};

use crate::destroy::Container;
use crate::table::Table;

/// What the running processes of a container use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// How many processes there are.
    pub processes: u32,
    /// How many threads they have.
    pub threads: u32,
    /// Time on processors in the programs' own code, in seconds, with that of those that have ended and
    /// whose parents are there.
    pub cpus_user_time_secs: f64,
    /// Time on processors in the kernel, in seconds, of the same.
    pub cpus_system_time_secs: f64,
    /// Resident memory in bytes, with shared pages counted for every process.
    pub mem_rss_bytes: u64,
}

/// Measures containers at one moment, with one look at the machine's processes for all of them.
/// The answers are in the order of the containers.
///
/// # Errors
/// When the kernel does not tell of its processes.
pub fn usage(containers: &[Container]) -> std::io::Result<Vec<Usage>> {
    let table = Table::look()?;
    Ok(containers
        .iter()
        .map(|container| measure(&table, container))
        .collect())
}

fn measure(table: &Table, container: &Container) -> Usage {
    let mut total = Usage::default();
    let (mut user, mut system) = (0_u64, 0_u64);
    for entry in table.tree(container.process, Some(&container.directory)) {
        if !entry.has_ended {
            total.processes += 1;
            total.threads = total.threads.saturating_add(entry.threads);
        }
        user = user.saturating_add(entry.user_ticks);
        system = system.saturating_add(entry.system_ticks);
        total.mem_rss_bytes = total
            .mem_rss_bytes
            .saturating_add(entry.resident_pages.saturating_mul(page_size()));
    }
    total.cpus_user_time_secs = seconds(user);
    total.cpus_system_time_secs = seconds(system);
    total
}

#[allow(
    clippy::cast_precision_loss,
    reason = "2^53 ticks are more than all processors of a machine make in its lifetime"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / ticks_per_second() as f64
}
