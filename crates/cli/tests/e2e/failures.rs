//! Deaths of every kind, and what schedulers are told of them.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::daemon::{
    Cluster, Daemon, Place, RESOURCES, agent_address, registered_agents, scheduler_api,
    start_agent, start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task};
use crate::support::{eventually, processes};

/// A task that writes its process id into a file and goes on for long.
fn long_task(id: &str, pid_file: &Path) -> Value {
    shell_task(
        id,
        &format!("echo $$ > {}; exec sleep 1000", pid_file.display()),
    )
}

fn pid_in(file: &Path) -> u32 {
    eventually("the task's process id", || {
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    })
}

fn gone(pid: u32) {
    eventually("the end of a process", || {
        (!processes::runs(pid)).then_some(())
    });
}

fn executor_pid(status: &Value) -> u32 {
    status["container_status"]["executor_pid"]
        .as_u64()
        .and_then(|pid| pid.try_into().ok())
        .unwrap_or_else(|| panic!("no executor_pid in {status}"))
}

#[test]
fn a_killed_task_fails_with_the_name_of_the_signal() {
    let cluster = Cluster::start();
    let file = cluster.place.join("pid");
    let mut scheduler = cluster.subscribe(framework("failures"));
    scheduler.start_and_see_running(&long_task("t", &file));
    processes::kill9(pid_in(&file));
    let failed = scheduler.expect("TASK_FAILED");
    assert_eq!(failed["message"], "Command terminated with signal Killed");
    assert_eq!(failed["source"], "SOURCE_EXECUTOR");
}

#[test]
fn a_killed_executor_fails_its_task_and_takes_its_processes_along() {
    let cluster = Cluster::start();
    let file = cluster.place.join("pid");
    let mut scheduler = cluster.subscribe(framework("failures"));
    let running = scheduler.start_and_see_running(&long_task("t", &file));
    let task = pid_in(&file);
    processes::kill9(executor_pid(&running));
    let failed = scheduler.expect("TASK_FAILED");
    assert_eq!(failed["source"], "SOURCE_AGENT");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    gone(task);
    // Its resources are free again.
    let offer = scheduler.offer();
    let cpus = offer["resources"]
        .as_array()
        .expect("resources")
        .iter()
        .find(|r| r["name"] == "cpus");
    assert!(cpus.is_some(), "{offer}");
}

#[test]
fn a_task_that_its_health_check_finds_sick_is_killed_and_its_checks_are_told() {
    let cluster = Cluster::start();
    let sick = cluster.place.join("sick");
    let mut task = shell_task("t", "sleep 1000");
    task["check"] = json!({
        "type": "COMMAND",
        "command": {"command": {"value": "exit 4"}},
        "delay_seconds": 0.0,
    });
    task["health_check"] = json!({
        "type": "COMMAND",
        "command": {"value": format!("test ! -e {}", sick.display())},
        "delay_seconds": 0.0,
        "interval_seconds": 0.05,
        "grace_period_seconds": 0.0,
        "consecutive_failures": 2,
    });
    let mut scheduler = cluster.subscribe(framework("failures"));
    let running = scheduler.start_and_see_running(&task);
    assert_eq!(running["healthy"], Value::Null);
    assert_eq!(
        running["check_status"],
        json!({"type": "COMMAND", "command": {}})
    );

    // The two are told in either order, and the later tells both.
    let updates = [
        scheduler.expect("TASK_RUNNING"),
        scheduler.expect("TASK_RUNNING"),
    ];
    let mut reasons = updates.each_ref().map(|update| update["reason"].as_str());
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            Some("REASON_TASK_CHECK_STATUS_UPDATED"),
            Some("REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")
        ]
    );
    let both = |status: &Value| (status["healthy"].clone(), status["check_status"].clone());
    let known = (
        json!(true),
        json!({"type": "COMMAND", "command": {"exit_code": 4}}),
    );
    assert_eq!(both(&updates[1]), known);
    scheduler.tell(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    assert_eq!(both(&scheduler.expect("TASK_RUNNING")), known);

    std::fs::write(&sick, "").expect("a file");
    for _ in 0..2 {
        let update = scheduler.expect("TASK_RUNNING");
        assert_eq!(update["reason"], "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED");
        assert_eq!(update["healthy"], false);
    }
    scheduler.expect("TASK_KILLING");
    let killed = scheduler.expect("TASK_KILLED");
    assert_eq!(killed["healthy"], false);
    assert_eq!(killed["reason"], Value::Null);
}

#[test]
fn the_tree_of_a_task_that_is_killed_ends_as_a_whole() {
    let cluster = Cluster::start();
    let child = cluster.place.join("child");
    let command = format!("sleep 1000 & echo $! > {}; wait", child.display());
    let mut scheduler = cluster.subscribe(framework("failures"));
    scheduler.start_and_see_running(&shell_task("t", &command));
    let child = pid_in(&child);
    scheduler.kill("t");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    gone(child);
}

/// A master with a short patience and an agent beside it.
struct Pair {
    master: Daemon,
    agent: Daemon,
    agent_port: u16,
    place: Place,
}

