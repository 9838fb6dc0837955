//! `examples/curl`: the script goes its whole way, by what the master remembers of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, Place, RESOURCES};
use crate::support::golden::repository;
use crate::support::{http, skip, within};

const LOOP: &str = "shell hello world loop";
const DOCKER: &str = "docker nginx";

/// The script waits for what takes its time, twice five seconds and once ten, and for a loaded machine.
const WHOLE_WAY: Duration = Duration::from_mins(2);

/// What the script said, and what the master and the machine remember.
struct Walk {
    said: String,
    framework: Value,
    /// How `docker` was called, a line for each call.
    docker: String,
}

/// Runs the script on a cluster on whose machine an engine answers, or none does.
fn walk(engine: &str) -> Option<Walk> {
    if Command::new("curl").arg("--version").output().is_err() {
        skip("curl is not installed");
        return None;
    }
    let place = Place::new();
    let (programs, called) = (place.join("bin"), place.join("called"));
    fs::create_dir(&programs).expect("a folder");
    let docker = programs.join("docker");
    let called_path = called.display();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = version ] && exit {engine}\necho \"$@\" >> {called_path}\nexec sleep 1000\n"
    );
    fs::write(&docker, script).expect("a program");
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).expect("its mode");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
    let environment = json!({"PATH": path});
    let environment = format!("--executor_environment_variables={environment}");
    let cluster = Cluster::in_place(place, &[RESOURCES, &environment]);
    let mut script = Command::new(repository("examples/curl/walk.sh"));
    script.env("PATH", path).arg(cluster.master().to_string());
    let (status, said) = finish(&cluster.place, &mut script);
    assert!(status.success(), "{status}: {said}");
    let state = http::get(cluster.master(), "/state").json();
    assert_eq!(state["frameworks"], json!([]));
    let framework = state["completed_frameworks"][0].clone();
    assert_eq!(framework["name"], "hello_world_framework");
    assert_eq!(framework["roles"], json!(["hello_world_role"]));
    assert_eq!(framework["tasks"], json!([]));
    let docker = fs::read_to_string(called).unwrap_or_default();
    Some(Walk {
        said,
        framework,
        docker,
    })
}

/// How the script ended, and what it said; that is less than a pipe holds.
fn finish(place: &Place, script: &mut Command) -> (ExitStatus, String) {
    let mut child = place.run("walk", script);
    let status = within(WHOLE_WAY, "the script's end", || {
        child.try_wait().expect("its state")
    });
    let output = child.stdout.take().expect("its output");
    let said = std::io::read_to_string(output).expect("what it said");
    (status, said)
}

/// The states of a task, from the first to the last.
fn states(framework: &Value, task: &str) -> Value {
    let tasks = framework["completed_tasks"].as_array().expect("tasks");
    let found = tasks.iter().find(|found| found["id"] == task);
    let found = found.unwrap_or_else(|| panic!("no '{task}' in {framework}"));
    let statuses = found["statuses"].as_array().expect("statuses");
    statuses.iter().map(|it| it["state"].clone()).collect()
}

#[test]
fn the_script_goes_its_whole_way() {
    let Some(walk) = walk("0") else { return };
    let whole_life = json!(["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    for task in [LOOP, DOCKER] {
        assert_eq!(states(&walk.framework, task), whole_life, "{}", walk.said);
    }
    let expected = "run --rm --name mesos-nginx -p 8080:80 nginx\n";
    assert_eq!(walk.docker, expected, "{}", walk.said);
    // Without acknowledgement the same update came again.
    let starting = |line: &&str| line.contains(&format!("'{LOOP}' is TASK_STARTING"));
    let starting: Vec<&str> = walk.said.lines().filter(starting).collect();
    assert!(starting.len() >= 2, "{}", walk.said);
    assert!(starting.iter().all(|it| *it == starting[0]), "{starting:?}");
    assert!(walk.said.ends_with("The end.\n"), "{}", walk.said);
}

#[test]
fn without_an_engine_the_script_says_so_and_goes_on() {
    let Some(walk) = walk("1") else { return };
    assert!(
        walk.said.contains("\nNo Docker engine answers here"),
        "{}",
        walk.said
    );
    assert_eq!(walk.docker, "");
    let tasks = walk.framework["completed_tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 1);
    assert!(walk.said.ends_with("The end.\n"), "{}", walk.said);
}

#[test]
fn a_master_that_is_not_there_ends_the_script() {
    let place = Place::new();
    let mut script = Command::new(repository("examples/curl/walk.sh"));
    let (status, said) = finish(&place, script.arg("127.0.0.1:1"));
    assert!(!status.success(), "{said}");
}
