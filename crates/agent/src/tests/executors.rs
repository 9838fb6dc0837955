use std::time::Duration;

use meseta_authentication::{Claims, TokenKey};
use meseta_machine::{RequestId, StreamId};
use meseta_proto::internal;
use meseta_proto::v1::executor::{Call, call};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{TaskState, TaskStatus};

use super::{AGENT_ID, MASTER, World, command, custom, framework, status, uuid};
use crate::Action;
use crate::records::ExecutorState;

#[test]
fn a_subscriber_learns_who_it_is_and_gets_its_task() {
    let mut world = World::registered();
    let container = world.run(command("t", "true")).launch().container_id;
    world.launched(&container);
    let (did, stream) = world.subscribe("t");
    assert!(
        matches!(&did.0[0], Action::OpenStream { stream: opened, .. } if *opened == stream),
        "the answer comes before its events"
    );
    let events = did.events();
    let subscribed = events[0].subscribed.clone().unwrap();
    assert_eq!(subscribed.framework_info, framework());
    assert_eq!(subscribed.agent_info.id.unwrap().as_str(), AGENT_ID);
    assert_eq!(subscribed.container_id, Some(container));
    assert_eq!(events[1].launch.clone().unwrap().task, command("t", "true"));
}

#[test]
fn strangers_are_refused() {
    let mut world = World::registered();
    let sentence = |did: &super::Did| String::from_utf8(did.reply().body.to_vec()).unwrap();
    let (did, _) = world.subscribe("t");
    assert_eq!(did.reply().status, 400);
    assert_eq!(sentence(&did), "Framework cannot be found");
    world.run(command("t", "true"));
    let (did, _) = world.subscribe("other");
    assert_eq!(sentence(&did), "Executor cannot be found");
    let did = world.update("t", status("t", TaskState::TaskRunning, 1));
    assert_eq!(did.reply().status, 403);
    assert_eq!(sentence(&did), "Executor is not subscribed");
}

#[test]
fn a_second_subscription_replaces_the_first() {
    let mut world = World::registered();
    let (_, first) = world.running("t");
    world.update("t", status("t", TaskState::TaskRunning, 1));
    let (did, second) = world.subscribe("t");
    let closes =
        |action: &Action| matches!(action, Action::CloseStream { stream } if *stream == first);
    assert!(did.0.iter().any(closes));
    // The end of the replaced stream is no news of the executor.
    world.step(crate::Input::StreamClosed { stream: first });
    let did = world.kill("t");
    assert_eq!(did.event_types(), ["KILL"]);
    assert!(
        did.0
            .iter()
            .any(|a| matches!(a, Action::Event { stream, .. } if *stream == second))
    );
}

#[test]
fn what_was_told_to_an_executor_out_of_reach_comes_when_it_is_back() {
    let mut world = World::registered();
    let container = world.run(custom("t1", "e")).launch().container_id;
    world.launched(&container);
    let (_, stream) = world.subscribe("e");
    world.update("e", status("t1", TaskState::TaskRunning, 1));
    world.step(crate::Input::StreamClosed { stream });
    let second = internal::RunTaskMessage {
        framework: framework(),
        task: custom("t2", "e"),
        launch_executor: Some(false),
        ..internal::RunTaskMessage::default()
    };
    assert!(world.receive(MASTER, &second).0.is_empty());
    assert!(world.kill("t1").0.is_empty());
    let (did, _) = world.subscribe("e");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH", "KILL"]);
}

