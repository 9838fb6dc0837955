//! The operator's commands, on the real binary and a real cluster: what they print, what they
//! change, and what they say when they can't.

mod changes;
mod clusters;
mod following;
mod looking;
mod top;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support::daemon::{Place, meseta};

/// A user with a home of its own, and a master that is named by the environment.
struct User<'a> {
    place: &'a Place,
    master: Option<SocketAddr>,
}

impl<'a> User<'a> {
    fn of(place: &'a Place, master: SocketAddr) -> Self {
        Self {
            place,
            master: Some(master),
        }
    }

    /// `meseta` with these words, as the user would start it.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = meseta();
        command
            .args(words)
            .env("XDG_CONFIG_HOME", self.home())
            .stdin(std::process::Stdio::null());
        if let Some(master) = self.master {
            command.env("MESETA_MASTER", master.to_string());
        }
        command
    }

    fn home(&self) -> PathBuf {
        self.place.join("home")
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the command runs")
    }

    /// What a command that succeeds prints.
    fn told(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        assert_eq!(said, "", "{words:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a command says that fails.
    fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A command as one types it, what it printed and how it ended, for snapshots.
    fn transcript(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let output = self.run(&words);
            let _ = writeln!(text, "$ meseta {line}");
            text.push_str(&String::from_utf8_lossy(&output.stdout));
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            if let Some(status @ 1..) = output.status.code() {
                let _ = writeln!(text, "[status {status}]");
            }
        }
        text
    }
}

/// Takes what differs from run to run out of snapshots.
fn constant(test: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    for (volatile, constant) in [
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
        (r"\b[0-9a-f]{8}-(S?\d+)\b", "MASTER00-$1"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"\(\d+[smh] ago\)", "(AGE ago)"),
        (r"\b\d+[s] {2,}", "AGE  "),
        (r"(?m)\b\d+s$", "AGE"),
        (r"(User: +)\S+", "${1}USER"),
        (r"for [0-9.]+ more seconds", "for SOME more seconds"),
    ] {
        settings.add_filter(volatile, constant);
    }
    settings.bind(test);
}
