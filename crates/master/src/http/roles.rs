use std::collections::{BTreeMap, BTreeSet};

use meseta_allocator::Quota;
use meseta_endpoints::forms::{Each, Entries, Object, quantities};
use meseta_proto::v1::FrameworkId;
use meseta_resources::{Quantities, Resource, Resources, roles::ancestors};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::snapshot::Snapshot;

/// What `/roles` answers: every role that somebody is in, or for which something is kept, and
/// those above it.
pub(crate) struct Roles<'a> {
    snapshot: &'a Snapshot,
    roles: BTreeMap<&'a str, Role<'a>>,
}

/// What a role and those below it have.
#[derive(Default)]
struct Role<'a> {
    frameworks: BTreeSet<&'a FrameworkId>,
    allocated: Quantities,
    offered: Quantities,
    reserved: Quantities,
    /// Reserved, and used by nobody: it counts against the role's quota all the same.
    idle: Quantities,
}

impl Role<'_> {
    fn taken(&self) -> Quantities {
        let mut taken = self.allocated.clone();
        taken += &self.offered;
        taken
    }

    fn consumed(&self) -> Quantities {
        let mut consumed = self.allocated.clone();
        consumed += &self.idle;
        consumed
    }
}

impl<'a> Roles<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut this = Self {
            snapshot,
            roles: BTreeMap::new(),
        };
        for framework in snapshot.frameworks.values() {
            for role in framework.roles() {
                this.role(role).frameworks.insert(&framework.id);
            }
            for used in framework.used.values() {
                this.add(used, Resource::allocation_role, |role| &mut role.allocated);
                for role in used.iter().filter_map(Resource::allocation_role) {
                    this.role(role).frameworks.insert(&framework.id);
                }
            }
            for offered in framework.offered.values() {
                this.add(offered, Resource::allocation_role, |role| &mut role.offered);
            }
        }
        for agent in snapshot.agents.values() {
            let total = &agent.total;
            this.add(total, Resource::reservation_role, |role| &mut role.reserved);
            this.add_idle(total, agent.used.values());
        }
        for role in snapshot.weights.keys().chain(snapshot.quotas.keys()) {
            this.role(role);
        }
        if let Some(only) = &snapshot.config.policy.roles {
            for role in only {
                this.role(role);
            }
            this.role("*");
            let is_above = |role: &str| only.iter().any(|o| ancestors(o).any(|a| a == role));
            this.roles
                .retain(|role, _| *role == "*" || only.contains(*role) || is_above(role));
        }
        this
    }

    /// Every role by name, with what counts against its quota.
    #[cfg(test)]
    pub(crate) fn consumed(&self) -> impl Iterator<Item = (&'a str, Quantities)> {
        let roles = self.roles.iter();
        roles.map(|(name, role)| (*name, role.consumed()))
    }

    /// What a role and those below it are offered or use.
    pub(super) fn taken(&self, role: &str) -> Quantities {
        self.roles.get(role).map(Role::taken).unwrap_or_default()
    }

    /// Every role by name, with its frameworks and what it and those below it are offered or use.
    pub(super) fn iter(
        &self,
    ) -> impl Iterator<Item = (&'a str, impl Iterator<Item = &'a FrameworkId>, Quantities)> {
        let roles = self.roles.iter();
        roles.map(|(name, role)| (*name, role.frameworks.iter().copied(), role.taken()))
    }

    /// The role, which is known from now on, and with it those above it.
    fn role(&mut self, name: &'a str) -> &mut Role<'a> {
        for above in ancestors(name) {
            self.roles.entry(above).or_default();
        }
        self.roles.entry(name).or_default()
    }

    fn add(
        &mut self,
        resources: &'a Resources,
        whose: impl Fn(&'a Resource) -> Option<&'a str>,
        account: impl for<'r> Fn(&'r mut Role<'a>) -> &'r mut Quantities,
    ) {
        for resource in resources {
            let Some(name) = whose(resource) else {
                continue;
            };
            let amount = resource.scalar().map(|scalar| (resource.name(), scalar));
            for name in ancestors(name).chain([name]) {
                account(self.roles.entry(name).or_default()).extend(amount);
            }
        }
    }

    fn add_idle(&mut self, total: &'a Resources, used: impl Iterator<Item = &'a Resources>) {
        let mut idle: BTreeMap<&str, Quantities> = BTreeMap::new();
        for (name, part) in reserved_parts(total) {
            idle.entry(name).or_default().extend([part]);
        }
        if idle.is_empty() {
            return;
        }
        for (name, part) in used.flat_map(reserved_parts) {
            if let Some(idle) = idle.get_mut(name) {
                *idle -= &Quantities::from_iter([part]);
            }
        }
        for (name, amounts) in idle {
            self.roles.entry(name).or_default().idle += &amounts;
        }
    }
}

/// The reserved scalars, each for its role and all above it.
fn reserved_parts(
    resources: &Resources,
) -> impl Iterator<Item = (&str, (&str, meseta_resources::Scalar))> {
    resources.iter().flat_map(|resource| {
        let part = resource.scalar().map(|scalar| (resource.name(), scalar));
        let role = resource.reservation_role();
        let roles = role
            .into_iter()
            .flat_map(|role| ancestors(role).chain([role]));
        roles.filter_map(move |role| Some((role, part?)))
    })
}

impl Entries for Roles<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let roles = || {
            self.roles.iter().map(|(name, role)| {
                Object(Shown {
                    name,
                    weight: self.snapshot.weights.get(*name).copied().unwrap_or(1.0),
                    quota: self.snapshot.quotas.get(*name),
                    role,
                })
            })
        };
        map.serialize_entry("roles", &Each(roles))
    }
}

struct Shown<'a> {
    name: &'a str,
    weight: f64,
    quota: Option<&'a Quota>,
    role: &'a Role<'a>,
}

impl Entries for Shown<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let role = self.role;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("weight", &self.weight)?;
        map.serialize_entry("quota", self)?;
        map.serialize_entry("resources", &quantities(&role.taken()))?;
        map.serialize_entry("allocated", &quantities(&role.allocated))?;
        map.serialize_entry("offered", &quantities(&role.offered))?;
        map.serialize_entry("reserved", &quantities(&role.reserved))?;
        let frameworks = || role.frameworks.iter().map(|id| id.as_str());
        map.serialize_entry("frameworks", &Each(frameworks))
    }
}

/// The role's quota. Who has none has neither a guarantee nor a limit.
impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let none = Quota::default();
        let quota = self.quota.unwrap_or(&none);
        let limits: BTreeMap<&str, f64> = quota
            .limits
            .iter()
            .map(|(name, limit)| (name, limit.to_f64()))
            .collect();
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("role", self.name)?;
        map.serialize_entry("guarantee", &quantities(&quota.guarantees))?;
        map.serialize_entry("limit", &limits)?;
        map.serialize_entry("consumed", &quantities(&self.role.consumed()))?;
        map.end()
    }
}
