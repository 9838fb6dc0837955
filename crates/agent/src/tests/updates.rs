use std::time::Duration;

use meseta_proto::internal;
use meseta_proto::v1::TaskState;
use meseta_proto::v1::task_status::Source;

use super::{AGENT_ID, MASTER, World, command, framework, status, uuid};
use crate::{Action, Input};

#[test]
fn an_update_is_durable_before_its_executor_is_told_that_it_arrived() {
    let mut world = World::registered();
    world.running("t");
    let mut actions = Vec::new();
    let call = meseta_proto::v1::executor::Call {
        framework_id: "F".into(),
        executor_id: "t".into(),
        r#type: Some(meseta_proto::v1::executor::call::Type::Update.into()),
        update: Some(meseta_proto::v1::executor::call::Update {
            status: status("t", TaskState::TaskRunning, 1),
        }),
        ..Default::default()
    };
    let input = Input::ExecutorCall {
        request: meseta_machine::RequestId(900),
        call: Box::new(call),
        new_stream: meseta_machine::StreamId("unused".into()),
        principal: None,
    };
    world
        .agent
        .step(super::now(world.clock), input, &mut actions);
    let order: Vec<_> = actions
        .iter()
        .map(|action| match action {
            Action::Persist { .. } => "persist",
            Action::Record { .. } => "record",
            Action::Note { .. } => "note",
            Action::Send { .. } => "forward",
            Action::Event { .. } => "acknowledge",
            Action::Reply { .. } => "reply",
            _ => "other",
        })
        .collect();
    assert_eq!(order, ["persist", "forward", "acknowledge", "reply"]);
}

#[test]
fn an_update_says_what_the_agent_knows() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let did = world.update("t", status("t", TaskState::TaskRunning, 1));
    assert_eq!(did.reply().status, 202);
    let acknowledged = did.events()[0].acknowledged.clone().unwrap();
    assert_eq!(acknowledged.uuid, uuid(1));
    let message = did.sent_one::<internal::StatusUpdateMessage>();
    assert_eq!(message.pid(), "slave(1)@10.0.0.2:5051");
    let update = message.update;
    assert_eq!(update.uuid(), uuid(1));
    assert_eq!(update.slave_id.unwrap().as_str(), AGENT_ID);
    assert_eq!(update.latest_state, Some(TaskState::TaskRunning.into()));
    let status = update.status;
    assert_eq!(status.source(), Source::Executor);
    assert_eq!(status.uuid(), uuid(1));
    assert_eq!(status.agent_id.unwrap().as_str(), AGENT_ID);
    let of = status.container_status.unwrap();
    assert_eq!(of.container_id, Some(container));
    assert_eq!(of.executor_pid, Some(77));
    assert_eq!(of.network_infos[0].ip_addresses[0].ip_address(), "10.0.0.2");
}

#[test]
fn one_update_is_on_its_way_at_a_time_and_tells_of_the_latest_state() {
    let mut world = World::registered();
    world.running("t");
    let starting = world.update("t", status("t", TaskState::TaskStarting, 1));
    assert_eq!(starting.updates().len(), 1);
    let running = world.update("t", status("t", TaskState::TaskRunning, 2));
    assert_eq!(running.updates().len(), 0);
    assert_eq!(running.event_types(), ["ACKNOWLEDGED"]);
    world.update("t", status("t", TaskState::TaskFinished, 3));
    let next = world.acknowledge(&status("t", TaskState::TaskStarting, 1));
    let message = next.sent_one::<internal::StatusUpdateMessage>();
    assert_eq!(message.update.status.state(), TaskState::TaskRunning);
    assert_eq!(
        message.update.latest_state,
        Some(TaskState::TaskFinished.into()),
        "so that the master can use the resources again"
    );
}

#[test]
fn an_unacknowledged_update_is_repeated_more_and_more_seldom() {
    let mut world = World::registered();
    world.running("t");
    world.update("t", status("t", TaskState::TaskRunning, 1));
    for wait in [10, 20, 40, 80, 160, 320, 600, 600] {
        keep_registered(&mut world, Duration::from_secs(wait - 1));
        let did = world.wait(Duration::from_secs(1));
        assert_eq!(did.updates().len(), 1, "after {wait} s");
        world.receive(
            super::OBSERVER,
            &internal::PingSlaveMessage { connected: true },
        );
    }
    world.acknowledge(&status("t", TaskState::TaskRunning, 1));
    let did = world.wait(Duration::from_secs(70));
    assert_eq!(did.updates().len(), 0);
}

