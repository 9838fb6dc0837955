//! Operations on resources: reserving, volumes, and back.
//!
//! A master takes an operation for done when it sends it, so that what follows in the same ACCEPT can
//! use what it makes. The agent makes it durable and tells how it went; who asked for feedback (by an
//! id) is told, and acknowledges, and otherwise the master does.
//!
//! ```text
//! carry_out_operation ─▶ pending ──agent tells──▶ over, unacknowledged ──acknowledged──▶ forgotten
//!                           └──agent lost, or never got it──▶ forgotten (its framework is told)
//! ```
//!
//! Operations of frameworks that this master does not know are kept for them, as orphans.

mod apply;
mod by_operator;
mod feedback;
mod reconcile;

use std::sync::Arc;

use imbl::OrdMap;
use meseta_proto::v1::offer::operation::Type;
use meseta_proto::v1::{AgentId, FrameworkId, Operation, OperationState, OperationStatus};

use crate::events::Notice;
use crate::master::Master;
use crate::records::OperationKey;
use crate::step::Step;

/// How many operations of each type are, or ended, in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationCounts(OrdMap<(Type, OperationState), u64>);

impl OperationCounts {
    /// Those of a type in a state.
    pub fn get(&self, kind: Type, state: OperationState) -> u64 {
        self.0.get(&(kind, state)).copied().unwrap_or_default()
    }

    pub(crate) fn enter(&mut self, kind: Type, state: OperationState) {
        *self.0.entry((kind, state)).or_default() += 1;
    }

    pub(crate) fn leave(&mut self, kind: Type, state: OperationState) {
        if let Some(count) = self.0.get_mut(&(kind, state)) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Whether an operation in this state is over.
pub(crate) fn is_terminal(state: OperationState) -> bool {
    use OperationState as S;
    match state {
        S::OperationFinished
        | S::OperationFailed
        | S::OperationError
        | S::OperationDropped
        | S::OperationGoneByOperator => true,
        S::OperationUnsupported
        | S::OperationPending
        | S::OperationUnreachable
        | S::OperationRecovering
        | S::OperationUnknown => false,
    }
}

impl Master {
    fn operation(&self, agent: &AgentId, key: &[u8]) -> Option<&Arc<Operation>> {
        self.state.agents.get(agent)?.operations.get(key)
    }

    /// Enters an operation, sent just now or told of by an agent.
    fn add_operation(&mut self, agent: &AgentId, operation: Operation) {
        let key = operation.uuid.value.clone();
        let kind = operation.info.r#type();
        let counts = &mut self.state.metrics.operations;
        counts.enter(kind, operation.latest_status.state());
        if let Some(owner) = operation.framework_id.clone() {
            self.note_owner(&owner, agent, &key, &operation);
        }
        if let Some(agent) = self.agent_mut(agent) {
            agent.operations.insert(key, Arc::new(operation));
        }
    }

    fn note_owner(
        &mut self,
        owner: &FrameworkId,
        agent: &AgentId,
        key: &OperationKey,
        operation: &Operation,
    ) {
        let Some(framework) = self.framework_mut(owner) else {
            let orphans = self.orphaned_operations.entry(owner.clone()).or_default();
            orphans.insert((agent.clone(), key.clone()));
            return;
        };
        framework.operations.insert(key.clone(), agent.clone());
        if let Some(id) = &operation.info.id {
            framework.operation_ids.insert(id.clone(), key.clone());
        }
    }

    fn remove_operation(&mut self, agent: &AgentId, key: &OperationKey) {
        let removed = self.agent_mut(agent).and_then(|a| a.operations.remove(key));
        let Some(operation) = removed else {
            return;
        };
        self.note_less_on(agent);
        let state = operation.latest_status.state();
        if !is_terminal(state) {
            let kind = operation.info.r#type();
            self.state.metrics.operations.leave(kind, state);
        }
        let Some(owner) = &operation.framework_id else {
            return;
        };
        if let Some(framework) = self.framework_mut(owner) {
            framework.operations.remove(key);
            let id = operation.info.id.as_ref();
            // A later one of the same id keeps it.
            if let Some(id) = id.filter(|id| framework.operation_ids.get(*id) == Some(key)) {
                framework.operation_ids.remove(id);
            }
        } else if let Some(orphans) = self.orphaned_operations.get_mut(owner) {
            orphans.remove(&(agent.clone(), key.clone()));
            if orphans.is_empty() {
                self.orphaned_operations.remove(owner);
            }
        }
    }

    /// A framework has come that agents may hold operations of.
    pub(crate) fn adopt_operations(&mut self, id: &FrameworkId) {
        let orphans = self.orphaned_operations.remove(id).unwrap_or_default();
        for (agent, key) in orphans {
            if let Some(operation) = self.operation(&agent, &key).cloned() {
                self.note_owner(id, &agent, &key, &operation);
            }
        }
    }

    /// A framework goes; its operations stay until its agents have told how they ended.
    pub(crate) fn orphan_operations(&mut self, id: &FrameworkId) {
        let operations = self.framework(id).map(|f| f.operations.clone());
        for (key, agent) in operations.into_iter().flatten() {
            let orphans = self.orphaned_operations.entry(id.clone()).or_default();
            orphans.insert((agent, key));
        }
    }

    /// An agent is lost to this master, for now or for good: whoever waits for its operations is
    /// told in which state they are. Nobody tells again: schedulers reconcile.
    pub(crate) fn lose_operations(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        state: OperationState,
        message: &str,
    ) {
        let operations = self.state.agents.get(id).map(|a| a.operations.clone());
        for (key, operation) in operations.into_iter().flatten() {
            if let (Some(owner), Some(operation_id)) = (&operation.framework_id, &operation.info.id)
            {
                let status = OperationStatus {
                    operation_id: Some(operation_id.clone()),
                    state: state.into(),
                    message: Some(message.to_owned()),
                    agent_id: Some(id.clone()),
                    ..Default::default()
                };
                self.notify(step, owner, Notice::OperationStatus(Box::new(status)));
            }
            let kind = operation.info.r#type();
            self.state.metrics.operations.enter(kind, state);
            self.remove_operation(id, &key);
        }
    }

    /// An agent is removed, with whatever operations are left on it.
    pub(crate) fn forget_operations(&mut self, id: &AgentId) {
        let keys = self.state.agents.get(id).map(|a| a.operations.clone());
        for (key, _) in keys.into_iter().flatten() {
            self.remove_operation(id, &key);
        }
    }
}
