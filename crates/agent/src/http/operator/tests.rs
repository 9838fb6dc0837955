use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use meseta_authentication::TokenKey;
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::agent::Response;
use meseta_proto::{decode, json};
use serde_json::{Value, json as value};

use crate::http::endpoints::tests::{Around, busy, change, idle, shape};
use crate::http::{Answer, MoreHeaders, Request, answer_with, tokens};
use crate::records::{NestedContainer, NestedState, Process};
use crate::snapshot::Snapshot;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

fn call(snapshot: &Snapshot, call: &Value, accept: &str) -> Reply {
    let body = call.to_string();
    let request = Request {
        method: "POST",
        // Clients call it by paths below its own, too.
        path: "/slave(1)/api/v1/state",
        query: &[],
        content_type: Some(JSON),
        accept: Some(accept),
        authorization: None,
        more: MoreHeaders::default(),
        body: body.as_bytes(),
        now: Duration::from_secs(1_700_000_000),
    };
    match answer_with(snapshot, &request, &Around) {
        Answer::Reply(reply) => reply,
        other => panic!("{call}: {other:?}"),
    }
}

fn shown(snapshot: &Snapshot, call_of: &Value) -> Value {
    let reply = call(snapshot, call_of, JSON);
    assert_eq!(reply.status, 200, "{call_of}: {:?}", reply.body);
    serde_json::from_slice(&reply.body).unwrap()
}

fn refused(snapshot: &Snapshot, call_of: &Value) -> (u16, String) {
    let reply = call(snapshot, call_of, JSON);
    let sentence = String::from_utf8(reply.body.to_vec()).unwrap();
    (reply.status, sentence)
}

#[test]
fn everything_that_a_genuine_agent_showed_is_shown_in_the_same_type() {
    let recorded = include_str!("../../../../../tests/golden/scenarios.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    for name in [
        "GET_STATE",
        "GET_CONTAINERS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_TASKS",
        "GET_AGENT",
    ] {
        let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
        let body = &recorded[0]["endpoints"][format!("agent {name}")]["body"];
        assert!(body.is_object(), "{name}");
        shape(body, "", &mut theirs);
        shape(&shown(&busy(), &value!({"type": name})), "", &mut ours);
        // What a status, a task and a framework bring is theirs; the scenarios end to end compare it.
        let is_ours = |path: &&String| {
            ![
                "statuses[].",
                "_update_",
                "framework_info.",
                "executor_info.",
                "agent_info.",
            ]
            .iter()
            .any(|data| path.contains(data))
        };
        let missing: Vec<_> = theirs.difference(&ours).filter(is_ours).collect();
        assert_eq!(missing, [""; 0], "{name}");
    }
}

