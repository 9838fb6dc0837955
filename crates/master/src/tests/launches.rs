#![allow(deprecated, reason = "the old form of resources says the role there")]

use std::time::Duration;

use meseta_proto::internal::{
    KillTaskMessage, RunTaskGroupMessage, RunTaskMessage, StatusUpdateAcknowledgementMessage,
};
use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{
    ExecutorInfo, Filters, Offer, TaskGroupInfo, TaskId, TaskInfo, TaskState, executor_info,
};
use meseta_resources::Resources;

use super::world::*;

#[test]
fn a_task_goes_from_offer_to_acknowledged_end() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let [offer] = &world.offers(&scheduler)[..] else {
        panic!("one offer")
    };
    assert_eq!(offer.agent_id, agent);
    assert_eq!(offer.id.as_str(), "m-O0");
    assert_eq!(offer.url.as_ref().unwrap().path(), "/slave(1)");
    let offered = Resources::from_v1(&offer.resources).unwrap();
    assert_eq!(
        offered.to_string(),
        "cpus(allocated: web):4; mem(allocated: web):4096; disk(allocated: web):1000"
    );

    world.accept(
        &scheduler,
        offer,
        vec![command_task("t", offer, "cpus:1;mem:64")],
    );
    let [run] = &world.sent::<RunTaskMessage>(&pid)[..] else {
        panic!("one launch")
    };
    assert_eq!(run.framework.id.as_ref(), Some(&scheduler.id));
    assert_eq!(run.pid.as_deref(), Some("@0.0.0.0:0"));
    assert_eq!(run.launch_executor, Some(true));
    assert_eq!(run.resource_version_uuids[0].uuid.value, vec![9; 16]);
    assert_eq!(run.resource_version_uuids[0].resource_provider_id, None);
    let used = Resources::from_v1(&run.task.resources).unwrap();
    assert_eq!(
        used.to_string(),
        "cpus(allocated: web):1; mem(allocated: web):64"
    );
    assert_eq!(run.task.resources[0].role, None);
    let snapshot = world.master.snapshot();
    assert_eq!(snapshot.agents[&agent].used_total(), used);
    assert_eq!(snapshot.frameworks[&scheduler.id].used_total(), used);
    assert!(snapshot.offers.is_empty());
    assert_eq!(snapshot.metrics.active(TaskState::TaskStaging), 1);

    world.update(&pid, &agent, &scheduler, "t", TaskState::TaskRunning, None);
    let [status] = &world.statuses(&scheduler)[..] else {
        panic!("one status")
    };
    assert_eq!(status.state(), TaskState::TaskRunning);
    assert_eq!(status.uuid, Some(uuid(TaskState::TaskRunning)));
    assert_eq!(status.executor_id, Some("t".into()));
    assert_eq!(status.agent_id.as_ref(), Some(&agent));
    assert_eq!(status.data.as_deref(), Some(&b"data"[..]));
    world.acknowledge(&scheduler, &agent, "t", TaskState::TaskRunning);
    let acknowledged = world.sent::<StatusUpdateAcknowledgementMessage>(&pid);
    assert_eq!(acknowledged[0].uuid, uuid(TaskState::TaskRunning));

    world.update(&pid, &agent, &scheduler, "t", TaskState::TaskFinished, None);
    let snapshot = world.master.snapshot();
    let framework = &snapshot.frameworks[&scheduler.id];
    assert_eq!(framework.tasks.len(), 1, "its end is not acknowledged");
    assert!(framework.used.is_empty());
    world.acknowledge(&scheduler, &agent, "t", TaskState::TaskFinished);
    let snapshot = world.master.snapshot();
    let framework = &snapshot.frameworks[&scheduler.id];
    assert!(framework.tasks.is_empty());
    assert!(snapshot.agents[&agent].tasks.is_empty());
    let [task] = &framework.completed_tasks.iter().collect::<Vec<_>>()[..] else {
        panic!("one task")
    };
    let task = task.unpack();
    let reached: Vec<_> = task
        .statuses
        .iter()
        .map(meseta_proto::v1::TaskStatus::state)
        .collect();
    assert_eq!(reached, [TaskState::TaskRunning, TaskState::TaskFinished]);
    assert_eq!(task.statuses[0].data, None);
    assert_eq!(snapshot.metrics.active(TaskState::TaskRunning), 0);
    assert_eq!(snapshot.metrics.terminal(TaskState::TaskFinished), 1);
    assert_eq!(snapshot.metrics.valid_status_updates, 2);
    assert_eq!(snapshot.metrics.valid_status_update_acknowledgements, 2);
}

