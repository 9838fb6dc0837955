//! One resource: what it is, whose, and how much of it there is.

use std::fmt;
use std::sync::Arc;

use meseta_proto::v1;
use v1::resource::disk_info::source::Type as DiskType;
use v1::resource::{AllocationInfo, DiskInfo, ReservationInfo, reservation_info};

use crate::name::Name;
use crate::quantities::Limits;
use crate::roles;
use crate::values::{Range, Ranges, Scalar, Set, Value};

/// One resource of a [`Resources`](crate::Resources).
///
/// What most resources have none of lies in one shared allocation, because a master holds several
/// for every task.
#[derive(Debug, Clone)]
pub struct Resource {
    name: Name,
    allocation_role: Option<Arc<str>>,
    detail: Option<Arc<Detail>>,
    value: Value,
    /// How often a shared resource is held; one for the others.
    copies: u32,
}

/// What is rare: reservations, disks, and the marks of special resources.
#[derive(Debug, Clone, Default)]
struct Detail {
    reservations: Vec<ReservationInfo>,
    disk: Option<Box<DiskInfo>>,
    revocable: bool,
    shared: bool,
    provider_id: Option<v1::ResourceProviderId>,
}

impl Detail {
    fn is_plain(&self) -> bool {
        self.reservations.is_empty()
            && self.disk.is_none()
            && !self.revocable
            && !self.shared
            && self.provider_id.is_none()
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.shared == other.shared
            && self.revocable == other.revocable
            && self.provider_id == other.provider_id
            && self.reservations.len() == other.reservations.len()
            && self
                .reservations
                .iter()
                .zip(&other.reservations)
                .all(|(left, right)| same_reservation(left, right))
            && match (&self.disk, &other.disk) {
                (Some(left), Some(right)) => same_disk(left, right),
                (None, None) => true,
                _ => false,
            }
    }
}

fn same_reservation(left: &ReservationInfo, right: &ReservationInfo) -> bool {
    left.r#type() == right.r#type()
        && left.role() == right.role()
        && left.principal == right.principal
        && same_labels(left.labels.as_ref(), right.labels.as_ref())
}

/// The volume does not count: it says how the disk is used this time, not which disk it is. Of the
/// persistence only its id does.
fn same_disk(left: &DiskInfo, right: &DiskInfo) -> bool {
    let id = |disk: &DiskInfo| disk.persistence.as_ref().map(|p| p.id.clone());
    id(left) == id(right)
        && match (&left.source, &right.source) {
            (Some(left), Some(right)) => {
                left.r#type == right.r#type
                    && left.path == right.path
                    && left.mount == right.mount
                    && left.vendor == right.vendor
                    && left.id == right.id
                    && left.profile == right.profile
                    && same_labels(left.metadata.as_ref(), right.metadata.as_ref())
            }
            (None, None) => true,
            _ => false,
        }
}

/// Labels are a bag: their order does not count.
pub(crate) fn same_labels(left: Option<&v1::Labels>, right: Option<&v1::Labels>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => {
            if left.labels.len() != right.labels.len() {
                return false;
            }
            let sorted = |labels: &v1::Labels| {
                let mut pairs: Vec<_> = labels
                    .labels
                    .iter()
                    .map(|label| (label.key.clone(), label.value.clone()))
                    .collect();
                pairs.sort_unstable();
                pairs
            };
            left.labels == right.labels || sorted(left) == sorted(right)
        }
        _ => false,
    }
}

