use meseta_proto::internal;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{OperationState, Resource, TaskInfo, Uuid, offer};
use meseta_resources::Resources;

use super::{Did, MASTER, World, command, custom};
use crate::{Action, Input, VolumeFolder};

/// Two of the four cpus, reserved for `r` by a scheduler.
fn reserved() -> Vec<Resource> {
    let text = br#"{"name":"","task_id":{"value":""},"agent_id":{"value":""},"resources":[
        {"name":"cpus","type":"SCALAR","scalar":{"value":2},
         "reservations":[{"type":"DYNAMIC","role":"r"}]}]}"#;
    meseta_proto::json::from_slice::<TaskInfo>(text)
        .unwrap()
        .resources
}

fn total(world: &World) -> String {
    let snapshot = world.agent.snapshot();
    Resources::from_v1(&snapshot.total_resources)
        .unwrap()
        .to_string()
}

fn reserve(uuid: u8) -> internal::ApplyOperationMessage {
    internal::ApplyOperationMessage {
        framework_id: Some("F".into()),
        operation_info: offer::Operation {
            r#type: Some(offer::operation::Type::Reserve.into()),
            id: Some("op".into()),
            reserve: Some(offer::operation::Reserve {
                source: Vec::new(),
                resources: reserved(),
            }),
            ..offer::Operation::default()
        },
        operation_uuid: Uuid {
            value: super::uuid(uuid),
        },
        resource_version_uuid: internal::ResourceVersionUuid::default(),
    }
}

#[test]
fn reservations_are_made_and_survive() {
    let mut world = World::registered();
    let did = world.receive(MASTER, &reserve(1));
    let outcome = did.sent_one::<internal::UpdateOperationStatusMessage>();
    assert_eq!(outcome.status.state(), OperationState::OperationFinished);
    let with_reservation = "mem:4096; disk:1000; cpus:2; \
                            cpus(reservations: [(DYNAMIC,r)]):2";
    let sorted = |text: &str| {
        let mut parts: Vec<_> = text.split("; ").map(str::to_owned).collect();
        parts.sort();
        parts
    };
    assert_eq!(sorted(&total(&world)), sorted(with_reservation));

    let mut task = command("t", "true");
    task.resources = Resources::from_v1(&reserved())
        .unwrap()
        .allocate("r")
        .to_v1();
    world.run(task).launch();

    world.restart(&[]);
    assert_eq!(sorted(&total(&world)), sorted(with_reservation));
}

#[test]
fn outcomes_are_repeated_until_they_are_acknowledged() {
    let mut world = World::registered();
    let did = world.receive(MASTER, &reserve(1));
    let outcome = did.sent_one::<internal::UpdateOperationStatusMessage>();
    let again = world.wait(std::time::Duration::from_secs(10));
    again.sent_one::<internal::UpdateOperationStatusMessage>();
    let acknowledge = internal::AcknowledgeOperationStatusMessage {
        status_uuid: outcome.status.uuid.unwrap(),
        operation_uuid: outcome.operation_uuid.unwrap(),
        resource_provider_id: None,
    };
    world.receive(MASTER, &acknowledge);
    assert_eq!(world.kept(), ["resources"]);
    let quiet = world.wait(std::time::Duration::from_mins(1));
    assert!(
        quiet
            .sent::<internal::UpdateOperationStatusMessage>()
            .is_empty()
    );
}

#[test]
fn an_operation_on_what_is_not_there_fails() {
    let mut world = World::registered();
    world.receive(MASTER, &reserve(1));
    world.receive(MASTER, &reserve(2));
    let did = world.receive(MASTER, &reserve(3));
    let outcome = did.sent_one::<internal::UpdateOperationStatusMessage>();
    assert_eq!(outcome.status.state(), OperationState::OperationFailed);
}

#[test]
fn operations_that_the_agent_never_saw_are_reported_dropped() {
    let mut world = World::registered();
    let ask = internal::ReconcileOperationsMessage {
        operations: vec![internal::reconcile_operations_message::Operation {
            operation_uuid: Some(Uuid {
                value: super::uuid(7),
            }),
            ..Default::default()
        }],
        framework_id: None,
    };
    let did = world.receive(MASTER, &ask);
    let outcome = did.sent_one::<internal::UpdateOperationStatusMessage>();
    assert_eq!(outcome.status.state(), OperationState::OperationDropped);
}

#[test]
fn a_master_may_set_all_reservations_at_once() {
    let mut world = World::registered();
    let message = internal::CheckpointResourcesMessage {
        resources: reserved(),
    };
    world.receive(MASTER, &message);
    assert!(total(&world).contains("DYNAMIC"));
    let none = internal::CheckpointResourcesMessage::default();
    world.receive(MASTER, &none);
    assert!(!total(&world).contains("DYNAMIC"));
}

