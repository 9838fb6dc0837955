//! What makes a resource from outside a valid one.

use std::collections::HashSet;

use meseta_proto::v1;
use v1::resource::disk_info::source::Type as DiskType;
use v1::resource::{ReservationInfo, reservation_info};
use v1::value::Type;

use crate::limits::{MAX_RANGES, MAX_RESOURCES, MAX_SET_ITEMS};
use crate::resource::{Printed, print_disk_source, print_labels, same_labels};
use crate::values::Scalar;
use crate::{Error, roles};

/// Checks resources that a client or peer has sent, in any form.
///
/// # Errors
/// In Mesos's words: `Resource '…' is invalid: …`.
pub fn validate(resources: &[v1::Resource]) -> Result<(), Error> {
    if resources.len() > MAX_RESOURCES {
        return invalid(format!(
            "{} resources are more than the {MAX_RESOURCES} that one message may hold",
            resources.len()
        ));
    }
    for resource in resources {
        validate_one(resource).map_err(|error| {
            Error::Invalid(format!(
                "Resource '{}' is invalid: {error}",
                Printed(resource)
            ))
        })?;
    }
    Ok(())
}

/// Checks one resource; the error does not name it.
///
/// # Errors
/// In Mesos's words.
pub fn validate_one(resource: &v1::Resource) -> Result<(), Error> {
    if resource.name.is_empty() {
        return invalid("Empty resource name");
    }
    validate_value(resource)?;
    validate_disk(resource)?;
    if resource.reservations.is_empty() {
        validate_pre_refinement(resource)?;
    } else {
        validate_post_refinement(resource)?;
    }
    if resource.shared.is_some() {
        if resource.name != "disk" {
            return invalid(format!("Resource {} cannot be shared", resource.name));
        }
        if resource
            .disk
            .as_ref()
            .is_none_or(|disk| disk.persistence.is_none())
        {
            return invalid("Only persistent volumes can be shared");
        }
    }
    Ok(())
}

fn invalid<T>(sentence: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(sentence.into()))
}

fn validate_value(resource: &v1::Resource) -> Result<(), Error> {
    let Ok(kind) = Type::try_from(resource.r#type) else {
        return invalid("Invalid resource type");
    };
    match (kind, &resource.scalar, &resource.ranges, &resource.set) {
        (Type::Scalar, Some(scalar), None, None) => {
            let is_zero = scalar.value == 0.0;
            let amount = Scalar::from_f64(scalar.value).unwrap_or_default();
            if !is_zero && amount.is_zero() {
                return invalid("Invalid scalar resource: value <= 0");
            }
        }
        (Type::Scalar, ..) => return invalid("Invalid scalar resource"),
        (Type::Ranges, None, Some(ranges), None) => validate_ranges(&ranges.range)?,
        (Type::Ranges, ..) => return invalid("Invalid ranges resource"),
        (Type::Set, None, None, Some(set)) => {
            if set.item.len() > MAX_SET_ITEMS {
                return invalid("Invalid set resource: too many elements");
            }
            let mut seen = HashSet::new();
            if !set.item.iter().all(|item| seen.insert(item)) {
                return invalid("Invalid set resource: duplicated elements");
            }
        }
        (Type::Set, ..) => return invalid("Invalid set resource"),
        (Type::Text, ..) => return invalid("Unsupported resource type"),
    }
    Ok(())
}

fn validate_ranges(ranges: &[v1::value::Range]) -> Result<(), Error> {
    if ranges.len() > MAX_RANGES {
        return invalid("Invalid ranges resource: too many ranges");
    }
    if ranges.iter().any(|range| range.begin > range.end) {
        return invalid("Invalid ranges resource: begin > end");
    }
    let mut sorted: Vec<_> = ranges.iter().map(|r| (r.begin, r.end)).collect();
    sorted.sort_unstable();
    let overlap = sorted
        .windows(2)
        .any(|pair| matches!(pair, [(_, end), (begin, _)] if begin <= end));
    if overlap {
        return invalid("Invalid ranges resource: overlapping ranges");
    }
    Ok(())
}

fn validate_disk(resource: &v1::Resource) -> Result<(), Error> {
    let Some(disk) = &resource.disk else {
        return Ok(());
    };
    if resource.name != "disk" {
        return invalid(format!(
            "DiskInfo should not be set for {} resource",
            resource.name
        ));
    }
    let Some(source) = &disk.source else {
        return Ok(());
    };
    let kind = source.r#type();
    match kind {
        DiskType::Path | DiskType::Mount => Ok(()),
        DiskType::Block | DiskType::Raw => {
            let kind = kind.as_str_name();
            if source.mount.is_some() {
                return invalid(format!("Mount should not be set for {kind} disk source"));
            }
            if source.path.is_some() {
                return invalid(format!("Path should not be set for {kind} disk source"));
            }
            Ok(())
        }
        DiskType::Unknown => invalid(format!(
            "Unsupported 'DiskInfo.Source.Type' in '{}'",
            print_disk_source(source)
        )),
    }
}

