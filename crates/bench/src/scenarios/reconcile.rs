//! A framework asks what has become of its tasks.

use std::time::Duration;

use super::{Context, Outcome, agents, expect, role};
use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::{Policy, Work};
use crate::measure::Distribution;
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Tasks that run while the framework asks.
    #[arg(long, default_value_t = 2000)]
    tasks: usize,
    /// Agents that run them.
    #[arg(long, default_value_t = 20)]
    agents: usize,
    /// Tasks that one call asks for.
    #[arg(long, default_value_t = 1000)]
    at_once: usize,
    /// How often all tasks are asked for, by name and at large.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Rounds before, unmeasured.
    #[arg(long, default_value_t = 1)]
    warm_up: usize,
}

/// How a framework asks.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// By the names of its tasks.
    Explicit,
    /// For all that there are.
    Implicit,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let slots = sizes.tasks.div_ceil(sizes.agents.max(1));
    let mut stage = Stage::open(context.settings.clone(), agents(slots, Pattern::running())?)?;
    stage.register(sizes.agents).await?;
    let launch = Policy::Launch(Work::of(sizes.tasks));
    let worker = stage.join(1, &launch, role).await?;
    let tasks = sizes.tasks as u64;
    let running = |stage: &Stage| stage.book.running.count();
    stage.until("tasks running", tasks, running).await?;
    stage.answered().await?;
    for way in [Way::Explicit, Way::Implicit] {
        for _ in 0..sizes.warm_up {
            ask(&mut stage, worker, sizes, way).await?;
        }
    }
    stage.start_anew();

    let meter = target.meter()?;
    let mut times = [Distribution::default(), Distribution::default()];
    let mut took = Duration::ZERO;
    for (way, times) in [Way::Explicit, Way::Implicit].into_iter().zip(&mut times) {
        for _ in 0..sizes.rounds {
            let round = ask(&mut stage, worker, sizes, way).await?;
            took += round;
            times.add(round);
        }
    }
    let cost = target.cost_since(&meter)?;

    let answers = 2 * tasks * sizes.rounds as u64;
    expect("answers", stage.book.reconciled, answers)?;
    let [explicit, implicit] = times;
    let mut figures = Figures::default();
    figures
        .times("all tasks by name", &explicit)
        .times("all tasks at large", &implicit)
        .rate("answers", answers, took);
    let outcome = Outcome::new(
        &[
            ("tasks", sizes.tasks),
            ("agents", sizes.agents),
            ("tasks in a call", sizes.at_once),
        ],
        figures,
        cost,
        &stage,
    );
    stage.leave().await?;
    Ok(outcome)
}

/// Asks for all tasks once.
async fn ask(stage: &mut Stage, worker: usize, sizes: &Sizes, way: Way) -> Result<Duration, Error> {
    let wanted = stage.book.reconciled + sizes.tasks as u64;
    stage.with(worker, |scheduler, _, _, out| match way {
        Way::Explicit => scheduler.reconcile_each(sizes.at_once, out),
        Way::Implicit => scheduler.reconcile_all(out),
    });
    let took = stage
        .until("tasks reconciled", wanted, |stage| stage.book.reconciled)
        .await?;
    stage.answered().await?;
    Ok(took)
}
