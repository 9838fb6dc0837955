//! ATTACH_CONTAINER_INPUT: a request whose body is a stream of calls, the first of which names a
//! container and the others what is for it.

use bytes::Bytes;
use meseta_authentication::Claims;
use meseta_endpoints::{call as read_call, method_not_allowed};
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::ContainerId;
use meseta_proto::v1::agent::call::attach_container_input::Type as Kind;
use meseta_proto::v1::agent::call::{self, AttachContainerInput};
use meseta_proto::v1::agent::process_io::{self, control, data};
use meseta_proto::v1::agent::{Call, ProcessIo};

use super::media::{self, Body};
use super::{container_not_found, forbidden, has_container, validation};
use crate::http::{Request, endpoints, origin, tokens};
use crate::nested::WindowSize;
use crate::snapshot::Snapshot;

/// A request of which the head is good.
#[derive(Debug, Clone)]
pub struct Attaching {
    encoding: ContentType,
    principal: Option<Claims>,
}

/// What a record brings for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Bytes to be read from standard input; none are the end of it, unless it is a terminal's.
    Data(Bytes),
    /// The terminal's size from here on.
    Resize(WindowSize),
    /// The sender is there.
    Heartbeat,
}

/// Whether a request's body is to be read as it arrives; then it goes to [`attaching`], record by record,
/// and to no other function.
pub fn is_streamed(snapshot: &Snapshot, method: &str, path: &str, content_type: &str) -> bool {
    method == "POST"
        && content_type == ContentType::RecordIo.as_str()
        && endpoints::is_operator_api(snapshot, path)
}

/// Looks at the head of a streamed request.
///
/// # Errors
/// The refusal to answer with.
pub fn attaching(snapshot: &Snapshot, request: &Request<'_>) -> Result<Attaching, Box<Reply>> {
    let principal = tokens::operator(&snapshot.config, request.authorization, request.now)?;
    if request.method != "POST" {
        return Err(Box::new(method_not_allowed(&["POST"], request.method)));
    }
    let Body::Stream(encoding) = media::body(request)? else {
        let sentence = "The request's body is not a stream";
        return Err(Box::new(Reply::bad_request(sentence)));
    };
    if media::accepted(request)?.is_stream() {
        return Err(Box::new(Reply::refused(
            406,
            "Streaming response is not supported for ATTACH_CONTAINER_INPUT call",
        )));
    }
    origin::check(snapshot, &request.more)?;
    Ok(Attaching {
        encoding,
        principal,
    })
}

impl Attaching {
    /// The container that the first record names. Its executor runs.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn begin(&self, snapshot: &Snapshot, record: &[u8]) -> Result<ContainerId, Box<Reply>> {
        let call = self.call(record)?;
        let kind = call.r#type();
        if kind != call::Type::AttachContainerInput {
            let kind = kind.as_str_name();
            return Err(Box::new(Reply::refused(
                415,
                format!(
                    "Streaming 'Content-Type' application/recordio is not supported for {kind} call"
                ),
            )));
        }
        let attach = call.attach_container_input.unwrap_or_default();
        let id = attach.container_id.clone();
        let Some(id) = id.filter(|_| attach.r#type() == Kind::ContainerId) else {
            let sentence = "Expecting 'attach_container_input.type' to be CONTAINER_ID";
            return Err(Box::new(Reply::bad_request(sentence)));
        };
        if !has_container(snapshot, id.root()) {
            return Err(Box::new(container_not_found(&id)));
        }
        let principal = self.principal.as_ref();
        if principal.is_some_and(|claims| !tokens::is_of_container(claims, id.root())) {
            return Err(Box::new(forbidden()));
        }
        Ok(id)
    }

    /// What a further record brings.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn input(&self, record: &[u8]) -> Result<Input, Box<Reply>> {
        let call = self.call(record)?;
        let attach = call.attach_container_input.unwrap_or_default();
        input(attach).map_err(|sentence| Box::new(Reply::bad_request(sentence)))
    }

    fn call(&self, record: &[u8]) -> Result<Call, Box<Reply>> {
        let call = read_call(Some(self.encoding.as_str()), record)?;
        validation::validate(&call).map_err(|reason| {
            let sentence = format!("Failed to validate agent::Call: {reason}");
            Box::new(Reply::bad_request(sentence))
        })?;
        Ok(call)
    }
}

