//! The command executor: the small process that an agent starts for each task that brings a
//! command but no executor of its own.
//!
//! [`run`] is the whole program. It reads its environment ([`Settings`]), subscribes at the agent's
//! v1 executor API, runs the command it is given, reports what becomes of it, and ends when the
//! agent has acknowledged how it ended.
//!
//! ```text
//!             events                    inputs
//!   agent ───────────▶ agent.rs ──┐  ┌──────────▶ machine.rs   decides, pure
//!         ◀───────────            ├──┤
//!             calls               │  └◀────────── actions
//!   task  ◀──────────▶ process.rs ┘   shell.rs                 carries
//! ```
//!
//! [`machine`] decides everything and owns no socket, process or clock; the rest carries its
//! actions out. Checks and health checks of the task will come in as inputs of the machine and
//! leave in the one place where it makes a status.

mod agent;
mod duration;
mod limits;
pub mod machine;
mod process;
mod settings;
mod shell;
mod status;

use std::io::Write as _;
use std::process::ExitCode;

pub use duration::{DurationError, format_duration, parse_duration};
pub use settings::{Endpoint, Settings, SettingsError};
pub use status::Ending;

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
            // Nobody is left to tell when the sandbox's stderr cannot be written to.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
