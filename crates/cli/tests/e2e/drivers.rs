//! Schedulers on the old driver: a peer of our own in both of its dialects, and the genuine one.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use meseta_proto::internal::{
    FrameworkErrorMessage, FrameworkRegisteredMessage, FrameworkReregisteredMessage,
    LostSlaveMessage, RescindResourceOfferMessage, StatusUpdateMessage,
};
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{CommandInfo, FrameworkInfo, Offer, Resource, TaskInfo, TaskState, value};

use crate::support::daemon::{Cluster, Place, start_agent, start_master};
use crate::support::driver::{Dialect, Driver, Force};
use crate::support::genuine::oracle;
use crate::support::{eventually, http};

const TASKS: usize = 100;

/// How much of an agent one task takes.
const SHARE: [(&str, f64); 2] = [("cpus", 0.1), ("mem", 32.0)];

/// A framework as old schedulers describe it: without capabilities, in the role of all.
fn framework(name: &str) -> FrameworkInfo {
    FrameworkInfo {
        user: "root".into(),
        name: name.into(),
        failover_timeout: Some(600.0),
        checkpoint: Some(true),
        ..Default::default()
    }
}

#[allow(deprecated, reason = "old schedulers write it there")]
fn scalar(name: &str, amount: f64) -> Resource {
    Resource {
        name: name.into(),
        r#type: value::Type::Scalar.into(),
        role: Some("*".into()),
        scalar: Some(value::Scalar { value: amount }),
        ..Default::default()
    }
}

