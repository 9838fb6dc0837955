use std::time::Duration;

use meseta_proto::internal;
use meseta_proto::v1::TaskState;
use meseta_proto::v1::task_status::Reason;

use super::{AGENT_ID, MASTER, World, command, custom, framework, status, uuid};
use crate::{ExitReason, Input, recovery};

#[test]
fn an_executor_goes_on_over_the_agents_death() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.tell("t", &status("t", TaskState::TaskRunning, 1));

    let facts: Vec<_> = world.store.clone().into_iter().collect();
    let survivors = recovery::survivors(&world.config.work_dir, "", &facts);
    assert_eq!(survivors.len(), 1);
    assert_eq!(survivors[0].container_id, container);
    assert_eq!(survivors[0].process.map(|process| process.pid), Some(77));
    assert_eq!(survivors[0].directory, world.executor("t").directory);

    let did = world.restart(&[&container]);
    assert!(did.0.is_empty(), "{did:?}");
    let (did, _) = world.resubscribe("t", &[], &[status("t", TaskState::TaskFinished, 2)]);
    assert_eq!(did.event_types(), ["SUBSCRIBED", "ACKNOWLEDGED"]);
    let did = world.back();
    let message = &did.sent::<internal::ReregisterSlaveMessage>()[0];
    assert_eq!(message.tasks[0].state(), TaskState::TaskFinished);
    assert_eq!(did.update().state(), TaskState::TaskFinished);
}

#[test]
fn unacknowledged_updates_survive_in_order() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.update("t", status("t", TaskState::TaskStarting, 1));
    world.update("t", status("t", TaskState::TaskRunning, 2));
    world.restart(&[&container]);
    world.subscribe("t");
    let did = world.back();
    assert_eq!(did.update().state(), TaskState::TaskStarting);
    let next = world.acknowledge(&status("t", TaskState::TaskStarting, 1));
    assert_eq!(next.update().state(), TaskState::TaskRunning);
    let again = world.update("t", status("t", TaskState::TaskStarting, 1));
    assert_eq!(again.updates().len(), 0, "it is remembered");
}

#[test]
fn an_executor_that_died_meanwhile_ends_its_tasks() {
    let mut world = World::registered();
    world.running("t");
    world.update("t", status("t", TaskState::TaskRunning, 1));
    world.acknowledge(&status("t", TaskState::TaskRunning, 1));
    world.restart(&[]);
    let did = world.back();
    let update = did.update();
    assert_eq!(update.state(), TaskState::TaskFailed);
    assert_eq!(update.reason(), Reason::ExecutorTerminated);
    world.acknowledge(&update);
    assert_eq!(world.kept(), Vec::<&str>::new());
}

#[test]
fn an_executor_that_does_not_come_back_is_ended() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.restart(&[&container]);
    world.detect();
    let did = world.wait(Duration::from_secs(2));
    assert_eq!(did.destroyed(), std::slice::from_ref(&container));
    world.wait(Duration::from_secs(1));
    world.reregister();
    let update = world.exited(&container, None).update();
    assert_eq!(update.state(), TaskState::TaskGone);
    assert_eq!(update.reason(), Reason::ExecutorReregistrationTimeout);
    assert_eq!(update.message(), "Executor did not reregister within 2secs");
}

#[test]
fn tasks_that_never_reached_their_executor_are_given_to_it() {
    let mut world = World::registered();
    // Given away just before the crash, and lost.
    let (given, _) = world.running("given");
    // Still waiting for its executor.
    let waiting = world.run(command("waiting", "true")).launch().container_id;
    world.launched(&waiting);
    for _ in 0..2 {
        world.restart(&[&given, &waiting]);
        for task in ["given", "waiting"] {
            let (did, _) = world.subscribe(task);
            assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH"], "{task}");
        }
        assert_eq!(world.back().updates().len(), 0);
    }
}

#[test]
fn a_task_that_its_executor_has_reported_of_is_not_given_to_it_again() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.tell("t", &status("t", TaskState::TaskStarting, 1));
    world.restart(&[&container]);
    let (did, _) = world.subscribe("t");
    assert_eq!(did.event_types(), ["SUBSCRIBED"]);
}

