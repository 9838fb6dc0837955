//! Trivial tasks on real agents: what a cluster does with real processes, sandboxes and disks.
//!
//! Frameworks are emulated as ever; agents are not. By default they are a cluster of one master and one
//! agent that this starts, which can then be looked at from inside: whether anything is left behind,
//! and how long the agent takes to come back after `kill -9`.

mod cluster;
mod processes;
mod syncs;
mod trial;

use std::path::PathBuf;

use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::Policy;
use crate::report::Report;
use crate::scenarios::{Context, Outcome, agents, expect};
use crate::stage::{Settings, Stage, Which, say};
use crate::target::Target;
use cluster::Cluster;
use trial::Trial;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// The `meseta` binary of the cluster that is started [default: this one]
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Tasks of `true` for the throughput
    #[arg(long, default_value_t = 1000)]
    tasks: usize,
    /// Tasks that run at the same time
    #[arg(long, default_value_t = 20)]
    at_once: usize,
    /// Tasks one after the other, for the latencies
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Tasks that stay, for the memory of executors and the agent's recovery; 0 for none
    #[arg(long, default_value_t = 500)]
    held: usize,
    /// Tasks that run before, unmeasured
    #[arg(long, default_value_t = 20)]
    warm_up: usize,
}

/// Measures a cluster that runs already, or one that is started for it.
pub(crate) async fn run(
    sizes: &Sizes,
    settings: impl Fn(&Target) -> Settings,
    running: Option<Target>,
) -> Result<Report, Error> {
    let Some(target) = running else {
        let slots = sizes.at_once.max(sizes.held).max(1);
        let mut cluster = Cluster::start(sizes.binary.as_deref(), slots)?;
        let target = cluster.master().await?;
        let settings = settings(&target);
        return measure(sizes, Context { target, settings }, Some(&mut cluster)).await;
    };
    let settings = settings(&target);
    measure(sizes, Context { target, settings }, None).await
}

async fn measure(
    sizes: &Sizes,
    context: Context,
    cluster: Option<&mut Cluster>,
) -> Result<Report, Error> {
    let target = &context.target;
    say(&format!("tasks on {}", target.address));
    let settings = Settings {
        agents: Which::Any,
        ..context.settings.clone()
    };
    let mut stage = Stage::open(settings, agents(1, Pattern::running())?)?;
    let worker = stage.join(1, &Policy::Hold, |_| "bench".to_owned()).await?;
    let mut trial = Trial::new(&mut stage, worker, target.address).await?;
    trial.warm_up(sizes.at_once, sizes.warm_up).await?;
    let before = match &cluster {
        Some(cluster) => Some(trial.settle(cluster, None).await?),
        None => None,
    };

    let meter = target.meter()?;
    trial.throughput(sizes.at_once, sizes.tasks).await?;
    let cost = target.cost_since(&meter)?;
    trial.latencies(sizes.samples).await?;
    trial.syncs(sizes.at_once, sizes.tasks.min(100)).await?;
    if sizes.held > 0 {
        trial.hold(sizes.held, cluster.as_deref()).await?;
    }
    if let Some(cluster) = cluster {
        if sizes.held > 0 {
            trial.recovery(sizes.held, cluster).await?;
        }
        let after = trial.settle(cluster, before).await?;
        if let Some(before) = before {
            expect("processes afterwards", after.processes, before.processes)?;
            let [found, expected] = [after, before].map(|census| census.descriptors);
            expect("descriptors of the master afterwards", found, expected)?;
        }
    }
    let (figures, notes) = trial.finish();
    let mut outcome = Outcome::new(
        &[
            ("tasks", sizes.tasks),
            ("at once", sizes.at_once),
            ("samples", sizes.samples),
            ("held", sizes.held),
        ],
        figures,
        cost,
        &stage,
    );
    outcome.note(notes);
    stage.leave().await?;
    Ok(outcome.report("tasks", &context))
}
