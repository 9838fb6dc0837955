//! A thousand small tasks through one agent: each ends well, and nothing is left of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, registered_agents};
use crate::support::scheduler::{Scheduler, framework, scalar, text};
use crate::support::{eventually, processes};

const TASKS: usize = 1000;

/// Tasks that fit into the agent at once: offers stay small.
const AT_ONCE: usize = 20;

fn task(number: usize) -> Value {
    let id = format!("t{number}");
    json!({
        "name": id,
        "task_id": {"value": id},
        "command": {"shell": true, "value": "true"},
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
    })
}

/// How many tasks of [`task`] an offer has room for.
fn room(offer: &Value) -> usize {
    let amount = |name: &str| {
        let resources = offer["resources"].as_array().expect("resources");
        resources
            .iter()
            .find(|resource| resource["name"] == name)
            .and_then(|resource| resource["scalar"]["value"].as_f64())
            .unwrap_or_default()
    };
    // A hair more than what is there, for tenths are not exact in binary.
    let fits = (1..=AT_ONCE).take_while(|count| {
        let count = f64::from(u32::try_from(*count).expect("a small number"));
        count * 0.1 < amount("cpus") + 0.001 && count * 32.0 < amount("mem") + 0.001
    });
    fits.count()
}

/// Runs tasks, as many at a time as offers allow, until all of these have ended.
fn run_all(scheduler: &mut Scheduler, numbers: std::ops::Range<usize>) -> BTreeMap<String, String> {
    let mut waiting: Vec<Value> = numbers.clone().map(task).collect();
    let mut ended = BTreeMap::new();
    while ended.len() < numbers.len() {
        let event = scheduler.any();
        match event["type"].as_str() {
            Some("OFFERS") => {
                for offer in event["offers"]["offers"].as_array().expect("offers") {
                    let count = room(offer).min(waiting.len());
                    let batch: Vec<Value> = waiting.drain(..count).collect();
                    let answer = scheduler.launch(offer, &batch);
                    assert_eq!(answer.status(), 202, "{}", answer.text());
                }
            }
            Some("UPDATE") => {
                let status = &event["update"]["status"];
                scheduler.acknowledge(status);
                if !matches!(
                    status["state"].as_str(),
                    Some("TASK_STARTING" | "TASK_RUNNING")
                ) {
                    let shown = format!("{} {}", text(&status["state"]), status["message"]);
                    ended.insert(text(&status["task_id"]["value"]), shown);
                }
            }
            _ => {}
        }
    }
    ended
}

#[test]
fn a_thousand_tasks_finish_and_leave_no_process_and_no_descriptor() {
    let cluster = Cluster::with(&["--resources=cpus:2;mem:1024;disk:1000"]);
    registered_agents(cluster.master(), 1);
    let daemon = cluster.daemon.pid();
    let mut scheduler = cluster.subscribe(framework("thousand"));
    // What is opened once and kept is open after the first round.
    run_all(&mut scheduler, 0..AT_ONCE);
    let (processes_before, descriptors_before) = settled(daemon);

    let ended = run_all(&mut scheduler, AT_ONCE..AT_ONCE + TASKS);
    assert_eq!(ended.len(), TASKS);
    let failed: Vec<_> = ended
        .iter()
        .filter(|(_, state)| !state.starts_with("TASK_FINISHED"))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");

    eventually("as few processes and descriptors as before", || {
        let processes = processes::descendants(daemon).len();
        let descriptors = processes::descriptors(daemon);
        (processes <= processes_before && descriptors <= descriptors_before).then_some(())
    });
}

/// Processes and descriptors of the daemon when no executor is left.
fn settled(daemon: u32) -> (usize, usize) {
    eventually("the end of every executor", || {
        processes::descendants(daemon).is_empty().then_some(())
    });
    (0, processes::descriptors(daemon))
}
