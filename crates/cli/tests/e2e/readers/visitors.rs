//! What published command lines, pages, schedulers and executors ask a cluster for beside their own
//! API.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::world::World;
use crate::support::eventually;
use crate::support::http::{self, get};

#[test]
fn mesos_cli_finds_a_task_its_command_and_its_files() {
    let world = World::start();
    let state = get(world.master(), "/master/state.json").json();
    let agent = &state["slaves"][0];
    let (_, port) = agent["pid"]
        .as_str()
        .and_then(|it| it.rsplit_once(':'))
        .expect("a port");
    let host = format!("{}:{port}", agent["hostname"].as_str().expect("a host"));
    assert_eq!(host.parse(), Ok(world.agent));

    let state = get(world.agent, "/slave(1)/state.json").json();
    let executor = &state["frameworks"][0]["executors"][0];
    for list in ["completed_tasks", "tasks", "queued_tasks"] {
        assert!(executor[list].is_array(), "{list}");
    }
    assert_eq!(executor["tasks"][0]["id"], "web.1");
    let name = executor["name"].as_str().expect("a name");
    assert!(
        name.contains("(Command: sh -c 'echo one; ec...')"),
        "{name}"
    );

    let folder = executor["directory"].as_str().expect("a folder");
    let listed = get(world.agent, &format!("/files/browse.json?path={folder}")).json();
    let listed = listed.as_array().expect("a list");
    let stdout = format!("{folder}/stdout");
    let file = listed
        .iter()
        .find(|it| it["path"] == *stdout)
        .expect("stdout");
    for (field, is_right) in [
        ("mode", file["mode"] == "-rw-r--r--"),
        ("size", file["size"].is_u64()),
        ("nlink", file["nlink"] == 1),
        ("mtime", file["mtime"].is_number()),
        ("uid", file["uid"].is_string()),
        ("gid", file["gid"].is_string()),
    ] {
        assert!(is_right, "{field} of {file}");
    }
    let piece = |offset: i64, length: u32| {
        let target = format!("/files/read.json?path={stdout}&offset={offset}&length={length}");
        get(world.agent, &target).json()
    };
    // Where the file ends, and then backwards in pieces, as its `tail` reads.
    let size = eventually("the whole output", || {
        let end = piece(-1, 1024);
        assert_eq!(end["data"], "");
        (end["offset"] == 14).then_some(14)
    });
    assert_eq!(
        piece(size - 6, 1024),
        json!({"data": "three\n", "offset": 8})
    );
    assert_eq!(piece(0, 4), json!({"data": "one\n", "offset": 0}));
    assert_eq!(piece(size, 1024), json!({"data": "", "offset": 14}));
    let missing = format!("/files/read.json?path={folder}/none&offset=-1&length=1024");
    let answer = http::request(world.agent, "GET", &missing, &[], None).expect("an answer");
    assert_eq!(answer.status(), 404);
    assert!(
        get(world.agent, "/monitor/statistics.json")
            .json()
            .is_array()
    );
}

#[test]
fn the_page_of_mesos_gets_all_of_its_data_as_calls_of_a_function() {
    let world = World::start();
    let called = |address: SocketAddr, target: &str| -> Value {
        let sign = if target.contains('?') { '&' } else { '?' };
        let answer = get(
            address,
            &format!("{target}{sign}jsonp=angular.callbacks._0"),
        );
        assert_eq!(
            answer.head.header("content-type"),
            Some("text/javascript"),
            "{target}"
        );
        let text = answer.text();
        let inner = text
            .strip_prefix("angular.callbacks._0(")
            .and_then(|rest| rest.trim_end_matches(';').strip_suffix(')'))
            .unwrap_or_else(|| panic!("{target}: {text}"));
        serde_json::from_str(inner).expect("JSON")
    };
    let state = called(world.master(), "/master/state");
    let leader = &state["leader_info"];
    let host = format!(
        "{}:{}",
        leader["hostname"].as_str().expect("a host"),
        leader["port"]
    );
    assert_eq!(host.parse(), Ok(world.master()));
    for target in [
        "/metrics/snapshot",
        "/master/roles",
        "/master/maintenance/schedule",
        "/master/version",
        "/master/frameworks",
        "/master/slaves",
        "/master/tasks",
        "/master/state-summary",
    ] {
        assert!(called(world.master(), target).is_object(), "{target}");
    }
    let state = called(world.agent, "/slave(1)/state");
    let folder = &state["frameworks"][0]["executors"][0]["directory"];
    let folder = folder.as_str().expect("a folder");
    assert!(called(world.agent, "/monitor/statistics").is_array());
    assert!(called(world.agent, "/metrics/snapshot").is_object());
    let listed = called(world.agent, &format!("/files/browse?path={folder}"));
    assert!(
        listed.as_array().is_some_and(|list| list.len() >= 2),
        "{listed}"
    );
    // Its pailer asks for the end first.
    let end = called(
        world.agent,
        &format!("/files/read?path={folder}/stdout&offset=-1"),
    );
    assert!(end["offset"].is_u64(), "{end}");
}

