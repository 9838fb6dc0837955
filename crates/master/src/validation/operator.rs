use meseta_proto::v1::master::Call;
use meseta_proto::v1::master::call::Type;

use super::{Checked, Invalid};

/// Checks that an operator's call brings what its type promises.
///
/// # Errors
/// In Mesos's words.
pub fn operator_call(call: &Call) -> Checked {
    if call.r#type.is_none() {
        return Err(Invalid::new("Expecting 'type' to be present"));
    }
    #[allow(deprecated, reason = "older operators' tools send them")]
    let (present, name) = match call.r#type() {
        Type::GetMetrics => (call.get_metrics.is_some(), "get_metrics"),
        Type::SetLoggingLevel => (call.set_logging_level.is_some(), "set_logging_level"),
        Type::ListFiles => (call.list_files.is_some(), "list_files"),
        Type::ReadFile => (call.read_file.is_some(), "read_file"),
        Type::UpdateWeights => (call.update_weights.is_some(), "update_weights"),
        Type::ReserveResources => (call.reserve_resources.is_some(), "reserve_resources"),
        Type::UnreserveResources => (call.unreserve_resources.is_some(), "unreserve_resources"),
        Type::CreateVolumes => (call.create_volumes.is_some(), "create_volumes"),
        Type::DestroyVolumes => (call.destroy_volumes.is_some(), "destroy_volumes"),
        Type::GrowVolume => (call.grow_volume.is_some(), "grow_volume"),
        Type::ShrinkVolume => (call.shrink_volume.is_some(), "shrink_volume"),
        Type::UpdateMaintenanceSchedule => (
            call.update_maintenance_schedule.is_some(),
            "update_maintenance_schedule",
        ),
        Type::StartMaintenance => (call.start_maintenance.is_some(), "start_maintenance"),
        Type::StopMaintenance => (call.stop_maintenance.is_some(), "stop_maintenance"),
        Type::DrainAgent => (call.drain_agent.is_some(), "drain_agent"),
        Type::DeactivateAgent => (call.deactivate_agent.is_some(), "deactivate_agent"),
        Type::ReactivateAgent => (call.reactivate_agent.is_some(), "reactivate_agent"),
        Type::UpdateQuota => (call.update_quota.is_some(), "update_quota"),
        Type::SetQuota => (call.set_quota.is_some(), "set_quota"),
        Type::RemoveQuota => (call.remove_quota.is_some(), "remove_quota"),
        Type::Teardown => (call.teardown.is_some(), "teardown"),
        Type::MarkAgentGone => (call.mark_agent_gone.is_some(), "mark_agent_gone"),
        // The others bring nothing.
        _ => return Ok(()),
    };
    if !present {
        return Err(Invalid(format!("Expecting '{name}' to be present")));
    }
    let without_agent = match call.r#type() {
        Type::GrowVolume => call
            .grow_volume
            .as_ref()
            .is_some_and(|it| it.agent_id.is_none()),
        Type::ShrinkVolume => call
            .shrink_volume
            .as_ref()
            .is_some_and(|it| it.agent_id.is_none()),
        _ => false,
    };
    if without_agent {
        return Err(Invalid::new(
            "Expecting 'agent_id' to be present; only agent default resources are supported right \
             now",
        ));
    }
    Ok(())
}
