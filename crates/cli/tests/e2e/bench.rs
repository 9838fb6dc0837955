//! The load generator against real masters: what it emulates is taken for the real thing, and its
//! counts agree with theirs. How long anything takes is no matter here.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::daemon::{Place, finish, meseta, registered_agents, start_master};
use crate::support::genuine::oracle;
use crate::support::processes;

/// Every scenario, as small as it can be. Each checks its own counts against the master's, and fails
/// when they do not agree.
const SCENARIOS: [&str; 11] = [
    "register --agents 20 --warm-up 2 --ports 2",
    "failover --agents 6 --tasks 3 --completed 2 --frameworks 2 --warm-up 2",
    "decline --agents 5 --frameworks 6 --roles 3 --rounds 3 --warm-up 1",
    "launch --agents 4 --frameworks 2 --tasks 40 --slots 4 --warm-up 4",
    "launch --agents 1 --frameworks 1 --tasks 60 --slots 60 --warm-up 0 --duration 5ms --accept-every 2 --encoding json",
    "latency --agents 2 --bystanders 1 --samples 5 --warm-up 1",
    "state --agents 3 --tasks 2 --launches 10 --time 100ms --rest 5ms --warm-up 2",
    "events --subscribers 2 --agents 2 --tasks 10 --warm-up 2",
    "reconcile --agents 2 --tasks 20 --at-once 7 --rounds 2",
    "quota --roles 3 --share 2 --idle 10ms --warm-up 1",
    "soak --time 500ms --interval 100ms --agents 2 --frameworks 2 --at-once 2 --duration 5ms --warm-up 1",
];

/// Runs a scenario against a master, and gives its report.
fn drive(place: &Place, master: SocketAddr, scenario: &str) -> Value {
    let mut command = meseta();
    command
        .arg("bench")
        .args(scenario.split_whitespace())
        .arg(format!("--master={master}"))
        .args(["--json=-"]);
    let (status, printed) = finish(place, "bench", &mut command);
    assert!(status.success(), "{scenario}: {status}");
    let report: Value = serde_json::from_str(&printed).expect("a report");
    assert_eq!(report["scenario"], scenario.split(' ').next().unwrap());
    assert!(report["figures"].as_array().is_some_and(|f| !f.is_empty()));
    report
}

/// Nothing that emulated agents or frameworks said was refused, and nobody was told to end.
fn all_is_well(scenario: &str, report: &Value) {
    let notes = report["notes"].as_array().expect("notes");
    // On a busy machine something may be said twice; growth is told by a soak.
    let odd = |note: &&Value| {
        let note = note.as_str().unwrap_or_default();
        !note.contains("said again") && !note.ends_with("an hour")
    };
    assert_eq!(notes.iter().find(odd), None, "{scenario}: {report:#}");
}

#[test]
fn every_scenario_runs_on_our_master() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    for scenario in SCENARIOS {
        let report = drive(&place, master.address, scenario);
        all_is_well(scenario, &report);
        let cost = &report["cost"]["target"];
        assert!(cost["memory_after"].as_u64() > Some(0), "{report:#}");
        // It has left the master as it was.
        registered_agents(master.address, 0);
    }
}

#[test]
fn every_scenario_runs_on_a_genuine_master() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let genuine = oracle.cluster(&place, &[]);
    for scenario in SCENARIOS {
        drive(&place, genuine.address, scenario);
        registered_agents(genuine.address, 1);
    }
}

#[test]
fn the_null_target_shows_the_generators_own_ceiling() {
    let place = Place::new();
    let mut command = meseta();
    command.args(["bench", "launch", "--master=null", "--tasks=50", "--json=-"]);
    let (status, printed) = finish(&place, "bench", &mut command);
    assert!(status.success(), "{status}");
    let report: Value = serde_json::from_str(&printed).expect("a report");
    let share = report["cost"]["own_cpu_seconds"].as_f64();
    assert!(share > Some(0.0), "{report:#}");
}

#[test]
fn tasks_run_on_real_agents_that_survive_their_end() {
    let place = Place::new();
    let mut command = meseta();
    command
        .args(["bench", "tasks", "--tasks=10", "--at_once=5", "--json=-"])
        .args(["--samples=3", "--held=5", "--warm_up=3"])
        .env("TMPDIR", place.path());
    let (status, printed) = finish(&place, "bench", &mut command);
    assert!(status.success(), "{status}");
    let report: Value = serde_json::from_str(&printed).expect("a report");
    let figures = report["figures"].as_array().expect("figures");
    let figure = |name: &str| figures.iter().find(|figure| figure["name"] == name);
    assert_eq!(figure("executors").expect("executors")["count"], 5);
    let back = "the agent is back with the held tasks after kill -9";
    assert!(figure(back).is_some(), "{report:#}");
    let left = processes::with_traces_of(place.path());
    assert_eq!(left, [].into(), "it leaves no process behind");
}

#[test]
fn two_masters_are_compared_in_turns() {
    let place = Place::new();
    let elsewhere = Place::new();
    let [a, b] = [&place, &elsewhere].map(|place| start_master(place, &[]));
    let mut command = meseta();
    command
        .args(["bench", "compare", "--rounds=2"])
        .arg(format!("--a={}", a.address))
        .arg(format!("--b=http://{}", b.address))
        .arg(format!("--svg={}", place.join("plots").display()))
        .arg("register --agents 5 --warm_up 1");
    let (status, printed) = finish(&place, "bench", &mut command);
    assert!(status.success(), "{status}");
    assert!(printed.contains("| figure"), "{printed}");
    let plots = std::fs::read_dir(place.join("plots")).expect("a folder of plots");
    assert_eq!(plots.count(), 1);
}

#[test]
fn other_machines_are_left_alone_unless_that_is_meant() {
    let place = Place::new();
    let mut command = meseta();
    command.args(["bench", "register", "--master=192.0.2.1:5050"]);
    let (status, _) = finish(&place, "bench", &mut command);
    assert_eq!(status.code(), Some(1));
    let said = std::fs::read_to_string(place.join("bench.log")).expect("its errors");
    assert!(said.contains("--allow-remote"), "{said}");
}
