use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use meseta_endpoints::{Piece, Process};
use meseta_proto::v1::value::Scalar;
use meseta_proto::v1::{
    AgentInfo, DrainConfig, ExecutorId, ExecutorInfo, FileInfo, FrameworkId, FrameworkInfo,
    MasterInfo, ResourceStatistics, Task, TaskId,
};
use meseta_proto::{Wire, json};
use serde_json::{Value, json as value};

use super::*;
use crate::config::Config;
use crate::metrics::Counters;
use crate::records::{ExecutorState, Framework, Process as Pid};

pub(in crate::http) fn read<M: Wire>(text: &str) -> M {
    json::from_slice(text.as_bytes()).unwrap()
}

fn resources_of(text: &str) -> Arc<Vec<v1::Resource>> {
    Arc::new(Resources::parse(text, "*").unwrap().to_v1())
}

/// An agent that runs nothing.
pub(in crate::http) fn idle() -> Snapshot {
    let mut config = Config::new("slave(1)@127.0.0.1:5051".parse().unwrap(), "/work");
    config.flags.insert("work_dir".into(), "/work".into());
    Snapshot {
        config: Arc::new(config),
        info: Arc::new(read::<AgentInfo>(
            r#"{"hostname":"h","port":5051,"id":{"value":"M-S0"},
            "resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":4}}],
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
        max_allowed_age: Duration::from_hours(24),
        recovery_time: Some(Duration::from_millis(1500)),
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
pub(in crate::http) fn busy() -> Snapshot {
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
        process: Some(Pid {
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

/// Changes the executor of the busy agent.
pub(in crate::http) fn change(snapshot: &mut Snapshot, change: impl FnOnce(&mut Executor)) {
    let framework = snapshot
        .frameworks
        .get_mut(&FrameworkId::from("F"))
        .unwrap();
    let executors = &mut Arc::make_mut(framework).executors;
    change(Arc::make_mut(
        executors.get_mut(&ExecutorId::from("t1")).unwrap(),
    ));
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
        more: MoreHeaders::default(),
        body: &[],
        now: Duration::from_secs(1_700_000_000),
    };
    answer_with(snapshot, &request, &Around)
}

/// A process around an agent in which container `c` was measured.
#[derive(Debug)]
pub(in crate::http) struct Around;

impl Process for Around {
    fn metrics(&self) -> Vec<(String, f64)> {
        vec![("slave/uptime_secs".into(), 5.0)]
    }

    fn logging_level(&self) -> u32 {
        1
    }

    fn set_logging_level(&self, _: u32, _: Duration) {}

    fn list_files(&self, path: &str) -> Result<Vec<FileInfo>, Box<Reply>> {
        Ok(vec![FileInfo {
            path: format!("{path}/stdout"),
            size: Some(5),
            ..FileInfo::default()
        }])
    }

    fn read_file(&self, _: &str, offset: u64, length: Option<u64>) -> Result<Piece, Box<Reply>> {
        let until = offset + length.unwrap_or(5);
        let places = (0..).zip(b"hello");
        let piece = places.filter(|(place, _)| (offset..until).contains(place));
        let data = piece.map(|(_, byte)| *byte).collect();
        Ok(Piece { size: 5, data })
    }
}

impl Surroundings for Around {
    fn statistics(&self) -> Statistics {
        let measured = ResourceStatistics {
            timestamp: 1.5,
            processes: Some(2),
            threads: Some(3),
            cpus_user_time_secs: Some(0.25),
            cpus_system_time_secs: Some(0.125),
            mem_rss_bytes: Some(4096),
            ..ResourceStatistics::default()
        };
        Statistics {
            measured: Arc::new([("c".into(), measured)].into()),
            cpus: 8.0,
            mem_bytes: 1 << 34,
        }
    }
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
            "statistics": statistics(),
            "status": {"container_id": {"value": "c"}, "executor_pid": 42},
        }])
    );
    let Answer::Reply(none) = ask(&snapshot, "GET", "/containers", &[("container_id", "x")]) else {
        panic!("no reply");
    };
    assert_eq!(none.body, "[]");
}

/// What is shown of container `c`, which has asked for 1.1 processors and 96 MB.
fn statistics() -> Value {
    value!({
        "timestamp": 1.5,
        "processes": 2,
        "threads": 3,
        "cpus_user_time_secs": 0.25,
        "cpus_system_time_secs": 0.125,
        "cpus_soft_limit": 1.1,
        "mem_rss_bytes": 4096,
        "mem_soft_limit_bytes": 96 << 20,
        "mem_limit_bytes": 96 << 20,
    })
}

#[test]
fn what_executors_use_is_shown_beside_what_they_have() {
    let shown = value!([{
        "executor_id": "t1",
        "executor_name": "Command Executor",
        "framework_id": "F",
        "source": "t1",
        "statistics": statistics(),
    }]);
    assert_eq!(body(&busy(), "/monitor/statistics"), shown);
    assert_eq!(body(&busy(), "/slave(1)/monitor/statistics.json"), shown);
    assert_eq!(body(&idle(), "/monitor/statistics"), value!([]));
}

