//! Operations of an ACCEPT other than launches.

use std::collections::BTreeSet;

use meseta_proto::v1;
use meseta_proto::v1::agent_info::capability::Type as AgentCapability;
use meseta_proto::v1::framework_info::capability::Type as FrameworkCapability;
use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::resource::disk_info::source::Type as DiskType;
use meseta_resources::{Resource, Resources, without_volume};

use super::resource::{one_allocation_role, resources, volume_key};
use super::{Checked, Invalid, set_text, within};
use crate::records::{AgentRecord, FrameworkRecord};

/// Checks one operation that is no launch. Its resources are valid by themselves and in
/// post-refinement form. Those of a framework's operation carry allocation roles; those of an
/// operator's, who has no framework, do not.
pub fn operation(
    operation: &Operation,
    framework: Option<&FrameworkRecord>,
    agent: &AgentRecord,
) -> Checked {
    use operation::Type;
    let checked = match operation.r#type() {
        Type::Reserve => {
            let part = operation.reserve.as_ref();
            part.map(|reserve| check_reserve(reserve, framework, agent))
        }
        Type::Unreserve => operation.unreserve.as_ref().map(check_unreserve),
        Type::Create => {
            let part = operation.create.as_ref();
            part.map(|create| check_create(create, framework, agent))
        }
        Type::Destroy => {
            let part = operation.destroy.as_ref();
            part.map(|destroy| check_destroy(destroy, agent))
        }
        Type::GrowVolume => {
            let part = operation.grow_volume.as_ref();
            part.map(|grow| check_grow(grow, agent))
        }
        Type::ShrinkVolume => {
            let part = operation.shrink_volume.as_ref();
            part.map(|shrink| check_shrink(shrink, agent))
        }
        Type::CreateDisk => operation.create_disk.as_deref().map(check_create_disk),
        Type::DestroyDisk => operation.destroy_disk.as_deref().map(check_destroy_disk),
        Type::Launch | Type::LaunchGroup | Type::Unknown => None,
    };
    checked.unwrap_or(Ok(()))
}

fn check_reserve(
    reserve: &operation::Reserve,
    framework: Option<&FrameworkRecord>,
    agent: &AgentRecord,
) -> Checked {
    let reserved = valid(&reserve.resources)?;
    check_source(reserve)?;
    one_provider(&reserve.resources).map_err(within("Invalid resources"))?;
    for resource in &reserved {
        let role = resource.reservation_role().unwrap_or_default();
        if !resource.is_dynamically_reserved() {
            return Err(Invalid(format!(
                "Resource {resource} is not dynamically reserved"
            )));
        }
        if role.contains('/') && !agent.is_capable_of(AgentCapability::HierarchicalRole) {
            return Err(Invalid(format!(
                "Resource {resource} with reservation for hierarchical role '{role}' cannot be \
                 reserved on an agent without HIERARCHICAL_ROLE capability"
            )));
        }
        if resource.has_refined_reservations()
            && !agent.is_capable_of(AgentCapability::ReservationRefinement)
        {
            return Err(Invalid(format!(
                "Resource {resource} with reservation refinement cannot be reserved on an agent \
                 without RESERVATION_REFINEMENT capability"
            )));
        }
        let Some(framework) = framework else {
            check_unallocated(resource)?;
            continue;
        };
        if let Some(principal) = &framework.info.principal {
            let reservation = resource.reservations().last();
            check_reserver(reservation.and_then(|r| r.principal.as_deref()), principal)?;
        }
        let roles: Vec<&str> = framework.roles().collect();
        check_reserved_role(resource, role, &roles)?;
    }
    match framework {
        Some(_) => one_allocation_role(&reserved).map_err(within("Invalid reservation resources")),
        None => Ok(()),
    }
}

/// What is reserved anew was reserved in another way before, or not at all, and is as much.
fn check_source(reserve: &operation::Reserve) -> Checked {
    if reserve.source.is_empty() {
        return Ok(());
    }
    let source =
        Resources::from_v1(&reserve.source).map_err(|e| Invalid(format!("Invalid source: {e}")))?;
    let target = valid(&reserve.resources)?;
    one_reservation(&reserve.source).map_err(within("Invalid source"))?;
    one_reservation(&reserve.resources).map_err(within("Invalid resources"))?;
    let (source, target) = (plain(&source), plain(&target));
    if source != target {
        return Err(Invalid(format!(
            "Source and target resources should refer to identical resource quantities: {source} \
             vs. {target}"
        )));
    }
    Ok(())
}

