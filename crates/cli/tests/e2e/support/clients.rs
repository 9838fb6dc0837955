//! Published clients of Mesos, as they are, which `cargo xtask test` puts into `target/clients`. Where they
//! are not, tests skip.

use std::process::Command;

use super::golden::repository;
use super::skip;

/// Whether the clients were set up; says so if not.
pub(crate) fn are_set_up() -> bool {
    let ready = repository("target/clients/ready").exists();
    if !ready {
        skip("no published clients in target/clients");
    }
    ready
}

/// A program of `tests/clients`, which stands on one of the Python packages.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new(repository("target/clients/venv/bin/python"));
    // No compiled files in the repository.
    command
        .arg("-B")
        .arg(repository("tests/clients").join(script));
    command
}