#[test]
fn resources_are_free_as_soon_as_the_agent_knows_of_the_end() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let offer = &offers[0];
    world.accept(
        &scheduler,
        offer,
        vec![command_task("t", offer, "cpus:4;mem:4096;disk:1000")],
    );
    let latest = Some(TaskState::TaskFinished);
    world.update(
        &pid,
        &agent,
        &scheduler,
        "t",
        TaskState::TaskRunning,
        latest,
    );
    assert_eq!(world.offers(&scheduler).len(), 1);
    let snapshot = world.master.snapshot();
    let task = &snapshot.frameworks[&scheduler.id].tasks[&TaskId::from("t")];
    assert_eq!(task.state(), TaskState::TaskFinished);
    assert_eq!(task.status_update_state(), TaskState::TaskRunning);
}

#[test]
fn an_end_that_another_master_forwarded_is_not_taken_as_acknowledged() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    world.accept(
        &scheduler,
        &offers[0],
        vec![command_task("t", &offers[0], "cpus:1;mem:64")],
    );
    world.acknowledge(&scheduler, &agent, "t", TaskState::TaskRunning);
    assert!(
        world
            .sent::<StatusUpdateAcknowledgementMessage>(&pid)
            .is_empty()
    );
    let metrics = world.master.snapshot().metrics;
    assert_eq!(metrics.invalid_status_update_acknowledgements, 1);
}

#[test]
fn tasks_that_cannot_be_launched_are_refused_one_by_one() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let offer = &offers[0];
    let tasks = vec![
        command_task("a/b", offer, "cpus:1;mem:64"),
        command_task("fits", offer, "cpus:1;mem:64"),
        command_task("large", offer, "cpus:1000;mem:64"),
    ];
    world.accept(&scheduler, offer, tasks);
    assert_eq!(world.sent::<RunTaskMessage>(&pid).len(), 1);
    let statuses = world.statuses(&scheduler);
    let told: Vec<_> = statuses
        .iter()
        .map(|s| {
            (
                s.task_id.as_str(),
                s.state(),
                s.reason(),
                s.source(),
                s.message(),
            )
        })
        .collect();
    let error = TaskState::TaskError;
    assert_eq!(
        told,
        [
            (
                "a/b",
                error,
                Reason::TaskInvalid,
                Source::Master,
                "'a/b' contains invalid characters"
            ),
            (
                "large",
                error,
                Reason::TaskInvalid,
                Source::Master,
                "Total resources cpus(allocated: web):1000; mem(allocated: web):64 required by \
                 task and its executor is more than available cpus(allocated: web):3; \
                 mem(allocated: web):4032; disk(allocated: web):1000"
            ),
        ]
    );
    assert!(statuses.iter().all(|status| status.uuid.is_none()));
    assert_eq!(world.master.snapshot().metrics.terminal(error), 2);
}

#[test]
fn what_is_launched_with_offers_that_are_no_more_is_dropped() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let task = command_task("t", &offers[0], "cpus:1;mem:64");
    world.accept_with(
        &scheduler,
        &"nope-O1".into(),
        vec![launch(vec![task.clone()])],
    );
    let statuses = world.statuses(&scheduler);
    assert_eq!(statuses[0].state(), TaskState::TaskDropped);
    assert_eq!(statuses[0].reason(), Reason::InvalidOffers);
    assert_eq!(
        statuses[0].message(),
        "Task launched with invalid offers: Offer nope-O1 is no longer valid"
    );

    let other = world.subscribe(meseta_proto::v1::FrameworkInfo {
        capabilities: capabilities(&[]),
        roles: vec![],
        ..framework_info()
    });
    world.accept_with(&other, &"nope-O1".into(), vec![launch(vec![task])]);
    assert_eq!(world.statuses(&other)[0].state(), TaskState::TaskLost);
}

#[test]
fn nobody_can_take_another_frameworks_offer_away() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    world.agent(&pid);
    let owner = world.subscribe(framework_info());
    let offers = world.offers(&owner);
    let thief = world.subscribe(framework_info());
    let task = command_task("t", &offers[0], "cpus:1;mem:64");
    world.accept(&thief, &offers[0], vec![task.clone()]);
    assert_eq!(world.statuses(&thief)[0].state(), TaskState::TaskDropped);
    let decline = Call {
        decline: Some(call::Decline {
            offer_ids: vec![offers[0].id.clone()],
            filters: None,
        }),
        ..call(call::Type::Decline)
    };
    world.call(&thief, decline);
    world.accept(&owner, &offers[0], vec![task]);
    assert_eq!(world.sent::<RunTaskMessage>(&pid).len(), 1);
}

