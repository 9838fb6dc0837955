//! Limits, guarantees and what is kept for them.

use std::time::Duration;

use meseta_allocator::{AgentView, Allocator, Options, Outstanding, Quota, Refusal};
use meseta_proto::json;
use meseta_proto::v1::quota::QuotaConfig;

use crate::builders::*;

#[test]
fn a_role_gets_no_more_than_its_limits() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64;ports:[1-2]")], &[("f", &["r"])]);
    set_quota(&mut allocator, "r", "", "cpus:1");
    assert_eq!(
        shown(&allocator.allocate(at(0))),
        ["f r a cpus:1; mem:64; ports:[1-2]"]
    );
    allocator.recover(&"f".into(), &"a".into(), &resources("mem:64").allocate("r"));
    assert_eq!(shown(&allocator.allocate(at(1))), ["f r a mem:64"]);
    allocator.recover(
        &"f".into(),
        &"a".into(),
        &resources("ports:[1-2]").allocate("r"),
    );
    assert_eq!(allocator.allocate(at(2)), []);
    let free = resources("cpus:3;ports:[1-2]");
    assert_eq!(
        allocator.why(&"f".into())[0].refusal,
        Refusal::QuotaExhausted { free }
    );
}

#[test]
fn a_limit_of_nothing_shuts_a_role_out() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"]), ("g", &["s"])]);
    let shut = json::from_slice::<QuotaConfig>(
        br#"{"role":"r","limits":{"cpus":{"value":0},"mem":{"value":0}}}"#,
    );
    let shut = Quota::from_config(&shut.unwrap());
    allocator.set_quotas([("r".to_owned(), shut)]);
    assert_eq!(shown(&allocator.allocate(at(0))), ["g s a cpus:4; mem:64"]);
    assert_eq!(refusal(&allocator, "f"), "NOTHING_FREE");
}

#[test]
fn the_limits_of_a_role_bind_those_below_it() {
    let mut allocator = cluster(
        &[("a", "cpus:8;mem:64")],
        &[("f", &["eng/dev"]), ("g", &["eng/ops"])],
    );
    set_quota(&mut allocator, "eng", "", "cpus:3;mem:64");
    allocator.take(
        &"g".into(),
        &"a".into(),
        &resources("cpus:1").allocate("eng/ops"),
    );
    assert_eq!(
        shown(&allocator.allocate(at(0))),
        ["f eng/dev a cpus:2; mem:64"]
    );
    assert_eq!(refusal(&allocator, "g"), "QUOTA_EXHAUSTED");
}

#[test]
fn reservations_count_against_limits_in_use_or_not() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64;cpus(r):2")], &[("f", &["r"])]);
    set_quota(&mut allocator, "r", "", "cpus:3");
    let proposals = allocator.allocate(at(0));
    assert_eq!(proposals[0].resources.cpus(), Some(3.0));
    let consumed = allocator.quota_consumed("r").unwrap();
    assert_eq!(consumed.to_string(), "cpus:3; mem:64");
}

#[test]
fn what_a_guarantee_lacks_is_offered_first_and_whole_agents_at_once() {
    let mut allocator = cluster(
        &[("a", "cpus:4;mem:64;ports:[1-2]")],
        &[("f", &["first"]), ("g", &["second"])],
    );
    set_quota(&mut allocator, "second", "cpus:1", "");
    // By shares, f would be the first.
    assert_eq!(
        shown(&allocator.allocate(at(0))),
        ["g second a cpus:4; mem:64; ports:[1-2]"]
    );
}

#[test]
fn what_a_guarantee_lacks_stays_free_for_it() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    set_quota(&mut allocator, "absent", "cpus:3;mem:16", "");
    let proposals = allocator.allocate(at(0));
    assert_eq!(shown(&proposals), ["f r a cpus:1; mem:48"]);
    assert_eq!(allocator.allocate(at(1)), []);
    let free = resources("cpus:3;mem:16");
    assert_eq!(
        allocator.why(&"f".into())[0].refusal,
        Refusal::HeldForGuarantees { free }
    );
    // As soon as someone comes for it, it is there.
    allocator.add_framework("g".into(), framework(&["absent"]));
    assert_eq!(
        shown(&allocator.allocate(at(1))),
        ["g absent a cpus:3; mem:16"]
    );
}

