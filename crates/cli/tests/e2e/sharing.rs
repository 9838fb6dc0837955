//! Who is offered what, for how long not, and why not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{
    Cluster, Place, RESOURCES, finish, meseta, registered_agents, start_master,
};
use crate::support::scheduler::{Scheduler, framework, shell_task};
use crate::support::{eventually, golden, http};

/// A framework in one role.
fn in_role(role: &str) -> Value {
    let mut info = framework(&format!("of-{role}"));
    info["roles"] = json!([role]);
    info
}

/// Makes an operator's call, which must be taken; its answer.
fn operator(master: SocketAddr, call: &Value) -> http::Answer {
    let answer = http::operator_call(master, call);
    assert_eq!(answer.status(), 200, "{call}: {}", answer.text());
    answer
}

fn set_quota(master: SocketAddr, config: &Value) {
    operator(
        master,
        &json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [config]}}),
    );
}

fn decline(scheduler: &Scheduler, offer: &Value, refuse_seconds: f64) {
    scheduler.tell(json!({"type": "DECLINE", "decline": {
        "offer_ids": [offer["id"]],
        "filters": {"refuse_seconds": refuse_seconds},
    }}));
}

fn scalar_of(offer: &Value, name: &str) -> f64 {
    let resources = offer["resources"].as_array().expect("resources").iter();
    resources
        .filter(|resource| resource["name"] == name)
        .filter_map(|resource| resource["scalar"]["value"].as_f64())
        .sum()
}

/// What `meseta why` prints about a framework.
fn why(cluster: &Cluster, framework: &str) -> String {
    let master = format!("--master={}", cluster.master());
    let mut command = meseta();
    let command = command.args(["why", framework, &master]);
    let (status, printed) = finish(&cluster.place, "why", command);
    assert!(status.success(), "{printed}");
    printed
}

/// Waits until `meseta why` names this reason for the one agent.
fn reason_is(cluster: &Cluster, framework: &str, reason: &str) {
    let line = format!("1 of 1 agent: {reason}\n");
    eventually(reason, || {
        why(cluster, framework).contains(&line).then_some(())
    });
}

#[test]
fn two_weighted_roles_share_an_agent_in_proportion() {
    let cluster = Cluster::with(&["--resources=cpus:0.9;mem:4096", "--weights=gold=2,silver=1"]);
    registered_agents(cluster.master(), 1);
    let mut schedulers = ["gold", "silver"].map(|role| cluster.subscribe(in_role(role)));
    let mut launched = [0, 0];
    for number in 0..9 {
        // All that is free lies with one of them at a time.
        let holder = eventually("an offer", || {
            let frameworks = http::get(cluster.master(), "/frameworks").json();
            let holds = |scheduler: &Scheduler| {
                let all = frameworks["frameworks"].as_array().expect("frameworks");
                all.iter().any(|framework| {
                    framework["id"] == scheduler.id.as_str() && framework["offers"] != json!([])
                })
            };
            schedulers.iter().position(holds)
        });
        let offer = schedulers[holder].offer();
        let task = shell_task(&format!("t{number}"), "sleep 1000");
        assert_eq!(schedulers[holder].launch(&offer, &[task]).status(), 202);
        launched[holder] += 1;
    }
    assert_eq!(launched, [6, 3]);
    let roles = http::get(cluster.master(), "/roles").json();
    let weight = |role: &str| {
        let all = roles["roles"].as_array().expect("roles");
        let found = all.iter().find(|found| found["name"] == role);
        found.expect("the role")["weight"].clone()
    };
    assert_eq!((weight("gold"), weight("silver")), (json!(2.0), json!(1.0)));
}

