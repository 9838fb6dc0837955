//! What the agent has: its own resources, with the reservations and volumes that schedulers and
//! operators made. Those are durable; the rest is what the machine offers.

use std::sync::Arc;

use meseta_proto::internal;
use meseta_proto::v1::resource::reservation_info;
use meseta_proto::v1::{Resource, offer};
use meseta_resources::Resources;

use crate::agent::{Agent, Phase, Turn};
use crate::recovery::facts::{Change, RESOURCES, ResourcesFact};

impl Agent {
    /// The whole new set of reservations and volumes, from a master that applies operations
    /// itself.
    pub(crate) fn on_checkpoint_resources(
        &mut self,
        turn: &mut Turn<'_>,
        message: &internal::CheckpointResourcesMessage,
    ) {
        if self.phase == Phase::Recovering {
            return;
        }
        let Ok(checkpointed) = Resources::from_v1(&message.resources) else {
            return;
        };
        if let Ok(total) = self.with_checkpointed(&checkpointed) {
            self.total = total;
            self.set_checkpointed(turn, checkpointed);
        }
    }

    /// The machine's resources with reservations and volumes made on them.
    ///
    /// # Errors
    /// Says what there is not enough of.
    pub(crate) fn with_checkpointed(&self, checkpointed: &Resources) -> Result<Resources, String> {
        let mut total = Resources::from_v1(&self.config.resources).map_err(|e| e.to_string())?;
        for resource in checkpointed {
            let made = single(&resource.to_v1())?;
            let plain = single(&plain(resource.to_v1()))?;
            if !total.contains(&plain) {
                return Err(format!("{made} is not in the agent's resources {total}"));
            }
            total = &(&total - &plain) + &made;
        }
        Ok(total)
    }

    pub(crate) fn set_checkpointed(&mut self, turn: &mut Turn<'_>, checkpointed: Resources) {
        self.total_resources = Arc::new(self.total.to_v1());
        if checkpointed == self.checkpointed {
            return;
        }
        let resources = checkpointed.to_v1();
        let fact = ResourcesFact {
            resources: resources.clone(),
        };
        turn.persist(vec![Change::put(RESOURCES.into(), &fact)]);
        self.checkpointed = checkpointed;
        self.checkpointed_resources = Arc::new(resources);
    }

    /// Whether the reservations and volumes among these resources are known here.
    pub(crate) fn knows_checkpointed(&self, used: &Resources) -> bool {
        let used = used.unallocate();
        needing_checkpoint(&used).iter().all(|resource| {
            single(&resource.to_v1()).is_ok_and(|used| self.checkpointed.contains(&used))
        })
    }

    /// Applies an operation to what the agent has.
    ///
    /// # Errors
    /// Says why it cannot be applied.
    pub(crate) fn apply(
        &mut self,
        turn: &mut Turn<'_>,
        operation: &offer::Operation,
    ) -> Result<(), String> {
        let (consumed, converted) = conversion(operation)?;
        let (consumed, converted) = (consumed.unallocate(), converted.unallocate());
        if !self.total.contains(&consumed) {
            return Err(format!(
                "{consumed} is not in the agent's resources {}",
                self.total
            ));
        }
        self.total = &(&self.total - &consumed) + &converted;
        let checkpointed = needing_checkpoint(&self.total);
        self.set_checkpointed(turn, checkpointed);
        Ok(())
    }
}

/// Those that the machine alone does not tell of.
fn needing_checkpoint(resources: &Resources) -> Resources {
    resources.filter(|r| r.is_dynamically_reserved() || r.is_persistent_volume())
}

/// What an operation takes, and what it makes of that.
fn conversion(operation: &offer::Operation) -> Result<(Resources, Resources), String> {
    use offer::operation::Type;
    let all = |resources: &[Resource]| Resources::from_v1(resources).map_err(|e| e.to_string());
    let missing = || "The operation says nothing of what it is about".to_owned();
    match operation.r#type() {
        Type::Reserve => {
            let reserve = operation.reserve.as_ref().ok_or_else(missing)?;
            let converted = all(&reserve.resources)?;
            let consumed = match reserve.source.as_slice() {
                [] => converted.pop_reservation(),
                source => all(source)?,
            };
            Ok((consumed, converted))
        }
        Type::Unreserve => {
            let unreserve = operation.unreserve.as_ref().ok_or_else(missing)?;
            let consumed = all(&unreserve.resources)?;
            let converted = consumed.pop_reservation();
            Ok((consumed, converted))
        }
        Type::Create => {
            let create = operation.create.as_ref().ok_or_else(missing)?;
            let plain: Vec<_> = create.volumes.iter().cloned().map(without_volume).collect();
            Ok((all(&plain)?, all(&create.volumes)?))
        }
        Type::Destroy => {
            let destroy = operation.destroy.as_ref().ok_or_else(missing)?;
            let plain: Vec<_> = destroy
                .volumes
                .iter()
                .cloned()
                .map(without_volume)
                .collect();
            Ok((all(&destroy.volumes)?, all(&plain)?))
        }
        Type::GrowVolume => {
            let grow = operation.grow_volume.as_ref().ok_or_else(missing)?;
            let added = grow.addition.scalar.map_or(0.0, |s| s.value);
            let grown = resized(grow.volume.clone(), added);
            let consumed = all(&[grow.volume.clone(), grow.addition.clone()])?;
            Ok((consumed, all(&[grown])?))
        }
        Type::ShrinkVolume => {
            let shrink = operation.shrink_volume.as_ref().ok_or_else(missing)?;
            let rest = resized(shrink.volume.clone(), -shrink.subtract.value);
            let mut freed = without_volume(shrink.volume.clone());
            freed.scalar = Some(shrink.subtract);
            let consumed = all(std::slice::from_ref(&shrink.volume))?;
            Ok((consumed, all(&[rest, freed])?))
        }
        Type::Unknown | Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            Err("Only resource providers can apply this operation".into())
        }
    }
}

fn single(resource: &Resource) -> Result<Resources, String> {
    Resources::from_v1(std::slice::from_ref(resource)).map_err(|e| e.to_string())
}

/// What a resource was before schedulers and operators changed it.
fn plain(mut resource: Resource) -> Resource {
    while resource
        .reservations
        .last()
        .is_some_and(|r| r.r#type() == reservation_info::Type::Dynamic)
    {
        resource.reservations.pop();
    }
    without_volume(resource)
}

fn without_volume(mut resource: Resource) -> Resource {
    resource.shared = None;
    resource.disk = resource.disk.take().and_then(|mut disk| {
        disk.persistence = None;
        disk.volume = None;
        disk.source.is_some().then_some(disk)
    });
    resource
}

fn resized(mut volume: Resource, by: f64) -> Resource {
    if let Some(scalar) = &mut volume.scalar {
        scalar.value += by;
    }
    volume
}
