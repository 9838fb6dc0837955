use std::collections::HashMap;

use meseta_endpoints::forms::{Each, Entries, Object};
use meseta_proto::v1::{AgentId, FrameworkId, TaskState};
use serde::ser::SerializeMap;

use super::forms::{Agent, FrameworkHead};
use crate::records::FrameworkRecord;
use crate::snapshot::Snapshot;

/// What `/state-summary` answers: the state without single tasks, but with their numbers.
pub(super) struct Summary<'a> {
    snapshot: &'a Snapshot,
    by_agent: HashMap<&'a AgentId, Tally<&'a FrameworkId>>,
    by_framework: HashMap<&'a FrameworkId, Tally<&'a AgentId>>,
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

/// How many tasks are in each of [`STATES`].
#[derive(Clone, Copy, Default)]
struct Counts([u64; STATES.len()]);

impl Counts {
    fn add(&mut self, state: TaskState) {
        let counts = STATES.iter().zip(&mut self.0);
        for (_, count) in counts.filter(|(shown, _)| **shown == state) {
            *count += 1;
        }
    }

    fn add_all(&mut self, others: &Self) {
        for (count, others) in self.0.iter_mut().zip(others.0) {
            *count += others;
        }
    }
}

/// How many tasks there are of a framework or on an agent, and where or whose they are, in the order of
/// ids.
struct Tally<P> {
    counts: Counts,
    partners: Vec<P>,
}

impl<P> Default for Tally<P> {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            partners: Vec::new(),
        }
    }
}

impl<P> Tally<P> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for (state, count) in STATES.iter().zip(self.counts.0) {
            map.serialize_entry(state.as_str_name(), &count)?;
        }
        Ok(())
    }
}

impl<'a> Summary<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut summary = Self {
            snapshot,
            by_agent: HashMap::with_capacity(snapshot.agents.len()),
            by_framework: HashMap::with_capacity(snapshot.frameworks.len()),
        };
        for (id, framework) in &snapshot.frameworks {
            let of_framework = summary.by_framework.entry(id).or_default();
            for (agent_id, counts) in tasks_by_agent(framework) {
                of_framework.counts.add_all(&counts);
                of_framework.partners.push(agent_id);
                let on_agent = summary.by_agent.entry(agent_id).or_default();
                on_agent.counts.add_all(&counts);
                on_agent.partners.push(id);
            }
            of_framework.partners.sort_unstable();
        }
        summary
    }
}

fn tasks_by_agent(framework: &FrameworkRecord) -> HashMap<&AgentId, Counts> {
    let present = framework.tasks.values().chain(&framework.unreachable_tasks);
    let present = present.map(|task| (&task.agent_id, task.state()));
    let completed = framework.completed_tasks.iter();
    let completed = completed.map(|task| (task.agent_id(), task.state()));
    let mut counts: HashMap<&AgentId, Counts> = HashMap::new();
    for (agent_id, state) in present.chain(completed) {
        counts.entry(agent_id).or_default().add(state);
    }
    counts
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
