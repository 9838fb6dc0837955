use std::collections::{BTreeMap, BTreeSet};

use meseta_proto::internal::ReconcileOperationsMessage;
use meseta_proto::internal::reconcile_operations_message;
use meseta_proto::v1::agent_info::capability::Type as Capability;
use meseta_proto::v1::scheduler::call::reconcile_operations;
use meseta_proto::v1::{AgentId, FrameworkId, Operation, OperationState, OperationStatus, Uuid};

use crate::events::Notice;
use crate::master::Master;
use crate::records::{AgentRecord, FrameworkRecord, OperationKey};
use crate::step::Step;

impl Master {
    /// Answers for the operations that the scheduler names, or for all that it has if it names none.
    pub(crate) fn reconcile_operations(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        operations: Vec<reconcile_operations::Operation>,
    ) {
        self.state.metrics.messages.reconcile_operations += 1;
        let Some(record) = self.framework(framework) else {
            return;
        };
        if operations.is_empty() {
            for (key, agent) in &record.operations {
                if let Some(operation) = self.operation(agent, key) {
                    let notice = Notice::OperationStatus(Box::new(latest(operation)));
                    self.notify(step, framework, notice);
                }
            }
        }
        let mut questions: BTreeMap<AgentId, ReconcileOperationsMessage> = BTreeMap::new();
        for asked in operations {
            if let Some(operation) = self.operation_by_id(record, &asked) {
                let notice = Notice::OperationStatus(Box::new(latest(operation)));
                self.notify(step, framework, notice);
            } else if let Some(agent) = self.agent_to_ask(&asked) {
                let question =
                    questions
                        .entry(agent)
                        .or_insert_with(|| ReconcileOperationsMessage {
                            framework_id: Some(framework.clone()),
                            operations: Vec::new(),
                        });
                let operation = reconcile_operations_message::Operation {
                    operation_uuid: None,
                    operation_id: Some(asked.operation_id),
                    resource_provider_id: asked.resource_provider_id,
                };
                question.operations.push(operation);
            } else {
                let status = self.status_of_unknown(asked);
                self.notify(step, framework, Notice::OperationStatus(Box::new(status)));
            }
        }
        for (agent, question) in questions {
            if let Some(agent) = self.state.agents.get(&agent) {
                step.send(&agent.pid, &question);
            }
        }
    }

    fn operation_by_id(
        &self,
        framework: &FrameworkRecord,
        asked: &reconcile_operations::Operation,
    ) -> Option<&Operation> {
        let key = framework.operation_ids.get(&asked.operation_id)?;
        let agent = framework.operations.get(key)?;
        self.operation(agent, key).map(AsRef::as_ref)
    }

    /// Agents know which resource providers they have seen; the master does not.
    fn agent_to_ask(&self, asked: &reconcile_operations::Operation) -> Option<AgentId> {
        asked.resource_provider_id.as_ref()?;
        let agent = self.state.agents.get(asked.agent_id.as_ref()?)?;
        agent
            .is_capable_of(Capability::AgentOperationFeedback)
            .then(|| agent.id.clone())
    }

    /// What there is to say of an operation that is not in the books depends on its agent.
    fn status_of_unknown(&self, asked: reconcile_operations::Operation) -> OperationStatus {
        let (state, message) = match &asked.agent_id {
            None => (
                OperationState::OperationUnknown,
                "Reconciliation: Operation is unknown and no 'agent_id' was provided",
            ),
            Some(id) if self.state.recovered_agents.contains_key(id) => (
                OperationState::OperationRecovering,
                "Reconciliation: Agent is recovered but has not re-registered",
            ),
            Some(id) if self.state.agents.contains_key(id) => (
                OperationState::OperationUnknown,
                "Reconciliation: Operation is unknown",
            ),
            Some(id) if self.state.unreachable_agents.contains_key(id) => (
                OperationState::OperationUnreachable,
                "Reconciliation: Agent is unreachable",
            ),
            Some(id) if self.state.gone_agents.contains_key(id) => (
                OperationState::OperationGoneByOperator,
                "Reconciliation: Agent marked gone by operator",
            ),
            Some(_) => (
                OperationState::OperationUnknown,
                "Reconciliation: Both operation and agent are unknown",
            ),
        };
        OperationStatus {
            operation_id: Some(asked.operation_id),
            state: state.into(),
            message: Some(message.to_owned()),
            agent_id: asked.agent_id,
            resource_provider_id: asked.resource_provider_id,
            ..Default::default()
        }
    }

    /// An agent tells which operations it has. Those that it was sent and has not are asked for: it
    /// never got them, and will say so. Those that the master does not know are of an earlier one.
    pub(crate) fn reconcile_operations_of_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        told: &[Operation],
    ) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let keys: BTreeSet<&OperationKey> = told.iter().map(|o| &o.uuid.value).collect();
        ask_for_missing(step, agent, &keys);
        let known = &agent.operations;
        let is_new = |operation: &Operation| !known.contains_key(&operation.uuid.value);
        let new: Vec<Operation> = told.iter().filter(|o| is_new(o)).cloned().collect();
        for operation in new {
            self.add_operation(id, operation);
        }
    }
}

fn ask_for_missing(step: &mut Step<'_>, agent: &AgentRecord, told: &BTreeSet<&OperationKey>) {
    let missing = agent.operations.keys().filter(|key| !told.contains(key));
    let question = ReconcileOperationsMessage {
        framework_id: None,
        operations: missing
            .map(|key| reconcile_operations_message::Operation {
                operation_uuid: Some(Uuid { value: key.clone() }),
                ..Default::default()
            })
            .collect(),
    };
    if !question.operations.is_empty() {
        step.send(&agent.pid, &question);
    }
}

/// The latest that is known, told without a wish for acknowledgement.
fn latest(operation: &Operation) -> OperationStatus {
    let status = operation.statuses.last();
    OperationStatus {
        uuid: None,
        ..status.unwrap_or(&operation.latest_status).clone()
    }
}