#[test]
fn a_guarantee_can_be_used_by_roles_below_but_not_what_is_due_to_others_there() {
    let mut allocator = cluster(&[("a", "cpus:8;mem:64")], &[("f", &["eng/dev"])]);
    allocator.set_quotas([
        ("eng".to_owned(), quota("cpus:8", "")),
        ("eng/ops".to_owned(), quota("cpus:3", "")),
    ]);
    assert_eq!(
        shown(&allocator.allocate(at(0))),
        ["f eng/dev a cpus:5; mem:64"]
    );
    allocator.check_invariants().unwrap();
}

#[test]
fn guarantees_choose_among_all_agents_before_others() {
    let mut allocator = cluster(&[], &[("f", &["any"])]);
    allocator.add_framework("g".into(), framework(&["due"]));
    set_quota(&mut allocator, "due", "cpus:2;mem:64", "cpus:2;mem:64");
    allocator.add_agent("a".into(), agent("cpus:2;mem:64"));
    allocator.add_agent("b".into(), agent("cpus:2;mem:64"));
    assert_eq!(
        shown(&allocator.allocate(at(0))),
        ["f any b cpus:2; mem:64", "g due a cpus:2; mem:64"]
    );
}

#[test]
fn what_was_held_back_is_looked_at_again_when_quotas_ease() {
    let mut allocator = cluster(
        &[("a", "cpus:1;mem:64"), ("b", "cpus:1;mem:64")],
        &[("f", &["r"])],
    );
    set_quota(&mut allocator, "r", "", "cpus:1;mem:64");
    let proposals = allocator.allocate(at(0));
    assert_eq!(shown(&proposals), ["f r a cpus:1; mem:64"]);
    assert_eq!(
        (allocator.is_pending(), allocator.next_expiry()),
        (false, None)
    );
    // It does not want that agent again, and b was not freed.
    decline(&mut allocator, &proposals[0], 1000 * SECOND, at(5));
    let again = allocator.next_expiry().unwrap();
    assert!(again <= 6 * SECOND, "{again:?}");
    let proposals = allocator.allocate(at(6));
    assert_eq!(shown(&proposals), ["f r b cpus:1; mem:64"]);
    // Not more often than once in an interval.
    recover(&mut allocator, &proposals[0]);
    allocator.allocate(at(6));
    assert!(!allocator.is_pending());
}

/// What is kept free for a guarantee is free for others once the guarantee is met elsewhere.
#[test]
fn what_was_kept_for_a_guarantee_is_offered_when_that_is_met_by_what_others_bring() {
    let kept = || {
        let mut allocator = cluster(&[("a", "cpus:2;mem:64")], &[("f", &["r"])]);
        set_quota(&mut allocator, "due", "cpus:2", "");
        assert_eq!(shown(&allocator.allocate(at(0))), ["f r a mem:64"]);
        assert_eq!(allocator.next_expiry(), None);
        allocator
    };
    let mut by_reservations = kept();
    by_reservations.add_agent("b".into(), agent("cpus(due):2"));
    let mut by_tasks = kept();
    let held = resources("cpus:2").allocate("due");
    let busy = AgentView {
        used: [("g".into(), held)].into(),
        ..agent("cpus:2")
    };
    by_tasks.add_agent("b".into(), busy);
    for mut allocator in [by_reservations, by_tasks] {
        assert_eq!(shown(&allocator.allocate(at(5))), ["f r a cpus:2"]);
    }
}

#[test]
fn raising_a_limit_brings_offers_at_once() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    set_quota(&mut allocator, "r", "", "cpus:1;mem:32");
    allocator.allocate(at(0));
    set_quota(&mut allocator, "r", "", "cpus:3;mem:32");
    assert!(allocator.is_pending());
    assert_eq!(shown(&allocator.allocate(at(0))), ["f r a cpus:2"]);
    set_quota(&mut allocator, "r", "", "");
    assert_eq!(allocator.quota("r"), None);
    assert_eq!(shown(&allocator.allocate(at(0))), ["f r a cpus:1; mem:32"]);
}

