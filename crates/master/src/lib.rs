//! The master as a deterministic state machine.
//!
//! [`Master::step`] takes the time and an [`Input`] and appends [`Action`]s; [`Master::snapshot`]
//! gives readers everything that the master knows, in constant time. There is no other way in or
//! out: no sockets, files, clocks, threads or random numbers.

mod accept;
mod action;
mod agents;
mod allocation;
mod authentication;
mod completed;
mod config;
mod consumption;
mod counts;
mod events;
mod frameworks;
pub mod http;
mod input;
mod invariants;
mod launch;
mod limits;
mod maintenance;
mod master;
mod messages;
mod metrics;
mod offers;
mod operations;
mod operator;
mod peers;
mod quota;
mod recent;
mod reconcile;
pub mod records;
mod registry;
mod snapshot;
mod step;
mod tasks;
#[cfg(test)]
mod tests;
mod timers;
mod updates;
pub mod validation;
mod watchers;
mod weights;
mod why;

pub use action::Action;
pub use completed::CompletedTask;
pub use config::{AuthenticationPolicy, Config, Policy, VERSION};
pub use counts::FrameworkCounts;
pub use input::{Input, Opening};
pub use maintenance::MachineKey;
pub use master::Master;
pub use messages::can_wait;
pub use metrics::{Messages, Metrics};
pub use operations::OperationCounts;
pub use operator::Change;
pub use recent::{EventId, NoEventId};
pub use snapshot::{Moment, Snapshot};
pub use why::Question;
