use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use meseta_proto::v1::{AgentInfo, DrainConfig, ExecutorInfo, FrameworkInfo, MasterInfo, Task};
use meseta_proto::{Wire, json};
use serde_json::Value;

use super::*;
use crate::config::Config;
use crate::metrics::Counters;
use crate::records::{ExecutorState, Framework, Process};

fn read<M: Wire>(text: &str) -> M {
    json::from_slice(text.as_bytes()).unwrap()
}

fn resources_of(text: &str) -> Arc<Vec<v1::Resource>> {
    Arc::new(Resources::parse(text, "*").unwrap().to_v1())
}

/// An agent that runs nothing.
fn idle() -> Snapshot {
    let mut config = Config::new("slave(1)@127.0.0.1:5051".parse().unwrap(), "/work");
    config.flags.insert("work_dir".into(), "/work".into());
    Snapshot {
        config: Arc::new(config),
        info: Arc::new(read::<AgentInfo>(
            r#"{"hostname":"h","port":5051,"id":{"value":"M-S0"},
            "attributes":[{"name":"rack","type":"TEXT","text":{"value":"r1"}}]}"#,
        )),
        registered: true,
        start_time: Duration::from_secs(1_700_000_000),
        master: Some(Arc::new(read::<MasterInfo>(
            r#"{"id":"M","ip":1,"port":5050,"hostname":"m"}"#,
        ))),
        frameworks: OrdMap::new(),
        completed_frameworks: Vector::new(),
        checkpointed_resources: Arc::default(),
        total_resources: resources_of("cpus:4;mem:1024;disk:100;ports:[31000-32000];cpus(r):1"),
        operations: OrdMap::new(),
        oversubscribed: None,
        drain: None,
        drain_start: None,
        pending_removals: 0,
        counters: Counters::default(),
    }
}

fn task(id: &str, state: &str) -> Arc<Task> {
    Arc::new(read(&format!(
        r#"{{"name":"n","task_id":{{"value":"{id}"}},"framework_id":{{"value":"F"}},
        "agent_id":{{"value":"M-S0"}},"state":"{state}",
        "resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":1}},
        "allocation_info":{{"role":"*"}}}}],
        "statuses":[{{"task_id":{{"value":"{id}"}},"state":"{state}","timestamp":1.5,
        "container_status":{{"container_id":{{"value":"c"}},"network_infos":[
        {{"ip_addresses":[{{"ip_address":"127.0.0.1"}}]}}]}}}}]}}"#
    )))
}

/// An agent with an executor that runs, and tasks in all places.
fn busy() -> Snapshot {
    let mut snapshot = idle();
    let executor = Executor {
        info: Arc::new(read::<ExecutorInfo>(
            r#"{"executor_id":{"value":"t1"},"framework_id":{"value":"F"},"name":"Command Executor",
            "source":"t1","resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1},
            "allocation_info":{"role":"*"}},{"name":"mem","type":"SCALAR","scalar":{"value":32},
            "allocation_info":{"role":"*"}}]}"#,
        )),
        is_command_executor: true,
        container_id: "c".into(),
        directory: "/work/slaves/M-S0/frameworks/F/executors/t1/runs/c".into(),
        user: None,
        state: ExecutorState::Running,
        process: Some(Process {
            pid: 42,
            start_time: 7,
        }),
        stream: None,
        containers: OrdMap::new(),
        queued_tasks: OrdMap::unit(
            "t2".into(),
            Arc::new(read(
                r#"{"name":"q","task_id":{"value":"t2"},"agent_id":{"value":"M-S0"},
                "command":{"value":"true","shell":true},
                "resources":[{"name":"mem","type":"SCALAR","scalar":{"value":64},
                "allocation_info":{"role":"*"}}]}"#,
            )),
        ),
        launched_tasks: OrdMap::unit("t1".into(), task("t1", "TASK_RUNNING")),
        terminated_tasks: OrdMap::unit("t4".into(), task("t4", "TASK_FAILED")),
        completed_tasks: [task("t3", "TASK_FINISHED")].into_iter().collect(),
    };
    let mut ended = executor.clone();
    ended.state = ExecutorState::Terminated;
    ended.container_id = "d".into();
    ended.queued_tasks = OrdMap::new();
    ended.launched_tasks = OrdMap::new();
    let framework = Framework {
        info: Arc::new(read::<FrameworkInfo>(
            r#"{"user":"root","name":"f","id":{"value":"F"},"principal":"p"}"#,
        )),
        pid: None,
        terminating: false,
        executors: OrdMap::unit("t1".into(), Arc::new(executor)),
        completed_executors: [Arc::new(ended)].into_iter().collect(),
    };
    let mut over = framework.clone();
    over.info = Arc::new(read::<FrameworkInfo>(
        r#"{"user":"root","name":"over","id":{"value":"G"},"roles":["r"],
        "capabilities":[{"type":"MULTI_ROLE"}]}"#,
    ));
    over.executors = OrdMap::new();
    over.completed_executors = Vector::new();
    snapshot
        .completed_frameworks
        .push_back(Arc::new(over.clone()));
    snapshot.frameworks.insert("G".into(), Arc::new(over));
    snapshot.frameworks.insert("F".into(), Arc::new(framework));
    snapshot.drain = Some(Arc::new(DrainConfig::default()));
    snapshot.drain_start = Some(Duration::from_secs(1_700_000_007));
    snapshot
}

