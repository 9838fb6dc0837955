//! Maintenance: who is asked to leave which agents, and what becomes of the answers.

use std::time::Duration;

use meseta_machine::Reply;
use meseta_proto::Wire as _;
use meseta_proto::internal::ShutdownMessage;
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{Filters, InverseOffer, TaskState};
use serde_json::Value;

use crate::Action;

use super::quota::{facts, operator, text};
use super::world::{self, Scheduler, World, command_task, framework_info, upid};

const SCHEDULE: &str = r#"{"windows":[{"machine_ids":[{"hostname":"HOST","ip":"127.0.0.1"}],
    "unavailability":{"start":{"nanoseconds":7},"duration":{"nanoseconds":9}}}]}"#;

fn schedule(world: &mut World, schedule: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let call = format!(
        r#"{{"type":"UPDATE_MAINTENANCE_SCHEDULE","update_maintenance_schedule":{{"schedule":{schedule}}}}}"#
    );
    let (reply, actions) = operator(world, &call);
    assert_eq!(reply, Reply::ok());
    facts(&actions)
}

fn inverse_offers(world: &mut World, scheduler: &Scheduler) -> Vec<InverseOffer> {
    world.settle();
    let events = world.events(scheduler).into_iter();
    events
        .flat_map(|event| event.inverse_offers.unwrap_or_default().inverse_offers)
        .collect()
}

/// A world with an agent on which a framework has a task.
fn with_task() -> (World, Scheduler) {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 6001));
    let scheduler = world.subscribe(framework_info());
    let offer = world.offers(&scheduler).remove(0);
    assert_eq!(offer.unavailability, None);
    let task = command_task("t", &offer, "cpus:1;mem:64");
    world.accept(&scheduler, &offer, vec![task]);
    (world, scheduler)
}

fn accept(offer: &InverseOffer) -> Call {
    Call {
        accept_inverse_offers: Some(call::AcceptInverseOffers {
            inverse_offer_ids: vec![offer.id.clone()],
            filters: Some(Filters {
                refuse_seconds: Some(60.0),
            }),
        }),
        ..world::call(call::Type::AcceptInverseOffers)
    }
}

#[test]
fn who_has_tasks_on_a_machine_is_asked_to_leave_it_and_the_answer_is_shown() {
    let (mut world, scheduler) = with_task();
    schedule(&mut world, SCHEDULE);
    let offers = inverse_offers(&mut world, &scheduler);
    let [offer] = &offers[..] else {
        panic!("one inverse offer: {offers:?}")
    };
    assert_eq!(offer.unavailability.start.nanoseconds, 7);
    assert!(inverse_offers(&mut world, &scheduler).is_empty());

    assert_eq!(world.call(&scheduler, accept(offer)), Reply::accepted());
    let (status, _) = operator(&mut world, r#"{"type":"GET_MAINTENANCE_STATUS"}"#);
    let status: Value = serde_json::from_slice(&status.body).unwrap();
    let machine = &status["get_maintenance_status"]["status"]["draining_machines"][0];
    assert_eq!(machine["id"]["hostname"], "HOST");
    assert_eq!(machine["statuses"][0]["status"], "ACCEPT");
    // Asked again when the filter has run out, not before.
    world.pass(Duration::from_secs(58));
    assert!(inverse_offers(&mut world, &scheduler).is_empty());
    world.pass(Duration::from_secs(3));
    assert_eq!(inverse_offers(&mut world, &scheduler).len(), 1);
}

#[test]
fn a_schedule_that_is_taken_back_takes_its_questions_back() {
    let (mut world, scheduler) = with_task();
    schedule(&mut world, SCHEDULE);
    let offer = inverse_offers(&mut world, &scheduler).remove(0);
    schedule(&mut world, "{}");
    assert!(world.master.snapshot().inverse_offers.is_empty());
    // An answer that comes too late changes nothing.
    assert_eq!(world.call(&scheduler, accept(&offer)), Reply::accepted());
    assert!(inverse_offers(&mut world, &scheduler).is_empty());
    let (shown, _) = operator(&mut world, r#"{"type":"GET_MAINTENANCE_SCHEDULE"}"#);
    assert_eq!(
        text(&shown),
        r#"{"type":"GET_MAINTENANCE_SCHEDULE","get_maintenance_schedule":{"schedule":{}}}"#
    );
}

#[test]
fn offers_tell_when_their_agent_will_be_away_also_after_a_failover() {
    let mut world = World::new();
    let schedule = schedule(&mut world, SCHEDULE).into_iter();
    let mut next = World::before_recovery(|_| {});
    next.recover(schedule.map(|(key, value)| (key, value.unwrap())).collect());
    next.agent(&upid("slave(1)", 6001));
    let scheduler = next.subscribe(framework_info());
    let offer = next.offers(&scheduler).remove(0);
    assert_eq!(offer.unavailability.unwrap().start.nanoseconds, 7);
}

#[test]
fn a_framework_that_ends_leaves_no_question_behind() {
    let (mut world, scheduler) = with_task();
    schedule(&mut world, SCHEDULE);
    assert_eq!(inverse_offers(&mut world, &scheduler).len(), 1);
    world.call(&scheduler, world::call(call::Type::Teardown));
    world.settle();
    assert!(world.master.snapshot().inverse_offers.is_empty());
}

const DOWN: &str = r#"{"type":"START_MAINTENANCE","start_maintenance":{"machines":[
    {"hostname":"host","ip":"127.0.0.1"}]}}"#;
