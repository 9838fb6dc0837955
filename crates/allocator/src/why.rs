//! Why frameworks get no offers.
//!
//! Verdicts are not collected while sharing: that would cost time and memory for each framework
//! and each agent. They follow from what is known, by the same code that decides, when asked for.

use std::collections::{BTreeMap, BinaryHeap};

use meseta_proto::v1::FrameworkId;

use crate::agent::{Agent, AgentKey};
use crate::client::{Client, Framework};
use crate::limits::MAX_NEAREST;
use crate::tree::ClientKey;
use crate::{Allocator, Reason, Refusal};

/// What speaks against offers to a framework in one of its roles, over all agents.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdicts {
    /// How many agents were looked at.
    pub agents: usize,
    /// Of how many nothing speaks against an offer: it comes with the next allocation, unless
    /// others are served first.
    pub offerable: usize,
    /// How many agents there are for each [name of a refusal](Refusal::name).
    pub counts: BTreeMap<&'static str, usize>,
    /// The agents that come nearest to an offer, the nearest first.
    pub nearest: Vec<Reason>,
}

/// A reason by its distance; the heap holds the farthest on top.
struct Ranked {
    rank: ((u8, u128), AgentKey),
    reason: Reason,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl Allocator {
    /// Why the framework gets no offers: the first thing that speaks against each agent in each of
    /// its roles. An agent of which nothing is said would be proposed.
    pub fn why(&self, id: &FrameworkId) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let Some(framework) = self.frameworks.get(id) else {
            return reasons;
        };
        let mut agents: Vec<(&AgentKey, &Agent)> = self.agents.iter().collect();
        agents.sort_unstable_by_key(|(key, _)| **key);
        for (role, key, client) in self.subscriptions(framework) {
            for (_, agent) in &agents {
                if let Some(refusal) = self.verdict(framework, key, client, agent) {
                    reasons.push(Reason {
                        role: role.to_owned(),
                        agent: agent.id.clone(),
                        refusal,
                    });
                }
            }
        }
        reasons
    }

    /// The same as [`why`](Self::why) by role, counted, with the `nearest` misses of each (at most
    /// [`MAX_NEAREST`]). With `role` of that one alone.
    pub fn why_in_short(
        &self,
        id: &FrameworkId,
        role: Option<&str>,
        nearest: usize,
    ) -> BTreeMap<String, Verdicts> {
        let Some(framework) = self.frameworks.get(id) else {
            return BTreeMap::new();
        };
        let nearest = nearest.min(MAX_NEAREST);
        self.subscriptions(framework)
            .filter(|(of, ..)| role.is_none_or(|role| role == *of))
            .map(|(role, key, client)| {
                let verdicts = self.verdicts(framework, (key, client), nearest);
                (role.to_owned(), verdicts)
            })
            .collect()
    }

    fn verdicts(
        &self,
        framework: &Framework,
        (key, client): (ClientKey, &Client),
        nearest: usize,
    ) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let mut heap = BinaryHeap::with_capacity(nearest + 1);
        for (agent_key, agent) in &self.agents {
            verdicts.agents += 1;
            let Some(refusal) = self.verdict(framework, key, client, agent) else {
                verdicts.offerable += 1;
                continue;
            };
            *verdicts.counts.entry(refusal.name()).or_default() += 1;
            let rank = (refusal.distance(), *agent_key);
            let is_near = |farthest: &Ranked| rank < farthest.rank;
            if heap.len() < nearest || heap.peek().is_some_and(is_near) {
                let reason = Reason {
                    role: client.role.clone(),
                    agent: agent.id.clone(),
                    refusal,
                };
                heap.push(Ranked { rank, reason });
                if heap.len() > nearest {
                    heap.pop();
                }
            }
        }
        let sorted = heap.into_sorted_vec().into_iter();
        verdicts.nearest = sorted.map(|ranked| ranked.reason).collect();
        verdicts
    }

    fn subscriptions<'a>(
        &'a self,
        framework: &'a Framework,
    ) -> impl Iterator<Item = (&'a str, ClientKey, &'a Client)> {
        framework
            .clients
            .iter()
            .filter(|(role, _)| framework.subscribes(role))
            .filter_map(|(role, key)| Some((role.as_str(), *key, self.clients.get(key)?)))
    }

    /// What speaks against an offer, if anything does.
    fn verdict(
        &self,
        framework: &Framework,
        key: ClientKey,
        client: &Client,
        agent: &Agent,
    ) -> Option<Refusal> {
        if let Some(refusal) = framework.refusal(&client.role) {
            return Some(refusal);
        }
        if !agent.active {
            return Some(Refusal::AgentDeactivated);
        }
        if let Some(until) = self.recovering_until() {
            return Some(Refusal::Recovering { until });
        }
        if self
            .guaranteed_offer(key, client, agent, agent.free())
            .is_some()
        {
            return None;
        }
        self.fair_offer(key, client, agent, agent.free()).err()
    }
}
