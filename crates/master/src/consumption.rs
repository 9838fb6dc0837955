//! What roles consume and what agents have, in sum, kept as it changes. New quotas are checked against
//! it, and the agents of a large cluster shall not be added up for each.
//!
//! A role consumes what tasks and executors take in it, and what is reserved to it and idle. On one
//! agent no less than nothing is idle, even where more is taken of a reservation than there is: an
//! agent may come back with less than its tasks take. Where that may be so is noted, and looked at when
//! somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use imbl::OrdMap;
use meseta_proto::v1::AgentId;
use meseta_resources::{Quantities, Resource, Resources};

use crate::records::AgentRecord;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Consumption {
    /// What tasks and executors take.
    allocated: ByRole,
    /// What is reserved on registered agents, taken or not.
    reserved: ByRole,
    /// What of that is taken.
    taken: ByRole,
    /// What registered agents have, without what they lend.
    capacity: Quantities,
    /// Agents on which more may be taken of reservations than there is.
    doubtful: BTreeSet<AgentId>,
}

/// The registered agents.
type Agents = OrdMap<AgentId, Arc<AgentRecord>>;

impl Consumption {
    /// A framework has more in use, on an agent that is registered or not.
    pub(crate) fn allocate(&mut self, resources: &Resources) {
        self.allocated.add(resources, Resource::allocation_role);
    }

    /// It has less.
    pub(crate) fn free(&mut self, resources: &Resources) {
        self.allocated
            .subtract(resources, Resource::allocation_role);
    }

    /// More is in use on an agent.
    pub(crate) fn take(&mut self, agent: &AgentId, resources: &Resources) {
        if resources.iter().all(Resource::is_unreserved) {
            return;
        }
        self.taken.add(resources, Resource::reservation_role);
        if !self.doubtful.contains(agent) {
            self.doubtful.insert(agent.clone());
        }
    }

    /// Less is.
    pub(crate) fn give_back(&mut self, resources: &Resources) {
        self.taken.subtract(resources, Resource::reservation_role);
    }

    /// An agent has something else than before.
    pub(crate) fn change_total(&mut self, agent: &AgentId, before: &Resources, after: &Resources) {
        self.reserved.add(after, Resource::reservation_role);
        self.reserved.subtract(before, Resource::reservation_role);
        self.capacity += &after.non_revocable().quantities();
        self.capacity -= &before.non_revocable().quantities();
        if !before.iter().all(Resource::is_unreserved) {
            self.doubtful.insert(agent.clone());
        }
    }

    /// An agent is there.
    pub(crate) fn add_agent(&mut self, agent: &AgentRecord) {
        self.change_total(&agent.id, &Resources::new(), &agent.total);
    }

    /// An agent is there no more.
    pub(crate) fn remove_agent(&mut self, agent: &AgentRecord) {
        self.change_total(&agent.id, &agent.total, &Resources::new());
        for used in agent.used.values() {
            self.give_back(used);
        }
        self.doubtful.remove(&agent.id);
    }

    /// What the registered agents have, without what they lend.
    pub(crate) fn capacity(&self) -> &Quantities {
        &self.capacity
    }

    /// What a role and those below it consume.
    pub(crate) fn of(&self, role: &str, agents: &Agents) -> Quantities {
        let mut consumed = self.allocated.of(role);
        consumed += &self.reserved.of(role);
        for agent in self.doubtful.iter().filter_map(|id| agents.get(id)) {
            let (reserved, taken) = reserved_and_taken(agent);
            let mut overdrawn = taken.of(role);
            overdrawn -= &reserved.of(role);
            consumed += &overdrawn;
        }
        consumed -= &self.taken.of(role);
        consumed
    }

    /// Looks at the agents on which more may be taken of reservations than there is, and forgets those
    /// where it is not so.
    pub(crate) fn clear_doubts(&mut self, agents: &Agents) {
        self.doubtful.retain(|id| {
            agents.get(id).is_some_and(|agent| {
                let (reserved, taken) = reserved_and_taken(agent);
                !taken.is_within(&reserved)
            })
        });
    }
}

/// What an agent has reserved, and what of it is taken.
fn reserved_and_taken(agent: &AgentRecord) -> (ByRole, ByRole) {
    let (mut reserved, mut taken) = (ByRole::default(), ByRole::default());
    reserved.add(&agent.total, Resource::reservation_role);
    for used in agent.used.values() {
        taken.add(used, Resource::reservation_role);
    }
    (reserved, taken)
}

/// Scalars by the role that they are counted for, without those below it.
#[derive(Debug, Default)]
struct ByRole(BTreeMap<Box<str>, Quantities>);

impl ByRole {
    fn add(&mut self, resources: &Resources, whose: impl Fn(&Resource) -> Option<&str>) {
        for (role, name, amount) in parts(resources, whose) {
            if let Some(sum) = self.0.get_mut(role) {
                sum.extend([(name, amount)]);
            } else {
                let sum = Quantities::from_iter([(name, amount)]);
                self.0.insert(role.into(), sum);
            }
        }
    }

    fn subtract(&mut self, resources: &Resources, whose: impl Fn(&Resource) -> Option<&str>) {
        for (role, name, amount) in parts(resources, whose) {
            if let Some(sum) = self.0.get_mut(role) {
                *sum -= &Quantities::from_iter([(name, amount)]);
                if sum.is_empty() {
                    self.0.remove(role);
                }
            }
        }
    }

    /// What is counted for a role and those below it.
    fn of(&self, role: &str) -> Quantities {
        let mut sum = self.0.get(role).cloned().unwrap_or_default();
        // Their names go on with a slash; the character after it is the end.
        let (from, to) = (format!("{role}/"), format!("{role}0"));
        let below = self.0.range::<str, _>((Included(&*from), Excluded(&*to)));
        for (_, amount) in below {
            sum += amount;
        }
        sum
    }

    fn is_within(&self, other: &Self) -> bool {
        let mut roles = self.0.iter();
        roles.all(|(role, amount)| other.0.get(role).is_some_and(|it| it.contains(amount)))
    }
}

/// The scalars of those resources that are counted for a role.
fn parts(
    resources: &Resources,
    whose: impl Fn(&Resource) -> Option<&str>,
) -> impl Iterator<Item = (&str, &str, meseta_resources::Scalar)> {
    resources
        .iter()
        .filter_map(move |resource| Some((whose(resource)?, resource.name(), resource.scalar()?)))
}
