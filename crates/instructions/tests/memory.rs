//! What a running task takes in a master's memory, with everything that is kept for it: its record, its
//! places in the maps of its framework and its agent, what is used there, and its share of the agent itself.
//!
//! Counted are the bytes that are asked of the allocator, not those to which it rounds them up.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a test that cannot go on has failed, and what it measured is of interest"
)]

use std::alloc::System;

use bytes::Bytes;
use meseta_proto::Wire;
use meseta_proto::internal::ReregisterSlaveMessage;
use prost::Message as _;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use meseta_instructions::{Cluster, agent_pid, return_as_of_mesos, return_to_new_master};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const AGENTS: usize = 50;
const TASKS_ON_EACH: usize = 40;

/// What a task takes of a master to which agents come back.
fn bytes_of_a_task(said: impl Fn(usize, usize) -> ReregisterSlaveMessage) -> usize {
    let said: Vec<Bytes> = (0..AGENTS)
        .map(|number| said(number, TASKS_ON_EACH).encode_to_vec().into())
        .collect();
    let mut cluster = Cluster::new();
    let mut tell = |number: usize| {
        let name = ReregisterSlaveMessage::SCHEMA.name;
        cluster.tell_encoded(
            agent_pid(number),
            name,
            said.get(number).cloned().expect("said"),
        );
        // Readers see every state.
        cluster.master.snapshot()
    };
    // What is kept once is there before it counts: frameworks, room in tables.
    let earlier = AGENTS / 5;
    (0..earlier).map(&mut tell).for_each(drop);
    let region = Region::new(ALLOCATOR);
    (earlier..AGENTS).map(&mut tell).for_each(drop);
    let change = region.change();
    // What grows or shrinks is counted as allocated or freed by so much.
    (change.bytes_allocated - change.bytes_deallocated) / ((AGENTS - earlier) * TASKS_ON_EACH)
}

#[test]
fn a_running_task_takes_no_more_than_it_did() {
    // A few bytes above what it takes. Hash tables grow by chance a little sooner or later.
    for (told, bytes, limit) in [
        (
            "as the load generator has them, with as little as can be",
            bytes_of_a_task(return_to_new_master),
            1_250,
        ),
        (
            "as genuine agents tell of them, with ports, two statuses and the container's address",
            bytes_of_a_task(return_as_of_mesos),
            2_350,
        ),
    ] {
        println!("tasks {told}: {bytes} bytes each");
        assert!(
            bytes <= limit,
            "tasks {told}: {bytes} bytes each, and the limit is {limit}"
        );
    }
}