fn one_reservation(resources: &[v1::Resource]) -> Checked {
    let Some((first, others)) = resources.split_first() else {
        return Err(Invalid::new("Resource cannot be empty"));
    };
    if others
        .iter()
        .any(|other| other.reservations != first.reservations)
    {
        return Err(Invalid::new("Mixed reservations are not supported"));
    }
    Ok(())
}

/// Resources without any reservation.
fn plain(resources: &Resources) -> Resources {
    let mut messages = resources.to_v1();
    for message in &mut messages {
        message.reservations.clear();
    }
    Resources::from_v1(&messages).unwrap_or_default()
}

/// Operators reserve what is free.
fn check_unallocated(resource: &Resource) -> Checked {
    if resource.allocation_role().is_some() {
        return Err(Invalid(format!(
            "A reserve operation was attempted on allocated resource {resource}, but an operator \
             can only perform reservations on unallocated resources"
        )));
    }
    Ok(())
}

fn check_reserver(reserver: Option<&str>, principal: &str) -> Checked {
    match reserver {
        None => Err(Invalid(format!(
            "A reserve operation was attempted by principal '{principal}', but there is a reserved \
             resource in the request with no principal set"
        ))),
        Some(reserver) if reserver != principal => Err(Invalid(format!(
            "A reserve operation was attempted by authenticated principal '{principal}', which does \
             not match a reserved resource in the request with principal '{reserver}'"
        ))),
        Some(_) => Ok(()),
    }
}

/// Frameworks reserve what is offered to a role of theirs for that role.
fn check_reserved_role(resource: &Resource, role: &str, roles: &[&str]) -> Checked {
    let Some(allocated) = resource.allocation_role() else {
        return Err(Invalid(format!(
            "A reserve operation was attempted on unallocated resource {resource}, but frameworks \
             can only perform reservations on allocated resources"
        )));
    };
    if allocated != role {
        return Err(Invalid(format!(
            "A reserve operation was attempted for a resource with role '{role}', but the resource \
             was allocated to role '{allocated}'"
        )));
    }
    if !roles.contains(&allocated) {
        return Err(Invalid(format!(
            "A reserve operation was attempted for a resource allocated to role '{allocated}', but \
             the framework only has roles '{}'",
            set_text(roles.iter().copied())
        )));
    }
    Ok(())
}

fn check_unreserve(unreserve: &operation::Unreserve) -> Checked {
    let reserved = valid(&unreserve.resources)?;
    one_provider(&unreserve.resources).map_err(within("Invalid resources"))?;
    for resource in &reserved {
        if !resource.is_dynamically_reserved() {
            return Err(Invalid(format!(
                "Resource {resource} is not dynamically reserved"
            )));
        }
        if resource.is_persistent_volume() {
            return Err(Invalid(format!(
                "A dynamically reserved persistent volume {resource} cannot be unreserved \
                 directly. Please destroy the persistent volume first then unreserve the resource"
            )));
        }
    }
    Ok(())
}

fn check_create(
    create: &operation::Create,
    framework: Option<&FrameworkRecord>,
    agent: &AgentRecord,
) -> Checked {
    let volumes = valid(&create.volumes)?;
    one_provider(&create.volumes).map_err(within("Invalid resources"))?;
    persistent(&create.volumes).map_err(within("Not a persistent volume"))?;
    new_volumes(&create.volumes, &agent.checkpointed)?;
    for volume in &volumes {
        let role = volume.reservation_role().unwrap_or_default();
        if let Some(framework) = framework
            && volume.is_shared()
            && !framework.is_capable_of(FrameworkCapability::SharedResources)
        {
            return Err(Invalid(format!(
                "Create volume operation for '{volume}' has been attempted by framework '{}' with \
                 no SHARED_RESOURCES capability",
                framework.id
            )));
        }
        if role.contains('/') && !agent.is_capable_of(AgentCapability::HierarchicalRole) {
            return Err(Invalid(format!(
                "Volume {volume} with reservation for hierarchical role '{role}' cannot be created \
                 on an agent without HIERARCHICAL_ROLE capability"
            )));
        }
        if volume.has_refined_reservations()
            && !agent.is_capable_of(AgentCapability::ReservationRefinement)
        {
            return Err(Invalid(format!(
                "Volume {volume} with reservation refinement cannot be created on an agent without \
                 RESERVATION_REFINEMENT capability"
            )));
        }
        if let Some(principal) = framework.and_then(|framework| framework.info.principal.as_ref()) {
            let persistence = volume.disk().and_then(|disk| disk.persistence.as_ref());
            check_creator(persistence.and_then(|p| p.principal.as_deref()), principal)?;
        }
    }
    match framework {
        Some(_) => one_allocation_role(&volumes).map_err(within("Invalid volume resources")),
        None => Ok(()),
    }
}

