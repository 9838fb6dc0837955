//! Published programs, as they are, which `cargo xtask test` puts into `target/readers`. Where they
//! can't be had, tests skip.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, agent_address, registered_agents};
use crate::support::golden::repository;
use crate::support::programs::Program;
use crate::support::scheduler::{Scheduler, framework, scalar, shell_task};
use crate::support::web::{self, Reply};
use crate::support::{eventually, http, skip};

/// A program of those for Python 3 (`three`) or Python 2 (`two`), if they are there.
fn program(python: &str, name: &str) -> Option<Command> {
    let folder = repository("target/readers");
    let program = folder.join(python).join("bin").join(name);
    if !folder.join("ready").exists() || !program.exists() {
        skip(&format!("{name} is not in target/readers/{python}"));
        return None;
    }
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    // Some start others of their package by name.
    let own = folder.join(python).join("bin");
    command
        .env("PATH", format!("{}:{path}", own.display()))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// One of `tests/readers`, which stands on such a package.
fn script(python: &str, name: &str) -> Option<Command> {
    let mut command = program(python, "python")?;
    command.arg(repository("tests/readers").join(name));
    Some(command)
}

/// What a program prints that succeeds.
fn told(command: &mut Command, words: &[&str]) -> String {
    let output = command.args(words).output().expect("the program");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {printed}{said}");
    printed
}

/// A cluster with a running task that has printed three lines, and the id of its framework.
fn cluster() -> (Cluster, Scheduler) {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("shop"));
    let command = "echo one; echo two; echo three; echo four >&2; sleep 1000";
    scheduler.start_and_see_running(&shell_task("cart.1", command));
    (cluster, scheduler)
}

#[test]
fn avmesos_cli_lists_agents_frameworks_and_tasks() {
    let Some(_) = program("three", "mesos-cli") else {
        return;
    };
    let (cluster, scheduler) = cluster();
    let file = cluster.place.join("cli.toml");
    let text = format!("[master]\naddress = \"{}\"\n", cluster.master());
    std::fs::write(&file, text).expect("a configuration");
    let run = |words: &[&str]| {
        let mut command = program("three", "mesos-cli").expect("it was there");
        told(command.env("MESOS_CLI_CONFIG", &file), words)
    };
    let agents = run(&["agent", "list"]);
    let row = agents.lines().nth(1).expect("an agent");
    let row: Vec<&str> = row.split_whitespace().collect();
    assert!(row[0].ends_with("-S0"), "{agents}");
    assert_eq!(row[1..], ["127.0.0.1", "True"]);
    let frameworks = run(&["framework", "list"]);
    assert!(
        frameworks.contains(&scheduler.id) && frameworks.contains("shop"),
        "{frameworks}"
    );
    let tasks = run(&["task", "list"]);
    assert!(
        tasks.contains("cart.1") && tasks.contains("TASK_RUNNING"),
        "{tasks}"
    );
    let inspected = run(&["task", "inspect", "cart.1"]);
    assert!(inspected.contains("container_status"), "{inspected}");
}

#[test]
fn mesos_cli_shows_tasks_with_their_use_and_reads_their_files() {
    let Some(_) = program("two", "mesos") else {
        return;
    };
    let (cluster, scheduler) = cluster();
    let file = cluster.place.join("cli.json");
    let settings = json!({"profile": "default", "default": {
        "master": cluster.master().to_string(),
        "response_timeout": 30, "log_level": "warning", "log_file": null,
    }});
    std::fs::write(&file, settings.to_string()).expect("a configuration");
    let run = |words: &[&str]| {
        let mut command = program("two", "mesos").expect("it was there");
        told(command.env("MESOS_CLI_CONFIG", &file), words)
    };
    eventually("the task's output", || {
        (run(&["cat", "cart.1", "stdout"]) == "one\ntwo\nthree\n").then_some(())
    });
    assert_eq!(run(&["cat", "cart.1", "stderr"]), "four\n");
    assert!(run(&["tail", "-n", "2", "cart.1"]).ends_with("two\nthree\n"));
    assert!(run(&["head", "-n", "1", "cart.1"]).ends_with("one\n"));
    let listed = run(&["ls", "cart.1"]);
    let is_listed = |line: &str| line.starts_with("-rw-r--r--") && line.ends_with("stdout");
    assert!(listed.lines().any(is_listed), "{listed}");
    assert_eq!(run(&["find", "cart.1"]), "stderr\nstdout\n");
    let shown = run(&["ps"]);
    let row = shown.lines().nth(1).expect("a task");
    assert!(
        row.contains("sh -c 'echo one; ec...") && row.contains("cart.1"),
        "{shown}"
    );
    assert!(row.contains(" MB ") && row.contains(" R "), "{shown}");
    let shown = run(&["frameworks"]);
    assert!(
        shown.contains(&scheduler.id) && shown.contains("shop"),
        "{shown}"
    );
    let state: Value = serde_json::from_str(&run(&["state"])).expect("JSON");
    assert_eq!(state["leader"], format!("master@{}", cluster.master()));
    let agent = run(&["state", "S0"]);
    let agent: Value = serde_json::from_str(&agent).expect("JSON");
    assert_eq!(agent[0]["frameworks"][0]["executors"][0]["id"], "cart.1");
}

#[test]
fn nagios_mesos_finds_all_well() {
    let Some(mut command) = script("two", "nagios_checks.py") else {
        return;
    };
    let (cluster, _scheduler) = cluster();
    let port = cluster.master().port().to_string();
    assert_eq!(
        told(&mut command, &["127.0.0.1", &port, "^sh.p$"]),
        "master health: 1\nactive slaves: 1.0\nactive leader: 1\nleader redirect: 1\n\
         framework ^sh.p$: 0.0\n"
    );
}

#[test]
fn mexec_finds_the_hosts_of_running_tasks() {
    let Some(mut command) = script("three", "mexec_finds.py") else {
        return;
    };
    let (cluster, _scheduler) = cluster();
    let master = cluster.master().to_string();
    assert_eq!(
        told(&mut command, &[&master, "cart.1"]),
        "cart.1 127.0.0.1\n"
    );
}

#[test]
fn mae_collects_the_metrics_of_tasks_that_say_where_they_are() {
    let Some(mut command) = program("three", "mae") else {
        return;
    };
    // A server of metrics in the place of a task's, on a port of its own.
    let port = web::serve(|_| Reply::ok("up{} 1.0")).port();
    let ports = format!("--resources=cpus:4;mem:4096;disk:10000;ports:[{port}-{port}]");
    let cluster = Cluster::with(&[&ports]);
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    let mut scheduler = cluster.subscribe(framework("shop"));
    let mut task = shell_task("measured", "sleep 1000");
    let range = json!({"begin": port, "end": port});
    task["resources"] = json!([
        scalar("cpus", 0.1),
        scalar("mem", 32.0),
        {"name": "ports", "type": "RANGES", "role": "*", "ranges": {"range": [range]}},
    ]);
    task["labels"] = json!({"labels": [{"key": "prometheus.metrics.enabled", "value": "true"}]});
    task["discovery"] = json!({"visibility": "CLUSTER", "ports": {"ports": [{"number": port}]}});
    scheduler.start_and_see_running(&task);

    // It says at which port it is found.
    command.args(["0", "127.0.0.1", &agent.port().to_string()]);
    let exporter = Program::start(&cluster.place, "mae", &mut command);
    let line = exporter.line("");
    let own: u16 = line
        .split_once("on port ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{line}"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, own));
    assert_eq!(http::get(address, "/metrics").text(), "up{} 1.0");
}