#[test]
fn mesos_compose_and_m3s_post_where_others_get() {
    let world = World::start();
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Basic b3BzOnNlY3JldA=="),
        ("connection", "close"),
    ];
    let post = |target: &str| {
        let answer = http::request(world.master(), "POST", target, &headers, None);
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
        answer.json()
    };
    let agents = post(&format!("/slaves/{}", world.agent_id));
    let agent = &agents["slaves"][0];
    assert_eq!(agent["id"], world.agent_id);
    for field in ["hostname", "port", "pid", "attributes", "used_resources"] {
        assert!(!agent[field].is_null(), "{field} of {agent}");
    }
    let framework = &world.scheduler.id;
    let tasks = post(&format!("/tasks/?task_id=web.1&framework_id={framework}"));
    assert_eq!(tasks["tasks"][0]["id"], "web.1");
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(1));
    let tasks = post(&format!("/tasks/?task_id=none&framework_id={framework}"));
    assert_eq!(tasks["tasks"], json!([]));
}

#[test]
fn mae_asks_the_agent_for_its_tasks_below_the_api() {
    let world = World::start();
    let headers = [
        ("content-type", "application/json"),
        ("connection", "close"),
        ("accept", "*/*"),
    ];
    let call = br#"{"type": "GET_TASKS"}"#;
    let answer = http::request(world.agent, "POST", "/api/v1/state", &headers, Some(call));
    let answer = answer.expect("an answer").json();
    let task = &answer["get_tasks"]["launched_tasks"][0];
    assert_eq!(
        task["labels"]["labels"][0]["key"],
        "prometheus.metrics.enabled"
    );
    assert_eq!(task["discovery"]["ports"]["ports"][0]["number"], 31005);
}

#[test]
fn toils_executor_raises_the_agents_logging_and_reads_its_files() {
    let world = World::start();
    let answer = get(world.agent, "/logging/toggle?level=1&duration=15mins");
    assert_eq!(answer.text(), "");
    let state = get(world.agent, "/state").json();
    let folder = &state["frameworks"][0]["executors"][0]["directory"];
    let folder = folder.as_str().expect("a folder");
    let attached = get(world.agent, "/files/debug").json();
    let attached = attached.as_object().expect("an object");
    assert!(attached.values().any(|it| it == folder), "{attached:?}");
    eventually("the whole output", || {
        let target = format!("/files/download?path={folder}/stdout");
        (get(world.agent, &target).text() == "one\ntwo\nthree\n").then_some(())
    });
}

#[test]
fn the_command_line_of_mesos_finds_agents_frameworks_and_containers_of_tasks() {
    let world = World::start();
    let agent = &get(world.master(), "/slaves").json()["slaves"][0];
    let (_, address) = agent["pid"]
        .as_str()
        .and_then(|it| it.split_once('@'))
        .expect("a pid");
    assert_eq!(address.parse(), Ok(world.agent));
    assert_eq!(
        (&agent["active"], &agent["hostname"]),
        (&json!(true), &json!("127.0.0.1"))
    );
    let frameworks = get(world.master(), "/master/frameworks/").json();
    let framework = &frameworks["frameworks"][0];
    assert_eq!(
        (&framework["active"], &framework["hostname"]),
        (&json!(true), &json!(""))
    );
    let tasks = get(world.master(), "/tasks?order=asc&limit=-1").json();
    let task = &tasks["tasks"][0];
    let container = &task["statuses"][0]["container_status"]["container_id"]["value"];
    assert!(container.is_string(), "{task}");
}
