//! One allocation: what is free on the agents that changed goes to clients in the order of shares.

use std::collections::{BTreeMap, BTreeSet};

use meseta_machine::Now;
use meseta_proto::v1::FrameworkId;
use meseta_resources::{Resources, roles};

use crate::agent::{Agent, AgentKey};
use crate::books::Why;
use crate::client::holds_any;
use crate::tree::{ClientKey, Place};
use crate::{Allocator, Proposal, Reason, Refusal};

/// What happened since the last allocation that may lead to a proposal.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    agents: BTreeMap<AgentKey, Candidates>,
    /// Clients that may now take what others left.
    clients: BTreeSet<ClientKey>,
    /// Where the next allocation begins, so that no agents are always the first to be given away.
    turn: Option<AgentKey>,
}

/// Who may want what is free on an agent.
#[derive(Debug)]
enum Candidates {
    /// More is free than before: anyone.
    All,
    /// Filters of these have run out.
    Only(BTreeSet<ClientKey>),
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.clients.is_empty()
    }

    pub(crate) fn agent_freed(&mut self, agent: AgentKey) {
        self.agents.insert(agent, Candidates::All);
    }

    pub(crate) fn filter_ended(&mut self, agent: AgentKey, client: ClientKey) {
        let candidates = self
            .agents
            .entry(agent)
            .or_insert_with(|| Candidates::Only(BTreeSet::new()));
        if let Candidates::Only(clients) = candidates {
            clients.insert(client);
        }
    }

    pub(crate) fn client_came(&mut self, client: ClientKey) {
        self.clients.insert(client);
    }

    pub(crate) fn forget_agent(&mut self, agent: AgentKey) {
        self.agents.remove(&agent);
    }

    pub(crate) fn forget_client(&mut self, client: ClientKey) {
        self.clients.remove(&client);
    }

    /// The agents to look at, each with its candidates; `offerable` are all with something free.
    fn take(&mut self, offerable: &BTreeSet<AgentKey>) -> Vec<(AgentKey, Candidates)> {
        let mut agents = std::mem::take(&mut self.agents);
        agents.retain(|agent, _| offerable.contains(agent));
        let clients = std::mem::take(&mut self.clients);
        if !clients.is_empty() {
            for agent in offerable {
                let candidates = agents
                    .entry(*agent)
                    .or_insert_with(|| Candidates::Only(BTreeSet::new()));
                if let Candidates::Only(some) = candidates {
                    some.extend(&clients);
                }
            }
        }
        let later = match self.turn {
            Some(turn) => agents.split_off(&turn),
            None => BTreeMap::new(),
        };
        let order: Vec<_> = later.into_iter().chain(agents).collect();
        self.turn = order.get(1).map(|(agent, _)| *agent);
        order
    }
}

impl Allocator {
    /// Shares what is free. Proposals to one framework stand together.
    pub fn allocate(&mut self, now: Now) -> Vec<Proposal> {
        self.end_filters(now);
        self.tree.refresh();
        let mut numbered = Vec::new();
        for (key, candidates) in self.changes.take(&self.offerable) {
            for (client, resources) in self.share(key, &candidates) {
                numbered.extend(self.propose(client, key, &resources));
            }
        }
        numbered.sort_by_key(|(framework, _)| *framework);
        numbered.into_iter().map(|(_, proposal)| proposal).collect()
    }

