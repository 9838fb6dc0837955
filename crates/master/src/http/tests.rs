use std::collections::BTreeMap;
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
mod recorded;
mod tasks;

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
    ask_with(snapshot, method, target, body, &Earlier::default())
}

fn ask_with(
    snapshot: &Snapshot,
    method: &str,
    target: &str,
    body: &str,
    earlier: &Earlier,
) -> Answer {
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
    answer_with(snapshot, &request, &NoProcess, earlier)
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
