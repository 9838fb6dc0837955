use meseta_endpoints::forms::{
    self, Each, Entries, Full, FullByRole, Summary, SummaryByRole, seconds,
};
use meseta_proto::json::AsJson;
use meseta_resources::Resources;
use serde::ser::SerializeMap;

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
pub(super) struct FrameworkHead<'a> {
    record: &'a FrameworkRecord,
    pub(super) used: Resources,
    pub(super) offered: Resources,
}

impl<'a> FrameworkHead<'a> {
    /// Adds up what it has on all agents.
    pub(super) fn of(record: &'a FrameworkRecord) -> Self {
        Self {
            record,
            used: record.used_total(),
            offered: record.offered_total(),
        }
    }
}

impl Entries for FrameworkHead<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let framework = self.record;
        let info = &framework.info;
        map.serialize_entry("id", framework.id.as_str())?;
        map.serialize_entry("name", &info.name)?;
        if let Some(pid) = framework.endpoint.pid() {
            map.serialize_entry("pid", &pid.to_string())?;
        }
        map.serialize_entry("used_resources", &Summary(&self.used))?;
        map.serialize_entry("offered_resources", &Summary(&self.offered))?;
        let capabilities = || info.capabilities.iter().map(|c| c.r#type().as_str_name());
        map.serialize_entry("capabilities", &Each(capabilities))?;
        map.serialize_entry("hostname", info.hostname())?;
        map.serialize_entry("webui_url", info.webui_url())?;
        map.serialize_entry("active", &framework.active)?;
        map.serialize_entry("connected", &framework.connected())?;
        map.serialize_entry("recovered", &framework.recovered)
    }
}
