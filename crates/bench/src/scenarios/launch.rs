//! Frameworks launch as many tasks as they can.

use std::time::Duration;

use super::{Context, Outcome, agents, expect, finished, role, time};
use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::{Policy, Work};
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Agents that run the tasks.
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Frameworks that launch them, each in a role of its own.
    #[arg(long, default_value_t = 10)]
    frameworks: usize,
    /// Tasks of all frameworks together.
    #[arg(long, default_value_t = 10_000)]
    tasks: usize,
    /// Tasks that an agent has room for at a time: 1 for small offers, hundreds for large ones.
    #[arg(long, default_value_t = 20)]
    slots: usize,
    /// How long a task runs.
    #[arg(long, default_value = "0ms", value_parser = time)]
    duration: Duration,
    /// The updates that a task gets.
    #[arg(long, default_value = "starting,running,finished")]
    updates: Pattern,
    /// Declines all offers but every so manieth, as a picky framework does.
    #[arg(long, default_value_t = 1)]
    accept_every: u64,
    /// Tasks that are launched before, unmeasured.
    #[arg(long, default_value_t = 200)]
    warm_up: usize,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let pattern = Pattern {
        duration: sizes.duration,
        ..sizes.updates.clone()
    };
    if pattern.ending.is_none() {
        return Err(Error::Usage(
            "--updates has no end such as finished: agents would fill up".to_owned(),
        ));
    }
    let mut stage = Stage::open(context.settings.clone(), agents(sizes.slots, pattern)?)?;
    stage.register(sizes.agents).await?;
    let rest = Policy::Decline { seconds: 0.0 };
    stage.join(sizes.frameworks, &rest, role).await?;
    launch(&mut stage, sizes, sizes.warm_up).await?;
    stage.start_anew();

    let meter = target.meter()?;
    let took = launch(&mut stage, sizes, sizes.tasks).await?;
    let cost = target.cost_since(&meter)?;

    let book = &stage.book;
    let tasks = sizes.tasks as u64;
    expect("tasks that agents ran", stage.fleet.tally.launched, tasks)?;
    expect("last updates of tasks", book.ended, tasks)?;
    if sizes.updates == Pattern::finishing(Duration::ZERO) {
        expect("tasks that finished", finished(&stage), tasks)?;
    }
    let mut figures = Figures::default();
    figures
        .rate("tasks", tasks, took)
        .times("ACCEPT to TASK_RUNNING", &book.running)
        .times("ACCEPT to the end of a task", &book.completed)
        .times("calls answered", &book.calls)
        .count("offers", book.offers);
    let outcome = Outcome::new(
        &[
            ("agents", sizes.agents),
            ("frameworks", sizes.frameworks),
            ("tasks", sizes.tasks),
            ("tasks at a time on an agent", sizes.slots),
        ],
        figures,
        cost,
        &stage,
    );
    stage.leave().await?;
    Ok(outcome)
}

/// Shares tasks out among the frameworks, and waits for their ends.
async fn launch(stage: &mut Stage, sizes: &Sizes, tasks: usize) -> Result<Duration, Error> {
    let frameworks = sizes.frameworks.max(1);
    let mut number = 0;
    stage.with_all(|scheduler, now, book, out| {
        let share = tasks / frameworks + usize::from(number < tasks % frameworks);
        number += 1;
        let work = Work::of(share);
        let policy = match sizes.accept_every {
            0 | 1 => Policy::Launch(work),
            every => Policy::Mixed {
                every,
                seconds: 0.0,
                work,
            },
        };
        scheduler.set_policy(policy, now, book, out);
    });
    let before = stage.book.ended;
    let wanted = before + tasks as u64;
    let took = stage.until("tasks ended", wanted, |stage| stage.book.ended);
    let took = took.await?;
    // Every update is acknowledged before the next thing is measured.
    stage.answered().await?;
    Ok(took)
}
