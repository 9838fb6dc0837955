use std::time::Duration;

use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{TaskState, TaskStatus};

use super::world::*;

fn reconcile(tasks: &[(&str, Option<&str>)]) -> Call {
    let tasks = tasks.iter().map(|(task, agent)| call::reconcile::Task {
        task_id: (*task).into(),
        agent_id: agent.map(Into::into),
    });
    Call {
        reconcile: Some(call::Reconcile {
            tasks: tasks.collect(),
        }),
        ..call(call::Type::Reconcile)
    }
}

#[test]
fn known_tasks_are_answered_with_the_state_that_was_told_last() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(framework_info());
    let offers = world.offers(&scheduler);
    let task = command_task("t", &offers[0], "cpus:1;mem:64");
    world.accept(&scheduler, &offers[0], vec![task]);
    let latest = Some(TaskState::TaskFinished);
    world.update(
        &pid,
        &agent,
        &scheduler,
        "t",
        TaskState::TaskRunning,
        latest,
    );
    world.events(&scheduler);
    for asked in [&[][..], &[("t", None)]] {
        world.call(&scheduler, reconcile(asked));
        let [status] = &world.statuses(&scheduler)[..] else {
            panic!("one status")
        };
        assert_eq!(status.state(), TaskState::TaskRunning);
        assert_eq!(
            (status.source(), status.reason()),
            (Source::Master, Reason::Reconciliation)
        );
        assert_eq!(status.message(), "Reconciliation: Latest task state");
        assert_eq!((&status.uuid, &status.executor_id), (&None, &None));
    }
}

#[test]
fn of_unknown_tasks_is_said_what_their_agent_lets_know() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let lost = world.agent(&upid("slave(1)", 5052));
    let scheduler = world.subscribe(framework_info());
    for _ in 0..7 {
        world.pass(Duration::from_secs(14));
        let pong = meseta_proto::internal::PongSlaveMessage {};
        world.message(&pid, "slave-observer(1)", &pong);
    }
    world.events(&scheduler);
    let asked = [
        ("a", Some(agent.as_str())),
        ("b", Some(lost.as_str())),
        ("c", Some("nope")),
        ("d", None),
    ];
    world.call(&scheduler, reconcile(&asked));
    let told = world.statuses(&scheduler);
    let states: Vec<_> = told.iter().map(|s| (s.state(), s.message())).collect();
    assert_eq!(
        states,
        [
            (
                TaskState::TaskGone,
                "Reconciliation: Task is unknown to the agent"
            ),
            (
                TaskState::TaskUnreachable,
                "Reconciliation: Task is unreachable"
            ),
            (TaskState::TaskUnknown, "Reconciliation: Task is unknown"),
            (TaskState::TaskUnknown, "Reconciliation: Task is unknown"),
        ]
    );
    assert!(told[1].unreachable_time.is_some());
    assert_eq!(told[3].agent_id, None);

    let kill = Call {
        kill: Some(call::Kill {
            task_id: "ghost".into(),
            ..Default::default()
        }),
        ..call(call::Type::Kill)
    };
    world.call(&scheduler, kill);
    assert_eq!(
        world.statuses(&scheduler)[0].state(),
        TaskState::TaskUnknown
    );
}

#[test]
fn nothing_is_said_while_an_agent_may_still_come_back() {
    let mut world = World::before_recovery(|_| {});
    let id = "old-S0".into();
    let (key, value) = crate::registry::admit(&id, &agent_info(Some(id.clone())));
    world.recover(vec![(key, value.unwrap())]);
    let scheduler = world.subscribe(framework_info());
    world.events(&scheduler);
    world.call(&scheduler, reconcile(&[("a", Some("old-S0")), ("b", None)]));
    assert!(world.statuses(&scheduler).is_empty());
    world.call(&scheduler, reconcile(&[("c", Some("other"))]));
    assert_eq!(
        world.statuses(&scheduler)[0].state(),
        TaskState::TaskUnknown
    );
}

#[test]
fn every_state_that_was_told_is_told_again_until_its_end_is_acknowledged() {
    for state in [
        TaskState::TaskStarting,
        TaskState::TaskRunning,
        TaskState::TaskKilling,
        TaskState::TaskFinished,
        TaskState::TaskFailed,
        TaskState::TaskKilled,
        TaskState::TaskLost,
        TaskState::TaskError,
        TaskState::TaskDropped,
        TaskState::TaskGone,
    ] {
        let mut world = World::new();
        let pid = upid("slave(1)", 5051);
        let agent = world.agent(&pid);
        let scheduler = world.subscribe(framework_info());
        let offers = world.offers(&scheduler);
        let task = command_task("t", &offers[0], "cpus:1;mem:64");
        world.accept(&scheduler, &offers[0], vec![task]);
        let told = |world: &mut World, asked| {
            world.events(&scheduler);
            world.call(&scheduler, reconcile(asked));
            let told = world.statuses(&scheduler);
            told.iter().map(TaskStatus::state).collect::<Vec<_>>()
        };
        let by_name = [("t", Some(agent.as_str()))];
        assert_eq!(told(&mut world, &[]), [TaskState::TaskStaging]);
        world.update(&pid, &agent, &scheduler, "t", state, None);
        assert_eq!(told(&mut world, &[]), [state]);
        assert_eq!(told(&mut world, &by_name), [state]);
        world.acknowledge(&scheduler, &agent, "t", state);
        let is_end = state.is_terminal();
        let of_all = if is_end { vec![] } else { vec![state] };
        assert_eq!(told(&mut world, &[]), of_all);
        let known = if is_end { TaskState::TaskGone } else { state };
        assert_eq!(told(&mut world, &by_name), [known]);
    }
}

#[test]
fn frameworks_that_know_no_partitions_are_told_of_lost_tasks_whatever_their_agent_is() {
    use meseta_proto::v1::framework_info::capability::Type::PartitionAware;
    let mut world = World::new();
    let registered = world.agent(&upid("slave(1)", 5051));
    let mut info = framework_info();
    info.capabilities.retain(|c| c.r#type() != PartitionAware);
    let scheduler = world.subscribe(info);
    world.events(&scheduler);
    let asked = [
        ("a", Some(registered.as_str())),
        ("b", Some("nope")),
        ("c", None),
    ];
    world.call(&scheduler, reconcile(&asked));
    let told = world.statuses(&scheduler);
    let states: Vec<_> = told.iter().map(TaskStatus::state).collect();
    assert_eq!(states, [TaskState::TaskLost; 3]);
}
