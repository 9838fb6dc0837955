//! The binary as it is to be installed.

use std::path::Path;

use crate::command::Run;
use crate::error::Error;

/// Builds `target/release/meseta` without shared libraries and at a fixed address, so that it runs
/// on any Linux and starts as fast as it can: an agent starts it once for each command task, and
/// loading libraries and relocating would be two thirds of the time that this takes.
pub(crate) fn build(root: &Path) -> Result<(), Error> {
    // For the last step only: libraries that compilers load (procedural macros) cannot be so.
    let line = [
        "cargo",
        "rustc",
        "--release",
        "-p",
        "meseta-cli",
        "--bin",
        "meseta",
        "--",
        "-C",
        "target-feature=+crt-static",
        "-C",
        "relocation-model=static",
    ];
    Run {
        root,
        line: &line,
        help: "",
    }
    .show()
}
