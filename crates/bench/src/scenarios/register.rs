//! Agents register, all at once.

use super::{Context, Outcome, agents, count, expect, whole};
use crate::agents::Pattern;
use crate::error::Error;
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Agents that register at once.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// Agents that register before, unmeasured.
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let mut stage = Stage::open(context.settings.clone(), agents(10, Pattern::running())?)?;
    let active = "master/slaves_active";
    let before = target.metric(active).await?;
    stage.register(sizes.warm_up).await?;
    stage.start_anew();

    let meter = target.meter()?;
    let took = stage.register(sizes.agents).await?;
    let cost = target.cost_since(&meter)?;

    let wanted = before + count(sizes.warm_up + sizes.agents);
    let found = target.metric(active).await?;
    expect("active agents", whole(found), whole(wanted))?;
    let mut figures = Figures::default();
    figures
        .seconds("all registered", took)
        .rate("agents", sizes.agents as u64, took)
        .times("registration", &stage.fleet.tally.registrations);
    let outcome = Outcome::new(&[("agents", sizes.agents)], figures, cost, &stage);
    stage.leave().await?;
    Ok(outcome)
}
