//! Logs: one line an event, to standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::flags::{FlagError, Flags};

/// Starts logging as the flags say; `RUST_LOG` goes into detail.
pub(crate) fn start(flags: &Flags) -> Result<(), FlagError> {
    if flags.get("quiet")? == Some(true) {
        return Ok(());
    }
    let level = match flags.get::<String>("logging_level")?.as_deref() {
        None | Some("INFO") => LevelFilter::INFO,
        Some("WARNING") => LevelFilter::WARN,
        Some("ERROR") => LevelFilter::ERROR,
        Some(other) => {
            return Err(FlagError::Value {
                name: "logging_level",
                value: other.to_owned(),
                reason: "expected INFO, WARNING or ERROR".into(),
            });
        }
    };
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy();
    // A second start in one process keeps the first, which logs the same way.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Nobody need be there to read them; telling of that would end the thread that logs.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
    Ok(())
}
