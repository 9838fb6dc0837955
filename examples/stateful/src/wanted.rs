//! What the counter needs of an agent, and what it runs there.

use meseta_framework::resource::{Remainder, ResourceExt as _, cpus, disk, mem};
use meseta_framework::v1::{AgentId, CommandInfo, Offer, Resource, TaskId, TaskInfo};

/// The role to which its resources are reserved: no other role is offered them.
pub(crate) const ROLE: &str = "stateful";
/// Who reserves, and may therefore unreserve.
pub(crate) const PRINCIPAL: &str = "stateful";
/// By this id the volume is known again, among the others of its role.
const VOLUME: &str = "count";
/// Where the task finds it in its sandbox.
const PATH: &str = "data";

const COMMAND: &str = include_str!("count.sh");

/// How an offer is used for one launch.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// What is to be reserved first: nothing, once it has been.
    pub(crate) reserve: Vec<Resource>,
    /// The volume, if it is to be made first.
    pub(crate) create: Option<Resource>,
    /// What the task is given, the volume among it.
    pub(crate) task: Vec<Resource>,
}

impl Plan {
    /// Reserves what is not reserved yet, and makes the volume if that is allowed and it is not there.
    pub(crate) fn of(offer: &Offer, may_create: bool) -> Option<Self> {
        let mut left = Remainder::of(offer);
        let mut plan = Self::default();
        for resource in [cpus(0.1), mem(32.0)] {
            let reserved = plan.reserved(&mut left, resource)?;
            plan.task.push(reserved);
        }
        let volume = match left.volume(VOLUME) {
            Some(volume) => volume,
            None if may_create => {
                let disk = plan.reserved(&mut left, disk(16.0))?;
                let volume = disk.as_volume(VOLUME, PATH, Some(PRINCIPAL));
                plan.create = Some(volume.clone());
                volume
            }
            None => return None,
        };
        plan.task.push(volume);
        Some(plan)
    }

    /// Takes a resource out of an offer, as it is named once it is reserved.
    fn reserved(&mut self, left: &mut Remainder, resource: Resource) -> Option<Resource> {
        let reserved = resource.clone().reserved_to(ROLE, Some(PRINCIPAL));
        if let Some(taken) = left.take(std::slice::from_ref(&reserved)) {
            return taken.into_iter().next();
        }
        let taken = left.take(&[resource])?.into_iter().next()?;
        if !taken.reservations.is_empty() {
            // Reserved in some other way, which is not for us to undo.
            return None;
        }
        let reserved = taken.reserved_to(ROLE, Some(PRINCIPAL));
        self.reserve.push(reserved.clone());
        Some(reserved)
    }
}

/// What an offer has of ours: volumes, and everything as it is named when there is no volume in it.
pub(crate) fn ours(offer: &Offer) -> (Vec<Resource>, Vec<Resource>) {
    let is_ours = |resource: &&Resource| {
        let last = resource.reservations.last();
        last.is_some_and(|it| it.role() == ROLE && it.principal() == PRINCIPAL)
    };
    let all: Vec<Resource> = offer.resources.iter().filter(is_ours).cloned().collect();
    let volumes = all.iter().filter(|r| r.volume_id().is_some());
    let volumes = volumes.cloned().collect();
    let emptied = all.into_iter().map(|resource| Resource {
        disk: None,
        ..resource
    });
    (volumes, emptied.collect())
}

pub(crate) fn task(task_id: TaskId, agent_id: AgentId, resources: Vec<Resource>) -> TaskInfo {
    TaskInfo {
        name: "counter".into(),
        task_id,
        agent_id,
        command: Some(CommandInfo {
            value: Some(COMMAND.into()),
            ..CommandInfo::default()
        }),
        resources,
        ..TaskInfo::default()
    }
}
