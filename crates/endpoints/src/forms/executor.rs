use meseta_proto::json::AsJson;
use meseta_proto::v1;
use serde::Serialize;
use serde::ser::SerializeMap;

use super::{Amounts, Each, Entries, Labels, Object, task};

/// An executor as the master shows it.
#[derive(Debug, Clone, Copy)]
pub struct Executor<'a> {
    /// The executor.
    pub info: &'a v1::ExecutorInfo,
    /// Where it runs.
    pub agent_id: &'a v1::AgentId,
}

impl Entries for Executor<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let info = self.info;
        map.serialize_entry("executor_id", info.executor_id.as_str())?;
        map.serialize_entry("name", info.name())?;
        let framework = info
            .framework_id
            .as_ref()
            .map_or("", v1::FrameworkId::as_str);
        map.serialize_entry("framework_id", framework)?;
        let none = v1::CommandInfo::default();
        let command = info.command.as_ref().unwrap_or(&none);
        map.serialize_entry("command", &Object(Command(command)))?;
        map.serialize_entry("resources", &Amounts(&info.resources))?;
        write_executor_rest(map, info)?;
        map.serialize_entry("slave_id", self.agent_id.as_str())
    }
}

/// What master and agent both show of an executor after its resources.
pub fn write_executor_rest<M: SerializeMap>(
    map: &mut M,
    info: &v1::ExecutorInfo,
) -> Result<(), M::Error> {
    if !info.resources.is_empty() {
        map.serialize_entry("role", task::role(&info.resources))?;
    }
    if let Some(labels) = &info.labels {
        map.serialize_entry("labels", &Labels(labels))?;
    }
    if info.r#type.is_some() {
        map.serialize_entry("type", info.r#type().as_str_name())?;
    }
    Ok(())
}

/// A command.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a>(pub &'a v1::CommandInfo);

impl Entries for Command<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        #[derive(Serialize)]
        struct Uri<'a> {
            value: &'a str,
            executable: bool,
        }
        let command = self.0;
        if let Some(shell) = command.shell {
            map.serialize_entry("shell", &shell)?;
        }
        if let Some(value) = &command.value {
            map.serialize_entry("value", value)?;
        }
        map.serialize_entry("argv", &command.arguments)?;
        if let Some(environment) = &command.environment {
            map.serialize_entry("environment", &AsJson(environment))?;
        }
        let uris = || {
            command.uris.iter().map(|uri| Uri {
                value: &uri.value,
                executable: uri.executable(),
            })
        };
        map.serialize_entry("uris", &Each(uris))
    }
}
