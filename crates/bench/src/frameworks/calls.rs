//! Calls and events in the two encodings of the v1 API.

use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{
    AgentId, Filters, FrameworkId, FrameworkInfo, OfferId, TaskId, TaskInfo, TaskStatus,
};
use meseta_proto::{Wire, decode, json};

/// How bodies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// application/x-protobuf
    #[default]
    Protobuf,
    /// application/json
    Json,
}

impl Encoding {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// A message in an encoding.
pub(crate) fn encode<M: Wire>(message: &M, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => message.encode_to_vec(),
        Encoding::Json => json::to_vec(message),
    }
}

/// A record of an event stream; the reason if it is none.
pub(crate) fn decode_event<M: Wire>(record: &[u8], encoding: Encoding) -> Result<M, String> {
    match encoding {
        Encoding::Protobuf => decode(record).map_err(|error| error.to_string()),
        Encoding::Json => json::from_slice(record).map_err(|error| error.to_string()),
    }
}

pub(super) fn subscribe(info: FrameworkInfo) -> Call {
    Call {
        framework_id: info.id.clone(),
        subscribe: Some(call::Subscribe {
            framework_info: info,
            ..call::Subscribe::default()
        }),
        ..of(call::Type::Subscribe, None)
    }
}

pub(super) fn decline(framework: &FrameworkId, offers: Vec<OfferId>, seconds: f64) -> Call {
    Call {
        decline: Some(call::Decline {
            offer_ids: offers,
            filters: Some(refusing(seconds)),
        }),
        ..of(call::Type::Decline, Some(framework))
    }
}

pub(super) fn launch(framework: &FrameworkId, offer: OfferId, tasks: Vec<TaskInfo>) -> Call {
    let launch = Operation {
        r#type: Some(operation::Type::Launch.into()),
        launch: Some(operation::Launch { task_infos: tasks }),
        ..Operation::default()
    };
    Call {
        accept: Some(call::Accept {
            offer_ids: vec![offer],
            operations: vec![launch],
            // What is left of the offer is to come back at once.
            filters: Some(refusing(0.0)),
        }),
        ..of(call::Type::Accept, Some(framework))
    }
}

pub(super) fn acknowledge(framework: &FrameworkId, status: &TaskStatus) -> Option<Call> {
    let acknowledge = call::Acknowledge {
        agent_id: status.agent_id.clone()?,
        task_id: status.task_id.clone(),
        uuid: status.uuid.clone().filter(|uuid| !uuid.is_empty())?,
    };
    Some(Call {
        acknowledge: Some(acknowledge),
        ..of(call::Type::Acknowledge, Some(framework))
    })
}

pub(super) fn revive(framework: &FrameworkId) -> Call {
    of(call::Type::Revive, Some(framework))
}

pub(super) fn teardown(framework: &FrameworkId) -> Call {
    of(call::Type::Teardown, Some(framework))
}

pub(super) fn kill(framework: &FrameworkId, task: TaskId, agent: Option<AgentId>) -> Call {
    Call {
        kill: Some(call::Kill {
            task_id: task,
            agent_id: agent,
            kill_policy: None,
        }),
        ..of(call::Type::Kill, Some(framework))
    }
}

/// All tasks if none are named.
pub(super) fn reconcile(framework: &FrameworkId, tasks: Vec<(TaskId, AgentId)>) -> Call {
    let task = |(task_id, agent_id)| call::reconcile::Task {
        task_id,
        agent_id: Some(agent_id),
    };
    Call {
        reconcile: Some(call::Reconcile {
            tasks: tasks.into_iter().map(task).collect(),
        }),
        ..of(call::Type::Reconcile, Some(framework))
    }
}

fn of(r#type: call::Type, framework: Option<&FrameworkId>) -> Call {
    Call {
        framework_id: framework.cloned(),
        r#type: Some(r#type.into()),
        ..Call::default()
    }
}

fn refusing(seconds: f64) -> Filters {
    Filters {
        refuse_seconds: Some(seconds),
    }
}
