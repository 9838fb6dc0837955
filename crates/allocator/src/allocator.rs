//! What the allocator knows, and the calls that tell it. What is shared with whom is in
//! [`round`](crate::round).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use meseta_machine::{Now, Timers};
use meseta_proto::v1::{AgentId, AgentInfo, FrameworkId, agent_info};
use meseta_resources::{Quantities, Resources, roles};

use crate::agent::{Agent, AgentKey, countable};
use crate::books::by_role;
use crate::client::{Client, Framework};
use crate::keys::KeyMap;
use crate::limits::MAX_REFUSAL;
use crate::maintenance::Maintenances;
use crate::quota::Quotas;
use crate::recovery::Recovery;
use crate::round::Changes;
use crate::tree::{ClientKey, Tree};
use crate::{AgentView, FrameworkView, Options, Quota};

/// Who gets what. See the [crate](crate) for an example.
#[derive(Debug)]
pub struct Allocator {
    pub(crate) options: Options,
    pub(crate) agents: KeyMap<AgentKey, Agent>,
    pub(crate) agent_keys: HashMap<AgentId, AgentKey>,
    pub(crate) frameworks: HashMap<FrameworkId, Framework>,
    pub(crate) clients: KeyMap<ClientKey, Client>,
    pub(crate) tree: Tree,
    /// Active agents on which something is free.
    pub(crate) offerable: BTreeSet<AgentKey>,
    /// Clients that say themselves what makes an offer.
    pub(crate) own_minimum: BTreeSet<ClientKey>,
    pub(crate) changes: Changes,
    /// When the first filter of a client for an agent runs out.
    pub(crate) expiries: Timers<(AgentKey, ClientKey)>,
    pub(crate) quotas: Quotas,
    /// Agents of which quota held something back, and when they were last looked at for that.
    pub(crate) held_back: BTreeSet<AgentKey>,
    pub(crate) last_easing: Option<Duration>,
    pub(crate) maintenances: Maintenances,
    pub(crate) recovery: Option<Recovery>,
    /// For how many agents the frameworks of each role have filters, added up.
    pub(crate) filtered: OrdMap<Arc<str>, usize>,
    /// The hostnames of the agents that are proposed, if not all are.
    pub(crate) whitelist: Option<BTreeSet<String>>,
    pub(crate) next_key: u64,
}

/// Resources that a framework should be offered. The allocator counts them as taken until they are
/// given back with [`Allocator::recover`] or [`Allocator::decline`].
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Whom to offer to.
    pub framework: FrameworkId,
    /// In which of its roles.
    pub role: String,
    /// Of which agent.
    pub agent: AgentId,
    /// What, allocated to the role.
    pub resources: Resources,
}

impl Allocator {
    /// An allocator without agents and frameworks.
    pub fn new(options: Options) -> Self {
        let mut tree = Tree::new(&options);
        for (role, weight) in &options.weights {
            tree.set_weight(role, checked_weight(*weight));
        }
        Self {
            agents: KeyMap::default(),
            agent_keys: HashMap::new(),
            frameworks: HashMap::new(),
            clients: KeyMap::default(),
            tree,
            offerable: BTreeSet::new(),
            own_minimum: BTreeSet::new(),
            changes: Changes::default(),
            expiries: Timers::default(),
            quotas: Quotas::new(&options.min_allocatable_resources),
            held_back: BTreeSet::new(),
            last_easing: None,
            maintenances: Maintenances::default(),
            recovery: None,
            filtered: OrdMap::new(),
            whitelist: None,
            options,
            next_key: 0,
        }
    }

    /// Adds an agent, active. One with the same id is replaced.
    pub fn add_agent(&mut self, id: AgentId, agent: AgentView) {
        self.remove_agent(&id);
        let key = AgentKey(self.new_key());
        let remote = self.is_remote(&agent.info);
        let listed = self.is_listed(&agent.info);
        self.tree.grow(&countable(&agent.total));
        self.reservations_changed(&Resources::new(), &agent.total);
        self.agent_keys.insert(id.clone(), key);
        let mut entry = Agent::new(id, agent.info, agent.capabilities, remote, agent.total);
        entry.listed = listed;
        self.agents.insert(key, entry);
        for (framework, used) in agent.used {
            self.take_of(&framework, key, &used);
        }
        self.freed(key);
        self.agent_came();
    }

