use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet, Vector};
use meseta_endpoints::Piece;
use meseta_machine::ContentType;
use meseta_proto::json;
use meseta_proto::v1::scheduler::OfferConstraints;
use meseta_proto::v1::{
    AgentId, AgentInfo, FileInfo, FrameworkInfo, Offer, Task, TaskState, task_status,
};
use meseta_resources::Resources;
use serde_json::{Value, json as value};

mod earlier;
mod operator;

use super::*;
use crate::CompletedTask;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::records::{AgentRecord, Endpoint, FrameworkRecord, RecoveredAgent};

const FRAMEWORK: &str = "M-0000";
const AGENT: &str = "M-S0";

/// A master that knows of nothing.
fn fresh() -> Snapshot {
    let mut config = Config::new("M", "master@127.0.0.1:5050".parse().unwrap());
    config.cluster = Some("test".into());
    config.start_time = Duration::from_secs(1_700_000_000);
    config.elected_time = Duration::from_millis(1_700_000_000_500);
    config.flags = BTreeMap::from([("log_dir".into(), "/log".into())]);
    Snapshot {
        master_info: config.master_info().into(),
        config: config.into(),
        time: Duration::from_secs(1_700_000_060),
        agents: OrdMap::new(),
        recovered_agents: OrdMap::new(),
        unreachable_agents: OrdMap::new(),
        deactivations: imbl::OrdMap::new(),
        gone_agents: OrdMap::new(),
        frameworks: OrdMap::new(),
        completed_frameworks: Vector::new(),
        offers: OrdMap::new(),
        schedule: Arc::default(),
        down_machines: imbl::OrdMap::new(),
        inverse_offers: OrdMap::new(),
        inverse_answers: OrdMap::new(),
        quotas: OrdMap::new(),
        weights: OrdMap::unit("eng".into(), 2.0),
        offer_filters: OrdMap::new(),
        watchers: 0,
        metrics: Metrics::default(),
    }
}

fn read<M: meseta_proto::Wire>(text: &str) -> M {
    json::from_slice(text.as_bytes()).unwrap()
}

fn task(id: &str, state: &str, time: u64) -> Arc<Task> {
    Arc::new(read(&format!(
        r#"{{"name":"n","task_id":{{"value":"{id}"}},"framework_id":{{"value":"{FRAMEWORK}"}},
        "agent_id":{{"value":"{AGENT}"}},"state":"{state}","user":"root",
        "labels":{{"labels":[{{"key":"k","value":"v"}}]}},
        "limits":{{"mem":{{"value":64}}}},
        "resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":1}},
            "allocation_info":{{"role":"eng/dev"}}}},
            {{"name":"ports","type":"RANGES","ranges":{{"range":[{{"begin":31000,"end":31001}}]}},
            "allocation_info":{{"role":"eng/dev"}}}}],
        "statuses":[{{"task_id":{{"value":"{id}"}},"state":"{state}","timestamp":{time},
            "message":"as told","reason":"REASON_EXECUTOR_TERMINATED","healthy":true,"container_status":{{"container_id":{{"value":"c"}},
            "network_infos":[{{"ip_addresses":[{{"ip_address":"127.0.0.1","protocol":"IPv4"}}]}}]
            }}}}]}}"#
    )))
}

fn framework(id: &str, endpoint: Endpoint, info: &str) -> FrameworkRecord {
    FrameworkRecord {
        id: id.into(),
        info: Arc::new(read::<FrameworkInfo>(info)),
        endpoint,
        recovered: false,
        active: true,
        suppressed_roles: OrdSet::new(),
        offer_constraints: None,
        registered_time: Duration::from_secs(1_700_000_020),
        reregistered_time: None,
        unregistered_time: None,
        tasks: OrdMap::new(),
        completed_tasks: Vector::new(),
        unreachable_tasks: Vector::new(),
        executors: OrdMap::new(),
        offers: OrdSet::new(),
        operations: OrdMap::new(),
        operation_ids: OrdMap::new(),
        used: OrdMap::new(),
        offered: OrdMap::new(),
    }
}

