//! Subscribers follow the operator's events while a scheduler works.

use std::time::Duration;

use super::{Context, Outcome, agents, carry_out, expect, role, tell};
use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::{Policy, Work};
use crate::observers::{Observer, Observers};
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Subscribers to operator events.
    #[arg(long, default_value_t = 20)]
    subscribers: usize,
    /// Agents that run the tasks.
    #[arg(long, default_value_t = 50)]
    agents: usize,
    /// Tasks whose updates are followed.
    #[arg(long, default_value_t = 1000)]
    tasks: usize,
    /// Tasks that an agent has room for at a time.
    #[arg(long, default_value_t = 10)]
    slots: usize,
    /// Tasks before, unmeasured, that nobody follows.
    #[arg(long, default_value_t = 50)]
    warm_up: usize,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let pattern = Pattern::finishing(Duration::ZERO);
    let updates = pattern.opening.len() as u64 + 1;
    let mut stage = Stage::open(context.settings.clone(), agents(sizes.slots, pattern)?)?;
    stage.register(sizes.agents).await?;
    let rest = Policy::Decline { seconds: 0.0 };
    let worker = stage.join(1, &rest, role).await?;
    carry_out(&mut stage, worker, Work::of(sizes.warm_up)).await?;
    stage.start_anew();

    let subscriber = Observer::Events {
        encoding: context.settings.encoding,
    };
    let observers = Observers::start(target.address, vec![subscriber; sizes.subscribers])?;
    let counts = observers.counts();
    let subscribers = sizes.subscribers as u64;
    stage
        .until("subscribers with the state", subscribers, |_| {
            counts.subscribed()
        })
        .await?;

    let meter = target.meter()?;
    let began = stage.now();
    carry_out(&mut stage, worker, Work::of(sizes.tasks)).await?;
    let events = subscribers * updates * sizes.tasks as u64;
    let what = "updates that subscribers saw";
    stage.until(what, events, |_| counts.updates()).await?;
    let took = stage.now().saturating_sub(began);
    let cost = target.cost_since(&meter)?;
    expect(what, counts.updates(), events)?;

    let mut figures = Figures::default();
    figures
        .rate("updates to all subscribers together", events, took)
        .rate("tasks", sizes.tasks as u64, took)
        .times("ACCEPT to TASK_RUNNING", &stage.book.running);
    let notes = tell(&mut figures, observers.finish());
    let mut outcome = Outcome::new(
        &[
            ("subscribers", sizes.subscribers),
            ("agents", sizes.agents),
            ("tasks", sizes.tasks),
        ],
        figures,
        cost,
        &stage,
    );
    outcome.note(notes);
    stage.leave().await?;
    Ok(outcome)
}
