use std::collections::{BTreeMap, BTreeSet};

use meseta_endpoints::forms::{Each, Entries, Object};
use meseta_proto::v1::{AgentId, FrameworkId, TaskState};
use serde::ser::SerializeMap;

use super::forms::{Agent, FrameworkHead};
use crate::snapshot::Snapshot;

/// What `/state-summary` answers: the state without single tasks, but with their numbers.
pub(super) struct Summary<'a> {
    snapshot: &'a Snapshot,
    by_agent: BTreeMap<&'a AgentId, Tally<&'a FrameworkId>>,
    by_framework: BTreeMap<&'a FrameworkId, Tally<&'a AgentId>>,
}

/// How many tasks are in each state, and whose or where they are.
struct Tally<P> {
    states: BTreeMap<TaskState, u64>,
    partners: BTreeSet<P>,
}

impl<P> Default for Tally<P> {
    fn default() -> Self {
        Self {
            states: BTreeMap::new(),
            partners: BTreeSet::new(),
        }
    }
}

/// The states that are shown.
const STATES: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

impl<P> Tally<P> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for state in STATES {
            let count = self.states.get(&state).copied().unwrap_or_default();
            map.serialize_entry(state.as_str_name(), &count)?;
        }
        Ok(())
    }
}

impl<'a> Summary<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut summary = Self {
            snapshot,
            by_agent: BTreeMap::new(),
            by_framework: BTreeMap::new(),
        };
        for (id, framework) in &snapshot.frameworks {
            let present = framework.tasks.values().chain(&framework.unreachable_tasks);
            let present = present.map(|task| (&task.agent_id, task.state()));
            let completed = framework.completed_tasks.iter();
            let completed = completed.map(|task| (task.agent_id(), task.state()));
            for (agent_id, state) in present.chain(completed) {
                let agent = summary.by_agent.entry(agent_id).or_default();
                *agent.states.entry(state).or_default() += 1;
                agent.partners.insert(id);
                let framework = summary.by_framework.entry(id).or_default();
                *framework.states.entry(state).or_default() += 1;
                framework.partners.insert(agent_id);
            }
        }
        summary
    }
}

impl Entries for Summary<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let snapshot = self.snapshot;
        map.serialize_entry("hostname", snapshot.master_info.hostname())?;
        if let Some(cluster) = &snapshot.config.cluster {
            map.serialize_entry("cluster", cluster)?;
        }
        let agents = || {
            snapshot
                .agents
                .values()
                .map(|record| Object(CountedAgent(self, record)))
        };
        map.serialize_entry("slaves", &Each(agents))?;
        let frameworks = || {
            let frameworks = snapshot.frameworks.values();
            frameworks.map(|record| Object(CountedFramework(self, record)))
        };
        map.serialize_entry("frameworks", &Each(frameworks))
    }
}

struct CountedAgent<'a>(&'a Summary<'a>, &'a crate::records::AgentRecord);

impl Entries for CountedAgent<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(summary, record) = self;
        let snapshot = summary.snapshot;
        Agent { record, snapshot }.write(map)?;
        let none = Tally::default();
        let tally = summary.by_agent.get(&record.id).unwrap_or(&none);
        tally.write(map)?;
        let partners = || tally.partners.iter().map(|id| id.as_str());
        map.serialize_entry("framework_ids", &Each(partners))
    }
}

struct CountedFramework<'a>(&'a Summary<'a>, &'a crate::records::FrameworkRecord);

impl Entries for CountedFramework<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(summary, record) = self;
        FrameworkHead::of(record).write(map)?;
        let none = Tally::default();
        let tally = summary.by_framework.get(&record.id).unwrap_or(&none);
        tally.write(map)?;
        let partners = || tally.partners.iter().map(|id| id.as_str());
        map.serialize_entry("slave_ids", &Each(partners))
    }
}
