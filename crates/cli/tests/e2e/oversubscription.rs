//! What agents lend beyond what they have: who is offered it, and how it is taken back.

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, RESOURCES};
use crate::support::scheduler::{framework, scalar, shell_task};
use crate::support::{eventually, http};

const LENDS: &str = "--resource_estimator=fixed:resources=cpus:2";

fn borrowing(name: &str) -> Value {
    let mut info = framework(name);
    let capabilities = info["capabilities"].as_array_mut().expect("capabilities");
    capabilities.push(json!({"type": "REVOCABLE_RESOURCES"}));
    info
}

fn revocable_cpus(offer: &Value) -> f64 {
    let resources = offer["resources"].as_array().into_iter().flatten();
    let revocable = resources.filter(|it| it.get("revocable").is_some());
    revocable
        .filter_map(|it| it["scalar"]["value"].as_f64())
        .sum()
}

/// Waits until the master knows what is lent, so that one offer holds all there is.
fn await_lent(cluster: &Cluster) {
    eventually("what is lent", || {
        let metrics = http::get(cluster.master(), "/metrics/snapshot").json();
        (metrics["master/cpus_revocable_total"] == 2.0).then_some(())
    });
}

fn borrower(id: &str, cpus: f64) -> Value {
    let mut task = shell_task(id, "sleep 1000");
    let mut lent = scalar("cpus", cpus);
    lent["revocable"] = json!({});
    task["resources"] = json!([lent, scalar("mem", 32.0)]);
    task
}

#[test]
fn what_is_lent_is_offered_to_those_who_can_lose_it_and_tasks_run_on_it() {
    let cluster = Cluster::with(&[
        RESOURCES,
        LENDS,
        "--oversubscribed_resources_interval=100ms",
    ]);
    await_lent(&cluster);
    let mut owner = cluster.subscribe(framework("owner"));
    let offer = owner.offer();
    assert!(revocable_cpus(&offer) < f64::EPSILON, "{offer}");
    owner.tell(json!({"type": "TEARDOWN"}));

    let mut scheduler = cluster.subscribe(borrowing("borrower"));
    let mut offer = scheduler.offer();
    while revocable_cpus(&offer) < 2.0 {
        offer = scheduler.offer();
    }
    let answer = scheduler.launch(&offer, &[borrower("t", 1.5)]);
    assert_eq!(answer.status(), 202, "{}", answer.text());
    scheduler.expect("TASK_STARTING");
    scheduler.expect("TASK_RUNNING");
    let metrics = eventually("the use of what is lent", || {
        let metrics = http::get(cluster.master(), "/metrics/snapshot").json();
        (metrics["master/cpus_revocable_used"] == 1.5).then_some(metrics)
    });
    assert_eq!(metrics["master/cpus_revocable_total"], 2.0);
    let offer = scheduler.offer();
    assert!((revocable_cpus(&offer) - 0.5).abs() < 1e-9, "{offer}");
    scheduler.kill("t");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
}

#[test]
fn a_machine_with_too_much_load_ends_its_borrowers() {
    // Any load is more than that.
    let modules = r#"--modules={"libraries":[{"file":"/usr/lib/libload_qos_controller.so",
        "modules":[{"name":"org_apache_mesos_LoadQoSController",
        "parameters":[{"key":"load_threshold_5min","value":"-1"}]}]}]}"#;
    let controller = "--qos_controller=org_apache_mesos_LoadQoSController";
    let cluster = Cluster::with(&[RESOURCES, LENDS, modules, controller]);
    await_lent(&cluster);
    let mut scheduler = cluster.subscribe(borrowing("borrower"));
    let mut offer = scheduler.offer();
    while revocable_cpus(&offer) < 1.0 {
        offer = scheduler.offer();
    }
    let tasks = [borrower("t", 1.0), shell_task("owner", "sleep 1000")];
    scheduler.launch(&offer, &tasks);
    let preempted = loop {
        let status = scheduler.acknowledged_update();
        if status["state"] != "TASK_STARTING" && status["state"] != "TASK_RUNNING" {
            break status;
        }
    };
    assert_eq!(preempted["task_id"]["value"], "t", "{preempted}");
    assert_eq!(preempted["state"], "TASK_GONE");
    assert_eq!(preempted["reason"], "REASON_CONTAINER_PREEMPTED");
    assert_eq!(
        preempted["message"],
        "Container preempted by QoS correction"
    );
    scheduler.kill("owner");
}
