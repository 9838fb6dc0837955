use meseta_endpoints::forms::{
    self, Each, Entries, Executor, Full, FullByRole, Labels, Object, Summary, SummaryByRole, Task,
    seconds,
};
use meseta_proto::json::AsJson;
use meseta_proto::v1;
use meseta_proto::v1::framework_info::capability::Type::MultiRole;
use meseta_proto::v1::resource::AllocationInfo;
use meseta_proto::v1::scheduler::OfferConstraints;
use serde::ser::SerializeMap;

use crate::CompletedTask;
use crate::records::{AgentRecord, FrameworkRecord};
use crate::snapshot::Snapshot;

/// A registered agent.
pub(super) struct Agent<'a> {
    pub(super) record: &'a AgentRecord,
    pub(super) snapshot: &'a Snapshot,
}

impl Entries for Agent<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let agent = self.record;
        let deactivation = self.snapshot.deactivations.get(&agent.id);
        forms::Agent(&agent.info).write(map)?;
        map.serialize_entry("pid", &agent.pid.to_string())?;
        map.serialize_entry("registered_time", &seconds(agent.registered_time))?;
        if let Some(time) = agent.reregistered_time {
            map.serialize_entry("reregistered_time", &seconds(time))?;
        }
        map.serialize_entry("resources", &Summary(&agent.total))?;
        map.serialize_entry("used_resources", &Summary(&agent.used_total()))?;
        map.serialize_entry("offered_resources", &Summary(&agent.offered))?;
        map.serialize_entry("reserved_resources", &SummaryByRole(&agent.total))?;
        map.serialize_entry("unreserved_resources", &Summary(&agent.total.unreserved()))?;
        map.serialize_entry("active", &agent.active)?;
        map.serialize_entry("deactivated", &deactivation.is_some())?;
        map.serialize_entry("version", &agent.version)?;
        let capabilities = || agent.capabilities.iter().map(|c| c.r#type().as_str_name());
        map.serialize_entry("capabilities", &Each(capabilities))?;
        if let Some(drain) = deactivation.and_then(|it| it.drain.as_deref()) {
            map.serialize_entry("drain_info", &AsJson(drain))?;
        }
        if let Some(start) = deactivation.and_then(|it| it.drain_start) {
            map.serialize_entry("estimated_drain_start_time_seconds", &seconds(start))?;
        }
        Ok(())
    }
}

/// The same with resources in full, as `/slaves` shows them.
pub(super) struct FullAgent<'a>(pub(super) Agent<'a>);

impl Entries for FullAgent<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let agent = self.0.record;
        self.0.write(map)?;
        map.serialize_entry("reserved_resources_full", &FullByRole(&agent.total))?;
        map.serialize_entry(
            "unreserved_resources_full",
            &Full(&agent.total.unreserved()),
        )?;
        map.serialize_entry("used_resources_full", &Full(&agent.used_total()))?;
        map.serialize_entry("offered_resources_full", &Full(&agent.offered))
    }
}

/// A framework without what it runs.
pub(super) struct FrameworkHead<'a>(pub(super) &'a FrameworkRecord);

impl Entries for FrameworkHead<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let framework = self.0;
        let info = &framework.info;
        map.serialize_entry("id", framework.id.as_str())?;
        map.serialize_entry("name", &info.name)?;
        if let Some(pid) = framework.endpoint.pid() {
            map.serialize_entry("pid", &pid.to_string())?;
        }
        map.serialize_entry("used_resources", &Summary(&framework.used_total()))?;
        map.serialize_entry("offered_resources", &Summary(&framework.offered_total()))?;
        let capabilities = || info.capabilities.iter().map(|c| c.r#type().as_str_name());
        map.serialize_entry("capabilities", &Each(capabilities))?;
        map.serialize_entry("hostname", info.hostname())?;
        map.serialize_entry("webui_url", info.webui_url())?;
        map.serialize_entry("active", &framework.active)?;
        map.serialize_entry("connected", &framework.connected())?;
        map.serialize_entry("recovered", &framework.recovered)
    }
}

/// A framework with everything.
pub(super) struct Framework<'a> {
    pub(super) record: &'a FrameworkRecord,
    pub(super) snapshot: &'a Snapshot,
}

impl Entries for Framework<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self { record, snapshot } = self;
        let info = &record.info;
        FrameworkHead(record).write(map)?;
        map.serialize_entry("user", &info.user)?;
        map.serialize_entry("failover_timeout", &info.failover_timeout())?;
        map.serialize_entry("checkpoint", &info.checkpoint())?;
        map.serialize_entry("registered_time", &seconds(record.registered_time))?;
        let ended = record.unregistered_time.unwrap_or_default();
        map.serialize_entry("unregistered_time", &seconds(ended))?;
        if let Some(principal) = &info.principal {
            map.serialize_entry("principal", principal)?;
        }
        let taken = &record.used_total() + &record.offered_total();
        map.serialize_entry("resources", &Summary(&taken))?;
        if let Some(time) = record.reregistered_time {
            map.serialize_entry("reregistered_time", &seconds(time))?;
        }
        if record.is_capable_of(MultiRole) {
            map.serialize_entry("roles", &info.roles)?;
        } else {
            map.serialize_entry("role", info.role())?;
        }
        let active = || record.tasks.values().map(|task| Object(Task(task)));
        map.serialize_entry("tasks", &Each(active))?;
        let unreachable = || {
            record
                .unreachable_tasks
                .iter()
                .map(|task| Object(Task(task)))
        };
        map.serialize_entry("unreachable_tasks", &Each(unreachable))?;
        let completed = || {
            record
                .completed_tasks
                .iter()
                .map(|task| Object(Packed(task)))
        };
        map.serialize_entry("completed_tasks", &Each(completed))?;
        let offers = || {
            let held = record.offers.iter();
            held.filter_map(|id| Some(Object(Offer(snapshot.offers.get(id)?))))
        };
        map.serialize_entry("offers", &Each(offers))?;
        let executors = || {
            record.executors.iter().flat_map(|(agent_id, executors)| {
                executors
                    .values()
                    .map(move |info| Object(Executor { info, agent_id }))
            })
        };
        map.serialize_entry("executors", &Each(executors))?;
        if let Some(labels) = &info.labels {
            map.serialize_entry("labels", &Labels(labels))?;
        }
        let none = OfferConstraints::default();
        let constraints = record.offer_constraints.as_deref().unwrap_or(&none);
        map.serialize_entry("offer_constraints", &AsJson(constraints))
    }
}

struct Offer<'a>(&'a v1::Offer);

impl Entries for Offer<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let offer = self.0;
        map.serialize_entry("id", offer.id.as_str())?;
        map.serialize_entry("framework_id", offer.framework_id.as_str())?;
        let none = AllocationInfo::default();
        let allocation = offer.allocation_info.as_ref().unwrap_or(&none);
        map.serialize_entry("allocation_info", &AsJson(allocation))?;
        map.serialize_entry("slave_id", offer.agent_id.as_str())?;
        map.serialize_entry("resources", &forms::Amounts(&offer.resources))
    }
}

/// A task that is over.
struct Packed<'a>(&'a CompletedTask);

impl Entries for Packed<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        Task(&self.0.unpack()).write(map)
    }
}
