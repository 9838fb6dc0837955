//! Why frameworks get no offers.
//!
//! Verdicts are not collected while sharing: that would cost time and memory for each framework
//! and each agent. They follow from what is known, by the same code that decides, when asked for.

use std::collections::BTreeMap;

use meseta_proto::v1::{AgentId, FrameworkId};

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

impl Verdicts {
    /// Counts what is found of one more agent, and keeps it if it is among the `nearest` misses.
    fn add(&mut self, role: &str, agent: &AgentId, refusal: Option<Refusal>, nearest: usize) {
        self.agents += 1;
        let Some(refusal) = refusal else {
            self.offerable += 1;
            return;
        };
        *self.counts.entry(refusal.name()).or_default() += 1;
        let distance = refusal.distance();
        let place = self
            .nearest
            .partition_point(|nearer| nearer.refusal.distance() <= distance);
        if place < nearest {
            self.nearest.truncate(nearest - 1);
            let reason = Reason {
                role: role.to_owned(),
                agent: agent.clone(),
                refusal,
            };
            self.nearest.insert(place, reason);
        }
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
        let agents = self.in_order_of_arrival();
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
        let agents = self.in_order_of_arrival();
        self.subscriptions(framework)
            .filter(|(of, ..)| role.is_none_or(|role| role == *of))
            .map(|(role, ..)| {
                let mut verdicts = Verdicts::default();
                let agents = agents.iter().map(|(_, agent)| &agent.id);
                self.judge(id, role, agents, nearest, &mut verdicts);
                (role.to_owned(), verdicts)
            })
            .collect()
    }

    /// The part of [`why_in_short`](Self::why_in_short) that some agents have in it, added to what
    /// was found of others: for those who want to look at a large cluster piece by piece. Nothing
    /// is said of agents that are unknown, and of roles that the framework is not in.
    pub fn judge<'a>(
        &self,
        id: &FrameworkId,
        role: &str,
        agents: impl IntoIterator<Item = &'a AgentId>,
        nearest: usize,
        verdicts: &mut Verdicts,
    ) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let subscribed = self.subscriptions(framework).find(|(of, ..)| *of == role);
        let Some((_, key, client)) = subscribed else {
            return;
        };
        for agent in agents.into_iter().filter_map(|id| self.agent(id)) {
            let refusal = self.verdict(framework, key, client, agent);
            verdicts.add(role, &agent.id, refusal, nearest.min(MAX_NEAREST));
        }
    }

    fn in_order_of_arrival(&self) -> Vec<(&AgentKey, &Agent)> {
        let mut agents: Vec<_> = self.agents.iter().collect();
        agents.sort_unstable_by_key(|(key, _)| **key);
        agents
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
        if !agent.listed {
            return Some(Refusal::AgentNotListed);
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
