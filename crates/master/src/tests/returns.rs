//! Agents that come back: from a restart, a broken link, or to a new master.

use std::time::Duration;

use meseta_machine::Reply;
use meseta_proto::internal::{
    CheckpointResourcesMessage, PingSlaveMessage, ShutdownFrameworkMessage, ShutdownMessage,
    SlaveReregisteredMessage, UpdateFrameworkMessage,
};
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{AgentId, FrameworkInfo, Task, TaskState};
use meseta_resources::Resources;

use super::agents::{Running, running};
use super::world::*;
use crate::{Action, Input};

#[test]
fn an_unreachable_agent_comes_back_with_its_tasks() {
    let mut run = running(framework_info());
    let (info, task) = run.told();
    run.lose();
    let Running {
        mut world,
        pid,
        agent,
        scheduler,
    } = run;
    world.events(&scheduler);
    world.actions();
    world.reregister(&pid, &agent, vec![info], vec![task]);
    let statuses = world.statuses(&scheduler);
    assert_eq!(statuses[0].state(), TaskState::TaskRunning);
    assert_eq!(statuses[0].reason(), Reason::AgentReregistered);
    assert_eq!(statuses[0].message(), "Unreachable agent re-reregistered");
    let answer = &world.sent::<SlaveReregisteredMessage>(&pid)[0];
    assert!(answer.reconciliations.is_empty());
    let update = &world.sent::<UpdateFrameworkMessage>(&pid)[0];
    assert_eq!(update.pid.as_deref(), Some("@0.0.0.0:0"));
    let snapshot = world.master.snapshot();
    let framework = &snapshot.frameworks[&scheduler.id];
    assert!(framework.unreachable_tasks.is_empty());
    assert_eq!(framework.tasks.len(), 1);
    assert_eq!(framework.used[&agent].cpus(), Some(1.0));
    assert!(snapshot.unreachable_agents.is_empty());
    assert_eq!(snapshot.metrics.tasks_unreachable, 0);
    assert_eq!(snapshot.metrics.active(TaskState::TaskRunning), 1);
    let offers = world.offers(&scheduler);
    let free = Resources::from_v1(&offers[0].resources).unwrap();
    assert_eq!(free.cpus(), Some(3.0));
}

#[test]
fn a_restarted_agent_goes_on_under_its_id() {
    let run = running(framework_info());
    let (info, task) = run.told();
    let Running {
        mut world,
        pid,
        agent,
        scheduler,
    } = run;
    let offers = world.master.snapshot().offers.len();
    assert_eq!(offers, 0, "what the launch left is declined for now");
    world.step(Input::Exited {
        address: pid.address,
    });
    let snapshot = world.master.snapshot();
    assert!(!snapshot.agents[&agent].connected);
    assert!(
        world.statuses(&scheduler).is_empty(),
        "the framework checkpoints"
    );
    world.pass(Duration::from_secs(15));
    assert!(!world.sent::<PingSlaveMessage>(&pid)[0].connected);

    let moved = upid("slave(1)", 6051);
    world.reregister(&moved, &agent, vec![info], vec![task]);
    let snapshot = world.master.snapshot();
    assert!(snapshot.agents[&agent].connected);
    assert_eq!(snapshot.agents[&agent].pid, moved);
    assert_eq!(snapshot.agents[&agent].tasks.len(), 1);
    assert_eq!(world.sent::<SlaveReregisteredMessage>(&moved).len(), 1);
    assert_eq!(world.sent::<UpdateFrameworkMessage>(&moved).len(), 1);
    assert!(world.sent::<CheckpointResourcesMessage>(&moved).is_empty());
    // The old address means nothing any more.
    world.step(Input::Exited {
        address: pid.address,
    });
    assert!(world.master.snapshot().agents[&agent].connected);
}

#[test]
fn an_agent_is_asked_for_tasks_that_it_does_not_tell_of() {
    let run = running(framework_info());
    let Running {
        mut world,
        pid,
        agent,
        scheduler,
    } = run;
    world.reregister(&pid, &agent, vec![], vec![]);
    let answer = &world.sent::<SlaveReregisteredMessage>(&pid)[0];
    let reconciliation = &answer.reconciliations[0];
    assert_eq!(reconciliation.framework_id, scheduler.id);
    assert_eq!(reconciliation.statuses[0].task_id.as_str(), "t");
    assert_eq!(reconciliation.statuses[0].state(), TaskState::TaskRunning);
    assert!(reconciliation.framework.is_some());
}

#[test]
fn tasks_that_outlived_a_broken_link_are_in_the_books_again_and_charged() {
    let mut run = running(FrameworkInfo {
        checkpoint: Some(false),
        ..framework_info()
    });
    let (framework, task) = run.told();
    let address = run.pid.address;
    run.world.step(Input::Exited { address });
    run.world.events(&run.scheduler);
    let free = run.world.master.free(&run.agent).unwrap();
    let mut ended = task.clone();
    ended.task_id = "acknowledged".into();
    ended.state = TaskState::TaskFinished.into();
    let tasks = vec![task, ended];
    run.world
        .reregister(&run.pid, &run.agent, vec![framework], tasks);
    let statuses = run.world.statuses(&run.scheduler);
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses[0].state(), TaskState::TaskRunning);
    assert_eq!(statuses[0].reason(), Reason::AgentReregistered);
    let snapshot = run.world.master.snapshot();
    let framework = &snapshot.frameworks[&run.scheduler.id];
    assert_eq!(framework.tasks.len(), 1);
    assert!(framework.completed_tasks.is_empty());
    assert_ne!(run.world.master.free(&run.agent), Some(free));
}

