//! The command executor: the small process that an agent starts for each task that brings a
//! command but no executor of its own.
//!
//! [`run`] is the whole program. It reads its environment, subscribes at the agent's v1 executor
//! API, runs the command it is given, reports what becomes of it, and ends when the agent has
//! acknowledged how it ended.
//!
//! ```text
//!             events                    inputs
//!   agent ───────────▶ agent.rs ──┐  ┌──────────▶ machine/    decides, pure
//!         ◀───────────            ├──┤
//!             calls               │  └◀────────── actions
//!   task  ◀──────────▶ process.rs ┘   shell.rs                carries
//! ```
//!
//! `machine` decides everything and owns no socket, process or clock; the rest carries its actions
//! out: when to probe the task for a check or a health check, too, which `probes.rs` then does.
//!
//! One such process runs for each task, so it starts no thread and no runtime: one loop polls the
//! two connections, those of probes, and a descriptor for signals.

mod agent;
mod connection;
mod duration;
mod http;
mod limits;
mod machine;
mod probes;
mod process;
mod settings;
mod shell;
mod status;

use std::process::ExitCode;

use settings::Settings;

/// Runs the command executor of this process's environment to its end.
///
/// Takes over the process: it becomes the reaper of all its descendants, and at the end none of
/// them is left.
pub fn run() -> ExitCode {
    let outcome = Settings::from_environment(|name| std::env::var(name).ok())
        .map_err(shell::Error::from)
        .and_then(shell::run);
    match outcome {
        Ok(code) => code,
        Err(error) => {
            shell::log(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