fn keep_registered(world: &mut World, mut time: Duration) {
    const PING: Duration = Duration::from_secs(15);
    while !time.is_zero() {
        let part = time.min(PING);
        let did = world.wait(part);
        assert_eq!(did.updates().len(), 0);
        world.receive(
            super::OBSERVER,
            &internal::PingSlaveMessage { connected: true },
        );
        time -= part;
    }
}

#[test]
fn a_repeated_update_is_acknowledged_and_not_sent_twice() {
    let mut world = World::registered();
    world.running("t");
    let running = status("t", TaskState::TaskRunning, 1);
    assert_eq!(world.update("t", running.clone()).updates().len(), 1);
    let again = world.update("t", running.clone());
    assert_eq!(again.updates().len(), 0);
    assert_eq!(again.event_types(), ["ACKNOWLEDGED"]);
    world.acknowledge(&running);
    let late = world.update("t", running);
    assert_eq!(late.updates().len(), 0);
    assert_eq!(late.event_types(), ["ACKNOWLEDGED"]);
}

#[test]
fn updates_wait_for_a_master_and_then_go_at_once() {
    let mut world = World::registered();
    world.running("t");
    world.step(Input::MasterDetected { master: None });
    let did = world.update("t", status("t", TaskState::TaskRunning, 1));
    assert_eq!(did.event_types(), ["ACKNOWLEDGED"]);
    assert_eq!(did.updates().len(), 0);
    world.detect();
    world.wait(Duration::from_secs(1));
    assert_eq!(world.reregister().updates().len(), 1);
}

#[test]
fn a_framework_that_comes_back_gets_its_updates_at_once() {
    let mut world = World::registered();
    world.running("t");
    world.update("t", status("t", TaskState::TaskRunning, 1));
    let back = internal::UpdateFrameworkMessage {
        framework_id: "F".into(),
        pid: Some("scheduler-1@10.0.0.5:1234".into()),
        framework_info: Some(framework()),
    };
    assert_eq!(world.receive(MASTER, &back).updates().len(), 1);
    let pid = world.framework().pid.clone();
    assert_eq!(pid.unwrap().to_string(), "scheduler-1@10.0.0.5:1234");
}

#[test]
fn a_finished_task_leaves_nothing_behind_but_a_memory() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.update("t", status("t", TaskState::TaskFinished, 1));
    world.acknowledge(&status("t", TaskState::TaskFinished, 1));
    let did = world.exited(&container, Some(0));
    assert_eq!(did.updates().len(), 0);
    assert_eq!(
        did.sent::<internal::ExitedExecutorMessage>().len(),
        0,
        "masters do not count command executors"
    );
    assert_eq!(world.kept(), Vec::<&str>::new());
    let snapshot = world.agent.snapshot();
    assert!(snapshot.frameworks.is_empty());
    let framework = &snapshot.completed_frameworks[0];
    let executor = &framework.completed_executors[0];
    assert_eq!(executor.completed_tasks[0].state(), TaskState::TaskFinished);
    assert_eq!(snapshot.counters.tasks_finished, 1);
    assert_eq!(
        world.agent.next_wake(),
        Some(Duration::from_secs(76)),
        "only for pings"
    );
}

#[test]
fn acknowledgements_of_former_masters_do_not_count() {
    let mut world = World::registered();
    world.running("t");
    let running = status("t", TaskState::TaskRunning, 1);
    world.update("t", running.clone());
    let message = internal::StatusUpdateAcknowledgementMessage {
        slave_id: AGENT_ID.into(),
        framework_id: "F".into(),
        task_id: "t".into(),
        uuid: running.uuid.clone().unwrap(),
    };
    world.receive("master@10.0.0.9:5050", &message);
    let did = world.wait(Duration::from_secs(10));
    assert_eq!(did.updates().len(), 1, "it is repeated");
    // Old drivers acknowledge directly.
    world.receive("scheduler(1)@10.0.0.5:1234", &message);
    let did = world.wait(Duration::from_mins(1));
    assert_eq!(did.updates().len(), 0);
}

