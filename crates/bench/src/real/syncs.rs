//! How often a process syncs, as strace sees it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::error::Error;

/// A process whose syncs are being counted.
#[derive(Debug)]
pub(super) struct Syncs {
    strace: Child,
    trace: NamedTempFile,
}

impl Syncs {
    /// Begins; `None` if there is no strace, or if it may not look.
    pub(super) fn trace(pid: i32) -> Option<Self> {
        let trace = NamedTempFile::new().ok()?;
        let mut strace = Command::new("strace")
            .args(["-f", "-e", "trace=fsync,fdatasync,syncfs", "-o"])
            .arg(trace.path())
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let mut said = BufReader::new(strace.stderr.take()?);
        said.read_line(&mut line).ok()?;
        // It says more as threads come and go, and must not wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let syncs = Self { strace, trace };
        line.contains("attached").then_some(syncs)
    }

    /// Ends, and tells how many there were.
    pub(super) fn count(mut self) -> Result<usize, Error> {
        self.end();
        let path = self.trace.path();
        let trace = fs::read_to_string(path).map_err(|source| Error::Program {
            program: "strace".to_owned(),
            what: source.to_string(),
        })?;
        // A call that is interrupted has a second line, on which it resumes.
        let begins = |line: &&str| line.contains("sync") && !line.contains("resumed");
        Ok(trace.lines().filter(begins).count())
    }

    fn end(&mut self) {
        let id = i32::try_from(self.strace.id()).ok().and_then(Pid::from_raw);
        // It lets go of the process in order when it is interrupted. That it has ended is as good.
        if let Some(id) = id {
            let _ = kill_process(id, Signal::INT);
        }
        let _ = self.strace.wait();
    }
}

impl Drop for Syncs {
    fn drop(&mut self) {
        if matches!(self.strace.try_wait(), Ok(None)) {
            self.end();
        }
    }
}
