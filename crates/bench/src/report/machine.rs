//! Where and when something was measured.

use std::time::{SystemTime, UNIX_EPOCH};

use procfs::{CpuInfo, Current as _};
use serde::{Deserialize, Serialize};

/// The machine that a measurement ran on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Of the last minute, when the report was made: what else ran.
    pub(crate) load: f64,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let cpu = CpuInfo::current().ok();
        let processor = cpu.and_then(|cpu| cpu.model_name(0).map(str::to_owned));
        let system = rustix::system::uname();
        let load = procfs::LoadAverage::current().map_or(0.0, |load| f64::from(load.one));
        Self {
            processor: processor.unwrap_or_else(|| "an unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: format!(
                "{} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy()
            ),
            load,
        }
    }
}

/// The day on which this is, in UTC.
pub(crate) fn date() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    civil(since.as_secs() / 86_400)
}

/// The date of a day after 1970-01-01, by the usual arithmetic with eras of 400 years.
fn civil(days: u64) -> String {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let day = day - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (days, date) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_778, "2026-11-21"),
        ] {
            assert_eq!(civil(days), date);
        }
    }
}
