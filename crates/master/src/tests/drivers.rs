use bytes::Bytes;
use meseta_proto::internal::{
    FrameworkErrorMessage, FrameworkRegisteredMessage, FrameworkReregisteredMessage,
    LaunchTasksMessage, LostSlaveMessage, RegisterFrameworkMessage, ReregisterFrameworkMessage,
    RescindResourceOfferMessage, ResourceOffersMessage, RunTaskMessage,
    StatusUpdateAcknowledgementMessage, StatusUpdateMessage, UnregisterFrameworkMessage,
};
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::{FrameworkId, FrameworkInfo, TaskState};
use meseta_proto::{Upid, v0};

use super::world::*;
use crate::Input;

fn subscribe(world: &mut World, pid: &Upid, id: Option<FrameworkId>, force: bool) {
    let call = v0::scheduler::Call {
        framework_id: id.clone(),
        r#type: Some(call::Type::Subscribe.into()),
        subscribe: Some(v0::scheduler::call::Subscribe {
            framework_info: FrameworkInfo {
                id,
                ..framework_info()
            },
            force: Some(force),
            ..Default::default()
        }),
        ..Default::default()
    };
    world.message(pid, "master", &call);
}

fn registered(world: &World, pid: &Upid) -> FrameworkId {
    let answers = world.sent::<FrameworkRegisteredMessage>(pid);
    answers.last().unwrap().framework_id.clone()
}

fn error(world: &World, pid: &Upid) -> String {
    let errors = world.sent::<FrameworkErrorMessage>(pid);
    errors.last().unwrap().message.clone()
}

#[test]
fn an_old_driver_launches_a_task_and_acknowledges_its_end() {
    let mut world = World::new();
    let agent_pid = upid("slave(1)", 5051);
    let agent = world.agent(&agent_pid);
    let pid = upid("scheduler(1)", 7000);
    let register = RegisterFrameworkMessage {
        framework: framework_info(),
    };
    world.message(&pid, "master", &register);
    world.message(&pid, "master", &register);
    let id = registered(&world, &pid);
    assert_eq!(world.master.snapshot().frameworks.len(), 1);
    world.settle();
    let message = &world.sent::<ResourceOffersMessage>(&pid)[0];
    assert_eq!(message.pids, [agent_pid.to_string()]);
    let offer = message.offers[0].clone();
    let launch = LaunchTasksMessage {
        framework_id: id.clone(),
        tasks: vec![command_task("t", &offer, "cpus:1;mem:64")],
        offer_ids: vec![offer.id.clone()],
        ..Default::default()
    };
    world.message(&pid, "master", &launch);
    let run = &world.sent::<RunTaskMessage>(&agent_pid)[0];
    assert_eq!(run.pid, Some(pid.to_string()));

    let scheduler = Scheduler {
        id: id.clone(),
        stream: meseta_machine::StreamId(String::new()),
    };
    let finished = TaskState::TaskFinished;
    world.update(&agent_pid, &agent, &scheduler, "t", finished, None);
    let update = &world.sent::<StatusUpdateMessage>(&pid)[0];
    assert_eq!(update.pid, Some(agent_pid.to_string()));
    assert_eq!(update.update.uuid, Some(uuid(finished)));
    let acknowledge = StatusUpdateAcknowledgementMessage {
        slave_id: agent,
        framework_id: id.clone(),
        task_id: "t".into(),
        uuid: uuid(finished),
    };
    world.message(&upid("scheduler(1)", 7001), "master", &acknowledge);
    assert_eq!(world.master.snapshot().frameworks[&id].tasks.len(), 1);
    world.message(&pid, "master", &acknowledge);
    assert!(world.master.snapshot().frameworks[&id].tasks.is_empty());

    let unregister = UnregisterFrameworkMessage { framework_id: id };
    world.message(&pid, "master", &unregister);
    assert!(world.master.snapshot().frameworks.is_empty());
}

#[test]
fn ids_are_given_by_masters_and_kept_by_drivers() {
    let mut world = World::new();
    let pid = upid("scheduler(1)", 7000);
    let framework = FrameworkInfo {
        id: Some("f".into()),
        ..framework_info()
    };
    world.message(&pid, "master", &RegisterFrameworkMessage { framework });
    assert_eq!(error(&world, &pid), "Registering with 'id' already set");
    let message = ReregisterFrameworkMessage {
        framework: framework_info(),
        failover: false,
    };
    world.message(&pid, "master", &message);
    assert_eq!(error(&world, &pid), "Re-registering without an 'id'");
}

#[test]
fn a_driver_takes_over_by_force_only() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    let (first, second) = (upid("a", 7000), upid("b", 7001));
    subscribe(&mut world, &first, None, false);
    let id = registered(&world, &first);
    world.settle();
    subscribe(&mut world, &second, Some(id.clone()), false);
    assert_eq!(error(&world, &second), "Framework failed over");

    subscribe(&mut world, &first, Some(id.clone()), false);
    assert_eq!(world.sent::<FrameworkReregisteredMessage>(&first).len(), 1);
    assert_eq!(world.sent::<RescindResourceOfferMessage>(&first).len(), 1);

    subscribe(&mut world, &second, Some(id.clone()), true);
    assert_eq!(error(&world, &first), "Framework failed over");
    assert_eq!(registered(&world, &second), id);
    let framework = &world.master.snapshot().frameworks[&id];
    assert_eq!(framework.endpoint.pid(), Some(&second));
}

#[test]
fn a_driver_whose_link_broke_may_come_back() {
    let mut world = World::new();
    let pid = upid("a", 7000);
    subscribe(&mut world, &pid, None, false);
    let id = registered(&world, &pid);
    world.step(Input::Exited {
        address: pid.address,
    });
    assert_eq!(error(&world, &pid), "Framework disconnected");
    assert!(!world.master.snapshot().frameworks[&id].connected());
    world.actions();
    let revive = v0::scheduler::Call {
        framework_id: Some(id.clone()),
        r#type: Some(call::Type::Revive.into()),
        ..Default::default()
    };
    world.message(&pid, "master", &revive);
    assert_eq!(error(&world, &pid), "Framework disconnected");
    subscribe(&mut world, &pid, Some(id.clone()), false);
    assert!(world.master.snapshot().frameworks[&id].connected());
}

#[test]
fn drivers_hear_of_lost_agents() {
    let mut world = World::new();
    let agent = world.agent(&upid("slave(1)", 5051));
    let pid = upid("a", 7000);
    subscribe(&mut world, &pid, None, false);
    world.pass(std::time::Duration::from_secs(80));
    let lost = &world.sent::<LostSlaveMessage>(&pid)[0];
    assert_eq!(lost.slave_id, agent);
}

#[test]
fn what_is_not_a_message_is_dropped_and_counted() {
    let mut world = World::new();
    for (name, body) in [
        ("mesos.internal.RegisterSlaveMessage", &b"\xff\xff"[..]),
        ("mesos.internal.NoSuchMessage", b""),
        ("mesos.scheduler.Call", b""),
        ("x", b""),
    ] {
        world.step(Input::Message {
            from: upid("a", 1),
            to: "master".into(),
            name: name.into(),
            body: Bytes::from_static(body),
        });
    }
    assert!(world.actions().is_empty());
    assert_eq!(world.master.snapshot().metrics.dropped_messages, 4);
}
