//! Schedulers made with published packages, as they are: avmesos in Python, mesos-framework in JavaScript.

use std::process::Command;

use crate::support::clients;
use crate::support::daemon::Cluster;
use crate::support::golden::repository;
use crate::support::programs::Program;
use crate::support::{eventually, http};

#[test]
fn a_scheduler_of_avmesos_runs_kills_fails_over_and_reconciles() {
    if !clients::are_set_up() {
        return;
    }
    let cluster = Cluster::start();
    let mut program = clients::python("avmesos_scheduler.py");
    program.arg(cluster.master().to_string());
    let mut client = Program::start(&cluster.place, "avmesos", &mut program);
    client.line("gone");
    client.line("stopped");
    assert!(client.end().success());
    let subscribed = client.lines();
    let mut ids = subscribed
        .iter()
        .filter_map(|line| line.strip_prefix("subscribed "));
    let first = ids.next().expect("a subscription");
    assert!(first.ends_with(" 1.11.0"), "{first}");
    assert_eq!(ids.next(), Some(first));
    assert!(client.count("update lasting TASK_RUNNING REASON_RECONCILIATION") > 0);
    assert!(client.count("update lasting TASK_KILLED") > 0);
    assert_eq!(client.count("error"), 0);

    let state = http::get(cluster.master(), "/state").json();
    let framework = &state["completed_frameworks"][0];
    assert_eq!(framework["name"], "avmesos, à la carte");
    // Without the capability MULTI_ROLE, a framework has one role.
    assert_eq!(framework["role"], "av");
}

#[test]
fn the_example_of_mesos_framework_runs_its_task_again_and_again() {
    if !clients::are_set_up() {
        return;
    }
    let cluster = Cluster::start();
    // The example as it is published, but for the master's address, beside a package of the same name.
    let package = repository("target/clients/node_modules/mesos-framework");
    let example = std::fs::read_to_string(package.join("examples/commandScheduler.js"))
        .expect("the package's example");
    let port = cluster.master().port().to_string();
    let addressed = example
        .replace("172.17.11.101", "127.0.0.1")
        .replace("5050", &port);
    assert_ne!(addressed, example, "the example names a master");
    for folder in ["examples", "logs"] {
        std::fs::create_dir(cluster.place.join(folder)).expect("a folder");
    }
    let script = cluster.place.join("examples/scheduler.js");
    std::fs::write(&script, addressed).expect("a file");
    let index = format!("module.exports = require({:?});\n", package.join("index"));
    std::fs::write(cluster.place.join("index.js"), index).expect("a file");
    let mut program = Command::new("node");
    program.current_dir(cluster.place.path()).arg(script);
    let client = Program::start(&cluster.place, "example", &mut program);

    // Each takes ten seconds.
    eventually("a second task after the end of the first", || {
        let state = http::get(cluster.master(), "/state").json();
        let framework = &state["frameworks"][0];
        let ended = &framework["completed_tasks"][0];
        let next = &framework["tasks"][0];
        (ended["state"] == "TASK_FINISHED" && next["state"] == "TASK_RUNNING").then_some(())
    });
    let state = http::get(cluster.master(), "/state").json();
    assert_eq!(state["frameworks"][0]["name"], "My-first-Command-framework");
    let ports = state["frameworks"][0]["tasks"][0]["resources"]["ports"].clone();
    assert!(ports.as_str().is_some_and(|it| it.len() > 2), "{ports}");
    let errors: Vec<String> = client
        .lines()
        .into_iter()
        .filter(|line| line.contains("ERROR: "))
        .collect();
    assert_eq!(errors, [""; 0]);
}
