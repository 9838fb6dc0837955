//! The scheduler endpoint answers as a genuine Mesos 1.11.0 did: `tests/golden/http-master-1.11.0.jsonl`.

use std::io::BufReader;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, registered_agents};
use crate::support::events::next_record;
use crate::support::{golden, http};

/// One answer, as far as a client depends on it.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u64,
    content_type: Option<String>,
    text: Text,
}

#[derive(Debug, PartialEq)]
enum Text {
    Plain(String),
    /// The first event of a stream, without what differs from run to run.
    Event(Value),
}

#[test]
fn the_scheduler_endpoint_answers_what_mesos_answered() {
    let cluster = Cluster::with(&["--resources=cpus:1;mem:1024;disk:1000;ports:[31000-31100]"]);
    registered_agents(cluster.master(), 1);
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in golden::master_requests() {
        let name = case["request"]["name"].as_str().expect("a name");
        if !(name.starts_with("sched-") || name.starts_with("sub-")) {
            continue;
        }
        compared += 1;
        let recorded = &case["response"];
        let found = match answer(cluster.master(), &case["request"]) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{name}: no answer: {error}"));
                continue;
            }
        };
        // A genuine master fell silent: any answer is better.
        if recorded.get("closed_or_silent").is_some() {
            continue;
        }
        let expected = outcome_of(recorded);
        let same_kind =
            (found.status, &found.content_type) == (expected.status, &expected.content_type);
        let excused = same_kind && golden::is_a_known_difference(name);
        if found != expected && !excused {
            wrong.push(format!(
                "{name}:\n  recorded {expected:?}\n  answered {found:?}"
            ));
        }
    }
    assert!(compared > 60, "only {compared} cases in the recording");
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(http::get(cluster.master(), "/health").status(), 200);
}

fn answer(master: SocketAddr, request: &Value) -> std::io::Result<Outcome> {
    let open = golden::ask(master, request)?;
    let status = u64::from(open.head.status);
    let content_type = open.head.header("content-type").map(str::to_owned);
    let text = if status == 200 {
        let record = next_record(&mut BufReader::new(open.body))
            .ok_or(std::io::Error::other("a stream without an event"))?;
        Text::Event(comparable(serde_json::from_slice(&record)?))
    } else {
        Text::Plain(open.finish()?.text())
    };
    Ok(Outcome {
        status,
        content_type,
        text,
    })
}

fn outcome_of(recorded: &Value) -> Outcome {
    let body = recorded["body"].as_str().expect("a recorded body");
    let status = recorded["status"].as_u64().expect("a status");
    let text = if status == 200 {
        let record = next_record(&mut body.as_bytes()).expect("a recorded event");
        Text::Event(comparable(serde_json::from_slice(&record).expect("JSON")))
    } else {
        Text::Plain(body.to_owned())
    };
    let content_type = recorded["headers"]["Content-Type"]
        .as_str()
        .map(str::to_owned);
    Outcome {
        status,
        content_type,
        text,
    }
}

/// An event with ids and addresses as their kind alone.
fn comparable(mut event: Value) -> Value {
    if event["type"] == "SUBSCRIBED" {
        let subscribed = &mut event["subscribed"];
        // Ids that the master made end in a counter; what a scheduler chose stays.
        let id = &mut subscribed["framework_id"]["value"];
        if id.as_str().is_some_and(|id| id.contains('-')) {
            *id = json!("of the master");
        }
        let info = &mut subscribed["master_info"];
        for field in ["id", "pid", "hostname", "version"] {
            info[field] = json!(info[field].is_string());
        }
        info["port"] = json!(info["port"].is_number());
        for field in ["hostname", "ip", "port"] {
            info["address"][field] = json!(!info["address"][field].is_null());
        }
        // What a master can do differs with its version.
        info["capabilities"] = json!(info["capabilities"].is_array());
    }
    event
}