    /// Says what the agent has now. What is taken stays taken, even if there is less than that.
    pub fn update_agent(&mut self, id: &AgentId, total: Resources) {
        if let Some(key) = self.agent_keys.get(id).copied() {
            self.set_total(key, total);
            self.freed(key);
        }
    }

    /// Says anew what the agent is like. Filters for it stay unless its attributes changed: clients
    /// may have declined for want of one.
    pub fn describe_agent(
        &mut self,
        id: &AgentId,
        info: Arc<AgentInfo>,
        capabilities: Vec<agent_info::capability::Type>,
    ) {
        let (remote, listed) = (self.is_remote(&info), self.is_listed(&info));
        let Some(key) = self.agent_keys.get(id).copied() else {
            return;
        };
        let Some(agent) = self.agents.get_mut(&key) else {
            return;
        };
        let is_other = agent.info.attributes != info.attributes;
        agent.info = info;
        agent.capabilities = capabilities;
        agent.remote = remote;
        agent.listed = listed;
        if is_other {
            for client in std::mem::take(&mut agent.filters).into_keys() {
                self.forget_filter(key, client);
            }
        }
        self.freed(key);
    }

    /// Removes an agent with all that is taken of it and all filters for it.
    pub fn remove_agent(&mut self, id: &AgentId) {
        let Some(key) = self.agent_keys.remove(id) else {
            return;
        };
        let Some(agent) = self.agents.remove(&key) else {
            return;
        };
        self.offerable.remove(&key);
        self.held_back.remove(&key);
        self.changes.forget_agent(key);
        self.maintenances.forget_agent(key);
        self.quotas
            .change_available(&agent.available, &Quantities::new());
        self.reservations_changed(agent.total(), &Resources::new());
        self.tree.shrink(&countable(agent.total()));
        for filtering in agent.filters.keys() {
            self.forget_filter(key, *filtering);
        }
        for (holder, held) in agent.holders() {
            if let Some(client) = self.clients.get_mut(&holder) {
                client.holds.remove(&key);
                self.tree.discharge(client.node, &countable(held));
                self.quotas.release(&client.role, &held.under_quota());
            }
            self.remove_if_unused(holder);
        }
    }

    /// Makes proposals of the agent again.
    pub fn activate_agent(&mut self, id: &AgentId) {
        self.change_agent(id, |agent| agent.active = true);
    }

    /// Makes no proposals of the agent.
    pub fn deactivate_agent(&mut self, id: &AgentId) {
        self.change_agent(id, |agent| agent.active = false);
    }

    /// Proposes agents of these hostnames alone; of all again when there is no list. What others
    /// have given stays where it is.
    pub fn set_whitelist(&mut self, hostnames: Option<BTreeSet<String>>) {
        self.whitelist = hostnames;
        let keys: Vec<AgentKey> = self.agents.keys().copied().collect();
        for key in keys {
            let info = self.agents.get(&key).map(|agent| Arc::clone(&agent.info));
            let listed = info.is_some_and(|info| self.is_listed(&info));
            if let Some(agent) = self.agents.get_mut(&key)
                && agent.listed != listed
            {
                agent.listed = listed;
                self.freed(key);
            }
        }
    }

    /// Adds a framework, active. What agents hold of it already counts as its own.
    pub fn add_framework(&mut self, id: FrameworkId, framework: FrameworkView) {
        let entry = self.frameworks.entry(id);
        let id = entry.key().clone();
        entry.or_default().active = true;
        self.set_view(&id, framework);
        self.maintenances.frameworks_changed();
    }

    /// Says anew what the framework is like. Filters in roles that it keeps stay, except in those
    /// that are suppressed no longer.
    pub fn update_framework(&mut self, id: &FrameworkId, framework: FrameworkView) {
        if self.is_subscribed(id) {
            self.set_view(id, framework);
        }
    }

    /// Removes a framework with its filters. What it still holds stays taken until it is recovered.
    pub fn remove_framework(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        framework.active = false;
        framework.view = None;
        framework.suppressed.clear();
        self.maintenances.forget_framework(id);
        let clients: Vec<ClientKey> = framework.clients.values().copied().collect();
        if clients.is_empty() {
            self.frameworks.remove(id);
        }
        for client in clients {
            self.stop(client);
            self.remove_if_unused(client);
        }
    }