const UP: &str = r#"{"type":"STOP_MAINTENANCE","stop_maintenance":{"machines":[
    {"hostname":"host","ip":"127.0.0.1"}]}}"#;

fn status(world: &mut World) -> String {
    text(&operator(world, r#"{"type":"GET_MAINTENANCE_STATUS"}"#).0)
}

#[test]
fn a_machine_goes_down_with_its_agents_and_comes_up_out_of_the_schedule() {
    let (mut world, scheduler) = with_task();
    schedule(&mut world, SCHEDULE);
    let (reply, actions) = operator(&mut world, DOWN);
    assert_eq!(reply, Reply::ok());
    let pid = upid("slave(1)", 6001);
    let told = actions.iter().any(|action| {
        matches!(action, Action::Send { to, name, .. }
            if *to == pid && *name == ShutdownMessage::SCHEMA.name)
    });
    assert!(told);
    for action in actions {
        world.put_back(action);
    }
    assert_eq!(world.statuses(&scheduler)[0].state(), TaskState::TaskLost);
    assert!(world.master.snapshot().agents.is_empty());
    let status_when_down = status(&mut world);
    assert!(status_when_down.contains(r#""down_machines":[{"hostname":"host""#));
    assert!(!status_when_down.contains("draining_machines"));

    // Its agent is not admitted, and its machine stays in the schedule.
    world.message(&pid, "master", &world::registration());
    assert!(world.master.snapshot().agents.is_empty());
    assert_eq!(world.sent::<ShutdownMessage>(&pid).len(), 2);
    let empty = r#"{"type":"UPDATE_MAINTENANCE_SCHEDULE",
        "update_maintenance_schedule":{"schedule":{}}}"#;
    assert!(text(&operator(&mut world, empty).0).ends_with(
        r#"'{"hostname":"host","ip":"127.0.0.1"}' is deactivated and cannot be removed from the schedule"#
    ));

    let (reply, _) = operator(&mut world, UP);
    assert_eq!(reply, Reply::ok());
    world.agent(&pid);
    assert!(!status(&mut world).contains("machines"));
    assert!(world.master.snapshot().schedule.windows.is_empty());
}

#[test]
fn a_machine_that_is_down_is_down_for_the_next_master() {
    let mut world = World::new();
    let mut facts = schedule(&mut world, SCHEDULE);
    let (_, actions) = operator(&mut world, DOWN);
    facts.extend(super::quota::facts(&actions));
    let mut next = World::before_recovery(|_| {});
    let facts = facts.into_iter();
    next.recover(facts.map(|(key, value)| (key, value.unwrap())).collect());
    assert_eq!(status(&mut next), status(&mut world));
}

#[test]
fn only_machines_of_the_schedule_go_down_and_only_those_that_are_down_come_up() {
    let mut world = World::new();
    let refused = |world: &mut World, call: &str| text(&operator(world, call).0);
    assert_eq!(
        refused(&mut world, UP),
        r#"Machine '{"hostname":"host","ip":"127.0.0.1"}' is not part of a maintenance schedule"#
    );
    schedule(&mut world, SCHEDULE);
    assert!(refused(&mut world, UP).ends_with("is not in DOWN mode and cannot be brought up"));
    operator(&mut world, DOWN);
    assert!(
        refused(&mut world, DOWN).ends_with("is not in DRAINING mode and cannot be brought down")
    );
    let none = r#"{"type":"START_MAINTENANCE","start_maintenance":{}}"#;
    assert_eq!(refused(&mut world, none), "List of machines is empty");
}

#[test]
fn schedules_that_make_no_sense_are_refused() {
    let mut world = World::new();
    for (schedule, sentence) in [
        (
            r#"{"windows":[{"machine_ids":[],"unavailability":{"start":{"nanoseconds":1}}}]}"#,
            "List of machines in the maintenance window is empty",
        ),
        (
            r#"{"windows":[{"machine_ids":[{"hostname":"m"},{"hostname":"M"}],"unavailability":{"start":{"nanoseconds":1}}}]}"#,
            r#"Machine '{"hostname":"M"}' appears more than once in the schedule"#,
        ),
    ] {
        let call = format!(
            r#"{{"type":"UPDATE_MAINTENANCE_SCHEDULE","update_maintenance_schedule":{{"schedule":{schedule}}}}}"#
        );
        let (reply, actions) = operator(&mut world, &call);
        assert_eq!((reply.status, text(&reply).as_str()), (400, sentence));
        assert!(actions.is_empty());
    }
}
