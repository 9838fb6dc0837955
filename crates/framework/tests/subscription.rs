//! The client against a master played by hand, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's way to fail"
)]

mod support;

use std::thread;

use meseta_framework::v1::FrameworkInfo;
use meseta_framework::v1::scheduler::{Event, call, event};
use meseta_framework::{
    Credential, Encoding, Error, Events, Incoming, Scheduler, Settings, subscribe,
};
use support::Master;

fn framework() -> FrameworkInfo {
    FrameworkInfo {
        user: "nobody".into(),
        name: "test".into(),
        ..FrameworkInfo::default()
    }
}

fn connect(masters: &[&Master]) -> (Scheduler, Events) {
    let mut settings = Settings::new("", framework());
    settings.masters = masters.iter().map(|m| m.address.clone()).collect();
    subscribe(settings)
}

async fn next_event(events: &mut Events) -> Event {
    match events.next().await.unwrap().unwrap() {
        Incoming::Event(event) => *event,
        Incoming::Disconnected { reason } => panic!("disconnected: {reason}"),
    }
}

async fn next_reason(events: &mut Events) -> String {
    match events.next().await.unwrap().unwrap() {
        Incoming::Event(event) => panic!("an event: {event:?}"),
        Incoming::Disconnected { reason } => reason,
    }
}

fn of(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind.into()),
        ..Event::default()
    }
}

