//! A genuine Mesos 1.11.0 beside ours: its agent under our master, our agent under its master.

use serde_json::{Value, json};

use crate::support::custom::python;
use crate::support::daemon::{
    Daemon, Place, agent_address, registered_agents, scheduler_api, start_agent, start_master,
};
use crate::support::eventually;
use crate::support::genuine::{Genuine, Oracle, oracle};
use crate::support::golden::repository;
use crate::support::scheduler::{
    Scheduler, Voice, framework, scalar, shell_task, task_on_volume, to_end_volume, to_make_volume,
    volume,
};

/// Our agent beside the genuine one of a genuine master, and a framework that is offered it.
fn our_agent(oracle: &Oracle, place: &Place) -> (Genuine, Daemon, Scheduler, Value) {
    let genuine = oracle.cluster(place, &[]);
    let flags = ["--resources=cpus:3;mem:512;disk:100"];
    let agent = start_agent(place, genuine.address, 0, &flags);
    registered_agents(genuine.address, 2);
    let info = framework("ours");
    let mut scheduler = Scheduler::subscribe(genuine.scheduler_api(), Voice::JSON, info);
    let offer = scheduler.offer_of(agent.address);
    (genuine, agent, scheduler, offer)
}

#[test]
fn a_genuine_agent_registers_with_our_master_and_runs_a_custom_executor() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let master = start_master(&place, &[]);
    let genuine = oracle.agent(&place, master.address, &[]);
    let agent = registered_agents(master.address, 1).remove(0);
    assert_eq!(agent["version"], "1.11.0");
    assert_eq!(agent_address(&agent), genuine.address);

    let info = framework("custom");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let program = repository("tests/oracle/executor.py")
        .canonicalize()
        .expect("the executor");
    scheduler.start(&json!({
        "name": "t",
        "task_id": {"value": "t"},
        "data": "d2VsbCBkb25l",
        "executor": {
            "type": "CUSTOM",
            "executor_id": {"value": "custom executor"},
            "framework_id": {"value": scheduler.id},
            "command": {
                "shell": true,
                "value": format!("exec {} {}", python(), program.display()),
            },
        },
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
    }));
    let running = scheduler.expect("TASK_RUNNING");
    assert_eq!(running["executor_id"]["value"], "custom executor");
    assert_eq!(running["message"], "started");
    let finished = scheduler.expect("TASK_FINISHED");
    assert_eq!(finished["message"], "well done");
    assert_eq!(finished["source"], "SOURCE_EXECUTOR");
    // The genuine agent gives the resources back, so it takes part in what follows, too.
    scheduler.offer();
}

#[test]
fn our_agent_registers_with_a_genuine_master_and_runs_a_command() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let (_genuine, _agent, mut scheduler, offer) = our_agent(&oracle, &place);
    let written = place.join("written");
    let command = format!("echo ran > {}", written.display());
    let answer = scheduler.launch(&offer, &[shell_task("t", &command)]);
    assert_eq!(answer.status(), 202, "{}", answer.text());
    scheduler.expect("TASK_STARTING");
    scheduler.expect("TASK_RUNNING");
    let finished = scheduler.expect("TASK_FINISHED");
    assert_eq!(finished["message"], "Command exited with status 0");
    assert_eq!(
        std::fs::read_to_string(written).expect("what the task wrote"),
        "ran\n"
    );
}

#[test]
fn a_genuine_agent_carries_out_our_masters_operations() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let master = start_master(&place, &[]);
    let _genuine = oracle.agent(&place, master.address, &[]);
    registered_agents(master.address, 1);
    let info = framework("operations");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let offer = scheduler.offer();
    scheduler.accept(&offer, &to_make_volume("v", 64.0));
    finish_volume(&mut scheduler);
    let folder = place.join("genuine/agents/0/work/volumes/roles/golden/v");
    assert!(folder.is_dir(), "the genuine agent made the volume");
    let offer = scheduler.offer_of_volume();
    scheduler.accept(&offer, &to_end_volume("v", 64.0));
    eventually("the end of the volume", || (!folder.exists()).then_some(()));
}

#[test]
fn our_agent_carries_out_a_genuine_masters_operations() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let (_genuine, _agent, mut scheduler, offer) = our_agent(&oracle, &place);
    let [reserve, create] = to_make_volume("v", 64.0);
    let writer = task_on_volume("w", "echo kept > data/file", volume("v", 64.0));
    let launch = scheduler.to_launch(&writer, &offer);
    scheduler.accept(&offer, &[reserve, create, launch]);
    finish_volume(&mut scheduler);
    scheduler.expect("TASK_STARTING");
    scheduler.expect("TASK_RUNNING");
    scheduler.expect("TASK_FINISHED");
    let folder = place.join("agent/volumes/roles/golden/v");
    assert!(folder.join("file").is_file());
    let offer = scheduler.offer_of_volume();
    scheduler.accept(&offer, &to_end_volume("v", 64.0));
    eventually("the end of the volume", || (!folder.exists()).then_some(()));
}

/// Both operations that make a volume end well.
fn finish_volume(scheduler: &mut Scheduler) {
    for _ in 0..2 {
        let status = scheduler.operation_status();
        assert_eq!(status["state"], "OPERATION_FINISHED", "{status}");
    }
}
