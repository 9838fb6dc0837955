//! Why there are no offers, in short.

use meseta_allocator::Refusal;

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
