//! Where agents stand, and which of them are offered at all.

use meseta_proto::v1::DomainInfo;
use meseta_proto::v1::domain_info::FaultDomain;
use meseta_proto::v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};
use meseta_proto::v1::framework_info::capability::Type;

use super::world::*;
use crate::Input;

#[test]
fn a_master_with_a_place_can_ask_agents_for_theirs() {
    let mut world = World::before_recovery(|config| {
        config.domain = Some(domain("here"));
        config.policy.require_agent_domain = true;
    });
    world.recover(Vec::new());
    let pid = upid("slave(1)", 5051);
    world.message(&pid, "master", &registration());
    assert!(world.actions().is_empty());
    let mut placed = registration();
    placed.slave.domain = Some(domain("there"));
    world.message(&pid, "master", &placed);
    let snapshot = world.master.snapshot();
    assert_eq!(snapshot.metrics.dropped_messages, 1);
    let agent = snapshot.agents.values().next().unwrap();
    assert_eq!(agent.info.domain, Some(domain("there")));
}

#[test]
fn agents_elsewhere_are_for_frameworks_that_know_of_regions() {
    let mut world = World::before_recovery(|config| config.domain = Some(domain("here")));
    world.recover(Vec::new());
    let mut remote = registration();
    remote.slave.domain = Some(domain("there"));
    world.message(&upid("slave(1)", 5051), "master", &remote);
    let local = world.subscribe(framework_info());
    world.settle();
    assert!(world.offers(&local).is_empty());
    let mut aware = framework_info();
    aware
        .capabilities
        .extend(capabilities(&[Type::RegionAware]));
    let aware = world.subscribe(aware);
    world.settle();
    let offers = world.offers(&aware);
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].domain, Some(domain("there")));
}

#[test]
fn agents_beside_the_whitelist_are_not_offered() {
    let mut world = World::new();
    let only = |name: &str| Input::Whitelist {
        hostnames: Some([name.to_owned()].into()),
    };
    world.step(only("elsewhere"));
    world.message(&upid("slave(1)", 5051), "master", &registration());
    let scheduler = world.subscribe(framework_info());
    world.settle();
    assert!(world.offers(&scheduler).is_empty());
    world.step(only("host"));
    world.settle();
    assert_eq!(world.offers(&scheduler).len(), 1);
}

/// A place in a region.
fn domain(region: &str) -> DomainInfo {
    DomainInfo {
        fault_domain: Some(FaultDomain {
            region: RegionInfo {
                name: region.into(),
            },
            zone: ZoneInfo { name: "z".into() },
        }),
    }
}
