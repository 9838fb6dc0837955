//! Frameworks, and what they are in each of their roles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meseta_proto::v1::{FrameworkId, agent_info, framework_info::capability::Type as Capability};
use meseta_resources::{Limits, Quantities, Resource, Resources};

use crate::agent::{Agent, AgentKey};
use crate::quota::{Room, less};
use crate::tree::{ClientKey, NodeKey};
use crate::{FrameworkView, Options, Refusal};

#[derive(Debug, Default)]
pub(crate) struct Framework {
    /// That of its first client.
    pub(crate) number: Option<u64>,
    /// `None` while only agents have told of it.
    pub(crate) view: Option<Arc<FrameworkView>>,
    pub(crate) active: bool,
    pub(crate) suppressed: BTreeSet<String>,
    /// By role: those that it subscribes to, and those in which it still holds something.
    pub(crate) clients: BTreeMap<String, ClientKey>,
}

impl Framework {
    /// What keeps it from offers in a role, whatever the agent.
    pub(crate) fn refusal(&self, role: &str) -> Option<Refusal> {
        if !self.active {
            Some(Refusal::FrameworkDeactivated)
        } else if self.suppressed.contains(role) {
            Some(Refusal::Suppressed)
        } else {
            None
        }
    }

    pub(crate) fn subscribes(&self, role: &str) -> bool {
        self.view
            .as_ref()
            .is_some_and(|view| view.roles.contains(role))
    }
}

/// A framework in one role.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) framework: FrameworkId,
    /// The number of its framework.
    pub(crate) framework_number: u64,
    pub(crate) role: Arc<str>,
    pub(crate) node: NodeKey,
    /// What the framework said last.
    pub(crate) view: Arc<FrameworkView>,
    /// Agents of which it holds something.
    pub(crate) holds: BTreeSet<AgentKey>,
    /// Agents for which it has filters.
    pub(crate) filters: BTreeSet<AgentKey>,
}

impl Client {
    /// What of an agent's free resources the client would be offered, or what speaks against it.
    pub(crate) fn offer(
        &self,
        key: ClientKey,
        agent: &Agent,
        free: &Resources,
        room: &Room,
        options: &Options,
    ) -> Result<Resources, Refusal> {
        self.accepts(agent, options)?;
        if free.is_empty() {
            return Err(Refusal::NothingFree);
        }
        let reachable = free.allocatable_to(&self.role);
        if reachable.is_empty() {
            return Err(Refusal::ReservedToOthers);
        }
        let offer = reachable.filter(|resource| self.can_take(resource));
        if offer.is_empty() {
            return Err(Refusal::Incapable);
        }
        if offer.iter().all(Resource::is_shared)
            && agent.held_by(key).is_some_and(|held| held.contains(&offer))
        {
            return Err(Refusal::AlreadyShared);
        }
        let minimum = self.minimum(options);
        if !holds_any(&offer, minimum) {
            return Err(Refusal::NotAllocatable {
                missing: Box::new(missing(&offer, minimum)),
                free: offer,
            });
        }
        let offer = cut(&offer, &room.limits, minimum).ok_or_else(|| Refusal::QuotaExhausted {
            free: offer.clone(),
        })?;
        let offer =
            cut(&offer, &room.surplus, minimum).ok_or_else(|| Refusal::HeldForGuarantees {
                free: offer.clone(),
            })?;
        let filters = agent.filters.get(&key);
        match filters.and_then(|filters| filters.refuses(&offer)) {
            Some(until) => Err(Refusal::Filtered { until }),
            None => Ok(offer),
        }
    }

    /// Whether the two go together, whatever is free.
    fn accepts(&self, agent: &Agent, options: &Options) -> Result<(), Refusal> {
        use agent_info::capability::Type::{HierarchicalRole, MultiRole};
        let capable = |capability| self.view.capabilities.contains(&capability);
        if capable(Capability::MultiRole) && !agent.is_capable_of(MultiRole) {
            return Err(Refusal::AgentNotMultiRole);
        }
        if self.role.contains('/') && !agent.is_capable_of(HierarchicalRole) {
            return Err(Refusal::AgentNotHierarchicalRole);
        }
        if options.filter_gpu_resources && agent.has_gpus() && !capable(Capability::GpuResources) {
            return Err(Refusal::Gpu);
        }
        if agent.remote && !capable(Capability::RegionAware) {
            return Err(Refusal::RemoteRegion);
        }
        let constraints = self.view.constraints.as_ref();
        if constraints.is_some_and(|constraints| constraints.exclude(&self.role, &agent.info)) {
            return Err(Refusal::Constraint);
        }
        Ok(())
    }

    fn can_take(&self, resource: &Resource) -> bool {
        let capable = |capability| self.view.capabilities.contains(&capability);
        (!resource.is_shared() || capable(Capability::SharedResources))
            && (!resource.is_revocable() || capable(Capability::RevocableResources))
            && (!resource.has_refined_reservations() || capable(Capability::ReservationRefinement))
    }

    fn minimum<'a>(&'a self, options: &'a Options) -> &'a [Quantities] {
        self.view
            .min_allocatable_resources
            .get(&*self.role)
            .unwrap_or(&options.min_allocatable_resources)
    }
}

/// What of an offer is within limits, if that is still enough.
fn cut(offer: &Resources, limits: &Limits, minimum: &[Quantities]) -> Option<Resources> {
    if limits.is_empty() {
        return Some(offer.clone());
    }
    let cut = offer.cut_to(limits);
    let enough = cut.is_same_as(offer) || (!cut.is_empty() && holds_any(&cut, minimum));
    enough.then_some(cut)
}

/// What the resources lack for that of the sets to which they come nearest.
fn missing(resources: &Resources, sets: &[Quantities]) -> Quantities {
    let quantities = resources.quantities();
    sets.iter()
        .map(|set| (set, less(set, &quantities)))
        .min_by(|(set, lacking), (other, lacking_other)| {
            let (one, other) = (lacking.share_of(set), lacking_other.share_of(other));
            one.total_cmp(&other)
        })
        .map(|(_, lacking)| lacking)
        .unwrap_or_default()
}

/// Whether there is enough for one of the sets; for anything when there is none.
pub(crate) fn holds_any(resources: &Resources, sets: &[Quantities]) -> bool {
    let quantities = resources.quantities();
    sets.is_empty() || sets.iter().any(|set| quantities.contains(set))
}