/// The sentences are Mesos's.
fn input(attach: AttachContainerInput) -> Result<Input, String> {
    if attach.r#type() != Kind::ProcessIo {
        return Err(format!(
            "Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: '{}'",
            attach.r#type().as_str_name()
        ));
    }
    let io = attach.process_io;
    let io: ProcessIo = expected("attach_container_input.process_io", io)?;
    expected("process_io.type", io.r#type)?;
    match io.r#type() {
        process_io::Type::Unknown => Err("'process_io.type' is unknown".into()),
        process_io::Type::Data => {
            let data = expected("process_io.data", io.data)?;
            expected("process_io.data.type", data.r#type)?;
            if data.r#type() != data::Type::Stdin {
                return Err("Expecting 'process_io.data.type' to be 'STDIN'".into());
            }
            let bytes = expected("process_io.data.data", data.data)?;
            Ok(Input::Data(bytes.into()))
        }
        process_io::Type::Control => {
            let control = expected("process_io.control", io.control)?;
            expected("process_io.control.type", control.r#type)?;
            match control.r#type() {
                control::Type::Unknown => Err("'process_io.control.type' is unknown".into()),
                control::Type::TtyInfo => {
                    let info = expected("process_io.control.tty_info", control.tty_info)?;
                    let size = expected("tty_info.window_size", info.window_size)?;
                    Ok(Input::Resize(size.into()))
                }
                control::Type::Heartbeat => {
                    expected("process_io.control.heartbeat", control.heartbeat)?;
                    Ok(Input::Heartbeat)
                }
            }
        }
    }
}

