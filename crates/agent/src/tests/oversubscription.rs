use std::time::Duration;

use meseta_proto::internal::UpdateSlaveMessage;
use meseta_proto::v1::resource::RevocableInfo;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{TaskInfo, TaskState};
use meseta_resources::Resources;

use super::{Did, World, command, status};
use crate::{Action, Input, Load, QosController, ResourceEstimator};

const INTERVAL: Duration = Duration::from_secs(15);

fn estimator(text: &str) -> ResourceEstimator {
    ResourceEstimator::fixed(&Resources::parse(text, "*").unwrap()).unwrap()
}

fn lending(text: &str) -> World {
    World::with(|config| {
        config.resource_estimator = Some(estimator(text));
        config.qos_controller = Some(QosController::Load {
            threshold_5min: Some(4.0),
            threshold_15min: Some(2.0),
        });
    })
}

fn register(world: &mut World) -> Did {
    world.detect();
    world.wait(Duration::from_secs(1));
    world.register()
}

/// What the master is told to lend, if it is told.
fn told(did: &Did) -> Option<String> {
    let message = did.sent::<UpdateSlaveMessage>().pop()?;
    assert_eq!(message.update_oversubscribed_resources, Some(true));
    let resources = Resources::from_v1(&message.oversubscribed_resources).unwrap();
    assert_eq!(resources, resources.revocable());
    Some(resources.quantities().to_string())
}

fn borrower(id: &str, cpus: f64) -> TaskInfo {
    let mut task = command(id, "sleep 1000");
    let mut resources = Resources::parse(&format!("cpus:{cpus}"), "*").unwrap();
    resources = resources.allocate("*");
    task.resources = resources.to_v1();
    for resource in &mut task.resources {
        resource.revocable = Some(RevocableInfo::default());
    }
    task
}

fn loaded(world: &mut World, five_minutes: f64, fifteen_minutes: f64) -> Did {
    let load = Load {
        five_minutes,
        fifteen_minutes,
    };
    world.step(Input::LoadMeasured { load })
}

fn looks(did: &Did) -> bool {
    did.0.iter().any(|it| matches!(it, Action::MeasureLoad))
}

#[test]
fn masters_are_told_what_is_lent_when_the_agent_comes_and_when_it_changes() {
    let mut world = lending("cpus:2");
    let did = register(&mut world);
    let all = told(&did).unwrap();
    assert!(all.contains("cpus") && all.contains('2'), "{all}");
    assert_eq!(told(&world.wait(INTERVAL * 3)), None, "nothing has changed");

    world.run(borrower("t", 1.5));
    assert_eq!(told(&world.wait(INTERVAL)), None, "the sum is the same");
    world.run(borrower("u", 1.0));
    let more = told(&world.wait(INTERVAL)).unwrap();
    assert!(more.contains("2.5"), "what is lent is lent: {more}");
}

#[test]
fn an_agent_without_an_estimator_lends_nothing_and_says_so() {
    let mut world = World::new();
    let nothing = Resources::new().quantities().to_string();
    assert_eq!(told(&register(&mut world)), Some(nothing.clone()));
    assert_eq!(told(&world.wait(INTERVAL)), None);
    // What an earlier life has lent comes back.
    let container = world.run(borrower("t", 1.0)).launch().container_id;
    world.launched(&container);
    world.restart(&[&container]);
    world.subscribe("t");
    world.detect();
    world.wait(Duration::from_secs(1));
    let lent = told(&world.reregister()).unwrap();
    assert!(lent.contains('1'), "{lent}");
    let did = world.exited(&container, Some(0));
    world.acknowledge(&did.update());
    assert_eq!(told(&world.wait(INTERVAL)), Some(nothing));
}

#[test]
fn borrowers_are_ended_when_there_is_too_much_load_and_others_are_not() {
    let mut world = lending("cpus:2");
    register(&mut world);
    assert!(!looks(&world.wait(INTERVAL)), "there is nobody to be ended");
    world.running("owner");
    let container = world.run(borrower("t", 1.0)).launch().container_id;
    world.launched(&container);
    world.subscribe("t");
    world.update("t", status("t", TaskState::TaskRunning, 1));
    world.acknowledge(&status("t", TaskState::TaskRunning, 1));

    assert!(looks(&world.wait(Duration::from_secs(1))));
    assert!(loaded(&mut world, 4.0, 2.0).destroyed().is_empty());
    assert!(looks(&world.wait(Duration::from_secs(1))), "and again");
    let did = loaded(&mut world, 1.0, 2.1);
    assert_eq!(did.destroyed(), std::slice::from_ref(&container));
    assert!(loaded(&mut world, 5.0, 1.0).destroyed().is_empty(), "once");
    let update = world.exited(&container, Some(9)).update();
    assert_eq!(update.state(), TaskState::TaskGone);
    assert_eq!(update.reason(), Reason::ContainerPreempted);
    assert_eq!(update.message(), "Container preempted by QoS correction");
    let snapshot = world.agent.snapshot();
    assert_eq!(snapshot.counters.executors_preempted, 1);
    assert!(!looks(&world.wait(INTERVAL)));
}