#[test]
fn declined_resources_are_offered_again_when_the_filter_ran_out() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let decline = Call {
        decline: Some(call::Decline {
            offer_ids: vec![offers[0].id.clone()],
            filters: Some(Filters {
                refuse_seconds: Some(60.0),
            }),
        }),
        ..call(call::Type::Decline)
    };
    world.call(&scheduler, decline);
    assert!(world.master.snapshot().offers.is_empty());
    world.pass(Duration::from_secs(59));
    assert!(world.offers(&scheduler).is_empty());
    world.pass(Duration::from_secs(2));
    assert_eq!(world.offers(&scheduler).len(), 1);
}

/// A call that refuses what it does not use for no time.
fn accept_for_no_time(offer: &Offer, tasks: Vec<TaskInfo>) -> Call {
    Call {
        accept: Some(call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch(tasks)],
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        }),
        ..call(call::Type::Accept)
    }
}

#[test]
fn who_declines_for_no_time_waits_an_allocation_interval_while_others_are_asked_at_once() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    let scheduler = world.subscribe(framework_info());
    let offer = world.offers(&scheduler).remove(0);
    let decline = Call {
        decline: Some(call::Decline {
            offer_ids: vec![offer.id],
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        }),
        ..call(call::Type::Decline)
    };
    world.call(&scheduler, decline);
    assert!(world.offers(&scheduler).is_empty());
    world.pass(Duration::from_secs(1));
    let offer = world.offers(&scheduler).remove(0);

    // It cannot be launched, so that nothing of the offer is used either.
    let misplaced = TaskInfo {
        agent_id: "nowhere".into(),
        ..command_task("t", &offer, "cpus:1;mem:64")
    };
    world.call(&scheduler, accept_for_no_time(&offer, vec![misplaced]));
    assert!(world.offers(&scheduler).is_empty());
    let other = world.subscribe(framework_info());
    assert_eq!(world.offers(&other).len(), 1);
}

#[test]
fn who_uses_a_part_of_an_offer_is_asked_about_the_rest_at_once() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    let scheduler = world.subscribe(framework_info());
    let offer = world.offers(&scheduler).remove(0);
    let task = command_task("t", &offer, "cpus:1;mem:64");
    world.call(&scheduler, accept_for_no_time(&offer, vec![task]));
    assert_eq!(world.offers(&scheduler).len(), 1);
}

#[test]
fn suppressed_frameworks_get_offers_when_they_revive() {
    let mut world = World::new();
    let scheduler = world.subscribe(framework_info());
    world.call(&scheduler, call(call::Type::Suppress));
    world.agent(&upid("slave(1)", 5051));
    assert!(world.offers(&scheduler).is_empty());
    let suppressed = &world.master.snapshot().frameworks[&scheduler.id].suppressed_roles;
    assert!(suppressed.contains("web"));
    world.call(&scheduler, call(call::Type::Revive));
    assert_eq!(world.offers(&scheduler).len(), 1);
}

#[test]
fn offers_are_rescinded_when_they_were_held_for_too_long() {
    let mut world = World::before_recovery(|config| {
        config.policy.offer_timeout = Some(Duration::from_secs(30));
    });
    world.recover(Vec::new());
    world.agent(&upid("slave(1)", 5051));
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    world.pass(Duration::from_secs(29));
    assert!(world.events(&scheduler).is_empty());
    world.pass(Duration::from_millis(1500));
    let events = world.events(&scheduler);
    assert_eq!(events[0].rescind.as_ref().unwrap().offer_id, offers[0].id);
    assert_eq!(events[1].offers.as_ref().unwrap().offers.len(), 1);
}

#[test]
fn a_task_group_is_launched_as_one() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let offer = &offers[0];
    let group = |names: &[&str]| {
        let tasks = names
            .iter()
            .map(|name| command_task(name, offer, "cpus:0.5;mem:64"));
        Operation {
            r#type: Some(operation::Type::LaunchGroup.into()),
            launch_group: Some(Box::new(operation::LaunchGroup {
                executor: ExecutorInfo {
                    r#type: Some(executor_info::Type::Default.into()),
                    executor_id: "e".into(),
                    framework_id: Some(scheduler.id.clone()),
                    resources: Resources::parse("cpus:0.1;mem:32;disk:8", "*")
                        .unwrap()
                        .to_v1(),
                    ..Default::default()
                },
                task_group: TaskGroupInfo {
                    tasks: tasks.collect(),
                },
            })),
            ..Default::default()
        }
    };
    world.accept_with(
        &scheduler,
        &offer.id,
        vec![group(&["a", "b"]), group(&["c", "c"])],
    );
    let sent = world.sent::<RunTaskGroupMessage>(&pid);
    let [message] = &sent[..] else {
        panic!("one group: {:?}", world.statuses(&scheduler))
    };
    assert_eq!(message.launch_executor, Some(true));
    assert_eq!(message.task_group.tasks.len(), 2);
    let snapshot = world.master.snapshot();
    let used = snapshot.agents[&agent].used_total();
    assert_eq!((used.cpus(), used.mem()), (Some(1.1), Some(160.0)));
    assert_eq!(snapshot.agents[&agent].executors.len(), 1);
    let statuses = world.statuses(&scheduler);
    let reasons: Vec<_> = statuses
        .iter()
        .map(meseta_proto::v1::TaskStatus::reason)
        .collect();
    assert_eq!(
        reasons,
        [Reason::TaskGroupInvalid, Reason::TaskGroupInvalid]
    );
}