    /// Makes proposals to the framework again.
    pub fn activate_framework(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        if framework.view.is_some() && !framework.active {
            framework.active = true;
            let clients: Vec<ClientKey> = framework.clients.values().copied().collect();
            for client in clients {
                self.start(client);
            }
            self.maintenances.frameworks_changed();
        }
    }

    /// Makes no proposals to the framework, and forgets its filters.
    pub fn deactivate_framework(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        framework.active = false;
        let clients: Vec<ClientKey> = framework.clients.values().copied().collect();
        for client in clients {
            self.stop(client);
        }
    }

    /// Makes no proposals to the framework in these roles; in all of its roles when none is named.
    pub fn suppress(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) {
        for role in self.named_or_all(id, roles) {
            let Some(framework) = self.frameworks.get_mut(id) else {
                return;
            };
            let client = framework.clients.get(&role).copied();
            framework.suppressed.insert(role);
            if let Some(client) = client.and_then(|key| self.clients.get(&key)) {
                self.tree.set_active(client.node, false);
            }
        }
    }

    /// Makes proposals in these roles again and forgets the filters there; in all of its roles when
    /// none is named.
    pub fn revive(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) {
        for role in self.named_or_all(id, roles) {
            let Some(framework) = self.frameworks.get_mut(id) else {
                return;
            };
            framework.suppressed.remove(&role);
            if let Some(client) = framework.clients.get(&role).copied() {
                self.forget_filters(client);
                self.start(client);
            }
        }
    }

    /// Sets the weight of a role; what is not above zero counts as 1.
    pub fn set_weight(&mut self, role: &str, weight: f64) {
        self.tree.set_weight(role, checked_weight(weight));
    }

    /// Sets quotas of roles; default ones take them away. What is offered or in use stays so, even
    /// above limits (see [`to_rescind`](Self::to_rescind)).
    pub fn set_quotas(&mut self, quotas: impl IntoIterator<Item = (String, Quota)>) {
        let had_none = self.quotas.is_empty();
        self.quotas.set(quotas);
        if had_none {
            self.recount_quotas();
        }
        // What was held back before may be offered now.
        for key in std::mem::take(&mut self.held_back) {
            self.changes.agent_freed(key);
        }
        self.quotas.eased = false;
    }

    /// The quota of a role, if it has one.
    pub fn quota(&self, role: &str) -> Option<&Quota> {
        self.quotas.get(role)
    }

    /// The frameworks that subscribe to a role or one below it, or hold something there.
    pub fn frameworks_in<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a FrameworkId> {
        let is_in = move |framework: &Framework| {
            let mut clients = framework.clients.keys();
            clients.any(|its| roles::is_in_subtree_of(its, role))
        };
        let frameworks = self.frameworks.iter();
        frameworks
            .filter(move |(_, framework)| is_in(framework))
            .map(|(id, _)| id)
    }

    /// What counts against the quota of a role that has one: reservations, and what is offered or
    /// in use beside them.
    pub fn quota_consumed(&self, role: &str) -> Option<&Quantities> {
        self.quotas.consumed(role)
    }

    /// Counts resources (allocated to roles) as taken that did not come from a proposal, such as
    /// those of a task that an agent tells of. Those from a proposal are taken already, whether
    /// they lie in an offer or in a task.
    pub fn take(&mut self, framework: &FrameworkId, agent: &AgentId, resources: &Resources) {
        if let Some(key) = self.agent_keys.get(agent).copied() {
            self.take_of(framework, key, resources);
        }
    }

    /// Exchanges what a framework has taken for something else, as operations on an offer do
    /// (reserving, creating volumes). The agent's total changes in the same way. Nothing happens
    /// when the framework does not hold what is consumed.
    pub fn convert(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        consumed: &Resources,
        converted: &Resources,
    ) {
        let Some(key) = self.agent_keys.get(agent).copied() else {
            return;
        };
        if !self.taken(framework, agent).contains(consumed) {
            return;
        }
        self.convert_of(framework, key, consumed, converted);
        // Who makes a shared volume leaves it to others as well.
        self.freed(key);
    }

    /// Takes resources (allocated to roles) back, free for anyone at once. What is not held by
    /// the framework on the agent is left out; either may be gone already.
    pub fn recover(&mut self, framework: &FrameworkId, agent: &AgentId, resources: &Resources) {
        if let Some(key) = self.agent_keys.get(agent).copied() {
            self.give_back(framework, key, resources);
            self.freed(key);
        }
    }