impl Pair {
    fn start() -> Self {
        let place = Place::new();
        let master = start_master(
            &place,
            &["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"],
        );
        let agent = start_agent(&place, master.address, 0, &[RESOURCES]);
        let agent_port = agent_address(&registered_agents(master.address, 1)[0]).port();
        Self {
            master,
            agent,
            agent_port,
            place,
        }
    }

    fn subscribe(&self, info: Value) -> Scheduler {
        Scheduler::subscribe(scheduler_api(self.master.address), Voice::JSON, info)
    }
}

/// A framework whose executors outlive the agent's process.
fn checkpointing(mut info: Value) -> Value {
    info["checkpoint"] = json!(true);
    info
}

/// A task that ends well as soon as a file is there.
fn until_told(id: &str, file: &Path) -> Value {
    shell_task(
        id,
        &format!("while ! test -e {}; do sleep 0.05; done", file.display()),
    )
}

/// Kills the agent, waits for the state that the master makes of its task, lets the task end while
/// nobody watches, and starts the agent again: its last update arrives.
fn an_agent_dies_and_comes_back(info: Value, lost_state: &str) {
    let pair = Pair::start();
    let signal = pair.place.join("end");
    let mut scheduler = pair.subscribe(checkpointing(info));
    let running = scheduler.start_and_see_running(&until_told("t", &signal));
    let executor = executor_pid(&running);
    let Pair {
        place,
        master,
        agent,
        agent_port,
    } = pair;
    agent.kill9();

    let lost = scheduler.update();
    assert_eq!(lost["state"], lost_state, "{lost}");
    assert_eq!(lost["source"], "SOURCE_MASTER");
    assert_eq!(lost["reason"], "REASON_AGENT_REMOVED");
    assert_eq!(lost["task_id"]["value"], "t");
    assert_eq!(
        lost.get("uuid"),
        None,
        "an update of the master wants no acknowledgement: {lost}"
    );
    assert!(
        processes::runs(executor),
        "the executor ended with the agent"
    );

    std::fs::write(signal, "").expect("a word to the task");
    let _agent = start_agent(&place, master.address, agent_port, &[RESOURCES]);
    let finished = scheduler.expect("TASK_FINISHED");
    assert_eq!(finished["task_id"]["value"], "t");
    assert_eq!(
        finished["agent_id"], running["agent_id"],
        "the agent kept its id"
    );
    registered_agents(master.address, 1);
    gone(executor);
}

#[test]
fn a_dead_agents_task_is_unreachable_and_finishes_when_the_agent_is_back() {
    an_agent_dies_and_comes_back(framework("partition-aware"), "TASK_UNREACHABLE");
}

#[test]
fn a_dead_agents_task_is_lost_to_a_framework_that_knows_no_partitions() {
    let mut info = framework("unaware");
    info["capabilities"] = json!([{"type": "MULTI_ROLE"}, {"type": "TASK_KILLING_STATE"}]);
    an_agent_dies_and_comes_back(info, "TASK_LOST");
}

#[test]
fn a_restart_of_the_agent_in_time_goes_unnoticed_by_its_tasks() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    let before = registered_agents(master.address, 1).remove(0);
    let signal = place.join("end");
    let info = checkpointing(framework("restart"));
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    scheduler.start_and_see_running(&until_told("t", &signal));
    agent.kill9();

    let port = agent_address(&before).port();
    let _agent = start_agent(&place, master.address, port, &[RESOURCES]);
    std::fs::write(signal, "").expect("a word to the task");
    scheduler.expect("TASK_FINISHED");
    let after = registered_agents(master.address, 1).remove(0);
    assert_eq!(after["id"], before["id"]);
}

#[test]
fn a_scheduler_that_comes_back_gets_the_updates_it_missed() {
    let cluster = Cluster::start();
    let signal = cluster.place.join("end");
    let mut info = framework("failover");
    info["failover_timeout"] = json!(600.0);
    let mut scheduler = cluster.subscribe(info.clone());
    scheduler.start_and_see_running(&until_told("t", &signal));
    let id = scheduler.disconnect();
    std::fs::write(signal, "").expect("a word to the task");

    info["id"] = json!({"value": id});
    let mut scheduler = cluster.subscribe(info);
    assert_eq!(scheduler.id, id);
    scheduler.expect("TASK_FINISHED");
}

#[test]
fn a_framework_without_failover_timeout_ends_with_its_connection() {
    let cluster = Cluster::start();
    let file = cluster.place.join("pid");
    let mut scheduler = cluster.subscribe(framework("brief"));
    scheduler.start_and_see_running(&long_task("t", &file));
    let task = pid_in(&file);
    let id = scheduler.disconnect();
    gone(task);

    let mut info = framework("brief");
    info["id"] = json!({"value": id});
    let refused = Scheduler::try_subscribe(cluster.scheduler_api(), Voice::JSON, info)
        .expect_err("a framework that is gone");
    assert_eq!(refused["error"]["message"], "Framework has been removed");
}