#[test]
fn a_quota_limit_holds() {
    let cluster = Cluster::start();
    set_quota(
        cluster.master(),
        &json!({"role": "golden", "limits": {"cpus": {"value": 0.2}, "mem": {"value": 64.0}}}),
    );
    let mut scheduler = cluster.subscribe(framework("limited"));
    let offer = scheduler.offer();
    assert!((scalar_of(&offer, "cpus") - 0.2).abs() < 1e-9, "{offer}");
    let tasks = ["a", "b"].map(|id| shell_task(id, "sleep 1000"));
    assert_eq!(scheduler.launch(&offer, &tasks).status(), 202);
    // TASK_STARTING and TASK_RUNNING of both.
    assert_eq!(scheduler.updates(4).len(), 4);
    reason_is(&cluster, "limited", "QUOTA_EXHAUSTED");
    let printed = why(&cluster, "limited");
    assert!(
        printed.contains(
            "Quota of golden: limit cpus:0.2; mem:64, in use or offered cpus:0.2; mem:64"
        ),
        "{printed}"
    );
    // What is freed below the limit comes back.
    scheduler.kill("a");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    let offer = scheduler.offer();
    assert!((scalar_of(&offer, "cpus") - 0.1).abs() < 1e-9, "{offer}");
}

#[test]
fn quotas_and_weights_outlive_the_master() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let quota = json!({"role": "golden", "guarantees": {"cpus": {"value": 0.0}},
        "limits": {"cpus": {"value": 0.2}}});
    set_quota(master.address, &quota);
    let weights = json!([{"role": "golden", "weight": 2.5}]);
    operator(
        master.address,
        &json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": weights}}),
    );
    master.kill9();
    let master = start_master(&place, &["--weights=golden=9"]);
    let status = operator(master.address, &json!({"type": "GET_QUOTA"})).json();
    let configs = &status["get_quota"]["status"]["configs"];
    assert_eq!(
        configs,
        &json!([{"role": "golden", "limits": {"cpus": {"value": 0.2}}}])
    );
    assert_eq!(http::get(master.address, "/weights").json(), weights);
    assert!(master.stop_by(Signal::TERM).success());
}

#[test]
fn a_declined_offer_stays_away_for_its_time_and_comes_back() {
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("patient"));
    let offer = scheduler.offer();
    let declined = Instant::now();
    decline(&scheduler, &offer, 2.0);
    reason_is(&cluster, "patient", "FILTERED");
    scheduler.offer();
    let away = declined.elapsed();
    assert!(away >= Duration::from_secs(2), "back after {away:?}");
    assert!(away < Duration::from_secs(10), "back after {away:?}");
}

#[test]
fn revive_brings_a_declined_offer_at_once() {
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("hasty"));
    let offer = scheduler.offer();
    decline(&scheduler, &offer, 100_000.0);
    reason_is(&cluster, "hasty", "FILTERED");
    scheduler.tell(json!({"type": "REVIVE"}));
    scheduler.offer();
}

#[test]
fn why_tells_that_offers_are_suppressed() {
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("quiet"));
    let offer = scheduler.offer();
    scheduler.tell(json!({"type": "SUPPRESS"}));
    decline(&scheduler, &offer, 0.0);
    reason_is(&cluster, "quiet", "SUPPRESSED");
}

#[test]
fn why_tells_that_resources_are_kept_for_a_guarantee() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let all = json!({"cpus": {"value": 4.0}, "mem": {"value": 4096.0}, "disk": {"value": 10000.0}});
    set_quota(
        cluster.master(),
        &json!({"role": "other", "guarantees": all}),
    );
    let _scheduler = cluster.subscribe(framework("poor"));
    reason_is(&cluster, "poor", "HELD_FOR_GUARANTEES");
}

#[test]
fn why_tells_that_too_little_is_free_and_what_is_missing() {
    let cluster = Cluster::with(&["--resources=cpus:0.005;mem:8;disk:1;ports:[31000-31000]"]);
    registered_agents(cluster.master(), 1);
    let _scheduler = cluster.subscribe(framework("large"));
    reason_is(&cluster, "large", "BELOW_MINIMUM");
    let printed = why(&cluster, "large");
    assert!(
        printed.contains("BELOW_MINIMUM, cpus:0.005; disk:1; mem:8 free, cpus:0.005 missing"),
        "{printed}"
    );
}

