//! The agent dies again and again, at every moment of its tasks' lives: no task is lost, none runs
//! twice, no update is missing or out of order, and nothing is left of what has ended: no process, no
//! fact, no file.
//!
//! [`moments`] are chosen by time, [`steps`] by what the agent writes.

mod cluster;
mod moments;
mod steps;

use std::process::Command;

use crate::support::daemon::{Place, RESOURCES, agent_command};
use std::net::SocketAddr;

/// How many rounds there are, where it is not this many.
const ROUNDS_VARIABLE: &str = "MESETA_AGENT_DEATHS";

/// The agent's flags: it comes back without waiting for others to have come back before it, and keeps
/// no sandbox for people to look at.
const FLAGS: [&str; 3] = [
    RESOURCES,
    "--registration_backoff_factor=10ms",
    "--gc_delay=0ns",
];

fn rounds(default: u32) -> u32 {
    std::env::var(ROUNDS_VARIABLE).map_or(default, |rounds| {
        rounds
            .parse()
            .unwrap_or_else(|e| panic!("{ROUNDS_VARIABLE}={rounds}: {e}"))
    })
}

/// An agent that kills itself at one of its commits.
fn doomed_agent(place: &Place, master: SocketAddr, port: u16, fault: &str) -> Command {
    let mut command = agent_command(place, master, port, &FLAGS);
    command.env("MESETA_STORE_FAULT", fault);
    command
}