fn expected<T>(field: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("Expecting '{field}' to be present"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meseta_authentication::TokenKey;
    use serde_json::{Value, json as value};

    use super::*;
    use crate::http::endpoints::tests::{Around, busy};
    use crate::http::{Answer, MoreHeaders, answer_with};

    const JSON: &str = "application/json";
    const RECORDIO: &str = "application/recordio";

    fn request<'a>(content_type: &'a str, accept: &'a str, body: &'a str) -> Request<'a> {
        Request {
            method: "POST",
            path: "/slave(1)/api/v1",
            query: &[],
            content_type: Some(content_type),
            accept: Some(accept),
            authorization: None,
            more: MoreHeaders::default(),
            body: body.as_bytes(),
            now: Duration::from_secs(1_700_000_000),
        }
    }

    fn said(refusal: &Reply) -> (u16, String) {
        let sentence = String::from_utf8(refusal.body.to_vec()).unwrap();
        (refusal.status, sentence)
    }

    fn attached() -> Attaching {
        let mut request = request(RECORDIO, JSON, "");
        request.more.message_content_type = Some(JSON);
        attaching(&busy(), &request).unwrap()
    }

    fn record(attach: &Value) -> Vec<u8> {
        let call = value!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": attach});
        call.to_string().into_bytes()
    }

    #[test]
    fn only_streams_to_the_operator_api_are_read_as_they_arrive() {
        let snapshot = busy();
        for path in ["/api/v1", "/slave(1)/api/v1", "//api/v1/"] {
            assert!(is_streamed(&snapshot, "POST", path, RECORDIO), "{path}");
        }
        for (method, path, content_type) in [
            ("GET", "/api/v1", RECORDIO),
            ("POST", "/api/v1", JSON),
            ("POST", "/api/v1/executor", RECORDIO),
            ("POST", "/state", RECORDIO),
        ] {
            assert!(
                !is_streamed(&snapshot, method, path, content_type),
                "{path}"
            );
        }
    }

    #[test]
    fn the_first_record_names_a_container_and_the_others_bring_its_input() {
        let attached = attached();
        let first = record(&value!({"type": "CONTAINER_ID",
            "container_id": {"value": "n", "parent": {"value": "c"}}}));
        let id = attached.begin(&busy(), &first).unwrap();
        assert_eq!(id.to_string(), "c.n");
        let input =
            |io: Value| attached.input(&record(&value!({"type": "PROCESS_IO", "process_io": io})));
        assert_eq!(
            input(value!({"type": "DATA", "data": {"type": "STDIN", "data": "bHM="}})),
            Ok(Input::Data(Bytes::from_static(b"ls")))
        );
        let size = value!({"rows": 24, "columns": 1_000_000});
        assert_eq!(
            input(value!({"type": "CONTROL", "control": {"type": "TTY_INFO",
                "tty_info": {"window_size": size}}})),
            Ok(Input::Resize(WindowSize {
                rows: 24,
                columns: u16::MAX
            }))
        );
        let interval = value!({"interval": {"nanoseconds": 30_000_000_000_u64}});
        assert_eq!(
            input(
                value!({"type": "CONTROL", "control": {"type": "HEARTBEAT", "heartbeat": interval}})
            ),
            Ok(Input::Heartbeat)
        );
    }

    #[test]
    fn records_that_make_no_sense_are_refused_in_mesos_words() {
        let attached = attached();
        let input = |io: Value| {
            let record = record(&value!({"type": "PROCESS_IO", "process_io": io}));
            said(&attached.input(&record).unwrap_err())
        };
        for (io, sentence) in [
            (value!({}), "Expecting 'process_io.type' to be present"),
            (
                value!({"type": "DATA"}),
                "Expecting 'process_io.data' to be present",
            ),
            (
                value!({"type": "DATA", "data": {"type": "STDOUT", "data": ""}}),
                "Expecting 'process_io.data.type' to be 'STDIN'",
            ),
            (
                value!({"type": "DATA", "data": {"type": "STDIN"}}),
                "Expecting 'process_io.data.data' to be present",
            ),
            (
                value!({"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": {}}}),
                "Expecting 'tty_info.window_size' to be present",
            ),
            (
                value!({"type": "CONTROL", "control": {"type": "HEARTBEAT"}}),
                "Expecting 'process_io.control.heartbeat' to be present",
            ),
        ] {
            assert_eq!(input(io), (400, sentence.to_owned()));
        }
        let again = record(&value!({"type": "CONTAINER_ID", "container_id": {"value": "c"}}));
        let sentence = "Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: \
                        'CONTAINER_ID'";
        assert_eq!(
            said(&attached.input(&again).unwrap_err()),
            (400, sentence.to_owned())
        );
    }

    #[test]
    fn a_stream_that_does_not_begin_with_a_container_is_refused() {
        let begin = |record: &[u8]| said(&attached().begin(&busy(), record).unwrap_err());
        let unknown = record(&value!({"type": "CONTAINER_ID",
            "container_id": {"value": "n", "parent": {"value": "x"}}}));
        let sentence = "Container x.n cannot be found";
        assert_eq!(begin(&unknown), (404, sentence.to_owned()));
        let heartbeat = record(&value!({"type": "PROCESS_IO", "process_io": {"type": "DATA"}}));
        let sentence = "Expecting 'attach_container_input.type' to be CONTAINER_ID";
        assert_eq!(begin(&heartbeat), (400, sentence.to_owned()));
        let nameless = record(&value!({"type": "CONTAINER_ID"}));
        let sentence = "Failed to validate agent::Call: 'attach_container_input.container_id' is \
                        invalid: ID must not be empty";
        assert_eq!(begin(&nameless), (400, sentence.to_owned()));
        let sentence = "Streaming 'Content-Type' application/recordio is not supported for \
                        GET_HEALTH call";
        assert_eq!(
            begin(br#"{"type":"GET_HEALTH"}"#),
            (415, sentence.to_owned())
        );
        assert_eq!(begin(b"nonsense").0, 400);
    }

    #[test]
    fn an_executors_token_is_good_for_its_own_containers_alone() {
        let mut snapshot = busy();
        let config = std::sync::Arc::make_mut(&mut snapshot.config);
        let key = TokenKey::new("hush");
        let token = |container: &str| {
            let claims = tokens::claims(&"F".into(), &"t1".into(), &container.into());
            format!("Bearer {}", key.sign(&claims))
        };
        let (own, other) = (token("c"), token("d"));
        config.executor_key = Some(key);
        config.authenticate_executors = true;
        let first = record(&value!({"type": "CONTAINER_ID", "container_id": {"value": "c"}}));
        let begin = |token: &str| {
            let mut request = request(RECORDIO, JSON, "");
            request.more.message_content_type = Some(JSON);
            request.authorization = Some(token);
            let attached = attaching(&snapshot, &request).unwrap();
            attached.begin(&snapshot, &first).map_err(|it| it.status)
        };
        assert_eq!(begin(&own), Ok("c".into()));
        assert_eq!(begin(&other), Err(403));
    }

    #[test]
    fn the_forms_of_streams_are_chosen_as_by_mesos() {
        let head = |content_type, of_messages| {
            let mut request = request(content_type, JSON, "");
            request.more.message_content_type = of_messages;
            said(&attaching(&busy(), &request).unwrap_err())
        };
        let sentence = "Expecting 'Message-Content-Type' to be set for streaming requests";
        assert_eq!(head(RECORDIO, None), (400, sentence.to_owned()));
        let sentence =
            "Expecting 'Message-Content-Type' of application/json or application/x-protobuf";
        assert_eq!(
            head(RECORDIO, Some("text/plain")),
            (415, sentence.to_owned())
        );

        let output = value!({"type": "ATTACH_CONTAINER_OUTPUT",
            "attach_container_output": {"container_id": {"value": "c"}}})
        .to_string();
        let ask = |accept, of_messages, body: &str| {
            let mut request = request(JSON, accept, body);
            request.more.message_accept = of_messages;
            answer_with(&busy(), &request, &Around)
        };
        let form = |accept, of_messages| match ask(accept, of_messages, &output) {
            Answer::AttachOutput { form, .. } => (form.stream.as_str(), form.messages.as_str()),
            other => panic!("{other:?}"),
        };
        let protobuf = "application/x-protobuf";
        assert_eq!(form("*/*", None), (JSON, JSON));
        assert_eq!(form(protobuf, None), (protobuf, protobuf));
        assert_eq!(form(RECORDIO, None), (RECORDIO, JSON));
        assert_eq!(form(RECORDIO, Some(protobuf)), (RECORDIO, protobuf));
        let refused = |accept, of_messages, body: &str| match ask(accept, of_messages, body) {
            Answer::Reply(reply) => said(&reply),
            other => panic!("{other:?}"),
        };
        let sentence = "Expecting 'Message-Accept' to be not set for non-streaming responses";
        assert_eq!(
            refused(JSON, Some(JSON), &output),
            (406, sentence.to_owned())
        );
        let sentence =
            "Expecting 'Message-Accept' to allow application/json or application/x-protobuf";
        assert_eq!(
            refused(RECORDIO, Some("text/plain"), &output),
            (406, sentence.to_owned())
        );
        let sentence = "Streaming response is not supported for GET_HEALTH call";
        assert_eq!(
            refused(RECORDIO, None, r#"{"type":"GET_HEALTH"}"#),
            (406, sentence.to_owned())
        );
    }

    #[test]
    fn a_page_from_elsewhere_does_nothing_with_containers() {
        let id = value!({"value": "n", "parent": {"value": "c"}});
        let command = value!({"value": "sh"});
        let mut streamed = request(RECORDIO, JSON, "");
        streamed.more = MoreHeaders {
            message_content_type: Some(JSON),
            origin: Some("http://evil.example"),
            host: Some("127.0.0.1:5051"),
            ..MoreHeaders::default()
        };
        assert_eq!(attaching(&busy(), &streamed).unwrap_err().status, 403);
        for call in [
            value!({"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session":
                {"container_id": id, "command": command}}),
            value!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container":
                {"container_id": id, "command": command}}),
            value!({"type": "KILL_NESTED_CONTAINER", "kill_nested_container": {"container_id": id}}),
            value!({"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output":
                {"container_id": id}}),
        ] {
            let body = call.to_string();
            let mut request = request(JSON, JSON, &body);
            request.more = MoreHeaders {
                message_content_type: None,
                ..streamed.more
            };
            let Answer::Reply(reply) = answer_with(&busy(), &request, &Around) else {
                panic!("{call} is not refused");
            };
            assert_eq!(reply.status, 403, "{call}");
            // What a form or a plain request of any page can send.
            for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
                request.content_type = Some(content_type);
                request.more = MoreHeaders::default();
                let Answer::Reply(reply) = answer_with(&busy(), &request, &Around) else {
                    panic!("{call} is not refused");
                };
                assert_eq!(reply.status, 415, "{call}");
            }
        }
    }
}