#[test]
fn a_drained_agent_ends_its_tasks_and_takes_no_new_ones() {
    use meseta_proto::v1::task_status::Reason;
    use meseta_proto::v1::{DrainConfig, TaskState};
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.update("t", super::status("t", TaskState::TaskRunning, 1));
    world.acknowledge(&super::status("t", TaskState::TaskRunning, 1));
    let drain = internal::DrainSlaveMessage {
        config: DrainConfig {
            mark_gone: Some(true),
            ..DrainConfig::default()
        },
    };
    let did = world.receive(MASTER, &drain);
    assert_eq!(did.event_types(), ["KILL"]);
    assert!(world.agent.snapshot().drain_start.is_some());
    let refused = world.run(command("late", "true")).update();
    assert_eq!(refused.reason(), Reason::AgentDraining);
    world.acknowledge(&refused);
    let killing = world.update("t", super::status("t", TaskState::TaskKilling, 3));
    assert_eq!(killing.update().state(), TaskState::TaskKilling);
    world.acknowledge(&killing.update());
    let did = world.update("t", super::status("t", TaskState::TaskKilled, 2));
    assert_eq!(did.update().state(), TaskState::TaskGoneByOperator);
    assert_eq!(did.update().reason(), Reason::AgentDraining);
    world.acknowledge(&did.update());
    let snapshot = world.agent.snapshot();
    assert!(snapshot.drain.is_none() && snapshot.drain_start.is_none());
    assert_eq!(snapshot.frameworks.len(), 1, "its executor is about to end");
    world.exited(&container, Some(0));
    assert_eq!(world.kept(), Vec::<&str>::new());
}

/// An operation on volume `v`, of a tenth of the disk, reserved for `r`.
fn on_volume(kind: &str, uuid: u8) -> internal::ApplyOperationMessage {
    let text = format!(
        r#"{{"type":"{}","{kind}":{{"{}":[{{"name":"disk","type":"SCALAR","scalar":{{"value":100}},
        "reservations":[{{"type":"DYNAMIC","role":"r"}}]{}}}]}}}}"#,
        kind.to_uppercase(),
        if kind == "reserve" {
            "resources"
        } else {
            "volumes"
        },
        if kind == "reserve" {
            ""
        } else {
            r#","disk":{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"data"}}"#
        }
    );
    internal::ApplyOperationMessage {
        operation_info: meseta_proto::json::from_slice(text.as_bytes()).unwrap(),
        ..reserve(uuid)
    }
}

/// The orders for folders: the operation, and the paths to make and to remove.
fn folders(did: &Did) -> Vec<(Option<u8>, Vec<String>, Vec<String>)> {
    let paths = |folders: &[VolumeFolder]| {
        let paths = folders.iter().map(|f| f.path.to_str().unwrap().to_owned());
        paths.collect::<Vec<_>>()
    };
    let orders = did.0.iter().filter_map(|action| match action {
        Action::ChangeVolumes {
            operation,
            create,
            remove,
        } => Some((
            operation.as_ref().map(|uuid| uuid[0]),
            paths(create),
            paths(remove),
        )),
        _ => None,
    });
    orders.collect()
}

fn done(world: &mut World, uuid: u8, result: Result<(), String>) -> Did {
    world.step(Input::VolumesChanged {
        operation: Some(super::uuid(uuid)),
        result,
    })
}

fn outcomes(did: &Did) -> Vec<OperationState> {
    let updates = did.sent::<internal::UpdateOperationStatusMessage>();
    updates.iter().map(|update| update.status.state()).collect()
}

const FOLDER: &str = "/w/volumes/roles/r/v";

fn with_volume() -> World {
    let mut world = World::registered();
    world.receive(MASTER, &on_volume("reserve", 1));
    world.receive(MASTER, &on_volume("create", 2));
    done(&mut world, 2, Ok(()));
    world
}

