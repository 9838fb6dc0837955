//! Resources in words, and what is left of an offer.
//!
//! ```
//! use meseta_framework::resource::{Remainder, ResourceExt as _, cpus, disk, mem};
//! use meseta_framework::v1::Offer;
//!
//! let offer = Offer { resources: vec![cpus(4.0), mem(1024.0), disk(512.0)], ..Offer::default() };
//!
//! // As many tasks as fit.
//! let mut left = Remainder::of(&offer);
//! let mut tasks = 0;
//! while let Some(_resources) = left.take(&[cpus(1.0), mem(300.0)]) {
//!     tasks += 1;
//! }
//! assert_eq!(tasks, 3);
//!
//! // A persistent volume, on disk that is reserved first.
//! let reserved = disk(64.0).reserved_to("databases", Some("me"));
//! let volume = reserved.clone().as_volume("counter", "data", Some("me"));
//! assert_eq!(volume.disk.unwrap().volume.unwrap().container_path, "data");
//! ```

use std::ops::RangeInclusive;
use std::sync::Arc;

use meseta_proto::v1::resource::disk_info::Persistence;
use meseta_proto::v1::resource::reservation_info;
use meseta_proto::v1::resource::{AllocationInfo, ReservationInfo};
use meseta_proto::v1::value::{Range, Ranges, Scalar, Type};
use meseta_proto::v1::{Offer, Resource, Volume, volume};
use meseta_resources::Resources;

use crate::Error;

/// So many processors.
pub fn cpus(cpus: f64) -> Resource {
    scalar("cpus", cpus)
}

/// So many megabytes of memory.
pub fn mem(megabytes: f64) -> Resource {
    scalar("mem", megabytes)
}

/// So many megabytes of disk.
pub fn disk(megabytes: f64) -> Resource {
    scalar("disk", megabytes)
}

/// These ports.
pub fn ports(ports: RangeInclusive<u64>) -> Resource {
    let range = Range {
        begin: *ports.start(),
        end: *ports.end(),
    };
    Resource {
        name: "ports".to_owned(),
        r#type: Type::Ranges.into(),
        ranges: Some(Box::new(Ranges { range: vec![range] })),
        ..Resource::default()
    }
}

/// So much of anything that is counted.
pub fn scalar(name: impl Into<String>, value: f64) -> Resource {
    Resource {
        name: name.into(),
        r#type: Type::Scalar.into(),
        scalar: Some(Scalar { value }),
        ..Resource::default()
    }
}

/// Resources as agents' flags write them: `cpus:2;mem:512;ports:[31000-31005]`.
///
/// # Errors
/// [`Error::Resources`] when the text is none.
pub fn parse(text: &str) -> Result<Vec<Resource>, Error> {
    let parsed = Resources::parse(text, "*").map_err(|error| Error::Resources {
        text: text.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(parsed.to_v1())
}

/// What operations make of resources.
pub trait ResourceExt: Sized {
    /// Reserved to a role, by a principal if the framework has one: what RESERVE takes. Reserved once
    /// more, it is refined to a role below.
    #[must_use]
    fn reserved_to(self, role: impl Into<String>, principal: Option<&str>) -> Self;

    /// Disk as a persistent volume: what CREATE takes. Tasks find it in their sandbox at the path.
    #[must_use]
    #[allow(
        clippy::wrong_self_convention,
        reason = "beside `reserved_to`: the resource, as a volume"
    )]
    fn as_volume(
        self,
        id: impl Into<String>,
        container_path: impl Into<String>,
        principal: Option<&str>,
    ) -> Self;

    /// As it is offered to one of the framework's roles.
    #[must_use]
    fn allocated_to(self, role: impl Into<String>) -> Self;

    /// The id of the persistent volume that it is, if it is one.
    fn volume_id(&self) -> Option<&str>;
}

