use meseta_endpoints::forms::{
    Amounts, Attributes, Build, Domain, Each, Entries, Full, FullByRole, NONE, Object, QueuedTask,
    Summary, SummaryByRole, Task, seconds, write_executor_rest,
};
use meseta_proto::json::AsJson;
use meseta_proto::v1;
use meseta_proto::v1::agent_info::capability::Type as Capability;
use meseta_proto::v1::framework_info::capability::Type::MultiRole;
use serde::ser::SerializeMap;

use super::{allocated, resources, taken};
use crate::records::{Executor, Framework};
use crate::registration::CAPABILITIES;
use crate::snapshot::Snapshot;

/// What `/state` answers.
pub(super) struct State<'a>(pub(super) &'a Snapshot);

impl Entries for State<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let snapshot = self.0;
        let (config, info) = (&snapshot.config, &snapshot.info);
        Build(&config.version).write(map)?;
        map.serialize_entry("start_time", &seconds(snapshot.start_time))?;
        map.serialize_entry("id", info.id.as_ref().map_or("", v1::AgentId::as_str))?;
        map.serialize_entry("pid", &config.pid.to_string())?;
        map.serialize_entry("hostname", &info.hostname)?;
        let capabilities = || CAPABILITIES.iter().map(Capability::as_str_name);
        map.serialize_entry("capabilities", &Each(capabilities))?;
        if let Some(domain) = &info.domain {
            map.serialize_entry("domain", &Object(Domain(domain)))?;
        }
        if let Some(drain) = &snapshot.drain {
            map.serialize_entry("drain_config", &AsJson(&**drain))?;
        }
        if let Some(start) = snapshot.drain_start {
            map.serialize_entry("estimated_drain_start_time_seconds", &seconds(start))?;
        }
        let total = resources(&snapshot.total_resources);
        let unreserved = total.unreserved();
        map.serialize_entry("resources", &Summary(&total))?;
        map.serialize_entry("reserved_resources", &SummaryByRole(&total))?;
        map.serialize_entry("unreserved_resources", &Summary(&unreserved))?;
        map.serialize_entry("reserved_resources_full", &FullByRole(&total))?;
        map.serialize_entry("unreserved_resources_full", &Full(&unreserved))?;
        let allocated = allocated(snapshot);
        map.serialize_entry("reserved_resources_allocated", &SummaryByRole(&allocated))?;
        map.serialize_entry(
            "unreserved_resources_allocated",
            &Summary(&allocated.unreserved()),
        )?;
        map.serialize_entry("resource_providers", &NONE)?;
        map.serialize_entry("attributes", &Attributes(&info.attributes))?;
        if let Some(master) = &snapshot.master {
            map.serialize_entry("master_hostname", master.hostname())?;
        }
        for name in ["log_dir", "external_log_file"] {
            if let Some(value) = config.flags.get(name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("flags", &config.flags)?;
        let frameworks = || {
            snapshot
                .frameworks
                .values()
                .map(|f| Object(FrameworkForm(f)))
        };
        map.serialize_entry("frameworks", &Each(frameworks))?;
        let completed = || {
            snapshot
                .completed_frameworks
                .iter()
                .map(|f| Object(FrameworkForm(f)))
        };
        map.serialize_entry("completed_frameworks", &Each(completed))
    }
}

struct FrameworkForm<'a>(&'a Framework);

impl Entries for FrameworkForm<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(framework) = self;
        let info = &framework.info;
        map.serialize_entry("id", info.id.as_ref().map_or("", v1::FrameworkId::as_str))?;
        map.serialize_entry("name", &info.name)?;
        map.serialize_entry("user", &info.user)?;
        map.serialize_entry("failover_timeout", &info.failover_timeout())?;
        map.serialize_entry("checkpoint", &info.checkpoint())?;
        map.serialize_entry("hostname", info.hostname())?;
        if let Some(principal) = &info.principal {
            map.serialize_entry("principal", principal)?;
        }
        if framework.has_capability(MultiRole) {
            map.serialize_entry("roles", &info.roles)?;
        } else {
            map.serialize_entry("role", info.role())?;
        }
        let executors = || {
            framework
                .executors
                .values()
                .map(|e| Object(ExecutorForm(e)))
        };
        map.serialize_entry("executors", &Each(executors))?;
        let completed = || {
            framework
                .completed_executors
                .iter()
                .map(|e| Object(ExecutorForm(e)))
        };
        map.serialize_entry("completed_executors", &Each(completed))
    }
}

struct ExecutorForm<'a>(&'a Executor);

impl Entries for ExecutorForm<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(executor) = self;
        let info = &executor.info;
        map.serialize_entry("id", info.executor_id.as_str())?;
        map.serialize_entry("name", info.name())?;
        map.serialize_entry("source", info.source())?;
        map.serialize_entry("container", &executor.container_id.value)?;
        map.serialize_entry("directory", &executor.directory.to_string_lossy())?;
        map.serialize_entry("resources", &Amounts(&taken(executor)))?;
        write_executor_rest(map, info)?;
        let launched = || {
            executor
                .launched_tasks
                .values()
                .map(|task| Object(Task(task)))
        };
        map.serialize_entry("tasks", &Each(launched))?;
        let queued = || {
            executor
                .queued_tasks
                .values()
                .map(|task| Object(QueuedTask(task)))
        };
        map.serialize_entry("queued_tasks", &Each(queued))?;
        // Whether the last update is acknowledged is of no interest here.
        let over = || {
            let acknowledged = executor.completed_tasks.iter();
            let over = acknowledged.chain(executor.terminated_tasks.values());
            over.map(|task| Object(Task(task)))
        };
        map.serialize_entry("completed_tasks", &Each(over))
    }
}
