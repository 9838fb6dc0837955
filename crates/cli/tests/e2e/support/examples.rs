//! The repository's examples: programs of their own, built when a test wants them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::golden::repository;

/// The program of an example that is a crate.
pub(crate) fn example(name: &str) -> Command {
    Command::new(built(&["--package", name]).join(name))
}

/// The program of one of the SDK's examples.
pub(crate) fn sdk_example(name: &str) -> PathBuf {
    let folder = built(&["--package", "meseta-framework", "--example", name]);
    folder.join("examples").join(name)
}

/// Builds a part of the workspace, once in a test; gives the folder of programs. After a whole build
/// there is nothing to do.
fn built(what: &[&str]) -> PathBuf {
    static DONE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let folder = Path::new(env!("CARGO_BIN_EXE_meseta"))
        .parent()
        .expect("the folder of this build's programs");
    let mut done = DONE.lock().expect("no build has failed");
    if done.insert(what.join(" ")) {
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
    }
    folder.to_owned()
}

/// As whom the tests run, and so the tasks of examples.
pub(crate) fn this_user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .expect("the users")
        .expect("this user")
        .name
}
