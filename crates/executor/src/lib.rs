//! The executors that come with an agent: the command executor, the small process that it starts
//! for each task that brings a command but no executor of its own, and the default executor, one
//! for all task groups that a framework gives it.
//!
//! [`run`] is the whole program. It reads its environment, subscribes at the agent's v1 executor
//! API, runs what it is given, reports what becomes of it, and ends when the agent has acknowledged
//! how it ended.
//!
//! ```text
//!             events                        inputs
//!   agent ───────────▶ agent.rs ──────┐  ┌──────────▶ machine/    decides, pure
//!         ◀───────────                │  │            ├ command/  one task, a process of ours
//!             calls                   │  │            └ group/    task groups, in containers of the agent's
//!         ◀──────────▶ requests.rs  ──┼──┤
//!          containers                 │  └◀────────── actions
//!   tasks ◀──────────▶ process.rs   ──┘   shell.rs                carries
//! ```
//!
//! `machine` decides everything and owns no socket, process or clock; the rest carries its actions
//! out: when to probe a task for a check or a health check, too, which `probes.rs` then does.
//!
//! One such process runs for each command task, so it starts no thread and no runtime: one loop
//! polls the connections and a descriptor for signals.

mod agent;
mod connection;
mod descendants;
mod http;
mod limits;
mod machine;
mod probes;
mod process;
mod requests;
mod sandbox;
mod settings;
mod shell;
mod status;

use std::process::ExitCode;

use settings::Settings;

/// The executors that this crate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Runs one command, as its own child.
    Command,
    /// Runs task groups, in containers that the agent makes for it.
    Default,
}

/// Runs the executor of this process's environment to its end.
///
/// Takes over the process: it becomes the reaper of all its descendants, and at the end none of
/// them is left.
pub fn run(kind: Kind) -> ExitCode {
    let outcome = Settings::from_environment(|name| std::env::var(name).ok())
        .map_err(shell::Error::from)
        .and_then(|settings| shell::run(kind, settings));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            shell::log(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
