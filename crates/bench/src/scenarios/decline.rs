//! Frameworks decline every offer that they get.

use super::{Context, Outcome, agents, role};
use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::Policy;
use crate::measure::Distribution;
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Agents that are offered.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// Frameworks that decline.
    #[arg(long, default_value_t = 100)]
    frameworks: usize,
    /// Roles that they share [default: one for each]
    #[arg(long)]
    roles: Option<usize>,
    /// Rounds to be measured: in each, as many offers are declined as there are agents.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Rounds before, unmeasured.
    #[arg(long, default_value_t = 2)]
    warm_up: usize,
    /// For how many seconds each offer is declined. Long, so that every round has new takers to find.
    #[arg(long, default_value_t = 3600.0)]
    refuse_seconds: f64,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let rounds = sizes.warm_up + sizes.rounds;
    if sizes.refuse_seconds > 60.0 && rounds > sizes.frameworks {
        return Err(Error::Usage(format!(
            "{} frameworks decline each agent once: there are no offers for {rounds} rounds; take more frameworks, or refuse for a shorter time",
            sizes.frameworks
        )));
    }
    let mut stage = Stage::open(context.settings.clone(), agents(10, Pattern::running())?)?;
    stage.register(sizes.agents).await?;
    let roles = sizes.roles.unwrap_or(sizes.frameworks).max(1);
    let policy = Policy::Decline {
        seconds: sizes.refuse_seconds,
    };
    stage
        .join(sizes.frameworks, &policy, |number| role(number % roles))
        .await?;
    let one_round = sizes.agents as u64;
    let warm = one_round * sizes.warm_up as u64;
    let declined = |stage: &Stage| stage.book.declined;
    stage
        .until("offers declined to warm up", warm, declined)
        .await?;
    stage.answered().await?;
    stage.start_anew();

    let meter = target.meter()?;
    let mut times = Distribution::default();
    let began = stage.now();
    for round in 1..=sizes.rounds as u64 {
        let what = format!("offers declined, round {round} of {}", sizes.rounds);
        times.add(stage.until(&what, round * one_round, declined).await?);
    }
    let took = stage.now().saturating_sub(began);
    let cost = target.cost_since(&meter)?;

    let mut figures = Figures::default();
    figures
        .times("round", &times)
        .rate("offers", stage.book.declined, took)
        .times("DECLINE answered", &stage.book.calls);
    if let Some(used) = &cost.target {
        figures.number(
            "CPU of the target for a round",
            used.cpu_seconds / super::count(sizes.rounds),
        );
    }
    let outcome = Outcome::new(
        &[
            ("agents", sizes.agents),
            ("frameworks", sizes.frameworks),
            ("roles", roles),
            ("rounds", sizes.rounds),
        ],
        figures,
        cost,
        &stage,
    );
    stage.leave().await?;
    Ok(outcome)
}
