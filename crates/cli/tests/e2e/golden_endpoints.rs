//! What the endpoints say while a task runs and after it, field by field, as on a genuine Mesos.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, agent_address, registered_agents};
use crate::support::golden::scenario;
use crate::support::http::{self, operator_call};
use crate::support::scheduler::{framework, scalar};

/// Objects whose keys are data: names of flags, resources, metrics or paths.
const FREE_KEYS: [&str; 3] = ["flags", "labels", "attributes"];

#[test]
fn documents_have_the_fields_of_mesos_while_a_task_runs_and_after_it() {
    let cluster = Cluster::with(&[
        "--resources=ports:[31000-32000];cpus:4;mem:4096;disk:10000",
        "--attributes=rack:r2d2;pod:demo,dev",
    ]);
    let master = cluster.master();
    let agent = agent_address(&registered_agents(master, 1)[0]);
    let mut info = framework("tutorial");
    info["roles"] = json!(["hello_world_role"]);
    let mut scheduler = cluster.subscribe(info);
    scheduler.start_and_see_running(&json!({
        "name": "shell hello world loop",
        "task_id": {"value": "shell hello world loop"},
        "command": {"shell": true, "value": "echo starting; exec sleep 1000"},
        "resources": [scalar("cpus", 1.0), scalar("mem", 128.0)],
    }));

    let recorded = scenario("tutorial")["endpoints"].clone();
    let mut missing = Vec::new();
    for (name, address, path) in [
        ("master /state", master, "/state"),
        ("master /state-summary", master, "/state-summary"),
        ("master /slaves", master, "/slaves"),
        ("master /frameworks", master, "/frameworks"),
        ("master /tasks", master, "/tasks"),
        ("master /roles", master, "/roles"),
        ("agent /state", agent, "/state"),
        ("agent /containers", agent, "/containers"),
        ("agent /monitor/statistics", agent, "/monitor/statistics"),
        ("agent /flags", agent, "/flags"),
    ] {
        compare(&recorded[name], name, address, path, &mut missing);
    }
    for call in [
        "GET_STATE",
        "GET_AGENTS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_TASKS",
        "GET_ROLES",
        "GET_OPERATIONS",
        "GET_MASTER",
        "GET_MAINTENANCE_STATUS",
    ] {
        let name = format!("master {call}");
        let answer = operator_call(master, &json!({"type": call}));
        compare_with(&recorded[&name], &name, &answer, &mut missing);
    }

    for call in [
        "GET_STATE",
        "GET_CONTAINERS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_TASKS",
        "GET_AGENT",
    ] {
        let name = format!("agent {call}");
        let answer = operator_call(agent, &json!({"type": call}));
        compare_with(&recorded[&name], &name, &answer, &mut missing);
    }

    let sandbox = cluster.place.sandbox_of("shell hello world loop");
    for path in [
        "/files/browse?path=SANDBOX",
        "/files/read?path=SANDBOX/stdout&offset=0&length=200",
        "/files/read?path=SANDBOX/stdout&offset=-1",
        "/files/read?path=SANDBOX/stderr&offset=0",
    ] {
        let folder = sandbox.to_str().expect("a path").replace(' ', "%20");
        let answer = http::get(agent, &path.replace("SANDBOX", &folder));
        let name = format!("agent {path}");
        compare_with(&recorded[&name], &name, &answer, &mut missing);
    }

    scheduler.kill("shell hello world loop");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    compare(
        &recorded["master /state after"],
        "master /state after",
        master,
        "/state",
        &mut missing,
    );
    compare(
        &recorded["master /tasks after"],
        "master /tasks after",
        master,
        "/tasks",
        &mut missing,
    );
    scheduler.tell(json!({"type": "TEARDOWN"}));
    scheduler.drain();
    let name = "master /state after teardown";
    compare(&recorded[name], name, master, "/state", &mut missing);
    assert!(
        missing.is_empty(),
        "{} fields are not as on Mesos:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

/// Reading endpoints whose paths below them mean something of their own.
const WITH_SUB_PATHS: [&str; 2] = ["/help", "/files"];

#[test]
fn every_reading_endpoint_answers_in_all_the_forms_that_clients_use() {
    let cluster = Cluster::start();
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    let mut wrong = Vec::new();
    for (address, prefixes) in [
        (cluster.master(), &["/master"][..]),
        (agent, &["/slave(1)", "/slave%281%29"]),
    ] {
        let document = http::get(address, "/openapi.json").json();
        let paths = document["paths"].as_object().expect("paths");
        let wraps = |operation: &Value| {
            let parameters = operation["parameters"].as_array();
            parameters.is_some_and(|all| all.iter().any(|it| it["name"] == "jsonp"))
        };
        let readable = paths.iter().filter(|(_, methods)| wraps(&methods["get"]));
        let readable: Vec<&String> = readable.map(|(path, _)| path).collect();
        assert!(readable.len() > 7, "{readable:?}");
        for path in readable {
            let ask = |method: &str, target: &str| {
                http::request(address, method, target, &[], None).expect("an answer")
            };
            // Those of files refuse a request without a path, in each form.
            let plain = ask("GET", path);
            let mut check = |target: String| {
                let answer = ask("GET", &target);
                let form = |answer: &http::Answer| {
                    let kind = answer.head.header("content-type").map(str::to_owned);
                    (answer.status(), kind)
                };
                if form(&answer) != form(&plain) {
                    wrong.push(format!("{target}: {:?}", form(&answer)));
                }
            };
            check(format!("{path}/"));
            check(format!("/{path}"));
            check(format!("{path}.json"));
            if !WITH_SUB_PATHS.iter().any(|it| path.starts_with(it)) {
                check(format!("{path}/below"));
            }
            if !path.starts_with("/files") {
                for prefix in prefixes {
                    check(format!("{prefix}{path}"));
                }
            }
            let head = head_of(address, path);
            let kind = plain.head.header("content-type").unwrap_or("none");
            let lines = [
                format!("HTTP/1.1 {} ", plain.status()),
                format!("\r\nContent-Type: {kind}\r\n"),
            ];
            if !lines.iter().all(|line| {
                head.to_ascii_lowercase()
                    .contains(&line.to_ascii_lowercase())
            }) {
                wrong.push(format!("HEAD {path}: {head}"));
            }
            // There is nothing behind it.
            assert!(
                head.find("\r\n\r\n")
                    .is_some_and(|end| end + 4 == head.len()),
                "{head}"
            );
            // Help is text unless it is asked for as JSON.
            if plain.status() == 200 && path != "/help" {
                let wrapped = ask("GET", &format!("{path}?jsonp=cb"));
                let kind = wrapped.head.header("content-type");
                assert_eq!(kind, Some("text/javascript"), "{path}");
                let text = wrapped.text();
                // As in Mesos: files come with a semicolon.
                let text = text.trim_end_matches(';');
                assert!(text.starts_with("cb(") && text.ends_with(')'), "{path}");
                // What is no function's name would be run in the page's name.
                let code = ask("GET", &format!("{path}?jsonp=alert(1)//"));
                assert_eq!(code.status(), 400, "{path}");
            }
        }
    }
    assert!(wrong.is_empty(), "these differ:\n{}", wrong.join("\n"));
}

/// All that a server sends to a HEAD.
fn head_of(address: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("a connection");
    let request = format!("HEAD {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Notes every field of the recorded document that ours lacks or has with another type.
fn compare(
    recorded: &Value,
    name: &str,
    address: SocketAddr,
    path: &str,
    missing: &mut Vec<String>,
) {
    compare_with(recorded, name, &http::get(address, path), missing);
}

fn compare_with(recorded: &Value, name: &str, answer: &http::Answer, missing: &mut Vec<String>) {
    assert_eq!(
        answer.head.header("content-type"),
        recorded["type"].as_str(),
        "{name}"
    );
    let mut expected = BTreeMap::new();
    shape("", &recorded["body"], &mut expected);
    let mut found = BTreeMap::new();
    shape("", &answer.json(), &mut found);
    for (field, kind) in expected {
        match found.get(&field) {
            None => missing.push(format!("{name}: no {field} ({kind})")),
            Some(other) if *other != kind => {
                missing.push(format!("{name}: {field} is {other}, not {kind}"));
            }
            Some(_) => {}
        }
    }
}

/// The path of every field in a document, with its type.
fn shape(path: &str, value: &Value, fields: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(items) => {
            for item in items {
                shape(&format!("{path}[]"), item, fields);
            }
            "an array"
        }
        Value::Object(members) => {
            if !FREE_KEYS.iter().any(|free| path.ends_with(free)) {
                for (key, member) in members {
                    shape(&format!("{path}.{key}"), member, fields);
                }
            }
            "an object"
        }
    };
    fields.insert(path.to_owned(), kind);
}
