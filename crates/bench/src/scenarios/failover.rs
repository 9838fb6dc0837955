//! Agents come back with their tasks and their history, as to a new leading master.

use std::time::Duration;

use super::{Context, Outcome, agents, count, earlier_frameworks, expect, tell, whole};
use crate::agents::{Pattern, Standing};
use crate::error::Error;
use crate::frameworks::Policy;
use crate::observers::{Observer, Observers};
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Agents that come back at once.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// Running tasks on each.
    #[arg(long, default_value_t = 10)]
    tasks: usize,
    /// Completed tasks that each remembers.
    #[arg(long, default_value_t = 10)]
    completed: usize,
    /// Frameworks whose tasks they are, and which subscribe again afterwards.
    #[arg(long, default_value_t = 10)]
    frameworks: usize,
    /// Agents that come back before, unmeasured.
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let frameworks = earlier_frameworks(sizes.frameworks);
    let mut kind = agents(sizes.tasks.div_ceil(3).max(10), Pattern::running())?;
    kind.standing = Standing {
        frameworks: frameworks.clone(),
        tasks: sizes.tasks,
        completed: sizes.completed,
    };
    let mut stage = Stage::open(context.settings.clone(), kind)?;
    let running = "master/tasks_running";
    let before = target.metric(running).await?;
    stage.register(sizes.warm_up).await?;
    stage.start_anew();

    let poll = Observer::Poll {
        path: "/master/health",
        rest: Duration::from_millis(10),
    };
    let observers = Observers::start(target.address, vec![poll])?;
    let meter = target.meter()?;
    let took = stage.register(sizes.agents).await?;
    let cost = target.cost_since(&meter)?;
    let seen = observers.finish();

    let known = target.metric(running).await?;
    let expected = before + count(stage.fleet.standing_tasks());
    expect("running tasks", whole(known), whole(expected))?;

    let subscribed = stage.now();
    for info in frameworks {
        stage.subscribe(info, Policy::Hold);
    }
    stage.all_subscribed().await?;
    let subscribed = stage.now().saturating_sub(subscribed);
    stage.with_all(|scheduler, _, _, out| scheduler.reconcile_all(out));
    let tasks = stage.fleet.standing_tasks() as u64;
    let reconciled = stage
        .until("tasks known after the failover", tasks, |stage| {
            stage.book.reconciled
        })
        .await?;
    expect("tasks known to frameworks", stage.book.reconciled, tasks)?;

    let mut figures = Figures::default();
    figures
        .seconds("all registered again", took)
        .rate("agents", sizes.agents as u64, took)
        .rate("tasks", (sizes.agents * sizes.tasks) as u64, took)
        .times("registration", &stage.fleet.tally.registrations)
        .seconds("all frameworks subscribed again", subscribed)
        .seconds("all tasks reconciled", reconciled);
    let notes = tell(&mut figures, seen);
    let mut outcome = Outcome::new(
        &[
            ("agents", sizes.agents),
            ("tasks on each", sizes.tasks),
            ("completed on each", sizes.completed),
            ("frameworks", sizes.frameworks),
        ],
        figures,
        cost,
        &stage,
    );
    outcome.note(notes);
    stage.leave().await?;
    Ok(outcome)
}
