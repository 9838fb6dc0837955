//! The laws of adding, taking and containing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is not there fails the test"
)]

use std::collections::BTreeSet;

use meseta_proto::v1;
use meseta_resources::{Limits, Range, Ranges, Resources, Scalar, downgrade};
use proptest::prelude::*;
use v1::resource::disk_info::Persistence;
use v1::resource::{DiskInfo, ReservationInfo, SharedInfo, reservation_info};
use v1::value::Type;

/// Decides which ports, items and volumes a collection may hold: those of the two sides have
/// nothing in common, so that adding them is not uniting them.
#[derive(Debug, Clone, Copy)]
enum Side {
    Left,
    Right,
}

fn reservations() -> impl Strategy<Value = Vec<ReservationInfo>> {
    let reservation = |kind: reservation_info::Type, role: &str| ReservationInfo {
        r#type: Some(kind.into()),
        role: Some(role.to_owned()),
        principal: (role == "a/b").then(|| "p".to_owned()),
        ..ReservationInfo::default()
    };
    let outer = reservation(reservation_info::Type::Static, "a");
    let inner = reservation(reservation_info::Type::Dynamic, "a/b");
    prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![outer.clone()]),
        1 => Just(vec![inner.clone()]),
        1 => Just(vec![outer, inner]),
    ]
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Resource::default()
    }
}

fn ports(numbers: impl IntoIterator<Item = u64>) -> v1::Resource {
    let one = |n| v1::value::Range { begin: n, end: n };
    v1::Resource {
        name: "ports".to_owned(),
        r#type: Type::Ranges.into(),
        ranges: Some(Box::new(v1::value::Ranges {
            range: numbers.into_iter().map(one).collect(),
        })),
        ..v1::Resource::default()
    }
}

fn zones(item: Vec<String>) -> v1::Resource {
    v1::Resource {
        name: "zones".to_owned(),
        r#type: Type::Set.into(),
        set: Some(Box::new(v1::value::Set { item })),
        ..v1::Resource::default()
    }
}

fn resource(side: Side) -> impl Strategy<Value = v1::Resource> {
    let parity = u64::from(matches!(side, Side::Right));
    let scalars = (
        prop_oneof![Just("cpus"), Just("mem"), Just("disk")],
        1..5_000_u32,
    )
        .prop_map(|(name, thousandths)| scalar(name, f64::from(thousandths) / 1000.0));
    let ranges = prop::collection::btree_set(0..20_u64, 1..8)
        .prop_map(move |numbers| ports(numbers.into_iter().map(|n| 2 * n + parity)));
    let sets = prop::collection::btree_set(0..20_u64, 1..5)
        .prop_map(move |items| zones(items.iter().map(|item| format!("{side:?}{item}")).collect()));
    let plain = (
        prop_oneof![3 => scalars, 1 => ranges, 1 => sets],
        reservations(),
        any::<bool>(),
    )
        .prop_map(|(resource, reservations, revocable)| v1::Resource {
            reservations,
            revocable: revocable.then(v1::resource::RevocableInfo::default),
            ..resource
        });
    prop_oneof![6 => plain, 1 => volume(side)]
}

/// A persistent volume, shared or not.
fn volume(side: Side) -> impl Strategy<Value = v1::Resource> {
    (0..3_u32, any::<bool>()).prop_map(move |(id, shared)| v1::Resource {
        disk: Some(Box::new(DiskInfo {
            persistence: Some(Persistence {
                id: format!("{side:?}{id}{shared}"),
                ..Persistence::default()
            }),
            ..DiskInfo::default()
        })),
        shared: shared.then(SharedInfo::default),
        ..scalar("disk", f64::from(id + 1))
    })
}

fn resources(side: Side) -> impl Strategy<Value = Resources> {
    prop::collection::vec(resource(side), 0..8).prop_map(|messages| {
        let mut volumes = BTreeSet::new();
        // An agent has a volume once.
        let once = |message: &v1::Resource| match &message.disk {
            Some(disk) => volumes.insert(disk.persistence.clone().map(|it| it.id)),
            None => true,
        };
        let messages: Vec<_> = messages.into_iter().filter(once).collect();
        Resources::from_v1(&messages).unwrap()
    })
}

fn left() -> impl Strategy<Value = Resources> {
    resources(Side::Left)
}

fn right() -> impl Strategy<Value = Resources> {
    resources(Side::Right)
}

