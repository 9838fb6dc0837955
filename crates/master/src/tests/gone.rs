use meseta_machine::{Reply, RequestId};
use meseta_proto::internal::{ShutdownMessage, SlaveReregisteredMessage};
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{AgentId, FrameworkInfo, TaskState};

use super::agents::{Running, running};
use super::world::*;
use crate::operator::Change;
use crate::{Action, Input};

fn mark_gone(world: &mut World, agent: &AgentId) -> Reply {
    let request = RequestId(1_000_000);
    world.actions();
    world.step(Input::Operator {
        request,
        change: Change::MarkAgentGone(agent.clone()),
    });
    let actions = world.actions();
    let reply = actions.iter().find_map(|action| match action {
        Action::Reply { reply, .. } => Some(reply.clone()),
        _ => None,
    });
    let persisted = actions
        .iter()
        .position(|a| matches!(a, Action::Persist { .. }));
    assert!(persisted.is_none_or(|at| at == 0), "disk before promises");
    for action in actions {
        world.put_back(action);
    }
    reply.unwrap()
}

fn one_aware_of(is_aware: bool) -> FrameworkInfo {
    let mut info = framework_info();
    if !is_aware {
        info.capabilities.retain(|c| c.r#type() != PARTITION_AWARE);
    }
    info
}

const PARTITION_AWARE: meseta_proto::v1::framework_info::capability::Type =
    meseta_proto::v1::framework_info::capability::Type::PartitionAware;

fn assert_over(run: &mut Running, is_aware: bool) {
    let statuses = run.world.statuses(&run.scheduler);
    let expected = if is_aware {
        (
            TaskState::TaskGoneByOperator,
            Reason::AgentRemovedByOperator,
        )
    } else {
        (TaskState::TaskLost, Reason::AgentRemoved)
    };
    assert_eq!(statuses.len(), 1);
    assert_eq!((statuses[0].state(), statuses[0].reason()), expected);
    assert_eq!(statuses[0].message(), "Agent has been marked gone");
    let snapshot = run.world.master.snapshot();
    let framework = &snapshot.frameworks[&run.scheduler.id];
    let left = (framework.tasks.len(), framework.unreachable_tasks.len());
    assert_eq!((left, framework.completed_tasks.len()), ((0, 0), 1));
    assert_eq!(snapshot.metrics.tasks_unreachable, 0);

    let ask = Call {
        reconcile: Some(call::Reconcile {
            tasks: vec![call::reconcile::Task {
                task_id: "t".into(),
                agent_id: Some(run.agent.clone()),
            }],
        }),
        ..call(call::Type::Reconcile)
    };
    run.world.call(&run.scheduler, ask);
    let answers = run.world.statuses(&run.scheduler);
    assert_eq!(answers[0].state(), expected.0);
    assert_eq!(answers[0].message(), "Reconciliation: Task is gone");
}

#[test]
fn an_agent_that_is_gone_ends_with_its_tasks() {
    for is_aware in [true, false] {
        let mut run = running(one_aware_of(is_aware));
        assert_eq!(mark_gone(&mut run.world, &run.agent), Reply::ok());
        let told = run.world.sent::<ShutdownMessage>(&run.pid);
        assert_eq!(told[0].message(), "Agent has been marked gone");
        assert!(run.world.master.snapshot().agents.is_empty());
        assert_over(&mut run, is_aware);
    }
}

#[test]
fn tasks_of_an_unreachable_agent_are_over_when_it_is_gone() {
    for is_aware in [true, false] {
        let mut run = running(one_aware_of(is_aware));
        run.lose();
        run.world.events(&run.scheduler);
        assert_eq!(mark_gone(&mut run.world, &run.agent), Reply::ok());
        assert!(run.world.master.snapshot().unreachable_agents.is_empty());
        assert_over(&mut run, is_aware);
    }
}

#[test]
fn an_agent_that_is_gone_stays_so() {
    let mut run = running(framework_info());
    mark_gone(&mut run.world, &run.agent);
    assert_eq!(mark_gone(&mut run.world, &run.agent), Reply::ok(), "again");
    run.world.actions();
    run.world.reregister(&run.pid, &run.agent, vec![], vec![]);
    assert_eq!(run.world.sent::<ShutdownMessage>(&run.pid).len(), 1);
    let admitted = run.world.sent::<SlaveReregisteredMessage>(&run.pid);
    assert!(admitted.is_empty());
}

#[test]
fn an_agent_of_the_registry_that_is_gone_need_not_be_awaited() {
    let mut world = World::before_recovery(|_| {});
    let id: AgentId = "old-S0".into();
    let (key, value) = crate::registry::admit(&id, &agent_info(Some(id.clone())));
    world.recover(vec![(key, value.unwrap())]);
    assert_eq!(mark_gone(&mut world, &id), Reply::ok());
    let snapshot = world.master.snapshot();
    assert!(snapshot.recovered_agents.is_empty());
    assert!(snapshot.gone_agents.contains_key(&id));
}

#[test]
fn an_agent_that_nobody_knows_cannot_be_gone() {
    let reply = mark_gone(&mut World::new(), &"x".into());
    assert_eq!(reply, Reply::refused(404, "Agent 'x' not found"));
}