impl ResourceExt for Resource {
    fn reserved_to(mut self, role: impl Into<String>, principal: Option<&str>) -> Self {
        self.reservations.push(ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic.into()),
            role: Some(role.into()),
            principal: principal.map(str::to_owned),
            labels: None,
        });
        self
    }

    fn as_volume(
        mut self,
        id: impl Into<String>,
        container_path: impl Into<String>,
        principal: Option<&str>,
    ) -> Self {
        let disk = self.disk.get_or_insert_default();
        disk.persistence = Some(Persistence {
            id: id.into(),
            principal: principal.map(str::to_owned),
        });
        disk.volume = Some(Volume {
            container_path: container_path.into(),
            mode: volume::Mode::Rw.into(),
            ..Volume::default()
        });
        self
    }

    fn allocated_to(mut self, role: impl Into<String>) -> Self {
        self.allocation_info = Some(AllocationInfo {
            role: Some(role.into().into()),
        });
        self
    }

    fn volume_id(&self) -> Option<&str> {
        let persistence = self.disk.as_ref()?.persistence.as_ref()?;
        Some(persistence.id.as_str())
    }
}

/// What is left of an offer while tasks are fitted into it.
#[derive(Debug, Clone)]
pub struct Remainder {
    left: Resources,
    role: Option<Arc<str>>,
}

impl Remainder {
    /// A whole offer. One whose resources cannot be read has nothing to give.
    pub fn of(offer: &Offer) -> Self {
        let left = Resources::from_v1(&offer.resources).unwrap_or_default();
        // Old masters tell the role with each resource alone.
        let of_resources = offer.resources.iter().map(|r| &r.allocation_info);
        let allocations = std::iter::once(&offer.allocation_info).chain(of_resources);
        let role = allocations.flatten().find_map(|it| it.role.clone());
        Self {
            left: left.unallocate(),
            role,
        }
    }

    /// Takes resources out, as a task or an operation is to name them: allocated to the offer's role.
    ///
    /// What is wanted without a reservation is taken of what is reserved first, since others cannot use
    /// that, and then of the rest. What is wanted with a reservation, or as a volume, is taken exactly
    /// so. `None`, and nothing taken, unless all of it is there.
    pub fn take(&mut self, wanted: &[Resource]) -> Option<Vec<Resource>> {
        let mut left = self.left.clone();
        let mut taken = Resources::new();
        for wanted in Resources::from_v1(wanted).ok()?.unallocate().to_v1() {
            for piece in pieces(&left, &wanted)? {
                left = &left - &piece;
                taken = &taken + &piece;
            }
        }
        self.left = left;
        Some(self.allocate(&taken))
    }

    /// Takes so many ports, whichever.
    pub fn take_ports(&mut self, count: usize) -> Option<Vec<u64>> {
        let ranges = self.left.filter(|r| r.name() == "ports").ports();
        let chosen: Vec<u64> = ranges
            .iter()
            .flat_map(|range| range.begin..=range.end)
            .take(count)
            .collect();
        if chosen.len() < count {
            return None;
        }
        let wanted: Vec<_> = chosen.iter().map(|port| ports(*port..=*port)).collect();
        self.take(&wanted).map(|_| chosen)
    }

    /// What nobody has taken.
    pub fn rest(&self) -> Vec<Resource> {
        self.allocate(&self.left)
    }

    /// The persistent volume of that id, if the offer has it and nobody has taken it.
    pub fn volume(&self, id: &str) -> Option<Resource> {
        let rest = self.rest();
        rest.into_iter().find(|r| r.volume_id() == Some(id))
    }

    fn allocate(&self, resources: &Resources) -> Vec<Resource> {
        match &self.role {
            Some(role) => resources.allocate_to(role).to_v1(),
            None => resources.to_v1(),
        }
    }
}

