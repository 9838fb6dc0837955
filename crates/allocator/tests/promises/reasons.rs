//! Why there are no offers, in short.

use std::sync::Arc;

use meseta_allocator::{AgentView, Allocator, Refusal};
use meseta_proto::v1::{AgentId, AgentInfo};

use crate::builders::*;

#[test]
fn reasons_are_counted_and_the_nearest_misses_come_first() {
    let mut allocator = cluster(
        &[
            ("declined", "cpus:4;mem:64"),
            ("declined-for-long", "cpus:4;mem:64"),
            ("small", "disk:4;mem:30"),
            ("smaller", "disk:4;mem:3"),
            ("taken", "cpus:1"),
            ("away", "cpus:4"),
        ],
        &[("f", &["r"])],
    );
    allocator.take(
        &"g".into(),
        &"taken".into(),
        &resources("cpus:1").allocate("s"),
    );
    allocator.deactivate_agent(&"away".into());
    for p in allocator.allocate(at(0)) {
        let time = if p.agent == "declined".into() {
            SECOND
        } else {
            100 * SECOND
        };
        decline(&mut allocator, &p, time, at(0));
    }
    let verdicts = &allocator.why_in_short(&"f".into(), None, 4)["r"];
    assert_eq!((verdicts.agents, verdicts.offerable), (6, 0));
    assert_eq!(
        verdicts.counts,
        [
            ("FILTERED", 2),
            ("BELOW_MINIMUM", 2),
            ("NOTHING_FREE", 1),
            ("AGENT_DEACTIVATED", 1)
        ]
        .into()
    );
    let nearest: Vec<_> = verdicts
        .nearest
        .iter()
        .map(|it| it.agent.as_str())
        .collect();
    assert_eq!(
        nearest,
        ["declined", "declined-for-long", "small", "smaller"]
    );
    assert_eq!(
        verdicts.nearest[0].refusal,
        Refusal::Filtered { until: SECOND }
    );
    let Refusal::NotAllocatable { missing, .. } = &verdicts.nearest[2].refusal else {
        panic!("{:?}", verdicts.nearest[2])
    };
    assert_eq!(missing.to_string(), "mem:2");
}

#[test]
fn one_role_can_be_asked_for() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r", "s"])]);
    allocator.suppress(&"f".into(), &names(&["s"]));
    let verdicts = allocator.why_in_short(&"f".into(), Some("s"), 0);
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts["s"].counts, [("SUPPRESSED", 1)].into());
    assert_eq!(verdicts["s"].nearest, []);
    assert_eq!(
        allocator.why_in_short(&"f".into(), Some("r"), 0)["r"].offerable,
        1
    );
    assert!(allocator.why_in_short(&"f".into(), Some("t"), 9).is_empty());
    assert!(
        allocator
            .why_in_short(&"stranger".into(), None, 9)
            .is_empty()
    );
}

#[test]
fn agents_that_the_whitelist_does_not_have_are_not_proposed() {
    let named = |hostname: &str| AgentView {
        info: Arc::new(AgentInfo {
            hostname: hostname.into(),
            ..AgentInfo::default()
        }),
        ..agent("cpus:1;mem:64")
    };
    let mut allocator = cluster(&[], &[("f", &["r"])]);
    allocator.add_agent("a".into(), named("one"));
    set_quota(&mut allocator, "r", "cpus:1", "");
    allocator.set_whitelist(Some(names(&["two"])));
    allocator.add_agent("b".into(), named("two"));
    assert_eq!(shown(&allocator.allocate(at(0))), ["f r b cpus:1; mem:64"]);
    assert_eq!(refusal(&allocator, "f"), "AGENT_NOT_WHITELISTED");
    allocator.check_invariants().unwrap();

    // An agent's name can change, and so can the list.
    allocator.describe_agent(&"a".into(), named("two").info, named("two").capabilities);
    assert_eq!(shown(&allocator.allocate(at(1))), ["f r a cpus:1; mem:64"]);
    allocator.set_whitelist(Some(names(&[])));
    recover_all(&mut allocator);
    assert_eq!(allocator.allocate(at(2)), []);
    allocator.set_whitelist(None);
    assert_eq!(allocator.allocate(at(3)).len(), 2);
    allocator.check_invariants().unwrap();
}

/// Takes back whatever the framework holds of both agents.
fn recover_all(allocator: &mut Allocator) {
    for agent in ["a", "b"].map(AgentId::from) {
        let taken = allocator.taken(&"f".into(), &agent);
        allocator.recover(&"f".into(), &agent, &taken);
    }
}
