//! The frames of the web page while somebody works with a list of many tasks, in a browser.

use std::path::{Path, PathBuf};

use super::daemon::{Load, Master};
use super::document;
use crate::command::Run;
use crate::error::Error;

/// What it is called on the command line and in the page with the figures.
pub(super) const NAME: &str = "page";

/// As many tasks as a large cluster runs.
const TASKS: u32 = 100_000;

/// They are of few agents: what is measured is the page.
const AGENTS: u32 = 2;

/// A measurement of a binary that serves the page.
#[derive(Debug)]
pub(super) struct Frames {
    binary: PathBuf,
    tasks: u32,
}

/// Measures a binary that is there already, or with another number of tasks, and prints what comes out: such
/// figures are for whoever works on the page, not for the page of figures.
pub(super) fn show(root: &Path, flags: &[String]) -> Result<(), Error> {
    let mut frames = Frames::of_release(root);
    for flag in flags {
        match flag.split_once('=') {
            Some(("--binary", path)) => root.join(path).clone_into(&mut frames.binary),
            Some(("--tasks", number)) => {
                let number = number.parse();
                frames.tasks = number.map_err(|_| Error::UnknownArgument(flag.clone()))?;
            }
            _ => return Err(Error::UnknownArgument(flag.clone())),
        }
    }
    eprintln!("{}", frames.measure(root)?);
    Ok(())
}

impl Frames {
    pub(super) fn of_release(root: &Path) -> Self {
        Self {
            binary: root.join("target/release/meseta"),
            tasks: TASKS,
        }
    }

    /// The figures as a table.
    pub(super) fn measure(&self, root: &Path) -> Result<String, Error> {
        let binary = self.binary.to_string_lossy();
        let master = Master::start(&binary)?;
        let agents = format!("--agents={AGENTS}");
        let tasks = format!("--tasks={}", self.tasks.div_ceil(AGENTS));
        let at = format!("--master={}", master.address);
        // The agents stay with their tasks for as long as they would be measured.
        let stay = [
            "--pollers=0",
            "--launches=1",
            "--time=1h",
            "--rest=1h",
            "--patience=10m",
        ];
        let flags = [&*agents, &*tasks, &*at].into_iter().chain(stay);
        let flags: Vec<&str> = flags.collect();
        let _load = Load::start(&binary, "state", &flags)?;
        let page = format!("http://{}", master.address);
        let output = Run {
            root,
            line: &[
                "node",
                "crates/webui/page/frames.mjs",
                &page,
                &self.tasks.to_string(),
            ],
            help: "it needs Node and Chromium",
        }
        .output()?;
        let text = String::from_utf8_lossy(&output);
        let command = format!("cargo xtask bench {NAME}");
        Ok(document::scenario(&command, &text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_say_nothing_are_refused_before_anything_is_started() {
        for flag in ["--binary", "--tasks=many", "--task=7"] {
            let error = show(Path::new("/not/there"), &[flag.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(flag), "{error}");
        }
    }
}