#[test]
fn a_group_of_which_its_executor_knows_a_part_is_not_given_again() {
    let mut world = World::registered();
    let message = internal::RunTaskGroupMessage {
        framework: framework(),
        executor: custom("1", "e").executor.unwrap(),
        task_group: meseta_proto::v1::TaskGroupInfo {
            tasks: ["1", "2"].map(|id| custom(id, "e")).to_vec(),
        },
        ..internal::RunTaskGroupMessage::default()
    };
    let container = world.receive(MASTER, &message).launch().container_id;
    world.launched(&container);
    world.subscribe("e");
    world.restart(&[&container]);
    let (did, _) = world.subscribe("e");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH_GROUP"]);
    world.restart(&[&container]);
    let (did, _) = world.resubscribe("e", &[custom("1", "e")], &[]);
    assert_eq!(did.event_types(), ["SUBSCRIBED"]);
    let update = world.back().update();
    assert_eq!(update.task_id.as_str(), "2");
    assert_eq!(update.reason(), Reason::AgentRestarted);
}

#[test]
fn a_container_that_a_crash_kept_from_being_started_is_started_once() {
    let mut world = World::registered();
    let first = world.run(command("t", "true")).launch().container_id;
    world.end();
    let did = world.recover_with(&[], &[&first]);
    let launch = did.launch();
    assert_ne!(launch.container_id, first, "in a sandbox of its own");
    assert_eq!(world.executor("t").container_id, launch.container_id);
    // It dies once more, and finds that this one runs.
    world.restart(&[&launch.container_id]);
    world.launched(&launch.container_id);
    let (did, _) = world.subscribe("t");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH"]);
    assert_eq!(world.back().updates().len(), 0);
}

#[test]
fn containers_that_are_started_again_need_not_come_back_first() {
    let mut world = World::registered();
    let (other, _) = world.running("other");
    let first = world.run(command("t", "true")).launch().container_id;
    world.end();
    let did = world.recover_with(&[&other], &[&first]);
    assert!(did.0.is_empty(), "first the others: {did:?}");
    let did = world.wait(Duration::from_secs(2));
    assert_eq!(did.destroyed(), [other]);
    let container = did.launch().container_id;
    world.wait(Duration::from_secs(10));
    world.launched(&container);
    let (did, _) = world.subscribe("t");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH"]);
}

#[test]
fn what_was_to_be_started_in_an_earlier_boot_is_not_started() {
    let mut world = World::registered();
    world.run(command("t", "true"));
    let facts: Vec<_> = world.store.clone().into_iter().collect();
    let of = |boot: &str| recovery::survivors(&world.config.work_dir, boot, &facts);
    assert!(of("")[0].may_be_unstarted);
    assert!(!of("another boot")[0].may_be_unstarted);
    world.restart(&[]);
    assert_eq!(world.back().update().state(), TaskState::TaskFailed);
}

#[test]
fn a_cleanup_starts_nothing() {
    let mut world = World::registered();
    let first = world.run(command("t", "true")).launch().container_id;
    world.config.recover = crate::Recover::Cleanup;
    world.end();
    let did = world.recover_with(&[], &[&first]);
    assert!(
        matches!(did.exit(), Some(ExitReason::Shutdown(_))),
        "{did:?}"
    );
}

#[test]
fn a_task_that_its_executor_knows_goes_on() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.restart(&[&container]);
    let task = command("t", "sleep 1000");
    let (did, _) = world.resubscribe("t", &[task], &[]);
    assert_eq!(did.event_types(), ["SUBSCRIBED"]);
    assert_eq!(world.back().updates().len(), 0);
}

#[test]
fn recovery_ends_when_the_last_executor_is_back() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.restart(&[&container]);
    world.detect();
    assert!(world.wait(Duration::from_secs(1)).0.is_empty());
    world.resubscribe("t", &[command("t", "")], &[]);
    let did = world.wait(Duration::from_secs(1));
    assert!(!did.sent::<internal::ReregisterSlaveMessage>().is_empty());
}