fn check_creator(creator: Option<&str>, principal: &str) -> Checked {
    match creator {
        None => Err(Invalid(format!(
            "Create volume operation attempted by principal '{principal}', but there is a volume in \
             the operation with no principal set in 'disk.persistence'"
        ))),
        Some(creator) if creator != principal => Err(Invalid(format!(
            "Create volume operation attempted by authenticated principal '{principal}', which does \
             not match a volume in the operation with principal '{creator}' set in \
             'disk.persistence'"
        ))),
        Some(_) => Ok(()),
    }
}

/// Checks that no volume of the agent has the id already, and no two of these have the same. A
/// shared one does not count as one more copy of another, as it does in Mesos.
fn new_volumes(volumes: &[v1::Resource], checkpointed: &Resources) -> Checked {
    let mut seen: BTreeSet<_> = checkpointed.iter().filter_map(volume_key).collect();
    for (role, id) in each(volumes)?.iter().flatten().filter_map(volume_key) {
        if !seen.insert((role, id.clone())) {
            return Err(Invalid(format!("Persistence ID '{id}' is not unique")));
        }
    }
    Ok(())
}

fn check_destroy(destroy: &operation::Destroy, agent: &AgentRecord) -> Checked {
    valid(&destroy.volumes)?;
    one_provider(&destroy.volumes).map_err(within("Invalid resources"))?;
    persistent(&destroy.volumes).map_err(within("Not a persistent volume"))?;
    let volumes: Vec<Resources> = each(&destroy.volumes)?
        .iter()
        .map(Resources::unallocate)
        .collect();
    let is_own = |volume: &&Resources| volume.iter().all(|v| v.provider_id().is_none());
    if volumes
        .iter()
        .filter(is_own)
        .any(|volume| !agent.checkpointed.contains(volume))
    {
        return Err(Invalid::new("Persistent volumes not found"));
    }
    for used in agent.used.values() {
        let used = used.unallocate();
        if volumes.iter().any(|volume| used.contains(volume)) {
            return Err(Invalid::new("Persistent volumes in use"));
        }
    }
    Ok(())
}

fn check_grow(grow: &operation::GrowVolume, agent: &AgentRecord) -> Checked {
    let operation::GrowVolume { volume, addition } = grow;
    if amount(addition.scalar.as_ref()) <= 0.0 {
        return Err(Invalid::new(
            "The size of 'GrowVolume.addition' field must be greater than zero",
        ));
    }
    if volume.provider_id.is_some() {
        return Err(Invalid::new(
            "Growing a volume from a resource provider is not supported",
        ));
    }
    persistent(std::slice::from_ref(volume)).map_err(within(
        "Invalid persistent volume in the 'GrowVolume.volume' field",
    ))?;
    if volume.shared.is_some() {
        return Err(Invalid::new(
            "Growing a shared persistent volume is not supported",
        ));
    }
    if (&one(&without_volume(volume))? + &one(addition)?).len() != 1 {
        return Err(Invalid::new(
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields",
        ));
    }
    resizable(volume, agent, "grown")
}

fn check_shrink(shrink: &operation::ShrinkVolume, agent: &AgentRecord) -> Checked {
    let operation::ShrinkVolume { volume, subtract } = shrink;
    if amount(Some(subtract)) <= 0.0 {
        return Err(Invalid::new(
            "Value of 'ShrinkVolume.subtract' must be greater than zero",
        ));
    }
    if amount(volume.scalar.as_ref()) <= amount(Some(subtract)) {
        return Err(Invalid::new(
            "Value of 'ShrinkVolume.subtract' must be smaller than the size of \
             'ShrinkVolume.volume'",
        ));
    }
    if volume.provider_id.is_some() {
        return Err(Invalid::new(
            "Shrinking a volume from a resource provider is not supported",
        ));
    }
    if disk_type(volume) == Some(DiskType::Mount) {
        return Err(Invalid::new(
            "Shrinking a volume on a MOUNT disk is not supported",
        ));
    }
    persistent(std::slice::from_ref(volume)).map_err(within(
        "Invalid persistent volume in the 'ShrinkVolume.volume' field",
    ))?;
    if volume.shared.is_some() {
        return Err(Invalid::new(
            "Shrinking a shared persistent volume is not supported",
        ));
    }
    resizable(volume, agent, "shrunk")
}

