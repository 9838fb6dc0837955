use std::time::Duration;

use meseta_proto::internal;
use meseta_proto::v1::{Resource, TaskState, TaskStatus};

use super::{AGENT_ID, MASTER, OBSERVER, World, command, status};
use crate::{Action, ExitReason, Input};

#[test]
fn an_agent_asks_to_be_registered_until_it_is() {
    let mut world = World::new();
    world.detect();
    let first = world.wait(Duration::from_secs(1));
    let message = first.sent_one::<internal::RegisterSlaveMessage>();
    assert_eq!(message.version(), "1.11.0");
    assert_eq!(message.slave.port(), 5051);
    assert_eq!(message.slave.checkpoint, Some(true));
    assert_eq!(message.slave.id, None);
    assert_eq!(message.agent_capabilities.len(), 8);
    assert_eq!(message.resource_version_uuid.unwrap().value.len(), 16);
    #[allow(deprecated)]
    let roles: Vec<_> = message.slave.resources.iter().map(Resource::role).collect();
    assert_eq!(roles, ["*"; 3], "agents describe resources in the old form");
    assert!(
        first.0.iter().any(|a| matches!(a, Action::Link { .. })),
        "an agent links to its master"
    );

    let again = world.wait(Duration::from_mins(5));
    let retries = again.sent::<internal::RegisterSlaveMessage>().len();
    assert!(
        (4..100).contains(&retries),
        "{retries} retries in 5 minutes"
    );

    let done = world.register();
    let update = done.sent_one::<internal::UpdateSlaveMessage>();
    assert_eq!(update.slave_id.as_str(), AGENT_ID);
    assert_eq!(update.update_oversubscribed_resources, Some(true));
    assert!(world.agent.snapshot().registered);
    assert!(world.store.contains_key("agent"));
    let quiet = world.wait(Duration::from_secs(70));
    assert!(quiet.0.is_empty(), "{quiet:?}");
}

#[test]
fn only_the_leading_master_is_obeyed() {
    let mut world = World::new();
    world.detect();
    world.wait(Duration::from_secs(1));
    let registered = internal::SlaveRegisteredMessage {
        slave_id: AGENT_ID.into(),
        connection: None,
    };
    world.receive("master@10.0.0.9:5050", &registered);
    assert!(!world.agent.snapshot().registered);
}

#[test]
fn pings_are_answered_to_who_sent_them_in_every_state() {
    let ping = internal::PingSlaveMessage { connected: true };
    let mut world = World::new();
    for _ in 0..2 {
        let did = world.receive(OBSERVER, &ping);
        let answer = did.0.iter().find_map(|action| match action {
            Action::Send { to, name, .. } => Some((to.to_string(), *name)),
            _ => None,
        });
        let expected = (OBSERVER.into(), "mesos.internal.PongSlaveMessage");
        assert_eq!(answer, Some(expected));
        world = World::registered();
    }
}

#[test]
fn a_silent_master_is_registered_with_anew() {
    let mut world = World::registered();
    for _ in 0..10 {
        world.wait(Duration::from_secs(15));
        world.receive(OBSERVER, &internal::PingSlaveMessage { connected: true });
    }
    assert!(world.agent.snapshot().registered, "pings keep it so");
    let did = world.wait(Duration::from_secs(77));
    assert!(did.0.iter().any(|a| matches!(a, Action::Redetect)));
    let message = &did.sent::<internal::ReregisterSlaveMessage>()[0];
    assert_eq!(message.slave.id.as_ref().unwrap().as_str(), AGENT_ID);
    world.reregister();
    assert!(world.agent.snapshot().registered);
}

#[test]
fn a_master_whose_link_breaks_is_registered_with_anew() {
    let mut world = World::registered();
    let exited = |world: &mut World, pid: &str| {
        let address = super::pid(pid).address;
        world.step(Input::Exited { address })
    };
    exited(&mut world, "executor(1)@10.0.0.2:40000");
    assert!(
        world.agent.snapshot().registered,
        "executors' links say nothing"
    );
    exited(&mut world, MASTER);
    assert!(!world.agent.snapshot().registered);
    let mut attempts = 0;
    for _ in 0..300 {
        let did = world.wait(Duration::from_secs(1));
        attempts += did.sent::<internal::ReregisterSlaveMessage>().len();
        exited(&mut world, MASTER);
    }
    assert!(
        (4..60).contains(&attempts),
        "{attempts} attempts while the master is away"
    );
    world.reregister();
    assert!(world.agent.snapshot().registered);
}

