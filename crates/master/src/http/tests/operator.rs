//! Calls of the operator API that only read, in both encodings.

use meseta_proto::v1::master::response::Type;
use meseta_proto::v1::master::{Event, Response};
use meseta_proto::{Wire, decode};
use serde_json::json as value;

use super::*;

fn call(snapshot: &Snapshot, call: &Value, accept: ContentType) -> Answer {
    let body = call.to_string();
    let request = Request {
        method: "POST",
        path: "/api/v1",
        query: &[],
        content_type: Some("application/json"),
        accept: Some(accept.as_str()),
        stream_id: None,
        last_event_id: None,
        host: None,
        body: body.as_bytes(),
    };
    answer_with(snapshot, &request, &TwoCpus, &Earlier::default())
}

fn reply(snapshot: &Snapshot, body: &Value, accept: ContentType) -> Reply {
    match call(snapshot, body, accept) {
        Answer::Reply(reply) => reply,
        other => panic!("{body}: {other:?}"),
    }
}

fn answered(snapshot: &Snapshot, body: &Value) -> Value {
    let reply = reply(snapshot, body, ContentType::Json);
    assert_eq!(reply.content_type, Some(ContentType::Json), "{body}");
    serde_json::from_slice(&reply.body).unwrap()
}

/// A document without its empty lists, which protobuf does not tell from absent ones, and without what
/// is in JSON alone.
fn without_empty_lists(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, member)| {
                *member != value!([]) && (name != "checkpoint" || *member == value!(false))
            })
            .map(|(name, member)| (name, without_empty_lists(member)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_empty_lists).collect(),
        other => other,
    }
}

fn as_json<M: Wire>(encoded: &[u8]) -> Value {
    let message: M = decode(encoded).unwrap();
    serde_json::from_slice(&json::to_vec(&message)).unwrap()
}

const READS: [&str; 18] = [
    "GET_HEALTH",
    "GET_FLAGS",
    "GET_VERSION",
    "GET_METRICS",
    "GET_LOGGING_LEVEL",
    "LIST_FILES",
    "READ_FILE",
    "GET_STATE",
    "GET_AGENTS",
    "GET_FRAMEWORKS",
    "GET_EXECUTORS",
    "GET_OPERATIONS",
    "GET_TASKS",
    "GET_ROLES",
    "GET_WEIGHTS",
    "GET_MASTER",
    "GET_MAINTENANCE_STATUS",
    "GET_QUOTA",
];

#[test]
fn answers_say_the_same_in_both_encodings() {
    for snapshot in [fresh(), busy()] {
        for kind in READS {
            let body = value!({
                "type": kind,
                "get_metrics": {},
                "list_files": {"path": "/"},
                "read_file": {"path": "/file", "offset": 3},
            });
            let json = answered(&snapshot, &body);
            assert_eq!(json["type"], kind);
            assert!(Type::from_str_name(kind).is_some(), "{kind}");
            let protobuf = reply(&snapshot, &body, ContentType::Protobuf);
            assert_eq!(protobuf.content_type, Some(ContentType::Protobuf));
            assert_eq!(
                without_empty_lists(json),
                without_empty_lists(as_json::<Response>(&protobuf.body)),
                "{kind}"
            );
        }
    }
}

#[test]
fn the_first_event_says_the_same_in_both_encodings() {
    let snapshot = busy();
    let json: Value =
        serde_json::from_slice(&subscribed(&snapshot, ContentType::Json, Opening::State)).unwrap();
    assert_eq!(json["type"], "SUBSCRIBED");
    assert_eq!(json["subscribed"]["heartbeat_interval_seconds"], 15.0);
    let state = &json["subscribed"]["get_state"];
    assert_eq!(
        *state,
        answered(&snapshot, &value!({"type": "GET_STATE"}))["get_state"]
    );
    let protobuf = as_json::<Event>(&subscribed(
        &snapshot,
        ContentType::Protobuf,
        Opening::State,
    ));
    assert_eq!(without_empty_lists(json), without_empty_lists(protobuf));
}

#[test]
fn the_state_is_shown_in_full() {
    insta::assert_snapshot!(pretty(&answered(&busy(), &value!({"type": "GET_STATE"}))));
}

#[test]
fn lists_without_elements_are_shown_as_empty() {
    let state = answered(&fresh(), &value!({"type": "GET_STATE"}));
    assert_eq!(
        state["get_state"],
        value!({
            "get_tasks": {"tasks": [], "unreachable_tasks": [], "completed_tasks": []},
            "get_executors": {"executors": []},
            "get_frameworks": {"frameworks": [], "completed_frameworks": []},
            "get_agents": {"agents": [], "recovered_agents": []},
        })
    );
}

#[test]
fn roles_are_shown_with_what_they_take() {
    insta::assert_snapshot!(pretty(&answered(&busy(), &value!({"type": "GET_ROLES"}))));
}