fn task(id: &str, offer: &Offer, command: &str) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: id.into(),
        agent_id: offer.agent_id.clone(),
        resources: SHARE.map(|(name, amount)| scalar(name, amount)).to_vec(),
        command: Some(CommandInfo {
            value: Some(command.into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// How many tasks an offer has room for.
fn room(offer: &Offer) -> usize {
    let amount = |name: &str| {
        let resources = offer.resources.iter();
        let named = resources.filter(|resource| resource.name == name);
        let scalars = named.filter_map(|r: &Resource| Some(r.scalar?.value));
        scalars.sum::<f64>()
    };
    let fits = |count: &u32| {
        let count = f64::from(*count);
        SHARE
            .iter()
            .all(|(name, share)| share * count <= amount(name) + 0.0001)
    };
    (1..=20_u32).take_while(fits).count()
}

/// Runs tasks, as many at a time as offers allow, until all have ended; gives the last state of each.
fn run_all(driver: &mut Driver, count: usize) -> BTreeMap<String, TaskState> {
    let mut waiting: Vec<usize> = (0..count).collect();
    let mut running = 0;
    let mut ended = BTreeMap::new();
    while ended.len() < count {
        if running == 0 {
            let offer = driver.offer();
            let batch = waiting.split_off(waiting.len().saturating_sub(room(&offer)));
            running = batch.len();
            let tasks = batch.iter().map(|n| task(&format!("t{n}"), &offer, "true"));
            driver.launch(&offer, tasks.collect());
            continue;
        }
        let status = driver.update().update.status;
        match status.state() {
            TaskState::TaskStarting | TaskState::TaskRunning => {}
            state => {
                // An update comes again if its acknowledgement was not yet there.
                let is_new = ended.insert(status.task_id.to_string(), state).is_none();
                running -= usize::from(is_new);
            }
        }
    }
    ended
}

fn completed_frameworks(master: SocketAddr) -> usize {
    let state = http::get(master, "/state").json();
    state["completed_frameworks"].as_array().map_or(0, Vec::len)
}

#[test]
fn old_drivers_run_a_hundred_tasks_and_unregister() {
    for dialect in [Dialect::Legacy, Dialect::Call] {
        let cluster = Cluster::start();
        let master = cluster.master();
        let mut driver = Driver::register(master, dialect, framework("old"));
        let ended = run_all(&mut driver, TASKS);
        let not_finished = ended
            .iter()
            .filter(|(_, state)| **state != TaskState::TaskFinished)
            .count();
        assert_eq!((ended.len(), not_finished), (TASKS, 0), "{dialect:?}");
        // With the last acknowledgement, the last task has left the books.
        eventually("the end of all tasks in the master's books", || {
            let state = http::get(master, "/state").json();
            let framework = &state["frameworks"][0];
            let completed = framework["completed_tasks"].as_array()?.len();
            (completed == TASKS && framework["tasks"] == serde_json::json!([])).then_some(())
        });
        driver.unregister();
        eventually("the framework's end", || {
            (completed_frameworks(master) == 1).then_some(())
        });
    }
}

#[test]
fn an_old_driver_fails_over_with_its_id_and_reconciles() {
    for dialect in [Dialect::Legacy, Dialect::Call] {
        let cluster = Cluster::start();
        let master = cluster.master();
        let mut first = Driver::register(master, dialect, framework("old"));
        let offer = first.offer();
        first.launch(&offer, vec![task("long", &offer, "sleep 1000")]);
        while first.update().update.status.state() != TaskState::TaskRunning {}

        let known = FrameworkInfo {
            id: Some(first.id.clone()),
            ..framework("old")
        };
        let mut second = Driver::new(master, dialect);
        second.subscribe(known.clone(), Force::No);
        let refused: FrameworkErrorMessage = second.receive();
        assert_eq!(refused.message, "Framework failed over");
        second.subscribe(known, Force::Yes);
        let registered: FrameworkRegisteredMessage = second.receive();
        assert_eq!(registered.framework_id, first.id);
        let told: FrameworkErrorMessage = first.receive();
        assert_eq!(told.message, "Framework failed over");

        second.reconcile(&[]);
        let latest = reconciled(&mut second);
        assert_eq!(latest.state(), TaskState::TaskRunning);
        second.reconcile(&[("long", None), ("never", Some(&offer.agent_id))]);
        assert_eq!(reconciled(&mut second).state(), TaskState::TaskRunning);
        // It does not know more states than this one.
        assert_eq!(reconciled(&mut second).state(), TaskState::TaskLost);
        second.kill("never");
        assert_eq!(reconciled(&mut second).state(), TaskState::TaskLost);

        second.kill("long");
        while second.update().update.status.state() != TaskState::TaskKilled {}
        second.unregister();
    }
}

/// The master's answer to a question about a task: not to be acknowledged.
fn reconciled(driver: &mut Driver) -> meseta_proto::v1::TaskStatus {
    let message: StatusUpdateMessage = driver.receive();
    assert_eq!((&message.pid, &message.update.uuid), (&None, &None));
    let status = message.update.status;
    assert_eq!(status.uuid, None);
    assert_eq!(status.source(), Source::Master);
    assert_eq!(status.reason(), Reason::Reconciliation);
    status
}

#[test]
fn an_old_driver_that_subscribes_again_gets_its_offers_anew() {
    let cluster = Cluster::start();
    let mut driver = Driver::register(cluster.master(), Dialect::Call, framework("old"));
    let offer = driver.offer();
    let known = FrameworkInfo {
        id: Some(driver.id.clone()),
        ..framework("old")
    };
    driver.subscribe(known, Force::No);
    let rescinded: RescindResourceOfferMessage = driver.receive();
    assert_eq!(rescinded.offer_id, offer.id);
    let again: FrameworkReregisteredMessage = driver.receive();
    assert_eq!(again.framework_id, driver.id);
    assert_ne!(driver.offer().id, offer.id);
}

#[test]
fn an_old_driver_hears_of_the_loss_of_an_agent_and_its_tasks() {
    let place = Place::new();
    let flags = ["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=1"];
    let master = start_master(&place, &flags);
    let agent = start_agent(&place, master.address, 0, &["--resources=cpus:1;mem:512"]);
    let mut driver = Driver::register(master.address, Dialect::Legacy, framework("old"));
    let offer = driver.offer();
    driver.launch(&offer, vec![task("t", &offer, "sleep 1000")]);
    while driver.update().update.status.state() != TaskState::TaskRunning {}

    agent.kill9();
    let status = driver.update().update.status;
    assert_eq!(status.state(), TaskState::TaskLost);
    assert_eq!(status.reason(), Reason::AgentRemoved);
    assert!(status.unreachable_time.is_some());
    let lost: LostSlaveMessage = driver.receive();
    assert_eq!(lost.slave_id, offer.agent_id);
    driver.reconcile(&[("t", Some(&offer.agent_id))]);
    let again = reconciled(&mut driver);
    assert_eq!(again.state(), TaskState::TaskLost);
    assert_eq!(again.message(), "Reconciliation: Task is unreachable");
}

#[test]
fn the_genuine_driver_takes_over_gets_updates_and_is_failed_over() {
    let Some(oracle) = oracle() else {
        return;
    };
    let cluster = Cluster::start();
    let master = cluster.master();
    // The genuine one here cannot launch: its framework's task is launched for it.
    let mut ours = Driver::register(master, Dialect::Call, framework("oracle-fw"));
    let offer = ours.offer();
    let release = cluster.place.join("release");
    let command = format!("until [ -e {} ]; do sleep 0.05; done", release.display());
    ours.launch(&offer, vec![task("awaited", &offer, &command)]);
    while ours.update().update.status.state() != TaskState::TaskRunning {}

    let id = ours.id.to_string();
    let genuine = || oracle.driver(&cluster.place, master, &["", "", &id]);
    let first = genuine();
    let registered = first.line("CB registered fid=");
    assert!(registered.starts_with(&id), "{registered}");
    let told: FrameworkErrorMessage = ours.receive();
    assert_eq!(told.message, "Framework failed over");
    first.line("CB resourceOffers");

    std::fs::write(&release, "").expect("the sign to end");
    first.line("CB statusUpdate");
    eventually("the acknowledgement of the task's end", || {
        let state = http::get(master, "/state").json();
        let completed = state["frameworks"][0]["completed_tasks"].as_array()?;
        (completed.len() == 1 && completed[0]["state"] == "TASK_FINISHED").then_some(())
    });

    let second = genuine();
    second.line("CB registered fid=");
    assert_eq!(first.line("CB error "), "Framework failed over");
    second.line("CB resourceOffers");
}