#[test]
fn why_tells_that_a_constraint_is_unmet() {
    let cluster = Cluster::start();
    let info = framework("choosy");
    let mut scheduler = cluster.subscribe(info.clone());
    let offer = scheduler.offer();
    let mut info = info;
    info["id"] = json!({"value": scheduler.id});
    let elsewhere = json!({"selector": {"pseudoattribute_type": "HOSTNAME"},
        "predicate": {"text_equals": {"value": "elsewhere"}}});
    let answer = scheduler.call(json!({"type": "UPDATE_FRAMEWORK", "update_framework": {
        "framework_info": info,
        "offer_constraints": {"role_constraints": {"golden": {"groups": [
            {"attribute_constraints": [elsewhere]},
        ]}}},
    }}));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    // Declining what is gone already changes nothing.
    decline(&scheduler, &offer, 0.0);
    reason_is(&cluster, "choosy", "CONSTRAINT_UNMET");
}

#[test]
fn why_tells_that_a_capability_is_missing() {
    let cluster = Cluster::with(&["--resources=cpus:1;mem:64;gpus:1"]);
    registered_agents(cluster.master(), 1);
    let _scheduler = cluster.subscribe(framework("modest"));
    reason_is(&cluster, "modest", "GPU_RESOURCES_MISSING");
}

#[test]
fn why_tells_that_others_have_everything() {
    let cluster = Cluster::start();
    let mut holder = cluster.subscribe(framework("first"));
    holder.offer();
    let _late = cluster.subscribe(framework("late"));
    reason_is(&cluster, "late", "NOTHING_FREE");
}

#[test]
fn why_tells_that_resources_are_reserved_to_others() {
    let cluster = Cluster::with(&[
        "--resources=cpus(other):1;mem(other):64;disk(other):1;ports(other):[1-2]",
    ]);
    registered_agents(cluster.master(), 1);
    let _scheduler = cluster.subscribe(framework("outsider"));
    reason_is(&cluster, "outsider", "RESERVED_TO_OTHERS");
}

#[test]
fn why_names_what_it_does_not_know() {
    let cluster = Cluster::with(&[RESOURCES]);
    let master = format!("--master={}", cluster.master());
    let mut command = meseta();
    let command = command.args(["why", "nobody", &master]);
    let (status, _) = finish(&cluster.place, "why", command);
    assert_eq!(status.code(), Some(1));
    let log = std::fs::read_to_string(cluster.place.join("why.log")).expect("its errors");
    assert_eq!(
        log,
        "error: no framework is named 'nobody'; `meseta framework list --all` lists them\n"
    );
}

#[test]
fn operators_calls_on_quotas_weights_and_maintenance_are_answered_as_by_mesos() {
    const OURS: [&str; 5] = [
        "quota",
        "weights",
        "maint-schedule",
        "maint-status-after",
        "post /master/maintenance/schedule",
    ];
    let cluster = Cluster::with(&["--resources=cpus:2;mem:1024;disk:1000;ports:[]"]);
    let master = cluster.master();
    registered_agents(master, 1);
    // What the recorded master had been told before.
    operator(
        master,
        &json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [
            {"role": "golden", "weight": 2.5},
        ]}}),
    );
    let one = json!({"cpus": {"value": 1.0}});
    set_quota(
        master,
        &json!({"role": "golden", "guarantees": one, "limits": one}),
    );
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in golden::master_requests() {
        let request = &case["request"];
        let name = request["name"].as_str().expect("a name");
        let is_ours = OURS.iter().any(|part| name.contains(part));
        if !is_ours || golden::is_a_known_difference(name) {
            continue;
        }
        compared += 1;
        let open = golden::ask(master, request).expect("an answer");
        let answer = open.finish().expect("an answer");
        let body = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        let found = json!([
            answer.status(),
            answer.head.header("content-type"),
            body(&answer.text())
        ]);
        let recorded = &case["response"];
        let expected = json!([
            recorded["status"],
            recorded["headers"]["Content-Type"],
            body(recorded["body"].as_str().expect("a body")),
        ]);
        if found != expected {
            wrong.push(format!(
                "{name}:\n  recorded {expected}\n  answered {found}"
            ));
        }
    }
    assert!(compared >= 24, "only {compared} cases in the recording");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
