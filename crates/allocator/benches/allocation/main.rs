//! How long allocations take in large clusters, as rows of a table. What is measured happens once, so
//! that it is no matter for a statistical benchmark.
#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

mod clusters;
mod one_agent;
mod quota;
mod rounds;

use std::time::Duration;

use meseta_machine::Now;
use rustix::time::{ClockId, clock_gettime};

use meseta_resources::Error;

/// Rounds of offers that are declined.
const ROUNDS: u32 = 50;

/// Clusters as large as those of the benchmarks that Mesos has published.
fn main() -> Result<(), Error> {
    println!("| allocation | processor time |\n|---|---|");
    rounds::measure(10_000, 1_000, ROUNDS)?;
    rounds::measure(20_000, 2_000, ROUNDS)?;
    quota::measure(2_500, 500)?;
    one_agent::measure(1_600, 20)?;
    clusters::measure(50_000, 1_000)
}

fn row(what: &str, took: Duration) {
    println!("| {what} | {took:.1?} |");
}

/// Runs it and says how long this thread computed: on a machine that has other work to do, the
/// clock on the wall measures that too.
fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let began = computed();
    let result = run();
    (result, computed().saturating_sub(began))
}

fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn at(seconds: u64) -> Now {
    let time = Duration::from_secs(seconds);
    Now {
        monotonic: time,
        wall: time,
    }
}
