//! Maintenance: who is asked to leave which agents, and what becomes of the answers.

use std::time::Duration;

use meseta_machine::Reply;
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{Filters, InverseOffer};
use serde_json::Value;

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