impl Resource {
    /// From a message that is valid and in post-refinement form. `None` when there is nothing of it.
    /// Resources of one message are allocated to one role, whose name they share with the `first`.
    pub(crate) fn from_valid(message: &v1::Resource, first: Option<&Self>) -> Option<Self> {
        let value = match message.r#type() {
            v1::value::Type::Scalar => Value::Scalar(Scalar::from_f64(message.scalar?.value)?),
            v1::value::Type::Ranges => Value::Ranges(message.ranges.as_deref()?.into()),
            v1::value::Type::Set => Value::Set(Set::new(message.set.as_ref()?.item.clone())),
            v1::value::Type::Text => return None,
        };
        if value.is_empty() {
            return None;
        }
        let detail = Detail {
            reservations: message.reservations.clone(),
            disk: message.disk.clone(),
            revocable: message.revocable.is_some(),
            shared: message.shared.is_some(),
            provider_id: message.provider_id.as_deref().cloned(),
        };
        Some(Self {
            name: Name::new(&message.name),
            allocation_role: message.allocation_info.as_ref().map(|info| {
                let shared = first.and_then(|first| first.allocation_role.as_ref());
                let shared = shared.filter(|role| ***role == *info.role());
                shared.or(info.role.as_ref()).cloned().unwrap_or_default()
            }),
            detail: (!detail.is_plain()).then(|| Arc::new(detail)),
            value,
            copies: 1,
        })
    }

    /// As a message in post-refinement form.
    pub fn to_v1(&self) -> v1::Resource {
        let mut message = v1::Resource {
            name: self.name().to_owned(),
            allocation_info: self.allocation_role.as_ref().map(|role| AllocationInfo {
                role: Some(Arc::clone(role)),
            }),
            ..v1::Resource::default()
        };
        match &self.value {
            Value::Scalar(scalar) => {
                message.set_type(v1::value::Type::Scalar);
                message.scalar = Some(v1::value::Scalar {
                    value: scalar.to_f64(),
                });
            }
            Value::Ranges(ranges) => {
                message.set_type(v1::value::Type::Ranges);
                message.ranges = Some(Box::new(ranges.into()));
            }
            Value::Set(set) => {
                message.set_type(v1::value::Type::Set);
                message.set = Some(Box::new(v1::value::Set {
                    item: set.iter().map(str::to_owned).collect(),
                }));
            }
        }
        if let Some(detail) = &self.detail {
            message.reservations.clone_from(&detail.reservations);
            message.disk.clone_from(&detail.disk);
            message.provider_id = detail.provider_id.clone().map(Box::new);
            message.revocable = detail.revocable.then_some(v1::resource::RevocableInfo {});
            message.shared = detail.shared.then_some(v1::resource::SharedInfo {});
        }
        message
    }

    /// Its name, such as `cpus`.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// How much there is.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The amount, when it is a scalar.
    pub fn scalar(&self) -> Option<Scalar> {
        match self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Ranges(_) | Value::Set(_) => None,
        }
    }

    /// The role that it is allocated to.
    pub fn allocation_role(&self) -> Option<&str> {
        self.allocation_role.as_deref()
    }

    /// The reservations, the innermost last; empty when unreserved.
    pub fn reservations(&self) -> &[ReservationInfo] {
        self.detail
            .as_ref()
            .map_or(&[], |detail| &detail.reservations)
    }

    /// The role that it is reserved to.
    pub fn reservation_role(&self) -> Option<&str> {
        self.reservations().last().map(ReservationInfo::role)
    }

    /// The disk that it is a part of, or the volume on it.
    pub fn disk(&self) -> Option<&DiskInfo> {
        self.detail.as_ref()?.disk.as_deref()
    }

    /// The resource provider that it comes from.
    pub fn provider_id(&self) -> Option<&v1::ResourceProviderId> {
        self.detail.as_ref()?.provider_id.as_ref()
    }

    /// Whether nobody has reserved it.
    pub fn is_unreserved(&self) -> bool {
        self.reservations().is_empty()
    }

    /// Whether its innermost reservation is a dynamic one.
    pub fn is_dynamically_reserved(&self) -> bool {
        self.reservations()
            .last()
            .is_some_and(|last| last.r#type() == reservation_info::Type::Dynamic)
    }

    /// Whether a reservation inside a reservation holds it.
    pub fn has_refined_reservations(&self) -> bool {
        self.reservations().len() > 1
    }

    /// Whether it may be allocated to `role`: unreserved, or reserved to it or to a role above.
    pub fn is_allocatable_to(&self, role: &str) -> bool {
        self.reservation_role()
            .is_none_or(|reserved| roles::is_in_subtree_of(role, reserved))
    }

    /// Whether it is a persistent volume.
    pub fn is_persistent_volume(&self) -> bool {
        self.disk().is_some_and(|disk| disk.persistence.is_some())
    }

    /// Whether it may be taken back at any time.
    pub fn is_revocable(&self) -> bool {
        self.detail.as_ref().is_some_and(|detail| detail.revocable)
    }

    /// Whether several tasks may hold it at once.
    pub fn is_shared(&self) -> bool {
        self.detail.as_ref().is_some_and(|detail| detail.shared)
    }

    /// Whether quota is counted in it: scalars that nobody has reserved and nobody can take back.
    pub fn is_under_quota(&self) -> bool {
        self.scalar().is_some() && self.is_unreserved() && !self.is_revocable()
    }

    /// How often a shared resource is held here; one for the others.
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// Whether it is the same thing in the same hands, whatever its amount.
    pub(crate) fn is_same_kind(&self, other: &Self) -> bool {
        self.name == other.name
            && std::mem::discriminant(&self.value) == std::mem::discriminant(&other.value)
            && self.allocation_role == other.allocation_role
            && match (&self.detail, &other.detail) {
                (None, None) => true,
                (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left.is_same_as(right),
                _ => false,
            }
    }

    /// Whether it is a whole that amounts are neither added to nor taken from: a persistent volume,
    /// or a disk of its own.
    pub(crate) fn is_indivisible(&self) -> bool {
        self.disk().is_some_and(|disk| {
            disk.persistence.is_some()
                || disk
                    .source
                    .as_ref()
                    .is_some_and(|source| match source.r#type() {
                        DiskType::Mount | DiskType::Block => true,
                        DiskType::Raw => source.id.is_some(),
                        DiskType::Path | DiskType::Unknown => false,
                    })
        })
    }

    /// As much of it as is within the limits, which become smaller by it; all of what is not under
    /// quota.
    pub(crate) fn cut(&self, limits: &mut Limits) -> Option<Self> {
        let Value::Scalar(wanted) = self.value else {
            return Some(self.clone());
        };
        if !self.is_under_quota() {
            return Some(self.clone());
        }
        if self.is_indivisible() {
            let whole = limits.get(self.name()).is_none_or(|limit| limit >= wanted);
            return whole.then(|| {
                limits.draw(&self.name, wanted);
                self.clone()
            });
        }
        let drawn = limits.draw(&self.name, wanted);
        (!drawn.is_zero()).then(|| Self {
            value: Value::Scalar(drawn),
            ..self.clone()
        })
    }

    pub(crate) fn set_value(&mut self, value: Value) {
        self.value = value;
    }

    pub(crate) fn set_copies(&mut self, copies: u32) {
        self.copies = copies;
    }

    pub(crate) fn set_allocation_role(&mut self, role: Option<Arc<str>>) {
        self.allocation_role = role;
    }

    pub(crate) fn set_reservations(&mut self, reservations: Vec<ReservationInfo>) {
        let mut detail = self.detail.as_deref().cloned().unwrap_or_default();
        detail.reservations = reservations;
        self.detail = (!detail.is_plain()).then(|| Arc::new(detail));
    }
}

