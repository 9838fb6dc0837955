//! The agent as a deterministic state machine: it launches executors in containers, hands them
//! tasks, and delivers what they report, whatever dies in between.
//!
//! [`Agent::step`] takes the time and an [`Input`] and appends [`Action`]s; it knows no socket,
//! file, clock or process. Facts that a later life of the agent needs are [`Action::Persist`]ed
//! before anything is promised on their strength, and come back as [`Input::Recovered`], which is
//! the first input of every life, with no facts in the first.
//!
//! Where what is decided:
//!
//! | module | decides |
//! |---|---|
//! | `registration` | which master the agent belongs to, and when it asks again |
//! | `launch` | whether a task runs here, by which executor, in what container |
//! | `executors` | what executors are told, when they are given up, what their end means |
//! | `nested` | what becomes of containers inside of executors' |
//! | `updates` | what becomes of a status update between its executor and its framework |
//! | `kill`, `frameworks`, `drain` | how tasks end: one, a framework's, all |
//! | `resources`, `operations` | what the agent has, and what becomes of operations on it |
//! | `volumes` | where persistent volumes lie, and where their users find them |
//! | `oversubscription` | what is lent beyond that, and when it is taken back |
//! | `garbage` | when a sandbox is removed |
//! | [`recovery`] | what survives the agent, and what its next life makes of it |
//! | [`http`] | what a request to the agent means, and what readers see |
//!
//! ```
//! use std::time::Duration;
//! use meseta_agent::{Agent, Config, Input};
//! use meseta_machine::{Entropy, Now};
//!
//! let config = Config::new("slave(1)@127.0.0.1:5051".parse()?, "/var/lib/mesos");
//! let now = Now { monotonic: Duration::ZERO, wall: Duration::from_secs(1_700_000_000) };
//! let mut agent = Agent::new(config, Entropy::new(1), now);
//! let mut actions = Vec::new();
//! agent.step(now, Input::Recovered {
//!     facts: Vec::new(),
//!     alive: Default::default(),
//!     unstarted: Default::default(),
//!     damaged: Default::default(),
//! }, &mut actions);
//! assert!(!agent.snapshot().registered);
//! # Ok::<(), meseta_proto::UpidError>(())
//! ```

mod action;
mod agent;
mod authentication;
mod config;
mod drain;
mod executors;
mod frameworks;
mod garbage;
pub mod http;
mod input;
mod kill;
mod launch;
mod limits;
mod messages;
mod metrics;
mod nested;
mod operations;
mod oversubscription;
mod records;
pub mod recovery;
mod registration;
mod resources;
mod sandbox;
mod snapshot;
mod task;
#[cfg(test)]
mod tests;
mod updates;
mod volumes;

pub use action::{Action, ExitReason, Launch, OnTerminal, Session, Terminal};
pub use agent::Agent;
pub use config::{Config, ReconfigurationPolicy, Recover};
pub use input::{FoundSandbox, Input, LaunchFailure};
pub use metrics::Counters;
pub use nested::{ContainerCall, OutputForm, SharedFolder, WaitAnswer, WindowSize};
pub use oversubscription::{Load, QosController, ResourceEstimator};
pub use records::{Executor, ExecutorState, Framework, NestedContainer, NestedState, Process};
pub use snapshot::Snapshot;
pub use volumes::{VolumeFolder, VolumeLink};
