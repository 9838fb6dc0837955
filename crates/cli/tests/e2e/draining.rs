//! Agents that operators empty: their tasks end with grace, whoever dies meanwhile.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::daemon::{
    Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent, start_master,
    start_master_at,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{eventually, http, processes};

/// The agent comes back soon.
const FLAGS: [&str; 2] = [RESOURCES, "--registration_backoff_factor=10ms"];

fn operate(master: SocketAddr, call: &Value) -> (u16, String) {
    let answer = http::operator_call(master, call);
    (answer.status(), answer.text())
}

fn drain(master: SocketAddr, agent: &Value, how: &Value) {
    let mut call = json!({"type": "DRAIN_AGENT", "drain_agent": how});
    call["drain_agent"]["agent_id"] = json!({"value": agent["id"]});
    assert_eq!(operate(master, &call), (200, String::new()));
}

/// The only agent, once something holds for it.
fn agent_that(master: SocketAddr, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || {
        let answer = http::request(master, "GET", "/slaves", &[], None).ok()?;
        let agent = answer.json()["slaves"][0].clone();
        holds(&agent).then_some(agent)
    })
}

/// A task that takes its time to end, until there is a file `go`.
fn reluctant(id: &str, place: &Place) -> Value {
    let go = place.join("go");
    let command = format!(
        "trap 'until [ -e {} ]; do sleep 0.05; done; exit 0' TERM; while :; do sleep 0.05; done",
        go.display()
    );
    let mut task = shell_task(id, &command);
    task["kill_policy"] = json!({"grace_period": {"nanoseconds": 3_600_000_000_000_u64}});
    task
}

#[test]
fn a_drain_goes_on_through_the_death_of_agent_and_master() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let address = master.address;
    let agent = start_agent(&place, address, 0, &FLAGS);
    let before = registered_agents(address, 1).remove(0);
    let mut info = framework("drain");
    info["checkpoint"] = json!(true);
    info["failover_timeout"] = json!(600.0);
    let mut scheduler = Scheduler::subscribe(scheduler_api(address), Voice::JSON, info.clone());
    scheduler.start_and_see_running(&reluctant("t", &place));
    scheduler.offer();

    drain(address, &before, &json!({}));
    scheduler.event("RESCIND");
    let killing = scheduler.expect("TASK_KILLING");
    assert_eq!(killing["reason"], "REASON_AGENT_DRAINING");
    let shown = agent_that(address, "the drain", |it| it["deactivated"] == true);
    assert_eq!(shown["drain_info"]["state"], "DRAINING", "{shown}");
    assert_eq!(shown["active"], false);
    assert!(shown["estimated_drain_start_time_seconds"].is_number());
    let own = http::get(agent_address(&before), "/state").json();
    assert!(own["drain_config"].is_object(), "{own}");

    agent.kill9();
    let _agent = start_agent(&place, address, agent_address(&before).port(), &FLAGS);
    master.kill9();
    let _master = start_master_at(&place, address.port(), &[]);
    info["id"] = json!({"value": scheduler.disconnect()});
    let mut scheduler = Scheduler::subscribe(scheduler_api(address), Voice::JSON, info);
    let shown = agent_that(address, "the agent", |it| it["id"] == before["id"]);
    assert_eq!(shown["drain_info"]["state"], "DRAINING", "{shown}");
    let again = json!({"type": "REACTIVATE_AGENT", "reactivate_agent": {
        "agent_id": {"value": before["id"]}}});
    assert_eq!(
        operate(address, &again),
        (400, "Agent is still in the DRAINING state".to_owned())
    );

    std::fs::write(place.join("go"), "").expect("a word to the task");
    let killed = loop {
        let status = scheduler.acknowledged_update();
        if status["state"] != "TASK_KILLING" && status["state"] != "TASK_RUNNING" {
            break status;
        }
    };
    assert_eq!(killed["state"], "TASK_KILLED", "{killed}");
    assert_eq!(killed["reason"], "REASON_AGENT_DRAINING");
    agent_that(address, "the drain's end", |it| {
        it["drain_info"]["state"] == "DRAINED"
    });

    assert_eq!(operate(address, &again), (200, String::new()));
    scheduler.start_and_see_running(&shell_task("u", "sleep 1000"));
    let shown = agent_that(address, "the agent in use", |it| it["active"] == true);
    assert_eq!(shown["deactivated"], false);
    assert_eq!(shown.get("drain_info"), None);
    scheduler.kill("u");
    scheduler.expect("TASK_KILLING");
    let killed = scheduler.expect("TASK_KILLED");
    assert_ne!(killed["reason"], "REASON_AGENT_DRAINING");
}

#[test]
fn tasks_get_no_more_grace_than_the_drain_gives_and_the_agent_goes_if_it_is_to_go() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let agent = start_agent(&place, master.address, 0, &FLAGS);
    let before = registered_agents(master.address, 1).remove(0);
    let info = framework("drain");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    scheduler.start_and_see_running(&reluctant("t", &place));
    let how = json!({"max_grace_period": {"seconds": 1}, "mark_gone": true});
    drain(master.address, &before, &how);
    scheduler.expect("TASK_KILLING");
    let gone = scheduler.expect("TASK_GONE_BY_OPERATOR");
    assert_eq!(gone["reason"], "REASON_AGENT_DRAINING");
    assert_eq!(text(&gone["task_id"]["value"]), "t");
    registered_agents(master.address, 0);
    eventually("the agent's end", || {
        (!processes::runs(agent.pid())).then_some(())
    });
}

#[test]
fn a_deactivated_agent_is_not_offered_and_its_tasks_go_on() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let _agent = start_agent(&place, master.address, 0, &FLAGS);
    let before = registered_agents(master.address, 1).remove(0);
    let info = framework("deactivated");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let end = place.join("end");
    let command = format!("until [ -e {} ]; do sleep 0.05; done", end.display());
    scheduler.start_and_see_running(&shell_task("t", &command));
    let offer = scheduler.offer();
    let call = |kind: &str| {
        let field = kind.to_lowercase();
        json!({"type": kind, &field: {"agent_id": {"value": before["id"]}}})
    };
    let (status, said) = operate(master.address, &call("DEACTIVATE_AGENT"));
    assert_eq!((status, said.as_str()), (200, ""));
    assert_eq!(scheduler.event("RESCIND")["offer_id"], offer["id"]);
    std::fs::write(end, "").expect("a word to the task");
    scheduler.expect("TASK_FINISHED");
    let (status, said) = operate(master.address, &call("REACTIVATE_AGENT"));
    assert_eq!((status, said.as_str()), (200, ""));
    scheduler.offer();
}
