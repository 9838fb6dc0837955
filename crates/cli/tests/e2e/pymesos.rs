//! pymesos, the published Python package, as it is: its drivers of schedulers, executors and operators.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::clients;
use crate::support::daemon::{
    Cluster, Daemon, Place, RESOURCES, agent_address, registered_agents, start_agent, start_master,
    start_master_at,
};
use crate::support::programs::Program;
use crate::support::{eventually, http};

const AGENT: [&str; 3] = [
    RESOURCES,
    "--registration_backoff_factor=10ms",
    // The executor tries again after two seconds at the earliest, four at the latest.
    "--executor_reregistration_timeout=15secs",
];

/// A cluster whose daemons die, and a framework of pymesos that has tasks in one executor.
struct World {
    scheduler: Program,
    agent: Option<Daemon>,
    master: Option<Daemon>,
    place: Place,
    /// While there is no such file, tasks run.
    sign: PathBuf,
}

impl World {
    fn start(tasks: &[&str]) -> Self {
        let place = Place::new();
        let master = start_master(&place, &["--allocation_interval=100ms"]);
        let agent = start_agent(&place, master.address, 0, &AGENT);
        let sign = place.join("sign");
        let mut arguments = vec![master.address.to_string(), sign.display().to_string()];
        arguments.extend(tasks.iter().map(|&task| task.to_owned()));
        let mut program = clients::python("pymesos_scheduler.py");
        let scheduler = Program::start(&place, "scheduler", program.args(&arguments));
        Self {
            scheduler,
            agent: Some(agent),
            master: Some(master),
            place,
            sign,
        }
    }

    fn give_the_sign(&self) {
        std::fs::write(&self.sign, "").expect("a file");
    }

    fn master(&self) -> SocketAddr {
        self.master.as_ref().expect("a running master").address
    }

    fn awaits(&self, line: &str) {
        eventually(line, || (self.scheduler.count(line) > 0).then_some(()));
    }

    /// Waits until neither side has anything left to say of two tasks that run: what they say to one who
    /// has just died ends their threads.
    fn is_quiet(&self) {
        eventually("greetings and thanks", || {
            let thanks = self.executor().matches("heard thanks").count();
            (thanks == 2).then_some(())
        });
        eventually("the acknowledgements", || {
            let metrics = http::get(self.master(), "/metrics/snapshot").json();
            let count = metrics["master/valid_status_update_acknowledgements"].as_f64();
            (count >= Some(2.0)).then_some(())
        });
    }

    /// What the executor has printed.
    fn executor(&self) -> String {
        std::fs::read_to_string(self.place.sandbox_of("waiting").join("stdout"))
            .expect("the executor's output")
    }

    fn executor_says(&self, line: &str) {
        eventually(line, || self.executor().contains(line).then_some(()));
    }

    /// The framework tears itself down when all of its tasks have ended.
    fn ends(mut self) {
        self.scheduler.line("stopped");
        assert!(self.scheduler.end().success());
        assert_eq!(self.scheduler.count("error"), 0);
        self.executor_says("shutdown");
        let state = http::get(self.master(), "/state").json();
        assert_eq!(state["frameworks"], json!([]));
        assert_eq!(state["completed_frameworks"][0]["name"], "pymesos");
    }
}

#[test]
fn a_scheduler_of_pymesos_runs_tasks_in_an_executor_of_pymesos() {
    if !clients::are_set_up() {
        return;
    }
    let world = World::start(&["one", "two", "killed", "three"]);
    let registered = world.scheduler.line("registered ");
    let (id, version) = registered.split_once(' ').expect("id and version");
    assert_eq!(version, "1.11.0");

    world.awaits("update killed TASK_KILLED");
    for task in ["one", "two", "three"] {
        world.awaits(&format!("update {task} TASK_RUNNING"));
        world.awaits(&format!("message waiting greetings of {task}"));
    }
    world.executor_says(&format!("registered waiting {id} "));
    world.executor_says("launched two data of two");
    let running = eventually("the end of the killed one in the books", || {
        let state = http::get(world.master(), "/state").json();
        let tasks = state["frameworks"][0]["tasks"].as_array()?.clone();
        (tasks.len() == 3).then_some(tasks)
    });
    assert_eq!(running[0]["executor_id"], "waiting");
    assert_eq!(running[0]["statuses"][0]["state"], "TASK_RUNNING");
    world.executor_says("heard thanks");

    world.give_the_sign();
    for task in ["one", "two", "three"] {
        world.awaits(&format!("update {task} TASK_FINISHED"));
    }
    world.ends();
}

