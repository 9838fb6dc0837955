//! Where agents stand and which of them are offered: `--domain`, `--require_agent_domain`, `--whitelist`.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::daemon::{
    Place, RESOURCES, agent_command, meseta, registered_agents, scheduler_api, start_agent,
    start_master,
};
use crate::support::http::{self, operator_call};
use crate::support::scheduler::{Scheduler, Voice, framework};
use crate::support::{eventually, processes};

fn domain(region: &str) -> Value {
    json!({"fault_domain": {"region": {"name": region}, "zone": {"name": "z"}}})
}

#[test]
fn a_remote_agent_says_where_it_stands_and_is_for_frameworks_that_know_of_regions() {
    let place = Place::new();
    let file = place.join("domain.json");
    std::fs::write(&file, domain("here").to_string()).expect("a file");
    let here = format!("--domain=file://{}", file.display());
    let master = start_master(&place, &[&here, "--require_agent_domain"]);
    let master = master.address;
    let there = format!("--domain={}", domain("there"));
    let agent = start_agent(&place, master, 0, &[RESOURCES, &there]);

    let shown = registered_agents(master, 1).remove(0);
    assert_eq!(shown["domain"], domain("there"));
    let state = http::get(master, "/state").json();
    assert_eq!(state["domain"], domain("here"));
    assert_eq!(state["leader_info"]["domain"], domain("here"));
    assert_eq!(state["slaves"][0]["domain"], domain("there"));
    let own = http::get(agent.address, "/state").json();
    assert_eq!(own["domain"], domain("there"));
    let agents = operator_call(master, &json!({"type": "GET_AGENTS"})).json();
    let info = &agents["get_agents"]["agents"][0]["agent_info"];
    assert_eq!(info["domain"], domain("there"));
    let of_master = operator_call(master, &json!({"type": "GET_MASTER"})).json();
    let info = &of_master["get_master"]["master_info"];
    assert_eq!(info["domain"], domain("here"));

    let near = Scheduler::subscribe(scheduler_api(master), Voice::JSON, framework("near"));
    let mut aware = framework("aware");
    let known = aware["capabilities"].as_array_mut().expect("capabilities");
    known.push(json!({"type": "REGION_AWARE"}));
    let mut aware = Scheduler::subscribe(scheduler_api(master), Voice::JSON, aware);
    assert_eq!(aware.offer()["domain"], domain("there"));
    let why = http::get(master, &format!("/why?framework_id={}", near.id)).json();
    let reason = &why["roles"][0]["reasons"][0]["reason"];
    assert_eq!(*reason, "REGION_AWARE_MISSING", "{why}");
}

#[test]
fn an_agent_without_a_place_waits_before_a_master_that_asks_for_one() {
    let place = Place::new();
    let here = format!("--domain={}", domain("here"));
    let master = start_master(&place, &[&here, "--require_agent_domain"]);
    let agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    let dropped =
        || http::get(master.address, "/metrics/snapshot").json()["master/dropped_messages"].clone();
    eventually("a registration that is not taken", || {
        (dropped() != 0.0).then_some(())
    });
    registered_agents(master.address, 0);
    assert!(processes::runs(agent.pid()), "its tasks go on");
}

#[test]
fn a_place_must_have_a_region_and_a_zone() {
    for (flag, sentence) in [
        ("--domain={}", "`domain` must define `fault_domain`"),
        ("--domain=here", "expected a DomainInfo in JSON"),
        ("--whitelist=/no/such/file", "failed to read the file"),
    ] {
        let place = Place::new();
        let mut command = meseta();
        command
            .args(["master", "--ip=127.0.0.1", "--port=0", flag])
            .arg(format!("--work_dir={}", place.join("master").display()));
        let output = command.stdin(Stdio::null()).output().expect("its end");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(
            said.contains(sentence) && said.lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn only_agents_of_the_whitelist_are_offered_and_it_is_read_again() {
    let place = Place::new();
    let file = place.join("whitelist");
    std::fs::write(&file, "one\n").expect("a file");
    let list = format!("--whitelist=file://{}", file.display());
    let master = start_master(&place, &[&list]);
    let _agents = ["one", "two"].map(|name| {
        let own = Place::new();
        let hostname = format!("--hostname={name}");
        let mut command = agent_command(&own, master.address, 0, &[RESOURCES, &hostname]);
        let daemon = crate::support::daemon::Daemon::start(&own, name, &mut command);
        (daemon, own)
    });
    registered_agents(master.address, 2);
    let info = framework("listed");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    assert_eq!(scheduler.offer()["hostname"], "one");
    let why = http::get(
        master.address,
        &format!("/why?framework_id={}", scheduler.id),
    )
    .json();
    let reasons = why["roles"][0]["reasons"].as_array().expect("reasons");
    let listed = |it: &&Value| it["reason"] == "AGENT_NOT_WHITELISTED";
    let reason = reasons.iter().find(listed).expect("the reason");
    assert_eq!(reason["agents"], 1);
    std::fs::write(&file, "one\ntwo\n").expect("a file");
    assert_eq!(scheduler.offer()["hostname"], "two");
}
