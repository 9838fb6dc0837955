//! Who comes first.

use std::collections::BTreeMap;

use meseta_allocator::{Allocator, Options, Sorter};

use crate::builders::*;

/// How many agents each framework gets of many.
fn agents_by_framework(options: Options, roles: [(&str, &str); 3]) -> BTreeMap<String, usize> {
    let mut allocator = Allocator::new(options);
    for (framework_id, role) in roles {
        allocator.add_framework(framework_id.into(), framework(&[role]));
    }
    for i in 0..1200 {
        allocator.add_agent(format!("agent{i}").into(), agent("cpus:1;mem:64"));
    }
    let mut counts = BTreeMap::new();
    for proposal in allocator.allocate(at(0)) {
        *counts.entry(proposal.framework.to_string()).or_default() += 1;
    }
    allocator.check_invariants().unwrap();
    counts
}

const ROLES: [(&str, &str); 3] = [("f", "x"), ("g", "y"), ("h", "z")];

fn weights() -> BTreeMap<String, f64> {
    [
        ("x".to_owned(), 1.0),
        ("y".to_owned(), 2.0),
        ("z".to_owned(), 3.0),
    ]
    .into()
}

#[test]
fn dominant_shares_converge_by_weight() {
    let options = Options {
        weights: weights(),
        ..Options::default()
    };
    let counts = agents_by_framework(options, ROLES);
    assert_eq!(
        counts,
        [("f", 200), ("g", 400), ("h", 600)]
            .map(|(f, n)| (f.to_owned(), n))
            .into()
    );
}

#[test]
fn chance_gives_in_proportion_to_weights() {
    for seed in 0..5 {
        let options = Options {
            weights: weights(),
            role_sorter: Sorter::Random,
            framework_sorter: Sorter::Random,
            seed,
            ..Options::default()
        };
        let counts = agents_by_framework(options, ROLES);
        for (framework, expected) in [("f", 200_usize), ("g", 400), ("h", 600)] {
            let got = counts[framework];
            // More than four standard deviations away is one in ten thousand.
            assert!(
                got.abs_diff(expected) < 75,
                "{framework} got {got} with seed {seed}"
            );
        }
    }
}

#[test]
fn chance_decides_among_the_frameworks_of_a_role() {
    let options = |seed| Options {
        framework_sorter: Sorter::Random,
        seed,
        ..Options::default()
    };
    let roles = [("f", "r"), ("g", "r"), ("h", "r")];
    let counts = agents_by_framework(options(1), roles);
    assert!(
        counts.values().all(|count| count.abs_diff(400) < 75),
        "{counts:?}"
    );
    assert_ne!(counts, agents_by_framework(options(2), roles));
    assert_eq!(
        counts,
        agents_by_framework(options(1), roles),
        "the same seed"
    );
}

#[test]
fn a_weight_that_is_set_counts_by_chance_too() {
    let mut allocator = Allocator::new(Options {
        role_sorter: Sorter::Random,
        ..Options::default()
    });
    allocator.add_framework("f".into(), framework(&["x"]));
    allocator.add_framework("g".into(), framework(&["y"]));
    allocator.set_weight("x", 1000.0);
    for i in 0..100 {
        allocator.add_agent(format!("agent{i}").into(), agent("cpus:1;mem:64"));
    }
    let proposals = allocator.allocate(at(0));
    let of_f = proposals.iter().filter(|p| p.role == "x").count();
    assert!(of_f > 95, "{of_f}");
}

#[test]
fn names_that_are_excluded_do_not_count_in_shares() {
    let excluding = |excluded: &[&str]| {
        let mut allocator = Allocator::new(Options {
            fair_sharing_excluded_resource_names: names(excluded),
            ..Options::default()
        });
        allocator.add_agent("a".into(), agent("cpus:10;mem:1000;blimps:2"));
        allocator.add_framework("f".into(), framework(&["x"]));
        allocator.add_framework("g".into(), framework(&["y"]));
        let take = |allocator: &mut Allocator, id: &str, role: &str, text: &str| {
            allocator.take(&id.into(), &"a".into(), &resources(text).allocate(role));
        };
        take(&mut allocator, "f", "x", "cpus:1;blimps:1");
        take(&mut allocator, "g", "y", "cpus:2");
        allocator.allocate(at(0))[0].framework.to_string()
    };
    assert_eq!(excluding(&[]), "g");
    assert_eq!(excluding(&["blimps"]), "f");
}
