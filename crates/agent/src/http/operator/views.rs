//! What the operator API shows of an agent, in either encoding.

use std::time::Duration;

use meseta_endpoints::{
    Field, Query, Writer, build, flag_messages, message, set_logging_level, typed,
};
use meseta_machine::{ContentType, Reply};
use meseta_proto::Wire;
use meseta_proto::v1::agent::call::Type;
use meseta_proto::v1::agent::response::get_containers::Container;
use meseta_proto::v1::agent::response::get_executors::Executor as ExecutorView;
use meseta_proto::v1::agent::response::get_frameworks::Framework as FrameworkView;
use meseta_proto::v1::agent::response::{
    GetAgent, GetContainers, GetFlags, GetHealth, GetLoggingLevel, GetMetrics, GetOperations,
    GetResourceProviders, GetVersion, ListFiles, ReadFile, Type as Kind,
};
use meseta_proto::v1::agent::{Call, Response};
use meseta_proto::v1::{AgentInfo, Operation, Task, TimeInfo};

use crate::http::endpoints::containers::{Container as Shown, Wanted, containers};
use crate::http::endpoints::{Surroundings, metrics};
use crate::records::{Executor, Framework};
use crate::snapshot::Snapshot;
use crate::task;

const TYPE: Field = ("type", 1);

/// The answer to a call that changes nothing in the machine; `None` for the others.
///
/// # Errors
/// The refusal to answer with.
pub(super) fn read(
    snapshot: &Snapshot,
    call: &Call,
    content_type: ContentType,
    process: &dyn Surroundings,
) -> Result<Option<Reply>, Box<Reply>> {
    if let Some(body) = many(snapshot, call.r#type(), content_type) {
        return Ok(Some(typed(body, content_type)));
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
        Type::ListFiles => {
            let path = call.list_files.as_ref().map_or("", |it| it.path.as_str());
            Response {
                list_files: Some(ListFiles {
                    file_infos: process.list_files(path)?,
                }),
                ..response(Kind::ListFiles)
            }
        }
        Type::ReadFile => {
            let wanted = call.read_file.clone().unwrap_or_default();
            let piece = process.read_file(&wanted.path, wanted.offset, wanted.length)?;
            Response {
                read_file: Some(ReadFile {
                    size: piece.size,
                    data: piece.data,
                }),
                ..response(Kind::ReadFile)
            }
        }
        Type::GetContainers => {
            let nested = call.get_containers.is_some_and(|it| it.show_nested());
            let query = Query(&[]);
            let wanted = Wanted { query, nested };
            let shown = containers(snapshot, wanted, &process.statistics());
            let containers: Vec<_> = shown.into_iter().map(container).collect();
            Response {
                // As in Mesos, nothing is said of none.
                get_containers: (!containers.is_empty()).then_some(GetContainers { containers }),
                ..response(Kind::GetContainers)
            }
        }
        Type::GetOperations => Response {
            get_operations: Some(GetOperations {
                operations: snapshot
                    .operations
                    .values()
                    .map(|it| Operation::clone(it))
                    .collect(),
            }),
            ..response(Kind::GetOperations)
        },
        Type::GetAgent => Response {
            get_agent: Some(agent(snapshot)),
            ..response(Kind::GetAgent)
        },
        // There are none.
        Type::GetResourceProviders => Response {
            get_resource_providers: Some(GetResourceProviders::default()),
            ..response(Kind::GetResourceProviders)
        },
        // No image is kept.
        Type::PruneImages => return Ok(Some(Reply::ok())),
        _ => return Ok(None),
    };
    Ok(Some(message(&response, content_type)))
}

fn response(kind: Kind) -> Response {
    Response {
        r#type: Some(kind.into()),
        ..Response::default()
    }
}

fn container(shown: Shown<'_>) -> Container {
    let info = shown.executor.map(|executor| &executor.info);
    Container {
        framework_id: info.and_then(|info| info.framework_id.clone()),
        executor_id: info.map(|info| info.executor_id.clone()),
        executor_name: info.map(|info| info.name().to_owned()),
        // Alone, as in Mesos; what it is in is told by its status.
        container_id: shown.id.value.as_str().into(),
        container_status: Some(shown.status),
        resource_statistics: shown.statistics,
    }
}

