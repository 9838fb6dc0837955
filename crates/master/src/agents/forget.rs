//! Agents that stay away are forgotten in the end, or the registry would grow for ever.

use std::time::Duration;

use meseta_machine::Now;
use meseta_proto::v1::{AgentId, TimeInfo};

use crate::config::Policy;
use crate::limits::MIN_REGISTRY_GC_INTERVAL;
use crate::master::Master;
use crate::registry;
use crate::step::Step;
use crate::timers::Timer;

impl Master {
    /// Sees to it that agents are forgotten in their time; soon when there are too many.
    pub(super) fn schedule_registry_gc(&mut self, step: &Step<'_>) {
        let policy = &self.state.config.policy;
        let most = policy.registry_max_agent_count;
        let (unreachable, gone) = (&self.state.unreachable_agents, &self.state.gone_agents);
        if unreachable.is_empty() && gone.is_empty() {
            return;
        }
        let wait = if unreachable.len() > most || gone.len() > most {
            MIN_REGISTRY_GC_INTERVAL
        } else {
            policy.registry_gc_interval.max(MIN_REGISTRY_GC_INTERVAL)
        };
        let due = step.now.monotonic.saturating_add(wait);
        self.timers.set_earlier(Timer::RegistryGc, due);
    }

    /// Forgets the agents that went longest ago where there are too many, and those that went
    /// too long ago. One that comes back after that is admitted like one that is unknown.
    pub(crate) fn on_registry_gc_due(&mut self, step: &mut Step<'_>) {
        let policy = &self.state.config.policy;
        let unreachable = self.state.unreachable_agents.iter();
        let unreachable = unreachable.map(|(id, agent)| (id, agent.since));
        let unreachable = outdated(policy, step.now, unreachable);
        let gone = self.state.gone_agents.iter();
        let gone = outdated(policy, step.now, gone.map(|(id, since)| (id, *since)));

        let mut changes = Vec::new();
        for id in unreachable {
            self.state.unreachable_agents.remove(&id);
            self.unreachable_frameworks.remove(&id);
            changes.push(registry::mark_reachable(&id));
            changes.push(registry::forget(&id));
            changes.extend(self.forget_deactivation(&id));
        }
        for id in gone {
            self.state.gone_agents.remove(&id);
            changes.push(registry::forget_gone(&id));
        }
        if !changes.is_empty() {
            step.persist(changes);
        }
        self.schedule_registry_gc(step);
    }
}

fn outdated<'a>(
    policy: &Policy,
    now: Now,
    agents: impl Iterator<Item = (&'a AgentId, TimeInfo)>,
) -> Vec<AgentId> {
    let mut by_time: Vec<_> = agents.map(|(id, since)| (since.nanoseconds, id)).collect();
    by_time.sort_unstable();
    let surplus = by_time
        .len()
        .saturating_sub(policy.registry_max_agent_count);
    let is_old = |since: i64| {
        let age = now.unix_nanoseconds().saturating_sub(since);
        Duration::from_nanos(u64::try_from(age).unwrap_or_default()) > policy.registry_max_agent_age
    };
    let forgotten = by_time
        .into_iter()
        .enumerate()
        .take_while(|(position, (since, _))| *position < surplus || is_old(*since));
    forgotten.map(|(_, (_, id))| id.clone()).collect()
}
