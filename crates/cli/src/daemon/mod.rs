//! The daemons: the shells around the state machines. Here are the sockets, files, clocks and
//! threads that the machines know nothing of.

pub(crate) mod agent;
mod containers;
mod driver;
pub(crate) mod limits;
pub(crate) mod master;
mod net;

/// The hidden subcommand under which an agent starts the command executor.
pub(crate) const COMMAND_EXECUTOR: &str = "command-executor";
