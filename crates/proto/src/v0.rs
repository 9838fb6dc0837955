//! The few v0 messages whose fields differ from v1's.

pub use crate::packages::mesos::SlaveInfo;
use crate::v1::AgentInfo;

/// Messages of the old scheduler driver.
pub mod scheduler {
    pub use crate::packages::mesos::scheduler::{Call, call};
}

impl From<AgentInfo> for SlaveInfo {
    /// Agents always checkpoint: every Mesos since 1.0 requires it of its peers.
    fn from(agent: AgentInfo) -> Self {
        Self {
            hostname: agent.hostname,
            port: agent.port,
            resources: agent.resources,
            attributes: agent.attributes,
            id: agent.id,
            checkpoint: Some(true),
            domain: agent.domain,
        }
    }
}

impl From<SlaveInfo> for AgentInfo {
    fn from(slave: SlaveInfo) -> Self {
        Self {
            hostname: slave.hostname,
            port: slave.port,
            resources: slave.resources,
            attributes: slave.attributes,
            id: slave.id,
            domain: slave.domain,
        }
    }
}
