//! What a genuine master answered, and in which form.

use std::collections::BTreeSet;

use meseta_machine::ContentType;
use serde_json::Value;

use super::{body, busy, fresh};
use crate::http::{Answer, Request, answer};

/// One recorded request to the scheduler API, sent to a master that knows of nothing.
fn replay(recorded: &Value) -> Answer {
    let request = &recorded["request"];
    let header = |name: &str| {
        let headers = request["headers"].as_object().unwrap();
        headers.get(name).map(|value| value.as_str().unwrap())
    };
    answer(
        &fresh(),
        &Request {
            method: request["method"].as_str().unwrap(),
            path: request["path"].as_str().unwrap(),
            query: &[],
            content_type: header("Content-Type"),
            accept: header("Accept"),
            stream_id: header("Mesos-Stream-Id"),
            last_event_id: None,
            host: None,
            body: request["body"].as_str().unwrap_or_default().as_bytes(),
        },
    )
}

#[test]
fn recorded_calls_are_refused_as_recorded_or_reach_the_machine() {
    let recordings = include_str!("../../../../../tests/golden/http-master-1.11.0.jsonl");
    let (mut refused, mut passed) = (0, 0);
    for line in recordings.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let name = recorded["request"]["name"].as_str().unwrap();
        if !name.starts_with("sched-") && !name.starts_with("sub-") {
            continue;
        }
        let response = &recorded["response"];
        let text = response["body"].as_str().unwrap();
        match replay(&recorded) {
            Answer::Reply(reply) => {
                refused += 1;
                let content_type = reply.content_type.map(ContentType::as_str);
                let header = |name: &str| response["headers"][name].as_str();
                assert_eq!(reply.status, response["status"], "{name}");
                assert_eq!(content_type, header("Content-Type"), "{name}");
                assert_eq!(reply.body, text, "{name}");
                let allow = reply.headers.first().map(|(_, value)| value.as_str());
                assert_eq!(allow, header("Allow"), "{name}");
            }
            Answer::SchedulerCall { .. } => {
                passed += 1;
                let is_of_machine =
                    response["status"] == 200 || text == "Framework cannot be found";
                assert!(is_of_machine, "{name}: {response}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(
        refused >= 40 && passed >= 15,
        "{refused} refused, {passed} passed"
    );
}

#[test]
fn the_stream_type_follows_the_accept_header_and_the_stream_its_own() {
    let subscribe =
        r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}"#;
    let ask = |accept: Option<&str>| {
        let request = Request {
            method: "POST",
            path: "/master/api/v1/scheduler/below",
            query: &[],
            content_type: Some("application/json"),
            accept,
            stream_id: None,
            last_event_id: None,
            host: None,
            body: subscribe.as_bytes(),
        };
        match answer(&fresh(), &request) {
            Answer::SchedulerCall { stream_type, .. } => Ok(stream_type),
            Answer::Reply(reply) => Err(reply.status),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(None), Ok(ContentType::Json));
    assert_eq!(
        ask(Some("application/x-protobuf")),
        Ok(ContentType::Protobuf)
    );
    assert_eq!(ask(Some("text/html, */*;q=0.1")), Ok(ContentType::Json));
    assert_eq!(ask(Some("text/html")), Err(406));
}

/// Every path in a JSON value with the type of what is there; elements of an array count as one.
fn shape(value: &Value, path: &str, shapes: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(elements) => {
            let path = format!("{path}[]");
            for element in elements {
                shape(element, &path, shapes);
            }
            "array"
        }
        Value::Object(members) => {
            for (name, member) in members {
                shape(member, &format!("{path}.{name}"), shapes);
            }
            "object"
        }
    };
    shapes.insert(format!("{path}: {kind}"));
}

/// Flags and attributes are whatever an operator sets.
fn is_fixed(path: &str) -> bool {
    !path.starts_with(".flags.") && !path.contains(".attributes.")
}

#[test]
fn everything_that_a_genuine_master_showed_is_shown_in_the_same_type() {
    let scenarios: Value =
        serde_json::from_str(include_str!("../../../../../tests/golden/scenarios.json")).unwrap();
    let recorded = &scenarios[0]["endpoints"];
    for name in [
        "state",
        "state-summary",
        "slaves",
        "frameworks",
        "tasks",
        "roles",
    ] {
        let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
        shape(
            &recorded[format!("master /{name}")]["body"],
            "",
            &mut theirs,
        );
        shape(&body(&busy(), &format!("/{name}")), "", &mut ours);
        let missing: Vec<_> = theirs
            .difference(&ours)
            .filter(|path| is_fixed(path))
            .collect();
        assert_eq!(missing, [""; 0], "/{name}");
    }
}
