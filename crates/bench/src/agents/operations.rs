//! Operations on an agent's resources, which emulated agents carry out at once.

use std::sync::Arc;

use meseta_proto::internal::{ApplyOperationMessage, UpdateOperationStatusMessage};
use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::{OperationState, OperationStatus, Uuid};
use meseta_resources::{Resources, conversions};

use super::{Fleet, Outgoing, new_uuid};

impl Fleet {
    pub(super) fn on_operation(
        &mut self,
        index: usize,
        message: ApplyOperationMessage,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let uuid = new_uuid(&mut self.random);
        let agent = self.agents.get_mut(index)?;
        let before = agent.changed.as_deref().unwrap_or(&self.shape.resources);
        let (state, reason) = match after(&message.operation_info, before) {
            Ok(resources) => {
                agent.changed = Some(Arc::new(resources));
                (OperationState::OperationFinished, None)
            }
            Err(error) => (OperationState::OperationFailed, Some(error.to_string())),
        };
        let status = OperationStatus {
            operation_id: message.operation_info.id,
            state: state.into(),
            message: reason,
            uuid: Some(Uuid {
                value: uuid.to_vec(),
            }),
            agent_id: agent.id.clone(),
            ..OperationStatus::default()
        };
        let update = UpdateOperationStatusMessage {
            framework_id: message.framework_id,
            slave_id: agent.id.clone(),
            latest_status: Some(status.clone()),
            status,
            operation_uuid: Some(message.operation_uuid),
        };
        out.push(self.shape.to_master(index, &update));
        self.tally.operations += 1;
        Some(())
    }
}

/// What an operation makes of an agent's resources, which are allocated to nobody on its side.
fn after(operation: &Operation, before: &Resources) -> Result<Resources, meseta_resources::Error> {
    conversions(operation)?
        .iter()
        .try_fold(before.clone(), |resources, conversion| {
            conversion.unallocate().apply(&resources)
        })
}
