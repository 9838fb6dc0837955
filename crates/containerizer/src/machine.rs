//! What this machine has to offer when nobody has said so (the numbers that Mesos detects), and
//! what else is to be known of it.

use std::num::NonZero;
use std::path::Path;

/// Without a detectable number, as in Mesos.
const DEFAULT_CPUS: usize = 1;
const DEFAULT_DISK_MB: u64 = 10 * 1024;

/// The ports that are offered.
pub const DEFAULT_PORTS: (u16, u16) = (31_000, 32_000);

const GB_IN_MB: u64 = 1024;

/// Resources of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected {
    /// Processors that this process may use.
    pub cpus: usize,
    /// Memory in megabytes, less what is left to the system.
    pub mem_mb: u64,
    /// Disk in megabytes at the work directory, less what is left to the system.
    pub disk_mb: u64,
    /// The first and the last port.
    pub ports: (u16, u16),
}

/// Looks at the machine. `work_dir`, or the nearest directory above it that exists, tells which
/// file system counts.
pub fn detect(work_dir: &Path) -> Detected {
    Detected {
        cpus: std::thread::available_parallelism().map_or(DEFAULT_CPUS, NonZero::get),
        mem_mb: offered_mem_mb(total_mem_mb()),
        disk_mb: total_disk_mb(work_dir).map_or(DEFAULT_DISK_MB, offered_disk_mb),
        ports: DEFAULT_PORTS,
    }
}

/// How full the file system of a path is, from 0 to 1: in space or in its number of files, whichever
/// is nearer to its end.
pub fn disk_used(path: &Path) -> std::io::Result<f64> {
    let there = rustix::fs::statvfs(path)?;
    let space = used_share(there.f_blocks, there.f_bfree);
    Ok(space.max(used_share(there.f_files, there.f_ffree)))
}

/// Some file systems have no fixed number of files, and say zero.
#[allow(
    clippy::cast_precision_loss,
    reason = "a share does not need more digits"
)]
fn used_share(all: u64, free: u64) -> f64 {
    all.saturating_sub(free) as f64 / all.max(1) as f64
}

/// What the kernel calls the time since the machine was started. Numbers of processes mean nothing
/// beyond it.
pub fn boot_id() -> std::io::Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim_end().to_owned())
}

fn total_mem_mb() -> u64 {
    let info = rustix::system::sysinfo();
    in_mb(info.totalram, u64::from(info.mem_unit))
}

fn total_disk_mb(work_dir: &Path) -> Option<u64> {
    let there = work_dir
        .ancestors()
        .chain([Path::new(".")])
        .find_map(|directory| rustix::fs::statvfs(directory).ok())?;
    Some(in_mb(there.f_blocks, there.f_frsize))
}

fn in_mb(count: u64, unit: u64) -> u64 {
    let bytes = u128::from(count) * u128::from(unit);
    u64::try_from(bytes >> 20).unwrap_or(u64::MAX)
}

/// All but 1 GB, or half of little.
fn offered_mem_mb(total: u64) -> u64 {
    if total >= 2 * GB_IN_MB {
        total - GB_IN_MB
    } else {
        total / 2
    }
}

/// All but 5 GB, or half of little.
fn offered_disk_mb(total: u64) -> u64 {
    if total >= 10 * GB_IN_MB {
        total - 5 * GB_IN_MB
    } else {
        total / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_keeps_a_gigabyte_of_memory_or_half_of_little() {
        assert_eq!(offered_mem_mb(16 * 1024), 15 * 1024);
        assert_eq!(offered_mem_mb(2 * 1024), 1024);
        assert_eq!(offered_mem_mb(2 * 1024 - 1), 1023);
        assert_eq!(offered_mem_mb(0), 0);
    }

    #[test]
    fn the_system_keeps_five_gigabytes_of_disk_or_half_of_little() {
        assert_eq!(offered_disk_mb(100 * 1024), 95 * 1024);
        assert_eq!(offered_disk_mb(10 * 1024), 5 * 1024);
        assert_eq!(offered_disk_mb(9 * 1024), 4608);
    }

    #[test]
    fn a_disk_without_a_number_of_files_is_not_full_of_them() {
        for (all, free, tenths) in [(0, 0, "0.0"), (10, 4, "0.6"), (10, 0, "1.0")] {
            assert_eq!(format!("{:.1}", used_share(all, free)), tenths);
        }
    }

    #[test]
    fn the_machine_says_how_full_a_disk_is_and_which_boot_this_is() {
        let used = disk_used(Path::new("/")).unwrap();
        assert!((0.0..=1.0).contains(&used), "{used}");
        assert!(disk_used(Path::new("/not/there")).is_err());
        let boot = boot_id().unwrap();
        assert!(!boot.is_empty() && boot == boot_id().unwrap());
    }

    #[test]
    fn a_work_directory_that_is_not_there_yet_counts_where_it_will_be() {
        let home = tempfile::tempdir().unwrap();
        let here = detect(home.path());
        assert_eq!(detect(&home.path().join("not/there/yet")), here);
        assert!(here.cpus > 0 && here.mem_mb > 0 && here.disk_mb > 0);
        assert_eq!(here.ports, (31_000, 32_000));
    }
}
