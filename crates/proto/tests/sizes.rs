//! What messages take in memory of which there are many.
//!
//! A master of a large cluster holds a `Task` for each of hundreds of thousands of tasks, with two or more
//! `Resource`s and one `TaskStatus` or two. What most of them lack is boxed, by the list `BOXED` in `build.rs`.
//! A message that has grown by a field makes this fail: unless most of them have it, it belongs to that list.

use std::any::type_name;

use meseta_proto::v1::resource::{AllocationInfo, ReservationInfo};
use meseta_proto::v1::{ContainerStatus, Offer, Resource, Task, TaskId, TaskStatus};

fn size<T>(limit: usize, holds: &'static str) -> (&'static str, usize, usize, &'static str) {
    (type_name::<T>(), size_of::<T>(), limit, holds)
}

#[test]
fn messages_of_which_there_are_many_are_as_small_as_they_were() {
    let table = [
        size::<TaskId>(16, "shared text, as all ids"),
        size::<AllocationInfo>(16, "shared text"),
        size::<Resource>(160, "a name, a scalar, its allocation and reservations"),
        size::<ReservationInfo>(80, "a role, a principal, labels"),
        size::<Task>(272, "a name, ids, resources, statuses, a UUID, a user"),
        size::<TaskStatus>(208, "ids, a message, a UUID"),
        size::<ContainerStatus>(72, "an id, networks"),
        size::<Offer>(392, "ids, resources, attributes, where the agent is"),
    ];
    let others: Vec<_> = table
        .into_iter()
        .filter(|(_, size, limit, _)| size != limit)
        .collect();
    assert!(others.is_empty(), "size and limit differ: {others:?}");
}
