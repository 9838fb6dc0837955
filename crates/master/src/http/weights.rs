//! `/weights`, which clients older than the operator API's UPDATE_WEIGHTS use.

use meseta_endpoints::{Query, json, method_not_allowed};
use meseta_machine::Reply;
use meseta_proto::json::{AsJson, Error, from_value, parse};
use meseta_proto::v1::WeightInfo;
use serde_json::Value;

use super::{Answer, Request};
use crate::operator::Change;
use crate::snapshot::Snapshot;

pub(super) fn answer(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    match request.method {
        "GET" | "HEAD" => {
            let infos = infos(snapshot);
            let shown: Vec<_> = infos.iter().map(AsJson).collect();
            Answer::Reply(json(Query(request.query), &shown))
        }
        "PUT" => match read(request.body) {
            Ok(weights) => Answer::Operator(Change::UpdateWeights(weights)),
            Err((failed, reason)) => {
                let body = String::from_utf8_lossy(request.body);
                Answer::Reply(Reply::bad_request(format!(
                    "Failed to {failed} '{body}': {reason}"
                )))
            }
        },
        other => Answer::Reply(method_not_allowed(&["GET", "PUT"], other)),
    }
}

/// Reads an array of weights; otherwise what failed, and why.
fn read(body: &[u8]) -> Result<Vec<WeightInfo>, (&'static str, String)> {
    let reason = |error| match error {
        Error::Syntax(reason) | Error::Convert { reason, .. } => reason,
    };
    let parsing = "parse update weights request JSON";
    let value = parse(body).map_err(|error| (parsing, reason(error)))?;
    let Value::Array(items) = value else {
        return Err((parsing, "Expecting a JSON array".to_owned()));
    };
    items
        .iter()
        .map(|item| from_value(item).map_err(reason))
        .collect::<Result<_, _>>()
        .map_err(|reason| ("convert weights JSON array to protobuf", reason))
}

/// All weights that were set.
pub(super) fn infos(snapshot: &Snapshot) -> Vec<WeightInfo> {
    let weights = snapshot.weights.iter();
    weights
        .map(|(role, weight)| WeightInfo {
            role: Some(role.clone()),
            weight: *weight,
        })
        .collect()
}
