//! Asking frameworks to leave agents.

use std::time::Duration;

use meseta_allocator::{Allocator, InverseAnswer, InverseStatus};
use meseta_proto::v1::{TimeInfo, Unavailability};

use crate::builders::*;

fn unavailability(start: i64) -> Unavailability {
    let start = TimeInfo { nanoseconds: start };
    Unavailability {
        start,
        duration: None,
    }
}

/// Who is asked, as `framework agent`.
fn asked(allocator: &mut Allocator, seconds: u64) -> Vec<String> {
    let proposals = allocator.inverse_offers(at(seconds)).into_iter();
    proposals
        .map(|p| format!("{} {}", p.framework, p.agent))
        .collect()
}

fn busy_agent() -> Allocator {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"]), ("g", &["r"])]);
    allocator.take(&"f".into(), &"a".into(), &resources("cpus:1").allocate("r"));
    allocator.set_unavailability(&"a".into(), Some(unavailability(1)));
    allocator
}

#[test]
fn who_holds_something_is_asked_once() {
    let mut allocator = busy_agent();
    assert!(allocator.is_pending());
    assert_eq!(asked(&mut allocator, 0), ["f a"]);
    assert_eq!(asked(&mut allocator, 0), [""; 0]);
    // What is offered can be lost too.
    let proposals = allocator.allocate(at(0));
    assert_eq!(proposals[0].framework, "g".into());
    assert_eq!(asked(&mut allocator, 0), ["g a"]);
    assert!(!allocator.is_pending());
}

#[test]
fn a_framework_that_is_away_is_asked_when_it_is_back() {
    let mut allocator = busy_agent();
    allocator.deactivate_framework(&"f".into());
    assert_eq!(asked(&mut allocator, 0), [""; 0]);
    allocator.activate_framework(&"f".into());
    assert_eq!(asked(&mut allocator, 0), ["f a"]);
}

#[test]
fn an_answer_keeps_questions_away_for_its_time() {
    let mut allocator = busy_agent();
    allocator.allocate(at(0));
    let (f, a) = ("f".into(), "a".into());
    asked(&mut allocator, 0);
    let declined = Some(InverseAnswer::Declined);
    allocator.answer_inverse_offer(&f, &a, declined, 10 * SECOND, at(5));
    let status = InverseStatus {
        answer: InverseAnswer::Declined,
        at: at(5).wall,
    };
    assert_eq!(
        allocator.inverse_offer_statuses()[&a],
        [(f.clone(), status)].into()
    );
    assert_eq!(allocator.next_expiry(), Some(15 * SECOND));
    assert_eq!(asked(&mut allocator, 14), [""; 0]);
    assert_eq!(asked(&mut allocator, 15), ["f a"]);
    // Without an answer, at once; with no time at all, not without end.
    allocator.answer_inverse_offer(&f, &a, None, Duration::ZERO, at(16));
    assert_eq!(asked(&mut allocator, 16), ["f a"]);
    let accepted = Some(InverseAnswer::Accepted);
    allocator.answer_inverse_offer(&f, &a, accepted, Duration::ZERO, at(16));
    assert_eq!(asked(&mut allocator, 16), [""; 0]);
    assert_eq!(asked(&mut allocator, 17), ["f a"]);
}

#[test]
fn another_schedule_asks_anew_and_none_asks_nobody() {
    let mut allocator = busy_agent();
    let (f, a) = ("f".into(), "a".into());
    asked(&mut allocator, 0);
    let declined = Some(InverseAnswer::Declined);
    allocator.answer_inverse_offer(&f, &a, declined, 1000 * SECOND, at(0));
    allocator.set_unavailability(&a, Some(unavailability(2)));
    let proposals = allocator.inverse_offers(at(0));
    assert_eq!(proposals[0].unavailability, unavailability(2));
    assert!(allocator.inverse_offer_statuses()[&a].is_empty());
    allocator.set_unavailability(&a, None);
    assert_eq!(allocator.inverse_offer_statuses(), [].into());
    allocator.take(&"g".into(), &a, &resources("cpus:1").allocate("r"));
    assert_eq!(asked(&mut allocator, 2000), [""; 0]);
    assert_eq!(allocator.next_expiry(), None);
}

#[test]
fn what_leaves_takes_its_questions_with_it() {
    let mut allocator = busy_agent();
    let (f, a) = ("f".into(), "a".into());
    asked(&mut allocator, 0);
    let declined = Some(InverseAnswer::Declined);
    allocator.answer_inverse_offer(&f, &a, declined, 1000 * SECOND, at(0));
    allocator.remove_framework(&f);
    assert_eq!(allocator.next_expiry(), None);
    allocator.remove_agent(&a);
    assert_eq!(allocator.inverse_offer_statuses(), [].into());
    assert_eq!(asked(&mut allocator, 2000), [""; 0]);
}
