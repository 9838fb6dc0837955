use meseta_endpoints::Query;
use meseta_endpoints::forms::{Each, Entries, Object};
use meseta_proto::json::AsJson;
use meseta_proto::v1::{ContainerId, ContainerStatus, ResourceStatistics};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::statistics::{Statistics, of_executor};
use crate::records::{Executor, ExecutorState, NestedState, Process};
use crate::snapshot::Snapshot;

/// A container of an executor that is alive, or one inside of such a container.
#[derive(Debug)]
pub(in crate::http) struct Container<'a> {
    pub(in crate::http) id: &'a ContainerId,
    /// Whose container it is, unless it is inside of another.
    pub(in crate::http) executor: Option<&'a Executor>,
    pub(in crate::http) status: ContainerStatus,
    /// What it uses, if it could be measured.
    pub(in crate::http) statistics: Option<ResourceStatistics>,
}

/// Which containers are asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Wanted<'a> {
    /// `framework_id`, `executor_id` and `container_id`.
    pub(in crate::http) query: Query<'a>,
    /// Whether those inside of others are.
    pub(in crate::http) nested: bool,
}

/// The containers that are asked for: those of executors first, and then those inside of them. There
/// are none that stand alone.
pub(in crate::http) fn containers<'a>(
    snapshot: &'a Snapshot,
    wanted: Wanted<'_>,
    statistics: &Statistics,
) -> Vec<Container<'a>> {
    let query = wanted.query;
    let is_wanted = |id: &ContainerId| query.selects("container_id", &id.value);
    let mut own = Vec::new();
    let mut inside = Vec::new();
    let frameworks = snapshot.frameworks.iter();
    for (_, framework) in frameworks.filter(|(id, _)| query.selects("framework_id", id.as_str())) {
        for executor in framework.executors.values() {
            if executor.state == ExecutorState::Terminated
                || !query.selects("executor_id", executor.id().as_str())
            {
                continue;
            }
            if is_wanted(&executor.container_id) {
                own.push(Container {
                    id: &executor.container_id,
                    executor: Some(executor),
                    status: status(&executor.container_id, executor.process),
                    statistics: of_executor(executor, statistics),
                });
            }
            let nested = executor.containers.values();
            let nested =
                nested.filter(|it| wanted.nested && !it.has_ended() && is_wanted(&it.container_id));
            inside.extend(nested.map(|it| Container {
                id: &it.container_id,
                executor: None,
                status: status(&it.container_id, it.process),
                statistics: statistics.measured.get(&it.container_id).cloned(),
            }));
        }
    }
    own.append(&mut inside);
    own
}

fn status(id: &ContainerId, process: Option<Process>) -> ContainerStatus {
    ContainerStatus {
        container_id: Some(id.clone()),
        executor_pid: process.map(|it| it.pid),
        ..ContainerStatus::default()
    }
}

impl Entries for Container<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        // Alone, as in Mesos: what it is in is told by its status.
        map.serialize_entry("container_id", &self.id.value)?;
        if let Some(executor) = self.executor {
            write_executor(map, executor)?;
        }
        if let Some(statistics) = &self.statistics {
            map.serialize_entry("statistics", &AsJson(statistics))?;
        }
        map.serialize_entry("status", &AsJson(&self.status))
    }
}

fn write_executor<M: SerializeMap>(map: &mut M, executor: &Executor) -> Result<(), M::Error> {
    let info = &executor.info;
    map.serialize_entry("executor_id", info.executor_id.as_str())?;
    map.serialize_entry("executor_name", info.name())?;
    map.serialize_entry("framework_id", executor.framework_id().as_str())?;
    map.serialize_entry("source", info.source())
}

/// What `/containers` answers.
pub(super) struct Containers<'a>(pub(super) Vec<Container<'a>>);

impl Serialize for Containers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Each(|| self.0.iter().map(Object)).serialize(serializer)
    }
}

/// What `/monitor/statistics` answers: what could be measured.
pub(super) struct Measured<'a>(pub(super) Vec<Container<'a>>);

impl Serialize for Measured<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Each(|| {
            let measured = self.0.iter();
            measured.filter_map(|it| Some(Object(Use(it.executor?, it.statistics.as_ref()?))))
        })
        .serialize(serializer)
    }
}

struct Use<'a>(&'a Executor, &'a ResourceStatistics);

impl Entries for Use<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_executor(map, self.0)?;
        map.serialize_entry("statistics", &AsJson(self.1))
    }
}

/// What `/containerizer/debug` answers: the containers that are being started or destroyed.
pub(super) fn pending(snapshot: &Snapshot) -> Value {
    let frameworks = snapshot.frameworks.values();
    let executors = frameworks.flat_map(|framework| framework.executors.values());
    let pending = executors.flat_map(|executor| {
        let own = match (executor.state, executor.process) {
            (ExecutorState::Registering, None) => Some("launch"),
            (ExecutorState::Terminating, _) => Some("destroy"),
            _ => None,
        };
        let own = own.map(|operation| (operation, &executor.container_id));
        let inside = executor
            .containers
            .values()
            .filter_map(|it| match it.state {
                NestedState::Starting => Some(("launch", &it.container_id)),
                NestedState::Ending => Some(("destroy", &it.container_id)),
                NestedState::Running | NestedState::Ended(_) => None,
            });
        own.into_iter().chain(inside)
    });
    let pending: Vec<Value> = pending
        .map(|(operation, id)| {
            json!({"operation": operation, "args": {"containerId": id.to_string()}})
        })
        .collect();
    json!({ "pending": pending })
}
