//! Every metric of Mesos is there, or there is a reason why not.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::daemon::{Cluster, agent_address, registered_agents};
use crate::support::eventually;
use crate::support::http::{self, operator_call};
use crate::support::scheduler::{framework, shell_task};

/// The names of Mesos 1.11; `{…}` stands for whatever a cluster has there.
const OF_MESOS: &str = include_str!("metrics/mesos-1.11.0.txt");

/// Beginnings of names that Meseta does not show, and why.
const ABSENT: [(&str, &str); 14] = [
    (
        "allocator/event_queue_dispatches",
        "the allocator is a part of the master's machine, without a queue of its own",
    ),
    ("allocator/mesos/event_queue_dispatches", "the same"),
    (
        "containerizer/docker/",
        "there is no Docker containerizer yet",
    ),
    (
        "containerizer/mesos/disk/project_ids",
        "there is no isolator of XFS quotas",
    ),
    (
        "containerizer/mesos/filesystem/",
        "containers share the agent's root file system",
    ),
    (
        "containerizer/mesos/provisioner/",
        "there are no images yet",
    ),
    (
        "master/task_lost/source_master/reason_invalid_offers",
        "is there once a task was lost in this way",
    ),
    (
        "master/task_lost/source_master/reason_slave_removed",
        "the same",
    ),
    (
        "master/task_lost/source_slave/reason_executor_terminated",
        "the same",
    ),
    (
        "registrar/log/",
        "the registry is one file, not a replicated log",
    ),
    (
        "resource_provider_manager/",
        "there are no resource providers yet",
    ),
    ("resource_providers/", "the same"),
    (
        "volume_gid_manager/",
        "volumes are the task's user's, not a group's",
    ),
    // A heading of the list, not a metric.
    ("allocator/mesos/quota\n", "no value has this name alone"),
];

#[test]
fn every_metric_of_mesos_is_shown_unless_there_is_nothing_to_show() {
    let cluster = Cluster::start();
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    let quota = json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [
        {"role": "web", "guarantees": {"cpus": {"value": 1}}, "limits": {"cpus": {"value": 4}}}]}});
    let mut info = framework("measured");
    info["roles"] = json!(["web"]);
    let answer = operator_call(cluster.master(), &quota);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let mut scheduler = cluster.subscribe(info);
    scheduler.start_and_see_running(&shell_task("t", "true"));
    scheduler.expect("TASK_FINISHED");

    let names = || -> BTreeSet<String> {
        let of = |address| {
            let shown = http::get(address, "/metrics/snapshot").json();
            let shown = shown.as_object().expect("an object").clone();
            shown.into_iter().map(|(name, value)| {
                assert!(value.is_f64(), "{name}: {value}");
                name
            })
        };
        of(cluster.master()).chain(of(agent)).collect()
    };
    let missing = || -> Vec<&str> {
        let shown = names();
        let of_mesos = OF_MESOS.lines().filter(|name| !is_absent(name));
        of_mesos
            .filter(|name| !shown.iter().any(|it| fits(name, it)))
            .collect()
    };
    eventually("every metric", || {
        let missing = missing();
        if !missing.is_empty() {
            eprintln!("missing: {missing:?}");
        }
        missing.is_empty().then_some(())
    });
    // What is shown is no reason to say that it is absent.
    let shown = names();
    let wrong: Vec<&str> = OF_MESOS
        .lines()
        .filter(|name| is_absent(name) && shown.iter().any(|it| fits(name, it)))
        .collect();
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn what_a_role_takes_and_declines_is_measured() {
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("measured"));
    let offer = scheduler.offer();
    let shown = || http::get(cluster.master(), "/metrics/snapshot").json();
    let role = &scheduler.role;
    let share = format!("allocator/mesos/roles/{role}/shares/dominant");
    let filters = format!("allocator/mesos/offer_filters/roles/{role}/active");
    // All of the agent lies in the offer.
    assert_eq!(shown()[&share], 1.0);
    assert_eq!(shown()[&filters], 0.0);
    scheduler.tell(json!({"type": "DECLINE", "decline": {
        "offer_ids": [offer["id"]], "filters": {"refuse_seconds": 3600}}}));
    eventually("the filter", || (shown()[&filters] == 1.0).then_some(()));
    assert_eq!(shown()[&share], 0.0);
    scheduler.tell(json!({"type": "REVIVE"}));
    eventually("its end", || (shown()[&filters] == 0.0).then_some(()));
    assert!(shown()["registrar/state_fetch_ms"].is_f64());
}

fn is_absent(name: &str) -> bool {
    let line = format!("{name}\n");
    ABSENT.iter().any(|(absent, _)| line.starts_with(absent))
}

/// Whether a name is one that a pattern stands for. Names of roles have slashes in them.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('{') {
        None => pattern == name,
        Some((before, rest)) => {
            let Some(rest_of_name) = name.strip_prefix(before) else {
                return false;
            };
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            let ends = rest_of_name.char_indices().map(|(at, c)| at + c.len_utf8());
            ends.into_iter()
                .any(|end| fits(after, &rest_of_name[end..]))
        }
    }
}