/// A master with one agent, two frameworks and a completed one, tasks in all places, an executor
/// and an offer.
fn busy() -> Snapshot {
    let mut snapshot = fresh();
    let parse = |text: &str| Resources::parse(text, "*").unwrap();
    let used = parse("cpus:1;mem:64;ports:[31000-31001]").allocate("eng/dev");
    let offered = parse("cpus:1;mem:512").allocate("eng/dev");
    let agent_id = AGENT.into();

    let mut busy = framework(
        FRAMEWORK,
        Endpoint::Http(StreamId("s".into())),
        r#"{"user":"root","name":"a/b","roles":["eng/dev"],"capabilities":[{"type":"MULTI_ROLE"}],
        "webui_url":"http://w","labels":{"labels":[{"key":"k"}]}}"#,
    );
    busy.reregistered_time = Some(Duration::from_secs(1_700_000_030));
    busy.offer_constraints = Some(Arc::new(read::<OfferConstraints>(
        r#"{"role_constraints":{"eng/dev":{"groups":[{"attribute_constraints":[
        {"selector":{"attribute_name":"rack"},"predicate":{"exists":{}}}]}]}}}"#,
    )));
    busy.tasks
        .insert("t1".into(), task("t1", "TASK_RUNNING", 100));
    busy.unreachable_tasks
        .push_back(task("t2", "TASK_UNREACHABLE", 50));
    busy.completed_tasks
        .push_back(CompletedTask::new(&task("t3", "TASK_FINISHED", 200)));
    let executor = read(
        r#"{"executor_id":{"value":"e"},"framework_id":{"value":"M-0000"},"type":"CUSTOM",
        "command":{"value":"run","uris":[{"value":"http://u"}]}}"#,
    );
    busy.executors
        .entry(AgentId::clone(&agent_id))
        .or_default()
        .insert("e".into(), Arc::new(executor));
    busy.used.insert(agent_id.clone(), used.clone());
    busy.offered.insert(agent_id.clone(), offered.clone());
    busy.offers.insert("M-O1".into());
    snapshot.offers.insert(
        "M-O1".into(),
        Arc::new(Offer {
            id: "M-O1".into(),
            framework_id: FRAMEWORK.into(),
            agent_id: agent_id.clone(),
            resources: offered.to_v1(),
            allocation_info: Some(read(r#"{"role":"eng/dev"}"#)),
            ..Default::default()
        }),
    );
    let driver = framework(
        "M-0001",
        Endpoint::Driver("scheduler-1@127.0.0.1:9".parse().unwrap()),
        r#"{"user":"u","name":"old","principal":"p","failover_timeout":1.5}"#,
    );
    let mut ended = framework("M-0002", Endpoint::None, r#"{"user":"u","name":"ended"}"#);
    ended.active = false;
    ended.unregistered_time = Some(Duration::from_secs(1_700_000_050));
    for record in [busy, driver] {
        snapshot
            .frameworks
            .insert(record.id.clone(), Arc::new(record));
    }
    snapshot.completed_frameworks.push_back(Arc::new(ended));

    let info: AgentInfo = read(
        r#"{"hostname":"h","port":5051,"id":{"value":"M-S0"},
        "attributes":[{"name":"rack","type":"TEXT","text":{"value":"r1"}},
            {"name":"size","type":"SCALAR","scalar":{"value":2.5}}],
        "domain":{"fault_domain":{"region":{"name":"r"},"zone":{"name":"z"}}}}"#,
    );
    snapshot.recovered_agents.insert(
        "M-S9".into(),
        RecoveredAgent {
            info: Arc::new(AgentInfo {
                id: Some("M-S9".into()),
                ..info.clone()
            }),
        },
    );
    snapshot.agents.insert(
        agent_id.clone(),
        Arc::new(AgentRecord {
            id: agent_id,
            info: Arc::new(info),
            pid: "slave(1)@127.0.0.1:5051".parse().unwrap(),
            connected: true,
            active: true,
            version: "1.11.0".into(),
            capabilities: vec![read(r#"{"type":"MULTI_ROLE"}"#)],
            registered_time: Duration::from_millis(1_700_000_010_250),
            reregistered_time: None,
            total: parse("cpus:4;mem:1024;disk:100;ports:[31000-32000];cpus(eng):2"),
            checkpointed: Resources::default(),
            used: OrdMap::unit(FRAMEWORK.into(), used),
            offered,
            resource_version: None,
            tasks: OrdSet::unit((FRAMEWORK.into(), "t1".into())),
            executors: OrdMap::new(),
            offers: OrdSet::unit("M-O1".into()),
            operations: OrdMap::new(),
            kills: OrdSet::new(),
            observer: 1,
        }),
    );
    snapshot
        .metrics
        .active_tasks
        .insert(TaskState::TaskRunning, 1);
    snapshot
        .metrics
        .terminal_tasks
        .insert(TaskState::TaskFinished, 1);
    snapshot.metrics.reasons.insert(
        (
            TaskState::TaskLost,
            task_status::Source::Master,
            task_status::Reason::AgentRemoved,
        ),
        3,
    );
    snapshot
}

/// A request by its target, such as `/tasks?limit=1`.
fn ask(snapshot: &Snapshot, method: &str, target: &str, body: &str) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<_> = form(query.as_bytes());
    let request = Request {
        method,
        path,
        query: &query,
        content_type: None,
        accept: None,
        stream_id: None,
        last_event_id: None,
        host: None,
        body: body.as_bytes(),
    };
    answer(snapshot, &request)
}

fn reply(snapshot: &Snapshot, target: &str) -> Reply {
    match ask(snapshot, "GET", target, "") {
        Answer::Reply(reply) => reply,
        other => panic!("{target}: {other:?}"),
    }
}

fn body(snapshot: &Snapshot, target: &str) -> Value {
    let reply = reply(snapshot, target);
    assert_eq!(reply.status, 200, "{target}");
    assert_eq!(reply.content_type, Some(ContentType::Json), "{target}");
    serde_json::from_slice(&reply.body).unwrap()
}

fn refusal(snapshot: &Snapshot, target: &str) -> String {
    let reply = reply(snapshot, target);
    assert_eq!(reply.status, 400, "{target}");
    String::from_utf8(reply.body.to_vec()).unwrap()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn the_state_has_mesos_form() {
    insta::assert_snapshot!(pretty(&body(&busy(), "/state")));
}

#[test]
fn agents_are_shown_with_their_resources_in_full() {
    insta::assert_snapshot!(pretty(&body(&busy(), "/slaves")));
}

#[test]
fn the_summary_counts_tasks() {
    insta::assert_snapshot!(pretty(&body(&busy(), "/state-summary")));
}

#[test]
fn roles_have_what_they_and_those_below_them_have() {
    insta::assert_snapshot!(pretty(&body(&busy(), "/roles")));
}

#[test]
fn only_roles_that_the_operator_allows_are_shown_if_he_does_so() {
    let mut snapshot = busy();
    let mut config = (*snapshot.config).clone();
    config.policy.roles = Some(["eng/ops".to_owned()].into());
    snapshot.config = config.into();
    let roles = body(&snapshot, "/roles");
    let names: Vec<_> = roles["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["name"])
        .collect();
    assert_eq!(names, ["*", "eng", "eng/ops"]);
}

#[test]
fn metrics_have_mesos_names() {
    insta::assert_snapshot!(pretty(&body(&busy(), "/metrics/snapshot")));
    assert_eq!(
        refusal(&busy(), "/metrics/snapshot?timeout=bogus"),
        "Invalid timeout 'bogus': Failed to convert '' to number.\n"
    );
}

#[derive(Debug)]
struct TwoCpus;

impl Process for TwoCpus {
    fn metrics(&self) -> Vec<(String, f64)> {
        vec![("system/cpus_total".into(), 2.0)]
    }

    fn logging_level(&self) -> u32 {
        1
    }

    fn set_logging_level(&self, _: u32, _: Duration) {}

    fn list_files(&self, path: &str) -> Result<Vec<FileInfo>, Box<Reply>> {
        Ok(vec![FileInfo {
            path: format!("{path}/file"),
            ..FileInfo::default()
        }])
    }

    fn read_file(&self, _: &str, offset: u64, _: Option<u64>) -> Result<Piece, Box<Reply>> {
        Ok(Piece {
            size: offset + 2,
            data: b"hi".to_vec(),
        })
    }
}

#[test]
fn what_only_the_process_knows_is_among_the_metrics() {
    let snapshot = fresh();
    let request = Request {
        method: "GET",
        path: "/metrics/snapshot",
        query: &[],
        content_type: None,
        accept: None,
        stream_id: None,
        last_event_id: None,
        host: None,
        body: &[],
    };
    let Answer::Reply(reply) = answer_with(&snapshot, &request, &TwoCpus, &Earlier::default())
    else {
        panic!("no reply");
    };
    let metrics: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(metrics["system/cpus_total"], 2.0);
    assert_eq!(metrics["master/uptime_secs"], 60.0);
}

#[test]
fn records_are_selected_by_their_ids() {
    let snapshot = busy();
    let ids = |target: &str, list: &str, id: &str| -> Vec<String> {
        let body = body(&snapshot, target);
        let records = body[list].as_array().unwrap().iter();
        records
            .map(|r| r[id].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("/slaves?slave_id=M-S9", "slaves", "id"), [""; 0]);
    assert_eq!(
        ids("/slaves?slave_id=M-S9", "recovered_slaves", "id"),
        ["M-S9"]
    );
    assert_eq!(
        ids("/frameworks?framework_id=M-0001", "frameworks", "name"),
        ["old"]
    );
    assert_eq!(
        ids(
            "/frameworks?framework_id=M-0002",
            "completed_frameworks",
            "name"
        ),
        ["ended"]
    );
    assert_eq!(
        ids("/tasks?task_id=t3&framework_id=M-0000", "tasks", "id"),
        ["t3"]
    );
    assert_eq!(ids("/tasks?framework_id=nope", "tasks", "id"), [""; 0]);
}

#[test]
fn tasks_come_in_pages_and_in_order() {
    let snapshot = busy();
    let ids = |query: &str| -> Vec<String> {
        let body = body(&snapshot, &format!("/tasks?{query}"));
        let tasks = body["tasks"].as_array().unwrap().iter();
        tasks
            .map(|t| t["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(""), ["t3", "t1", "t2"]);
    assert_eq!(ids("order=asc&limit=-1"), ["t2", "t1", "t3"]);
    assert_eq!(ids("offset=1&limit=1"), ["t1"]);
    assert_eq!(ids("offset=9"), [""; 0]);
    assert_eq!(ids("limit=0"), [""; 0]);
}

#[test]
fn tasks_are_searched_and_counted_before_they_are_cut_into_pages() {
    let snapshot = busy();
    let found = |query: &str| -> (Vec<String>, Value) {
        let body = body(&snapshot, &format!("/tasks?order=asc&{query}"));
        let tasks = body["tasks"].as_array().unwrap().iter();
        let ids = tasks.map(|t| t["id"].as_str().unwrap().to_owned());
        (ids.collect(), body["total"].clone())
    };
    let all = (vec!["t2".to_owned(), "t1".into(), "t3".into()], Value::Null);
    assert_eq!(found(""), all);
    assert_eq!(found("search=&state="), all);
    let (ids, total) = found("search=T&limit=1&total=true");
    assert_eq!((ids, total), (vec!["t2".to_owned()], 3.into()));
    assert_eq!(found("search=3&total=true").0, ["t3"]);
    assert_eq!(found("search=nothing&total=true"), (vec![], 0.into()));
    assert_eq!(found("slave_id=nowhere").0, [""; 0]);
    assert_eq!(found("state=TASK_RUNNING").0, ["t1"]);
    assert_eq!(found("state=TASK_FINISHED,TASK_LOST").0, ["t3"]);
}

#[test]
fn the_history_of_a_task_is_told_in_whole_to_who_asks_for_it() {
    let snapshot = busy();
    let task = |query: &str| {
        let body = body(&snapshot, &format!("/tasks?task_id=t3{query}"));
        body["tasks"][0].clone()
    };
    assert!(task("")["history"].is_null());
    assert!(task("")["statuses"][0]["message"].is_null());
    let history = &task("&history=true")["history"];
    assert_eq!(history[0]["message"], "as told");
    assert_eq!(history[0]["reason"], "REASON_EXECUTOR_TERMINATED");
    assert_eq!(history[0]["healthy"], true);
}

#[test]
fn bad_parameters_of_tasks_are_refused() {
    for (query, sentence) in [
        (
            "limit=x",
            "Expecting 'limit' to be a number, but received 'x'",
        ),
        (
            "limit=",
            "Expecting 'limit' to be a number, but received ''",
        ),
        (
            "offset=1.5",
            "Expecting 'offset' to be a number, but received '1.5'",
        ),
        (
            "offset=-1",
            "Expecting 'offset' not to be negative, but received '-1'",
        ),
        (
            "order=sideways",
            "Expecting 'order' to be 'asc' or 'des', but received 'sideways'",
        ),
    ] {
        assert_eq!(refusal(&fresh(), &format!("/tasks?{query}")), sentence);
    }
}

#[test]
fn every_endpoint_has_all_its_names() {
    let snapshot = busy();
    for name in [
        "state",
        "slaves",
        "frameworks",
        "tasks",
        "roles",
        "flags",
        "state-summary",
    ] {
        let expected = reply(&snapshot, &format!("/{name}"));
        for target in [
            format!("/master/{name}"),
            format!("/{name}.json"),
            format!("/master/{name}.json"),
            format!("//master//{name}/"),
            format!("/{name}/M-S0"),
        ] {
            assert_eq!(reply(&snapshot, &target), expected, "{target}");
        }
    }
    for target in [
        "/",
        "/master",
        "/nope",
        "/files/browse",
        "/metric",
        "/redirect/x",
        "/%zz",
    ] {
        let answer = ask(&snapshot, "GET", target, "");
        assert!(matches!(answer, Answer::Elsewhere), "{target}: {answer:?}");
    }
}

#[test]
fn small_endpoints_answer_as_mesos_does() {
    let snapshot = fresh();
    assert_eq!(reply(&snapshot, "/master/health"), Reply::ok());
    assert_eq!(body(&snapshot, "/version")["version"], "1.11.0");
    assert_eq!(
        body(&snapshot, "/flags"),
        value!({"flags": {"log_dir": "/log"}})
    );
    let wrapped = reply(&snapshot, "/version?jsonp=cb");
    assert_eq!(wrapped.content_type, Some(ContentType::Javascript));
    assert!(wrapped.body.starts_with(b"cb({"));
    let redirect = reply(&snapshot, "/master/redirect");
    assert_eq!(redirect.status, 307);
    assert_eq!(
        redirect.headers,
        [("Location", "//127.0.0.1:5050".to_owned())]
    );
}

#[test]
fn a_teardown_names_its_framework_in_the_body() {
    let snapshot = fresh();
    let ask = |method: &str, body: &str| ask(&snapshot, method, "/master/teardown", body);
    let Answer::Teardown { framework_id } = ask("POST", "a=b&frameworkId=M%2D1+x\n") else {
        panic!("no teardown");
    };
    assert_eq!(framework_id.as_str(), "M-1 x");
    let Answer::Reply(reply) = ask("POST", "") else {
        panic!("no reply");
    };
    assert_eq!(
        reply.body,
        "Missing 'frameworkId' query parameter in the request body"
    );
    let Answer::Reply(reply) = ask("GET", "") else {
        panic!("no reply");
    };
    assert_eq!(reply.status, 405);
}

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
    let recordings = include_str!("../../../../tests/golden/http-master-1.11.0.jsonl");
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
        serde_json::from_str(include_str!("../../../../tests/golden/scenarios.json")).unwrap();
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
