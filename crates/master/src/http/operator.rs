use meseta_endpoints::{call, method_not_allowed};
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::maintenance::Schedule;
use meseta_proto::v1::master::call::Type;
use meseta_proto::v1::master::response::{
    self, GetMaintenanceSchedule, GetMaintenanceStatus, GetQuota, GetWeights,
};
use meseta_proto::v1::master::{Call, Response};
use meseta_proto::{Wire, json};

use super::scheduler::answer_type;
use super::{Answer, Request, maintenance, quota, weights};
use crate::operator::Change;
use crate::snapshot::Snapshot;
use crate::validation;

/// A request to the operator API.
pub(super) fn answer(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    parse(request)
        .map_err(|refusal| *refusal)
        .map_or_else(Answer::Reply, |(call, answer_type)| {
            carry_out(snapshot, call, answer_type)
        })
}

fn parse(request: &Request<'_>) -> Result<(Call, ContentType), Box<Reply>> {
    if request.method != "POST" {
        return Err(method_not_allowed(&["POST"], request.method).into());
    }
    let call: Call = call(request.content_type, request.body)?;
    validation::operator_call(&call)
        .map_err(|e| Reply::bad_request(format!("Failed to validate master::Call: {e}")))?;
    let answer_type = answer_type(request.accept)?;
    Ok((call, answer_type))
}

#[allow(
    deprecated,
    reason = "older operators' tools send SET_QUOTA and REMOVE_QUOTA"
)]
fn carry_out(snapshot: &Snapshot, call: Call, answer_type: ContentType) -> Answer {
    let kind = call.r#type();
    let change = match kind {
        Type::GetQuota => {
            let status = quota::status(snapshot);
            let response = Response {
                get_quota: Some(GetQuota { status }),
                ..response(response::Type::GetQuota)
            };
            return Answer::Reply(written(&response, answer_type));
        }
        Type::GetMaintenanceSchedule => {
            let schedule = Schedule::clone(&snapshot.schedule);
            let response = Response {
                get_maintenance_schedule: Some(GetMaintenanceSchedule { schedule }),
                ..response(response::Type::GetMaintenanceSchedule)
            };
            return Answer::Reply(written(&response, answer_type));
        }
        Type::GetMaintenanceStatus => {
            let status = maintenance::status(snapshot);
            let response = Response {
                get_maintenance_status: Some(GetMaintenanceStatus { status }),
                ..response(response::Type::GetMaintenanceStatus)
            };
            return Answer::Reply(written(&response, answer_type));
        }
        Type::GetWeights => {
            let weight_infos = weights::infos(snapshot);
            let response = Response {
                get_weights: Some(GetWeights { weight_infos }),
                ..response(response::Type::GetWeights)
            };
            return Answer::Reply(written(&response, answer_type));
        }
        Type::MarkAgentGone => call
            .mark_agent_gone
            .map(|it| Change::MarkAgentGone(it.agent_id)),
        Type::DrainAgent => call.drain_agent.map(Change::DrainAgent),
        Type::DeactivateAgent => call
            .deactivate_agent
            .map(|it| Change::DeactivateAgent(it.agent_id)),
        Type::ReactivateAgent => call
            .reactivate_agent
            .map(|it| Change::ReactivateAgent(it.agent_id)),
        Type::UpdateQuota => call.update_quota.map(Change::UpdateQuota),
        Type::SetQuota => call.set_quota.map(|it| Change::SetQuota(it.quota_request)),
        Type::RemoveQuota => call.remove_quota.map(|it| Change::RemoveQuota {
            role: it.role,
            asked: String::new(),
        }),
        Type::UpdateMaintenanceSchedule => call
            .update_maintenance_schedule
            .map(|it| Change::UpdateSchedule(it.schedule)),
        Type::UpdateWeights => call
            .update_weights
            .map(|it| Change::UpdateWeights(it.weight_infos)),
        _ => None,
    };
    change.map_or_else(
        || {
            let name = kind.as_str_name();
            let sentence = format!("The operator call {name} is not implemented");
            Answer::Reply(Reply::refused(501, sentence))
        },
        Answer::Operator,
    )
}

fn response(kind: response::Type) -> Response {
    Response {
        r#type: Some(kind.into()),
        ..Response::default()
    }
}

fn written<M: Wire>(message: &M, answer_type: ContentType) -> Reply {
    let body = match answer_type {
        ContentType::Protobuf => message.encode_to_vec(),
        _ => json::to_vec(message),
    };
    Reply {
        content_type: Some(answer_type),
        ..Reply::json(body)
    }
}
