//! Roles get what their quotas allow.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use meseta_proto::v1::master::{Call, call};
use meseta_proto::v1::quota::QuotaConfig;
use meseta_proto::v1::value::Scalar;

use super::{Context, Outcome, agents, count, expect, role, time, whole};
use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::{Encoding, Policy, encode};
use crate::measure::Distribution;
use crate::report::Figures;
use crate::stage::{Connection, OPERATOR_API, Stage};

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Roles with a quota, each with a framework that keeps what it gets.
    #[arg(long, default_value_t = 50)]
    roles: usize,
    /// Agents of 1 cpu for each role, and so cpus that each role may have.
    #[arg(long, default_value_t = 2)]
    share: usize,
    /// How long nothing happens in the end, to see what that costs.
    #[arg(long, default_value = "2s", value_parser = time)]
    idle: Duration,
    /// Quotas that are set and removed before, unmeasured.
    #[arg(long, default_value_t = 2)]
    warm_up: usize,
}

/// What the quota of a role is to be.
#[derive(Debug, Clone, Copy)]
enum Quota {
    /// So many cpus are kept for it, and no more are given.
    Cpus(f64),
    /// It has none.
    Removed,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let mut stage = Stage::open(context.settings.clone(), agents(10, Pattern::running())?)?;
    let agents = sizes.roles * sizes.share;
    stage.register(agents).await?;
    let due = Quota::Cpus(count(sizes.share));
    set(&mut stage, sizes.warm_up, due).await?;
    set(&mut stage, sizes.warm_up, Quota::Removed).await?;

    let meter = target.meter()?;
    let updates = set(&mut stage, sizes.roles, due).await?;
    let began = stage.now();
    stage.join(sizes.roles, &Policy::Hold, role).await?;
    let wanted = agents as u64;
    stage
        .until("cpus offered within quotas", wanted, |stage| {
            whole(
                stage
                    .frameworks()
                    .map(super::super::frameworks::Scheduler::held_cpus)
                    .sum(),
            )
        })
        .await?;
    let filled = stage.now().saturating_sub(began);
    let cost = target.cost_since(&meter)?;

    let idle = target.meter()?;
    stage.during(sizes.idle).await;
    let idle = target.cost_since(&idle)?;
    for scheduler in stage.frameworks() {
        let held = whole(scheduler.held_cpus());
        expect("cpus of a role under quota", held, sizes.share as u64)?;
    }
    set(&mut stage, sizes.roles, Quota::Removed).await?;

    let mut figures = Figures::default();
    figures
        .times("UPDATE_QUOTA answered", &updates)
        .seconds("all roles have what they may", filled)
        .count("offers", stage.book.offers);
    if let Some(used) = &idle.target {
        let share = used.cpu_seconds / idle.wall_seconds;
        figures.number("CPU of the target in a second without changes", share);
    }
    let outcome = Outcome::new(
        &[("roles", sizes.roles), ("agents", agents)],
        figures,
        cost,
        &stage,
    );
    stage.leave().await?;
    Ok(outcome)
}

/// Sets the quotas of the first roles, one after the other, while the stage goes on.
async fn set(stage: &mut Stage, roles: usize, quota: Quota) -> Result<Distribution, Error> {
    let (target, encoding) = (stage.settings.target, stage.settings.encoding);
    stage.beside(set_each(target, encoding, roles, quota)).await
}

async fn set_each(
    target: SocketAddrV4,
    encoding: Encoding,
    roles: usize,
    quota: Quota,
) -> Result<Distribution, Error> {
    let mut times = Distribution::default();
    let mut connection = Connection::open(target).await?;
    for number in 0..roles {
        let body = encode(&update(role(number), quota), encoding);
        let began = Instant::now();
        let answer = connection
            .post(OPERATOR_API, encoding, None, body.into())
            .await?;
        times.add(began.elapsed());
        if !answer.is_success() {
            return Err(answer.refusal(target, "UPDATE_QUOTA"));
        }
    }
    Ok(times)
}

fn update(role: String, quota: Quota) -> Call {
    let amounts = match quota {
        Quota::Cpus(value) => BTreeMap::from([("cpus".to_owned(), Scalar { value })]),
        Quota::Removed => BTreeMap::new(),
    };
    let config = QuotaConfig {
        role,
        guarantees: amounts.clone(),
        limits: amounts,
    };
    Call {
        r#type: Some(call::Type::UpdateQuota.into()),
        update_quota: Some(call::UpdateQuota {
            force: None,
            quota_configs: vec![config],
        }),
        ..Call::default()
    }
}
