//! Logs: one line an event, to standard error and to files.

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

use crate::daemon::limits::{LOG_BYTES, LOG_FILES};
use crate::flags::{FlagError, Flags};
use files::{Bounds, LogFiles};

/// The link to the log file that this process writes.
static LINK: OnceLock<PathBuf> = OnceLock::new();

/// Starts logging as the flags say; `RUST_LOG` goes into detail. Files are named after `program`.
///
/// Standard error and the files may be of different levels: what the user has not asked for is kept
/// off the terminal of `meseta local`, and is in its files.
pub(crate) fn start(flags: &Flags, program: &str) -> Result<(), FlagError> {
    let (level, name) = level_of(flags)?;
    let (in_files, name) = if flags.is_given("logging_level") {
        (level, name)
    } else {
        (LevelFilter::INFO, "INFO")
    };
    let mut filters = Vec::new();
    let is_quiet = flags.get("quiet")? == Some(true);
    let lines = (!is_quiet).then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            // Nobody need be there to read them; telling of that would end the thread that logs.
            .log_internal_errors(false)
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_filter(Filter::of(level, &mut filters))
    });
    let log = log_files(flags, program, name)?;
    let link = log.as_ref().map(|log| log.link().to_owned());
    let kept = log.map(|log| {
        tracing_subscriber::fmt::layer()
            .with_writer(Mutex::new(log))
            .log_internal_errors(false)
            .with_target(false)
            .with_ansi(false)
            .with_filter(Filter::of(in_files, &mut filters))
    });
    let subscriber = tracing_subscriber::registry().with(lines).with(kept);
    // A second start in one process keeps the first, which logs the same way.
    if subscriber.try_init().is_ok() {
        if let Some(link) = link {
            let _ = LINK.set(link);
        }
        let raised = Raised {
            filters,
            level: 0,
            times: 0,
        };
        let _ = RAISED.set(Mutex::new(raised));
    }
    Ok(())
}

fn level_of(flags: &Flags) -> Result<(LevelFilter, &'static str), FlagError> {
    match flags.get::<String>("logging_level")?.as_deref() {
        None | Some("INFO") => Ok((LevelFilter::INFO, "INFO")),
        Some("WARNING") => Ok((LevelFilter::WARN, "WARNING")),
        Some("ERROR") => Ok((LevelFilter::ERROR, "ERROR")),
        Some(other) => Err(FlagError::Value {
            name: "logging_level",
            value: other.to_owned(),
            reason: "expected INFO, WARNING or ERROR".into(),
        }),
    }
}

fn log_files(flags: &Flags, program: &str, level: &str) -> Result<Option<LogFiles>, FlagError> {
    let Some(folder) = flags.get::<PathBuf>("log_dir")? else {
        return Ok(None);
    };
    let bounds = Bounds {
        bytes: LOG_BYTES,
        files: LOG_FILES,
    };
    LogFiles::open(&folder, program, level, bounds)
        .map(Some)
        .map_err(|error| FlagError::Value {
            name: "log_dir",
            value: folder.to_string_lossy().into_owned(),
            reason: format!("no log can be written there: {error}"),
        })
}

/// The log that a daemon with these flags shows: what somebody else writes for it, or its own.
pub(crate) fn shown(flags: &BTreeMap<String, String>) -> Option<PathBuf> {
    match flags.get("external_log_file") {
        Some(path) => Some(path.into()),
        None => LINK.get().cloned(),
    }
}

/// What is logged to one place, which can be changed.
struct Filter {
    level: LevelFilter,
    set: Box<dyn Fn(EnvFilter) + Send>,
}

impl Filter {
    /// A filter for the events of this level, with a way to change it.
    fn of<S: 'static>(level: LevelFilter, all: &mut Vec<Self>) -> reload::Layer<EnvFilter, S> {
        let (now, handle) = reload::Layer::new(asked_for(level));
        all.push(Self {
            level,
            set: Box::new(move |filter| {
                // It fails when there is no subscriber any more, and then nothing is logged.
                let _ = handle.reload(filter);
            }),
        });
        now
    }
}

fn asked_for(level: LevelFilter) -> EnvFilter {
    EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy()
}

/// How much more is logged than the flags say, and until when.
static RAISED: OnceLock<Mutex<Raised>> = OnceLock::new();

struct Raised {
    filters: Vec<Filter>,
    level: u32,
    /// How often it was changed: an older time that ends does not end a newer one.
    times: u64,
}

impl Raised {
    fn set(&mut self, level: u32) {
        self.level = level;
        for filter in &self.filters {
            (filter.set)(match level {
                0 => asked_for(filter.level),
                1 => EnvFilter::new("debug"),
                _ => EnvFilter::new("trace"),
            });
        }
    }
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
    now.set(level);
    now.times += 1;
    let time = now.times;
    drop(now);
    tracing::info!(level, ?duration, "the level of logging is raised");
    tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        if let Some(mut now) = raised()
            && now.times == time
        {
            now.set(0);
        }
    });
}