#[allow(deprecated, reason = "reads the old form")]
fn validate_pre_refinement(resource: &v1::Resource) -> Result<(), Error> {
    roles::validate(resource.role())?;
    let Some(reservation) = &resource.reservation else {
        return Ok(());
    };
    if reservation.r#type.is_some() {
        return invalid(
            "'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field",
        );
    }
    if reservation.role.is_some() {
        return invalid(
            "'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field",
        );
    }
    if resource.role() == roles::DEFAULT {
        return invalid("Invalid reservation: role \"*\" cannot be dynamically reserved");
    }
    Ok(())
}

#[allow(deprecated, reason = "reads the old form")]
fn validate_post_refinement(resource: &v1::Resource) -> Result<(), Error> {
    for reservation in &resource.reservations {
        if reservation.r#type.is_none() {
            return invalid(
                "Invalid reservation: 'Resource.ReservationInfo.type' field must be set.",
            );
        }
        if reservation.role.is_none() {
            return invalid(
                "Invalid reservation: 'Resource.ReservationInfo.role' field must be set.",
            );
        }
        roles::validate(reservation.role())?;
        if reservation.role() == roles::DEFAULT {
            return invalid("Invalid reservation: role \"*\" cannot be reserved");
        }
    }
    for pair in resource.reservations.windows(2) {
        let [outer, inner] = pair else { continue };
        if inner.r#type() == reservation_info::Type::Static {
            return invalid("Invalid refined reservation: A refined reservation cannot be STATIC");
        }
        if !roles::is_strict_subrole_of(inner.role(), outer.role()) {
            return invalid(format!(
                "Invalid refined reservation: role '{}' is not a refinement of '{}'",
                inner.role(),
                outer.role()
            ));
        }
    }
    match resource.reservations.as_slice() {
        [only] => validate_endpoint(resource, only),
        _ if resource.role.is_some() => invalid(
            "Invalid resource format: 'Resource.role' must not be set if there is more than one \
             reservation in 'Resource.reservations'",
        ),
        _ if resource.reservation.is_some() => invalid(
            "Invalid resource format: 'Resource.reservation' must not be set if there is more than \
             one reservation in 'Resource.reservations'",
        ),
        _ => Ok(()),
    }
}

/// With a single reservation the old form may stand beside the new one, when they agree.
#[allow(deprecated, reason = "reads the old form")]
fn validate_endpoint(resource: &v1::Resource, only: &ReservationInfo) -> Result<(), Error> {
    if resource.role.is_some() && resource.role() != only.role() {
        return invalid(format!(
            "Invalid resource format: 'Resource.role' field with '{}' does not match the role '{}' \
             in 'Resource.reservations'",
            resource.role(),
            only.role()
        ));
    }
    match only.r#type() {
        reservation_info::Type::Unknown => invalid("Unsupported 'Resource.ReservationInfo.Type'"),
        reservation_info::Type::Static if resource.reservation.is_some() => invalid(
            "Invalid resource format: 'Resource.reservation' must not be set if the single \
             reservation in 'Resource.reservations' is STATIC",
        ),
        reservation_info::Type::Static => Ok(()),
        reservation_info::Type::Dynamic => {
            if resource.role.is_some() != resource.reservation.is_some() {
                return invalid(
                    "Invalid resource format: 'Resource.role' and 'Resource.reservation' must \
                     either be both set or both not set if the single reservation in \
                     'Resource.reservations' is DYNAMIC",
                );
            }
            let Some(old) = &resource.reservation else {
                return Ok(());
            };
            if old.principal() != only.principal() {
                return invalid(format!(
                    "Invalid resource format: 'Resource.reservation.principal' field with '{}' \
                     does not match the principal '{}' in 'Resource.reservations'",
                    old.principal(),
                    only.principal()
                ));
            }
            let none = v1::Labels::default();
            let (left, right) = (
                old.labels.as_ref().unwrap_or(&none),
                only.labels.as_ref().unwrap_or(&none),
            );
            if !same_labels(Some(left), Some(right)) {
                return invalid(format!(
                    "Invalid resource format: 'Resource.reservation.labels' field with '{}' does \
                     not match the labels '{}' in 'Resource.reservations'",
                    print_labels(left),
                    print_labels(right)
                ));
            }
            Ok(())
        }
    }
}