impl From<&Resource> for v1::Resource {
    fn from(resource: &Resource) -> Self {
        resource.to_v1()
    }
}

/// Equal in kind, amount and, when shared, how often it is held.
impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.copies == other.copies && self.is_same_kind(other) && self.value == other.value
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(
            f,
            &Head {
                name: self.name(),
                allocation_role: self.allocation_role(),
                reservations: self.reservations(),
                disk: self.disk(),
                revocable: self.is_revocable(),
                shared: self.is_shared(),
            },
        )?;
        write!(f, ":{}", self.value)?;
        if self.is_shared() {
            write!(f, "<{}>", self.copies)?;
        }
        Ok(())
    }
}

/// A message as Mesos prints it, valid or not.
pub(crate) struct Printed<'a>(pub(crate) &'a v1::Resource);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(message) = self;
        write_head(
            f,
            &Head {
                name: &message.name,
                allocation_role: message.allocation_info.as_ref().map(AllocationInfo::role),
                reservations: &message.reservations,
                disk: message.disk.as_deref(),
                revocable: message.revocable.is_some(),
                shared: message.shared.is_some(),
            },
        )?;
        f.write_str(":")?;
        match message.r#type() {
            v1::value::Type::Scalar => {
                let value = message.scalar.map_or(0.0, |scalar| scalar.value);
                f.write_str(&crate::number::print(round_to_thousandths(value)))
            }
            // Not merged, so that what is wrong can be seen.
            v1::value::Type::Ranges => {
                let ranges = message.ranges.iter().flat_map(|ranges| &ranges.range);
                let ranges: Vec<String> = ranges
                    .map(|&v1::value::Range { begin, end }| Range { begin, end })
                    .map(|range| format!("{}-{}", range.begin, range.end))
                    .collect();
                write!(f, "[{}]", ranges.join(", "))
            }
            v1::value::Type::Set => {
                let items: Vec<&str> = message
                    .set
                    .iter()
                    .flat_map(|set| set.item.iter().map(String::as_str))
                    .collect();
                write!(f, "{{{}}}", items.join(", "))
            }
            v1::value::Type::Text => Ok(()),
        }
    }
}

