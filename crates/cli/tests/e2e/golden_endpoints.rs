//! What the endpoints say while a task runs and after it, field by field, as on a genuine Mesos.

use std::collections::BTreeMap;
use std::net::SocketAddr;

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
