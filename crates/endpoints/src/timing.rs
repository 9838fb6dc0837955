use std::time::Duration;

use crate::metrics::Gauges;

/// How long something takes, over the life of a process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    /// The name of its metrics, without a unit.
    pub name: &'static str,
    /// What takes that long.
    pub help: &'static str,
    /// How often it happened.
    pub count: u64,
    /// The sum of all times.
    pub sum: Duration,
    /// The shortest time.
    pub min: Duration,
    /// The longest time.
    pub max: Duration,
    /// The last time.
    pub latest: Duration,
    /// The times at [`QUANTILES`](Self::QUANTILES).
    pub quantiles: [Duration; 6],
    /// How many times were at most as long as each of [`BOUNDS`](Self::BOUNDS).
    pub buckets: [u64; 14],
}

impl Timing {
    /// The quantiles that Mesos shows.
    pub const QUANTILES: [(&'static str, f64); 6] = [
        ("p50", 0.5),
        ("p90", 0.9),
        ("p95", 0.95),
        ("p99", 0.99),
        ("p999", 0.999),
        ("p9999", 0.9999),
    ];

    /// The bounds of the buckets.
    pub const BOUNDS: [Duration; 14] = [
        Duration::from_micros(10),
        Duration::from_micros(50),
        Duration::from_micros(100),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(10),
    ];

    /// Shows it under the names of Mesos: `…_ms`, `…_ms/p50` and so on; nothing before it happened.
    pub fn show(&self, gauges: &mut Gauges) {
        if self.count == 0 {
            return;
        }
        let name = format!("{}_ms", self.name);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        gauges.count(format!("{name}/count"), self.count);
        gauges.set(format!("{name}/min"), milliseconds(self.min));
        gauges.set(format!("{name}/max"), milliseconds(self.max));
        for ((quantile, _), time) in Self::QUANTILES.iter().zip(self.quantiles) {
            gauges.set(format!("{name}/{quantile}"), milliseconds(time));
        }
        gauges.set(name, milliseconds(self.latest));
    }
}
