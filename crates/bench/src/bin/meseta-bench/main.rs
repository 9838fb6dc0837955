//! Benchmarks; `cargo xtask bench` builds what is measured and runs them.
//!
//! * `cluster`: a master and an agent as processes: tasks a second, how soon a task runs, and what
//!   the processes take. It fails when a task does not finish or anything is left behind.
//! * `allocator`: allocations in a large cluster, without a cluster.

mod allocation;
mod cluster;
mod error;
mod load;
mod processes;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::load::Client;
use crate::processes::Memory;
use crate::report::Report;

/// Tasks that are run before anything is counted, so that what is made at first use is there.
const WARM_UP: usize = 5;

/// How long leftovers of a load may take to vanish: executors linger a moment after their task.
const SETTLING: Duration = Duration::from_secs(15);

/// Benchmarks of Meseta.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// A master and an agent with tasks that run `true`
    Cluster(Load),
    /// Allocations in a large cluster
    Allocator(allocation::Size),
}

#[derive(Debug, clap::Args)]
struct Load {
    /// The `meseta` binary to measure [default: the one beside this program]
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Tasks to run for the throughput.
    #[arg(long, default_value_t = 1000)]
    tasks: usize,
    /// Tasks that run at the same time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
    /// Tasks to run one by one for the time from ACCEPT to TASK_RUNNING.
    #[arg(long, default_value_t = 200)]
    samples: usize,
}

/// Where a build puts `meseta` when it has put this program here.
fn beside_this_program() -> PathBuf {
    std::env::current_exe().map_or_else(|_| "meseta".into(), |own| own.with_file_name("meseta"))
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().benchmark {
        Benchmark::Cluster(load) => run_cluster(&load),
        Benchmark::Allocator(size) => allocation::measure(&size),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_cluster(load: &Load) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let report = runtime.block_on(measure(load))?;
    report.print();
    match report.left {
        None => Ok(()),
        Some(_) => Err(Error::Left),
    }
}

async fn measure(load: &Load) -> Result<Report, Error> {
    let slots = usize::from(load.at_once);
    let binary = load.binary.clone().unwrap_or_else(beside_this_program);
    let cluster = Cluster::start(&binary, load.at_once)?;
    let master = cluster.master_address();

    let mut client = Client::subscribe(master).await?;
    client.run("warm-up", WARM_UP, slots).await?;
    client.leave().await?;
    let before = cluster.settle(None, SETTLING).await?;
    let idle_agent = Memory::of(cluster.agent_id())?;
    let idle_master = Memory::of(cluster.master_id())?;

    let mut client = Client::subscribe(master).await?;
    let throughput = client.run("many", load.tasks, slots).await?;
    let latencies = client.run_one_by_one("one", load.samples).await?;
    let freed = client.free_one_by_one("whole", load.samples).await?;
    let executor = executor_memory(&mut client, &cluster).await?;
    client.leave().await?;
    let after = cluster.settle(Some(&before), SETTLING).await?;

    Ok(Report {
        tasks: load.tasks,
        at_once: slots,
        throughput,
        latencies,
        freed,
        executor,
        idle_agent,
        busy_agent: Memory::of(cluster.agent_id())?,
        idle_master,
        busy_master: Memory::of(cluster.master_id())?,
        left: (after != before).then_some((before, after)),
    })
}

/// The memory of a command executor with its task running.
async fn executor_memory(client: &mut Client, cluster: &Cluster) -> Result<Memory, Error> {
    let task = client.hold("sleep").await?;
    let memory = match cluster.executors()?.as_slice() {
        [only] => Memory::of(*only),
        several => Err(Error::Executors(several.len())),
    };
    client.kill(task).await?;
    memory
}