#[test]
fn a_deactivated_agent_is_no_room_for_guarantees() {
    let mut allocator = cluster(
        &[("a", "cpus:2;mem:64"), ("b", "cpus:2;mem:64")],
        &[("f", &["r"])],
    );
    set_quota(&mut allocator, "absent", "cpus:2;mem:64", "");
    allocator.deactivate_agent(&"b".into());
    assert_eq!(allocator.allocate(at(0)), []);
    assert_eq!(
        allocator.why_in_short(&"f".into(), Some("r"), 5)["r"].counts,
        [("AGENT_DEACTIVATED", 1), ("HELD_FOR_GUARANTEES", 1)].into()
    );
    allocator.activate_agent(&"b".into());
    assert_eq!(allocator.allocate(at(1)).len(), 1);
    allocator.check_invariants().unwrap();
}

fn to_rescind(
    allocator: &Allocator,
    role: &str,
    outstanding: &[Outstanding<'_, usize>],
) -> Vec<usize> {
    let all = || outstanding.iter().copied();
    allocator.to_rescind(role, all, all)
}

#[test]
fn no_offer_is_looked_at_when_none_stands_against_a_new_quota() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    allocator.allocate(at(0));
    set_quota(&mut allocator, "r", "", "cpus:4;mem:64");
    set_quota(&mut allocator, "other", "", "cpus:1");
    let unasked = || -> [Outstanding<'_, usize>; 0] { panic!("nobody needs to know") };
    for role in ["r", "other"] {
        assert_eq!(allocator.to_rescind(role, unasked, unasked), [0_usize; 0]);
    }
}

#[test]
fn who_declined_what_a_limit_left_is_offered_more_when_there_is_no_limit() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    for (time, limit, offered) in [
        (0, "cpus:2", "f r a cpus:2; mem:64"),
        (1, "cpus:3", "f r a cpus:3; mem:64"),
        (2, "", "f r a cpus:4; mem:64"),
    ] {
        set_quota(&mut allocator, "r", "", limit);
        let proposals = allocator.allocate(at(time));
        assert_eq!(shown(&proposals), [offered]);
        decline(&mut allocator, &proposals[0], 1000 * SECOND, at(time));
        assert_eq!(allocator.allocate(at(time)), []);
    }
}

#[test]
fn books_are_opened_and_closed_above_and_below_others() {
    let mut allocator = cluster(
        &[("a", "cpus:8;mem:64"), ("b", "cpus:8;mem:64")],
        &[
            ("f", &["eng", "eng/dev/x", "ops"]),
            ("g", &["eng/dev", "eng-x"]),
        ],
    );
    let quotas = [
        ("eng/dev/x", "cpus:1"),
        ("ops", "cpus:1"),
        ("eng", "cpus:5"),
        ("eng/dev", "cpus:3"),
        ("eng/dev", "cpus:2"),
        ("eng", ""),
        ("eng-x", "cpus:1"),
        ("eng/dev/x", ""),
        ("eng", "cpus:4"),
        ("eng/dev", ""),
        ("ops", ""),
        ("eng-x", ""),
        ("eng", ""),
        ("ops", "cpus:2"),
    ];
    for (number, (role, guarantee)) in quotas.into_iter().enumerate() {
        set_quota(&mut allocator, role, guarantee, "");
        allocator.check_invariants().unwrap();
        let time = at(number as u64);
        for proposal in allocator.allocate(time).iter().step_by(2) {
            decline(&mut allocator, proposal, SECOND, time);
        }
        allocator.check_invariants().unwrap();
    }
}

