//! What operators who watch are told.

use std::time::Duration;

use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::v1::TaskState;
use meseta_proto::v1::master::{Event, event::Type};

use super::world::*;
use crate::limits::RECENT_PATIENCE;
use crate::{Action, EventId, Input, Moment, Opening};

/// Asks to watch.
fn ask(world: &mut World, name: &str) -> StreamId {
    let stream = StreamId(name.to_owned());
    world.step(Input::Watch {
        request: RequestId(7),
        stream: stream.clone(),
        opening: Opening::State,
        after: None,
    });
    stream
}

/// Watches, all that there is being made at once.
fn watch(world: &mut World, name: &str) -> StreamId {
    let stream = ask(world, name);
    world.step(Input::WatchesOpened);
    stream
}

/// The streams that begin together, and what with.
fn opened(actions: &[Action]) -> Vec<(Vec<StreamId>, Moment)> {
    let opened = actions.iter().filter_map(|action| match action {
        Action::OpenWatches {
            watches, moment, ..
        } => {
            let streams = watches.iter().map(|(_, stream)| stream.clone());
            Some((streams.collect(), moment.clone()))
        }
        _ => None,
    });
    opened.collect()
}

/// What a watcher was told since the last look.
fn told(world: &mut World, watcher: &StreamId) -> Vec<Event> {
    let actions = world.actions().into_iter();
    actions
        .filter_map(|action| match action {
            Action::TellWatchers { streams, event } if streams.contains(watcher) => {
                Some(Event::clone(&event))
            }
            _ => None,
        })
        .collect()
}

