//! A master with agents and tasks, as the loads of this crate's program and its benchmark have it.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "the loads are this crate's own; they fail by panicking"
)]

mod cluster;
mod failover;

pub use cluster::{Cluster, agent_pid, now, request, resources, running};
pub use failover::{return_as_of_mesos, return_to_new_master};