#[test]
fn offers_above_a_new_limit_are_taken_back_and_no_others() {
    let mut allocator = cluster(
        &[
            ("a", "cpus:2;mem:64"),
            ("b", "cpus:2;mem:64"),
            ("c", "cpus:2;mem:64"),
        ],
        &[("f", &["eng/dev"])],
    );
    let proposals = allocator.allocate(at(0));
    let outstanding: Vec<_> = proposals
        .iter()
        .enumerate()
        .map(|(key, p)| Outstanding {
            key,
            role: &p.role,
            resources: &p.resources,
        })
        .collect();
    assert_eq!(to_rescind(&allocator, "eng", &outstanding), [0_usize; 0]);
    set_quota(&mut allocator, "eng", "", "cpus:4");
    assert_eq!(to_rescind(&allocator, "eng", &outstanding), [0]);
    set_quota(&mut allocator, "eng", "", "cpus:3");
    assert_eq!(to_rescind(&allocator, "eng", &outstanding), [0, 1]);
}

#[test]
fn offers_are_taken_back_for_a_new_guarantee_from_those_who_can_spare_them() {
    let mut allocator = cluster(
        &[
            ("a", "cpus:2;mem:64"),
            ("b", "cpus:2;mem:64"),
            ("c", "cpus:2;mem:64"),
        ],
        &[("f", &["due"]), ("g", &["any"])],
    );
    set_quota(&mut allocator, "due", "cpus:2;mem:64", "cpus:2;mem:64");
    let proposals = allocator.allocate(at(0));
    let outstanding: Vec<_> = proposals
        .iter()
        .enumerate()
        .map(|(key, p)| Outstanding {
            key,
            role: &p.role,
            resources: &p.resources,
        })
        .collect();
    let roles: Vec<&str> = outstanding.iter().map(|offer| offer.role).collect();
    assert_eq!(roles, ["due", "any", "any"]);
    set_quota(&mut allocator, "new", "cpus:1", "");
    assert_eq!(to_rescind(&allocator, "new", &outstanding), [1]);
    set_quota(&mut allocator, "new", "cpus:6", "");
    assert_eq!(to_rescind(&allocator, "new", &outstanding), [1, 2]);
}

#[test]
fn intervals_are_as_the_options_say() {
    let mut allocator = Allocator::new(Options {
        allocation_interval: Duration::from_secs(7),
        ..Options::default()
    });
    for id in ["a", "b"] {
        allocator.add_agent(id.into(), agent("cpus:1;mem:64"));
    }
    allocator.add_framework("f".into(), framework(&["r"]));
    set_quota(&mut allocator, "r", "", "cpus:1;mem:64");
    for round in 0..3 {
        for p in allocator.allocate(at(20 * round)) {
            decline(&mut allocator, &p, SECOND, at(20 * round));
        }
    }
    allocator.allocate(at(45));
    let next = allocator.next_expiry();
    assert!(next.is_none_or(|next| next >= 47 * SECOND), "{next:?}");
}

#[test]
fn reserving_what_is_offered_consumes_nothing_more() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    set_quota(&mut allocator, "r", "cpus:1", "cpus:3");
    let proposals = allocator.allocate(at(0));
    assert_eq!(shown(&proposals), ["f r a cpus:3; mem:64"]);
    let consumed = |allocator: &Allocator| {
        allocator.check_invariants().unwrap();
        allocator.quota_consumed("r").unwrap().to_string()
    };
    assert_eq!(consumed(&allocator), "cpus:3; mem:64");
    let unreserved = resources("cpus:2").allocate("r");
    let reserved = resources("cpus(r):2").allocate("r");
    allocator.convert(&"f".into(), &"a".into(), &unreserved, &reserved);
    assert_eq!(consumed(&allocator), "cpus:3; mem:64");
    // Given back, a reservation is still the role's; what is not reserved is anyone's.
    recover(&mut allocator, &proposals[0]);
    allocator.recover(&"f".into(), &"a".into(), &reserved);
    assert_eq!(consumed(&allocator), "cpus:2");
    let proposals = allocator.allocate(at(1));
    assert_eq!(proposals[0].resources.cpus(), Some(3.0));
    allocator.convert(&"f".into(), &"a".into(), &reserved, &unreserved);
    assert_eq!(consumed(&allocator), "cpus:3; mem:64");
}
