//! The figures, as a table for docs/performance.md.
#![allow(clippy::print_stdout, reason = "the report is what the program is for")]

use std::time::Duration;

use crate::load::Throughput;
use crate::processes::{Census, Memory};

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) tasks: usize,
    pub(crate) at_once: usize,
    pub(crate) throughput: Throughput,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) freed: Vec<Duration>,
    pub(crate) executor: Memory,
    pub(crate) idle_agent: Memory,
    pub(crate) busy_agent: Memory,
    pub(crate) idle_master: Memory,
    pub(crate) busy_master: Memory,
    /// What was counted before and after, when it is not the same.
    pub(crate) left: Option<(Census, Census)>,
}

impl Report {
    pub(crate) fn print(&self) {
        let Throughput {
            took,
            tasks_a_second,
        } = &self.throughput;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "{} tasks finished in {took:.2?}, {cores} cores\n",
            self.tasks
        );
        println!("| figure | value |");
        println!("|---|---|");
        println!(
            "| tasks a second, {} at once | {tasks_a_second:.0} |",
            self.at_once
        );
        for (figure, latencies) in [
            ("ACCEPT to TASK_RUNNING", &self.latencies),
            ("TASK_KILLED to the offer of what it had", &self.freed),
        ] {
            for (name, hundredths) in [("p50", 50), ("p99", 99)] {
                let latency = percentile(latencies, hundredths);
                println!("| {figure}, {name} | {} |", milliseconds(latency));
            }
        }
        for (name, memory) in [
            ("command executor with its task", self.executor),
            ("idle agent", self.idle_agent),
            ("agent after the tasks", self.busy_agent),
            ("idle master", self.idle_master),
            ("master after the tasks", self.busy_master),
        ] {
            let (proportional, resident) = (memory.proportional, memory.resident);
            println!(
                "| memory of {name}: proportional, resident | {}, {} |",
                megabytes(proportional),
                megabytes(resident)
            );
        }
        match &self.left {
            None => println!("\nAs many processes and descriptors after as before."),
            Some((before, after)) => println!("\nBefore: {before:?}\nAfter:  {after:?}"),
        }
    }
}

/// The value below or at which so many hundredths of all lie.
fn percentile(values: &[Duration], hundredths: usize) -> Option<Duration> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn milliseconds(duration: Option<Duration>) -> String {
    duration.map_or_else(
        || "not measured".to_owned(),
        |duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0),
    )
}

fn megabytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let megabytes = bytes as f64 / f64::from(1 << 20);
    format!("{megabytes:.1} MB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let of = |count: u64, hundredths| {
            let values: Vec<_> = (1..=count).rev().map(Duration::from_millis).collect();
            percentile(&values, hundredths)
        };
        let millis = |count| Some(Duration::from_millis(count));
        assert_eq!(of(200, 50), millis(100));
        assert_eq!(of(200, 99), millis(198));
        assert_eq!(of(1, 99), millis(1));
        assert_eq!(of(0, 50), None);
    }
}