fn round_to_thousandths(value: f64) -> f64 {
    let thousandths = (value * 1000.0).round();
    if thousandths.is_finite() {
        thousandths / 1000.0
    } else {
        value
    }
}

struct Head<'a> {
    name: &'a str,
    allocation_role: Option<&'a str>,
    reservations: &'a [ReservationInfo],
    disk: Option<&'a DiskInfo>,
    revocable: bool,
    shared: bool,
}

fn write_head(f: &mut fmt::Formatter<'_>, head: &Head<'_>) -> fmt::Result {
    f.write_str(head.name)?;
    if let Some(role) = head.allocation_role {
        write!(f, "(allocated: {role})")?;
    }
    if !head.reservations.is_empty() {
        f.write_str("(reservations: [")?;
        for (i, reservation) in head.reservations.iter().enumerate() {
            f.write_str(if i == 0 { "(" } else { ",(" })?;
            write_reservation(f, reservation)?;
            f.write_str(")")?;
        }
        f.write_str("])")?;
    }
    if let Some(disk) = head.disk {
        f.write_str("[")?;
        write_disk(f, disk)?;
        f.write_str("]")?;
    }
    if head.revocable {
        f.write_str("{REV}")?;
    }
    if head.shared {
        f.write_str("<SHARED>")?;
    }
    Ok(())
}

fn write_reservation(f: &mut fmt::Formatter<'_>, reservation: &ReservationInfo) -> fmt::Result {
    let name = reservation.r#type().as_str_name();
    write!(f, "{name},{}", reservation.role())?;
    if let Some(principal) = &reservation.principal {
        write!(f, ",{principal}")?;
    }
    if let Some(labels) = &reservation.labels {
        write!(f, ",{}", print_labels(labels))?;
    }
    Ok(())
}

/// Labels as Mesos prints them.
pub(crate) fn print_labels(labels: &v1::Labels) -> String {
    let labels: Vec<String> = labels
        .labels
        .iter()
        .map(|label| match &label.value {
            Some(value) => format!("{}: {value}", label.key),
            None => label.key.clone(),
        })
        .collect();
    format!("{{{}}}", labels.join(", "))
}

fn write_disk(f: &mut fmt::Formatter<'_>, disk: &DiskInfo) -> fmt::Result {
    if let Some(source) = &disk.source {
        f.write_str(&print_disk_source(source))?;
    }
    if let Some(persistence) = &disk.persistence {
        let separator = if disk.source.is_some() { "," } else { "" };
        write!(f, "{separator}{}", persistence.id)?;
    }
    if let Some(volume) = &disk.volume {
        match (&volume.host_path, volume.mode()) {
            (None, _) => write!(f, ":{}", volume.container_path)?,
            (Some(host), mode) => {
                let mode = mode.as_str_name().to_ascii_lowercase();
                write!(f, ":{host}:{}:{mode}", volume.container_path)?;
            }
        }
    }
    Ok(())
}

/// A disk's source as Mesos prints it.
pub(crate) fn print_disk_source(source: &v1::resource::disk_info::Source) -> String {
    let kind = source.r#type();
    let csi = (source.id.is_some() || source.profile.is_some()).then(|| {
        let (vendor, id, profile) = (source.vendor(), source.id(), source.profile());
        format!("({vendor},{id},{profile})")
    });
    let root = |root: Option<&String>| root.map_or_else(String::new, |root| format!(":{root}"));
    let place = match kind {
        DiskType::Unknown => String::new(),
        DiskType::Mount => {
            csi.unwrap_or_else(|| root(source.mount.as_ref().and_then(|mount| mount.root.as_ref())))
        }
        DiskType::Path => {
            csi.unwrap_or_else(|| root(source.path.as_ref().and_then(|path| path.root.as_ref())))
        }
        DiskType::Block | DiskType::Raw => csi.unwrap_or_default(),
    };
    format!("{}{place}", kind.as_str_name())
}

/// Ports of a `ports` resource.
pub(crate) fn ranges_of(resource: &Resource) -> Option<&Ranges> {
    match resource.value() {
        Value::Ranges(ranges) => Some(ranges),
        Value::Scalar(_) | Value::Set(_) => None,
    }
}
