use std::collections::{BTreeMap, BTreeSet};

use meseta_proto::v1;
use meseta_resources::{Resource, Resources, Value};

use super::{Checked, Invalid, id, within};

/// Checks resources that a task, an executor or an operation names, and reads them.
pub fn resources(messages: &[v1::Resource]) -> Result<Resources, Invalid> {
    let resources =
        Resources::from_v1(messages).map_err(|e| Invalid(format!("Invalid resources: {e}")))?;
    gpus(&resources).map_err(within("Invalid 'gpus' resource"))?;
    for resource in &resources {
        disk(resource).map_err(within("Invalid DiskInfo"))?;
    }
    for resource in &resources {
        if resource.is_dynamically_reserved() && resource.is_revocable() {
            return Err(Invalid(format!(
                "Invalid ReservationInfo: Dynamically reserved resource {resource} cannot be \
                 created from revocable resources"
            )));
        }
    }
    Ok(resources)
}

fn gpus(resources: &Resources) -> Checked {
    let gpus = resources.gpus().unwrap_or_default();
    if gpus.fract() == 0.0 {
        Ok(())
    } else {
        Err(Invalid::new(
            "The 'gpus' resource must be an unsigned integer",
        ))
    }
}

fn disk(resource: &Resource) -> Checked {
    let Some(disk) = resource.disk() else {
        return Ok(());
    };
    let Some(persistence) = &disk.persistence else {
        if disk.volume.is_some() {
            return Err(Invalid::new("Non-persistent volume not supported"));
        }
        if disk.source.is_none() {
            return Err(Invalid::new("DiskInfo is set but empty"));
        }
        return Ok(());
    };
    let refuse = |sentence: &str| Err(Invalid::new(sentence));
    if resource.is_revocable() {
        return refuse("Persistent volumes cannot be created from revocable resources");
    }
    if resource.is_unreserved() {
        return refuse("Persistent volumes cannot be created from unreserved resources");
    }
    match &disk.volume {
        None => return refuse("Expecting 'volume' to be set for persistent volume"),
        Some(volume) if volume.host_path.is_some() => {
            return refuse("Expecting 'host_path' to be unset for persistent volume");
        }
        Some(_) => {}
    }
    id(&persistence.id).map_err(within("Invalid persistence ID for persistent volume"))
}

/// Checks that no two volumes of a role have the same id.
pub(super) fn unique_volumes(resources: &Resources) -> Checked {
    let mut seen = BTreeSet::new();
    for (role, id) in resources.iter().filter_map(volume_key) {
        if !seen.insert((role, id.clone())) {
            return Err(Invalid(format!("Persistence ID '{id}' is not unique")));
        }
    }
    Ok(())
}

/// What tells a persistent volume from all others of its agent: its role and its id.
pub(super) fn volume_key(resource: &Resource) -> Option<(String, String)> {
    let persistence = resource.disk()?.persistence.as_ref()?;
    let role = resource.reservation_role().unwrap_or("*");
    Some((role.to_owned(), persistence.id.clone()))
}

/// Checks that a resource is not used in its revocable and its other form at once.
pub(super) fn one_revocability(resources: &Resources) -> Checked {
    let mut forms: BTreeMap<&str, bool> = BTreeMap::new();
    for resource in resources {
        let name = resource.name();
        let first = *forms.entry(name).or_insert(resource.is_revocable());
        if first != resource.is_revocable() {
            return Err(Invalid(format!(
                "Cannot use both revocable and non-revocable '{name}' at the same time"
            )));
        }
    }
    Ok(())
}

/// Checks that all are allocated, and to the same role: offers of two roles cannot be mixed.
pub(super) fn one_allocation_role(resources: &Resources) -> Checked {
    let mut role = None;
    for resource in resources {
        let Some(this) = resource.allocation_role().filter(|role| !role.is_empty()) else {
            return Err(Invalid::new("The resources are not allocated to a role"));
        };
        let first = *role.get_or_insert(this);
        if this != first {
            return Err(Invalid(format!(
                "The resources have multiple allocation roles ('{this}' and '{first}') but only \
                 one allocation role is allowed"
            )));
        }
    }
    Ok(())
}

/// Whether some number or name is in more than one of the parts, such as the same port in a task
/// and in its executor.
pub(super) fn overlap(parts: &[&Resources]) -> bool {
    let count = |resources: &Resources| -> u64 {
        let elements = |resource: &Resource| match resource.value() {
            Value::Scalar(_) => 0,
            Value::Ranges(ranges) => ranges.count(),
            Value::Set(set) => set.iter().len() as u64,
        };
        resources.iter().map(elements).fold(0, u64::saturating_add)
    };
    let apart = parts
        .iter()
        .map(|part| count(part))
        .fold(0, u64::saturating_add);
    apart != count(&parts.iter().copied().sum())
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    fn refusal(text: &str) -> Option<String> {
        resources(&[json::from_slice(text.as_bytes()).unwrap()])
            .err()
            .map(|e| e.0)
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        assert_eq!(
            refusal(r#"{"name":"gpus","type":"SCALAR","scalar":{"value":0.5}}"#).unwrap(),
            "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"
        );
        assert_eq!(
            refusal(r#"{"name":"","type":"SCALAR","scalar":{"value":1}}"#).unwrap(),
            "Invalid resources: Resource ':1' is invalid: Empty resource name"
        );
        assert_eq!(
            refusal(r#"{"name":"gpus","type":"SCALAR","scalar":{"value":2}}"#),
            None
        );
    }

    #[test]
    fn volumes_are_of_reserved_disk_and_have_an_id() {
        let disk = |rest: &str| {
            refusal(&format!(
                r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":1}},{rest}}}"#
            ))
        };
        let reserved = r#""reservations":[{"type":"DYNAMIC","role":"r"}]"#;
        assert_eq!(
            disk(r#""disk":{}"#).unwrap(),
            "Invalid DiskInfo: DiskInfo is set but empty"
        );
        assert_eq!(
            disk(r#""disk":{"persistence":{"id":"v"}}"#).unwrap(),
            "Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources"
        );
        assert_eq!(
            disk(&format!(
                r#"{reserved},"disk":{{"persistence":{{"id":"v"}}}}"#
            ))
            .unwrap(),
            "Invalid DiskInfo: Expecting 'volume' to be set for persistent volume"
        );
        assert_eq!(
            disk(&format!(
                r#"{reserved},"disk":{{"persistence":{{"id":"a/b"}},
                "volume":{{"mode":"RW","container_path":"p"}}}}"#
            ))
            .unwrap(),
            "Invalid DiskInfo: Invalid persistence ID for persistent volume: 'a/b' contains \
             invalid characters"
        );
        assert_eq!(
            disk(&format!(r#"{reserved},"revocable":{{}}"#)).unwrap(),
            "Invalid ReservationInfo: Dynamically reserved resource \
             disk(reservations: [(DYNAMIC,r)]){REV}:1 cannot be created from revocable resources"
        );
    }

    #[test]
    fn the_same_port_twice_overlaps_and_different_ports_do_not() {
        let parse = |text: &str| Resources::parse(text, "*").unwrap();
        let (a, b, c) = (
            parse("cpus:1;ports:[1-5]"),
            parse("cpus:1;ports:[5-6]"),
            parse("cpus:1;ports:[6-7];names:{a}"),
        );
        assert!(overlap(&[&a, &b]));
        assert!(!overlap(&[&a, &c]));
        assert!(overlap(&[&c, &parse("names:{b,a}")]));
    }
}