#[test]
fn drivers_are_called_back() {
    let mut world = World::registered();
    let container = world.run(custom("t", "e")).launch().container_id;
    world.launched(&container);
    let driver = "executor(1)@10.0.0.2:40000";
    let register = internal::RegisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
    };
    world.receive(driver, &register);
    let did = world.restart(&[&container]);
    did.sent_one::<internal::ReconnectExecutorMessage>();
    let reregister = internal::ReregisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
        tasks: vec![custom("t", "e")],
        updates: Vec::new(),
    };
    let did = world.receive(driver, &reregister);
    did.sent_one::<internal::ExecutorReregisteredMessage>();
}

#[test]
fn updates_of_a_driver_that_is_not_back_yet_keep_their_order() {
    let mut world = World::registered();
    let container = world.run(custom("t", "e")).launch().container_id;
    world.launched(&container);
    let driver = "executor(1)@10.0.0.2:40000";
    let register = internal::RegisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
    };
    world.receive(driver, &register);
    world.restart(&[&container]);
    let update = |state, number| internal::StatusUpdate {
        framework_id: "F".into(),
        executor_id: Some("e".into()),
        slave_id: Some(AGENT_ID.into()),
        status: status("t", state, number),
        timestamp: 1.0,
        uuid: Some(uuid(number)),
        latest_state: None,
    };
    // The first was lost on the way to the agent's former life.
    let finished = internal::StatusUpdateMessage {
        update: update(TaskState::TaskFinished, 2),
        pid: Some(driver.into()),
    };
    assert!(world.receive(driver, &finished).0.is_empty());
    let reregister = internal::ReregisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
        tasks: vec![custom("t", "e")],
        updates: vec![
            update(TaskState::TaskRunning, 1),
            update(TaskState::TaskFinished, 2),
        ],
    };
    world.receive(driver, &reregister);
    world.detect();
    world.wait(Duration::from_secs(1));
    let running = world.reregister().update();
    assert_eq!(running.state(), TaskState::TaskRunning);
    let finished = world.acknowledge(&running).update();
    assert_eq!(finished.state(), TaskState::TaskFinished);
}

#[test]
fn drivers_that_do_not_come_back_are_asked_again_if_that_is_wanted() {
    let mut world = World::with(|config| {
        config.executor_reregistration_timeout = Duration::from_secs(15);
        config.executor_reregistration_retry_interval = Some(Duration::from_secs(5));
    });
    world.detect();
    world.wait(Duration::from_secs(1));
    world.register();
    let container = world.run(custom("t", "e")).launch().container_id;
    world.launched(&container);
    let driver = "executor(1)@10.0.0.2:40000";
    let register = internal::RegisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
    };
    world.receive(driver, &register);
    world.restart(&[&container]);
    let did = world.wait(Duration::from_secs(5));
    did.sent_one::<internal::ReconnectExecutorMessage>();
    let reregister = internal::ReregisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
        tasks: vec![custom("t", "e")],
        updates: Vec::new(),
    };
    let did = world.receive(driver, &reregister);
    did.sent_one::<internal::ExecutorReregisteredMessage>();
    // It answers the second question, too.
    assert!(world.receive(driver, &reregister).0.is_empty());
    assert!(world.wait(Duration::from_mins(1)).destroyed().is_empty());
}

#[test]
fn a_driver_that_was_only_just_started_finds_the_next_life_of_its_agent() {
    let mut world = World::registered();
    let container = world.run(custom("t", "e")).launch().container_id;
    world.launched(&container);
    world.restart(&[&container]);
    let register = internal::RegisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
    };
    let driver = "executor(1)@10.0.0.2:40000";
    let did = world.receive(driver, &register);
    did.sent_one::<internal::ExecutorRegisteredMessage>();
    let run = did.sent_one::<internal::RunTaskMessage>();
    assert_eq!(run.task.task_id.as_str(), "t");
    // Nobody else may come in its name.
    let other = "executor(1)@10.0.0.2:40001";
    world
        .receive(other, &register)
        .sent_one::<internal::ShutdownExecutorMessage>();
}