fn resizable(volume: &v1::Resource, agent: &AgentRecord, how: &str) -> Checked {
    if agent.is_capable_of(AgentCapability::ResizeVolume) {
        return Ok(());
    }
    Err(Invalid(format!(
        "Volume {} cannot be {how} on an agent without RESIZE_VOLUME capability",
        one(volume)?
    )))
}

fn check_create_disk(create: &operation::CreateDisk) -> Checked {
    let source = &create.source;
    provided(source)?;
    if disk_type(source) != Some(DiskType::Raw) {
        return Err(Invalid::new("'source' is not a RAW disk resource"));
    }
    if !matches!(create.target_type(), DiskType::Mount | DiskType::Block) {
        return Err(Invalid::new("'target_type' is neither MOUNT or BLOCK"));
    }
    let disk = source.disk.as_ref().and_then(|disk| disk.source.as_ref());
    let has_profile = disk.is_some_and(|source| source.profile.is_some());
    match (has_profile, &create.target_profile) {
        (true, Some(_)) => Err(Invalid::new(
            "'target_profile' must not be set when 'source' has a profile",
        )),
        (false, None) => Err(Invalid::new(
            "'target_profile' must be set when 'source' has no profile",
        )),
        _ => Ok(()),
    }
}

fn check_destroy_disk(destroy: &operation::DestroyDisk) -> Checked {
    let source = &destroy.source;
    provided(source)?;
    if !matches!(
        disk_type(source),
        Some(DiskType::Mount | DiskType::Block | DiskType::Raw)
    ) {
        return Err(Invalid::new(
            "'source' is neither a MOUNT, BLOCK or RAW disk resource",
        ));
    }
    let disk = source.disk.as_ref();
    let is_backed = disk.and_then(|disk| disk.source.as_ref()?.id.as_ref());
    if is_backed.is_none() {
        return Err(Invalid::new("'source' is not backed by a CSI volume"));
    }
    if disk.is_some_and(|disk| disk.persistence.is_some()) {
        return Err(Invalid(format!(
            "A disk resource containing a persistent volume {} cannot be destroyed directly. \
             Please destroy the persistent volume first then destroy the disk resource",
            one(source)?
        )));
    }
    Ok(())
}

/// Checks a disk that only a resource provider can make something of.
fn provided(source: &v1::Resource) -> Checked {
    resources(std::slice::from_ref(source)).map_err(within("Invalid resource"))?;
    match source.provider_id {
        Some(_) => Ok(()),
        None => Err(Invalid::new(
            "'source' is not managed by a resource provider",
        )),
    }
}

fn valid(messages: &[v1::Resource]) -> Result<Resources, Invalid> {
    resources(messages).map_err(within("Invalid resources"))
}

fn one(message: &v1::Resource) -> Result<Resources, Invalid> {
    Resources::from_v1(std::slice::from_ref(message)).map_err(|e| Invalid(e.to_string()))
}

fn each(messages: &[v1::Resource]) -> Result<Vec<Resources>, Invalid> {
    messages.iter().map(one).collect()
}

fn amount(scalar: Option<&v1::value::Scalar>) -> f64 {
    // What is less than a thousandth is nothing.
    scalar.map_or(0.0, |scalar| (scalar.value * 1000.0).round())
}

fn disk_type(resource: &v1::Resource) -> Option<DiskType> {
    let source = resource.disk.as_ref()?.source.as_ref()?;
    Some(source.r#type())
}

fn persistent(volumes: &[v1::Resource]) -> Checked {
    for volume in volumes {
        let Some(disk) = &volume.disk else {
            return Err(Invalid(format!(
                "Resource {} does not have DiskInfo",
                one(volume)?
            )));
        };
        if disk.persistence.is_none() {
            return Err(Invalid::new("'persistence' is not set in DiskInfo"));
        }
        match &disk.volume {
            None => {
                return Err(Invalid::new(
                    "Expecting 'volume' to be set for persistent volume",
                ));
            }
            Some(volume) if volume.mode() == v1::volume::Mode::Ro => {
                return Err(Invalid::new("Read-only persistent volume not supported"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn one_provider(resources: &[v1::Resource]) -> Checked {
    let providers: BTreeSet<Option<&str>> = resources
        .iter()
        .map(|resource| {
            resource
                .provider_id
                .as_deref()
                .map(v1::ResourceProviderId::as_str)
        })
        .collect();
    if providers.len() == 1 {
        return Ok(());
    }
    if providers.contains(&None) {
        return Err(Invalid::new(
            "Some resources have a resource provider and some do not",
        ));
    }
    let providers: Vec<&str> = providers.into_iter().flatten().collect();
    Err(Invalid(format!(
        "The resources have multiple resource providers: {}",
        providers.join(", ")
    )))
}
