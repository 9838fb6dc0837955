//! The operator API and the endpoints of master and agent answer as a genuine Mesos 1.11.0 did:
//! `tests/golden/http-master-1.11.0.jsonl` and `http-agent-1.11.0.jsonl`.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::daemon::{Cluster, agent_address, registered_agents};
use crate::support::{golden, http};

/// Where we knowingly give another answer, as `docs/differences.md` tells: the case, and our status.
const OTHERWISE: [(&str, u16); 11] = [
    // A cluster of one command keeps a log.
    ("get /files/read?path=/master/log&offset=-1", 200),
    // An earlier case has raised the level for a second, which may be over.
    ("get /logging/toggle", 200),
    ("get /state.json", 200),
    ("get /master/state.json", 200),
    ("get //state", 200),
    ("get /files/browse.json?path=/nope", 404),
    ("get /tasks?limit=x", 400),
    ("get /tasks?order=sideways", 400),
    // The page is there.
    ("get /", 200),
    // What shows the inside of Mesos's own program.
    ("get /registrar(1)/registry", 404),
    ("get /__processes__", 404),
];

#[test]
fn operators_are_answered_what_mesos_answered() {
    let cluster = Cluster::with(&["--resources=cpus:2;mem:1024;disk:1000;ports:[31000-31100]"]);
    registered_agents(cluster.master(), 1);
    prepare(cluster.master());
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in golden::master_requests() {
        let name = case["request"]["name"].as_str().expect("a name");
        if name.starts_with("sched-") || name.starts_with("sub-") {
            continue;
        }
        compared += 1;
        let answer = ask(cluster.master(), &case["request"]);
        let recorded = &case["response"];
        if let Some((_, status)) = OTHERWISE.iter().find(|(other, _)| *other == name) {
            assert_eq!(answer.status(), *status, "{name}");
        } else if recorded.get("closed_or_silent").is_some() {
            // A genuine master fell silent: this one does not.
            assert_eq!(answer.status(), 200, "{name}");
        } else if let Err(difference) = compare(name, recorded, &answer) {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    assert!(compared > 100, "only {compared} cases in the recording");
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn agents_answer_operators_and_executors_what_mesos_answered() {
    let cluster = Cluster::with(&["--resources=cpus:2;mem:1024;disk:1000;ports:[31000-31100]"]);
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    let mut wrong = Vec::new();
    let cases = golden::agent_requests();
    for case in &cases {
        let name = case["request"]["name"].as_str().expect("a name");
        let answer = ask(agent, &case["request"]);
        let recorded = &case["response"];
        // Older clients call it so.
        let is_alias = name == "agent get /state.json";
        if is_alias || recorded.get("closed_or_silent").is_some() {
            assert_eq!(answer.status(), 200, "{name}");
        } else if let Err(difference) = compare(name, recorded, &answer) {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    assert_eq!(cases.len(), 37);
    assert!(wrong.is_empty(), "these differ:\n{}", wrong.join("\n"));
}

/// What was there before the first recorded request.
fn prepare(master: SocketAddr) {
    let weights = br#"[{"role":"golden","weight":2.5}]"#;
    let quota = br#"{"role":"golden",
        "guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]}"#;
    for (method, path, body) in [
        ("PUT", "/weights", &weights[..]),
        ("POST", "/quota", &quota[..]),
    ] {
        let answer = http::request(master, method, path, &[], Some(body)).expect("an answer");
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    }
}

fn ask(address: SocketAddr, request: &Value) -> http::Answer {
    golden::ask(address, request)
        .and_then(http::Open::finish)
        .unwrap_or_else(|e| panic!("{request}: {e}"))
}

fn compare(name: &str, recorded: &Value, answer: &http::Answer) -> Result<(), String> {
    let header = |name: &str| recorded["headers"][name].as_str();
    let expected = (recorded["status"].as_u64(), header("Content-Type"));
    let found = (
        Some(u64::from(answer.status())),
        answer.head.header("content-type"),
    );
    if expected != found {
        return Err(format!("{expected:?} recorded, {found:?} answered"));
    }
    if header("Allow") != answer.head.header("allow") {
        return Err("another Allow".to_owned());
    }
    let text = recorded["body"].as_str().expect("a body");
    let is_text = header("Content-Type").is_some_and(|kind| kind.starts_with("text/plain"));
    if is_text && text != answer.text() && !golden::is_a_known_difference(name) {
        return Err(format!("{text:?} recorded, {:?} answered", answer.text()));
    }
    if header("Content-Type") == Some("application/json") {
        let recorded: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        return has_what_is_recorded(&recorded, &answer.json(), "");
    }
    Ok(())
}

/// Whether an object has every field that the recorded one has, as far as these are no data.
fn has_what_is_recorded(recorded: &Value, found: &Value, path: &str) -> Result<(), String> {
    let (Some(recorded), Some(found)) = (recorded.as_object(), found.as_object()) else {
        return Ok(());
    };
    for (field, value) in recorded {
        let is_data = path.contains("flags") || field.contains('/') || field.starts_with("git_");
        match found.get(field) {
            _ if is_data => {}
            None => return Err(format!("no {path}.{field}")),
            Some(other) => has_what_is_recorded(value, other, &format!("{path}.{field}"))?,
        }
    }
    Ok(())
}
