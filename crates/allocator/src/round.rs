//! One allocation: what is free on the agents that changed goes to clients in the order of shares.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_machine::Now;
use meseta_resources::Resources;

use crate::agent::AgentKey;
use crate::books::{Why, forget_filtered};
use crate::limits::FEW_CLIENTS;
use crate::pace::Repeated;
use crate::share::{Look, Stage};
use crate::tree::ClientKey;
use crate::{Allocator, Proposal};

/// What happened since the last allocation that may lead to a proposal.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    agents: BTreeMap<AgentKey, Candidates>,
    /// Agents of which only what was refused is to be offered, to others or once more.
    repeated: Repeated,
    /// Clients that may now take what others left.
    clients: BTreeSet<ClientKey>,
    /// Where the next allocation begins, so that no agents are always the first to be given away.
    turn: Option<AgentKey>,
}

/// Who may want what is free on an agent.
#[derive(Debug)]
pub(crate) enum Candidates {
    /// More is free than before: anyone.
    All,
    /// These alone: their filters have run out, or they came.
    Only(BTreeSet<ClientKey>),
}

impl Candidates {
    pub(crate) fn join(&mut self, client: ClientKey) {
        if let Self::Only(some) = self {
            some.insert(client);
        }
    }
}

impl Changes {
    /// Whether an allocation now may find something.
    pub(crate) fn is_due(&self) -> bool {
        !self.agents.is_empty() || !self.clients.is_empty() || self.repeated.is_due()
    }

    /// When an allocation may find something though nothing happens.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.repeated.next_due()
    }

    pub(crate) fn agent_freed(&mut self, agent: AgentKey) {
        self.repeated.forget(agent);
        self.agents.insert(agent, Candidates::All);
    }

    pub(crate) fn agent_declined(&mut self, agent: AgentKey) {
        match self.agents.get_mut(&agent) {
            Some(sooner) => *sooner = Candidates::All,
            None => self.repeated.declined(agent),
        }
    }

    pub(crate) fn filter_ended(&mut self, agent: AgentKey, client: ClientKey) {
        match self.agents.get_mut(&agent) {
            Some(sooner) => sooner.join(client),
            None => self.repeated.unfiltered(agent, client),
        }
    }

    pub(crate) fn client_came(&mut self, client: ClientKey) {
        self.clients.insert(client);
    }

    pub(crate) fn forget_agent(&mut self, agent: AgentKey) {
        self.agents.remove(&agent);
        self.repeated.forget(agent);
    }

    pub(crate) fn forget_client(&mut self, client: ClientKey) {
        self.clients.remove(&client);
    }

    /// The agents to look at, each with its candidates; `offerable` are all with something free.
    fn take(
        &mut self,
        offerable: &BTreeSet<AgentKey>,
        monotonic: Duration,
    ) -> Vec<(AgentKey, Candidates)> {
        let mut agents = std::mem::take(&mut self.agents);
        agents.retain(|agent, _| offerable.contains(agent));
        let is_offerable = |agent| offerable.contains(&agent);
        agents.extend(self.repeated.take(monotonic, is_offerable));
        let clients = std::mem::take(&mut self.clients);
        if clients.len() > FEW_CLIENTS {
            agents = offerable.iter().map(|it| (*it, Candidates::All)).collect();
        } else if !clients.is_empty() {
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

/// What comes out of one allocation.
#[derive(Debug, Default)]
struct Proposals {
    /// With the number of the framework.
    all: Vec<(u64, Proposal)>,
    /// Where those of the first stage are, so that the second can add to them.
    guaranteed: BTreeMap<(AgentKey, ClientKey), usize>,
}

impl Allocator {
    /// Shares what is free. Proposals to one framework stand together.
    pub fn allocate(&mut self, now: Now) -> Vec<Proposal> {
        if self.is_recovering(now) {
            return Vec::new();
        }
        self.end_filters(now);
        self.look_where_quota_eased(now);
        self.tree.refresh();
        let agents = self.changes.take(&self.offerable, now.monotonic);
        let mut proposals = Proposals {
            all: Vec::with_capacity(agents.len()),
            ..Proposals::default()
        };
        for (key, candidates) in &agents {
            if !self.quotas.has_unmet() {
                break;
            }
            self.serve(*key, candidates, Stage::Guarantees, &mut proposals);
        }
        for (key, candidates) in &agents {
            self.serve(*key, candidates, Stage::FairShares, &mut proposals);
        }
        let mut numbered = proposals.all;
        numbered.sort_by_key(|(framework, _)| *framework);
        numbered.into_iter().map(|(_, proposal)| proposal).collect()
    }

    /// When agents of which quota held something back are worth another look.
    pub(crate) fn next_easing(&self) -> Option<Duration> {
        let last = self.last_easing.unwrap_or_default();
        let waiting = self.quotas.eased && !self.held_back.is_empty();
        waiting.then(|| match self.last_easing {
            Some(_) => last.saturating_add(self.options.allocation_interval),
            None => last,
        })
    }

    /// Any task that ends may leave room for what is held back anywhere, so these looks come in
    /// intervals, not with each change.
    fn look_where_quota_eased(&mut self, now: Now) {
        if self.held_back.is_empty() {
            // What is held back from now on is so by what is known now.
            self.quotas.eased = false;
        }
        if self.next_easing().is_some_and(|time| time <= now.monotonic) {
            self.last_easing = Some(now.monotonic);
            self.quotas.eased = false;
            for key in std::mem::take(&mut self.held_back) {
                self.changes.agent_freed(key);
            }
        }
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
                forget_filtered(&mut self.filtered, &client.role, 1);
            }
            self.changes.filter_ended(agent_key, key);
        }
    }

    /// Gives what is free on an agent away. With quotas, what one gets changes what the next may.
    fn serve(
        &mut self,
        key: AgentKey,
        candidates: &Candidates,
        stage: Stage,
        proposals: &mut Proposals,
    ) {
        let mut served = Vec::new();
        loop {
            let shares = Look::new(self, key, stage, &served).map(|look| look.share(candidates));
            let Some(shares) = shares else {
                return;
            };
            if shares.held_back && stage == Stage::FairShares {
                self.held_back.insert(key);
            }
            let found = !shares.grants.is_empty();
            let is_last = !found || self.quotas.is_empty();
            for (client, resources) in shares.grants {
                if !is_last {
                    served.push(client);
                }
                self.propose(client, key, &resources, stage, proposals);
            }
            if is_last {
                return;
            }
        }
    }

    fn propose(
        &mut self,
        key: ClientKey,
        agent_key: AgentKey,
        resources: &Resources,
        stage: Stage,
        proposals: &mut Proposals,
    ) {
        let Some((client, agent)) = self.hold(key, agent_key, resources, Why::Chosen) else {
            return;
        };
        let resources = resources.allocate_to(&client.role);
        let earlier = proposals.guaranteed.get(&(agent_key, key));
        if let Some((_, proposal)) = earlier.and_then(|place| proposals.all.get_mut(*place)) {
            proposal.resources += &resources;
            return;
        }
        if stage == Stage::Guarantees {
            let place = proposals.all.len();
            proposals.guaranteed.insert((agent_key, key), place);
        }
        let proposal = Proposal {
            framework: client.framework.clone(),
            role: (*client.role).to_owned(),
            agent: agent.id.clone(),
            resources,
        };
        proposals.all.push((client.framework_number, proposal));
    }
}
