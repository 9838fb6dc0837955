//! Logs: one line an event, to standard error.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

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
    let filter = move || {
        EnvFilter::builder()
            .with_default_directive(level.into())
            .from_env_lossy()
    };
    let (filter_now, handle) = reload::Layer::new(filter());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // Nobody need be there to read them; telling of that would end the thread that logs.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let subscriber = tracing_subscriber::registry().with(filter_now).with(lines);
    // A second start in one process keeps the first, which logs the same way.
    if subscriber.try_init().is_ok() {
        let raised = Raised {
            set: Box::new(move |level| {
                let filter = match level {
                    0 => filter(),
                    1 => EnvFilter::new("debug"),
                    _ => EnvFilter::new("trace"),
                };
                // It fails when there is no subscriber any more, and then nothing is logged.
                let _ = handle.reload(filter);
            }),
            level: 0,
            times: 0,
        };
        let _ = RAISED.set(Mutex::new(raised));
    }
    Ok(())
}

/// How much more is logged than the flags say, and until when.
static RAISED: OnceLock<Mutex<Raised>> = OnceLock::new();

struct Raised {
    set: Box<dyn Fn(u32) + Send>,
    level: u32,
    /// How often it was changed: an older time that ends does not end a newer one.
    times: u64,
}

fn raised() -> Option<MutexGuard<'static, Raised>> {
    let raised = RAISED.get()?;
    // It is whole between any two statements.
    Some(raised.lock().unwrap_or_else(PoisonError::into_inner))
}

/// How much more is logged than the flags say: 0 is nothing, 1 details, more everything.
pub(crate) fn level() -> u32 {
    raised().map_or(0, |raised| raised.level)
}

/// Logs more for some time. Must be called on the runtime.
pub(crate) fn raise(level: u32, duration: Duration) {
    let Some(mut now) = raised() else {
        return;
    };
    now.level = level;
    now.times += 1;
    (now.set)(level);
    let time = now.times;
    drop(now);
    tracing::info!(level, ?duration, "the level of logging is raised");
    tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        if let Some(mut now) = raised()
            && now.times == time
        {
            now.level = 0;
            (now.set)(0);
        }
    });
}
