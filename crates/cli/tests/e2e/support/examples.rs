//! The repository's examples: programs of their own, built when a test wants them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::golden::repository;

/// The program of an example that is a crate, as it is now.
pub(crate) fn example(name: &str) -> Command {
    Command::new(build(&["--package", name]).join(name))
}

/// The program of one of the SDK's examples, as it is now.
pub(crate) fn sdk_example(name: &str) -> PathBuf {
    let folder = build(&["--package", "meseta-framework", "--example", name]);
    folder.join("examples").join(name)
}

/// Builds a part of the workspace; gives the folder of programs.
fn build(what: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_meseta"))
        .parent()
        .expect("the folder of this build's programs");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut build = Command::new(cargo);
    build
        .current_dir(repository(""))
        .args(["build", "--quiet"])
        .args(what);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().unwrap_or_else(|e| panic!("{build:?}: {e}"));
    assert!(status.success(), "{build:?}: {status}");
    folder.to_owned()
}

/// As whom the tests run, and so the tasks of examples.
pub(crate) fn this_user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .expect("the users")
        .expect("this user")
        .name
}
