//! Agents that do not find all that they have kept.

use meseta_proto::internal;
use meseta_proto::v1::TaskState;

use super::{AGENT_ID, MASTER, World, command, custom, framework, status};
use crate::{Action, ExitReason};

#[test]
fn facts_that_cannot_be_read_are_set_aside_and_the_rest_goes_on() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let broken = [
        "task/F/t/broken",
        "update/F/t/zzz",
        "framework/",
        "unheard/of",
    ];
    for key in broken {
        world.store.insert(key.into(), vec![0xff]);
    }
    let did = world.restart(&[&container]);
    let mut aside = did.0.iter().find_map(|action| match action {
        Action::SetAside { facts } => Some(facts.clone()),
        _ => None,
    });
    let aside = aside.as_mut().unwrap();
    aside.sort();
    let keys: Vec<&str> = aside.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "framework/",
            "task/F/t/broken",
            "unheard/of",
            "update/F/t/zzz"
        ]
    );
    assert!(broken.iter().all(|key| !world.store.contains_key(*key)));
    let snapshot = world.agent.snapshot();
    assert_eq!(snapshot.frameworks.len(), 1);
    assert_eq!(snapshot.counters.recovery_errors, 4);
    assert!(world.restart(&[&container]).0.is_empty(), "once is enough");
}

#[test]
fn a_strict_agent_does_not_go_on_with_the_rest() {
    let mut world = World::registered();
    world.config.strict = true;
    world.store.insert("task/F/t/broken".into(), vec![0xff]);
    let before = world.store.clone();
    let Some(ExitReason::Conflict(reason)) = world.restart(&[]).exit() else {
        panic!("it goes on");
    };
    assert!(reason.contains("task/F/t/broken"), "{reason}");
    assert_eq!(world.store, before, "it is left as it is");

    let mut world = World::registered();
    world.config.strict = true;
    world.damaged.insert("task/F/t/lost".into());
    let exit = world.restart(&[]).exit();
    assert!(matches!(exit, Some(ExitReason::Conflict(_))), "{exit:?}");
}

#[test]
fn what_all_others_need_is_kept_twice() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.store.remove("agent");
    let facts: Vec<_> = world.store.clone().into_iter().collect();
    let survivors = crate::recovery::survivors(&world.config.work_dir, "", &facts);
    assert_eq!(survivors[0].directory, world.executor("t").directory);
    world.restart(&[&container]);
    world.resubscribe("t", &[command("t", "")], &[]);
    let did = world.back();
    assert!(
        !did.sent::<internal::ReregisterSlaveMessage>().is_empty(),
        "{did:?}"
    );
}

#[test]
fn a_task_of_which_the_record_is_lost_is_killed() {
    let mut world = World::registered();
    let (container, _) = world.running_in("1", "e");
    let second = internal::RunTaskMessage {
        framework: framework(),
        task: custom("2", "e"),
        ..internal::RunTaskMessage::default()
    };
    world.receive(MASTER, &second);
    for (task, number) in [("1", 1), ("2", 2)] {
        world.tell("e", &status(task, TaskState::TaskRunning, number));
    }
    world.write_notes();
    world.store.remove("task/F/e/2");
    world.damaged.insert("task/F/e/2".into());
    world.restart(&[&container]);
    let (did, _) = world.subscribe("e");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "KILL"]);
    world.update("e", status("2", TaskState::TaskKilled, 3));
    let update = world.back().update();
    assert_eq!(update.state(), TaskState::TaskKilled, "{update:?}");
}

#[test]
fn the_end_of_a_task_is_told_though_all_but_an_earlier_update_is_lost() {
    let mut world = World::registered();
    world.running("t");
    let running = status("t", TaskState::TaskRunning, 1);
    world.update("t", running.clone());
    world.write_notes();
    for lost in ["framework/F", "executor/F/t", "task/F/t/t"] {
        world.store.remove(lost);
        world.damaged.insert(lost.into());
    }
    world.restart(&[]);
    let first = world.back().update();
    assert_eq!(first.state(), TaskState::TaskRunning, "{first:?}");
    let message = internal::SlaveReregisteredMessage {
        slave_id: AGENT_ID.into(),
        reconciliations: vec![internal::ReconcileTasksMessage {
            framework_id: "F".into(),
            statuses: vec![status("t", TaskState::TaskRunning, 2)],
            framework: Some(framework()),
        }],
        ..internal::SlaveReregisteredMessage::default()
    };
    world.receive(MASTER, &message);
    let update = world.acknowledge(&running).update();
    assert_eq!(update.state(), TaskState::TaskDropped, "{update:?}");
}

#[test]
fn containers_of_which_nothing_is_known_end() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.write_notes();
    world.store.remove("framework/F");
    world.damaged.insert("framework/F".into());
    let did = world.restart(&[&container]);
    assert_eq!(did.destroyed(), [container]);
    assert_eq!(world.kept(), Vec::<&str>::new());
}

#[test]
fn the_end_of_a_task_is_told_though_its_update_is_lost() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let finished = status("t", TaskState::TaskFinished, 1);
    world.update("t", finished.clone());
    world.write_notes();
    let updates: Vec<String> = world
        .store
        .keys()
        .filter(|key| key.starts_with("update/"))
        .cloned()
        .collect();
    for key in updates {
        world.store.remove(&key);
        world.damaged.insert(key);
    }
    world.restart(&[]);
    let update = world.back().update();
    assert_eq!(update.uuid(), finished.uuid());
    world.acknowledge(&finished);
    world.exited(&container, None);
    assert_eq!(world.kept(), Vec::<&str>::new());
}

#[test]
fn a_command_of_which_the_record_is_lost_ends_and_its_framework_hears_of_it() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.tell("t", &status("t", TaskState::TaskRunning, 1));
    world.write_notes();
    world.store.remove("task/F/t/t");
    world.damaged.insert("task/F/t/t".into());
    world.restart(&[&container]);
    let (did, _) = world.subscribe("t");
    // One that is only told to end has nobody to tell how its task ended.
    assert_eq!(did.event_types(), ["SUBSCRIBED", "KILL"]);
    let did = world.update("t", status("t", TaskState::TaskKilled, 2));
    assert_eq!(did.event_types(), ["ACKNOWLEDGED"]);
    world.exited(&container, None);
    assert_eq!(world.back().update().state(), TaskState::TaskKilled);
    world.acknowledge(&status("t", TaskState::TaskKilled, 2));
    assert_eq!(world.kept(), Vec::<&str>::new());
}