#[tokio::test]
async fn a_framework_subscribes_hears_events_and_calls_in_either_encoding() {
    for (encoding, media_type) in [
        (Encoding::Json, "application/json"),
        (Encoding::Protobuf, "application/x-protobuf"),
    ] {
        let master = Master::start();
        let mut settings = Settings::new(&master.address, framework());
        settings.encoding = encoding;
        settings.suppressed_roles = vec!["quiet".into()];
        let (scheduler, mut events) = subscribe(settings);
        assert_eq!(scheduler.revive().await, Err(Error::NotSubscribed));

        let master = thread::spawn(move || {
            let (request, mut stream) = master.accept("s-1", 15.0);
            stream.send(&of(event::Type::Heartbeat));
            stream.send(&of(event::Type::Rescind));
            let mut revive = master.next();
            revive.answer("202 Accepted");
            let mut kill = master.next();
            kill.refuse("400 Bad Request", "no such thing");
            let mut suppress = master.next();
            suppress.answer("202 Accepted");
            (request, [revive, kill, suppress])
        });
        assert_eq!(
            next_event(&mut events).await.r#type(),
            event::Type::Subscribed
        );
        assert_eq!(next_event(&mut events).await.r#type(), event::Type::Rescind);
        assert_eq!(scheduler.framework_id(), Some("f".into()));
        scheduler.revive().await.unwrap();
        let refused = scheduler.kill("t".into(), None).await;
        assert!(
            matches!(&refused, Err(Error::Refused { status: 400, sentence, .. })
                if sentence == "no such thing"),
            "{refused:?}"
        );
        scheduler.suppress().await.unwrap();

        let (subscription, calls) = master.join().unwrap();
        let subscribe = subscription.call.subscribe.unwrap();
        assert_eq!(subscribe.framework_info.name, "test");
        assert_eq!(subscribe.suppressed_roles, ["quiet"]);
        assert!(subscription.head.contains(&format!("accept: {media_type}")));
        assert!(
            subscription
                .head
                .starts_with("post /master/api/v1/scheduler http/1.1")
        );
        for request in &calls {
            assert!(
                request.head.contains("mesos-stream-id: s-1"),
                "{}",
                request.head
            );
            assert_eq!(request.call.framework_id, Some("f".into()));
        }
        let kinds = calls.map(|r| r.call.r#type());
        assert_eq!(
            kinds,
            [call::Type::Revive, call::Type::Kill, call::Type::Suppress]
        );
    }
}

#[tokio::test]
async fn any_master_leads_to_the_leading_one() {
    let (follower, leader) = (Master::start(), Master::start());
    let (_, mut events) = connect(&[&follower]);
    let masters = thread::spawn(move || {
        let location = format!("//{}/api/v1/scheduler", leader.address);
        follower
            .next()
            .answer(&format!("307 Temporary Redirect\r\nLocation: {location}"));
        leader.accept("s", 15.0)
    });
    assert_eq!(
        next_event(&mut events).await.r#type(),
        event::Type::Subscribed
    );
    masters.join().unwrap();
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let master = Master::start();
    let (_, mut events) = connect(&[&master]);
    thread::spawn(move || {
        let location = format!("//{}/api/v1/scheduler", master.address);
        loop {
            master
                .next()
                .answer(&format!("307 Temporary Redirect\r\nLocation: {location}"));
        }
    });
    assert_eq!(
        next_reason(&mut events).await,
        "the masters redirect in a circle"
    );
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_as_the_same_framework() {
    let master = Master::start();
    let address = master.address.clone();
    let (scheduler, mut events) = connect(&[&master]);
    let master = thread::spawn(move || {
        drop(master.accept("s-1", 15.0));
        master.next().refuse("503 Service Unavailable", "no leader");
        let (again, _stream) = master.accept("s-2", 15.0);
        let mut call = master.next();
        call.answer("202 Accepted");
        (again, call)
    });
    next_event(&mut events).await;
    let reason = next_reason(&mut events).await;
    assert!(reason.contains(&address), "{reason}");
    assert_eq!(scheduler.framework_id(), None);
    let reason = next_reason(&mut events).await;
    assert!(reason.contains("status 503: no leader"), "{reason}");
    next_event(&mut events).await;
    scheduler.revive().await.unwrap();
    let (again, call) = master.join().unwrap();
    assert_eq!(again.call.framework_id, Some("f".into()));
    assert_eq!(
        again.call.subscribe.unwrap().framework_info.id,
        Some("f".into())
    );
    assert!(call.head.contains("mesos-stream-id: s-2"));
}

#[tokio::test]
async fn a_master_that_falls_silent_is_a_lost_one() {
    let master = Master::start();
    let (_, mut events) = connect(&[&master]);
    let address = master.address.clone();
    let streams = thread::spawn(move || (master.accept("s-1", 0.01), master.accept("s-2", 15.0)));
    next_event(&mut events).await;
    assert_eq!(
        next_reason(&mut events).await,
        format!("{address} has fallen silent")
    );
    next_event(&mut events).await;
    streams.join().unwrap();
}

#[tokio::test]
async fn the_next_master_is_asked_when_one_is_not_there() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let master = Master::start();
    let mut settings = Settings::new(gone.to_string(), framework());
    settings.masters.push(master.address.clone());
    let (_, mut events) = subscribe(settings);
    let master = thread::spawn(move || master.accept("s", 15.0));
    let reason = next_reason(&mut events).await;
    assert!(
        reason.starts_with(&format!("{gone} is not reached")),
        "{reason}"
    );
    next_event(&mut events).await;
    master.join().unwrap();
}

#[tokio::test]
async fn a_refusal_and_an_error_event_are_final() {
    let master = Master::start();
    let (_, mut events) = connect(&[&master]);
    let refusing = thread::spawn(move || master.next().refuse("403 Forbidden", "not you"));
    let refused = events.next().await;
    assert!(
        matches!(&refused, Err(Error::Refused { status: 403, .. })),
        "{refused:?}"
    );
    assert!(events.next().await.unwrap().is_none());
    refusing.join().unwrap();

    let master = Master::start();
    let (scheduler, mut events) = connect(&[&master]);
    let failing = thread::spawn(move || {
        let (_, mut stream) = master.accept("s", 15.0);
        let message = "Framework failed over".to_owned();
        stream.send(&Event {
            error: Some(event::Error { message }),
            ..of(event::Type::Error)
        });
        stream
    });
    next_event(&mut events).await;
    assert_eq!(
        next_event(&mut events).await.error.unwrap().message,
        "Framework failed over"
    );
    assert!(events.next().await.unwrap().is_none());
    assert_eq!(scheduler.revive().await, Err(Error::NotSubscribed));
    failing.join().unwrap();
}

#[tokio::test]
async fn a_wrong_address_is_told_at_once() {
    let mut settings = Settings::new("", framework());
    settings.masters = vec!["127.0.0.1:1".into(), "zk://me:hush@a:2181/mesos".into()];
    let (_, mut events) = subscribe(settings);
    let wrong = events.next().await.unwrap_err().to_string();
    assert!(
        wrong.contains("'zk://…@a:2181/mesos'") && wrong.contains("ZooKeeper"),
        "{wrong}"
    );
    assert!(events.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_credential_goes_with_subscription_and_calls() {
    let master = Master::start();
    let mut settings = Settings::new(&master.address, framework());
    settings.credential = Some(Credential::basic("me", "hush"));
    let (scheduler, mut events) = subscribe(settings);
    let master = thread::spawn(move || {
        let (subscription, stream) = master.accept("s", 15.0);
        let mut call = master.next();
        call.answer("202 Accepted");
        (subscription, call, stream)
    });
    next_event(&mut events).await;
    scheduler.revive().await.unwrap();
    let (subscription, call, _stream) = master.join().unwrap();
    for head in [subscription.head, call.head] {
        // Heads are read in lower case.
        let expected = format!("authorization: {}", "Basic bWU6aHVzaA==".to_lowercase());
        assert!(head.contains(&expected), "{head}");
    }
}
