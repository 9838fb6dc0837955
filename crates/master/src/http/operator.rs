use meseta_endpoints::{
    Process, Query, build, flag_messages, message, method_not_allowed, set_logging_level, typed,
};
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::AgentId;
use meseta_proto::v1::maintenance::Schedule;
use meseta_proto::v1::master::call::Type;
use meseta_proto::v1::master::response::{
    self, GetFlags, GetHealth, GetLoggingLevel, GetMaintenanceSchedule, GetMaintenanceStatus,
    GetMetrics, GetOperations, GetQuota, GetVersion, GetWeights, ListFiles, ReadFile,
};
use meseta_proto::v1::master::{Call, Response};
use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::offer::operation;

use super::scheduler::answer_type;
use super::{Answer, Request, maintenance, metrics, quota, views, weights};
use crate::input::Opening;
use crate::operator::Change;
use crate::recent::EventId;
use crate::snapshot::Snapshot;
use crate::validation;

/// A request to the operator API.
pub(super) fn answer(snapshot: &Snapshot, request: &Request<'_>, process: &dyn Process) -> Answer {
    let (call, answer_type) = match parse(request) {
        Ok(parsed) => parsed,
        Err(refusal) => return Answer::Reply(*refusal),
    };
    if call.r#type() == Type::Subscribe {
        let query = Query(request.query);
        return match opening(query).and_then(|opening| Ok((opening, after(request)?))) {
            Ok((opening, after)) => Answer::Subscribe {
                stream_type: answer_type,
                opening,
                after,
            },
            Err(refusal) => Answer::Reply(*refusal),
        };
    }
    match read(snapshot, &call, answer_type, process) {
        Ok(Some(reply)) => return Answer::Reply(reply),
        Err(refusal) => return Answer::Reply(*refusal),
        Ok(None) => {}
    }
    let kind = call.r#type();
    if let Some(teardown) = call.teardown.as_ref().filter(|_| kind == Type::Teardown) {
        let framework_id = teardown.framework_id.clone();
        return Answer::Teardown { framework_id };
    }
    match change(call) {
        Some(change) => Answer::Operator(change),
        None => Answer::Reply(Reply::refused(
            501,
            format!(
                "The operator call {} is not implemented",
                kind.as_str_name()
            ),
        )),
    }
}

/// A large cluster's state is more than a watcher wants that asks for pages of it.
fn opening(query: Query<'_>) -> Result<Opening, Box<Reply>> {
    match query.get("state") {
        None | Some("true") => Ok(Opening::State),
        Some("false") => Ok(Opening::Bare),
        Some(other) => Err(Reply::bad_request(format!(
            "Expecting 'state' to be 'true' or 'false', but received '{other}'"
        ))
        .into()),
    }
}

/// The last event that a watcher has seen, if it says so: by the header, or by the parameter where a
/// client can't set headers.
fn after(request: &Request<'_>) -> Result<Option<EventId>, Box<Reply>> {
    let text = request.last_event_id;
    let Some(text) = text.or_else(|| Query(request.query).get("last_event_id")) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|e| Reply::bad_request(format!("Failed to parse 'Last-Event-ID': {e}")).into())
}