#[test]
fn a_scheduler_of_pymesos_comes_back_after_the_death_of_the_master() {
    if !clients::are_set_up() {
        return;
    }
    let mut world = World::start(&["one", "two"]);
    let registered = world.scheduler.line("registered ");
    let (id, _) = registered.split_once(' ').expect("id and version");
    world.awaits("update two TASK_RUNNING");
    world.is_quiet();
    let master = world.master.take().expect("a running master");
    let address = master.address;
    master.kill9();
    world.awaits("disconnected");
    world.master = Some(start_master_at(
        &world.place,
        address.port(),
        &["--allocation_interval=100ms"],
    ));
    world.awaits(&format!("reregistered {id}"));
    registered_agents(address, 1);
    world.give_the_sign();
    world.awaits("update one TASK_FINISHED");
    world.awaits("update two TASK_FINISHED");
    world.ends();
}

#[test]
fn an_executor_of_pymesos_comes_back_after_the_death_of_the_agent() {
    if !clients::are_set_up() {
        return;
    }
    let mut world = World::start(&["one", "two"]);
    world.awaits("update one TASK_RUNNING");
    world.awaits("update two TASK_RUNNING");
    world.is_quiet();
    let master = world.master();
    let port = agent_address(&registered_agents(master, 1)[0]).port();
    world.agent.take().expect("a running agent").kill9();
    world.executor_says("disconnected");
    world.agent = Some(start_agent(&world.place, master, port, &AGENT));
    world.executor_says("reregistered");
    world.give_the_sign();
    world.awaits("update one TASK_FINISHED");
    world.awaits("update two TASK_FINISHED");
    assert_eq!(world.scheduler.count("lost"), 0);
    world.ends();
}

#[test]
fn the_scheduler_and_the_executor_that_pymesos_brings_along_run_processes() {
    if !clients::are_set_up() {
        return;
    }
    let cluster = Cluster::start();
    let mut program = clients::python("pymesos_processes.py");
    // The package hands this on in a field that no message has.
    program.env("PYTHONPATH", cluster.place.path());
    program.arg(cluster.master().to_string());
    let mut client = Program::start(&cluster.place, "processes", &mut program);
    client.line("stopped");
    assert!(client.end().success());
    let reports: Vec<Value> = client
        .lines()
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(
        reports,
        [
            json!({"output": "hello\n", "success": true, "status": 3, "message": null}),
            json!({"output": "ready\ncaught\n", "success": true, "status": 0}),
        ]
    );
}

#[test]
fn operators_see_a_cluster_through_pymesos() {
    if !clients::are_set_up() {
        return;
    }
    let cluster = Cluster::start();
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    let addresses = [cluster.master(), agent].map(|address| address.to_string());
    let mut program = clients::python("pymesos_operator.py");
    let mut operator = Program::start(&cluster.place, "operator", program.args(&addresses));
    operator.line("watching");
    for (call, answer) in [
        ("getHealth", "GET_HEALTH"),
        ("getTasks", "GET_TASKS"),
        ("getState", "GET_STATE"),
    ] {
        assert_eq!(operator.line(&format!("master {call} ")), answer);
        assert_eq!(operator.line(&format!("agent {call} ")), answer);
    }
    assert_eq!(operator.line("agent getContainers "), "GET_CONTAINERS");

    let sign = cluster.place.join("sign");
    std::fs::write(&sign, "").expect("a file");
    let arguments = [
        cluster.master().to_string(),
        sign.display().to_string(),
        "seen".into(),
    ];
    eventually("the operator's subscription", || {
        let metrics = http::get(cluster.master(), "/metrics/snapshot").json();
        (metrics["master/operator_event_stream_subscribers"] == 1.0).then_some(())
    });
    let mut program = clients::python("pymesos_scheduler.py");
    let mut scheduler = Program::start(&cluster.place, "scheduler", program.args(&arguments));
    scheduler.line("stopped");
    assert!(scheduler.end().success());
    operator.line("stopped");
    assert!(operator.end().success());
    assert_eq!(operator.line("event framework-added "), "pymesos");
    assert_eq!(operator.line("event task-added "), "seen");
    assert!(operator.count("event task-updated TASK_FINISHED") > 0);
    assert_eq!(operator.line("event framework-removed "), "pymesos");
}
