//! Tasks one after the other: from ACCEPT to running, from freed to offered again.

use super::{Context, Outcome, agents, carry_out, expect, finished, role};
use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::{Policy, Work};
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Agents, all but one of which are there to be in the way.
    #[arg(long, default_value_t = 1)]
    agents: usize,
    /// Frameworks that decline what they get meanwhile.
    #[arg(long, default_value_t = 0)]
    bystanders: usize,
    /// Tasks one after the other, each of which takes all of its agent.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Tasks before, unmeasured.
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let pattern = Pattern::finishing(std::time::Duration::ZERO);
    let mut stage = Stage::open(context.settings.clone(), agents(10, pattern)?)?;
    stage.register(sizes.agents).await?;
    let decline = Policy::Decline { seconds: 1.0 };
    stage.join(sizes.bystanders, &decline, role).await?;
    let rest = Policy::Decline { seconds: 0.0 };
    let worker = stage.join(1, &rest, |_| "bench-worker".to_owned()).await?;
    carry_out(&mut stage, worker, one_by_one(sizes.warm_up)).await?;
    stage.start_anew();
    stage.book.watches_freed = true;

    let meter = target.meter()?;
    carry_out(&mut stage, worker, one_by_one(sizes.samples)).await?;
    let cost = target.cost_since(&meter)?;

    expect(
        "tasks that finished",
        finished(&stage),
        sizes.samples as u64,
    )?;
    let mut figures = Figures::default();
    figures
        .times("ACCEPT to TASK_RUNNING", &stage.book.running)
        .times("ACCEPT to TASK_FINISHED", &stage.book.completed)
        .times("freed to offered again", &stage.book.freed)
        .times("calls answered", &stage.book.calls);
    let outcome = Outcome::new(
        &[
            ("agents", sizes.agents),
            ("bystanders", sizes.bystanders),
            ("tasks", sizes.samples),
        ],
        figures,
        cost,
        &stage,
    );
    stage.leave().await?;
    Ok(outcome)
}

fn one_by_one(tasks: usize) -> Work {
    Work {
        at_once: 1,
        whole: true,
        ..Work::of(tasks)
    }
}
