#![allow(deprecated, reason = "frameworks of one role say it there")]

use std::time::Duration;

use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::internal::{ShutdownFrameworkMessage, UpdateFrameworkMessage};
use meseta_proto::v1::offer::operation;
use meseta_proto::v1::scheduler::event::Type::{Heartbeat, Subscribed};
use meseta_proto::v1::scheduler::{Call, call, event};
use meseta_proto::v1::{FrameworkInfo, TaskState};

use super::world::*;
use crate::records::Endpoint;
use crate::{Action, Input};

#[test]
fn a_heartbeat_follows_the_subscription_at_once_and_then_every_fifteen_seconds() {
    let mut world = World::new();
    let scheduler = world.subscribe(framework_info());
    assert_eq!(scheduler.id.as_str(), "m-0000");
    world.pass(Duration::from_secs(31));
    let types: Vec<_> = world
        .actions()
        .iter()
        .filter_map(|action| match action {
            Action::Event { event, .. } => Some(event.r#type()),
            _ => None,
        })
        .collect();
    assert_eq!(types, [Subscribed, Heartbeat, Heartbeat, Heartbeat]);
}

#[test]
fn a_framework_that_is_not_valid_learns_why_on_its_stream() {
    let mut world = World::new();
    let info = FrameworkInfo {
        role: Some("a".into()),
        ..framework_info()
    };
    let scheduler = world.subscribe(info);
    let actions = world.actions();
    assert!(matches!(&actions[0], Action::OpenStream { .. }));
    let Action::Event { event, .. } = &actions[1] else {
        panic!("an event")
    };
    assert_eq!(
        event.error.as_ref().unwrap().message,
        "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
    );
    let closed = Action::CloseStream {
        stream: scheduler.stream,
    };
    assert_eq!(actions[2..], [closed]);
    assert!(world.master.snapshot().frameworks.is_empty());
}

#[test]
fn calls_are_refused_that_do_not_come_from_the_subscriber() {
    let mut world = World::new();
    let scheduler = world.subscribe(framework_info());
    let revive = || call(call::Type::Revive);
    let stream = Some(scheduler.stream.clone());
    let refusal = |reply: Reply| {
        (
            reply.status,
            String::from_utf8(reply.body.to_vec()).unwrap(),
        )
    };

    let reply = world.call_on(stream.clone(), &"nope".into(), revive());
    assert_eq!(refusal(reply), (400, "Framework cannot be found".into()));
    let reply = world.call_on(None, &scheduler.id, revive());
    let sentence = "All non-subscribe calls should include the 'Mesos-Stream-Id' header";
    assert_eq!(refusal(reply), (400, sentence.into()));
    let other = Some(StreamId("other".into()));
    let reply = world.call_on(other, &scheduler.id, revive());
    let sentence = "The stream ID 'other' included in this request didn't match the stream ID \
                    currently associated with framework ID m-0000";
    assert_eq!(refusal(reply), (400, sentence.into()));
    assert_eq!(world.call(&scheduler, revive()), Reply::accepted());

    world.step(Input::StreamClosed {
        stream: scheduler.stream.clone(),
    });
    let reply = world.call_on(stream.clone(), &scheduler.id, revive());
    assert_eq!(refusal(reply), (403, "Framework is not subscribed".into()));

    let subscribe = Call {
        subscribe: Some(call::Subscribe::default()),
        ..call(call::Type::Subscribe)
    };
    let reply = world.call_on(stream, &scheduler.id, subscribe);
    let sentence = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
    assert_eq!(refusal(reply), (400, sentence.into()));
}

#[test]
fn a_second_subscriber_takes_over() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    world.agent(&pid);
    let first = world.subscribe(framework_info());
    assert_eq!(world.offers(&first).len(), 1);
    let second = world.subscribe(FrameworkInfo {
        id: Some(first.id.clone()),
        ..framework_info()
    });
    assert_eq!(second.id, first.id);
    let events = world.events(&first);
    let [error] = &events[..] else {
        panic!("one event: {events:?}")
    };
    assert_eq!(
        error.error.as_ref().unwrap().message,
        "Framework failed over"
    );
    let closed = Action::CloseStream {
        stream: first.stream.clone(),
    };
    assert!(world.actions().contains(&closed));
    assert_eq!(world.call(&first, call(call::Type::Revive)).status, 400);
    assert_eq!(
        world.offers(&second).len(),
        1,
        "the offer was the first one's"
    );
    // The old connection's end is no news.
    world.step(Input::StreamClosed {
        stream: first.stream,
    });
    assert!(world.master.snapshot().frameworks[&second.id].connected());
}

#[test]
fn a_disconnected_framework_may_come_back_in_time() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    world.agent(&pid);
    let first = world.subscribe(framework_info());
    world.offers(&first);
    world.step(Input::StreamClosed {
        stream: first.stream.clone(),
    });
    let snapshot = world.master.snapshot();
    let framework = &snapshot.frameworks[&first.id];
    assert_eq!(
        (&framework.endpoint, framework.active),
        (&Endpoint::None, false)
    );
    assert!(snapshot.offers.is_empty());
    world.pass(Duration::from_secs(59));
    world.actions();
    let second = world.subscribe(FrameworkInfo {
        id: Some(first.id.clone()),
        ..framework_info()
    });
    assert_eq!(world.sent::<UpdateFrameworkMessage>(&pid).len(), 1);
    world.pass(Duration::from_mins(2));
    assert!(world.master.snapshot().frameworks.contains_key(&second.id));
}

