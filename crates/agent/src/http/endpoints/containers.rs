use meseta_endpoints::Query;
use meseta_endpoints::forms::{Each, Entries, Object};
use meseta_proto::json::AsJson;
use meseta_proto::v1::ContainerStatus;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::records::{Executor, ExecutorState};
use crate::snapshot::Snapshot;

/// What `/containers` answers: the containers of executors that are alive.
pub(super) struct Containers<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) query: Query<'a>,
}

impl Serialize for Containers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let query = self.query;
        Each(|| {
            let frameworks = self.snapshot.frameworks.iter();
            frameworks
                .filter(|(id, _)| query.selects("framework_id", id.as_str()))
                .flat_map(|(id, framework)| {
                    framework
                        .executors
                        .values()
                        .map(move |executor| (id.as_str(), &**executor))
                })
                .filter(|(_, executor)| {
                    executor.state != ExecutorState::Terminated
                        && query.selects("executor_id", executor.id().as_str())
                        && query.selects("container_id", &executor.container_id.value)
                })
                .map(|(framework_id, executor)| {
                    Object(Container {
                        framework_id,
                        executor,
                    })
                })
        })
        .serialize(serializer)
    }
}

struct Container<'a> {
    framework_id: &'a str,
    executor: &'a Executor,
}

impl Entries for Container<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (executor, info) = (self.executor, &self.executor.info);
        map.serialize_entry("container_id", &executor.container_id.value)?;
        map.serialize_entry("executor_id", info.executor_id.as_str())?;
        map.serialize_entry("executor_name", info.name())?;
        map.serialize_entry("framework_id", self.framework_id)?;
        map.serialize_entry("source", info.source())?;
        let status = ContainerStatus {
            container_id: Some(executor.container_id.clone()),
            executor_pid: executor.process.map(|process| process.pid),
            ..ContainerStatus::default()
        };
        map.serialize_entry("status", &AsJson(&status))
    }
}
