use std::sync::Arc;

use imbl::OrdMap;
use meseta_endpoints::forms::{self, Build, Domain, Each, Entries, Master, NONE, Object, seconds};
use meseta_endpoints::{Query, TextObject, json_text};
use meseta_machine::Reply;
use meseta_proto::v1::AgentId;
use serde::ser::SerializeMap;
use serde_json::Error;

use super::earlier::{Earlier, Elements, Latest, Shown, ShownAgents, by_key};
use super::forms::{Agent, FullAgent};
use super::frameworks;
use crate::records::AgentRecord;
use crate::snapshot::Snapshot;

/// What `/state` answers.
pub(super) fn state(snapshot: &Snapshot, query: Query<'_>, earlier: &Earlier) -> Reply {
    let (latest, expected) = (Some(&earlier.state), expected_size(snapshot));
    answer(query, latest, expected, |object, earlier, shown| {
        object.entries(&Cluster(snapshot))?;
        let agents = snapshot.agents.clone();
        let show = |record: &AgentRecord, out: &mut Vec<u8>| {
            serde_json::to_writer(out, &Object(Agent { record, snapshot }))
        };
        shown.agents = object.array("slaves", |out| {
            write_agents(out, snapshot, agents, earlier, show)
        })?;
        object.entries(&Recovered {
            snapshot,
            query: Query(&[]),
        })?;
        frameworks::write(object, snapshot, Query(&[]), earlier, shown)?;
        object.entries(&Nobodys(&["orphan_tasks", "unregistered_frameworks"]))
    })
}

/// What `/slaves` answers.
pub(super) fn agents(snapshot: &Snapshot, query: Query<'_>, earlier: &Earlier) -> Reply {
    let (agents, latest) = match query.get("slave_id") {
        // An answer with one of them says nothing of the others, and does not take their place.
        Some(id) => (only(&snapshot.agents, &AgentId::from(id)), None),
        None => (snapshot.agents.clone(), Some(&earlier.agents)),
    };
    let expected = FRAME + AGENT * agents.len();
    answer(query, latest, expected, |object, earlier, shown| {
        let show = |record: &AgentRecord, out: &mut Vec<u8>| {
            serde_json::to_writer(out, &Object(FullAgent(Agent { record, snapshot })))
        };
        shown.agents = object.array("slaves", |out| {
            write_agents(out, snapshot, agents, earlier, show)
        })?;
        object.entries(&Recovered { snapshot, query })
    })
}

/// The entry of a map under a key, alone.
fn only<K: Ord + Clone, V: Clone>(map: &OrdMap<K, V>, key: &K) -> OrdMap<K, V> {
    let entry = map.get_key_value(key);
    entry
        .map(|(key, value)| (key.clone(), value.clone()))
        .into_iter()
        .collect()
}

/// What `/frameworks` answers.
pub(super) fn frameworks(snapshot: &Snapshot, query: Query<'_>, earlier: &Earlier) -> Reply {
    let (latest, expected) = match query.get("framework_id") {
        Some(_) => (None, FRAME),
        None => (Some(&earlier.frameworks), expected_size(snapshot)),
    };
    answer(query, latest, expected, |object, earlier, shown| {
        frameworks::write(object, snapshot, query, earlier, shown)?;
        object.entries(&Nobodys(&["unregistered_frameworks"]))
    })
}

/// Answers with what `write` makes of the latest answer of the same kind, if such answers are kept, and
/// keeps it for the next. So many bytes are expected when there is none yet.
fn answer(
    query: Query<'_>,
    latest: Option<&Latest>,
    expected: usize,
    write: impl FnOnce(&mut TextObject<'_>, Option<&Shown>, &mut Shown) -> Result<(), Error>,
) -> Reply {
    let earlier = latest.and_then(Latest::get);
    let expected = earlier.as_ref().map_or(expected, |earlier| {
        earlier.body.len() + earlier.body.len() / 16
    });
    let mut shown = Shown::default();
    let reply = json_text(expected, query, |out| {
        TextObject::write(out, |object| write(object, earlier.as_deref(), &mut shown))
    });
    if let Some(latest) = latest
        && reply.status == 200
    {
        shown.body = reply.body.clone();
        latest.replace(Some(shown));
    }
    reply
}

/// What an agent, a task, and everything else together are expected to take as JSON, in bytes: room that
/// is not needed is never touched.
const AGENT: usize = 2048;
const TASK: usize = 512;
const FRAME: usize = 4096;

fn expected_size(snapshot: &Snapshot) -> usize {
    let frameworks = snapshot.frameworks.values();
    let tasks: usize = frameworks
        .map(|record| record.tasks.len() + record.completed_tasks.len())
        .sum();
    FRAME + AGENT * snapshot.agents.len() + TASK * tasks
}

/// What is said of the cluster before its agents.
struct Cluster<'a>(&'a Snapshot);

impl Entries for Cluster<'_> {
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
        map.serialize_entry("flags", &config.flags)
    }
}

/// Appends registered agents, as `show` writes them. What was said earlier of those that are the same is
/// copied.
fn write_agents(
    out: &mut Vec<u8>,
    snapshot: &Snapshot,
    records: OrdMap<AgentId, Arc<AgentRecord>>,
    earlier: Option<&Shown>,
    mut show: impl FnMut(&AgentRecord, &mut Vec<u8>) -> Result<(), Error>,
) -> Result<ShownAgents, Error> {
    let mut known = earlier.map(|Shown { body, agents, .. }| {
        let find = by_key(&agents.records, agents.elements.within(body));
        (find, &agents.deactivations)
    });
    let agents = records.iter().map(|(id, record)| {
        let text = known.as_mut().and_then(|(find, deactivations)| {
            let text = find(id, record)?;
            (deactivations.get(id) == snapshot.deactivations.get(id)).then_some(text)
        });
        (record, text)
    });
    let elements = Elements::write(out, 0, agents, |record, out| show(record, out))?;
    Ok(ShownAgents {
        records,
        deactivations: snapshot.deactivations.clone(),
        elements,
    })
}

/// These counts are metrics too, and so they are doubles.
#[allow(clippy::cast_precision_loss, reason = "agents are fewer than 2^52")]
fn count(length: usize) -> f64 {
    length as f64
}

/// The agents that have not come back yet.
struct Recovered<'a> {
    snapshot: &'a Snapshot,
    query: Query<'a>,
}

impl Entries for Recovered<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let agents = || {
            let agents = self.snapshot.recovered_agents.iter();
            agents
                .filter(|(id, _)| self.query.selects("slave_id", id.as_str()))
                .map(|(_, agent)| Object(forms::Agent(&agent.info)))
        };
        map.serialize_entry("recovered_slaves", &Each(agents))
    }
}

/// Where older masters had what belongs to nobody: there is nothing any more.
struct Nobodys(&'static [&'static str]);

impl Entries for Nobodys {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let mut names = self.0.iter();
        names.try_for_each(|name| map.serialize_entry(name, &NONE))
    }
}