/// What of `left` makes up one resource.
fn pieces(left: &Resources, wanted: &Resource) -> Option<Vec<Resources>> {
    let exactly = Resources::from_v1(std::slice::from_ref(wanted)).ok()?;
    let is_plain = wanted.reservations.is_empty() && wanted.disk.is_none();
    if !is_plain {
        return left.contains(&exactly).then(|| vec![exactly]);
    }
    let offered: Vec<Resource> = left
        .to_v1()
        .into_iter()
        .filter(|r| r.name == wanted.name && r.disk.is_none() && r.shared.is_none())
        .filter(|r| r.revocable.is_some() == wanted.revocable.is_some())
        .collect();
    let (unreserved, reserved): (Vec<_>, Vec<_>) =
        offered.iter().partition(|r| r.reservations.is_empty());
    let sources: Vec<&Resource> = reserved.into_iter().chain(unreserved).collect();
    let Some(amount) = wanted.scalar else {
        // Ranges and sets are all reserved alike, or not at all.
        return sources.iter().find_map(|source| {
            let piece = Resource {
                reservations: source.reservations.clone(),
                ..wanted.clone()
            };
            let piece = Resources::from_v1(&[piece]).ok()?;
            left.contains(&piece).then(|| vec![piece])
        });
    };
    let mut missing = amount.value;
    let mut found = Vec::new();
    for source in sources {
        let value = source.scalar?.value.min(missing);
        let piece = Resource {
            reservations: source.reservations.clone(),
            scalar: Some(Scalar { value }),
            ..wanted.clone()
        };
        found.push(Resources::from_v1(&[piece]).ok()?);
        missing -= value;
        // As with all resources, thousandths count and nothing below.
        if missing < 0.000_5 {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(text: &str, role: Option<&str>) -> Offer {
        let role = role.map(Into::into);
        Offer {
            resources: parse(text).unwrap(),
            allocation_info: role.map(|role| AllocationInfo { role: Some(role) }),
            ..Offer::default()
        }
    }

    #[test]
    fn what_is_reserved_is_taken_first_and_the_rest_makes_up_for_it() {
        let mut left = Remainder::of(&offer("cpus(science):1;cpus:3;mem:64", Some("science")));
        let taken = left.take(&[cpus(2.0)]).unwrap();
        let taken = Resources::from_v1(&taken).unwrap();
        assert_eq!(
            taken.allocations().keys().collect::<Vec<_>>(),
            ["science"],
            "{taken}"
        );
        assert_eq!(
            taken.unallocate().to_string(),
            Resources::parse("cpus(science):1;cpus:1", "*")
                .unwrap()
                .to_string()
        );
        assert!(left.take(&[cpus(2.5)]).is_none());
        assert!(left.take(&[cpus(1.0), mem(65.0)]).is_none());
        assert!(left.take(&[cpus(2.0), mem(64.0)]).is_some());
        assert_eq!(left.rest(), []);
    }

    #[test]
    fn a_volume_is_taken_as_it_is_and_by_nobody_who_wants_plain_disk() {
        let mine = disk(64.0).reserved_to("r", None);
        let volume = mine.as_volume("v", "data", None);
        let resources = vec![volume.clone(), disk(10.0)];
        let whole = Offer {
            resources,
            ..Offer::default()
        };
        let mut left = Remainder::of(&whole);
        assert_eq!(left.volume("v").as_ref(), Some(&volume));
        assert_eq!(left.volume("w"), None);
        assert!(left.take(&[disk(11.0)]).is_none());
        assert_eq!(
            left.take(std::slice::from_ref(&volume)),
            Some(vec![volume.clone()])
        );
        assert_eq!(left.take(&[volume]), None);
    }

    #[test]
    fn ports_are_taken_whichever_are_left() {
        let mut left = Remainder::of(&offer("ports:[31000-31001,31005-31005]", None));
        assert_eq!(left.take_ports(2), Some(vec![31000, 31001]));
        assert_eq!(left.take_ports(2), None);
        assert_eq!(left.take_ports(1), Some(vec![31005]));
    }

    #[test]
    fn what_is_no_resource_is_named() {
        let error = parse("cpus:many;").unwrap_err().to_string();
        assert!(error.contains("'cpus:many;'"), "{error}");
    }
}
