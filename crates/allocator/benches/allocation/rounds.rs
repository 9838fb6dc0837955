//! Offers that are declined, round after round.

use std::time::Duration;

use meseta_allocator::{Allocator, Options, Proposal};
use meseta_machine::Now;
use meseta_resources::Resources;

use crate::clusters::{add_agents, add_frameworks};
use crate::{at, row, timed};
use meseta_resources::Error;

/// How long a master waits while nothing may be offered again.
const STEP: Duration = Duration::from_millis(10);

/// Longer than anything here takes.
const FOR_EVER: Duration = Duration::from_hours(24);

/// Every agent is offered and the offer declined for ever, round after round, to others each time;
/// then rounds in which nothing, or one agent, has changed.
pub(crate) fn measure(agents: usize, frameworks: usize, rounds: u32) -> Result<(), Error> {
    let size = format!("{agents} agents, {frameworks} frameworks");
    let mut allocator = Allocator::new(Options::default());
    add_frameworks(&mut allocator, frameworks);
    add_agents(&mut allocator, agents, frameworks)?;
    let mut now = at(0);
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let (proposals, took) = timed(|| whole_round(&mut allocator, agents, &mut now));
        all += took;
        longest = longest.max(took);
        for p in proposals {
            allocator.decline(&p.framework, &p.agent, &p.resources, FOR_EVER, now);
        }
    }
    let mean = all / rounds.max(1);
    row(
        &format!("{size}: all offered, mean of {rounds} rounds"),
        mean,
    );
    row(&format!("{size}: the longest of them"), longest);

    settle(&mut allocator, agents, &mut now);
    let ((), nothing) = timed(|| drop(allocator.allocate(now)));
    row(&format!("{size}: nothing has changed"), nothing);

    let one = Resources::parse("cpus:1;mem:64", "*")?;
    let mut all = Duration::ZERO;
    for i in 0..rounds {
        // Each uses some of the agent with its own number.
        let (framework, agent) = (format!("framework{i}"), format!("agent{i}"));
        let one = one.allocate(&format!("role{i}"));
        allocator.recover(&framework.into(), &agent.into(), &one);
        all += timed(|| allocator.allocate(now)).1;
    }
    let mean = all / rounds.max(1);
    row(
        &format!("{size}: one agent has more to give, mean of {rounds}"),
        mean,
    );

    let (reasons, why) = timed(|| allocator.why_in_short(&"framework1".into(), None, 10));
    let looked_at: usize = reasons.values().map(|verdicts| verdicts.agents).sum();
    row(&format!("{size}: why one gets nothing of {looked_at}"), why);
    Ok(())
}

/// Offers every agent. What was declined is offered again at a pace, so that it takes as many allocations as
/// the clock is let go on.
fn whole_round(allocator: &mut Allocator, agents: usize, now: &mut Now) -> Vec<Proposal> {
    let mut all = Vec::with_capacity(agents);
    while all.len() < agents {
        all.extend(allocator.allocate(*now));
        now.monotonic += STEP;
    }
    all
}

/// Lets everyone be asked who can still be asked.
fn settle(allocator: &mut Allocator, agents: usize, now: &mut Now) {
    for _ in 0..=agents {
        if !allocator.is_pending()
            && allocator
                .next_expiry()
                .is_none_or(|next| next > now.monotonic + STEP)
        {
            return;
        }
        now.monotonic += STEP;
        allocator.allocate(*now);
    }
}
