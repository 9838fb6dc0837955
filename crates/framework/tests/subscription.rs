//! The client against a master that does as the test says, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's way to fail"
)]

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;

use meseta_framework::testing::{Answer, Master};
use meseta_framework::v1::scheduler::{Event, call, event};
use meseta_framework::v1::{FrameworkInfo, OperationStatus};
use meseta_framework::{
    Credential, Encoding, Error, Events, Happening, Scheduler, Settings, subscribe,
};

fn framework() -> FrameworkInfo {
    FrameworkInfo {
        user: "nobody".into(),
        name: "test".into(),
        ..FrameworkInfo::default()
    }
}

fn connect(masters: &[&Master]) -> (Scheduler, Events) {
    let mut settings = Settings::new("", framework());
    settings.masters = masters.iter().map(|m| m.address()).collect();
    subscribe(settings)
}

async fn next(events: &mut Events) -> Happening {
    events.next().await.unwrap().unwrap().into_happening()
}

async fn expect_subscribed(events: &mut Events) {
    let happening = next(events).await;
    assert!(
        matches!(happening, Happening::Subscribed { .. }),
        "{happening:?}"
    );
}

async fn next_reason(events: &mut Events) -> String {
    match next(events).await {
        Happening::Disconnected { reason } => reason,
        happening => panic!("{happening:?}"),
    }
}

fn refusal(status: u16, sentence: &str) -> Answer {
    Answer::Refusal(status, sentence.to_owned())
}

