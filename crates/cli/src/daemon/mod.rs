//! The daemons: the shells around the state machines. Here are the sockets, files, clocks and
//! threads that the machines know nothing of.

pub(crate) mod agent;
mod alive;
mod around;
mod compression;
mod config;
mod containers;
mod credentials;
mod detected;
mod driver;
mod edge;
mod exchange;
mod executor_socket;
mod fetching;
mod garbage;
mod journal;
mod known_ends;
pub(crate) mod limits;
pub(crate) mod master;
mod measures;
mod net;
mod openings;
mod output;
pub(crate) mod process;
mod readings;
mod registrar;
mod sessions;
mod set_aside;
mod started;
mod system;
mod timings;
mod traces;
mod waiting;
mod watched;
mod whitelist;

/// The hidden subcommand under which an agent starts the command executor.
pub(crate) const COMMAND_EXECUTOR: &str = "command-executor";

/// The hidden subcommand of the executor of task groups.
pub(crate) const DEFAULT_EXECUTOR: &str = "default-executor";

/// The hidden subcommand under which an agent starts the programs of nested containers.
pub(crate) const SUPERVISOR: &str = "supervisor";

/// The hidden subcommand under which an agent starts the programs of sessions.
pub(crate) const ATTENDANT: &str = "attendant";

/// The hidden subcommand under which an agent starts programs on terminals that outlive it.
pub(crate) const TERMINAL_KEEPER: &str = "terminal-keeper";

/// The hidden subcommand under which an agent starts a fetch.
pub(crate) const FETCHER: &str = "fetcher";

/// A seed for a machine's ids: unguessable, from the operating system.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1 ^ uuid::Uuid::new_v4().as_u64_pair().0
}
