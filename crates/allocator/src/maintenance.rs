//! Inverse offers: asking frameworks to leave agents that are to be maintained.
//!
//! Who holds anything on such an agent, offered or in use, is asked; again when the filter that it
//! answered with has run out, and when the maintenance is scheduled anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_machine::{Now, Timers};
use meseta_proto::v1::{AgentId, FrameworkId, Unavailability};

use crate::Allocator;
use crate::agent::AgentKey;
use crate::limits::MAX_REFUSAL;

/// A framework to be asked to leave an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct InverseProposal {
    /// Whom to ask.
    pub framework: FrameworkId,
    /// Which agent to leave.
    pub agent: AgentId,
    /// When the agent will be away.
    pub unavailability: Unavailability,
}

/// What a framework answered to an inverse offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InverseAnswer {
    /// It will leave.
    Accepted,
    /// It will not.
    Declined,
}

/// The last answer of a framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InverseStatus {
    /// What it said.
    pub answer: InverseAnswer,
    /// When, in wall time since the epoch.
    pub at: Duration,
}

/// One agent's maintenance.
#[derive(Debug)]
struct Maintenance {
    unavailability: Unavailability,
    /// Who has been asked and has not answered.
    asked: BTreeSet<FrameworkId>,
    /// Who is not to be asked, until when.
    filters: BTreeMap<FrameworkId, Duration>,
    statuses: BTreeMap<FrameworkId, InverseStatus>,
}

/// All agents under maintenance.
#[derive(Debug, Default)]
pub(crate) struct Maintenances {
    agents: BTreeMap<AgentKey, Maintenance>,
    /// Agents of which someone new may have to be asked.
    changed: BTreeSet<AgentKey>,
    expiries: Timers<(AgentKey, FrameworkId)>,
}

impl Maintenances {
    /// Who holds something of the agent has changed.
    pub(crate) fn holders_changed(&mut self, agent: AgentKey) {
        if self.agents.contains_key(&agent) {
            self.changed.insert(agent);
        }
    }

    pub(crate) fn frameworks_changed(&mut self) {
        self.changed.extend(self.agents.keys());
    }

    pub(crate) fn forget_agent(&mut self, agent: AgentKey) {
        self.changed.remove(&agent);
        if let Some(maintenance) = self.agents.remove(&agent) {
            for framework in maintenance.filters.into_keys() {
                self.expiries.cancel(&(agent, framework));
            }
        }
    }

    pub(crate) fn forget_framework(&mut self, framework: &FrameworkId) {
        for (agent, maintenance) in &mut self.agents {
            maintenance.asked.remove(framework);
            maintenance.statuses.remove(framework);
            if maintenance.filters.remove(framework).is_some() {
                self.expiries.cancel(&(*agent, framework.clone()));
            }
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.expiries.next_due()
    }
}

impl Allocator {
    /// Schedules maintenance of an agent, or takes it from the schedule. Frameworks are asked anew,
    /// whatever they answered before.
    pub fn set_unavailability(&mut self, id: &AgentId, unavailability: Option<Unavailability>) {
        let Some(key) = self.agent_keys.get(id).copied() else {
            return;
        };
        self.maintenances.forget_agent(key);
        if let Some(unavailability) = unavailability {
            let maintenance = Maintenance {
                unavailability,
                asked: BTreeSet::new(),
                filters: BTreeMap::new(),
                statuses: BTreeMap::new(),
            };
            self.maintenances.agents.insert(key, maintenance);
            self.maintenances.changed.insert(key);
        }
    }

    /// Whom to ask now to leave which agents. Each counts as asked until it has
    /// [answered](Self::answer_inverse_offer).
    pub fn inverse_offers(&mut self, now: Now) -> Vec<InverseProposal> {
        while let Some((agent, framework)) = self.maintenances.expiries.pop_due(now) {
            if let Some(maintenance) = self.maintenances.agents.get_mut(&agent) {
                maintenance.filters.remove(&framework);
                self.maintenances.changed.insert(agent);
            }
        }
        let mut proposals = Vec::new();
        for key in std::mem::take(&mut self.maintenances.changed) {
            let (Some(maintenance), Some(agent)) = (
                self.maintenances.agents.get_mut(&key),
                self.agents.get(&key),
            ) else {
                continue;
            };
            let holders = agent
                .holders()
                .filter_map(|(client, _)| Some(&self.clients.get(&client)?.framework));
            for framework in holders {
                let is_active = |id| {
                    let framework = self.frameworks.get(id);
                    framework.is_some_and(|framework| framework.active && framework.view.is_some())
                };
                if is_active(framework)
                    && !maintenance.filters.contains_key(framework)
                    && maintenance.asked.insert(framework.clone())
                {
                    proposals.push(InverseProposal {
                        framework: framework.clone(),
                        agent: agent.id.clone(),
                        unavailability: maintenance.unavailability,
                    });
                }
            }
        }
        proposals
    }

    /// A framework has answered, or has not (`None`) and the inverse offer is gone. It is asked
    /// again after `refuse_for`, at the earliest after an allocation interval; at once, if it did
    /// not answer.
    pub fn answer_inverse_offer(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        answer: Option<InverseAnswer>,
        refuse_for: Duration,
        now: Now,
    ) {
        let Some(key) = self.agent_keys.get(agent).copied() else {
            return;
        };
        let Some(maintenance) = self.maintenances.agents.get_mut(&key) else {
            return;
        };
        if !maintenance.asked.remove(framework) {
            return;
        }
        let Some(answer) = answer else {
            self.maintenances.changed.insert(key);
            return;
        };
        let status = InverseStatus {
            answer,
            at: now.wall,
        };
        maintenance.statuses.insert(framework.clone(), status);
        let refuse_for = refuse_for.clamp(self.options.allocation_interval, MAX_REFUSAL);
        let until = now.monotonic.saturating_add(refuse_for);
        maintenance.filters.insert(framework.clone(), until);
        let timer = (key, framework.clone());
        self.maintenances.expiries.set(timer, until);
    }

    /// What frameworks have answered, by agent under maintenance.
    pub fn inverse_offer_statuses(
        &self,
    ) -> BTreeMap<AgentId, BTreeMap<FrameworkId, InverseStatus>> {
        let id_of = |key| self.agents.get(key).map(|agent| agent.id.clone());
        self.maintenances
            .agents
            .iter()
            .filter_map(|(key, maintenance)| Some((id_of(key)?, maintenance.statuses.clone())))
            .collect()
    }
}
