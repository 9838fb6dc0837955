//! Requests to the executor API, parsed into calls or refused.

mod endpoints;
mod operator;
mod origin;
pub(crate) mod tokens;

pub use endpoints::{Answer, MoreHeaders, Request, Statistics, Surroundings, answer, answer_with};
pub use operator::{Attaching, Input as AttachedInput, attaching, is_streamed, not_attachable};

use meseta_endpoints::{accepts, call as read_call, method_not_allowed};
use meseta_machine::{ContentType, Reply, is_uuid};
use meseta_proto::v1::executor::{Call, call};
use meseta_proto::v1::{TaskState, task_status};

/// A request to `/api/v1/executor` (also under `/slave(1)`).
#[derive(Debug, Clone, Copy)]
pub struct ExecutorRequest<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

/// A call of the executor API, and how the stream that it opens is to be written.
#[derive(Debug, Clone)]
pub struct ExecutorCall {
    /// The call: complete and valid in itself.
    pub call: Box<Call>,
    /// The media type of the events, if the call is a SUBSCRIBE.
    pub stream_type: ContentType,
}

/// Parses a request.
///
/// # Errors
/// The refusal to answer with.
pub fn parse_executor_call(request: ExecutorRequest<'_>) -> Result<ExecutorCall, Box<Reply>> {
    if request.method != "POST" {
        return Err(Box::new(method_not_allowed(&["POST"], request.method)));
    }
    let call: Call = read_call(request.content_type, request.body)?;
    validate(&call).map_err(|reason| {
        let sentence = format!("Failed to validate Executor::Call: {reason}");
        Box::new(Reply::bad_request(sentence))
    })?;
    let stream_type = match call.r#type() {
        call::Type::Subscribe => [ContentType::Json, ContentType::Protobuf]
            .into_iter()
            .find(|offered| accepts(request.accept, *offered))
            .ok_or_else(|| {
                let sentence =
                    "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'";
                Box::new(Reply::refused(406, sentence))
            })?,
        _ => ContentType::Json,
    };
    Ok(ExecutorCall {
        call: Box::new(call),
        stream_type,
    })
}

fn validate(call: &Call) -> Result<(), String> {
    let expecting = |field: &str| Err(format!("Expecting '{field}' to be present"));
    if call.r#type.is_none() {
        return expecting("type");
    }
    match call.r#type() {
        call::Type::Subscribe if call.subscribe.is_none() => expecting("subscribe"),
        call::Type::Update => match &call.update {
            Some(update) => validate_update(call, &update.status),
            None => expecting("update"),
        },
        call::Type::Message if call.message.is_none() => expecting("message"),
        call::Type::Subscribe
        | call::Type::Message
        | call::Type::Heartbeat
        | call::Type::Unknown => Ok(()),
    }
}

fn validate_update(call: &Call, status: &meseta_proto::v1::TaskStatus) -> Result<(), String> {
    let (executor, framework) = (&call.executor_id, &call.framework_id);
    let Some(uuid) = &status.uuid else {
        return Err("Expecting 'uuid' to be present".into());
    };
    if !is_uuid(uuid) {
        return Err("Not a valid UUID".into());
    }
    if let Some(other) = status.executor_id.as_ref().filter(|id| *id != executor) {
        return Err(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {other}"
        ));
    }
    if status.source() != task_status::Source::Executor {
        return Err(format!(
            "Received Call from executor {executor} of framework {framework} with invalid \
             source, expecting 'SOURCE_EXECUTOR'"
        ));
    }
    if status.state() == TaskState::TaskStaging {
        return Err(format!(
            "Received TASK_STAGING from executor {executor} of framework {framework} which is \
             not allowed"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";
    const PROTOBUF: &str = "application/x-protobuf";

    fn request<'a>(content_type: Option<&'a str>, body: &'a str) -> ExecutorRequest<'a> {
        ExecutorRequest {
            method: "POST",
            content_type,
            accept: None,
            body: body.as_bytes(),
        }
    }

    fn refusal(request: ExecutorRequest<'_>) -> (u16, String) {
        let reply = parse_executor_call(request).unwrap_err();
        (
            reply.status,
            String::from_utf8(reply.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn refusals_are_those_of_mesos() {
        let json = |body| refusal(request(Some(JSON), body));
        assert_eq!(
            json(r#"{"type":"UPDATE","framework_id":{"value":"f"},"executor_id":{"value":"e"}}"#),
            (
                400,
                "Failed to validate Executor::Call: Expecting 'update' to be present".into()
            )
        );
        assert_eq!(
            json(r#"{"type":"NOPE"}"#),
            (
                400,
                "Failed to convert JSON into Call protobuf: \
                 Missing required fields: executor_id, framework_id"
                    .into()
            )
        );
        assert_eq!(
            refusal(request(Some("text/plain"), "{}")),
            (
                415,
                "Expecting 'Content-Type' of application/json or application/x-protobuf".into()
            )
        );
        assert_eq!(
            refusal(request(None, "{}")),
            (400, "Expecting 'Content-Type' to be present".into())
        );
        let get = ExecutorRequest {
            method: "GET",
            ..request(None, "")
        };
        assert_eq!(
            refusal(get),
            (
                405,
                "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'.".into()
            )
        );
    }

    #[test]
    fn an_executor_chooses_the_type_of_its_events() {
        let subscribe = r#"{"type":"SUBSCRIBE","framework_id":{"value":"f"},
            "executor_id":{"value":"e"},"subscribe":{}}"#;
        let with = |accept| {
            parse_executor_call(ExecutorRequest {
                accept,
                ..request(Some(JSON), subscribe)
            })
            .map(|call| call.stream_type)
        };
        assert_eq!(with(None).unwrap(), ContentType::Json);
        assert_eq!(with(Some("*/*")).unwrap(), ContentType::Json);
        assert_eq!(with(Some(PROTOBUF)).unwrap(), ContentType::Protobuf);
        assert_eq!(with(Some("text/html")).unwrap_err().status, 406);
    }

    #[test]
    fn an_update_must_be_identified_and_be_its_executors() {
        let update = |status: &str| {
            refusal(request(
                Some(JSON),
                &format!(
                    r#"{{"type":"UPDATE","framework_id":{{"value":"f"}},
                    "executor_id":{{"value":"e"}},"update":{{"status":{status}}}}}"#
                ),
            ))
            .1
        };
        let prefix = "Failed to validate Executor::Call: ";
        assert_eq!(
            update(r#"{"task_id":{"value":"t"},"state":"TASK_RUNNING"}"#),
            format!("{prefix}Expecting 'uuid' to be present")
        );
        // Sixteen zeros have no version.
        for uuid in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            assert_eq!(
                update(&format!(
                    r#"{{"task_id":{{"value":"t"}},"state":"TASK_RUNNING","uuid":"{uuid}"}}"#
                )),
                format!("{prefix}Not a valid UUID")
            );
        }
        assert_eq!(
            update(
                r#"{"task_id":{"value":"t"},"state":"TASK_RUNNING","source":"SOURCE_AGENT",
                "uuid":"AAAAAAAAQAAAAAAAAAAAAA=="}"#
            ),
            format!(
                "{prefix}Received Call from executor e of framework f with invalid source, \
                 expecting 'SOURCE_EXECUTOR'"
            )
        );
    }
}
