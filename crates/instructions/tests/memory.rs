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
    // Of the load generator: as little as a task can be.
    let plain = bytes_of_a_task(return_to_new_master);
    // Of a genuine agent: ports, two statuses with the container's address.
    let genuine = bytes_of_a_task(return_as_of_mesos);
    println!("{plain} {genuine}");
    assert!(plain < 1400, "{plain} bytes");
    assert!(genuine < 2500, "{genuine} bytes");
}
