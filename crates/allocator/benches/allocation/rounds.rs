//! Offers that are declined, round after round.

use std::time::Duration;

use meseta_allocator::{Allocator, Options};
use meseta_resources::Resources;

use crate::clusters::{add_agents, add_frameworks};
use crate::{at, row, timed};
use meseta_resources::Error;

/// Longer than anything here takes.
const FOR_EVER: Duration = Duration::from_hours(24);

/// Every agent is offered and the offer declined for ever, round after round, to others each time;
/// then rounds in which nothing, or one agent, has changed.
pub(crate) fn measure(agents: usize, frameworks: usize, rounds: u32) -> Result<(), Error> {
    let size = format!("{agents} agents, {frameworks} frameworks");
    let mut allocator = Allocator::new(Options::default());
    add_frameworks(&mut allocator, frameworks);
    add_agents(&mut allocator, agents, frameworks)?;
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let (proposals, took) = timed(|| allocator.allocate(at(0)));
        all += took;
        longest = longest.max(took);
        for p in proposals {
            allocator.decline(&p.framework, &p.agent, &p.resources, FOR_EVER, at(0));
        }
    }
    let mean = all / rounds.max(1);
    row(
        &format!("{size}: all offered, mean of {rounds} rounds"),
        mean,
    );
    row(&format!("{size}: the longest of them"), longest);

    allocator.allocate(at(0));
    let ((), nothing) = timed(|| drop(allocator.allocate(at(0))));
    row(&format!("{size}: nothing has changed"), nothing);

    let one = Resources::parse("cpus:1;mem:64", "*")?;
    let mut all = Duration::ZERO;
    for i in 0..rounds {
        // Each uses some of the agent with its own number.
        let (framework, agent) = (format!("framework{i}"), format!("agent{i}"));
        let one = one.allocate(&format!("role{i}"));
        allocator.recover(&framework.into(), &agent.into(), &one);
        all += timed(|| allocator.allocate(at(0))).1;
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
