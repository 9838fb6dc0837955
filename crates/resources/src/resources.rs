//! The collection: how it is made, looked at and narrowed. What is added and taken is in
//! [`algebra`](crate::algebra).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use meseta_proto::v1;
use v1::resource::ReservationInfo;

use crate::quantities::{Limits, Quantities};
use crate::resource::ranges_of;
use crate::values::{Range, Ranges, Scalar};
use crate::{Error, Resource, format, validate};

/// Resources of one agent, offer or task. See the [crate](crate) for an example.
///
/// A clone shares the memory; what changes is copied first.
#[derive(Debug, Clone, Default)]
pub struct Resources(pub(crate) Arc<[Resource]>);

impl Resources {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// From messages in any form (pre- or post-refinement). What is empty is left out, and what
    /// can be added up is.
    ///
    /// # Errors
    /// In Mesos's words, when one of them is invalid.
    pub fn from_v1(messages: &[v1::Resource]) -> Result<Self, Error> {
        validate(messages)?;
        let mut result = Vec::with_capacity(messages.len());
        for message in messages {
            let message = format::upgraded(message)?;
            if let Some(resource) = Resource::from_valid(&message, result.first()) {
                crate::algebra::add_one(&mut result, &resource);
            }
        }
        Ok(Self(result.into()))
    }

    /// As messages in post-refinement form, in order.
    pub fn to_v1(&self) -> Vec<v1::Resource> {
        self.iter().map(Resource::to_v1).collect()
    }

