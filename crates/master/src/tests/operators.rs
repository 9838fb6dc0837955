//! What operators make of agents' resources.

use meseta_machine::Reply;
use meseta_proto::internal::ApplyOperationMessage;
use meseta_proto::v1::scheduler::event;

use super::quota::{operator, text};
use super::world::*;

const RESERVED: &str =
    r#""name":"disk","type":"SCALAR","reservations":[{"type":"DYNAMIC","role":"web"}]"#;
const VOLUME: &str =
    r#""disk":{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"p"}}"#;

fn reserve(amount: u32) -> String {
    format!(
        r#"{{"type":"RESERVE_RESOURCES","reserve_resources":{{"agent_id":{{"value":"m-S0"}},
        "resources":[{{{RESERVED},"scalar":{{"value":{amount}}}}}]}}}}"#
    )
}

fn unreserve(amount: u32) -> String {
    reserve(amount)
        .replace("RESERVE_RESOURCES", "UNRESERVE_RESOURCES")
        .replace("reserve_resources", "unreserve_resources")
}

fn volumes(kind: &str, amount: u32) -> String {
    format!(
        r#"{{"type":"{kind}","{}":{{"agent_id":{{"value":"m-S0"}},
        "volumes":[{{{RESERVED},"scalar":{{"value":{amount}}},{VOLUME}}}]}}}}"#,
        kind.to_lowercase()
    )
}

fn total(world: &World) -> String {
    let snapshot = world.master.snapshot();
    snapshot.agents.values().next().unwrap().total.to_string()
}

#[test]
fn operators_reserve_and_make_volumes_and_undo_both() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    world.agent(&pid);
    let before = total(&world);
    for (call, count) in [
        (reserve(100), 1),
        (volumes("CREATE_VOLUMES", 100), 1),
        (volumes("DESTROY_VOLUMES", 100), 1),
        (unreserve(100), 1),
    ] {
        let (reply, actions) = operator(&mut world, &call);
        assert_eq!(reply, Reply::accepted(), "{call}");
        for action in actions {
            world.put_back(action);
        }
        let orders = world.sent::<ApplyOperationMessage>(&pid);
        assert_eq!(orders.len(), count);
        assert_eq!(orders[0].framework_id, None);
        world.actions();
    }
    assert_eq!(total(&world), before);
}

#[test]
fn what_is_reserved_is_offered_to_its_role_alone() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    operator(&mut world, &reserve(100));
    let scheduler = world.subscribe(framework_info());
    let offer = world.offers(&scheduler).remove(0);
    let reserved = |resource: &&meseta_proto::v1::Resource| !resource.reservations.is_empty();
    let reserved: Vec<_> = offer.resources.iter().filter(reserved).collect();
    assert_eq!(reserved.len(), 1);
    assert_eq!(reserved[0].scalar.unwrap().value.to_string(), "100");
}

#[test]
fn offers_are_taken_back_as_far_as_they_hold_what_is_needed() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    let scheduler = world.subscribe(framework_info());
    let offer = world.offers(&scheduler).remove(0);
    let (reply, actions) = operator(&mut world, &reserve(100));
    assert_eq!(reply, Reply::accepted());
    for action in actions {
        world.put_back(action);
    }
    let events = world.events(&scheduler);
    assert_eq!(events[0].r#type(), event::Type::Rescind);
    assert_eq!(events[0].rescind.as_ref().unwrap().offer_id, offer.id);
    assert!(total(&world).contains("100"), "{}", total(&world));
}

#[test]
fn what_is_not_there_or_in_use_cannot_be_changed() {
    let mut world = World::new();
    let (reply, _) = operator(&mut world, &reserve(100));
    let unknown = (400, "No agent found with specified ID".to_owned());
    assert_eq!((reply.status, text(&reply)), unknown);
    world.agent(&upid("slave(1)", 5051));
    // The agent has 1000, of which a task takes all.
    let scheduler = world.subscribe(framework_info());
    let offer = world.offers(&scheduler).remove(0);
    let task = command_task("t", &offer, "cpus:1;mem:64;disk:1000");
    world.accept(&scheduler, &offer, vec![task]);
    let (reply, _) = operator(&mut world, &reserve(100));
    assert_eq!(reply.status, 409, "{}", text(&reply));
    let plain = reserve(1).replace(r#""reservations":[{"type":"DYNAMIC","role":"web"}],"#, "");
    let (reply, _) = operator(&mut world, &plain);
    assert_eq!(reply.status, 400, "{}", text(&reply));
    let start = "Invalid RESERVE operation on agent m-S0 at slave(1)@127.0.0.1:5051 (host): ";
    assert!(text(&reply).starts_with(start), "{}", text(&reply));
}

#[test]
fn nothing_comes_of_nothing_by_changing_a_reservation() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 5051));
    operator(&mut world, &reserve(100));
    let change = |amount: u32| {
        let source = format!(r#""source":[{{{RESERVED},"scalar":{{"value":100}}}}],"resources""#);
        let target = reserve(amount).replace(r#""role":"web""#, r#""role":"db""#);
        target.replacen(r#""resources""#, &source, 1)
    };
    let (reply, _) = operator(&mut world, &change(200));
    assert_eq!(reply.status, 400);
    let sentence = "Source and target resources should refer to identical resource quantities";
    assert!(text(&reply).contains(sentence), "{}", text(&reply));
    let (reply, _) = operator(&mut world, &change(100));
    assert_eq!(reply, Reply::accepted(), "{}", text(&reply));
}
