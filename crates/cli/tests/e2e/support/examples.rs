//! The repository's examples: programs of their own, built when a test wants them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::golden::repository;

/// The program of an example that is a crate, as it was when the test first wanted it.
pub(crate) fn example(name: &str) -> Command {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().expect("no build has failed");
    Command::new(built.entry(name.to_owned()).or_insert_with(|| build(name)))
}

/// A whole run of the tests has built it already.
fn build(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_meseta"))
        .parent()
        .expect("the folder of this build's programs");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut build = Command::new(cargo);
    build
        .current_dir(repository(""))
        .args(["build", "--quiet", "--package", name]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().unwrap_or_else(|e| panic!("{build:?}: {e}"));
    assert!(status.success(), "{build:?}: {status}");
    folder.join(name)
}

/// As whom the tests run, and so the tasks of examples.
pub(crate) fn this_user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .expect("the users")
        .expect("this user")
        .name
}
