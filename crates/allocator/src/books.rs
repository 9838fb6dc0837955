//! What the calls have in common: clients that come, go and take part, and what they hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use meseta_proto::v1::{AgentId, AgentInfo, FrameworkId};
use meseta_resources::{Quantities, Resource, Resources, roles};

use crate::agent::{Agent, AgentKey, countable};
use crate::client::Client;
use crate::quota::reserved;
use crate::tree::ClientKey;
use crate::{Allocator, FrameworkView};

/// How a client came to hold something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Why {
    /// It was its turn.
    Chosen,
    /// The caller said so.
    Told,
}

impl Allocator {
    pub(crate) fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(self.agent_keys.get(id)?)
    }

    /// Writes down that a client holds something of an agent.
    pub(crate) fn hold(
        &mut self,
        key: ClientKey,
        agent_key: AgentKey,
        resources: &Resources,
        why: Why,
    ) -> Option<(&Client, &Agent)> {
        let client = self.clients.get_mut(&key)?;
        let agent = self.agents.get_mut(&agent_key)?;
        agent.take(key, resources);
        client.holds.insert(agent_key);
        let amount = countable(resources);
        if !self.quotas.is_empty() {
            let consumed = resources.under_quota();
            match why {
                Why::Chosen => self.quotas.consume(&client.role, &consumed),
                Why::Told => self.quotas.consume_unavailable(&client.role, &consumed),
            }
        }
        self.maintenances.holders_changed(agent_key);
        match why {
            Why::Chosen => self.tree.charge_chosen(client.node, &amount),
            Why::Told => self.tree.charge(client.node, &amount),
        }
        self.index(agent_key);
        Some((self.clients.get(&key)?, self.agents.get(&agent_key)?))
    }

    pub(crate) fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    pub(crate) fn is_remote(&self, agent: &AgentInfo) -> bool {
        let fault_domain = || agent.domain.as_ref()?.fault_domain.as_ref();
        match (fault_domain(), &self.options.region) {
            (Some(domain), Some(region)) => domain.region != *region,
            _ => false,
        }
    }

    pub(crate) fn is_listed(&self, agent: &AgentInfo) -> bool {
        let whitelist = self.whitelist.as_ref();
        whitelist.is_none_or(|hostnames| hostnames.contains(&agent.hostname))
    }

    pub(crate) fn is_subscribed(&self, id: &FrameworkId) -> bool {
        self.frameworks
            .get(id)
            .is_some_and(|framework| framework.view.is_some())
    }

    pub(crate) fn named_or_all(
        &self,
        id: &FrameworkId,
        roles: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let view = self
            .frameworks
            .get(id)
            .and_then(|framework| framework.view.as_ref());
        match view {
            None => BTreeSet::new(),
            Some(view) if roles.is_empty() => view.roles.clone(),
            Some(view) => roles.intersection(&view.roles).cloned().collect(),
        }
    }

    pub(crate) fn change_agent(&mut self, id: &AgentId, change: impl FnOnce(&mut Agent)) {
        let Some(key) = self.agent_keys.get(id).copied() else {
            return;
        };
        if let Some(agent) = self.agents.get_mut(&key) {
            change(agent);
            self.freed(key);
        }
    }

    pub(crate) fn set_total(&mut self, key: AgentKey, total: Resources) {
        if let Some(agent) = self.agents.get_mut(&key) {
            let before = agent.total().clone();
            self.tree.shrink(&countable(&before));
            self.tree.grow(&countable(&total));
            agent.set_total(total);
            let after = agent.total().clone();
            self.reservations_changed(&before, &after);
            self.index(key);
        }
    }

    /// Keeps the index of agents with something free, and the count of what is available for
    /// guarantees.
    pub(crate) fn index(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(&key) else {
            return;
        };
        let offerable = agent.takes_part() && !agent.free().is_empty();
        if !self.quotas.is_empty() {
            let available = agent.count_available();
            self.quotas.change_available(&agent.available, &available);
            agent.available = available;
        }
        if offerable {
            self.offerable.insert(key);
        } else {
            self.offerable.remove(&key);
        }
    }

    /// Something may have become free on the agent.
    pub(crate) fn freed(&mut self, key: AgentKey) {
        self.index(key);
        if self.offerable.contains(&key) {
            self.changes.agent_freed(key);
        }
    }

    pub(crate) fn set_view(&mut self, id: &FrameworkId, view: FrameworkView) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let suppressed = &view.suppressed_roles & &view.roles;
        let revived = &framework.suppressed - &suppressed;
        framework.suppressed = suppressed;
        let view = Arc::new(view);
        framework.view = Some(Arc::clone(&view));
        let kept: BTreeSet<String> = framework.clients.keys().cloned().collect();
        for role in &kept | &view.roles {
            let key = self.client(id, &role);
            if let Some(client) = self.clients.get_mut(&key) {
                client.view = Arc::clone(&view);
            }
            if view.min_allocatable_resources.contains_key(&role) {
                self.own_minimum.insert(key);
            } else {
                self.own_minimum.remove(&key);
            }
            self.stop_proposals(key);
            if !view.roles.contains(&role) || revived.contains(&role) {
                self.forget_filters(key);
            }
            self.start(key);
            self.remove_if_unused(key);
        }
    }

    /// The framework's client in the role, made when there is none.
    pub(crate) fn client(&mut self, id: &FrameworkId, role: &str) -> ClientKey {
        let framework = self.frameworks.entry(id.clone()).or_default();
        if let Some(key) = framework.clients.get(role) {
            return *key;
        }
        let view = framework.view.clone().unwrap_or_default();
        self.next_key += 1;
        let key = ClientKey(self.next_key);
        framework.clients.insert(role.to_owned(), key);
        let client = Client {
            framework: id.clone(),
            framework_number: *framework.number.get_or_insert(self.next_key),
            role: role.into(),
            node: self.tree.add_client(role, id.as_str(), key),
            view,
            holds: BTreeSet::new(),
            filters: BTreeSet::new(),
        };
        self.clients.insert(key, client);
        key
    }

    /// Lets a client take part, if its framework wants offers in the role.
    pub(crate) fn start(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get(&key) else {
            return;
        };
        let Some(framework) = self.frameworks.get(&client.framework) else {
            return;
        };
        if framework.subscribes(&client.role) && framework.refusal(&client.role).is_none() {
            self.tree.set_active(client.node, true);
            self.changes.client_came(key);
        }
    }

    pub(crate) fn stop_proposals(&mut self, key: ClientKey) {
        if let Some(client) = self.clients.get(&key) {
            self.tree.set_active(client.node, false);
        }
    }

    pub(crate) fn stop(&mut self, key: ClientKey) {
        self.stop_proposals(key);
        self.forget_filters(key);
    }

    /// Forgets a client whose framework neither subscribes to the role nor holds anything in it.
    pub(crate) fn remove_if_unused(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get(&key) else {
            return;
        };
        let Some(framework) = self.frameworks.get_mut(&client.framework) else {
            return;
        };
        if framework.subscribes(&client.role) || !client.holds.is_empty() {
            return;
        }
        framework.clients.remove(&*client.role);
        if framework.clients.is_empty() && framework.view.is_none() {
            self.frameworks.remove(&client.framework);
        }
        self.tree.remove_client(client.node);
        self.changes.forget_client(key);
        self.own_minimum.remove(&key);
        self.forget_filters(key);
        self.clients.remove(&key);
    }

    pub(crate) fn take_of(
        &mut self,
        framework: &FrameworkId,
        agent: AgentKey,
        resources: &Resources,
    ) {
        for (role, part) in by_role(resources) {
            let client = self.client(framework, &role);
            self.hold(client, agent, &part, Why::Told);
        }
    }

    pub(crate) fn give_back(
        &mut self,
        framework: &FrameworkId,
        agent_key: AgentKey,
        resources: &Resources,
    ) {
        for (role, part) in by_role(resources) {
            let Some(key) = self.client_key(framework, &role) else {
                continue;
            };
            let (Some(client), Some(agent)) =
                (self.clients.get_mut(&key), self.agents.get_mut(&agent_key))
            else {
                continue;
            };
            let given = agent.give_back(key, &part);
            self.tree.discharge(client.node, &countable(&given));
            if !self.quotas.is_empty() {
                self.quotas.release(&client.role, &given.under_quota());
            }
            if agent.held_by(key).is_none() {
                client.holds.remove(&agent_key);
                self.remove_if_unused(key);
            }
        }
        self.index(agent_key);
    }

    /// Exchanges what a framework holds, role by role.
    pub(crate) fn convert_of(
        &mut self,
        framework: &FrameworkId,
        agent_key: AgentKey,
        consumed: &Resources,
        converted: &Resources,
    ) {
        let mut converted = by_role(converted);
        let exchanges: Vec<(String, Resources, Resources)> = by_role(consumed)
            .into_iter()
            .map(|(role, consumed)| {
                let converted = converted.remove(&role).unwrap_or_default();
                (role, consumed, converted)
            })
            .collect();
        let made = converted
            .into_iter()
            .map(|(role, converted)| (role, Resources::new(), converted));
        for (role, consumed, converted) in exchanges.into_iter().chain(made) {
            let key = self.client(framework, &role);
            let (Some(client), Some(agent)) =
                (self.clients.get_mut(&key), self.agents.get_mut(&agent_key))
            else {
                continue;
            };
            agent.convert(key, &consumed, &converted);
            let (before, after) = (countable(&consumed), countable(&converted));
            if before != after {
                self.tree.discharge(client.node, &before);
                self.tree.charge(client.node, &after);
                self.tree.shrink(&before);
                self.tree.grow(&after);
            }
            if agent.held_by(key).is_some() {
                client.holds.insert(agent_key);
            } else {
                client.holds.remove(&agent_key);
            }
            if !self.quotas.is_empty() {
                self.quotas.consume(&role, &converted.under_quota());
                self.quotas.release(&role, &consumed.under_quota());
            }
            self.reservations_changed(&consumed, &converted);
            self.remove_if_unused(key);
        }
        self.index(agent_key);
    }

    /// An agent has other reservations than before.
    pub(crate) fn reservations_changed(&mut self, before: &Resources, after: &Resources) {
        if self.quotas.is_empty() {
            return;
        }
        for (role, amount) in reserved(after) {
            self.quotas.consume_unavailable(role, &amount);
        }
        for (role, amount) in reserved(before) {
            self.quotas.release(role, &amount);
        }
    }

    /// Counts from the beginning what counts against quotas.
    pub(crate) fn recount_quotas(&mut self) {
        if self.quotas.is_empty() {
            return;
        }
        let mut available = Quantities::new();
        for agent in self.agents.values_mut() {
            agent.available = agent.count_available();
            available += &agent.available;
        }
        let consumed = self.consumption();
        self.quotas.recount(&consumed, available);
    }

    /// What each role has reserved or holds beside, without what those below it have.
    fn consumption(&self) -> HashMap<String, Quantities> {
        let mut consumed: HashMap<String, Quantities> = HashMap::new();
        for agent in self.agents.values() {
            for (role, amount) in reserved(agent.total()) {
                *consumed.entry(role.to_owned()).or_default() += &amount;
            }
            for (key, held) in agent.holders() {
                if let Some(client) = self.clients.get(&key) {
                    let amount = held.under_quota();
                    *consumed.entry(client.role.to_string()).or_default() += &amount;
                }
            }
        }
        consumed
    }

    /// Whether the books of quotas agree with those of agents.
    pub(crate) fn check_quotas(&self) -> Result<(), String> {
        if self.quotas.is_empty() {
            return Ok(());
        }
        let taking_part = self.agents.values().filter(|agent| agent.takes_part());
        let mut available = Quantities::new();
        for agent in taking_part {
            available += &agent.free().under_quota();
        }
        if available != *self.quotas.available() {
            return Err(format!("{available} is available, counted else"));
        }
        self.quotas.check(&self.consumption())
    }

    pub(crate) fn client_key(&self, framework: &FrameworkId, role: &str) -> Option<ClientKey> {
        self.frameworks.get(framework)?.clients.get(role).copied()
    }

    pub(crate) fn add_filter(
        &mut self,
        framework: &FrameworkId,
        role: &str,
        agent: &AgentId,
        refused: Resources,
        until: Duration,
    ) {
        let (Some(key), Some(agent_key)) = (
            self.client_key(framework, role),
            self.agent_keys.get(agent).copied(),
        ) else {
            return;
        };
        let wanted = self
            .frameworks
            .get(framework)
            .is_some_and(|framework| framework.active && framework.subscribes(role));
        let Some(client) = self.clients.get_mut(&key).filter(|_| wanted) else {
            return;
        };
        if let Some(agent) = self.agents.get_mut(&agent_key) {
            let filters = agent.filters.entry(key).or_default();
            filters.add(refused, until);
            if client.filters.insert(agent_key) {
                *self.filtered.entry(Arc::clone(&client.role)).or_default() += 1;
            }
            if let Some(end) = filters.next_end() {
                self.expiries.set((agent_key, key), end);
            }
        }
    }

    /// Forgets that a client has filters for an agent, which itself has forgotten them.
    pub(crate) fn forget_filter(&mut self, agent: AgentKey, key: ClientKey) {
        self.expiries.cancel(&(agent, key));
        if let Some(client) = self.clients.get_mut(&key) {
            let count = usize::from(client.filters.remove(&agent));
            forget_filtered(&mut self.filtered, &client.role, count);
        }
    }

    pub(crate) fn forget_filters(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        let filters = std::mem::take(&mut client.filters);
        forget_filtered(&mut self.filtered, &client.role, filters.len());
        for agent_key in filters {
            self.expiries.cancel(&(agent_key, key));
            if let Some(agent) = self.agents.get_mut(&agent_key) {
                agent.filters.remove(&key);
            }
        }
    }
}

/// Counts filters of a role no longer.
pub(crate) fn forget_filtered(
    filtered: &mut OrdMap<Arc<str>, usize>,
    role: &Arc<str>,
    count: usize,
) {
    if let Some(counted) = filtered.get_mut(role) {
        *counted = counted.saturating_sub(count);
        if *counted == 0 {
            filtered.remove(role);
        }
    }
}

/// What is allocated to each role, no longer marked as such. What is allocated to none counts for
/// the default role, so that it is never given out twice.
pub(crate) fn by_role(resources: &Resources) -> BTreeMap<String, Resources> {
    let mut allocated = resources.iter().map(Resource::allocation_role);
    if let Some(first) = allocated.next()
        && allocated.all(|role| role == first)
    {
        // As nearly always: one role's, which need not be taken apart.
        let role = first.unwrap_or(roles::DEFAULT);
        return BTreeMap::from([(role.to_owned(), resources.unallocate())]);
    }
    let mut parts = resources.allocations();
    let unallocated = resources.filter(|resource| resource.allocation_role().is_none());
    if !unallocated.is_empty() {
        *parts.entry(roles::DEFAULT.to_owned()).or_default() += &unallocated;
    }
    for part in parts.values_mut() {
        *part = part.unallocate();
    }
    parts
}
