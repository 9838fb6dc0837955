use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use meseta_proto::internal::RegisterSlaveMessage;
use meseta_proto::v1::{AgentId, AgentInfo, agent_info};
use meseta_proto::{Upid, v1};
use meseta_resources::Resources;

use super::{Unfit, check_agent, resources, upgrade};
use crate::agents::loss::Removal;
use crate::config::Config;
use crate::master::Master;
use crate::records::AgentRecord;
use crate::registry;
use crate::step::Step;

/// What an agent says of itself when it registers, for the first time or again.
#[derive(Debug)]
pub(super) struct Introduction {
    pub(super) info: AgentInfo,
    pub(super) version: String,
    pub(super) capabilities: Vec<agent_info::Capability>,
    pub(super) checkpointed: Vec<v1::Resource>,
    pub(super) resource_version: Option<Vec<u8>>,
}

impl Introduction {
    /// Checks it, and brings its resources into post-refinement form.
    pub(super) fn check(mut self, config: &Config) -> Result<Self, Unfit> {
        check_agent(&self.info, &self.version, config)?;
        upgrade(&mut self.info.resources)?;
        upgrade(&mut self.checkpointed)?;
        resources::total(&self.info.resources, &self.checkpointed)?;
        Ok(self)
    }

    pub(super) fn total(&self) -> Resources {
        resources::total(&self.info.resources, &self.checkpointed).unwrap_or_default()
    }

    /// The record of an agent that just came, without tasks.
    pub(super) fn into_record(
        self,
        step: &Step<'_>,
        id: AgentId,
        pid: Upid,
        observer: u64,
    ) -> AgentRecord {
        AgentRecord {
            id,
            pid,
            connected: true,
            active: true,
            registered_time: step.now.wall,
            reregistered_time: None,
            total: self.total(),
            checkpointed: Resources::from_v1(&self.checkpointed).unwrap_or_default(),
            used: OrdMap::new(),
            offered: Resources::new(),
            resource_version: self.resource_version,
            tasks: OrdSet::new(),
            executors: OrdMap::new(),
            offers: OrdSet::new(),
            operations: OrdMap::new(),
            kills: OrdSet::new(),
            observer,
            version: self.version,
            capabilities: self.capabilities,
            info: Arc::new(self.info),
        }
    }
}

impl Master {
    /// An agent without an id wants to be admitted.
    pub(crate) fn on_register_agent(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: RegisterSlaveMessage,
    ) {
        self.state.metrics.messages.register_slave += 1;
        if !self.may_agent_register(from) {
            self.drop_message();
            return;
        }
        let introduction = Introduction {
            info: message.slave.into(),
            version: message.version.unwrap_or_default(),
            capabilities: message.agent_capabilities,
            checkpointed: message.checkpointed_resources,
            resource_version: message.resource_version_uuid.map(|uuid| uuid.value),
        };
        let Ok(mut introduction) = introduction.check(&self.state.config) else {
            self.drop_message();
            return;
        };
        if self.refuse_on_down_machine(step, from, &introduction.info) {
            return;
        }
        if let Some(id) = self.peers.agent(from).cloned() {
            if self.connected_agent(&id).is_some() {
                // It has not heard the answer to its last attempt.
                self.send_registered(step, from, &id);
                return;
            }
            let cause = "a new agent registered at the same address";
            self.remove_agent(step, &id, cause, Removal::Replaced);
        }
        let id = AgentId::from(format!("{}-S{}", self.state.config.id, self.ids.agents));
        self.ids.agents += 1;
        introduction.info.id = Some(id.clone());
        step.persist(vec![registry::admit(&id, &introduction.info)]);

        let observer = self.next_observer();
        let record = introduction.into_record(step, id.clone(), from.clone(), observer);
        self.enter_agent(record);
        self.open_agent(step, &id);
        self.state.metrics.slave_registrations += 1;
        self.send_registered(step, from, &id);
    }
}
