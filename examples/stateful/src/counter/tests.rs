use meseta_framework::resource::{ResourceExt as _, parse};
use meseta_framework::v1::resource::AllocationInfo;
use meseta_framework::v1::{Resource, offer::operation::Type};

use super::*;
use crate::wanted::ROLE;

fn offer_of(agent: &str, resources: Vec<Resource>) -> Offer {
    Offer {
        agent_id: agent.into(),
        resources: resources
            .into_iter()
            .map(|r| r.allocated_to(ROLE))
            .collect(),
        allocation_info: Some(AllocationInfo {
            role: Some(ROLE.into()),
        }),
        ..Offer::default()
    }
}

fn offer(agent: &str) -> Offer {
    offer_of(agent, parse("cpus:1;mem:100;disk:100").unwrap())
}

/// What is offered of an agent once the operations of an earlier offer are done and the task has
/// ended.
fn offer_after(operations: &[Operation]) -> Offer {
    let task = &launch_of(operations).launch.as_ref().unwrap().task_infos[0];
    let mut resources = task.resources.clone();
    resources.extend(parse("cpus:0.9;mem:68;disk:84").unwrap());
    offer_of("a", resources)
}

fn launch_of(operations: &[Operation]) -> &Operation {
    operations.last().unwrap()
}

fn kinds(operations: &[Operation]) -> Vec<Type> {
    operations.iter().map(Operation::r#type).collect()
}

fn accepted(used: Use) -> Vec<Operation> {
    match used {
        Use::Accept(operations) => operations,
        Use::Decline => panic!("the offer is declined"),
    }
}

fn status(task_id: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id: task_id.into(),
        state: state.into(),
        ..TaskStatus::default()
    }
}

#[test]
fn the_first_offer_with_room_is_reserved_made_a_volume_of_and_run_on_in_one_accept() {
    let mut counter = Counter::default();
    let small = offer_of("a", parse("cpus:1;mem:100;disk:15").unwrap());
    assert_eq!(counter.go_on_with(&small), Use::Decline);
    assert_eq!(counter, Counter::default());

    let operations = accepted(counter.go_on_with(&offer("a")));
    assert_eq!(
        kinds(&operations),
        [Type::Reserve, Type::Create, Type::Launch]
    );
    let reserved = &operations[0].reserve.as_ref().unwrap().resources;
    let names: Vec<&str> = reserved.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["cpus", "mem", "disk"]);
    assert_eq!(counter.running(), Some(("counter.1".into(), "a".into())));
    assert_eq!(counter.go_on_with(&offer("b")), Use::Decline, "it runs");
}

#[test]
fn the_next_launch_is_on_the_same_volume_and_nowhere_else() {
    let mut counter = Counter::default();
    let first = accepted(counter.go_on_with(&offer("a")));
    assert_eq!(
        counter.on_status(&status("counter.1", TaskState::TaskRunning)),
        News::Changed
    );
    assert_eq!(
        counter.on_status(&status("counter.1", TaskState::TaskFailed)),
        News::Changed
    );
    // The rest of the same agent, before what the task had is free, and another agent.
    assert_eq!(counter.go_on_with(&offer("a")), Use::Decline);
    assert_eq!(counter.go_on_with(&offer("b")), Use::Decline);

    let second = accepted(counter.go_on_with(&offer_after(&first)));
    assert_eq!(kinds(&second), [Type::Launch]);
    let resources = |operations: &[Operation]| {
        let launch = launch_of(operations).launch.clone().unwrap();
        launch.task_infos[0].resources.clone()
    };
    let [volume_before, volume] = [&first, &second].map(|it| resources(it)[2].clone());
    assert_eq!(volume.volume_id(), Some("count"));
    assert_eq!(volume.reservations, volume_before.reservations);
    assert_eq!(counter.running(), Some(("counter.2".into(), "a".into())));
}

#[test]
fn what_was_asked_for_in_vain_is_asked_for_again_at_the_same_agent() {
    let mut counter = Counter::default();
    counter.go_on_with(&offer("a"));
    // As reconciliation answers when the master never heard of the launch.
    counter.on_status(&status("counter.1", TaskState::TaskGone));
    assert_eq!(counter.go_on_with(&offer("b")), Use::Decline);
    let again = accepted(counter.go_on_with(&offer("a")));
    assert_eq!(kinds(&again), [Type::Reserve, Type::Create, Type::Launch]);
}

#[test]
fn an_agent_out_of_reach_is_waited_for_and_one_that_is_gone_is_told() {
    let mut counter = Counter::default();
    counter.go_on_with(&offer("a"));
    counter.on_status(&status("counter.1", TaskState::TaskRunning));
    for told in [
        TaskState::TaskUnreachable,
        TaskState::TaskUnknown,
        TaskState::TaskRunning,
    ] {
        assert_eq!(counter.on_status(&status("counter.1", told)), News::Nothing);
        assert_eq!(counter.go_on_with(&offer("b")), Use::Decline);
    }
    assert_eq!(
        counter.on_status(&status("counter.1", TaskState::TaskGoneByOperator)),
        News::Lost
    );
}

#[test]
fn the_end_destroys_and_unreserves_and_is_certain_when_the_agent_says_so() {
    let mut counter = Counter::default();
    let first = accepted(counter.go_on_with(&offer("a")));
    counter.on_status(&status("counter.1", TaskState::TaskRunning));
    assert_eq!(
        counter.end_with(&offer_after(&first)),
        Use::Decline,
        "it runs"
    );
    counter.on_status(&status("counter.1", TaskState::TaskKilled));
    assert_eq!(
        counter.end_with(&offer("a")),
        Use::Decline,
        "the volume is not in it"
    );

    let end = accepted(counter.end_with(&offer_after(&first)));
    assert_eq!(kinds(&end), [Type::Destroy, Type::Unreserve]);
    let unreserved = &end[1].unreserve.as_ref().unwrap().resources;
    assert_eq!(unreserved.len(), 3);
    assert!(unreserved.iter().all(|r| r.disk.is_none()));

    let told = |id: &str, state: OperationState| OperationStatus {
        operation_id: Some(id.into()),
        state: state.into(),
        ..OperationStatus::default()
    };
    assert!(!counter.has_ended(&told("end-1", OperationState::OperationDropped)));
    let again = accepted(counter.end_with(&offer_after(&first)));
    assert_eq!(again[1].id, Some("end-2".into()));
    assert!(!counter.has_ended(&told("end-1", OperationState::OperationFinished)));
    assert!(counter.has_ended(&told("end-2", OperationState::OperationFinished)));
    assert!(counter.is_nowhere());
}

#[test]
fn what_was_never_made_needs_no_end() {
    let mut counter = Counter::default();
    counter.go_on_with(&offer("a"));
    counter.on_status(&status("counter.1", TaskState::TaskDropped));
    assert_eq!(counter.end_with(&offer("a")), Use::Decline);
    assert!(counter.is_nowhere());
}