#[test]
fn a_limit_is_more_than_what_was_asked_for_and_may_be_everything() {
    let limited = |limits: &[(&str, f64)]| {
        let mut snapshot = busy();
        change(&mut snapshot, |executor| {
            let task = executor
                .launched_tasks
                .get_mut(&TaskId::from("t1"))
                .unwrap();
            Arc::make_mut(task).limits = limits
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Scalar { value: *value }))
                .collect();
        });
        body(&snapshot, "/monitor/statistics")[0]["statistics"].clone()
    };
    let finite = limited(&[("cpus", 2.0), ("mem", 32.0)]);
    // The executor's own and those of the tasks without a limit are in it.
    assert_eq!(finite["cpus_limit"], 2.1);
    assert_eq!(finite["mem_limit_bytes"], (32 + 32 + 64) << 20);
    assert_eq!(finite["cpus_soft_limit"], 1.1);
    let infinite = limited(&[("cpus", f64::INFINITY), ("mem", f64::INFINITY)]);
    assert_eq!(infinite["cpus_limit"], 8.0);
    assert_eq!(infinite["mem_limit_bytes"], 1_u64 << 34);
}

#[test]
fn containers_that_come_or_go_are_pending() {
    let mut snapshot = busy();
    assert_eq!(
        body(&snapshot, "/containerizer/debug"),
        value!({"pending": []})
    );
    change(&mut snapshot, |it| it.state = ExecutorState::Terminating);
    assert_eq!(
        body(&snapshot, "/containerizer/debug"),
        value!({"pending": [{"operation": "destroy", "args": {"containerId": "c"}}]})
    );
}

#[test]
fn the_level_of_logging_is_shown_and_set() {
    let level = reply(&idle(), "/logging/toggle");
    assert_eq!((level.status, &level.body[..]), (200, &b"1\n"[..]));
    let half = [("level", "1")];
    let Answer::Reply(refused) = ask(&idle(), "POST", "/slave(1)/logging/toggle", &half) else {
        panic!("no reply");
    };
    assert_eq!(refused.status, 400);
}

#[test]
fn every_endpoint_is_described() {
    let help = reply(&idle(), "/help");
    let text = String::from_utf8(help.body.to_vec()).unwrap();
    let document = body(&idle(), "/openapi.json");
    for path in [
        "/monitor/statistics",
        "/containers",
        "/api/v1/executor",
        "/files/read",
    ] {
        assert!(text.contains(path), "{path} in\n{text}");
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn every_endpoint_has_all_its_names() {
    let snapshot = busy();
    for name in [
        "state",
        "flags",
        "containers",
        "monitor/statistics",
        "version",
        "health",
    ] {
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
    ] {
        let answer = ask(&snapshot, "GET", path, &[]);
        assert!(matches!(answer, Answer::Elsewhere), "{path}: {answer:?}");
    }
}

/// The recorded requests; the machine answers those that reach it.
#[test]
fn recorded_requests_are_answered_as_recorded_or_reach_the_machine() {
    let recordings = include_str!("../../../../../tests/golden/http-agent-1.11.0.jsonl");
    let snapshot = idle();
    let mut seen = 0;
    for line in recordings.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let (request, response) = (&recorded["request"], &recorded["response"]);
        let name = request["name"].as_str().unwrap();
        seen += 1;
        let request = Request {
            method: request["method"].as_str().unwrap(),
            path: request["path"].as_str().unwrap(),
            query: &[],
            content_type: request["headers"]["Content-Type"].as_str(),
            accept: None,
            authorization: None,
            more: MoreHeaders::default(),
            body: request["body"].as_str().unwrap_or_default().as_bytes(),
            now: Duration::from_secs(1_700_000_000),
        };
        match answer(&snapshot, &request) {
            // Older clients call it so, and the genuine one was silent.
            Answer::Reply(reply) if name.ends_with("state.json") || name.ends_with("debug") => {
                assert_eq!(reply.status, 200, "{name}");
            }
            Answer::Reply(reply) => {
                assert_eq!(reply.status, response["status"], "{name}");
                let content_type = reply.content_type.map(ContentType::as_str);
                assert_eq!(
                    content_type,
                    response["headers"]["Content-Type"].as_str(),
                    "{name}"
                );
                let recorded = response["body"].as_str().unwrap();
                if content_type == Some("application/json") {
                    let (recorded, ours): (Value, Value) = (
                        serde_json::from_str(recorded).unwrap(),
                        serde_json::from_slice(&reply.body).unwrap(),
                    );
                    assert_has_keys(name, &recorded, &ours);
                } else {
                    assert_eq!(reply.body, recorded, "{name}");
                }
            }
            Answer::ExecutorCall { .. } => {
                assert_eq!(response["body"], "Framework cannot be found", "{name}");
            }
            Answer::ContainerCall(call) => {
                let sentence = format!("Container {} cannot be found", call.container_id());
                assert_eq!(response["body"], sentence, "{name}");
            }
            Answer::AttachOutput { .. } | Answer::Elsewhere => panic!("{name} is not routed"),
        }
    }
    assert_eq!(seen, 37);
}

/// Every field of an object that was recorded is there, but for what names a build or a flag.
fn assert_has_keys(name: &str, recorded: &Value, ours: &Value) {
    let Some(members) = recorded.as_object() else {
        return;
    };
    for (key, member) in members {
        if key.starts_with("git_") {
            continue;
        }
        assert!(ours.get(key).is_some(), "{name}: no {key}");
        if key != "flags" {
            assert_has_keys(name, member, &ours[key]);
        }
    }
}

/// Every path in a JSON value with the type of what is there; elements of an array count as one.
pub(in crate::http) fn shape(value: &Value, path: &str, shapes: &mut BTreeSet<String>) {
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
    [".flags.", ".attributes."]
        .iter()
        .all(|prefix| !path.starts_with(prefix))
}

#[test]
fn everything_that_a_genuine_agent_showed_is_shown_in_the_same_type() {
    let scenarios: Value =
        serde_json::from_str(include_str!("../../../../../tests/golden/scenarios.json")).unwrap();
    let recorded = &scenarios[0]["endpoints"];
    for name in ["state", "containers", "monitor/statistics"] {
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