fn agent(snapshot: &Snapshot) -> GetAgent {
    // In whole seconds, as Mesos has it.
    let start = snapshot.drain_start.filter(|_| snapshot.drain.is_some());
    GetAgent {
        agent_info: Some(AgentInfo::clone(&snapshot.info)),
        drain_config: snapshot.drain.as_deref().copied(),
        estimated_drain_start_time: start.map(|it| TimeInfo {
            nanoseconds: i64::try_from(Duration::from_secs(it.as_secs()).as_nanos())
                .unwrap_or(i64::MAX),
        }),
    }
}

/// An answer of many records, if the call has one.
fn many(snapshot: &Snapshot, kind: Type, content_type: ContentType) -> Option<Vec<u8>> {
    let (kind, field, write): (Kind, Field, fn(&mut Writer, &Snapshot)) = match kind {
        Type::GetState => (Kind::GetState, ("get_state", 9), state),
        Type::GetFrameworks => (Kind::GetFrameworks, ("get_frameworks", 11), frameworks),
        Type::GetExecutors => (Kind::GetExecutors, ("get_executors", 12), executors),
        Type::GetTasks => (Kind::GetTasks, ("get_tasks", 13), tasks),
        _ => return None,
    };
    let mut writer = Writer::new(content_type);
    writer.name(TYPE, kind.as_str_name(), kind.into());
    writer.part(field, |part| write(part, snapshot));
    Some(writer.into_bytes())
}

fn state(writer: &mut Writer, snapshot: &Snapshot) {
    writer.part(("get_tasks", 1), |part| tasks(part, snapshot));
    writer.part(("get_executors", 2), |part| executors(part, snapshot));
    writer.part(("get_frameworks", 3), |part| frameworks(part, snapshot));
}

fn frameworks(writer: &mut Writer, snapshot: &Snapshot) {
    let view = |framework: &Framework| {
        encoded(&FrameworkView {
            framework_info: (*framework.info).clone(),
        })
    };
    let active = snapshot.frameworks.values().map(|it| view(it));
    writer.list::<FrameworkView>(("frameworks", 1), active);
    let completed = snapshot.completed_frameworks.iter().map(|it| view(it));
    writer.list::<FrameworkView>(("completed_frameworks", 2), completed);
}

fn executors(writer: &mut Writer, snapshot: &Snapshot) {
    let view = |executor: &Executor| {
        encoded(&ExecutorView {
            executor_info: (*executor.info).clone(),
        })
    };
    let alive = all(snapshot).flat_map(|framework| framework.executors.values());
    writer.list::<ExecutorView>(("executors", 1), alive.map(|it| view(it)));
    let over = all(snapshot).flat_map(|framework| &framework.completed_executors);
    writer.list::<ExecutorView>(("completed_executors", 2), over.map(|it| view(it)));
}

fn tasks(writer: &mut Writer, snapshot: &Snapshot) {
    let executors = || {
        all(snapshot).flat_map(|framework| {
            let alive = framework.executors.values();
            let both = alive.chain(&framework.completed_executors);
            both.map(move |executor| (framework, executor))
        })
    };
    // A task is an executor's as soon as it arrives.
    writer.list::<Task>(("pending_tasks", 1), std::iter::empty::<Vec<u8>>());
    let queued = executors().flat_map(|(framework, executor)| {
        let infos = executor.queued_tasks.values();
        infos.map(|info| encoded(&task::staging(info, &framework.id())))
    });
    writer.list::<Task>(("queued_tasks", 2), queued);
    let launched = executors().flat_map(|(_, executor)| executor.launched_tasks.values());
    writer.list::<Task>(("launched_tasks", 3), launched.map(|it| encoded(&**it)));
    let terminated = executors().flat_map(|(_, executor)| executor.terminated_tasks.values());
    writer.list::<Task>(("terminated_tasks", 4), terminated.map(|it| encoded(&**it)));
    let completed = executors().flat_map(|(_, executor)| &executor.completed_tasks);
    writer.list::<Task>(("completed_tasks", 5), completed.map(|it| encoded(&**it)));
}

/// Frameworks that are here, and those that are over.
fn all(snapshot: &Snapshot) -> impl Iterator<Item = &Framework> {
    let here = snapshot.frameworks.values();
    here.chain(&snapshot.completed_frameworks).map(|it| &**it)
}

fn encoded<M: Wire>(message: &M) -> Vec<u8> {
    message.encode_to_vec()
}