#[test]
fn an_executor_without_a_task_left_is_sent_away() {
    let mut world = World::registered();
    let container = world.run(command("t", "true")).launch().container_id;
    world.launched(&container);
    let update = world.kill("t").update();
    assert_eq!(update.state(), TaskState::TaskKilled);
    assert_eq!(update.reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(update.message(), "Killed before delivery to the executor");
    let (did, _) = world.subscribe("t");
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
    world.acknowledge(&update);
    world.exited(&container, Some(0));
    assert_eq!(world.kept(), Vec::<&str>::new());
}

#[test]
fn killing_what_is_not_there_is_answered() {
    let mut world = World::registered();
    world.run(custom("t", "e"));
    let update = world.kill("ghost").update();
    assert_eq!(update.state(), TaskState::TaskDropped);
    assert_eq!(update.reason(), Reason::ExecutorTerminated);
    assert_eq!(update.message(), "Cannot find executor");
}

#[test]
fn the_end_of_an_executor_is_the_end_of_its_tasks() {
    let mut world = World::registered();
    let (container, _) = world.running_in("t", "e");
    world.tell("e", &status("t", TaskState::TaskRunning, 1));
    let did = world.exited(&container, Some(9));
    let update = did.update();
    assert_eq!(update.state(), TaskState::TaskFailed);
    assert_eq!(update.reason(), Reason::ExecutorTerminated);
    assert_eq!(update.message(), "Executor terminated");
    let exited = did.sent_one::<internal::ExitedExecutorMessage>();
    assert_eq!(exited.executor_id.as_str(), "e");
    assert_eq!(exited.status, 9);
    world.acknowledge(&update);
    assert_eq!(world.kept(), Vec::<&str>::new());
}

#[test]
fn an_executor_that_does_not_subscribe_is_given_up() {
    let mut world = World::registered();
    let container = world.run(command("t", "true")).launch().container_id;
    world.launched(&container);
    let did = world.wait(Duration::from_mins(1));
    assert_eq!(did.destroyed(), std::slice::from_ref(&container));
    let update = world.exited(&container, Some(9)).update();
    assert_eq!(update.state(), TaskState::TaskFailed);
    assert_eq!(update.reason(), Reason::ExecutorRegistrationTimeout);
    assert_eq!(update.message(), "Executor did not register within 1mins");
}

#[test]
fn an_executor_that_does_not_shut_down_is_destroyed() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let message = internal::ShutdownExecutorMessage {
        framework_id: Some("F".into()),
        executor_id: Some("t".into()),
    };
    let did = world.receive(MASTER, &message);
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
    assert!(
        world
            .wait(Duration::from_millis(4_999))
            .destroyed()
            .is_empty()
    );
    let did = world.wait(Duration::from_millis(1));
    assert_eq!(did.destroyed(), [container]);
}

#[test]
fn heartbeats_go_both_ways() {
    let mut world = World::registered();
    let (_, stream) = world.running("t");
    let almost = Duration::from_secs(30 * 60 - 1);
    assert!(world.wait(almost).events().is_empty());
    let did = world.wait(Duration::from_secs(1));
    assert_eq!(did.event_types(), ["HEARTBEAT"]);
    assert_eq!(
        world.wait(Duration::from_hours(1)).event_types(),
        ["HEARTBEAT", "HEARTBEAT"]
    );
    // A new connection begins its half hour anew; a broken one has none.
    world.step(crate::Input::StreamClosed { stream });
    assert!(world.wait(Duration::from_hours(1)).events().is_empty());
    world.update("t", status("t", TaskState::TaskRunning, 1));
    world.subscribe("t");
    assert!(world.wait(almost).events().is_empty());
    // The ids of theirs may be dummies.
    let heartbeat = Call {
        r#type: Some(call::Type::Heartbeat.into()),
        ..Call::default()
    };
    let (did, _) = world.call("nobody", heartbeat);
    assert_eq!(did.reply().status, 202);
}

#[test]
fn a_call_must_come_from_the_run_that_its_token_was_made_for() {
    let mut world = World::with(|config| {
        config.authenticate_executors = true;
        config.executor_key = Some(TokenKey::new("hush"));
    });
    world.detect();
    world.wait(Duration::from_secs(1));
    world.register();
    let launch = world.run(command("t", "true")).launch();
    let name = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
    let mut variables = launch.environment.iter();
    let (_, token) = variables.find(|(found, _)| found == name).unwrap();
    assert!(!format!("{launch:?}").contains(token));
    let claims = TokenKey::new("hush")
        .verify(token, Duration::from_secs(1_700_000_000))
        .unwrap();
    assert_eq!(claims["fid"], "F");
    assert_eq!(claims["eid"], "t");
    assert_eq!(claims["cid"], launch.container_id.value);

    world.launched(&launch.container_id);
    let subscribe = |principal: Claims| crate::Input::ExecutorCall {
        request: RequestId(900),
        call: Box::new(Call {
            framework_id: "F".into(),
            executor_id: "t".into(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe::default()),
            ..Call::default()
        }),
        new_stream: StreamId("new".into()),
        principal: Some(principal),
    };
    let mut former = claims.clone();
    former.insert("cid".into(), "a former run".into());
    assert_eq!(world.step(subscribe(former)).reply().status, 403);
    let did = world.step(subscribe(claims));
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH"]);
}