#[test]
fn a_volume_is_there_before_it_is_said_to_be_and_is_found_by_its_task() {
    let mut world = World::registered();
    world.receive(MASTER, &on_volume("reserve", 1));
    let did = world.receive(MASTER, &on_volume("create", 2));
    assert_eq!(folders(&did), [(Some(2), vec![FOLDER.to_owned()], vec![])]);
    assert_eq!(outcomes(&did), []);
    let did = done(&mut world, 2, Ok(()));
    assert_eq!(outcomes(&did), [OperationState::OperationFinished]);

    let mut task = command("t", "true");
    let volume = on_volume("create", 0)
        .operation_info
        .create
        .unwrap()
        .volumes;
    let volume = Resources::from_v1(&volume).unwrap().allocate("r").to_v1();
    task.resources.extend(volume.clone());
    let launch = world.run(task).launch();
    let [link] = &launch.volumes[..] else {
        panic!("one volume")
    };
    assert_eq!(link.volume.to_str(), Some(FOLDER));
    assert_eq!(link.name.to_str(), Some("data"));

    let mut elsewhere = command("elsewhere", "true");
    elsewhere.resources.extend(volume);
    let disk = elsewhere
        .resources
        .last_mut()
        .unwrap()
        .disk
        .as_mut()
        .unwrap();
    disk.volume.as_mut().unwrap().container_path = "/data".into();
    let refused = world.run(elsewhere).update();
    assert_eq!(refused.reason(), Reason::ContainerLaunchFailed);
    assert!(refused.message().contains("cannot be put at '/data'"));
}

#[test]
fn what_a_restart_cuts_short_is_done_again() {
    let mut world = World::registered();
    world.receive(MASTER, &on_volume("reserve", 1));
    world.receive(MASTER, &on_volume("create", 2));
    let did = world.restart(&[]);
    let expected = [
        (None, vec![FOLDER.to_owned()], vec![]),
        (Some(2), vec![], vec![]),
    ];
    assert_eq!(folders(&did), expected);
    done(&mut world, 2, Ok(()));

    world.detect();
    world.receive(MASTER, &on_volume("destroy", 3));
    let did = world.restart(&[]);
    assert_eq!(folders(&did), [(Some(3), vec![], vec![FOLDER.to_owned()])]);
    world.detect();
    world.wait(std::time::Duration::from_secs(1));
    world.reregister();
    let did = done(&mut world, 3, Ok(()));
    assert_eq!(outcomes(&did), [OperationState::OperationFinished]);
    assert!(!total(&world).contains("v:data"), "{}", total(&world));
}

#[test]
fn a_folder_with_a_new_volume_in_it_outlives_the_repetition_of_a_removal() {
    let mut world = with_volume();
    world.receive(MASTER, &on_volume("destroy", 3));
    world.receive(MASTER, &on_volume("create", 4));
    let did = world.restart(&[]);
    assert!(
        folders(&did)
            .iter()
            .all(|(_, _, removed)| removed.is_empty())
    );
}

#[test]
fn what_cannot_be_done_on_disk_is_undone_and_the_master_learns_it() {
    let mut world = World::registered();
    world.receive(MASTER, &on_volume("reserve", 1));
    let before = total(&world);
    world.receive(MASTER, &on_volume("create", 2));
    let did = done(&mut world, 2, Err("no space".into()));
    let update = did.sent_one::<internal::UpdateOperationStatusMessage>();
    assert_eq!(update.status.state(), OperationState::OperationFailed);
    assert_eq!(update.status.message(), "no space");
    assert_eq!(total(&world), before);
    let did = world.wait(std::time::Duration::from_secs(2));
    let message = did.sent::<internal::ReregisterSlaveMessage>().remove(0);
    assert_eq!(
        Resources::from_v1(&message.checkpointed_resources)
            .unwrap()
            .to_string(),
        "disk(reservations: [(DYNAMIC,r)]):100"
    );
}

#[test]
fn volumes_of_further_tasks_are_put_into_the_sandbox_of_their_executor() {
    let mut world = with_volume();
    let (container, _) = world.running_in("t1", "e");
    let mut second = custom("t2", "e");
    let volume = on_volume("create", 0)
        .operation_info
        .create
        .unwrap()
        .volumes;
    let volume = Resources::from_v1(&volume).unwrap().allocate("r").to_v1();
    second.resources.extend(volume);
    let message = internal::RunTaskMessage {
        framework: super::framework(),
        task: second,
        launch_executor: Some(false),
        ..internal::RunTaskMessage::default()
    };
    let did = world.receive(MASTER, &message);
    assert!(
        matches!(&did.0[..], [Action::LinkVolumes { volumes, .. }, Action::Event { .. }]
            if volumes[0].name.to_str() == Some("data")),
        "{did:?}"
    );
    let did = world.step(Input::VolumesNotLinked {
        container_id: container.clone(),
        reason: "it is gone".into(),
    });
    assert_eq!(did.destroyed(), std::slice::from_ref(&container));
    let did = world.exited(&container, Some(9));
    let update = &did.updates()[0];
    assert_eq!(update.reason(), Reason::ContainerUpdateFailed);
}