#[test]
fn a_master_that_has_lost_the_agent_is_registered_with_anew() {
    let mut world = World::registered();
    let did = world.receive(OBSERVER, &internal::PingSlaveMessage { connected: false });
    assert!(did.0.iter().any(|a| matches!(a, Action::Redetect)));
    assert!(!world.agent.snapshot().registered);
}

#[test]
fn reregistration_tells_everything_that_is_on_the_agent() {
    let mut world = World::registered();
    world.running("t1");
    world.update("t1", status("t1", TaskState::TaskRunning, 1));
    world.run(super::custom("t2", "e2"));
    world.detect();
    let did = world.wait(Duration::from_secs(1));
    let message = &did.sent::<internal::ReregisterSlaveMessage>()[0];
    let states: Vec<_> = message
        .tasks
        .iter()
        .map(|t| (t.task_id.as_str(), t.state(), t.executor_id.is_some()))
        .collect();
    assert_eq!(
        states,
        [
            ("t2", TaskState::TaskStaging, true),
            ("t1", TaskState::TaskRunning, false),
        ]
    );
    let executors = message.executor_infos.iter();
    let executors: Vec<_> = executors.map(|e| e.executor_id.as_str()).collect();
    assert_eq!(executors, ["e2"], "command executors are the agent's own");
    assert_eq!(message.frameworks.len(), 1);
}

#[test]
fn tasks_that_the_master_knows_and_the_agent_does_not_are_dropped() {
    let mut world = World::registered();
    world.detect();
    world.wait(Duration::from_secs(1));
    let message = internal::SlaveReregisteredMessage {
        slave_id: AGENT_ID.into(),
        reconciliations: vec![internal::ReconcileTasksMessage {
            framework_id: "F".into(),
            framework: Some(super::framework()),
            statuses: vec![TaskStatus {
                task_id: "ghost".into(),
                ..TaskStatus::default()
            }],
        }],
        connection: None,
    };
    let update = world.receive(MASTER, &message).update();
    assert_eq!(update.state(), TaskState::TaskDropped);
    assert_eq!(
        update.message(),
        "Reconciliation: task unknown to the agent"
    );
    world.acknowledge(&update);
    assert_eq!(world.kept(), Vec::<&str>::new());
}

#[test]
fn a_master_that_takes_the_agent_for_another_ends_it() {
    let mut world = World::registered();
    let other = internal::SlaveRegisteredMessage {
        slave_id: "M-S9".into(),
        connection: None,
    };
    let exit = world.receive(MASTER, &other).exit();
    assert!(matches!(exit, Some(ExitReason::Conflict(_))), "{exit:?}");
}

#[test]
fn an_agent_that_is_told_to_shut_down_ends_when_its_executors_have() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let did = world.step(Input::Shutdown);
    did.sent_one::<internal::UnregisterSlaveMessage>();
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
    assert_eq!(did.exit(), None);
    let did = world.exited(&container, Some(0));
    assert!(matches!(did.exit(), Some(ExitReason::Shutdown(_))));
    assert!(
        world.store.is_empty(),
        "it will be a new agent: {:?}",
        world.kept()
    );
}

#[test]
fn messages_that_are_no_messages_change_nothing() {
    let mut world = World::registered();
    for name in [
        "mesos.internal.RunTaskMessage",
        "mesos.internal.PingSlaveMessage",
        "mesos.internal.Nonsense",
        "other",
    ] {
        for body in [&b"\xff\xff\xff"[..], b"", b"\x0a\xff"] {
            let did = world.step(Input::Message {
                from: super::pid(MASTER),
                to: "slave(1)".into(),
                name: name.into(),
                body: body.to_vec().into(),
            });
            assert!(did.0.is_empty(), "{name}: {did:?}");
        }
    }
    world.run(command("t", "true")).launch();
}