#[test]
fn both_encodings_say_the_same() {
    for name in [
        "GET_HEALTH",
        "GET_FLAGS",
        "GET_VERSION",
        "GET_LOGGING_LEVEL",
        "GET_STATE",
        "GET_CONTAINERS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_OPERATIONS",
        "GET_TASKS",
        "GET_AGENT",
        "GET_RESOURCE_PROVIDERS",
    ] {
        let snapshot = busy();
        let of = value!({"type": name});
        let text = call(&snapshot, &of, JSON);
        let from_json: Response = json::from_slice(&text.body).unwrap();
        let bytes = call(&snapshot, &of, PROTOBUF);
        assert_eq!(bytes.content_type.map(ContentType::as_str), Some(PROTOBUF));
        let from_protobuf: Response = decode(&bytes.body).unwrap();
        // In JSON, defaults are said.
        assert_eq!(
            json::to_vec(&from_protobuf),
            json::to_vec(&from_json),
            "{name}"
        );
        assert_eq!(from_json.r#type().as_str_name(), name);
    }
}

#[test]
fn tasks_are_told_by_how_far_they_are() {
    let shown = shown(&busy(), &value!({"type": "GET_TASKS"}));
    let ids = |list: &str| -> Vec<String> {
        let tasks = shown["get_tasks"][list].as_array().unwrap();
        let id = |task: &Value| task["task_id"]["value"].as_str().unwrap().to_owned();
        tasks.iter().map(id).collect()
    };
    assert_eq!(ids("pending_tasks"), [""; 0]);
    assert_eq!(ids("queued_tasks"), ["t2"]);
    assert_eq!(ids("launched_tasks"), ["t1"]);
    // One is of a former run.
    assert_eq!(ids("terminated_tasks"), ["t4", "t4"]);
    assert_eq!(ids("completed_tasks"), ["t3", "t3"]);
    assert_eq!(
        shown["get_tasks"]["queued_tasks"][0]["framework_id"]["value"],
        "F"
    );
}

#[test]
fn lists_without_elements_are_empty_ones() {
    let shown = |name: &str| shown(&idle(), &value!({"type": name}));
    assert_eq!(
        shown("GET_FRAMEWORKS")["get_frameworks"],
        value!({"frameworks": [], "completed_frameworks": []})
    );
    assert_eq!(
        shown("GET_EXECUTORS")["get_executors"],
        value!({"executors": [], "completed_executors": []})
    );
    assert_eq!(shown("GET_OPERATIONS")["get_operations"], value!({}));
    assert_eq!(shown("GET_CONTAINERS"), value!({"type": "GET_CONTAINERS"}));
}

#[test]
fn containers_inside_of_others_are_shown_where_they_are_asked_for() {
    let mut snapshot = busy();
    let id = meseta_proto::v1::ContainerId {
        parent: Some(Box::new("c".into())),
        ..meseta_proto::v1::ContainerId::from("n")
    };
    let nested = NestedContainer {
        container_id: id.clone(),
        directory: "/work/n".into(),
        user: None,
        state: NestedState::Running,
        process: Some(Process {
            pid: 43,
            start_time: 8,
        }),
        links: Vec::new(),
        is_session: false,
    };
    change(&mut snapshot, |executor| {
        executor.containers.insert(id, Arc::new(nested));
    });
    let containers = |get: Value| {
        let call = value!({"type": "GET_CONTAINERS", "get_containers": get});
        shown(&snapshot, &call)["get_containers"]["containers"].clone()
    };
    let own = containers(value!({"show_standalone": true}));
    assert_eq!(own.as_array().unwrap().len(), 1);
    assert_eq!(own[0]["resource_statistics"]["mem_rss_bytes"], 4096);
    assert_eq!(own[0]["executor_id"]["value"], "t1");
    let all = containers(value!({"show_nested": true}));
    assert_eq!(all[0], own[0]);
    assert_eq!(
        all[1],
        value!({
            "container_id": {"value": "n"},
            "container_status": {
                "container_id": {"value": "n", "parent": {"value": "c"}},
                "executor_pid": 43,
            },
        })
    );
}

#[test]
fn the_process_around_the_agent_answers_for_files_metrics_and_logging() {
    let snapshot = idle();
    let listed = shown(
        &snapshot,
        &value!({"type": "LIST_FILES", "list_files": {"path": "/x"}}),
    );
    assert_eq!(
        listed["list_files"]["file_infos"],
        value!([{"path": "/x/stdout", "size": 5}])
    );
    let piece = value!({"path": "/x/stdout", "offset": 1, "length": 3});
    let read = shown(
        &snapshot,
        &value!({"type": "READ_FILE", "read_file": piece}),
    );
    assert_eq!(read["read_file"], value!({"size": 5, "data": "ZWxs"}));
    let metrics = shown(
        &snapshot,
        &value!({"type": "GET_METRICS", "get_metrics": {}}),
    );
    let metrics = metrics["get_metrics"]["metrics"].as_array().unwrap();
    let uptime = value!({"name": "slave/uptime_secs", "value": 5.0});
    assert!(metrics.contains(&uptime));
    let level = shown(&snapshot, &value!({"type": "GET_LOGGING_LEVEL"}));
    assert_eq!(level["get_logging_level"]["level"], 1);
    let set = |level: u32| {
        value!({"type": "SET_LOGGING_LEVEL", "set_logging_level":
            {"level": level, "duration": {"nanoseconds": 1_000_000_000}}})
    };
    assert_eq!(refused(&snapshot, &set(2)), (200, String::new()));
    assert_eq!(
        refused(&snapshot, &set(10)),
        (400, "Invalid level '10'.\n".into())
    );
}

#[test]
fn a_draining_agent_says_since_when() {
    let shown = shown(&busy(), &value!({"type": "GET_AGENT"}));
    let agent = &shown["get_agent"];
    assert_eq!(agent["agent_info"]["id"]["value"], "M-S0");
    assert_eq!(agent["drain_config"], value!({"mark_gone": false}));
    assert_eq!(
        agent["estimated_drain_start_time"]["nanoseconds"],
        1_700_000_007_000_000_000_u64
    );
}

#[test]
fn calls_about_unknown_containers_and_providers_are_refused_as_by_mesos() {
    let snapshot = idle();
    let id = value!({"value": "c", "parent": {"value": "p"}});
    let output = value!({"type": "ATTACH_CONTAINER_OUTPUT",
        "attach_container_output": {"container_id": id}});
    let unknown = (404, "Container p.c cannot be found".to_owned());
    assert_eq!(refused(&snapshot, &output), unknown);
    let input = value!({"type": "ATTACH_CONTAINER_INPUT",
        "attach_container_input": {"type": "CONTAINER_ID", "container_id": id}});
    let sentence =
        "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call";
    assert_eq!(refused(&snapshot, &input), (415, sentence.to_owned()));
    let provider = value!({"type": "REMOVE_RESOURCE_PROVIDER_CONFIG",
        "remove_resource_provider_config": {"type": "t", "name": "n"}});
    assert_eq!(
        refused(&snapshot, &provider),
        (
            500,
            "Missing required flag --resource_provider_config_dir".to_owned()
        )
    );
    assert_eq!(
        refused(&snapshot, &value!({"type": "PRUNE_IMAGES"})),
        (200, String::new())
    );
}

#[test]
fn an_executor_that_shows_its_token_does_nothing_that_is_for_operators() {
    let mut snapshot = busy();
    let config = Arc::make_mut(&mut snapshot.config);
    let key = TokenKey::new("hush");
    let claims = tokens::claims(&"F".into(), &"t1".into(), &"c".into());
    let token = format!("Bearer {}", key.sign(&claims));
    config.executor_key = Some(key);
    config.authenticate_executors = true;
    let status = |authorization: Option<&str>, body: &str| {
        let request = Request {
            method: "POST",
            path: "/api/v1",
            query: &[],
            content_type: Some(JSON),
            accept: None,
            authorization,
            more: MoreHeaders::default(),
            body: body.as_bytes(),
            now: Duration::from_secs(1_700_000_000),
        };
        match answer_with(&snapshot, &request, &Around) {
            Answer::Reply(reply) => reply.status,
            other => panic!("{body}: {other:?}"),
        }
    };
    for body in [
        r#"{"type":"READ_FILE","read_file":{"path":"/x","offset":0}}"#,
        r#"{"type":"SET_LOGGING_LEVEL",
            "set_logging_level":{"level":1,"duration":{"nanoseconds":1}}}"#,
        r#"{"type":"GET_FLAGS"}"#,
    ] {
        assert_eq!(status(Some(&token), body), 403, "{body}");
        assert_eq!(status(None, body), 200, "{body}");
    }
    assert_eq!(status(Some(&token), r#"{"type":"GET_HEALTH"}"#), 200);
}
