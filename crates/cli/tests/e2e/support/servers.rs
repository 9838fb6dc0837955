//! Real servers to fetch from, which `cargo xtask test` puts into `target/servers`. Where they are not,
//! tests skip.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use super::daemon::Place;
use super::golden::repository;
use super::programs::Program;
use super::skip;

/// A server in Python, ended with the test.
#[derive(Debug)]
pub(crate) struct Server {
    /// The words of its first line, its port first.
    pub(crate) said: Vec<String>,
    _program: Program,
}

/// Whether the servers were set up; says so if not.
pub(crate) fn are_set_up() -> bool {
    let ready = repository("target/servers/ready").exists();
    if !ready {
        skip("no servers in target/servers");
    }
    ready
}

fn python(script: &str) -> Command {
    let mut command = Command::new(repository("target/servers/venv/bin/python"));
    command.arg(repository("tests/servers").join(script));
    command
}

impl Server {
    /// Starts one of `tests/servers` and waits for the line that says that it is ready; its log is
    /// `SCRIPT.log`.
    pub(crate) fn start<A: AsRef<OsStr>>(place: &Place, script: &str, arguments: &[A]) -> Self {
        let program = Program::start(place, script, python(script).args(arguments));
        let said = program.line("");
        Self {
            said: said.split_whitespace().map(str::to_owned).collect(),
            _program: program,
        }
    }

    pub(crate) fn port(&self) -> &str {
        &self.said[0]
    }
}

/// Makes a certificate for localhost; gives it and the authority to trust.
pub(crate) fn certificate(place: &Place) -> (PathBuf, PathBuf) {
    let made = python("certificate.py").arg(place.path()).status();
    assert!(made.expect("Python").success(), "no certificate was made");
    (place.join("server.pem"), place.join("authority.pem"))
}
