//! Measuring what users get: a release build.

use std::path::Path;

use crate::command::Run;
use crate::error::Error;
use crate::release;

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    release::build(root)?;
    let mut measure = vec!["cargo", "run", "--release", "-p", "meseta-bench", "--"];
    if arguments.is_empty() {
        measure.push("cluster");
    }
    measure.extend(arguments.iter().map(String::as_str));
    Run {
        root,
        line: &measure,
        help: "",
    }
    .show()
}
