//! Programs that run beside a test, what they print, and their certain end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use super::daemon::Place;
use super::eventually;

/// A program that runs, ended with the test.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    /// The lines that it has printed until now.
    printed: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts a program; its standard error goes to `NAME.log`.
    pub(crate) fn start(place: &Place, name: &str, command: &mut Command) -> Self {
        let mut child = place.run(name, command);
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let printed = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&printed);
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                // Some print bytes of messages.
                let line = String::from_utf8_lossy(&line).into_owned();
                writer.lock().expect("no panic holds it").push(line);
            }
        });
        Self {
            name: name.to_owned(),
            child,
            printed,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.printed.lock().expect("no panic holds it").clone()
    }

    /// How many of its lines hold this.
    pub(crate) fn count(&self, part: &str) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// Waits for a line that begins with `start`; gives what follows in the first one.
    pub(crate) fn line(&self, start: &str) -> String {
        eventually(&format!("'{start}' of {}", self.name), || {
            let lines = self.lines();
            let rest = lines.iter().find_map(|line| line.strip_prefix(start));
            rest.map(str::to_owned)
        })
    }

    /// How it has ended, if it has.
    pub(crate) fn end_if_any(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let awaited = format!("the end of {}", self.name);
        eventually(&awaited, || self.end_if_any())
    }

    /// Ends it as the kernel would.
    pub(crate) fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let end = self.child.try_wait();
            eprintln!(
                "{} ({end:?}) has printed: {:#?}",
                self.name,
                self.printed.lock()
            );
        }
        self.kill9();
    }
}
