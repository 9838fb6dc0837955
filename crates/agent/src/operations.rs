//! Operations on the agent's own resources, and the delivery of their outcome.
//!
//! ```text
//! applied and persisted ──(folders of volumes are made or removed)──▶ finished ──▶ acknowledged
//!           └──again after a restart──────────┘└──cannot be──▶ undone, failed ───────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use meseta_machine::is_uuid;
use meseta_proto::internal;
use meseta_proto::v1::{Operation, OperationState, OperationStatus, Uuid};
use meseta_resources::{Conversion, Resources, conversions};

use crate::Action;
use crate::agent::{Agent, Phase, Timer, Turn};
use crate::limits::{UPDATE_RETRY_MAX, UPDATE_RETRY_MIN};
use crate::recovery::facts::{Change, OperationFact, operation_key};
use crate::volumes::FolderChanges;

/// Operations whose outcome has not been acknowledged, by their UUID.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operations {
    records: OrdMap<Vec<u8>, Arc<Operation>>,
    outcomes: BTreeMap<Vec<u8>, Outcome>,
}

#[derive(Debug, Clone)]
struct Outcome {
    message: internal::UpdateOperationStatusMessage,
    wait: Duration,
}

impl Operations {
    pub(crate) fn records(&self) -> OrdMap<Vec<u8>, Arc<Operation>> {
        self.records.clone()
    }

