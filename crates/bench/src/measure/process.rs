//! What processes use, as /proc tells it.

use std::net::SocketAddrV4;
use std::time::Duration;

use procfs::net::TcpState;
use procfs::process::{FDTarget, MMapExtension, Process};
use rustix::time::{ClockId, clock_gettime};

/// Why a process cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("reading /proc: {0}")]
    Proc(#[from] procfs::ProcError),
    #[error("no process of this machine that may be looked at listens on {0}; name it with --pid")]
    NoListener(SocketAddrV4),
}

/// What a process has used at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time since its start.
    pub(crate) cpu: Duration,
    /// Its memory in bytes: what it has alone and its part of what it shares, or all that it has
    /// in memory where the former may not be looked at.
    pub(crate) memory: u64,
    /// The most that it ever had in memory.
    pub(crate) peak: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// What it has caused to be written to disk.
    pub(crate) written: u64,
}

/// A process under watch.
#[derive(Debug)]
pub(crate) struct Watched {
    process: Process,
}

impl Watched {
    pub(crate) fn new(pid: i32) -> Result<Self, ProcessError> {
        let process = Process::new(pid)?;
        Ok(Self { process })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid
    }

    pub(crate) fn usage(&self) -> Result<Usage, ProcessError> {
        let stat = self.process.stat()?;
        let status = self.process.status()?;
        let resident = status.vmrss.unwrap_or_default() * 1024;
        let ticks = (stat.utime + stat.stime) * 1000;
        Ok(Usage {
            cpu: Duration::from_millis(ticks / procfs::ticks_per_second().max(1)),
            memory: self.proportional().unwrap_or(resident),
            peak: status.vmhwm.unwrap_or_default() * 1024,
            descriptors: self.process.fd_count().unwrap_or_default() as u64,
            threads: status.threads,
            written: self.process.io().map_or(0, |io| io.write_bytes),
        })
    }

    /// The proportional set size, which needs the rights of a debugger.
    fn proportional(&self) -> Option<u64> {
        let rollup = self.process.smaps_rollup().ok()?.memory_map_rollup;
        rollup.into_iter().find_map(|map| {
            let MMapExtension { map, .. } = map.extension;
            map.get("Pss").copied()
        })
    }
}

/// The process that listens at an address of this machine.
pub(crate) fn listener_of(address: SocketAddrV4) -> Result<i32, ProcessError> {
    let own = |local: std::net::SocketAddr| {
        local.port() == address.port()
            && (local.ip() == *address.ip() || local.ip().is_unspecified())
    };
    let inodes: Vec<u64> = procfs::net::tcp()?
        .into_iter()
        .chain(procfs::net::tcp6().unwrap_or_default())
        .filter(|socket| socket.state == TcpState::Listen && own(socket.local_address))
        .map(|socket| socket.inode)
        .collect();
    let holds = |process: &Process| {
        let descriptors = process.fd().into_iter().flatten().flatten();
        descriptors.into_iter().any(|descriptor| {
            matches!(descriptor.target, FDTarget::Socket(inode) if inodes.contains(&inode))
        })
    };
    procfs::process::all_processes()?
        .filter_map(Result::ok)
        .find(holds)
        .map(|process| process.pid)
        .ok_or(ProcessError::NoListener(address))
}

/// Processor time of this process.
pub(crate) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn a_listener_is_found_by_its_address_and_its_use_is_told() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            unreachable!("bound to an IPv4 address");
        };
        let pid = listener_of(address).unwrap();
        assert_eq!(u32::try_from(pid), Ok(std::process::id()));
        let usage = Watched::new(pid).unwrap().usage().unwrap();
        assert!(usage.memory > 0 && usage.peak > 0 && usage.descriptors > 0);
        drop(listener);
        let gone = listener_of(address).unwrap_err();
        assert!(matches!(gone, ProcessError::NoListener(_)), "{gone}");
    }
}
