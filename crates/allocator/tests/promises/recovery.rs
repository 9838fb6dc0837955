//! Waiting for agents after a failover.

use std::time::Duration;

use meseta_allocator::Allocator;

use crate::builders::*;

fn recovering() -> Allocator {
    let mut allocator = cluster(&[], &[("f", &["r"])]);
    set_quota(&mut allocator, "other", "cpus:1", "");
    allocator.begin_recovery(4, at(0));
    allocator
}

#[test]
fn nothing_is_offered_before_most_agents_are_back() {
    let mut allocator = recovering();
    for (i, id) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(allocator.allocate(at(1)), [], "{i} of 4 are back");
        if i > 0 {
            assert_eq!(refusal(&allocator, "f"), "RECOVERING");
        }
        assert!(!allocator.is_pending());
        allocator.add_agent(id.into(), agent("cpus:4;mem:64"));
    }
    // Three are four fifths of four, rounded down.
    assert!(allocator.is_pending());
    assert_eq!(allocator.allocate(at(1)).len(), 3);
}

#[test]
fn the_wait_ends_by_itself() {
    let mut allocator = recovering();
    allocator.add_agent("a".into(), agent("cpus:4;mem:64"));
    assert_eq!(allocator.next_expiry(), Some(Duration::from_mins(10)));
    assert_eq!(allocator.allocate(at(599)), []);
    assert_eq!(allocator.allocate(at(600)).len(), 1);
    assert_eq!(allocator.recovering_until(), None);
}

#[test]
fn without_quotas_or_agents_there_is_nothing_to_wait_for() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    allocator.begin_recovery(100, at(0));
    assert_eq!(allocator.allocate(at(0)).len(), 1);
    let mut allocator = cluster(&[], &[("f", &["r"])]);
    set_quota(&mut allocator, "other", "cpus:1", "");
    allocator.begin_recovery(1, at(0));
    assert_eq!(allocator.recovering_until(), None);
}
