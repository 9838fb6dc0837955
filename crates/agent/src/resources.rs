//! What the agent has: its own resources, with the reservations and volumes that schedulers and
//! operators made. Those are durable; the rest is what the machine offers.

use std::sync::Arc;

use meseta_proto::internal;
use meseta_proto::v1::Resource as Message;
use meseta_proto::v1::resource::reservation_info;
use meseta_resources::{Conversion, Resource, Resources, without_volume};

use crate::Action;
use crate::agent::{Agent, Phase, Turn};
use crate::recovery::facts::{Change, RESOURCES, ResourcesFact};
use crate::volumes::{self, FolderChanges};

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
            let before = &self.checkpointed;
            let changes = FolderChanges::between(&self.config.work_dir, before, &checkpointed);
            if !changes.is_empty() {
                // The master tells again what it wants kept, should this be cut short.
                turn.act(Action::ChangeVolumes {
                    operation: None,
                    create: changes.create,
                    remove: changes.remove,
                });
            }
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

    /// Of reservations and volumes, those that the machine's resources still hold.
    pub(crate) fn fitting(&self, checkpointed: &Resources) -> Resources {
        let mut kept = Resources::new();
        for resource in checkpointed {
            let Ok(one) = single(&resource.to_v1()) else {
                continue;
            };
            let with_it = &kept + &one;
            if self.with_checkpointed(&with_it).is_ok() {
                kept = with_it;
            }
        }
        kept
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
        turn.persist(Change::put_twice(RESOURCES, &fact));
        self.checkpointed = checkpointed;
        self.checkpointed_resources = Arc::new(resources);
    }

    /// Whether the reservations and volumes among these resources are known here.
    pub(crate) fn knows_checkpointed(&self, used: &Resources) -> bool {
        let used = used.unallocate();
        let needed = used.filter(Resource::needs_checkpoint);
        needed.iter().all(|resource| {
            single(&resource.to_v1()).is_ok_and(|used| self.checkpointed.contains(&used))
        })
    }

    /// Applies conversions to what the agent has.
    ///
    /// # Errors
    /// Says why they cannot be applied.
    pub(crate) fn apply(
        &mut self,
        turn: &mut Turn<'_>,
        conversions: &[Conversion],
    ) -> Result<(), String> {
        let mut total = self.total.clone();
        for conversion in conversions {
            total = conversion.apply(&total).map_err(|e| e.to_string())?;
            self.check_places(&conversion.converted)?;
        }
        self.set_total(turn, total);
        Ok(())
    }

    /// Takes back what conversions made, if it is still there as they made it.
    pub(crate) fn undo(&mut self, turn: &mut Turn<'_>, conversions: &[Conversion]) {
        let mut total = self.total.clone();
        for conversion in conversions.iter().rev() {
            if !total.contains(&conversion.converted) {
                return;
            }
            total = &(&total - &conversion.converted) + &conversion.consumed;
        }
        self.set_total(turn, total);
    }

    fn set_total(&mut self, turn: &mut Turn<'_>, total: Resources) {
        self.total = total;
        let checkpointed = self.total.filter(Resource::needs_checkpoint);
        self.set_checkpointed(turn, checkpointed);
    }

    fn check_places(&self, made: &Resources) -> Result<(), String> {
        let volumes = made.persistent_volumes();
        let work_dir = &self.config.work_dir;
        let homeless = volumes
            .iter()
            .find(|v| volumes::folder(work_dir, v).is_none());
        homeless.map_or(Ok(()), |volume| {
            Err(format!("The persistent volume {volume} has no place here"))
        })
    }
}

fn single(resource: &Message) -> Result<Resources, String> {
    Resources::from_v1(std::slice::from_ref(resource)).map_err(|e| e.to_string())
}

/// What a resource was before schedulers and operators changed it.
fn plain(mut resource: Message) -> Message {
    while resource
        .reservations
        .last()
        .is_some_and(|r| r.r#type() == reservation_info::Type::Dynamic)
    {
        resource.reservations.pop();
    }
    without_volume(&resource)
}