#[tokio::test]
async fn a_framework_subscribes_hears_events_and_calls_in_either_encoding() {
    for (encoding, media_type) in [
        (Encoding::Json, "application/json"),
        (Encoding::Protobuf, "application/x-protobuf"),
    ] {
        let mut master = Master::start().await;
        let mut settings = Settings::new(master.address(), framework());
        settings.encoding = encoding;
        settings.suppressed_roles = vec!["quiet".into()];
        let (scheduler, mut events) = subscribe(settings);
        assert_eq!(scheduler.revive().await, Err(Error::NotSubscribed));

        expect_subscribed(&mut events).await;
        let of = |kind: event::Type| Event {
            r#type: Some(kind.into()),
            ..Event::default()
        };
        master.send(&of(event::Type::Heartbeat));
        let offer = master.offer("cpus:1");
        assert_eq!(next(&mut events).await, Happening::Offers(vec![offer]));
        assert_eq!(scheduler.framework_id(), Some(master.framework_id()));
        scheduler.revive().await.unwrap();
        master.answer_next(refusal(400, "no such thing"));
        let refused = scheduler.kill("t".into(), None).await;
        assert!(
            matches!(&refused, Err(Error::Refused { status: 400, sentence, .. })
                if sentence == "no such thing"),
            "{refused:?}"
        );
        scheduler.suppress().await.unwrap();

        let subscription = master.next().await;
        let subscribe = subscription.call.subscribe.unwrap();
        assert_eq!(subscribe.framework_info.name, "test");
        assert_eq!(subscribe.suppressed_roles, ["quiet"]);
        assert_eq!(subscription.headers["accept"], media_type);
        assert_eq!(subscription.headers.get("mesos-stream-id"), None);
        assert_eq!(subscription.path, "/master/api/v1/scheduler");
        let kinds = [call::Type::Revive, call::Type::Kill, call::Type::Suppress];
        let mut streams = Vec::new();
        for kind in kinds {
            let received = master.next().await;
            assert_eq!(received.call.r#type(), kind);
            assert_eq!(received.call.framework_id, Some(master.framework_id()));
            streams.push(received.headers["mesos-stream-id"].clone());
        }
        streams.dedup();
        assert_eq!(streams.len(), 1, "all belong to the subscription");
    }
}

#[tokio::test]
async fn events_are_a_stream_that_ends_with_the_framework() {
    let master = Master::start().await;
    let (_, events) = connect(&[&master]);
    let mut stream = pin!(events.into_stream());
    let first = stream.next().await.unwrap().unwrap().into_happening();
    assert!(matches!(first, Happening::Subscribed { .. }), "{first:?}");
    master.answer_next(refusal(403, "not you"));
    master.disconnect();
    let second = stream.next().await.unwrap().unwrap().into_happening();
    assert!(
        matches!(second, Happening::Disconnected { .. }),
        "{second:?}"
    );
    assert!(stream.next().await.unwrap().is_err());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn any_master_leads_to_the_leading_one() {
    let (follower, leader) = (Master::start().await, Master::start().await);
    follower.answer_next(Answer::Redirect(leader.address()));
    let (_, mut events) = connect(&[&follower]);
    expect_subscribed(&mut events).await;
    leader.offer("cpus:1");
    assert!(matches!(next(&mut events).await, Happening::Offers(_)));
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let master = Master::start().await;
    for _ in 0..=5 {
        master.answer_next(Answer::Redirect(master.address()));
    }
    let (_, mut events) = connect(&[&master]);
    assert_eq!(
        next_reason(&mut events).await,
        "the masters redirect in a circle"
    );
}

#[tokio::test]
async fn a_call_that_is_redirected_leads_to_the_leading_master() {
    let (mut old, mut new) = (Master::start().await, Master::start().await);
    let (scheduler, mut events) = connect(&[&old]);
    expect_subscribed(&mut events).await;
    old.subscribed().await;
    old.answer_next(Answer::Redirect(new.address()));
    let not_taken = scheduler.revive().await;
    assert_eq!(
        not_taken,
        Err(Error::NotLeading {
            peer: old.address(),
            leader: new.address(),
        })
    );
    let reason = next_reason(&mut events).await;
    assert!(reason.contains(&new.address()), "{reason}");
    expect_subscribed(&mut events).await;
    let id = new.subscribed().await.framework_info.id;
    assert_eq!(id, Some(old.framework_id()), "as the same framework");
    scheduler.revive().await.unwrap();
    new.expect(call::Type::Revive).await;
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_as_the_same_framework() {
    let mut master = Master::start().await;
    let (scheduler, mut events) = connect(&[&master]);
    expect_subscribed(&mut events).await;
    master.subscribed().await;
    master.answer_next(refusal(503, "no leader"));
    master.disconnect();
    let reason = next_reason(&mut events).await;
    assert!(reason.contains(&master.address()), "{reason}");
    assert_eq!(scheduler.framework_id(), None);
    let reason = next_reason(&mut events).await;
    assert!(reason.contains("status 503: no leader"), "{reason}");
    expect_subscribed(&mut events).await;
    scheduler.revive().await.unwrap();
    let id = Some(master.framework_id());
    for _ in 0..2 {
        let again = master.next().await.call;
        assert_eq!(again.framework_id, id);
        assert_eq!(again.subscribe.unwrap().framework_info.id, id);
    }
    master.expect(call::Type::Revive).await;
}

#[tokio::test]
async fn a_master_that_falls_silent_is_a_lost_one() {
    let master = Master::start_with_heartbeats(Duration::from_millis(10)).await;
    let (_, mut events) = connect(&[&master]);
    expect_subscribed(&mut events).await;
    master.fall_silent();
    assert_eq!(
        next_reason(&mut events).await,
        format!("{} has fallen silent", master.address())
    );
    expect_subscribed(&mut events).await;
}

#[tokio::test]
async fn the_next_master_is_asked_when_one_is_not_there() {
    let (gone, master) = (Master::start().await, Master::start().await);
    let (_, mut events) = connect(&[&gone, &master]);
    let gone_from = gone.address();
    drop(gone);
    let reason = next_reason(&mut events).await;
    assert!(
        reason.starts_with(&format!("{gone_from} is not reached")),
        "{reason}"
    );
    expect_subscribed(&mut events).await;
}

#[tokio::test]
async fn a_refusal_and_an_error_event_are_final() {
    let master = Master::start().await;
    master.answer_next(refusal(403, "not you"));
    let (_, mut events) = connect(&[&master]);
    let refused = events.next().await;
    assert!(
        matches!(&refused, Err(Error::Refused { status: 403, .. })),
        "{refused:?}"
    );
    assert!(events.next().await.unwrap().is_none());

    let (scheduler, mut events) = connect(&[&master]);
    expect_subscribed(&mut events).await;
    let message = "Framework failed over".to_owned();
    master.send(&Event {
        r#type: Some(event::Type::Error.into()),
        error: Some(event::Error {
            message: message.clone(),
        }),
        ..Event::default()
    });
    assert_eq!(next(&mut events).await, Happening::Ended(message));
    assert!(events.next().await.unwrap().is_none());
    assert_eq!(scheduler.revive().await, Err(Error::NotSubscribed));
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
    let mut master = Master::start().await;
    for (credential, expected) in [
        (Credential::basic("me", "hush"), "Basic bWU6aHVzaA=="),
        (Credential::bearer("hush"), "Bearer hush"),
    ] {
        let mut settings = Settings::new(master.address(), framework());
        settings.credential = Some(credential);
        let (scheduler, mut events) = subscribe(settings);
        expect_subscribed(&mut events).await;
        scheduler.revive().await.unwrap();
        for kind in [call::Type::Subscribe, call::Type::Revive] {
            let received = master.expect(kind).await;
            assert_eq!(received.headers["authorization"], expected);
        }
    }
}

#[tokio::test]
async fn who_is_not_believed_is_told_what_to_do() {
    let master = Master::start().await;
    for (credential, advice) in [
        (None, "give Settings::credential"),
        (Some(Credential::basic("me", "hush")), "does not accept"),
    ] {
        master.answer_next(refusal(401, "Unauthorized"));
        let mut settings = Settings::new(master.address(), framework());
        settings.credential = credential;
        let (_, mut events) = subscribe(settings);
        let error = events.next().await.unwrap_err().to_string();
        assert!(error.contains("401") && error.contains(advice), "{error}");
        assert!(!error.contains("hush"), "{error}");
        assert!(events.next().await.unwrap().is_none(), "it is final");
    }
}

#[tokio::test]
async fn nothing_is_asked_for_no_tasks_and_everything_only_by_name() {
    let mut master = Master::start().await;
    let (scheduler, mut events) = connect(&[&master]);
    expect_subscribed(&mut events).await;
    scheduler.reconcile([]).await.unwrap();
    scheduler.reconcile_all().await.unwrap();
    scheduler
        .reconcile([("t".into(), Some("a".into()))])
        .await
        .unwrap();
    let mut tasks_of = async || {
        let received = master.expect(call::Type::Reconcile).await;
        received.call.reconcile.unwrap().tasks
    };
    assert_eq!(tasks_of().await, []);
    assert_eq!(tasks_of().await[0].task_id, "t".into());
}

#[tokio::test]
async fn an_operations_update_is_acknowledged_if_it_wants_to_be() {
    let mut master = Master::start().await;
    let (scheduler, mut events) = connect(&[&master]);
    expect_subscribed(&mut events).await;
    let mut status = OperationStatus {
        operation_id: Some("o".into()),
        agent_id: Some("a".into()),
        ..OperationStatus::default()
    };
    scheduler.acknowledge_operation(&status).await.unwrap();
    status.uuid = Some(meseta_framework::v1::Uuid { value: vec![7; 16] });
    scheduler.acknowledge_operation(&status).await.unwrap();
    master.subscribed().await;
    let received = master.next().await.call;
    let acknowledged = received.acknowledge_operation_status.unwrap();
    assert_eq!(acknowledged.uuid, [7; 16]);
    assert_eq!(acknowledged.agent_id, Some("a".into()));
}

#[tokio::test]
async fn what_a_framework_changed_of_itself_stays_when_it_subscribes_again() {
    let mut master = Master::start().await;
    let (scheduler, mut events) = connect(&[&master]);
    expect_subscribed(&mut events).await;
    let mut info = framework();
    info.roles = vec!["new".into()];
    scheduler
        .update_framework(info, ["quiet".to_owned()])
        .await
        .unwrap();
    master.subscribed().await;
    master.disconnect();
    next_reason(&mut events).await;
    expect_subscribed(&mut events).await;
    let again = master.subscribed().await;
    assert_eq!(again.framework_info.roles, ["new"]);
    assert_eq!(again.framework_info.id, Some(master.framework_id()));
    assert_eq!(again.suppressed_roles, ["quiet"]);
}
