use meseta_proto::internal;
use meseta_proto::v1::{OperationState, Resource, TaskInfo, Uuid, offer};
use meseta_resources::Resources;

use super::{MASTER, World, command};

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
            value: vec![uuid; 16],
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
            operation_uuid: Some(Uuid { value: vec![7; 16] }),
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
    world.exited(&container, Some(0));
    assert!(world.agent.snapshot().drain.is_none(), "it is empty");
    assert_eq!(world.kept(), Vec::<&str>::new());
}