#[test]
fn files_and_logging_are_of_the_process() {
    let read = value!({"type": "READ_FILE", "read_file": {"path": "/file", "offset": 3}});
    let file = &answered(&fresh(), &read)["read_file"];
    assert_eq!(*file, value!({"size": 5, "data": "aGk="}));
    let level = value!({"type": "GET_LOGGING_LEVEL"});
    let level = &answered(&fresh(), &level)["get_logging_level"];
    assert_eq!(*level, value!({"level": 1}));
    let set = |level: u32| {
        let set = value!({"level": level, "duration": {"nanoseconds": 1}});
        let body = value!({"type": "SET_LOGGING_LEVEL", "set_logging_level": set});
        reply(&fresh(), &body, ContentType::Json).status
    };
    assert_eq!((set(1), set(10)), (200, 400));
}

#[test]
fn what_changes_something_is_for_the_machine() {
    let resources = value!([{
        "name": "cpus", "type": "SCALAR", "scalar": {"value": 1},
    }]);
    let agent_id = value!({"value": AGENT});
    let volume = &resources[0];
    for body in [
        value!({"type": "RESERVE_RESOURCES",
            "reserve_resources": {"agent_id": agent_id, "resources": resources}}),
        value!({"type": "UNRESERVE_RESOURCES",
            "unreserve_resources": {"agent_id": agent_id, "resources": resources}}),
        value!({"type": "CREATE_VOLUMES",
            "create_volumes": {"agent_id": agent_id, "volumes": resources}}),
        value!({"type": "DESTROY_VOLUMES",
            "destroy_volumes": {"agent_id": agent_id, "volumes": resources}}),
        value!({"type": "GROW_VOLUME",
            "grow_volume": {"agent_id": agent_id, "volume": volume, "addition": volume}}),
        value!({"type": "SHRINK_VOLUME", "shrink_volume":
            {"agent_id": agent_id, "volume": volume, "subtract": {"value": 1}}}),
        value!({"type": "START_MAINTENANCE", "start_maintenance": {"machines": []}}),
        value!({"type": "STOP_MAINTENANCE", "stop_maintenance": {"machines": []}}),
    ] {
        let answer = call(&fresh(), &body, ContentType::Json);
        assert!(matches!(answer, Answer::Operator(_)), "{body}: {answer:?}");
    }
    let teardown = value!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": "f"}}});
    let answer = call(&fresh(), &teardown, ContentType::Json);
    assert!(matches!(answer, Answer::Teardown { .. }));
    let answer = call(
        &fresh(),
        &value!({"type": "SUBSCRIBE"}),
        ContentType::Protobuf,
    );
    let protobuf = ContentType::Protobuf;
    assert!(matches!(answer, Answer::Subscribe { stream_type, .. } if stream_type == protobuf));
    let nowhere = value!({"type": "GROW_VOLUME",
        "grow_volume": {"volume": volume, "addition": volume}});
    assert_eq!(
        reply(&fresh(), &nowhere, ContentType::Json).body,
        "Failed to validate master::Call: Expecting 'agent_id' to be present; only agent default \
         resources are supported right now"
    );
}

#[test]
fn a_stream_of_events_can_begin_without_the_state_of_the_cluster() {
    let snapshot = busy();
    let bare = subscribed(&snapshot, ContentType::Json, Opening::Bare);
    let bare: Value = serde_json::from_slice(&bare).unwrap();
    let heartbeat = value!({"heartbeat_interval_seconds": 15.0});
    assert_eq!(
        bare,
        value!({"type": "SUBSCRIBED", "subscribed": heartbeat})
    );
    let ask = |query: &str| {
        let query = form(query.as_bytes());
        let request = Request {
            method: "POST",
            path: "/api/v1",
            query: &query,
            content_type: Some("application/json"),
            accept: None,
            stream_id: None,
            last_event_id: None,
            host: None,
            body: br#"{"type": "SUBSCRIBE"}"#,
        };
        answer(&snapshot, &request)
    };
    let opening = |query| match ask(query) {
        Answer::Subscribe { opening, .. } => opening,
        other => panic!("{query}: {other:?}"),
    };
    assert_eq!(opening(""), Opening::State);
    assert_eq!(opening("state=true"), Opening::State);
    assert_eq!(opening("state=false"), Opening::Bare);
    assert!(matches!(ask("state=0"), Answer::Reply(reply) if reply.status == 400));
}

#[test]
fn a_watcher_that_comes_back_says_what_it_saw_last() {
    let snapshot = fresh();
    let ask = |header: Option<&str>, query: &str| {
        let query = form(query.as_bytes());
        let request = Request {
            method: "POST",
            path: "/api/v1",
            query: &query,
            content_type: Some("application/json"),
            accept: None,
            stream_id: None,
            last_event_id: header,
            host: None,
            body: br#"{"type": "SUBSCRIBE"}"#,
        };
        match answer(&snapshot, &request) {
            Answer::Subscribe { after, .. } => Ok(after.map(|it| it.to_string())),
            Answer::Reply(reply) => Err(String::from_utf8(reply.body.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(None, ""), Ok(None));
    let last = Some("run:7".to_owned());
    assert_eq!(ask(Some("run:7"), ""), Ok(last.clone()));
    assert_eq!(ask(None, "last_event_id=run:7"), Ok(last));
    assert_eq!(
        ask(Some("7"), ""),
        Err(
            "Failed to parse 'Last-Event-ID': expected the run of a master, a colon and a number, \
             but received '7'"
                .into()
        )
    );
}