fn types(events: &[Event]) -> Vec<Type> {
    events.iter().map(Event::r#type).collect()
}

#[test]
fn watchers_are_told_what_happens_in_the_order_in_which_it_does() {
    let mut world = World::new();
    let watcher = watch(&mut world, "w");
    let opened = world.actions();
    let [
        Action::OpenWatches { moment, .. },
        Action::TellWatchers { event, .. },
    ] = &opened[..]
    else {
        panic!("{opened:?}")
    };
    assert!(moment.0.agents.is_empty());
    assert_eq!(event.r#type(), Type::Heartbeat);

    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let events = told(&mut world, &watcher);
    assert_eq!(types(&events), [Type::AgentAdded]);
    let added = &events[0].agent_added.as_ref().unwrap().agent;
    assert_eq!(added.agent_info.id.as_ref(), Some(&agent));

    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let events = told(&mut world, &watcher);
    assert_eq!(types(&events), [Type::FrameworkAdded]);
    assert!(
        events[0]
            .framework_added
            .as_ref()
            .unwrap()
            .framework
            .connected
    );

    let task = command_task("t", &offers[0], "cpus:1;mem:64");
    world.accept(&scheduler, &offers[0], vec![task]);
    let events = told(&mut world, &watcher);
    assert_eq!(types(&events), [Type::TaskAdded]);
    let added = &events[0].task_added.as_ref().unwrap().task;
    assert_eq!(added.state(), TaskState::TaskStaging);

    for _ in 0..2 {
        // The second is no other state, and no news.
        world.update(&pid, &agent, &scheduler, "t", TaskState::TaskRunning, None);
    }
    let events = told(&mut world, &watcher);
    assert_eq!(types(&events), [Type::TaskUpdated]);
    let updated = events[0].task_updated.as_ref().unwrap();
    assert_eq!(updated.state(), TaskState::TaskRunning);
    assert_eq!(updated.status.data, None);

    world.step(Input::StreamClosed {
        stream: scheduler.stream.clone(),
    });
    let events = told(&mut world, &watcher);
    assert_eq!(types(&events), [Type::FrameworkUpdated]);
    assert!(
        !events[0]
            .framework_updated
            .as_ref()
            .unwrap()
            .framework
            .connected
    );

    world.step(Input::Teardown {
        request: RequestId(8),
        framework_id: scheduler.id.clone(),
    });
    let events = told(&mut world, &watcher);
    let last = events.last().unwrap();
    assert_eq!(last.r#type(), Type::FrameworkRemoved);
    assert_eq!(
        events[0].task_updated.as_ref().unwrap().state(),
        TaskState::TaskKilled
    );

    world.message(
        &pid,
        "master",
        &meseta_proto::internal::UnregisterSlaveMessage {
            slave_id: agent.clone(),
        },
    );
    let events = told(&mut world, &watcher);
    assert_eq!(types(&events), [Type::AgentRemoved]);
    assert_eq!(events[0].agent_removed.as_ref().unwrap().agent_id, agent);
}

#[test]
fn nobody_is_told_who_does_not_watch() {
    let mut world = World::new();
    let watcher = watch(&mut world, "w");
    world.step(Input::StreamClosed {
        stream: watcher.clone(),
    });
    world.actions();
    world.agent(&upid("slave(1)", 5051));
    let actions = world.actions();
    let telling = |action: &Action| matches!(action, Action::TellWatchers { .. });
    assert!(!actions.iter().any(telling));
    assert_eq!(world.master.snapshot().watchers, 0);
}

#[test]
fn who_subscribes_while_all_that_there_is_is_being_made_begins_with_the_next_together() {
    let mut world = World::new();
    let first = ask(&mut world, "1");
    let (second, third) = (ask(&mut world, "2"), ask(&mut world, "3"));
    let actions = world.actions();
    let all = opened(&actions);
    let [(streams, moment)] = &all[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*streams, std::slice::from_ref(&first));
    assert!(moment.0.agents.is_empty());

    let agent = world.agent(&upid("slave(1)", 5051));
    let actions = world.actions();
    assert_eq!(opened(&actions), []);
    let tells = |actions: &[Action], stream: &StreamId, kind: Type| {
        let telling = |action: &&Action| {
            matches!(action, Action::TellWatchers { streams, event }
                if streams.contains(stream) && event.r#type() == kind)
        };
        actions.iter().filter(telling).count()
    };
    assert_eq!(tells(&actions, &first, Type::AgentAdded), 1);
    for waiting in [&second, &third] {
        assert_eq!(tells(&actions, waiting, Type::AgentAdded), 0);
    }

    world.step(Input::WatchesOpened);
    let actions = world.actions();
    let all = opened(&actions);
    let [(streams, moment)] = &all[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*streams, [second.clone(), third.clone()]);
    assert!(moment.0.agents.contains_key(&agent), "it is not told them");
    for stream in streams {
        assert_eq!(tells(&actions, stream, Type::Heartbeat), 1);
    }
    world.agent(&upid("slave(1)", 5052));
    let actions = world.actions();
    for stream in [&first, &second, &third] {
        assert_eq!(tells(&actions, stream, Type::AgentAdded), 1);
    }
    world.step(Input::WatchesOpened);
    assert_eq!(opened(&world.actions()), [], "nobody waits");
    ask(&mut world, "4");
    assert_eq!(opened(&world.actions()).len(), 1);
}

#[test]
fn who_wants_nothing_to_begin_with_waits_for_nobody() {
    let mut world = World::new();
    ask(&mut world, "1");
    world.actions();
    world.step(Input::Watch {
        request: RequestId(8),
        stream: StreamId("bare".into()),
        opening: Opening::Bare,
        after: None,
    });
    let actions = world.actions();
    let opens = |action: &Action| matches!(action, Action::OpenWatch { .. });
    assert!(actions.iter().any(opens));
}

#[test]
fn no_more_wait_than_may_watch() {
    let mut world = World::before_recovery(|config| {
        config.policy.max_operator_event_stream_subscribers = 2;
    });
    world.recover(Vec::new());
    let first = ask(&mut world, "1");
    for name in ["2", "3", "4"] {
        ask(&mut world, name);
    }
    let refused = world
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Reply { reply, .. } => Some(reply.status),
            _ => None,
        });
    assert!(refused.eq([503]));
    world.step(Input::WatchesOpened);
    let actions = world.actions();
    let names = ["3", "4"].map(|name| StreamId(name.into()));
    assert_eq!(opened(&actions)[0].0, names);
    let closes =
        |action: &Action| matches!(action, Action::CloseStream { stream } if *stream == first);
    assert!(actions.iter().any(closes));
}

#[test]
fn streams_are_kept_alive_by_heartbeats() {
    let mut world = World::new();
    let watcher = watch(&mut world, "w");
    world.actions();
    world.pass(Duration::from_secs(31));
    let events = told(&mut world, &watcher);
    assert_eq!(types(&events), [Type::Heartbeat, Type::Heartbeat]);
}

#[test]
fn the_oldest_watcher_gives_way_when_there_are_too_many() {
    let mut world = World::before_recovery(|config| {
        config.policy.max_operator_event_stream_subscribers = 2;
    });
    world.recover(Vec::new());
    let oldest = watch(&mut world, "1");
    watch(&mut world, "2");
    world.actions();
    watch(&mut world, "3");
    let actions = world.actions();
    let closes =
        |action: &Action| matches!(action, Action::CloseStream { stream } if *stream == oldest);
    assert!(actions.iter().any(closes));
    assert_eq!(world.master.snapshot().watchers, 2);
}

/// Comes back after a place in the sequence: what was missed, or the refusal.
fn come_back(world: &mut World, after: &EventId) -> Result<Vec<Event>, Reply> {
    world.actions();
    world.step(Input::Watch {
        request: RequestId(9),
        stream: StreamId("back".to_owned()),
        opening: Opening::State,
        after: Some(after.clone()),
    });
    match world.actions().remove(0) {
        Action::OpenWatch {
            after: told,
            missed,
            ..
        } if told == *after => Ok(missed.into_iter().map(|it| Event::clone(&it)).collect()),
        Action::Reply { reply, .. } => Err(reply),
        other => panic!("{other:?}"),
    }
}

fn place(world: &mut World) -> EventId {
    let opened = world.actions().into_iter().find_map(|action| match action {
        Action::OpenWatches { after, .. } => Some(after),
        _ => None,
    });
    opened.unwrap()
}

#[test]
fn who_comes_back_is_told_what_has_happened_meanwhile() {
    let mut world = World::new();
    let stream = watch(&mut world, "w");
    let mut seen = place(&mut world);
    world.agent(&upid("slave(1)", 5051));
    assert_eq!(told(&mut world, &stream).len(), 1);
    seen.number += 1;
    world.step(Input::StreamClosed { stream });
    world.subscribe(framework_info());
    world.agent(&upid("slave(1)", 5052));
    let missed = come_back(&mut world, &seen).unwrap();
    assert_eq!(types(&missed), [Type::FrameworkAdded, Type::AgentAdded]);
    // Two may come back from the same place.
    assert_eq!(come_back(&mut world, &seen).unwrap(), missed);
}

#[test]
fn who_comes_back_too_late_is_told_so() {
    let mut world = World::new();
    let stream = watch(&mut world, "w");
    let seen = place(&mut world);
    let refused = |world: &mut World, after: EventId| {
        let reply = come_back(world, &after).unwrap_err();
        (
            reply.status,
            String::from_utf8(reply.body.to_vec()).unwrap(),
        )
    };
    let other = EventId {
        run: "other".into(),
        ..seen.clone()
    };
    assert_eq!(
        refused(&mut world, other),
        (
            410,
            "The events after other:0 can't be told: this is another run of the master, m. \
             Subscribe without Last-Event-ID"
                .into()
        )
    );
    let later = EventId {
        number: 1,
        ..seen.clone()
    };
    assert_eq!(refused(&mut world, later).0, 410);
    world.step(Input::StreamClosed { stream });
    world.pass(RECENT_PATIENCE);
    assert_eq!(
        refused(&mut world, seen),
        (
            410,
            "The events after m:0 can't be told: not all of them are remembered. Subscribe \
             without Last-Event-ID"
                .into()
        )
    );
}