/// What a request asks for; `None` if it is none that is answered.
pub(super) fn kind(request: &Request<'_>) -> Option<Type> {
    parse(request).ok().map(|(call, _)| call.r#type())
}

fn parse(request: &Request<'_>) -> Result<(Call, ContentType), Box<Reply>> {
    if request.method != "POST" {
        return Err(method_not_allowed(&["POST"], request.method).into());
    }
    let call: Call = meseta_endpoints::call(request.content_type, request.body)?;
    validation::operator_call(&call)
        .map_err(|e| Reply::bad_request(format!("Failed to validate master::Call: {e}")))?;
    let answer_type = answer_type(request.accept)?;
    Ok((call, answer_type))
}

/// The answer to a call that changes nothing in the master; `None` if it does.
fn read(
    snapshot: &Snapshot,
    call: &Call,
    answer_type: ContentType,
    process: &dyn Process,
) -> Result<Option<Reply>, Box<Reply>> {
    use response::Type as Kind;
    let many = match call.r#type() {
        Type::GetState => Some(Kind::GetState),
        Type::GetAgents => Some(Kind::GetAgents),
        Type::GetFrameworks => Some(Kind::GetFrameworks),
        Type::GetExecutors => Some(Kind::GetExecutors),
        Type::GetTasks => Some(Kind::GetTasks),
        _ => None,
    };
    if let Some(body) = many.and_then(|kind| views::answer(snapshot, kind, answer_type)) {
        return Ok(Some(typed(body, answer_type)));
    }
    let response = match call.r#type() {
        Type::GetHealth => Response {
            get_health: Some(GetHealth { healthy: true }),
            ..response(Kind::GetHealth)
        },
        Type::GetFlags => Response {
            get_flags: Some(GetFlags {
                flags: flag_messages(&snapshot.config.flags),
            }),
            ..response(Kind::GetFlags)
        },
        Type::GetVersion => Response {
            get_version: Some(GetVersion {
                version_info: build(&snapshot.config.version),
            }),
            ..response(Kind::GetVersion)
        },
        // Every value is at hand, so that no timeout is needed.
        Type::GetMetrics => Response {
            get_metrics: Some(GetMetrics {
                metrics: metrics::all(snapshot, process).messages(),
            }),
            ..response(Kind::GetMetrics)
        },
        Type::GetLoggingLevel => Response {
            get_logging_level: Some(GetLoggingLevel {
                level: process.logging_level(),
            }),
            ..response(Kind::GetLoggingLevel)
        },
        Type::SetLoggingLevel => {
            if let Some(set) = &call.set_logging_level {
                set_logging_level(set.level, set.duration.nanoseconds, process)?;
            }
            return Ok(Some(Reply::ok()));
        }
        Type::ListFiles => Response {
            list_files: match &call.list_files {
                Some(list) => Some(ListFiles {
                    file_infos: process.list_files(&list.path)?,
                }),
                None => None,
            },
            ..response(Kind::ListFiles)
        },
        Type::ReadFile => Response {
            read_file: match &call.read_file {
                Some(read) => {
                    let piece = process.read_file(&read.path, read.offset, read.length)?;
                    Some(ReadFile {
                        size: piece.size,
                        data: piece.data,
                    })
                }
                None => None,
            },
            ..response(Kind::ReadFile)
        },
        Type::GetOperations => Response {
            get_operations: Some(GetOperations {
                operations: views::operations(snapshot),
            }),
            ..response(Kind::GetOperations)
        },
        Type::GetRoles => Response {
            get_roles: Some(views::roles(snapshot)),
            ..response(Kind::GetRoles)
        },
        Type::GetMaster => Response {
            get_master: Some(views::master(snapshot)),
            ..response(Kind::GetMaster)
        },
        Type::GetQuota => Response {
            get_quota: Some(GetQuota {
                status: quota::status(snapshot),
            }),
            ..response(Kind::GetQuota)
        },
        Type::GetMaintenanceSchedule => Response {
            get_maintenance_schedule: Some(GetMaintenanceSchedule {
                schedule: Schedule::clone(&snapshot.schedule),
            }),
            ..response(Kind::GetMaintenanceSchedule)
        },
        Type::GetMaintenanceStatus => Response {
            get_maintenance_status: Some(GetMaintenanceStatus {
                status: maintenance::status(snapshot),
            }),
            ..response(Kind::GetMaintenanceStatus)
        },
        Type::GetWeights => Response {
            get_weights: Some(GetWeights {
                weight_infos: weights::infos(snapshot),
            }),
            ..response(Kind::GetWeights)
        },
        _ => return Ok(None),
    };
    Ok(Some(message(&response, answer_type)))
}

/// What a call wants changed.
#[allow(
    deprecated,
    reason = "older operators' tools send SET_QUOTA and REMOVE_QUOTA"
)]
fn change(call: Call) -> Option<Change> {
    match call.r#type() {
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
        Type::StartMaintenance => call
            .start_maintenance
            .map(|it| Change::StartMaintenance(it.machines)),
        Type::StopMaintenance => call
            .stop_maintenance
            .map(|it| Change::StopMaintenance(it.machines)),
        Type::UpdateWeights => call
            .update_weights
            .map(|it| Change::UpdateWeights(it.weight_infos)),
        _ => operation(call),
    }
}

/// The operation on an agent's resources that a call asks for.
fn operation(call: Call) -> Option<Change> {
    use operation::{Create, Destroy, GrowVolume, Reserve, ShrinkVolume, Unreserve};
    let of_kind = |kind: operation::Type| Operation {
        r#type: Some(kind.into()),
        ..Operation::default()
    };
    let (agent, order): (AgentId, Operation) = match call.r#type() {
        Type::ReserveResources => {
            let it = call.reserve_resources?;
            let reserve = Reserve {
                source: it.source,
                resources: it.resources,
            };
            let order = Operation {
                reserve: Some(reserve),
                ..of_kind(operation::Type::Reserve)
            };
            (it.agent_id, order)
        }
        Type::UnreserveResources => {
            let it = call.unreserve_resources?;
            let resources = it.resources;
            let order = Operation {
                unreserve: Some(Unreserve { resources }),
                ..of_kind(operation::Type::Unreserve)
            };
            (it.agent_id, order)
        }
        Type::CreateVolumes => {
            let it = call.create_volumes?;
            let volumes = it.volumes;
            let order = Operation {
                create: Some(Create { volumes }),
                ..of_kind(operation::Type::Create)
            };
            (it.agent_id, order)
        }
        Type::DestroyVolumes => {
            let it = call.destroy_volumes?;
            let volumes = it.volumes;
            let order = Operation {
                destroy: Some(Destroy { volumes }),
                ..of_kind(operation::Type::Destroy)
            };
            (it.agent_id, order)
        }
        Type::GrowVolume => {
            let it = call.grow_volume?;
            let (volume, addition) = (it.volume, it.addition);
            let order = Operation {
                grow_volume: Some(GrowVolume { volume, addition }.into()),
                ..of_kind(operation::Type::GrowVolume)
            };
            (it.agent_id?, order)
        }
        Type::ShrinkVolume => {
            let it = call.shrink_volume?;
            let (volume, subtract) = (it.volume, it.subtract);
            let order = Operation {
                shrink_volume: Some(ShrinkVolume { volume, subtract }.into()),
                ..of_kind(operation::Type::ShrinkVolume)
            };
            (it.agent_id?, order)
        }
        _ => return None,
    };
    Some(Change::Operate(agent, Box::new(order)))
}

fn response(kind: response::Type) -> Response {
    Response {
        r#type: Some(kind.into()),
        ..Response::default()
    }
}
