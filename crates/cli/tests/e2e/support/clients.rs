//! Published clients of Mesos, as they are, which `cargo xtask test` puts into `target/clients`. Where they
//! are not, tests skip.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use super::daemon::Place;
use super::golden::repository;
use super::{eventually, skip};

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

/// A client that runs, and what it prints; ended with the test.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub(crate) fn start<A: AsRef<OsStr>>(
        place: &Place,
        name: &str,
        command: &mut Command,
        arguments: &[A],
    ) -> Self {
        let mut child = place.run(name, command.args(arguments));
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let printed = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&printed);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                writer.lock().expect("no panic holds it").push(line);
            }
        });
        Self { child, printed }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.printed.lock().expect("no panic holds it").clone()
    }

    /// How many of its lines hold this.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines()
            .iter()
            .filter(|line| line.contains(part))
            .count()
    }

    /// What follows `start` in the first line that begins with it.
    pub(crate) fn line(&self, start: &str) -> String {
        eventually(start, || {
            let lines = self.lines();
            let rest = lines.iter().find_map(|line| line.strip_prefix(start));
            rest.map(str::to_owned)
        })
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        eventually("the client's end", || {
            self.child.try_wait().expect("its state")
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the client printed: {:#?}", self.lines());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
