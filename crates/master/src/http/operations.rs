//! `/reserve`, `/unreserve`, `/create-volumes` and `/destroy-volumes`, which operators' tools older
//! than the operator API use.

use meseta_endpoints::{Query, method_not_allowed};
use meseta_machine::Reply;
use meseta_proto::json::{Error, from_value, parse};
use meseta_proto::v1::Resource;
use meseta_proto::v1::offer::{Operation, operation};
use serde_json::Value;

use super::{Answer, Request, form};
use crate::operator::Change;

/// What is to be done with an agent's resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Reserve,
    Unreserve,
    CreateVolumes,
    DestroyVolumes,
}

pub(super) fn answer(request: &Request<'_>, order: Order) -> Answer {
    if request.method != "POST" {
        return Answer::Reply(method_not_allowed(&["POST"], request.method));
    }
    let parameters = form(request.body);
    match read(Query(&parameters), order) {
        Ok(change) => Answer::Operator(change),
        Err(sentence) => Answer::Reply(Reply::bad_request(sentence)),
    }
}

fn read(parameters: Query<'_>, order: Order) -> Result<Change, String> {
    let agent = parameters
        .get("slaveId")
        .ok_or_else(|| missing("slaveId"))?;
    let operation = match order {
        Order::Reserve => Operation {
            r#type: Some(operation::Type::Reserve.into()),
            reserve: Some(operation::Reserve {
                resources: resources(parameters, "resources", order)?,
                source: match parameters.get("source") {
                    Some(_) => resources(parameters, "source", order)?,
                    None => Vec::new(),
                },
            }),
            ..Operation::default()
        },
        Order::Unreserve => Operation {
            r#type: Some(operation::Type::Unreserve.into()),
            unreserve: Some(operation::Unreserve {
                resources: resources(parameters, "resources", order)?,
            }),
            ..Operation::default()
        },
        Order::CreateVolumes => Operation {
            r#type: Some(operation::Type::Create.into()),
            create: Some(operation::Create {
                volumes: resources(parameters, "volumes", order)?,
            }),
            ..Operation::default()
        },
        Order::DestroyVolumes => Operation {
            r#type: Some(operation::Type::Destroy.into()),
            destroy: Some(operation::Destroy {
                volumes: resources(parameters, "volumes", order)?,
            }),
            ..Operation::default()
        },
    };
    Ok(Change::Operate(agent.into(), operation.into()))
}

fn missing(name: &str) -> String {
    format!("Missing '{name}' query parameter in the request body")
}

/// The resources of a parameter: an array in JSON.
fn resources(parameters: Query<'_>, name: &str, order: Order) -> Result<Vec<Resource>, String> {
    let text = parameters.get(name).ok_or_else(|| missing(name))?;
    let failed = |error| {
        let (Error::Syntax(reason) | Error::Convert { reason, .. }) = error;
        // One of the endpoints says it in other words.
        let parsing = match order {
            Order::Reserve => "parsing",
            Order::Unreserve | Order::CreateVolumes | Order::DestroyVolumes => "in parsing",
        };
        format!("Error {parsing} '{name}' query parameter in the request body: {reason}")
    };
    match parse(text.as_bytes()).map_err(failed)? {
        Value::Array(items) => {
            let items = items.iter().map(from_value);
            items.collect::<Result<_, _>>().map_err(failed)
        }
        _ => Err(failed(Error::Syntax("Expecting a JSON array".to_owned()))),
    }
}