#[test]
fn a_new_master_waits_for_the_agents_of_the_registry() {
    let mut first = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = first.agent(&pid);
    let scheduler = first.subscribe(framework_info());
    let facts = first
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Persist { changes } => Some(changes),
            _ => None,
        });
    let facts: Vec<_> = facts
        .flatten()
        .map(|(key, value)| (key, value.unwrap()))
        .collect();

    let mut world = World::before_recovery(|config| config.id = "m2".into());
    world.message(&pid, "master", &registration());
    let reply = world.call(&scheduler, call(call::Type::Revive));
    assert_eq!(
        reply,
        Reply::refused(503, "Master has not finished recovery")
    );
    world.recover(facts);
    assert!(
        world
            .master
            .snapshot()
            .recovered_agents
            .contains_key(&agent)
    );

    let info = FrameworkInfo {
        id: Some(scheduler.id.clone()),
        ..framework_info()
    };
    let task = Task {
        name: "t".into(),
        task_id: "t".into(),
        framework_id: scheduler.id.clone(),
        agent_id: agent.clone(),
        state: TaskState::TaskRunning.into(),
        resources: Resources::parse("cpus:1;mem:64", "*").unwrap().to_v1(),
        ..Default::default()
    };
    world.actions();
    world.reregister(&pid, &agent, vec![info.clone()], vec![task]);
    let snapshot = world.master.snapshot();
    assert!(snapshot.recovered_agents.is_empty());
    assert!(snapshot.frameworks[&scheduler.id].recovered);
    assert!(
        !world
            .actions()
            .iter()
            .any(|action| matches!(action, Action::Persist { .. }))
    );

    let again = world.subscribe(info);
    assert_eq!(again.id, scheduler.id);
    let snapshot = world.master.snapshot();
    assert!(!snapshot.frameworks[&scheduler.id].recovered);
    assert_eq!(world.sent::<UpdateFrameworkMessage>(&pid).len(), 1);
    let free = Resources::from_v1(&world.offers(&again)[0].resources).unwrap();
    assert_eq!(free.cpus(), Some(3.0));
}

#[test]
fn recovered_agents_that_stay_away_are_given_up() {
    let mut world = World::before_recovery(|_| {});
    let id = AgentId::from("old-S0");
    let info = agent_info(Some(id.clone()));
    let (key, value) = crate::registry::admit(&id, &info);
    world.recover(vec![(key, value.unwrap())]);
    let scheduler = world.subscribe(framework_info());
    world.events(&scheduler);
    world.pass(Duration::from_secs(601));
    let snapshot = world.master.snapshot();
    assert!(snapshot.recovered_agents.is_empty());
    assert!(snapshot.unreachable_agents.contains_key(&id));
    assert_eq!(snapshot.metrics.recovery_slave_removals, 1);
    let events = world.events(&scheduler);
    assert_eq!(events[0].failure.as_ref().unwrap().agent_id, Some(id));
}

#[test]
fn completed_frameworks_are_shut_down_on_agents_that_come_back() {
    let mut run = running(framework_info());
    let (info, task) = run.told();
    run.lose();
    let Running {
        mut world,
        pid,
        agent,
        scheduler,
    } = run;
    world.call(&scheduler, call(call::Type::Teardown));
    world.actions();
    world.reregister(&pid, &agent, vec![info], vec![task]);
    let shutdown = &world.sent::<ShutdownFrameworkMessage>(&pid)[0];
    assert_eq!(shutdown.framework_id, scheduler.id);
    assert!(world.master.snapshot().agents[&agent].tasks.is_empty());
}

#[test]
fn an_agent_with_another_hostname_is_another_agent() {
    let mut run = running(framework_info());
    let mut message = meseta_proto::internal::ReregisterSlaveMessage {
        slave: agent_info(Some(run.agent.clone())).into(),
        version: Some("1.11.0".into()),
        ..Default::default()
    };
    message.slave.hostname = "elsewhere".into();
    run.world.message(&run.pid, "master", &message);
    let shutdown = &run.world.sent::<ShutdownMessage>(&run.pid)[0];
    assert_eq!(
        shutdown.message.as_deref(),
        Some("Agent attempted to reregister with different IP / hostname")
    );
}

#[test]
fn what_an_agent_tells_must_fit_together() {
    let run = running(framework_info());
    let (info, task) = run.told();
    let Running {
        mut world,
        pid,
        agent,
        ..
    } = run;
    let other = Task {
        agent_id: "x".into(),
        ..task.clone()
    };
    let before = world.master.snapshot().metrics.dropped_messages;
    world.reregister(&pid, &agent, vec![info.clone()], vec![other]);
    world.reregister(&pid, &agent, vec![], vec![task.clone()]);
    world.reregister(&pid, &agent, vec![info.clone()], vec![task.clone(), task]);
    world.reregister(&pid, &agent, vec![info.clone(), info], vec![]);
    assert!(world.actions().is_empty());
    let after = world.master.snapshot().metrics.dropped_messages;
    assert_eq!(after - before, 4);
}
