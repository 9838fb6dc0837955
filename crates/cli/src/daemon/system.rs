//! What `/metrics/snapshot` tells of the machine and the process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Load, memory and processors, under Mesos's names, and how long the daemon has been up, under
/// the name `uptime`.
#[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
pub(crate) fn metrics(uptime: &'static str, start_time: Duration) -> Vec<(&'static str, f64)> {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let info = rustix::system::sysinfo();
    let unit = f64::from(info.mem_unit);
    let [one, five, fifteen] = info.loads.map(number);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    vec![
        (uptime, wall.saturating_sub(start_time).as_secs_f64()),
        ("system/cpus_total", cpus as f64),
        ("system/load_1min", one),
        ("system/load_5min", five),
        ("system/load_15min", fifteen),
        ("system/mem_free_bytes", info.freeram as f64 * unit),
        ("system/mem_total_bytes", info.totalram as f64 * unit),
    ]
}

/// What the machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineSize {
    pub(crate) cpus: f64,
    pub(crate) mem_bytes: u64,
}

#[allow(clippy::cast_precision_loss, reason = "no machine has 2^53 processors")]
pub(crate) fn machine() -> MachineSize {
    let info = rustix::system::sysinfo();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    MachineSize {
        cpus: cpus as f64,
        mem_bytes: info.totalram.saturating_mul(info.mem_unit.into()),
    }
}

/// How loaded the machine is.
pub(crate) fn load() -> meseta_agent::Load {
    let [_, five_minutes, fifteen_minutes] = rustix::system::sysinfo().loads.map(number);
    meseta_agent::Load {
        five_minutes,
        fifteen_minutes,
    }
}

/// The kernel gives loads in fixed point with 16 bits behind it.
#[allow(clippy::cast_precision_loss, reason = "loads are small")]
fn number(fixed: u64) -> f64 {
    fixed as f64 / 65_536.0
}