    /// Like [`recover`](Self::recover), but the framework is not offered a part of them again for
    /// some time, and others at a bounded pace (see [`refusal_time`](crate::refusal_time)).
    pub fn decline(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        refuse_for: Duration,
        now: Now,
    ) {
        if refuse_for.is_zero() {
            self.recover(framework, agent, resources);
            return;
        }
        if let Some(key) = self.agent_keys.get(agent).copied() {
            self.give_back(framework, key, resources);
            if self.offerable.contains(&key) {
                self.changes.agent_declined(key);
            }
        }
        let until = now.monotonic.saturating_add(refuse_for.min(MAX_REFUSAL));
        for (role, refused) in by_role(resources) {
            self.add_filter(framework, &role, agent, refused, until);
        }
    }

    /// For how many agents the frameworks of each role have declined something for some time, added
    /// up. Taken in constant time, however many roles there are.
    pub fn offer_filters(&self) -> OrdMap<Arc<str>, usize> {
        self.filtered.clone()
    }

    /// Whether something changed since the last allocation that may lead to a proposal, or to an
    /// inverse one.
    pub fn is_pending(&self) -> bool {
        (self.changes.is_due() && self.recovery.is_none()) || self.maintenances.is_pending()
    }

    /// When [`allocate`](Self::allocate) and [`inverse_offers`](Self::inverse_offers) are next
    /// worth a call though nothing changes, in monotonic time: a filter runs out, the wait after a
    /// failover ends, or it is time to see whether quotas have come to allow more.
    pub fn next_expiry(&self) -> Option<Duration> {
        let allocation = match &self.recovery {
            Some(_) => self.recovering_until(),
            None => self
                .expiries
                .next_due()
                .into_iter()
                .chain(self.next_easing())
                .chain(self.changes.next_due())
                .min(),
        };
        let inverse = self.maintenances.next_expiry();
        allocation.into_iter().chain(inverse).min()
    }

    /// What is free on an agent.
    pub fn free(&self, id: &AgentId) -> Option<&Resources> {
        Some(self.agent(id)?.free())
    }

    /// What a framework has taken of an agent, in offers and tasks, allocated to its roles.
    pub fn taken(&self, framework: &FrameworkId, agent: &AgentId) -> Resources {
        let mut taken = Resources::new();
        if let (Some(framework), Some(agent)) = (self.frameworks.get(framework), self.agent(agent))
        {
            for (role, client) in &framework.clients {
                if let Some(held) = agent.held_by(*client) {
                    taken += &held.allocate(role);
                }
            }
        }
        taken
    }

    /// Whether the books agree with each other. It looks at everything: for tests.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (key, agent) in &self.agents {
            agent.check_invariants()?;
            if self.offerable.contains(key) != (agent.takes_part() && !agent.free().is_empty()) {
                return Err(format!("agent {} is wrongly offerable or not", agent.id));
            }
        }
        for (key, client) in &self.clients {
            let Client {
                framework, role, ..
            } = client;
            let wanted = self.frameworks.get(framework).is_some_and(|framework| {
                framework.subscribes(role) && framework.refusal(role).is_none()
            });
            if self.tree.is_active(client.node) != wanted {
                return Err(format!("{framework} in {role}: wrongly active or not"));
            }
            let mut held = Quantities::new();
            for agent in client.holds.iter().filter_map(|key| self.agents.get(key)) {
                held += &agent.held_by(*key).map(countable).unwrap_or_default();
            }
            if held != self.tree.held(client.node) {
                return Err(format!("{framework} in {role}: holds {held}, counted else"));
            }
        }
        let mut filtered: BTreeMap<&str, usize> = BTreeMap::new();
        for client in self.clients.values().filter(|it| !it.filters.is_empty()) {
            *filtered.entry(&client.role).or_default() += client.filters.len();
        }
        let counted = self.filtered.iter().map(|(role, count)| (&**role, *count));
        if filtered != counted.collect() {
            return Err(format!("{filtered:?} filters, counted {:?}", self.filtered));
        }
        self.check_quotas()
    }
}

fn checked_weight(weight: f64) -> f64 {
    if weight.is_finite() && weight > 0.0 {
        weight
    } else {
        1.0
    }
}
