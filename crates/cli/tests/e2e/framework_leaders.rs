//! The SDK finds the leading master in a real ZooKeeper, where the nodes of two of our masters are as
//! Mesos's masters make them, and follows the lead.

use std::net::SocketAddr;

use meseta_framework::v1::FrameworkInfo;
use meseta_framework::{Events, Happening, Scheduler, Settings, subscribe};
use tokio::time::timeout;

use crate::support::daemon::{Daemon, Place, start_master};
use crate::support::examples::this_user;
use crate::support::zookeeper::{ZooKeeper, is_installed};
use crate::support::{PATIENCE, eventually, http, skip};

const PATH: &str = "/clusters/mesos";

fn connect(ensemble: String) -> (Scheduler, Events) {
    let framework = FrameworkInfo {
        user: this_user(),
        name: "follower".into(),
        failover_timeout: Some(3600.0),
        ..FrameworkInfo::default()
    };
    subscribe(Settings::new(ensemble, framework))
}

async fn next(events: &mut Events) -> Happening {
    let next = timeout(PATIENCE, events.next()).await.expect("a happening");
    next.expect("no refusal").expect("no end").into_happening()
}

/// The reason of the next disconnection.
async fn disconnected(events: &mut Events) -> String {
    loop {
        match next(events).await {
            Happening::Disconnected { reason } => return reason,
            Happening::Offers(_) => {}
            happening => panic!("{happening:?}"),
        }
    }
}

/// Waits until the framework is subscribed; its id.
async fn subscribed(events: &mut Events) -> String {
    loop {
        match next(events).await {
            Happening::Subscribed { framework_id, .. } => return framework_id.to_string(),
            Happening::Disconnected { .. } => {}
            happening => panic!("{happening:?}"),
        }
    }
}

/// The framework as a master has it.
fn is_connected_at(master: SocketAddr, id: &str) {
    eventually("the framework at its master", || {
        let state = http::get(master, "/state").json();
        let frameworks = state["frameworks"].as_array()?;
        let it = frameworks.iter().find(|it| it["id"] == id)?;
        (it["connected"] == true).then_some(())
    });
}

fn two_masters(places: &[Place; 2]) -> [Daemon; 2] {
    places.each_ref().map(|place| start_master(place, &[]))
}

#[tokio::test]
async fn a_framework_follows_the_lead_from_master_to_master() {
    if !is_installed() {
        return skip("no ZooKeeper, or no Java");
    }
    let (place, places) = (Place::new(), [Place::new(), Place::new()]);
    let zookeeper = ZooKeeper::start(&place);
    let (_, mut events) = connect(format!("zk://{}{PATH}", zookeeper.address));
    let reason = disconnected(&mut events).await;
    assert!(reason.contains("no master leads"), "{reason}");

    let [one, two] = two_masters(&places);
    let (first, second) = (zookeeper.session(None).await, zookeeper.session(None).await);
    first.contend(PATH, one.address).await;
    second.contend(PATH, two.address).await;
    let id = subscribed(&mut events).await;
    is_connected_at(one.address, &id);

    // The first loses ZooKeeper, and with it the lead, though it still answers.
    drop(first);
    let reason = disconnected(&mut events).await;
    let expected = format!(
        "{} does not lead any more, {} does",
        one.address, two.address
    );
    assert_eq!(reason, expected);
    assert_eq!(subscribed(&mut events).await, id);
    is_connected_at(two.address, &id);

    // The second dies; the first is back, behind it in the queue.
    let first = zookeeper.session(None).await;
    first.contend(PATH, one.address).await;
    two.kill9();
    disconnected(&mut events).await;
    drop(second);
    assert_eq!(subscribed(&mut events).await, id);
    is_connected_at(one.address, &id);
}

#[tokio::test]
async fn while_zookeeper_is_away_the_framework_stays_where_it_is() {
    if !is_installed() {
        return skip("no ZooKeeper, or no Java");
    }
    let (place, places) = (Place::new(), [Place::new(), Place::new()]);
    let mut zookeeper = ZooKeeper::start(&place);
    let [one, two] = two_masters(&places);
    let (first, second) = (zookeeper.session(None).await, zookeeper.session(None).await);
    first.contend(PATH, one.address).await;
    second.contend(PATH, two.address).await;
    let (scheduler, mut events) = connect(format!("zk://{}{PATH}", zookeeper.address));
    let id = subscribed(&mut events).await;

    zookeeper.kill9();
    // The master is asked and answers: the subscription is the same.
    scheduler.revive().await.expect("a master that takes calls");
    let zookeeper = ZooKeeper::start_at(&place, zookeeper.address);
    scheduler.revive().await.expect("a master that takes calls");
    is_connected_at(one.address, &id);

    drop(first);
    let reason = disconnected(&mut events).await;
    assert!(reason.contains(&two.address.to_string()), "{reason}");
    assert_eq!(subscribed(&mut events).await, id);
    is_connected_at(two.address, &id);
    drop(zookeeper);
}

#[tokio::test]
async fn nodes_that_are_not_for_everybody_are_read_with_a_credential() {
    if !is_installed() {
        return skip("no ZooKeeper, or no Java");
    }
    let (place, at) = (Place::new(), Place::new());
    let zookeeper = ZooKeeper::start(&place);
    let master = start_master(&at, &[]);
    let session = zookeeper.session(Some("me:hush")).await;
    session.contend("/private", master.address).await;
    let (_, mut stranger) = connect(format!("zk://{}/private", zookeeper.address));
    let reason = disconnected(&mut stranger).await;
    assert!(reason.contains("not authorized"), "{reason}");
    let (_, mut events) = connect(format!("zk://me:hush@{}/private", zookeeper.address));
    let id = subscribed(&mut events).await;
    is_connected_at(master.address, &id);
}