proptest! {
    #[test]
    fn order_of_adding_does_not_matter(a in left(), b in right(), c in left()) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!(&(&a + &b) + &c, &a + &(&b + &c));
        prop_assert_eq!(&a + &Resources::new(), a);
    }

    #[test]
    fn what_was_added_is_contained_and_can_be_taken(a in left(), b in right()) {
        let both = &a + &b;
        prop_assert!(both.contains(&a) && both.contains(&b));
        prop_assert_eq!(&both - &b, a.clone());
        prop_assert_eq!(&both - &a, b);
        prop_assert!((&a - &a).is_empty());
    }

    #[test]
    fn taking_leaves_no_more_than_there_was(a in left(), b in left()) {
        let rest = &a - &b;
        prop_assert!(a.contains(&rest));
        if a.contains(&b) {
            prop_assert_eq!(&rest + &b, a);
        }
    }

    #[test]
    fn equal_is_what_contains_each_other(a in left(), b in left()) {
        prop_assert_eq!(a == b, a.contains(&b) && b.contains(&a));
        prop_assert!(a.contains(&a) && a.contains(&Resources::new()));
    }

    #[test]
    fn messages_say_it_all(a in left(), b in right()) {
        let sum = &a.allocate("r") + &b.allocate("s");
        let sent = sum.to_v1();
        prop_assert_eq!(&Resources::from_v1(&sent).unwrap(), &sum);
        // And in the old form, where that can say it.
        let mut old = sent;
        if old.iter_mut().all(|message| downgrade(message).is_ok()) {
            prop_assert_eq!(Resources::from_v1(&old).unwrap(), sum);
        }
    }

    #[test]
    fn allocation_marks_and_unmarks(a in left()) {
        let allocated = a.allocate("r");
        prop_assert!(allocated.iter().all(|it| it.allocation_role() == Some("r")));
        let of_role = allocated.allocations().get("r").cloned().unwrap_or_default();
        prop_assert_eq!(of_role, allocated.clone());
        prop_assert!(a.is_empty() || !a.contains(&allocated));
        prop_assert_eq!(allocated.unallocate(), a);
    }

    #[test]
    fn parts_make_the_whole(a in left()) {
        let reserved: Resources = a.reservations().values().sum();
        prop_assert_eq!(&a.unreserved() + &reserved, a.clone());
        prop_assert_eq!(&a.shared() + &a.non_shared(), a.clone());
        prop_assert_eq!(&a.revocable() + &a.non_revocable(), a);
    }

    #[test]
    fn quantities_add_up(a in left(), b in right()) {
        let mut sum = a.quantities();
        sum += &b.quantities();
        prop_assert_eq!((&a + &b).quantities(), sum.clone());
        prop_assert!(sum.contains(&a.quantities()));
        sum -= &a.quantities();
        prop_assert_eq!(sum, b.quantities());
    }

    #[test]
    fn reserving_and_unreserving_are_opposites(a in left()) {
        let reservation = ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic.into()),
            role: Some("a/b/c".to_owned()),
            ..ReservationInfo::default()
        };
        let reserved = a.push_reservation(&reservation).unwrap();
        prop_assert!(reserved.iter().all(|it| it.reservation_role() == Some("a/b/c")));
        prop_assert_eq!(reserved.pop_reservation(), a);
    }

    #[test]
    fn text_is_read_as_it_was_written(
        cpus in 1..100_000_i64,
        ports in prop::collection::btree_set(0..99_u64, 1..20),
    ) {
        let ports = Ranges::new(ports.into_iter().map(|n| Range { begin: n, end: n }));
        let text = format!("cpus:{}; ports:{ports}", Scalar::from_thousandths(cpus));
        let parsed = Resources::parse(&text, "*").unwrap();
        prop_assert_eq!(parsed.to_string(), text);
        prop_assert_eq!(parsed.scalar("cpus"), Some(Scalar::from_thousandths(cpus)));
    }

    #[test]
    fn ranges_are_sets_of_numbers(
        a in prop::collection::btree_set(0..40_u64, 0..30),
        b in prop::collection::btree_set(0..40_u64, 0..30),
    ) {
        let of = |it: &BTreeSet<u64>| Resources::from_v1(&[ports(it.iter().copied())]).unwrap();
        let numbers = |it: &Resources| -> BTreeSet<u64> {
            it.ports().into_iter().flat_map(|range| range.begin..=range.end).collect()
        };
        let (left, right) = (of(&a), of(&b));
        prop_assert_eq!(numbers(&(&left + &right)), &a | &b);
        prop_assert_eq!(numbers(&(&left - &right)), &a - &b);
        prop_assert_eq!(left.contains(&right), a.is_superset(&b));
        prop_assert_eq!(left.ranges("ports").map_or(0, |it| it.count()), a.len() as u64);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9:;,.()\\[\\]{}\\-* \"]{0,40}") {
        if let Ok(read) = Resources::parse(&text, "*") {
            prop_assert!(read.contains(&read));
        }
        if let Ok(read) = meseta_resources::parse_attributes(&text) {
            prop_assert!(read.iter().all(|attribute| !attribute.name.is_empty()));
        }
    }
}

#[test]
fn what_is_under_quota_is_cut_to_limits_and_the_rest_stays() {
    let resources = Resources::parse("cpus:4;mem:512;cpus(r):2;ports:[1-9]", "*").unwrap();
    let limits =
        [("cpus", 1500), ("mem", 0)].map(|(name, limit)| (name, Scalar::from_thousandths(limit)));
    let cut = resources.cut_to(&limits.into_iter().collect());
    assert_eq!(
        cut,
        Resources::parse("cpus:1.5;cpus(r):2;ports:[1-9]", "*").unwrap()
    );
    assert!(resources.cut_to(&Limits::new()).is_same_as(&resources));
}