fn ask(snapshot: &Snapshot, method: &str, path: &str, query: &[(&str, &str)]) -> Answer {
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let request = Request {
        method,
        path,
        query: &query,
        content_type: None,
        accept: None,
        authorization: None,
        body: &[],
        now: Duration::from_secs(1_700_000_000),
    };
    answer_with(snapshot, &request, || vec![("slave/uptime_secs", 5.0)])
}

fn reply(snapshot: &Snapshot, path: &str) -> Reply {
    match ask(snapshot, "GET", path, &[]) {
        Answer::Reply(reply) => reply,
        other => panic!("{path}: {other:?}"),
    }
}

fn body(snapshot: &Snapshot, path: &str) -> Value {
    let reply = reply(snapshot, path);
    assert_eq!(reply.status, 200, "{path}");
    assert_eq!(reply.content_type, Some(ContentType::Json), "{path}");
    serde_json::from_slice(&reply.body).unwrap()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn the_state_has_mesos_form() {
    insta::assert_snapshot!(pretty(&body(&busy(), "/state")));
}

#[test]
fn metrics_have_mesos_names() {
    insta::assert_snapshot!(pretty(&body(&busy(), "/metrics/snapshot")));
}

#[test]
fn containers_of_live_executors_are_shown() {
    let snapshot = busy();
    assert_eq!(
        body(&snapshot, "/containers"),
        value!([{
            "container_id": "c",
            "executor_id": "t1",
            "executor_name": "Command Executor",
            "framework_id": "F",
            "source": "t1",
            "status": {"container_id": {"value": "c"}, "executor_pid": 42},
        }])
    );
    let Answer::Reply(none) = ask(&snapshot, "GET", "/containers", &[("container_id", "x")]) else {
        panic!("no reply");
    };
    assert_eq!(none.body, "[]");
}

#[test]
fn every_endpoint_has_all_its_names() {
    let snapshot = busy();
    for name in ["state", "flags", "containers", "version", "health"] {
        let expected = reply(&snapshot, &format!("/{name}"));
        assert_eq!(expected.status, 200, "{name}");
        for path in [
            format!("/slave(1)/{name}"),
            format!("/{name}.json"),
            format!("//slave(1)//{name}/below"),
        ] {
            assert_eq!(reply(&snapshot, &path), expected, "{path}");
        }
    }
    for path in [
        "/",
        "/slave(1)",
        "/slave(2)/state",
        "/files/browse",
        "/nope",
        "/metrics",
    ] {
        let answer = ask(&snapshot, "GET", path, &[]);
        assert!(matches!(answer, Answer::Elsewhere), "{path}: {answer:?}");
    }
}

/// The recorded requests that a parser of calls can refuse; the machine answers the others.
#[test]
fn recorded_executor_calls_are_refused_as_recorded_or_reach_the_machine() {
    let recordings = include_str!("../../../../../tests/golden/http-agent-1.11.0.jsonl");
    let snapshot = idle();
    let mut seen = 0;
    for line in recordings.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let (request, response) = (&recorded["request"], &recorded["response"]);
        let name = request["name"].as_str().unwrap();
        let of_containers = name.contains("_container") || name.contains("nested");
        if !name.starts_with("executor") && !of_containers {
            continue;
        }
        seen += 1;
        let request = Request {
            method: request["method"].as_str().unwrap(),
            path: request["path"].as_str().unwrap(),
            query: &[],
            content_type: request["headers"]["Content-Type"].as_str(),
            accept: None,
            authorization: None,
            body: request["body"].as_str().unwrap_or_default().as_bytes(),
            now: Duration::from_secs(1_700_000_000),
        };
        match answer(&snapshot, &request) {
            Answer::Reply(reply) => {
                assert_eq!(reply.status, response["status"], "{name}");
                assert_eq!(reply.body, response["body"].as_str().unwrap(), "{name}");
            }
            Answer::ExecutorCall { .. } => {
                assert_eq!(response["body"], "Framework cannot be found", "{name}");
            }
            Answer::ContainerCall(call) => {
                let sentence = format!("Container {} cannot be found", call.container_id());
                assert_eq!(response["body"], sentence, "{name}");
            }
            Answer::Elsewhere => panic!("{name} is not routed"),
        }
    }
    assert_eq!(seen, 17);
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

/// Flags and attributes are whatever an operator sets, and what a container uses is not known here.
fn is_fixed(path: &str) -> bool {
    [".flags.", ".attributes.", "[].statistics"]
        .iter()
        .all(|prefix| !path.starts_with(prefix))
}

#[test]
fn everything_that_a_genuine_agent_showed_is_shown_in_the_same_type() {
    let scenarios: Value =
        serde_json::from_str(include_str!("../../../../../tests/golden/scenarios.json")).unwrap();
    let recorded = &scenarios[0]["endpoints"];
    for name in ["state", "containers"] {
        let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
        shape(&recorded[format!("agent /{name}")]["body"], "", &mut theirs);
        shape(&body(&busy(), &format!("/{name}")), "", &mut ours);
        let missing: Vec<_> = theirs
            .difference(&ours)
            .filter(|path| is_fixed(path))
            .collect();
        assert_eq!(missing, [""; 0], "/{name}");
    }
}
