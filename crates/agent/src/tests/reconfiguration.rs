//! Agents that come back as others than they were.

use std::time::Duration;

use meseta_proto::internal;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{Attribute, TaskState};
use meseta_resources::{Resources, parse_attributes};

use super::{World, custom, status};
use crate::{Config, ExitReason, ReconfigurationPolicy};

fn attributes(text: &str) -> Vec<Attribute> {
    parse_attributes(text).unwrap()
}

fn resources(text: &str) -> Vec<meseta_proto::v1::Resource> {
    Resources::parse(text, "*").unwrap().to_v1()
}

/// What an agent with some resources and attributes says when it comes back changed.
fn refusal(policy: ReconfigurationPolicy, change: impl FnOnce(&mut Config)) -> Option<String> {
    let mut world = World::with(|config| {
        config.resources = resources("cpus:4;mem:1024;ports:[1-10];zones:{a,b}");
        config.attributes = attributes("rack:r1;level:3;rows:[1-5]");
    });
    world.detect();
    world.wait(Duration::from_secs(1));
    world.register();
    world.config.reconfiguration_policy = policy;
    change(&mut world.config);
    match world.restart(&[]).exit() {
        None => None,
        Some(ExitReason::Conflict(reason)) => {
            let rest = reason.strip_prefix("Failed to perform recovery: ").unwrap();
            Some(
                rest.split("\nIf recovery failed")
                    .next()
                    .unwrap()
                    .to_owned(),
            )
        }
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_may_be_told_to_come_back_as_it_was() {
    use ReconfigurationPolicy::Equal;
    assert_eq!(refusal(Equal, |_| {}), None);
    let refusal = refusal(Equal, |config| {
        config.attributes = attributes("rack:r1;level:3;rows:[1-6]");
    });
    let refusal = refusal.unwrap();
    assert!(
        refusal.starts_with("Incompatible agent info detected. \n"),
        "{refusal}"
    );
    assert!(refusal.contains("Old agent info:") && refusal.contains("New agent info:"));
}

#[test]
fn an_agent_may_be_told_to_come_back_with_no_less_than_it_had() {
    const PREFIX: &str = "Configuration change not permitted under 'additive' policy: ";
    let additive = |change: &dyn Fn(&mut Config)| refusal(ReconfigurationPolicy::Additive, change);
    let all = "cpus:4;mem:1024;ports:[1-10];zones:{a,b}";
    assert_eq!(additive(&|_| {}), None);
    let more = |config: &mut Config| {
        config.resources = resources("cpus:5;mem:1024;disk:10;ports:[1-20];zones:{a,b,c}");
        config.attributes = attributes("rack:r1;level:3;rows:[1-9];new:yes");
    };
    assert_eq!(additive(&more), None);
    for (less, sentence) in [
        (
            "cpus:3;mem:1024;ports:[1-10];zones:{a,b}",
            "Value of scalar resource 'cpus' decreased from 4 to 3",
        ),
        (
            "cpus:4;mem:1024;ports:[2-10];zones:{a,b}",
            "Previous value of range resource 'ports' ([1-10]) not included in current [2-10]",
        ),
        (
            "cpus:4;mem:1024;ports:[1-10];zones:{a}",
            "Previous value of set resource 'zones' ({a, b}) not included in current {a}",
        ),
    ] {
        let refusal = additive(&|config| config.resources = resources(less));
        assert_eq!(refusal, Some(format!("{PREFIX}{sentence}")));
    }
    let refusal =
        additive(&|config| config.resources = resources("cpus:4;ports:[1-10];zones:{a,b}"));
    let refusal = refusal.unwrap();
    assert!(
        refusal.starts_with(
            "Configuration change not permitted under 'additive' policy. Resource not found: mem"
        ),
        "{refusal}"
    );
    for (less, sentence) in [
        (
            "rack:r2;level:3;rows:[1-5]",
            "Value of text attribute 'rack' changed from r1 to r2",
        ),
        (
            "rack:r1;level:4;rows:[1-5]",
            "Value of scalar attribute 'level' changed from 3 to 4",
        ),
        (
            "rack:7;level:3;rows:[1-5]",
            "Type of attribute 'rack' changed from TEXT to SCALAR",
        ),
    ] {
        let refusal = additive(&|config| config.attributes = attributes(less));
        assert_eq!(refusal, Some(format!("{PREFIX}{sentence}")));
    }
    let refusal = additive(&|config| config.attributes = attributes("rack:r1;level:3;rows:[2-5]"));
    assert_eq!(
        refusal.unwrap(),
        "Previous value of ranges resource 'rows' ([1-5]) not included in current [2-5]"
    );
    let refusal = additive(&|config| config.attributes = attributes("rack:r1;rows:[1-5]"));
    assert!(
        refusal
            .unwrap()
            .starts_with(&format!("{PREFIX}Couldn't find attribute "))
    );
    let refusal = additive(&|config| {
        config.pid = super::pid("slave(1)@10.0.0.2:5052");
        config.resources = resources(all);
    });
    let sentence = "Configuration change not permitted under `additive` policy: Port changed from 5051 to 5052";
    assert_eq!(refusal.unwrap(), sentence);
}

#[test]
fn any_agent_may_come_back_but_under_another_name() {
    use ReconfigurationPolicy::Any;
    let other = |config: &mut Config| {
        config.resources = resources("cpus:1;gpus:2");
        config.attributes = attributes("other:1");
        config.pid = super::pid("slave(1)@10.0.0.2:5052");
    };
    assert_eq!(refusal(Any, other), None);
    let refusal = refusal(Any, |config| config.hostname = "elsewhere".into()).unwrap();
    assert!(refusal.contains("--hostname=10.0.0.2"), "{refusal}");
}

#[test]
fn tasks_that_still_fit_go_on_and_the_others_end() {
    let mut world = World::registered();
    let mut containers = Vec::new();
    for (number, task) in [(1, "a"), (2, "b"), (3, "c")] {
        let mut info = custom(task, task);
        info.resources = resources("cpus:1;mem:100");
        for resource in &mut info.resources {
            resource.allocation_info = Some(meseta_proto::v1::resource::AllocationInfo {
                role: Some("*".into()),
            });
        }
        let container = world.run(info).launch().container_id;
        world.launched(&container);
        world.subscribe(task);
        let running = status(task, TaskState::TaskRunning, number);
        world.update(task, running.clone());
        world.acknowledge(&running);
        containers.push(container);
    }
    let alive: Vec<_> = containers.iter().collect();
    assert!(world.restart(&alive).destroyed().is_empty());
    let used = world.executor("a").info.resources.clone();
    let used = Resources::from_v1(&used)
        .unwrap()
        .unallocate()
        .cpus()
        .unwrap_or_default();
    let cpus = 2.0 * (1.0 + used);
    world.config.resources = resources(&format!("cpus:{cpus};mem:4096"));
    let did = world.restart(&alive);
    assert_eq!(
        did.destroyed(),
        [containers[2].clone()],
        "in the order of their names"
    );
    for task in ["a", "b"] {
        world.subscribe(task);
    }
    world.exited(&containers[2], None);
    world.detect();
    let did = world.wait(Duration::from_secs(1));
    let message = &did.sent::<internal::ReregisterSlaveMessage>()[0];
    assert_eq!(
        message.slave.id,
        Some(super::AGENT_ID.into()),
        "it is the same agent"
    );
    let update = world.reregister().update();
    assert_eq!(update.task_id.as_str(), "c");
    assert_eq!(update.state(), TaskState::TaskGone);
    assert_eq!(update.reason(), Reason::ResourcesUnknown);
}
