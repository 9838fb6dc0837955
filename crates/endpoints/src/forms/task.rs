use meseta_proto::json::AsJson;
use meseta_proto::v1;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Amounts, Command, Each, Entries, Object};

/// A task as `/state` and `/tasks` show it.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a>(pub &'a v1::Task);

impl Entries for Task<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let task = self.0;
        map.serialize_entry("id", task.task_id.as_str())?;
        map.serialize_entry("name", &task.name)?;
        map.serialize_entry("framework_id", task.framework_id.as_str())?;
        let executor = task.executor_id.as_ref().map_or("", v1::ExecutorId::as_str);
        map.serialize_entry("executor_id", executor)?;
        map.serialize_entry("slave_id", task.agent_id.as_str())?;
        map.serialize_entry("state", task.state().as_str_name())?;
        map.serialize_entry("resources", &Amounts(&task.resources))?;
        if !task.limits.is_empty() {
            map.serialize_entry("limits", &Limits(task))?;
        }
        map.serialize_entry("role", role(&task.resources))?;
        map.serialize_entry(
            "statuses",
            &Each(|| task.statuses.iter().map(Status).map(Object)),
        )?;
        if let Some(user) = &task.user {
            map.serialize_entry("user", user)?;
        }
        if let Some(labels) = &task.labels {
            map.serialize_entry("labels", &Labels(labels))?;
        }
        if let Some(discovery) = &task.discovery {
            map.serialize_entry("discovery", &AsJson(&**discovery))?;
        }
        if let Some(container) = &task.container {
            map.serialize_entry("container", &AsJson(&**container))?;
        }
        if let Some(check) = &task.health_check {
            map.serialize_entry("health_check", &AsJson(&**check))?;
        }
        Ok(())
    }
}

/// The role that resources are allocated to: never more than one for a task or an executor.
pub(super) fn role(resources: &[v1::Resource]) -> &str {
    let allocation = resources.first().and_then(|r| r.allocation_info.as_ref());
    allocation.map_or("", v1::resource::AllocationInfo::role)
}

struct Limits<'a>(&'a v1::Task);

impl Serialize for Limits<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let limits = self.0.limits.iter();
        serializer.collect_map(limits.map(|(name, limit)| (name, limit.value)))
    }
}

struct Status<'a>(&'a v1::TaskStatus);

impl Entries for Status<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let status = self.0;
        map.serialize_entry("state", status.state().as_str_name())?;
        map.serialize_entry("timestamp", &status.timestamp.unwrap_or_default())?;
        if let Some(labels) = &status.labels {
            map.serialize_entry("labels", &Labels(labels))?;
        }
        if let Some(container) = &status.container_status {
            map.serialize_entry("container_status", &Object(Container(container)))?;
        }
        if let Some(healthy) = status.healthy {
            map.serialize_entry("healthy", &healthy)?;
        }
        Ok(())
    }
}

struct Container<'a>(&'a v1::ContainerStatus);

impl Entries for Container<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let status = self.0;
        if let Some(id) = &status.container_id {
            map.serialize_entry("container_id", &Object(ContainerId(id)))?;
        }
        if !status.network_infos.is_empty() {
            let networks = || status.network_infos.iter().map(Network).map(Object);
            map.serialize_entry("network_infos", &Each(networks))?;
        }
        if let Some(cgroups) = &status.cgroup_info {
            map.serialize_entry("cgroup_info", &AsJson(cgroups))?;
        }
        Ok(())
    }
}

// What nearly every task has is written by hand: through its encoding it would take several times
// as long.

struct ContainerId<'a>(&'a v1::ContainerId);

impl Entries for ContainerId<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("value", &self.0.value)?;
        if let Some(parent) = &self.0.parent {
            map.serialize_entry("parent", &Object(ContainerId(parent)))?;
        }
        Ok(())
    }
}

struct Address<'a>(&'a v1::network_info::IpAddress);

impl Entries for Address<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("protocol", self.0.protocol().as_str_name())?;
        if let Some(address) = &self.0.ip_address {
            map.serialize_entry("ip_address", address)?;
        }
        Ok(())
    }
}

struct Label<'a>(&'a v1::Label);

impl Entries for Label<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("key", &self.0.key)?;
        if let Some(value) = &self.0.value {
            map.serialize_entry("value", value)?;
        }
        Ok(())
    }
}

struct Network<'a>(&'a v1::NetworkInfo);

impl Entries for Network<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let network = self.0;
        if !network.groups.is_empty() {
            map.serialize_entry("groups", &network.groups)?;
        }
        if let Some(labels) = &network.labels {
            map.serialize_entry("labels", &Labels(labels))?;
        }
        if !network.ip_addresses.is_empty() {
            let addresses = || network.ip_addresses.iter().map(Address).map(Object);
            map.serialize_entry("ip_addresses", &Each(addresses))?;
        }
        if let Some(name) = &network.name {
            map.serialize_entry("name", name)?;
        }
        if !network.port_mappings.is_empty() {
            let ports = || network.port_mappings.iter().map(AsJson);
            map.serialize_entry("port_mappings", &Each(ports))?;
        }
        Ok(())
    }
}

/// Labels: an array of objects.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a>(pub &'a v1::Labels);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.labels.iter().map(Label).map(Object))
    }
}

/// A task that waits on an agent for its executor.
#[derive(Debug, Clone, Copy)]
pub struct QueuedTask<'a>(pub &'a v1::TaskInfo);

impl Entries for QueuedTask<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let task = self.0;
        map.serialize_entry("id", task.task_id.as_str())?;
        map.serialize_entry("name", &task.name)?;
        map.serialize_entry("slave_id", task.agent_id.as_str())?;
        map.serialize_entry("resources", &Amounts(&task.resources))?;
        map.serialize_entry("role", role(&task.resources))?;
        if let Some(command) = &task.command {
            map.serialize_entry("command", &Object(Command(command)))?;
        }
        if let Some(executor) = &task.executor {
            map.serialize_entry("executor_id", executor.executor_id.as_str())?;
        }
        if let Some(discovery) = &task.discovery {
            map.serialize_entry("discovery", &AsJson(discovery))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    #[test]
    fn what_is_written_by_hand_is_what_the_mapping_writes() {
        let id: v1::ContainerId =
            json::from_slice(br#"{"value":"b","parent":{"value":"a"}}"#).unwrap();
        let label: v1::Label = json::from_slice(br#"{"key":"k","value":""}"#).unwrap();
        for given in [r#"{"ip_address":"::1","protocol":"IPv6"}"#, "{}"] {
            let address: v1::network_info::IpAddress = json::from_slice(given.as_bytes()).unwrap();
            let by_hand = serde_json::to_string(&Object(Address(&address))).unwrap();
            assert_eq!(by_hand, json::to_string(&address));
        }
        let by_hand = serde_json::to_string(&Object(ContainerId(&id))).unwrap();
        assert_eq!(by_hand, json::to_string(&id));
        let by_hand = serde_json::to_string(&Object(Label(&label))).unwrap();
        assert_eq!(by_hand, json::to_string(&label));
    }
}