#[test]
fn an_executor_of_an_ended_framework_need_not_wait_for_anybody() {
    let mut world = World::registered();
    world.running("t");
    let did = world.shutdown_framework();
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
    let did = world.update("t", status("t", TaskState::TaskKilled, 2));
    assert_eq!(did.event_types(), ["ACKNOWLEDGED"]);
    assert!(did.updates().is_empty());
}

#[test]
fn messages_pass_both_ways() {
    let mut world = World::registered();
    world.running("t");
    let down = internal::FrameworkToExecutorMessage {
        slave_id: AGENT_ID.into(),
        framework_id: "F".into(),
        executor_id: "t".into(),
        data: b"down".to_vec(),
    };
    let did = world.receive(MASTER, &down);
    assert_eq!(did.events()[0].message.clone().unwrap().data, b"down");
    let call = Call {
        r#type: Some(call::Type::Message.into()),
        message: Some(call::Message {
            data: b"up".to_vec(),
        }),
        ..Call::default()
    };
    let (did, _) = world.call("t", call);
    assert_eq!(did.reply().status, 202);
    let up = did.sent_one::<internal::ExecutorToFrameworkMessage>();
    assert_eq!(up.data, b"up");
}

#[test]
fn an_executor_on_the_old_driver_is_served_by_messages() {
    let mut world = World::registered();
    let container = world.run(custom("t", "e")).launch().container_id;
    world.launched(&container);
    let driver = "executor(1)@10.0.0.2:40000";
    let register = internal::RegisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "e".into(),
    };
    let did = world.receive(driver, &register);
    let registered = did.sent_one::<internal::ExecutorRegisteredMessage>();
    assert_eq!(registered.slave_id.as_str(), AGENT_ID);
    let run = did.sent_one::<internal::RunTaskMessage>();
    assert_eq!(run.task.task_id.as_str(), "t");

    let update = |number| internal::StatusUpdateMessage {
        update: internal::StatusUpdate {
            framework_id: "F".into(),
            executor_id: Some("e".into()),
            slave_id: Some(AGENT_ID.into()),
            status: TaskStatus {
                uuid: None,
                ..status("t", TaskState::TaskRunning, 0)
            },
            timestamp: 1.0,
            uuid: Some(uuid(number)),
            latest_state: None,
        },
        pid: Some(driver.into()),
    };
    let did = world.receive("executor(1)@10.0.0.2:66", &update(1));
    assert!(
        did.0.is_empty(),
        "only the executor's own process may speak"
    );
    let did = world.receive(driver, &update(1));
    assert_eq!(did.update().uuid(), uuid(1));
    let received = did.sent_one::<internal::StatusUpdateAcknowledgementMessage>();
    assert_eq!(received.uuid, uuid(1));
    world.kill("t").sent_one::<internal::KillTaskMessage>();

    let stranger = internal::RegisterExecutorMessage {
        framework_id: "F".into(),
        executor_id: "unknown".into(),
    };
    let did = world.receive("executor(1)@10.0.0.2:40001", &stranger);
    did.sent_one::<internal::ShutdownExecutorMessage>();
}

#[test]
fn an_executor_that_is_to_end_cannot_subscribe_any_more() {
    let mut world = World::registered();
    world.running("t");
    world.shutdown_framework();
    let (did, _) = world.subscribe("t");
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
    assert!(matches!(did.0.last(), Some(Action::CloseStream { .. })));
    assert_eq!(world.executor("t").state, ExecutorState::Terminating);
}