#[test]
fn a_changed_agent_keeps_its_id_if_the_master_can_take_it() {
    let mut world = World::registered();
    world.config.resources.pop();
    world.restart(&[]);
    let did = world.back();
    let message = &did.sent::<internal::ReregisterSlaveMessage>()[0];
    assert_eq!(message.slave.resources.len(), 2);

    world.config.resources.pop();
    world.restart(&[]);
    world.step(Input::MasterDetected {
        master: Some(meseta_proto::v1::MasterInfo {
            pid: Some(MASTER.into()),
            ..Default::default()
        }),
    });
    let exit = world.wait(Duration::from_secs(1)).exit();
    assert!(matches!(exit, Some(ExitReason::Conflict(_))), "{exit:?}");
}

#[test]
fn frameworks_that_do_not_checkpoint_do_not_outlive_the_agent() {
    let mut world = World::registered();
    let message = internal::RunTaskMessage {
        framework: meseta_proto::v1::FrameworkInfo {
            checkpoint: None,
            ..framework()
        },
        task: command("t", "true"),
        ..internal::RunTaskMessage::default()
    };
    let container = world.receive(MASTER, &message).launch().container_id;
    world.launched(&container);
    let did = world.restart(&[&container]);
    assert_eq!(did.destroyed(), [container]);
    assert_eq!(world.kept(), Vec::<&str>::new());
    assert_eq!(world.back().updates().len(), 0);
}

#[test]
fn an_executor_between_two_tasks_outlives_the_agent() {
    let mut world = World::registered();
    let (container, _) = world.running_in("1", "e");
    let finished = status("1", TaskState::TaskFinished, 1);
    world.tell("e", &finished);
    world.restart(&[&container]);
    let (did, _) = world.subscribe("e");
    assert_eq!(did.event_types(), ["SUBSCRIBED"]);

    // A plain command's executor has no second task to wait for.
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.tell("t", &status("t", TaskState::TaskFinished, 1));
    world.restart(&[&container]);
    let (did, _) = world.subscribe("t");
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
}

#[test]
fn processes_of_an_earlier_boot_are_not_looked_for() {
    let mut world = World::registered();
    world.running("t");
    let facts: Vec<_> = world.store.clone().into_iter().collect();
    let survivors = recovery::survivors(&world.config.work_dir, "another boot", &facts);
    assert_eq!(survivors.len(), 1, "its sandbox is known");
    assert_eq!(survivors[0].process, None);
}

#[test]
fn a_container_whose_launch_the_crash_cut_short_is_looked_for_by_its_sandbox() {
    let mut world = World::registered();
    let container = world.run(command("t", "true")).launch().container_id;
    let facts: Vec<_> = world.store.clone().into_iter().collect();
    let survivors = recovery::survivors(&world.config.work_dir, "", &facts);
    assert_eq!(survivors[0].container_id, container);
    assert_eq!(survivors[0].process, None);
}

#[test]
fn a_crash_may_repeat_the_last_acknowledged_update_and_none_before_it() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let (first, second) = (
        status("t", TaskState::TaskStarting, 1),
        status("t", TaskState::TaskRunning, 2),
    );
    world.update("t", first.clone());
    world.update("t", second.clone());
    world.acknowledge(&first);
    world.acknowledge(&second);
    world.crash(&[&container]);
    world.resubscribe("t", &[command("t", "sleep 1000")], &[]);
    assert_eq!(world.back().update().uuid(), second.uuid());
    assert_eq!(world.acknowledge(&second).updates().len(), 0);
}

#[test]
fn a_task_whose_end_was_acknowledged_just_before_a_crash_is_over_when_that_is_repeated() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let finished = status("t", TaskState::TaskFinished, 1);
    world.tell("t", &finished);
    world.exited(&container, Some(0));
    world.crash(&[]);
    assert_eq!(world.back().update().uuid(), finished.uuid());
    world.acknowledge(&finished);
    assert_eq!(world.kept(), Vec::<&str>::new());
}
