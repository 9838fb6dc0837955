//! The process around a master, as its endpoints see it.

use std::time::Duration;

use meseta_endpoints::{NoProcess, Piece, Process, Timing};
use meseta_machine::Reply;
use meseta_proto::v1::FileInfo;

use super::system;
use super::timings::Timings;
use crate::logging;

/// The process of a master. It shows no files: its log goes to standard error.
#[derive(Debug)]
pub(crate) struct AroundMaster<'a> {
    /// How long its parts take.
    pub(crate) timings: &'a Timings,
    /// When it began, since the Unix epoch.
    pub(crate) start_time: Duration,
}

impl Process for AroundMaster<'_> {
    fn metrics(&self) -> Vec<(String, f64)> {
        let metrics = system::metrics("master/uptime_secs", self.start_time);
        let metrics = metrics.into_iter();
        metrics
            .map(|(name, value)| (name.to_owned(), value))
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
        NoProcess.list_files(path)
    }

    fn read_file(&self, path: &str, offset: u64, length: Option<u64>) -> Result<Piece, Box<Reply>> {
        NoProcess.read_file(path, offset, length)
    }
}
