//! Status updates as clients get them that acknowledge none.

use serde_json::json;

use crate::support::daemon::{Cluster, registered_agents};
use crate::support::scheduler::{framework, shell_task};
use crate::support::{eventually, http};

#[test]
fn answers_to_reconciliation_have_no_uuid_and_wait_for_no_acknowledgement() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("asks again"));
    scheduler.start_and_see_running(&shell_task("t", "sleep 1000"));
    for tasks in [
        json!([]),
        json!([{"task_id": {"value": "t"}}]),
        json!([{"task_id": {"value": "t"}}]),
    ] {
        scheduler.tell(json!({"type": "RECONCILE", "reconcile": {"tasks": tasks}}));
        let status = scheduler.update();
        assert_eq!(status["state"], "TASK_RUNNING");
        assert_eq!(status["reason"], "REASON_RECONCILIATION");
        assert!(status.get("uuid").is_none(), "{status}");
    }
}

#[test]
fn the_state_moves_on_with_the_retry_of_an_update_that_nobody_acknowledges() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("never acknowledges"));
    scheduler.start(&shell_task("t", "sleep 1000"));
    let state = || {
        let tasks = http::get(cluster.master(), "/tasks").json();
        tasks["tasks"][0]["state"].clone()
    };
    let first = scheduler.update();
    assert_eq!(first["state"], "TASK_STARTING");
    let again = scheduler.update();
    assert_eq!(
        (&again["state"], &again["uuid"]),
        (&first["state"], &first["uuid"])
    );
    // The retry has brought the latest state along.
    eventually("the task's latest state", || {
        (state() == "TASK_RUNNING").then_some(())
    });
}
