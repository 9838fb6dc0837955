//! What commands change on a cluster.

use super::{User, constant};
use crate::support::daemon::{Cluster, registered_agents};
use crate::support::eventually;
use crate::support::scheduler::{framework, shell_task};

#[test]
fn what_operators_change_is_seen_at_once() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let user = User::of(&cluster.place, cluster.master());
    let text = user.transcript(&[
        "agent deactivate S0",
        "agent list",
        "agent reactivate S0",
        "agent list",
        "weight set web=2 db=0.5",
        "weight list",
        "quota set web --guarantee=cpus:1 --limit=cpus:2;mem:512",
        "quota list",
        "quota remove web",
        "quota list",
        "reserve S0 cpus:1;mem:64;disk:512 --role=web",
        "volume create S0 v1 --role=web --size=128 --path=data",
        "volume grow S0 v1 --by=64",
        "volume shrink S0 v1 --by=32",
        "volume list",
        "unreserve S0 --role=web cpus:0.5",
        "unreserve S0 --role=web cpus:9",
        "agent show S0",
        "volume destroy S0 v1",
        "volume destroy S0 v1 --yes",
        "unreserve S0 --role=web",
        "unreserve S0 --role=web",
    ]);
    constant(|| insta::assert_snapshot!("changes", text));
}

#[test]
fn a_drained_agent_and_a_torn_down_framework_keep_no_task() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("shop"));
    scheduler.start_and_see_running(&shell_task("cart-1", "sleep 1000"));
    let user = User::of(&cluster.place, cluster.master());
    user.told(&["agent", "drain", "S0", "--grace=1s"]);
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    eventually("the drained agent", || {
        user.told(&["agent", "list"])
            .contains("  drained  ")
            .then_some(())
    });
    user.told(&["agent", "reactivate", "S0"]);
    scheduler.forget_ended_offers();
    scheduler.start_and_see_running(&shell_task("cart-2", "sleep 1000"));
    user.told(&["framework", "teardown", "shop", "--yes"]);
    assert_eq!(user.told(&["task", "list"]).lines().count(), 1);
    let ended = user.told(&["task", "list", "--all", "--state=killed"]);
    assert!(
        ended.contains("cart-1") && ended.contains("cart-2"),
        "{ended}"
    );
}

#[test]
fn machines_are_scheduled_taken_down_and_brought_up() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let user = User::of(&cluster.place, cluster.master());
    let text = user.transcript(&[
        "maintenance schedule S0 --start=2h --duration=90m",
        "maintenance schedule",
        "maintenance status",
        "maintenance start S0",
        "maintenance start 127.0.0.1 --yes",
        "maintenance status",
        "maintenance stop 127.0.0.1",
        "maintenance status",
        "maintenance schedule other/10.0.0.9 --start=2026-05-01T02:00:00Z",
        "maintenance schedule",
        "maintenance schedule --clear",
        "maintenance schedule",
    ]);
    constant(|| insta::assert_snapshot!("maintenance", text));
}
