//! Real servers to fetch from, which `cargo xtask test` puts into `target/servers`. Where they are not,
//! tests skip.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command};

use super::daemon::Place;
use super::golden::repository;

/// A server in Python, ended with the test.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The words of its first line, its port first.
    pub(crate) said: Vec<String>,
}

/// Whether the servers were set up.
pub(crate) fn are_set_up() -> bool {
    repository("target/servers/ready").exists()
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
        let mut child = place.run(script, python(script).args(arguments));
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a line that says that it is ready");
        let said: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert!(!said.is_empty(), "{script} did not start");
        Self { child, said }
    }

    pub(crate) fn port(&self) -> &str {
        &self.said[0]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a certificate for localhost; gives it and the authority to trust.
pub(crate) fn certificate(place: &Place) -> (PathBuf, PathBuf) {
    let made = python("certificate.py").arg(place.path()).status();
    assert!(made.expect("Python").success(), "no certificate was made");
    (place.join("server.pem"), place.join("authority.pem"))
}