#[test]
fn a_framework_that_does_not_come_back_is_removed() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let task = command_task("t", &offers[0], "cpus:1;mem:64");
    world.accept(&scheduler, &offers[0], vec![task]);
    world.step(Input::StreamClosed {
        stream: scheduler.stream.clone(),
    });
    world.pass(Duration::from_secs(61));
    let snapshot = world.master.snapshot();
    assert!(snapshot.frameworks.is_empty());
    assert!(snapshot.agents[&agent].used.is_empty());
    let completed = &snapshot.completed_frameworks[0];
    assert!(completed.unregistered_time.is_some());
    let task = completed.completed_tasks[0].unpack();
    assert_eq!(task.state(), TaskState::TaskKilled);
    assert_eq!(task.statuses[0].message(), "Framework m-0000 removed");
    assert_eq!(world.sent::<ShutdownFrameworkMessage>(&pid).len(), 1);

    let again = world.subscribe(FrameworkInfo {
        id: Some(scheduler.id.clone()),
        ..framework_info()
    });
    let events = world.events(&again);
    assert_eq!(
        events[0].error.as_ref().unwrap().message,
        "Framework has been removed"
    );
}

#[test]
fn without_a_failover_timeout_a_framework_ends_with_its_stream() {
    let mut world = World::new();
    let scheduler = world.subscribe(FrameworkInfo {
        failover_timeout: None,
        ..framework_info()
    });
    world.step(Input::StreamClosed {
        stream: scheduler.stream,
    });
    world.settle();
    assert!(world.master.snapshot().frameworks.is_empty());
}

#[test]
fn a_framework_ends_when_its_scheduler_or_an_operator_wants_it() {
    let mut world = World::new();
    let a = world.subscribe(framework_info());
    let b = world.subscribe(framework_info());
    assert_eq!(
        world.call(&a, call(call::Type::Teardown)),
        Reply::accepted()
    );
    for (id, status) in [(b.id.clone(), 200), (b.id.clone(), 400)] {
        world.step(Input::Teardown {
            request: RequestId(77),
            framework_id: id,
        });
        let actions = world.actions();
        let Some(Action::Reply { reply, .. }) = actions.last() else {
            panic!("a reply")
        };
        assert_eq!(reply.status, status);
    }
    let snapshot = world.master.snapshot();
    assert!(snapshot.frameworks.is_empty());
    assert_eq!(snapshot.completed_frameworks.len(), 2);
}

#[test]
fn only_so_many_completed_frameworks_are_remembered() {
    let mut world = World::before_recovery(|config| config.policy.max_completed_frameworks = 2);
    world.recover(Vec::new());
    for _ in 0..5 {
        let scheduler = world.subscribe(framework_info());
        world.call(&scheduler, call(call::Type::Teardown));
    }
    let completed = world.master.snapshot().completed_frameworks;
    let ids: Vec<_> = completed.iter().map(|f| f.id.to_string()).collect();
    assert_eq!(ids, ["m-0003", "m-0004"]);
}

#[test]
fn a_framework_changes_its_roles_without_subscribing_again() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    world.call(&scheduler, call(call::Type::Suppress));
    let update = |info: FrameworkInfo| Call {
        update_framework: Some(call::UpdateFramework {
            framework_info: FrameworkInfo {
                id: Some(scheduler.id.clone()),
                ..info
            },
            ..Default::default()
        }),
        ..call(call::Type::UpdateFramework)
    };
    let roles = FrameworkInfo {
        roles: vec!["db".into()],
        ..framework_info()
    };
    assert_eq!(world.call(&scheduler, update(roles)), Reply::ok());
    assert_eq!(world.sent::<UpdateFrameworkMessage>(&pid).len(), 1);
    let offers = world.offers(&scheduler);
    assert_eq!(offers[0].allocation_info.as_ref().unwrap().role(), "db");

    let user = FrameworkInfo {
        user: "other".into(),
        ..framework_info()
    };
    let reply = world.call(&scheduler, update(user));
    assert_eq!(reply.status, 400);
    let sentence = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(
        sentence.starts_with("FrameworkInfo update is not valid: "),
        "{sentence}"
    );
}

#[test]
fn what_a_framework_does_and_is_told_is_counted_until_it_ends() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offer = world.offers(&scheduler).remove(0);
    let task = command_task("t", &offer, "cpus:1;mem:64");
    world.accept(&scheduler, &offer, vec![task]);
    world.update(&pid, &agent, &scheduler, "t", TaskState::TaskFinished, None);
    let metrics = world.master.snapshot().metrics;
    let counts = &metrics.frameworks[&scheduler.id];
    assert_eq!((counts.offers_sent, counts.offers_accepted), (1, 1));
    assert_eq!(counts.calls[&call::Type::Subscribe], 1);
    assert_eq!(counts.calls[&call::Type::Accept], 1);
    assert_eq!(counts.events[&event::Type::Update], 1);
    assert_eq!(counts.operations[&operation::Type::Launch], 1);
    assert_eq!(counts.terminal_tasks[&TaskState::TaskFinished], 1);
    world.call(&scheduler, call(call::Type::Teardown));
    assert!(world.master.snapshot().metrics.frameworks.is_empty());
}