    /// Each resource in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.0.iter()
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those for which `keep` holds.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&Resource) -> bool) -> Self {
        if self.iter().all(&mut keep) {
            return self.clone();
        }
        Self(
            self.iter()
                .filter(|resource| keep(resource))
                .cloned()
                .collect(),
        )
    }

    /// Those that nobody has reserved.
    #[must_use]
    pub fn unreserved(&self) -> Self {
        self.filter(Resource::is_unreserved)
    }

    /// Those reserved to exactly this role.
    #[must_use]
    pub fn reserved_to(&self, role: &str) -> Self {
        self.filter(|resource| resource.reservation_role() == Some(role))
    }

    /// All that are reserved, by role.
    pub fn reservations(&self) -> BTreeMap<String, Self> {
        self.group_by(Resource::reservation_role)
    }

    /// Those that may be allocated to the role.
    #[must_use]
    pub fn allocatable_to(&self, role: &str) -> Self {
        self.filter(|resource| resource.is_allocatable_to(role))
    }

    /// The persistent volumes.
    #[must_use]
    pub fn persistent_volumes(&self) -> Self {
        self.filter(Resource::is_persistent_volume)
    }

    /// The shared ones.
    #[must_use]
    pub fn shared(&self) -> Self {
        self.filter(Resource::is_shared)
    }

    /// Those that are not shared.
    #[must_use]
    pub fn non_shared(&self) -> Self {
        self.filter(|resource| !resource.is_shared())
    }

    /// The revocable ones.
    #[must_use]
    pub fn revocable(&self) -> Self {
        self.filter(Resource::is_revocable)
    }

    /// Those that are not revocable.
    #[must_use]
    pub fn non_revocable(&self) -> Self {
        self.filter(|resource| !resource.is_revocable())
    }

    /// As much as is within the limits, of what quota is counted in
    /// ([`Resource::is_under_quota`]); all of the rest.
    #[must_use]
    pub fn cut_to(&self, limits: &Limits) -> Self {
        if limits.contain(&self.under_quota()) {
            return self.clone();
        }
        let mut left = limits.clone();
        Self(
            self.iter()
                .filter_map(|resource| resource.cut(&mut left))
                .collect(),
        )
    }

    /// The same, all allocated to the role.
    #[must_use]
    pub fn allocate(&self, role: &str) -> Self {
        self.allocate_to(&role.into())
    }

    /// The same, all allocated to the role, whose name is shared.
    #[must_use]
    pub fn allocate_to(&self, role: &Arc<str>) -> Self {
        self.with_allocation_role(Some(role))
    }

    /// The same, allocated to no role.
    #[must_use]
    pub fn unallocate(&self) -> Self {
        self.with_allocation_role(None)
    }

    /// What is allocated, by role.
    pub fn allocations(&self) -> BTreeMap<String, Self> {
        self.group_by(Resource::allocation_role)
    }

    /// The same, reserved to nobody.
    #[must_use]
    pub fn to_unreserved(&self) -> Self {
        self.map(|resource| resource.set_reservations(Vec::new()))
    }

    /// The same with one more reservation, inside those that are there.
    ///
    /// # Errors
    /// In Mesos's words, when the reservation does not refine those that are there.
    pub fn push_reservation(&self, reservation: &ReservationInfo) -> Result<Self, Error> {
        let mut messages = self.to_v1();
        for message in &mut messages {
            message.reservations.push(reservation.clone());
        }
        Self::from_v1(&messages)
    }

    /// The same without the innermost reservation of each.
    #[must_use]
    pub fn pop_reservation(&self) -> Self {
        self.map(|resource| {
            let mut reservations = resource.reservations().to_vec();
            reservations.pop();
            resource.set_reservations(reservations);
        })
    }

    /// The sum of the scalars of this name; `None` when there is none.
    pub fn scalar(&self, name: &str) -> Option<Scalar> {
        self.iter()
            .filter(|resource| resource.name() == name)
            .filter_map(Resource::scalar)
            .reduce(|sum, amount| sum + amount)
    }

    /// All numbers in the ranges of this name; `None` when there is none.
    pub fn ranges(&self, name: &str) -> Option<Ranges> {
        self.iter()
            .filter(|resource| resource.name() == name)
            .filter_map(ranges_of)
            .cloned()
            .reduce(|all, ranges| all.union(&ranges))
    }

    /// CPUs, as a fraction.
    pub fn cpus(&self) -> Option<f64> {
        self.scalar("cpus").map(Scalar::to_f64)
    }

    /// GPUs.
    pub fn gpus(&self) -> Option<f64> {
        self.scalar("gpus").map(Scalar::to_f64)
    }

    /// Memory in megabytes.
    pub fn mem(&self) -> Option<f64> {
        self.scalar("mem").map(Scalar::to_f64)
    }

    /// Disk in megabytes.
    pub fn disk(&self) -> Option<f64> {
        self.scalar("disk").map(Scalar::to_f64)
    }

    /// Ports.
    pub fn ports(&self) -> Vec<Range> {
        self.ranges("ports")
            .map(|ports| ports.iter().collect())
            .unwrap_or_default()
    }

    /// The scalars by name, whoever holds them; shared ones count once.
    pub fn quantities(&self) -> Quantities {
        self.iter()
            .filter_map(|resource| Some((resource.name(), resource.scalar()?)))
            .collect()
    }

    /// The scalars by name that quota is counted in.
    pub fn under_quota(&self) -> Quantities {
        self.iter()
            .filter(|resource| resource.is_under_quota())
            .filter_map(|resource| Some((resource.name(), resource.scalar()?)))
            .collect()
    }

    /// Whether both are known to be equal without a look at what they hold.
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn with_allocation_role(&self, role: Option<&Arc<str>>) -> Self {
        let change = |resource: &mut Resource| resource.set_allocation_role(role.cloned());
        let before = self.iter().next().and_then(Resource::allocation_role);
        if self.iter().any(|it| it.allocation_role() != before) {
            return self.map(change);
        }
        // What differed before differs still.
        let changed = self.iter().map(|resource| {
            let mut resource = resource.clone();
            change(&mut resource);
            resource
        });
        Self(changed.collect())
    }

    /// A change to each, after which those that have become alike are added up.
    fn map(&self, change: impl Fn(&mut Resource)) -> Self {
        let mut changed = Vec::with_capacity(self.len());
        for resource in self {
            let mut resource = resource.clone();
            change(&mut resource);
            crate::algebra::add_one(&mut changed, &resource);
        }
        Self(changed.into())
    }

    fn group_by<'a>(
        &'a self,
        key: impl Fn(&'a Resource) -> Option<&'a str>,
    ) -> BTreeMap<String, Self> {
        let mut groups: BTreeMap<&str, Vec<Resource>> = BTreeMap::new();
        for resource in self {
            if let Some(key) = key(resource) {
                groups.entry(key).or_default().push(resource.clone());
            }
        }
        groups
            .into_iter()
            .map(|(key, group)| (key.to_owned(), Self(group.into())))
            .collect()
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl TryFrom<&[v1::Resource]> for Resources {
    type Error = Error;

    fn try_from(messages: &[v1::Resource]) -> Result<Self, Error> {
        Self::from_v1(messages)
    }
}

impl From<&Resources> for Vec<v1::Resource> {
    fn from(resources: &Resources) -> Self {
        resources.to_v1()
    }
}

/// As Mesos prints them: joined by `; `, `{}` when there is nothing.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (i, resource) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{resource}")?;
        }
        Ok(())
    }
}
