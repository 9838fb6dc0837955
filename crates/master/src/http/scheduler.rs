use meseta_endpoints::{accepts, call, method_not_allowed};
use meseta_machine::{ContentType, Reply, StreamId};
use meseta_proto::v1::scheduler::Call;
use meseta_proto::v1::scheduler::call::Type;

use super::{Answer, Request};
use crate::validation;

/// A request to the scheduler API.
pub(super) fn answer(request: &Request<'_>) -> Answer {
    match parse(request) {
        Ok((call, stream_type)) => Answer::SchedulerCall {
            call,
            stream: request.stream_id.map(|id| StreamId(id.to_owned())),
            stream_type,
        },
        Err(refusal) => Answer::Reply(*refusal),
    }
}

fn parse(request: &Request<'_>) -> Result<(Box<Call>, ContentType), Box<Reply>> {
    if request.method != "POST" {
        return Err(method_not_allowed(&["POST"], request.method).into());
    }
    let call: Box<Call> = Box::new(call(request.content_type, request.body)?);
    validation::scheduler_call(&call, None)
        .map_err(|e| Reply::bad_request(format!("Failed to validate scheduler::Call: {e}")))?;
    let stream_type = match call.r#type() {
        Type::Subscribe | Type::ReconcileOperations => answer_type(request.accept)?,
        // The others are answered without a body.
        _ => ContentType::Json,
    };
    if call.r#type() == Type::Subscribe && request.stream_id.is_some() {
        return Err(Reply::bad_request(
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        )
        .into());
    }
    Ok((call, stream_type))
}

pub(super) fn answer_type(accept: Option<&str>) -> Result<ContentType, Reply> {
    [ContentType::Json, ContentType::Protobuf]
        .into_iter()
        .find(|offered| accepts(accept, *offered))
        .ok_or_else(|| {
            Reply::refused(
                406,
                "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
            )
        })
}
