use meseta_endpoints::Query;
use meseta_endpoints::forms::{self, Build, Domain, Each, Entries, Master, NONE, Object, seconds};
use serde::ser::SerializeMap;

use super::forms::{Agent, Framework, FullAgent};
use crate::snapshot::Snapshot;

/// What the state of a cluster is expected to take as JSON, in bytes: room that is not needed is never
/// touched.
pub(super) fn expected_size(snapshot: &Snapshot) -> usize {
    const AGENT: usize = 2048;
    const TASK: usize = 512;
    let frameworks = snapshot.frameworks.values();
    let tasks: usize = frameworks
        .map(|record| record.tasks.len() + record.completed_tasks.len())
        .sum();
    4096 + AGENT * snapshot.agents.len() + TASK * tasks
}

/// What `/state` answers.
pub(super) struct State<'a>(pub(super) &'a Snapshot);

impl Entries for State<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let snapshot = self.0;
        let (config, info) = (&snapshot.config, &snapshot.master_info);
        Build(&config.version).write(map)?;
        map.serialize_entry("start_time", &seconds(config.start_time))?;
        map.serialize_entry("elected_time", &seconds(config.elected_time))?;
        map.serialize_entry("id", &info.id)?;
        map.serialize_entry("pid", info.pid())?;
        map.serialize_entry("hostname", info.hostname())?;
        let capabilities = || info.capabilities.iter().map(|c| c.r#type().as_str_name());
        map.serialize_entry("capabilities", &Each(capabilities))?;
        let active = snapshot
            .agents
            .values()
            .filter(|agent| agent.active)
            .count();
        map.serialize_entry("activated_slaves", &count(active))?;
        map.serialize_entry("deactivated_slaves", &count(snapshot.agents.len() - active))?;
        map.serialize_entry(
            "unreachable_slaves",
            &count(snapshot.unreachable_agents.len()),
        )?;
        if let Some(domain) = &info.domain {
            map.serialize_entry("domain", &Object(Domain(domain)))?;
        }
        map.serialize_entry("leader", info.pid())?;
        map.serialize_entry("leader_info", &Object(Master(info)))?;
        if let Some(cluster) = &config.cluster {
            map.serialize_entry("cluster", cluster)?;
        }
        for name in ["log_dir", "external_log_file"] {
            if let Some(value) = config.flags.get(name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("flags", &config.flags)?;
        let agents = || {
            snapshot
                .agents
                .values()
                .map(|record| Object(Agent { record, snapshot }))
        };
        map.serialize_entry("slaves", &Each(agents))?;
        write_recovered(map, snapshot, Query(&[]))?;
        write_frameworks(map, snapshot, Query(&[]))?;
        map.serialize_entry("orphan_tasks", &NONE)?;
        map.serialize_entry("unregistered_frameworks", &NONE)
    }
}

/// These counts are metrics too, and so they are doubles.
#[allow(clippy::cast_precision_loss, reason = "agents are fewer than 2^52")]
fn count(length: usize) -> f64 {
    length as f64
}

/// What `/slaves` answers.
pub(super) struct Agents<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) query: Query<'a>,
}

impl Entries for Agents<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let agents = || {
            let agents = self.snapshot.agents.values();
            agents
                .filter(|agent| self.query.selects("slave_id", agent.id.as_str()))
                .map(|record| {
                    let snapshot = self.snapshot;
                    Object(FullAgent(Agent { record, snapshot }))
                })
        };
        map.serialize_entry("slaves", &Each(agents))?;
        write_recovered(map, self.snapshot, self.query)
    }
}

fn write_recovered<M: SerializeMap>(
    map: &mut M,
    snapshot: &Snapshot,
    query: Query<'_>,
) -> Result<(), M::Error> {
    let agents = || {
        let agents = snapshot.recovered_agents.iter();
        agents
            .filter(|(id, _)| query.selects("slave_id", id.as_str()))
            .map(|(_, agent)| Object(forms::Agent(&agent.info)))
    };
    map.serialize_entry("recovered_slaves", &Each(agents))
}

/// What `/frameworks` answers.
pub(super) struct Frameworks<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) query: Query<'a>,
}

impl Entries for Frameworks<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_frameworks(map, self.snapshot, self.query)?;
        map.serialize_entry("unregistered_frameworks", &NONE)
    }
}

fn write_frameworks<M: SerializeMap>(
    map: &mut M,
    snapshot: &Snapshot,
    query: Query<'_>,
) -> Result<(), M::Error> {
    let frameworks = || {
        let frameworks = snapshot.frameworks.values();
        frameworks
            .filter(|record| query.selects("framework_id", record.id.as_str()))
            .map(|record| Object(Framework { record, snapshot }))
    };
    map.serialize_entry("frameworks", &Each(frameworks))?;
    let completed = || {
        let frameworks = snapshot.completed_frameworks.iter();
        frameworks
            .filter(|record| query.selects("framework_id", record.id.as_str()))
            .map(|record| Object(Framework { record, snapshot }))
    };
    map.serialize_entry("completed_frameworks", &Each(completed))
}