#[test]
fn an_executor_is_charged_once_for_all_of_its_tasks() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let offer = &offers[0];
    let task = |name: &str| {
        let mut task = command_task(name, offer, "cpus:1;mem:64");
        task.executor = Some(ExecutorInfo {
            executor_id: "e".into(),
            command: task.command.take(),
            resources: Resources::parse("cpus:0.5;mem:32", "*").unwrap().to_v1(),
            ..Default::default()
        });
        task
    };
    world.accept(&scheduler, offer, vec![task("a"), task("b")]);
    let sent = world.sent::<RunTaskMessage>(&pid);
    let new: Vec<_> = sent
        .iter()
        .map(meseta_proto::internal::RunTaskMessage::launch_executor)
        .collect();
    assert_eq!(new, [true, false], "{:?}", world.statuses(&scheduler));
    let executor = sent[0].task.executor.as_ref().unwrap();
    assert_eq!(executor.framework_id.as_ref(), Some(&scheduler.id));
    let used = world.master.snapshot().agents[&agent].used_total();
    assert_eq!(used.cpus(), Some(2.5));

    let exited = meseta_proto::internal::ExitedExecutorMessage {
        slave_id: agent.clone(),
        framework_id: scheduler.id.clone(),
        executor_id: "e".into(),
        status: 9,
    };
    world.message(&pid, "master", &exited);
    let used = world.master.snapshot().agents[&agent].used_total();
    assert_eq!(used.cpus(), Some(2.0));
    let events = world.events(&scheduler);
    assert_eq!(
        events.last().unwrap().failure.as_ref().unwrap().status,
        Some(9)
    );
}

#[test]
fn a_kill_is_repeated_to_an_agent_that_was_away() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    world.accept(
        &scheduler,
        &offers[0],
        vec![command_task("t", &offers[0], "cpus:1;mem:64")],
    );
    world.update(&pid, &agent, &scheduler, "t", TaskState::TaskRunning, None);
    world.step(crate::Input::Exited {
        address: pid.address,
    });
    let kill = Call {
        kill: Some(call::Kill {
            task_id: "t".into(),
            ..Default::default()
        }),
        ..call(call::Type::Kill)
    };
    world.call(&scheduler, kill);
    assert!(world.sent::<KillTaskMessage>(&pid).is_empty());
    let snapshot = world.master.snapshot();
    let framework = &snapshot.frameworks[&scheduler.id];
    let task = framework.tasks[&TaskId::from("t")].as_ref().clone();
    let info = framework.info.as_ref().clone();
    world.reregister(&pid, &agent, vec![info], vec![task]);
    assert_eq!(world.sent::<KillTaskMessage>(&pid)[0].task_id, "t".into());
}

#[test]
fn agents_without_refined_reservations_get_the_old_form() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let mut registration = registration();
    registration
        .agent_capabilities
        .retain(|c| c.r#type() == meseta_proto::v1::agent_info::capability::Type::MultiRole);
    world.message(&pid, "master", &registration);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    world.accept(
        &scheduler,
        &offers[0],
        vec![command_task("t", &offers[0], "cpus:1;mem:64")],
    );
    let sent = world.sent::<RunTaskMessage>(&pid);
    let role = sent[0].task.resources[0].role.as_deref();
    assert_eq!(role, Some("*"));
}

#[test]
fn old_frameworks_get_offers_in_the_form_that_they_know() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    let scheduler = world.subscribe(meseta_proto::v1::FrameworkInfo {
        capabilities: vec![],
        roles: vec![],
        ..framework_info()
    });
    let offers = world.offers(&scheduler);
    assert_eq!(offers[0].allocation_info, None);
    assert_eq!(offers[0].resources[0].allocation_info, None);
    let role = offers[0].resources[0].role.as_deref();
    assert_eq!(role, Some("*"));
}
