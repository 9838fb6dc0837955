//! `cargo xtask nightly`: tests that take too long for every change.

use std::path::Path;

use crate::command::Run;
use crate::error::Error;

/// How often the agent dies, in each of the ways.
const ROUNDS: &str = "1000";

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    let rounds = arguments.first().map_or(ROUNDS, String::as_str);
    let rounds = format!("MESETA_AGENT_DEATHS={rounds}");
    // Not by nextest, which ends tests that take so long.
    Run {
        root,
        line: &[
            "env",
            &rounds,
            "cargo",
            "test",
            "-p",
            "meseta-cli",
            "--test",
            "e2e",
            "--",
            "--nocapture",
            "--test-threads=1",
            "agent_deaths::",
        ],
        help: "the round that failed is above, with the logs of its daemons",
    }
    .show()
}
