//! The process around a master, as its endpoints see it.

use std::collections::BTreeMap;
use std::time::Duration;

use meseta_endpoints::{Piece, Process, Timing};
use meseta_machine::Reply;
use meseta_proto::v1::FileInfo;

use super::exchange::SlowReaders;
use super::system;
use super::timings::Timings;
use super::traces::{self, Counts};
use crate::files::{self, Nothing, WithLog};
use crate::logging;

/// The path of a master's log.
const LOG: &str = "/master/log";

/// The process of a master.
#[derive(Debug)]
pub(crate) struct AroundMaster<'a> {
    /// How long its parts take.
    pub(crate) timings: &'a Timings,
    /// What has become of the spans of traces, if there are any.
    pub(crate) spans: Option<&'a Counts>,
    /// How the readers of its event streams keep up.
    pub(crate) slow_readers: SlowReaders,
    /// When it began, since the Unix epoch.
    pub(crate) start_time: Duration,
    /// The flags that it was started with.
    pub(crate) flags: &'a BTreeMap<String, String>,
}

impl AroundMaster<'_> {
    /// The files that it shows, which is its log alone.
    pub(crate) fn files(&self) -> WithLog<'static> {
        WithLog {
            name: LOG,
            file: logging::shown(self.flags),
            others: &Nothing,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
    fn of_streams(&self) -> [(&'static str, f64); 2] {
        let SlowReaders {
            cut_off,
            waiting_bytes,
        } = self.slow_readers;
        [
            ("master/event_streams_cut_off", cut_off as f64),
            ("master/event_streams_waiting_bytes", waiting_bytes as f64),
        ]
    }

    /// The same by the paths that requests may name.
    pub(crate) fn attached(&self) -> BTreeMap<String, String> {
        let log = logging::shown(self.flags);
        log.map(|file| (LOG.to_owned(), file.to_string_lossy().into_owned()))
            .into_iter()
            .collect()
    }
}

impl Process for AroundMaster<'_> {
    fn metrics(&self) -> Vec<(String, f64)> {
        let metrics = system::metrics("master/uptime_secs", self.start_time);
        let metrics = metrics.into_iter();
        metrics
            .chain(self.of_streams())
            .map(|(name, value)| (name.to_owned(), value))
            .chain(self.timings.gauges())
            .chain(traces::metrics("master", self.spans))
            .collect()
    }

    fn timings(&self) -> Vec<Timing> {
        self.timings.all()
    }

    fn logging_level(&self) -> u32 {
        logging::level()
    }

    fn set_logging_level(&self, level: u32, duration: Duration) {
        logging::raise(level, duration);
    }

    fn list_files(&self, path: &str) -> Result<Vec<FileInfo>, Box<Reply>> {
        files::list(&self.files(), path).map_err(|_| files::not_found().into())
    }

    fn read_file(&self, path: &str, offset: u64, length: Option<u64>) -> Result<Piece, Box<Reply>> {
        files::piece(&self.files(), path, Some(offset), length)
            .map_err(|error| files::unreadable(path, &error).into())
    }
}