#[test]
fn an_executor_speaks_only_of_its_own_tasks() {
    let mut world = World::registered();
    world.running("t1");
    world.running("t2");
    let did = world.update("t2", status("t1", TaskState::TaskFailed, 9));
    assert_eq!(did.updates().len(), 0);
    assert_eq!(world.agent.snapshot().counters.invalid_status_updates, 1);
    let executor = world.executor("t1");
    let task = executor.launched_tasks.values().next().unwrap();
    assert_eq!(task.state(), TaskState::TaskStaging);
}

#[test]
fn the_updates_of_a_removed_framework_are_forgotten() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.update("t", status("t", TaskState::TaskRunning, 1));
    let did = world.shutdown_framework();
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
    let did = world.update("t", status("t", TaskState::TaskKilled, 2));
    assert_eq!(did.updates().len(), 0);
    let did = world.exited(&container, Some(0));
    assert_eq!(did.updates().len(), 0);
    assert_eq!(world.kept(), Vec::<&str>::new());
    world.run(command("t", "true")).launch();
}

#[test]
fn an_executor_that_reports_without_end_is_refused_until_it_is_heard() {
    use crate::limits::MAX_PENDING_UPDATES;
    let mut world = World::registered();
    world.running("t");
    let version = 4 << 76;
    let numbered = |number: usize| meseta_proto::v1::TaskStatus {
        uuid: Some((number as u128 | version).to_be_bytes().to_vec()),
        ..status("t", TaskState::TaskRunning, 0)
    };
    for number in 0..MAX_PENDING_UPDATES {
        assert_eq!(world.update("t", numbered(number)).reply().status, 202);
    }
    let refused = world.update("t", numbered(MAX_PENDING_UPDATES));
    assert_eq!(refused.reply().status, 503);
    assert!(
        refused.events().is_empty(),
        "it is not said to have arrived"
    );
    let end = world.update("t", status("t", TaskState::TaskFinished, 1));
    assert_eq!(
        end.reply().status,
        202,
        "the end of a task always finds room"
    );
}

#[test]
fn the_updates_of_a_framework_that_is_not_there_are_kept_within_bounds() {
    use crate::limits::{MAX_LAST_WORD_BYTES, MAX_PENDING_BYTES};
    let mut world = World::registered();
    world.running("t");
    let size = MAX_PENDING_BYTES / 8;
    let large = |task: &str, state, number| meseta_proto::v1::TaskStatus {
        data: Some(vec![0; size]),
        ..status(task, state, number)
    };
    let first = large("t", TaskState::TaskRunning, 1);
    for number in 1..8 {
        let update = large("t", TaskState::TaskRunning, number);
        assert_eq!(world.update("t", update).reply().status, 202);
    }
    for (task, state) in [
        ("t", TaskState::TaskRunning),
        ("t", TaskState::TaskFinished),
        ("invented", TaskState::TaskFinished),
    ] {
        let refused = world.update("t", large(task, state, 9));
        assert_eq!(refused.reply().status, 503);
        assert!(refused.events().is_empty(), "it is said to have arrived");
    }
    world.acknowledge(&first);
    let update = large("t", TaskState::TaskRunning, 9);
    assert_eq!(world.update("t", update).reply().status, 202);
    let end = meseta_proto::v1::TaskStatus {
        data: Some(vec![0; MAX_LAST_WORD_BYTES / 2]),
        ..status("t", TaskState::TaskFinished, 10)
    };
    assert_eq!(
        world.update("t", end).reply().status,
        202,
        "the end of a task always finds room"
    );
}

#[test]
fn what_a_task_said_to_its_framework_is_not_kept_with_its_record() {
    let mut world = World::registered();
    world.running("t");
    let update = meseta_proto::v1::TaskStatus {
        data: Some(b"result".to_vec()),
        ..status("t", TaskState::TaskRunning, 1)
    };
    let did = world.update("t", update);
    assert_eq!(did.update().data(), b"result");
    let key = ("F".into(), "t".into());
    let executor = world.agent.executor(&key).unwrap();
    let tasks = executor.launched_tasks.values();
    let kept: Vec<_> = tasks.flat_map(|task| &task.statuses).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].data, None);
}
