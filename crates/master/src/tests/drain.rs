//! Agents that operators take out of service: what is offered of them, what becomes of their tasks,
//! and what outlives them and the master.

use meseta_machine::Reply;
use meseta_proto::internal::{DrainSlaveMessage, ShutdownMessage, UpdateSlaveMessage};
use meseta_proto::v1::{AgentId, DrainState, TaskState};
use meseta_proto::{Wire, decode};

use super::agents::{Running, running};
use super::quota::{facts, operator, text};
use super::world::*;
use crate::Action;

const DRAINED: &str = r#""max_grace_period":{"seconds":5},"mark_gone":false"#;
const GONE: &str = r#""mark_gone":true"#;

fn drain(run: &mut Running, how: &str) -> Vec<Action> {
    let (reply, actions) = operator(&mut run.world, &drain_call(&run.agent, how));
    assert_eq!(reply, Reply::ok());
    actions
}

fn drain_call(agent: &AgentId, how: &str) -> String {
    format!(r#"{{"type":"DRAIN_AGENT","drain_agent":{{"agent_id":{{"value":"{agent}"}},{how}}}}}"#)
}

fn simple(kind: &str, agent: &AgentId) -> String {
    let field = kind.to_lowercase();
    format!(r#"{{"type":"{kind}","{field}":{{"agent_id":{{"value":"{agent}"}}}}}}"#)
}

fn sent<M: Wire>(actions: &[Action]) -> Vec<M> {
    let bodies = actions.iter().filter_map(|action| match action {
        Action::Send { name, body, .. } if *name == M::SCHEMA.name => Some(body),
        _ => None,
    });
    bodies.map(|body| decode(body).unwrap()).collect()
}

fn state(run: &Running) -> Option<DrainState> {
    let snapshot = run.world.master.snapshot();
    let deactivation = snapshot.deactivations.get(&run.agent)?;
    Some(deactivation.drain.as_ref()?.state())
}

fn end_task(run: &mut Running, state: TaskState) {
    let Running {
        world,
        pid,
        agent,
        scheduler,
    } = run;
    world.update(pid, agent, scheduler, "t", state, None);
    world.acknowledge(scheduler, agent, "t", state);
}

fn offers(run: &mut Running) -> usize {
    run.world.settle();
    run.world.offers(&run.scheduler).len()
}

/// The master that comes after this one.
fn successor(run: &mut Running, facts: Vec<(String, Option<Vec<u8>>)>) {
    let admitted = crate::registry::admit(&run.agent, &agent_info(Some(run.agent.clone())));
    let facts = [admitted].into_iter().chain(facts);
    let facts = facts
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    run.world = World::before_recovery(|_| {});
    run.world.recover(facts);
}

#[test]
fn a_drained_agent_is_told_and_nothing_of_it_is_offered() {
    let mut run = running(framework_info());
    assert!(run.world.master.state.agents[&run.agent].active);
    let actions = drain(&mut run, DRAINED);
    let key = format!("deactivated/{}", run.agent);
    assert!(facts(&actions).iter().any(|(fact, _)| *fact == key));
    let message = &sent::<DrainSlaveMessage>(&actions)[0];
    let grace = message.config.max_grace_period.unwrap();
    assert_eq!(grace.nanoseconds, 5_000_000_000);
    let snapshot = run.world.master.snapshot();
    let agent = &snapshot.agents[&run.agent];
    assert!(agent.connected && !agent.active && agent.offers.is_empty());
    assert_eq!(offers(&mut run), 0);
    assert_eq!(state(&run), Some(DrainState::Draining));

    end_task(&mut run, TaskState::TaskKilled);
    assert_eq!(state(&run), Some(DrainState::Drained));
    assert_eq!(offers(&mut run), 0);
    let written = run.world.actions();
    assert!(facts(&written).iter().any(|(fact, _)| *fact == key));

    let (reply, actions) = operator(&mut run.world, &simple("REACTIVATE_AGENT", &run.agent));
    assert_eq!(reply, Reply::ok());
    assert_eq!(facts(&actions), [(key, None)]);
    assert_eq!(offers(&mut run), 1);
    assert_eq!(state(&run), None);
}

#[test]
fn an_update_that_is_not_acknowledged_keeps_an_agent_from_being_drained() {
    let mut run = running(framework_info());
    drain(&mut run, DRAINED);
    let (pid, agent) = (run.pid.clone(), run.agent.clone());
    let killed = TaskState::TaskKilled;
    run.world
        .update(&pid, &agent, &run.scheduler, "t", killed, None);
    assert_eq!(state(&run), Some(DrainState::Draining));
    let (reply, _) = operator(&mut run.world, &simple("REACTIVATE_AGENT", &agent));
    assert_eq!(reply.status, 400);
    assert_eq!(text(&reply), "Agent is still in the DRAINING state");
    run.world.acknowledge(&run.scheduler, &agent, "t", killed);
    assert_eq!(state(&run), Some(DrainState::Drained));
}

#[test]
fn an_empty_agent_is_drained_at_once() {
    let mut run = running(framework_info());
    end_task(&mut run, TaskState::TaskFinished);
    drain(&mut run, DRAINED);
    assert_eq!(state(&run), Some(DrainState::Drained));
}

#[test]
fn an_agent_that_is_to_go_goes_when_it_is_empty() {
    let mut run = running(framework_info());
    drain(&mut run, GONE);
    assert!(run.world.master.state.gone_agents.is_empty());
    end_task(&mut run, TaskState::TaskGoneByOperator);
    let snapshot = run.world.master.snapshot();
    assert!(snapshot.gone_agents.contains_key(&run.agent));
    assert!(snapshot.agents.is_empty() && snapshot.deactivations.is_empty());
    let actions = run.world.actions();
    assert_eq!(sent::<ShutdownMessage>(&actions).len(), 1);
    let key = format!("deactivated/{}", run.agent);
    assert!(facts(&actions).contains(&(key, None)));
}

#[test]
fn a_drain_goes_on_when_the_agent_comes_back() {
    let mut run = running(framework_info());
    drain(&mut run, DRAINED);
    let (info, task) = run.told();
    run.lose();
    assert_eq!(state(&run), Some(DrainState::Draining), "it may have tasks");
    run.world.actions();
    let (pid, agent) = (run.pid.clone(), run.agent.clone());
    run.world.reregister(&pid, &agent, vec![info], vec![task]);
    assert_eq!(run.world.sent::<DrainSlaveMessage>(&pid).len(), 1);
    assert!(!run.world.master.snapshot().agents[&agent].active);
    end_task(&mut run, TaskState::TaskKilled);
    assert_eq!(state(&run), Some(DrainState::Drained));
}

#[test]
fn the_next_master_drains_on() {
    let mut run = running(framework_info());
    let facts = facts(&drain(&mut run, GONE));
    let (info, task) = run.told();
    successor(&mut run, facts);
    assert_eq!(state(&run), Some(DrainState::Draining));
    let (pid, agent) = (run.pid.clone(), run.agent.clone());
    run.world.reregister(&pid, &agent, vec![info], vec![task]);
    let told = run.world.sent::<DrainSlaveMessage>(&pid);
    assert!(told[0].config.mark_gone());
    assert!(!run.world.master.snapshot().agents[&agent].active);
}

#[test]
fn an_agent_that_ended_its_tasks_between_two_masters_is_drained_when_it_has_told_all() {
    let mut run = running(framework_info());
    let facts = facts(&drain(&mut run, DRAINED));
    successor(&mut run, facts);
    let (pid, agent) = (run.pid.clone(), run.agent.clone());
    run.world.reregister(&pid, &agent, Vec::new(), Vec::new());
    assert_eq!(state(&run), Some(DrainState::Draining), "operations?");
    let update = UpdateSlaveMessage {
        slave_id: agent,
        update_oversubscribed_resources: Some(false),
        ..Default::default()
    };
    run.world.message(&pid, "master", &update);
    assert_eq!(state(&run), Some(DrainState::Drained));
}

#[test]
fn a_deactivated_agent_keeps_its_tasks_and_stays_so_for_the_next_master() {
    let mut run = running(framework_info());
    let (reply, actions) = operator(&mut run.world, &simple("DEACTIVATE_AGENT", &run.agent));
    assert_eq!(reply, Reply::ok());
    assert!(sent::<DrainSlaveMessage>(&actions).is_empty());
    assert_eq!(offers(&mut run), 0);
    let (info, task) = run.told();
    successor(&mut run, facts(&actions));
    let (pid, agent) = (run.pid.clone(), run.agent.clone());
    run.world.reregister(&pid, &agent, vec![info], vec![task]);
    let snapshot = run.world.master.snapshot();
    let record = &snapshot.agents[&agent];
    assert!(record.connected && !record.active);
    assert_eq!(record.tasks.len(), 1);
    let (reply, _) = operator(&mut run.world, &simple("REACTIVATE_AGENT", &agent));
    assert_eq!(reply, Reply::ok());
    assert!(run.world.master.snapshot().agents[&agent].active);
}

#[test]
fn an_agent_that_leaves_for_good_leaves_nothing_behind() {
    let mut run = running(framework_info());
    operator(&mut run.world, &simple("DEACTIVATE_AGENT", &run.agent));
    let message = meseta_proto::internal::UnregisterSlaveMessage {
        slave_id: run.agent.clone(),
    };
    let pid = run.pid.clone();
    run.world.actions();
    run.world.message(&pid, "master", &message);
    assert!(run.world.master.snapshot().deactivations.is_empty());
    let key = format!("deactivated/{}", run.agent);
    assert!(facts(&run.world.actions()).contains(&(key, None)));
}

#[test]
fn what_cannot_be_taken_out_of_service_is_refused_in_mesos_words() {
    let mut run = running(framework_info());
    let unknown = AgentId::from("nobody");
    let mut refused = |call: &str| {
        let (reply, actions) = operator(&mut run.world, call);
        assert!(facts(&actions).is_empty());
        (reply.status, text(&reply))
    };
    let sentence = (400, "Unknown agent".to_owned());
    assert_eq!(refused(&drain_call(&unknown, GONE)), sentence);
    assert_eq!(refused(&simple("DEACTIVATE_AGENT", &unknown)), sentence);
    let sentence = (400, "Agent is not deactivated".to_owned());
    assert_eq!(refused(&simple("REACTIVATE_AGENT", &run.agent)), sentence);

    let schedule = r#"{"type":"UPDATE_MAINTENANCE_SCHEDULE","update_maintenance_schedule":{"schedule":
        {"windows":[{"machine_ids":[{"hostname":"host","ip":"127.0.0.1"}],
        "unavailability":{"start":{"nanoseconds":7}}}]}}}"#;
    operator(&mut run.world, schedule);
    let (reply, _) = operator(&mut run.world, &drain_call(&run.agent, GONE));
    assert_eq!(
        (reply.status, text(&reply)),
        (
            400,
            format!(
                "Agent {} is part of a maintenance schedule under Machine host (127.0.0.1)",
                run.agent
            )
        )
    );
}
