use meseta_endpoints::Query;
use meseta_endpoints::forms::{Each, Entries, Object};
use meseta_proto::json::AsJson;
use meseta_proto::v1::{ContainerId, ContainerStatus};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::records::{Executor, ExecutorState, NestedContainer};
use crate::snapshot::Snapshot;

/// What `/containers` answers: the containers of executors that are alive and, where they are asked
/// for, those inside of them.
pub(super) struct Containers<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) query: Query<'a>,
}

impl<'a> Containers<'a> {
    /// The executors that are asked for, with the ids of their frameworks.
    fn executors(&self) -> impl Iterator<Item = (&'a str, &'a Executor)> {
        let query = self.query;
        let frameworks = self.snapshot.frameworks.iter();
        frameworks
            .filter(move |(id, _)| query.selects("framework_id", id.as_str()))
            .flat_map(|(id, framework)| {
                let executors = framework.executors.values();
                executors.map(move |executor| (id.as_str(), &**executor))
            })
            .filter(move |(_, executor)| {
                executor.state != ExecutorState::Terminated
                    && query.selects("executor_id", executor.id().as_str())
            })
    }

    fn is_wanted(&self, id: &ContainerId) -> bool {
        self.query.selects("container_id", &id.value)
    }
}

impl Serialize for Containers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let show_nested = self.query.get("show_nested") == Some("true");
        Each(|| {
            let own = self.executors();
            let own = own
                .filter(|(_, executor)| self.is_wanted(&executor.container_id))
                .map(|(framework_id, executor)| Container::Executor {
                    framework_id,
                    executor,
                });
            let inside = self.executors().filter(move |_| show_nested);
            let inside = inside
                .flat_map(|(_, executor)| executor.containers.values())
                .filter(|it| !it.has_ended() && self.is_wanted(&it.container_id))
                .map(|it| Container::Nested(it));
            own.chain(inside).map(Object)
        })
        .serialize(serializer)
    }
}

enum Container<'a> {
    Executor {
        framework_id: &'a str,
        executor: &'a Executor,
    },
    Nested(&'a NestedContainer),
}

impl Entries for Container<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (id, process) = match self {
            Self::Executor { executor, .. } => (&executor.container_id, executor.process),
            Self::Nested(nested) => (&nested.container_id, nested.process),
        };
        // Alone, as in Mesos: what it is in is told by its status.
        map.serialize_entry("container_id", &id.value)?;
        if let Self::Executor {
            framework_id,
            executor,
        } = self
        {
            let info = &executor.info;
            map.serialize_entry("executor_id", info.executor_id.as_str())?;
            map.serialize_entry("executor_name", info.name())?;
            map.serialize_entry("framework_id", framework_id)?;
            map.serialize_entry("source", info.source())?;
        }
        let status = ContainerStatus {
            container_id: Some(id.clone()),
            executor_pid: process.map(|process| process.pid),
            ..ContainerStatus::default()
        };
        map.serialize_entry("status", &AsJson(&status))
    }
}