    pub(crate) fn messages(&self) -> Vec<Operation> {
        self.records.values().map(|o| (**o).clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Puts in an operation, new or of an earlier life.
    pub(crate) fn insert(
        &mut self,
        operation: Operation,
        message: Option<internal::UpdateOperationStatusMessage>,
    ) {
        let uuid = operation.uuid.value.clone();
        if let Some(message) = message {
            let wait = UPDATE_RETRY_MIN;
            self.outcomes
                .insert(uuid.clone(), Outcome { message, wait });
        }
        self.records.insert(uuid, Arc::new(operation));
    }
}

impl Agent {
    pub(crate) fn on_apply_operation(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::ApplyOperationMessage,
    ) {
        let uuid = message.operation_uuid.value.clone();
        if self.phase == Phase::Recovering
            || !is_uuid(&uuid)
            || self.operations.records.contains_key(&uuid)
        {
            return;
        }
        let operation = Operation {
            framework_id: message.framework_id,
            agent_id: self.id().cloned(),
            latest_status: OperationStatus {
                operation_id: message.operation_info.id.clone(),
                state: OperationState::OperationPending.into(),
                agent_id: self.id().cloned(),
                ..OperationStatus::default()
            },
            info: message.operation_info,
            statuses: Vec::new(),
            uuid: message.operation_uuid,
        };
        let applied = steps(&operation).and_then(|steps| {
            self.apply(turn, &steps)?;
            Ok(FolderChanges::of(&self.config.work_dir, &steps))
        });
        match applied {
            Ok(changes) if changes.is_empty() => self.end_operation(turn, operation, Ok(())),
            Ok(changes) => self.change_volumes(turn, operation, changes),
            Err(sentence) => self.end_operation(turn, operation, Err(sentence)),
        }
    }

    /// Has the folders of volumes made and removed, which is done again if it is cut short.
    fn change_volumes(
        &mut self,
        turn: &mut Turn<'_>,
        operation: Operation,
        changes: FolderChanges,
    ) {
        let uuid = operation.uuid.value.clone();
        let fact = OperationFact {
            operation: operation.clone(),
            update: None,
        };
        turn.persist(vec![Change::put(operation_key(&uuid), &fact)]);
        self.operations.insert(operation, None);
        turn.act(Action::ChangeVolumes {
            operation: Some(uuid),
            create: changes.create,
            remove: changes.remove,
        });
    }

    /// Does again what the end of the agent's former life may have cut short. A folder whose volume
    /// has been made anew since is not removed: there may be data in it.
    pub(crate) fn redo_operations(&mut self, turn: &mut Turn<'_>) {
        self.restore_volumes(turn);
        let kept =
            FolderChanges::between(&self.config.work_dir, &Resources::new(), &self.checkpointed)
                .create;
        let is_pending = |uuid: &Vec<u8>| !self.operations.outcomes.contains_key(uuid);
        for (uuid, operation) in &self.operations.records {
            if is_pending(uuid) {
                let steps = steps(operation).unwrap_or_default();
                let mut changes = FolderChanges::of(&self.config.work_dir, &steps);
                changes.remove.retain(|folder| !kept.contains(folder));
                turn.act(Action::ChangeVolumes {
                    operation: Some(uuid.clone()),
                    create: Vec::new(),
                    remove: changes.remove,
                });
            }
        }
    }

    /// The folders of volumes are as they should be, or not.
    pub(crate) fn on_volumes_changed(
        &mut self,
        turn: &mut Turn<'_>,
        uuid: Option<Vec<u8>>,
        result: Result<(), String>,
    ) {
        let Some(uuid) = uuid.filter(|uuid| !self.operations.outcomes.contains_key(uuid)) else {
            return;
        };
        let Some(operation) = self.operations.records.get(&uuid) else {
            return;
        };
        let operation = Operation::clone(operation);
        if result.is_err() {
            let steps = steps(&operation).unwrap_or_default();
            self.undo(turn, &steps);
        }
        self.end_operation(turn, operation, result);
    }

    /// An operation is done or cannot be. The master took it for done when it sent it: that one
    /// cannot be, it learns with what the agent has when the agent registers again.
    fn end_operation(
        &mut self,
        turn: &mut Turn<'_>,
        mut operation: Operation,
        result: Result<(), String>,
    ) {
        let has_failed = result.is_err();
        let state = if has_failed {
            OperationState::OperationFailed
        } else {
            OperationState::OperationFinished
        };
        let status = OperationStatus {
            state: state.into(),
            message: result.err(),
            uuid: Some(Uuid {
                value: self.entropy.uuid_bytes().to_vec(),
            }),
            ..operation.latest_status.clone()
        };
        operation.latest_status = status.clone();
        operation.statuses = vec![status.clone()];
        let update = internal::UpdateOperationStatusMessage {
            framework_id: operation.framework_id.clone(),
            slave_id: self.id().cloned(),
            latest_status: Some(status.clone()),
            status,
            operation_uuid: Some(operation.uuid.clone()),
        };
        let fact = OperationFact {
            operation: operation.clone(),
            update: Some(update.clone()),
        };
        let uuid = operation.uuid.value.clone();
        turn.persist(vec![Change::put(operation_key(&uuid), &fact)]);
        self.operations.insert(operation, Some(update));
        self.send_operation(turn, &uuid);
        if has_failed && self.phase == Phase::Running {
            self.resource_version = self.entropy.uuid_bytes();
            self.reconnect(turn);
        }
    }

    /// Sends an outcome to the master, if the agent is registered, and sees to its repetition.
    fn send_operation(&mut self, turn: &mut Turn<'_>, uuid: &[u8]) {
        let Some(outcome) = self.operations.outcomes.get(uuid) else {
            return;
        };
        if self.is_registered() {
            self.send_to_master(turn, &outcome.message);
            let at = turn.after(outcome.wait);
            self.timers.set(Timer::OperationRetry(uuid.to_vec()), at);
        }
    }

    pub(crate) fn retry_operation(&mut self, turn: &mut Turn<'_>, uuid: &[u8]) {
        if let Some(outcome) = self.operations.outcomes.get_mut(uuid) {
            outcome.wait = outcome.wait.saturating_mul(2).min(UPDATE_RETRY_MAX);
        }
        self.send_operation(turn, uuid);
    }

    pub(crate) fn resume_operations(&mut self, turn: &mut Turn<'_>) {
        let waiting: Vec<_> = self.operations.outcomes.keys().cloned().collect();
        for uuid in waiting {
            if let Some(outcome) = self.operations.outcomes.get_mut(&uuid) {
                outcome.wait = UPDATE_RETRY_MIN;
            }
            self.send_operation(turn, &uuid);
        }
    }

    pub(crate) fn on_operation_acknowledgement(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::AcknowledgeOperationStatusMessage,
    ) {
        let uuid = message.operation_uuid.value;
        let expected = self
            .operations
            .outcomes
            .get(&uuid)
            .and_then(|outcome| outcome.message.status.uuid.as_ref())
            .is_some_and(|status| status.value == message.status_uuid.value);
        if !expected {
            return;
        }
        self.operations.outcomes.remove(&uuid);
        self.operations.records.remove(&uuid);
        self.timers.cancel(&Timer::OperationRetry(uuid.clone()));
        turn.persist(vec![Change::forget(operation_key(&uuid))]);
    }

    /// The master, or a framework by it, asks what became of operations.
    pub(crate) fn on_reconcile_operations(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::ReconcileOperationsMessage,
    ) {
        for asked in message.operations {
            let known = self.operations.records.values().find(|known| {
                let by_uuid = asked.operation_uuid.as_ref() == Some(&known.uuid);
                let by_id = asked.operation_id.is_some()
                    && asked.operation_id == known.info.id
                    && message.framework_id == known.framework_id;
                by_uuid || by_id
            });
            let status = match (known, &message.framework_id) {
                // Its outcome is on its way already.
                (Some(_), None) => continue,
                (Some(known), Some(_)) => OperationStatus {
                    uuid: None,
                    ..known.latest_status.clone()
                },
                (None, framework) => OperationStatus {
                    operation_id: asked.operation_id,
                    state: match framework {
                        Some(_) => OperationState::OperationUnknown,
                        None => OperationState::OperationDropped,
                    }
                    .into(),
                    agent_id: self.id().cloned(),
                    resource_provider_id: asked.resource_provider_id,
                    ..OperationStatus::default()
                },
            };
            let update = internal::UpdateOperationStatusMessage {
                framework_id: message.framework_id.clone(),
                slave_id: self.id().cloned(),
                status,
                latest_status: None,
                operation_uuid: asked.operation_uuid,
            };
            self.send_to_master(turn, &update);
        }
    }
}

/// What an operation does to the agent's resources, which are allocated to nobody.
fn steps(operation: &Operation) -> Result<Vec<Conversion>, String> {
    let steps = conversions(&operation.info).map_err(|e| e.to_string())?;
    Ok(steps.iter().map(Conversion::unallocate).collect())
}
