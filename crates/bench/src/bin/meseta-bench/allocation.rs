//! How long allocations take in large clusters.
#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

mod clusters;
mod one_agent;
mod quota;
mod rounds;

use std::time::Duration;

use meseta_machine::Now;
use rustix::time::{ClockId, clock_gettime};

use crate::error::Error;

/// How large the clusters are; by default as in the benchmarks that Mesos has published.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Size {
    /// Agents in the rounds of offers that are declined; only these rounds are measured, if given.
    #[arg(long, requires = "frameworks")]
    agents: Option<usize>,
    /// Frameworks in these rounds, each in a role of its own.
    #[arg(long, requires = "agents")]
    frameworks: Option<usize>,
    /// How many such rounds there are.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
}

/// All benchmarks, or one round's size alone.
pub(crate) fn measure(size: &Size) -> Result<(), Error> {
    println!("| allocation | processor time |\n|---|---|");
    if let (Some(agents), Some(frameworks)) = (size.agents, size.frameworks) {
        return rounds::measure(agents, frameworks, size.rounds);
    }
    rounds::measure(10_000, 1_000, size.rounds)?;
    rounds::measure(20_000, 2_000, size.rounds)?;
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
