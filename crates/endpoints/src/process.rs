//! What only the process around a machine knows and does, for the endpoints of both.

use std::fmt::Debug;
use std::time::Duration;

use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::FileInfo;
use serde_json::{Map, Value};

use crate::limits::MAX_LOGGING_LEVEL;
use crate::metrics::duration;
use crate::reply::json;
use crate::request::Query;
use crate::timing::Timing;

/// The process around a machine, as far as endpoints ask it.
pub trait Process: Debug {
    /// Values that only the process knows, under the names of their metrics.
    fn metrics(&self) -> Vec<(String, f64)>;

    /// How long its parts take.
    fn timings(&self) -> Vec<Timing> {
        Vec::new()
    }

    /// How much is logged beyond what the flags say: 0 is nothing.
    fn logging_level(&self) -> u32;

    /// Logs more for some time.
    fn set_logging_level(&self, level: u32, duration: Duration);

    /// The entries of a folder that the daemon shows.
    ///
    /// # Errors
    /// The refusal to answer with.
    fn list_files(&self, path: &str) -> Result<Vec<FileInfo>, Box<Reply>>;

    /// A piece of a file that the daemon shows.
    ///
    /// # Errors
    /// The refusal to answer with.
    fn read_file(&self, path: &str, offset: u64, length: Option<u64>) -> Result<Piece, Box<Reply>>;
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The size of the whole file.
    pub size: u64,
    /// The piece.
    pub data: Vec<u8>,
}

/// A process that knows nothing, for machines without one.
#[derive(Debug, Clone, Copy)]
pub struct NoProcess;

impl Process for NoProcess {
    fn metrics(&self) -> Vec<(String, f64)> {
        Vec::new()
    }

    fn logging_level(&self) -> u32 {
        0
    }

    fn set_logging_level(&self, _: u32, _: Duration) {}

    fn list_files(&self, _: &str) -> Result<Vec<FileInfo>, Box<Reply>> {
        Err(Reply::refused(404, "").into())
    }

    fn read_file(&self, _: &str, _: u64, _: Option<u64>) -> Result<Piece, Box<Reply>> {
        Err(Reply::refused(404, "").into())
    }
}

/// What `/logging/toggle` answers: the level, or nothing once it is set.
pub fn logging(query: Query<'_>, process: &dyn Process) -> Reply {
    let refused = |sentence: String| Reply::bad_request(format!("{sentence}.\n"));
    let (level, time) = match (query.get("level"), query.get("duration")) {
        (None, None) => {
            return Reply {
                content_type: Some(ContentType::Text),
                body: format!("{}\n", process.logging_level()).into(),
                ..Reply::ok()
            };
        }
        (Some(_), None) => return refused("Expecting 'duration=value' in query".to_owned()),
        (None, Some(_)) => return refused("Expecting 'level=value' in query".to_owned()),
        (Some(level), Some(time)) => (level, time),
    };
    let Ok(number) = level.parse::<i64>() else {
        return refused(format!("Failed to convert '{level}' to number"));
    };
    let known = u32::try_from(number).ok();
    let Some(number) = known.filter(|number| *number <= MAX_LOGGING_LEVEL) else {
        return refused(format!("Invalid level '{number}'"));
    };
    match duration(time) {
        Ok(time) => {
            process.set_logging_level(number, time);
            Reply::ok()
        }
        Err(reason) => refused(reason),
    }
}

/// Sets the level as a call of the operator API asks for it.
///
/// # Errors
/// The refusal to answer with.
pub fn set_logging_level(
    level: u32,
    nanoseconds: i64,
    process: &dyn Process,
) -> Result<(), Box<Reply>> {
    if level > MAX_LOGGING_LEVEL {
        return Err(Reply::bad_request(format!("Invalid level '{level}'.\n")).into());
    }
    let time = u64::try_from(nanoseconds).unwrap_or_default();
    process.set_logging_level(level, Duration::from_nanos(time));
    Ok(())
}

/// What `/system/stats.json` answers.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of processors and bytes"
)]
pub fn system(query: Query<'_>, process: &dyn Process) -> Reply {
    let mut shown = Map::new();
    for (name, value) in process.metrics() {
        let Some(name) = name.strip_prefix("system/") else {
            continue;
        };
        if name.starts_with("load_") {
            shown.insert(format!("avg_{name}"), value.into());
        } else {
            shown.insert(name.to_owned(), (value as u64).into());
        }
    }
    json(query, &Value::Object(shown))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Debug, Default)]
    struct Fake(Cell<(u32, Duration)>);

    impl Process for Fake {
        fn metrics(&self) -> Vec<(String, f64)> {
            vec![
                ("system/load_1min".into(), 0.5),
                ("system/cpus_total".into(), 2.0),
                ("master/uptime_secs".into(), 1.0),
            ]
        }

        fn logging_level(&self) -> u32 {
            self.0.get().0
        }

        fn set_logging_level(&self, level: u32, duration: Duration) {
            self.0.set((level, duration));
        }

        fn list_files(&self, path: &str) -> Result<Vec<FileInfo>, Box<Reply>> {
            NoProcess.list_files(path)
        }

        fn read_file(
            &self,
            path: &str,
            offset: u64,
            length: Option<u64>,
        ) -> Result<Piece, Box<Reply>> {
            NoProcess.read_file(path, offset, length)
        }
    }

    fn ask(process: &Fake, pairs: &[(&str, &str)]) -> (u16, String) {
        let query: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let reply = logging(Query(&query), process);
        (
            reply.status,
            String::from_utf8(reply.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn the_level_of_logging_is_raised_for_a_time() {
        let process = Fake::default();
        assert_eq!(ask(&process, &[]), (200, "0\n".into()));
        let raised = ask(&process, &[("level", "1"), ("duration", "15mins")]);
        assert_eq!(raised, (200, String::new()));
        assert_eq!(process.0.get(), (1, Duration::from_mins(15)));
        for (query, sentence) in [
            (
                &[("level", "9")][..],
                "Expecting 'duration=value' in query.\n",
            ),
            (
                &[("duration", "1secs")],
                "Expecting 'level=value' in query.\n",
            ),
            (
                &[("level", "x"), ("duration", "1secs")],
                "Failed to convert 'x' to number.\n",
            ),
            (
                &[("level", "-1"), ("duration", "1secs")],
                "Invalid level '-1'.\n",
            ),
            (
                &[("level", "1"), ("duration", "5")],
                "Invalid duration '5'.\n",
            ),
        ] {
            assert_eq!(ask(&process, query), (400, sentence.into()));
        }
    }

    #[test]
    fn what_is_of_the_system_is_shown_under_older_names_too() {
        let reply = system(Query(&[]), &Fake::default());
        assert_eq!(reply.body, r#"{"avg_load_1min":0.5,"cpus_total":2}"#);
    }
}
