//! The books of one agent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use meseta_proto::v1::{AgentId, AgentInfo, agent_info};
use meseta_resources::{Quantities, Resources};

use crate::keys::KeyMap;
use crate::limits::MAX_FILTERS;
use crate::tree::ClientKey;

/// An agent; numbers are given in the order of coming, and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AgentKey(pub(crate) u64);

#[derive(Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is told by somebody else and says nothing of the others"
)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) info: Arc<AgentInfo>,
    pub(crate) capabilities: Vec<agent_info::capability::Type>,
    pub(crate) active: bool,
    /// Whether the whitelist has it, or there is none.
    pub(crate) listed: bool,
    /// Whether it is in another region than the master.
    pub(crate) remote: bool,
    /// What clients declined.
    pub(crate) filters: KeyMap<ClientKey, Filters>,
    /// What counts as available for guarantees.
    pub(crate) available: Quantities,
    total: Resources,
    /// What each client holds, not marked as allocated.
    held: BTreeMap<ClientKey, Resources>,
    /// What can be proposed: what is not held, and all that is shared.
    free: Resources,
    /// Whether more is held than there is. Then giving back does not always make free.
    overcommitted: bool,
}

impl Agent {
    pub(crate) fn new(
        id: AgentId,
        info: Arc<AgentInfo>,
        capabilities: Vec<agent_info::capability::Type>,
        remote: bool,
        total: Resources,
    ) -> Self {
        Self {
            id,
            info,
            capabilities,
            active: true,
            listed: true,
            remote,
            filters: KeyMap::default(),
            available: Quantities::new(),
            free: total.clone(),
            total,
            held: BTreeMap::new(),
            overcommitted: false,
        }
    }

    pub(crate) fn free(&self) -> &Resources {
        &self.free
    }

    /// Whether anything of it may be proposed.
    pub(crate) fn takes_part(&self) -> bool {
        self.active && self.listed
    }

    /// What is free for guarantees.
    pub(crate) fn count_available(&self) -> Quantities {
        if self.takes_part() {
            self.free.under_quota()
        } else {
            Quantities::new()
        }
    }

    pub(crate) fn total(&self) -> &Resources {
        &self.total
    }

    pub(crate) fn set_total(&mut self, total: Resources) {
        self.total = total;
        self.count_free();
    }

    pub(crate) fn has_gpus(&self) -> bool {
        self.total.gpus().is_some()
    }

    pub(crate) fn is_capable_of(&self, capability: agent_info::capability::Type) -> bool {
        self.capabilities.contains(&capability)
    }

    pub(crate) fn held_by(&self, client: ClientKey) -> Option<&Resources> {
        self.held.get(&client)
    }

    pub(crate) fn holders(&self) -> impl Iterator<Item = (ClientKey, &Resources)> {
        self.held.iter().map(|(client, held)| (*client, held))
    }

    pub(crate) fn take(&mut self, client: ClientKey, resources: &Resources) {
        *self.held.entry(client).or_default() += resources;
        let taken = resources.non_shared();
        if !self.overcommitted && self.free.contains(&taken) {
            self.free -= &taken;
        } else {
            self.count_free();
        }
    }

    /// Takes back at most what the client holds, and says what that was.
    pub(crate) fn give_back(&mut self, client: ClientKey, resources: &Resources) -> Resources {
        let given = self.drop_held(client, resources);
        if self.overcommitted {
            self.count_free();
        } else {
            self.free += &given.non_shared();
        }
        given
    }

    /// Exchanges what a client holds for something else that the agent then has instead.
    pub(crate) fn convert(
        &mut self,
        client: ClientKey,
        consumed: &Resources,
        converted: &Resources,
    ) {
        self.drop_held(client, consumed);
        if !converted.is_empty() {
            *self.held.entry(client).or_default() += converted;
        }
        self.total -= consumed;
        self.total += converted;
        let shared_before = self.free.shared();
        if self.overcommitted || shared_before != self.total.shared() {
            self.count_free();
        }
    }

    fn drop_held(&mut self, client: ClientKey, resources: &Resources) -> Resources {
        let Some(held) = self.held.get_mut(&client) else {
            return Resources::new();
        };
        let given = if held.contains(resources) {
            resources.clone()
        } else {
            &*held - &(&*held - resources)
        };
        *held -= &given;
        if held.is_empty() {
            self.held.remove(&client);
        }
        given
    }

    /// Counts from the beginning what is free.
    fn count_free(&mut self) {
        let mut free = self.total.non_shared();
        self.overcommitted = false;
        for held in self.held.values() {
            let held = held.non_shared();
            self.overcommitted |= !free.contains(&held);
            free -= &held;
        }
        // Shared resources can be offered while they are in use.
        free += &self.total.shared();
        self.free = free;
    }

    /// Whether the books agree with each other.
    pub(crate) fn check_invariants(&self) -> Result<(), String> {
        let held: Resources = self.held.values().sum();
        let held = held.non_shared();
        let mut free = &self.total.non_shared() - &held;
        free += &self.total.shared();
        if free != self.free {
            return Err(format!(
                "agent {}: {} is free, but clients hold {held} of {}",
                self.id, self.free, self.total
            ));
        }
        if self.overcommitted == self.total.contains(&held) {
            return Err(format!("agent {}: wrongly overcommitted or not", self.id));
        }
        Ok(())
    }
}

/// What counts in shares. Shared resources do not, because holding them keeps nobody out.
pub(crate) fn countable(resources: &Resources) -> Quantities {
    resources.non_shared().quantities()
}

/// What one client declined of one agent.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<Filter>);

#[derive(Debug)]
struct Filter {
    refused: Resources,
    until: Duration,
}

impl Filters {
    /// Adds one, unless others say as much already.
    pub(crate) fn add(&mut self, refused: Resources, until: Duration) {
        let covers = |a: &Filter, b: &Filter| a.until >= b.until && a.refused.contains(&b.refused);
        let new = Filter { refused, until };
        if self.0.iter().any(|old| covers(old, &new)) {
            return;
        }
        self.0.retain(|old| !covers(&new, old));
        self.0.push(new);
        if self.0.len() > MAX_FILTERS
            && let Some(first) = self.next_end()
        {
            self.drop_until(first);
        }
    }

    /// Until when the client does not want these, if so.
    pub(crate) fn refuses(&self, offer: &Resources) -> Option<Duration> {
        let covering = |filter: &&Filter| filter.refused.contains(offer);
        self.0
            .iter()
            .filter(covering)
            .map(|filter| filter.until)
            .max()
    }

    /// Drops those that end at or before a time.
    pub(crate) fn drop_until(&mut self, time: Duration) {
        self.0.retain(|filter| filter.until > time);
    }

    /// When the first of them ends.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        self.0.iter().map(|filter| filter.until).min()
    }
}
