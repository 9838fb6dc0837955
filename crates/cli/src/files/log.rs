use std::fs::File;
use std::io::Result;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use super::Shown;

/// A daemon's log, beside the other files that it shows.
pub(crate) struct WithLog<'a> {
    /// The path that requests name, which is Mesos's.
    pub(crate) name: &'static str,
    /// Where it is, if there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) others: &'a dyn Shown,
}

impl Shown for WithLog<'_> {
    fn open(&self, path: &str) -> Result<File> {
        match &self.file {
            // Whoever started the daemon has named it, links and all. A pipe would never end.
            Some(file) if path == self.name => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                Ok(rustix::fs::open(file, flags, Mode::empty())?.into())
            }
            _ => self.others.open(path),
        }
    }
}
