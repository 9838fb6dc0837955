use std::sync::Arc;

use meseta_proto::internal::{AcknowledgeOperationStatusMessage, UpdateOperationStatusMessage};
use meseta_proto::v1::agent_info::capability::Type as Capability;
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::{AgentId, FrameworkId, Operation, OperationStatus, Uuid};

use super::is_terminal;
use crate::events::Notice;
use crate::limits::{MAX_STATUSES_PER_OPERATION, ORPHANED_OPERATION_WAIT};
use crate::master::Master;
use crate::records::{FrameworkRecord, OperationKey};
use crate::step::Step;

/// Who is to acknowledge what became of an operation.
enum Acknowledger {
    /// Its framework, which asked for feedback.
    Framework(FrameworkId),
    /// The master: nobody asked, or who did is gone.
    Master,
    /// Its framework may come yet; the agent will tell again.
    Later,
}

impl Master {
    /// An agent tells what became of an operation.
    pub(crate) fn on_operation_update(
        &mut self,
        step: &mut Step<'_>,
        message: UpdateOperationStatusMessage,
    ) {
        self.state.metrics.messages.operation_status_update += 1;
        let Some(agent) = &message.slave_id else {
            self.drop_message();
            return;
        };
        // Without a UUID it answers a scheduler's reconciliation that was passed on to the agent.
        let Some(uuid) = &message.operation_uuid else {
            self.pass_on(step, message);
            return;
        };
        let (agent, key) = (agent.clone(), uuid.value.clone());
        let Some(known) = self.operation(&agent, &key) else {
            // A repetition, or the answer to a reconciliation that raced with an acknowledgement.
            if self.state.agents.contains_key(&agent) && message.framework_id.is_some() {
                self.pass_on(step, message);
            }
            self.state.metrics.invalid_operation_status_updates += 1;
            return;
        };
        let acknowledger = self.acknowledger(step, known, &agent);
        // Agents name neither framework nor id of what they were never given.
        let operation_id = known.info.id.clone();
        self.state.metrics.valid_operation_status_updates += 1;
        let named = |status: OperationStatus| OperationStatus {
            operation_id: status.operation_id.or_else(|| operation_id.clone()),
            ..status
        };
        let told = named(message.status);
        let latest = named(message.latest_status.unwrap_or_else(|| told.clone()));
        let (is_over, uuid) = (is_terminal(latest.state()), latest.uuid.clone());
        self.note_operation_status(&agent, &key, latest);
        match (acknowledger, uuid) {
            (Acknowledger::Later, _) => {}
            (Acknowledger::Framework(owner), uuid) => {
                self.notify(step, &owner, Notice::OperationStatus(Box::new(told)));
                if is_over && uuid.is_none() {
                    self.remove_operation(&agent, &key);
                }
            }
            (Acknowledger::Master, uuid) => {
                if let Some(status) = uuid {
                    self.send_operation_acknowledgement(step, &agent, &key, status);
                }
                if is_over {
                    self.remove_operation(&agent, &key);
                }
            }
        }
    }

    fn acknowledger(
        &self,
        step: &Step<'_>,
        operation: &Operation,
        agent: &AgentId,
    ) -> Acknowledger {
        let (Some(owner), Some(_)) = (&operation.framework_id, &operation.info.id) else {
            return Acknowledger::Master;
        };
        if self.framework(owner).is_some() {
            return Acknowledger::Framework(owner.clone());
        }
        let came = self
            .state
            .agents
            .get(agent)
            .and_then(|agent| agent.reregistered_time);
        let is_new =
            came.is_some_and(|came| step.now.wall.saturating_sub(came) < ORPHANED_OPERATION_WAIT);
        if is_new && !self.is_completed(owner) {
            Acknowledger::Later
        } else {
            Acknowledger::Master
        }
    }

    /// Tells a scheduler what its agent says of an operation that is not in the books.
    fn pass_on(&self, step: &mut Step<'_>, message: UpdateOperationStatusMessage) {
        if let Some(owner) = &message.framework_id {
            let notice = Notice::OperationStatus(Box::new(message.status));
            self.notify(step, owner, notice);
        }
    }

    fn note_operation_status(
        &mut self,
        agent: &AgentId,
        key: &OperationKey,
        status: OperationStatus,
    ) {
        let operation = self
            .agent_mut(agent)
            .and_then(|agent| agent.operations.get_mut(key));
        let Some(operation) = operation.map(Arc::make_mut) else {
            return;
        };
        let (kind, old) = (operation.info.r#type(), operation.latest_status.state());
        if operation.statuses.last() != Some(&status) {
            if operation.statuses.len() >= MAX_STATUSES_PER_OPERATION {
                operation.statuses.remove(0);
            }
            operation.statuses.push(status.clone());
        }
        if is_terminal(old) {
            return;
        }
        let new = status.state();
        operation.latest_status = status;
        let counts = &mut self.state.metrics.operations;
        counts.leave(kind, old);
        counts.enter(kind, new);
    }

    /// A scheduler has taken note of what became of an operation.
    pub(crate) fn acknowledge_operation(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        acknowledge: call::AcknowledgeOperationStatus,
    ) {
        let messages = &mut self.state.metrics.messages;
        messages.operation_status_update_acknowledgement += 1;
        let found = self
            .framework(framework)
            .and_then(|framework| self.acknowledged(framework, &acknowledge));
        let Some((agent, key, is_over)) = found else {
            let metrics = &mut self.state.metrics;
            metrics.invalid_operation_status_update_acknowledgements += 1;
            return;
        };
        if is_over {
            self.remove_operation(&agent, &key);
        }
        let status = Uuid {
            value: acknowledge.uuid,
        };
        self.send_operation_acknowledgement(step, &agent, &key, status);
        let metrics = &mut self.state.metrics;
        metrics.valid_operation_status_update_acknowledgements += 1;
    }

    /// The operation that is meant, if its agent waits for this, and whether it is over then.
    fn acknowledged(
        &self,
        framework: &FrameworkRecord,
        acknowledge: &call::AcknowledgeOperationStatus,
    ) -> Option<(AgentId, OperationKey, bool)> {
        let id = acknowledge.agent_id.as_ref()?;
        let agent = self.state.agents.get(id).filter(|agent| agent.connected)?;
        if !agent.is_capable_of(Capability::AgentOperationFeedback) {
            return None;
        }
        let key = framework.operation_ids.get(&acknowledge.operation_id)?;
        let operation = agent.operations.get(key)?;
        let is_meant = |status: &&OperationStatus| {
            let uuid = status.uuid.as_ref();
            uuid.is_some_and(|uuid| uuid.value == acknowledge.uuid)
        };
        let status = operation.statuses.iter().find(is_meant)?;
        Some((id.clone(), key.clone(), is_terminal(status.state())))
    }

    fn send_operation_acknowledgement(
        &self,
        step: &mut Step<'_>,
        agent: &AgentId,
        key: &OperationKey,
        status: Uuid,
    ) {
        if let Some(agent) = self.state.agents.get(agent) {
            let message = AcknowledgeOperationStatusMessage {
                status_uuid: status,
                operation_uuid: Uuid { value: key.clone() },
                resource_provider_id: None,
            };
            step.send(&agent.pid, &message);
        }
    }
}