    /// Why the framework gets no offers: the first thing that speaks against each agent in each of
    /// its roles. An agent of which nothing is said would be proposed.
    pub fn why(&self, id: &FrameworkId) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let Some(framework) = self.frameworks.get(id) else {
            return reasons;
        };
        let mut agents: Vec<(&AgentKey, &Agent)> = self.agents.iter().collect();
        agents.sort_by_key(|(key, _)| **key);
        for (role, key) in &framework.clients {
            let Some(client) = self.clients.get(key).filter(|_| framework.subscribes(role)) else {
                continue;
            };
            for (_, agent) in &agents {
                let refusal = match framework.refusal(role) {
                    Some(refusal) => Err(refusal),
                    None if !agent.active => Err(Refusal::AgentDeactivated),
                    None => client.offer(*key, agent, agent.free(), &self.options),
                };
                if let Err(refusal) = refusal {
                    reasons.push(Reason {
                        role: role.clone(),
                        agent: agent.id.clone(),
                        refusal,
                    });
                }
            }
        }
        reasons
    }

    fn end_filters(&mut self, now: Now) {
        while let Some((agent_key, key)) = self.expiries.pop_due(now) {
            let (Some(agent), Some(client)) =
                (self.agents.get_mut(&agent_key), self.clients.get_mut(&key))
            else {
                continue;
            };
            let Some(filters) = agent.filters.get_mut(&key) else {
                continue;
            };
            filters.drop_until(now.monotonic);
            if let Some(end) = filters.next_end() {
                self.expiries.set((agent_key, key), end);
            } else {
                agent.filters.remove(&key);
                client.filters.remove(&agent_key);
            }
            self.changes.filter_ended(agent_key, key);
        }
    }

    /// Who gets what of an agent.
    fn share(&self, key: AgentKey, candidates: &Candidates) -> Vec<(ClientKey, Resources)> {
        let Some(agent) = self.agents.get(&key) else {
            return Vec::new();
        };
        let mut free = agent.free().clone();
        // Mostly there is too little for anyone but those with a minimum of their own.
        let minimum = &self.options.min_allocatable_resources;
        let few = (!holds_any(&free, minimum)).then(|| match candidates {
            Candidates::All => self.own_minimum.clone(),
            Candidates::Only(clients) => clients & &self.own_minimum,
        });
        let mut shares = Vec::new();
        let mut consider = |client: ClientKey, free: &mut Resources| {
            let offer = self
                .clients
                .get(&client)
                .and_then(|it| it.offer(client, agent, free, &self.options).ok());
            if let Some(offer) = offer {
                *free -= &offer;
                shares.push((client, offer));
            }
        };
        match (few.as_ref(), candidates) {
            (None, Candidates::All) => {
                let mut walk = self.tree.walk();
                while !free.is_empty()
                    && let Some(client) = walk.next(|place| can_use(place, &free))
                {
                    consider(client, &mut free);
                }
            }
            (Some(clients), _) | (None, Candidates::Only(clients)) => {
                for client in self.in_order(clients) {
                    consider(client, &mut free);
                }
            }
        }
        shares
    }

    /// Those of the clients that are active, in the order of shares.
    fn in_order(&self, clients: &BTreeSet<ClientKey>) -> Vec<ClientKey> {
        let mut ordered: Vec<ClientKey> = clients
            .iter()
            .filter(|key| self.is_active(**key))
            .copied()
            .collect();
        if ordered.len() > 1 {
            ordered.sort_by_cached_key(|key| {
                let client = self.clients.get(key);
                client.map(|client| self.tree.position(client.node))
            });
        }
        ordered
    }

    fn is_active(&self, key: ClientKey) -> bool {
        let client = self.clients.get(&key);
        client.is_some_and(|client| self.tree.is_active(client.node))
    }

    fn propose(
        &mut self,
        key: ClientKey,
        agent: AgentKey,
        resources: &Resources,
    ) -> Option<(u64, Proposal)> {
        let (client, agent) = self.hold(key, agent, resources, Why::Chosen)?;
        let proposal = Proposal {
            framework: client.framework.clone(),
            role: client.role.clone(),
            agent: agent.id.clone(),
            resources: resources.allocate(&client.role),
        };
        Some((client.framework_number, proposal))
    }
}

/// Whether anyone at or below the place could be allocated a part of the resources.
fn can_use(place: &Place, free: &Resources) -> bool {
    free.iter().any(|resource| match place {
        Place::Own(role) => resource.is_allocatable_to(role),
        Place::Role(role) => {
            resource.is_allocatable_to(role)
                || resource
                    .reservation_role()
                    .is_some_and(|reserved| roles::is_strict_subrole_of(reserved, role))
        }
        Place::Client(_) => true,
    })
}
