//! What operators who watch are told.

use std::time::Duration;

use meseta_machine::{RequestId, StreamId};
use meseta_proto::v1::TaskState;
use meseta_proto::v1::master::{Event, event::Type};

use super::world::*;
use crate::{Action, Input, Opening};

fn watch(world: &mut World, name: &str) -> StreamId {
    let stream = StreamId(name.to_owned());
    world.step(Input::Watch {
        request: RequestId(7),
        stream: stream.clone(),
        opening: Opening::State,
    });
    stream
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
        Action::OpenWatch { moment, .. },
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
