//! A terminal of eighty columns and twenty-four rows, in a tmux of its own. Where there is none, tests
//! skip.

use std::path::PathBuf;
use std::process::Command;

use super::daemon::Place;
use super::{eventually, processes, skip};

/// Whether tmux is installed; says so if not.
pub(crate) fn is_installed() -> bool {
    let installed = Command::new("tmux").arg("-V").output().is_ok();
    if !installed {
        skip("tmux is not installed");
    }
    installed
}

/// Ended with the test, and what runs in it.
#[derive(Debug)]
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs a line of the shell in a terminal, in the folder of the place.
    pub(crate) fn run(place: &Place, line: &str) -> Self {
        let terminal = Self {
            socket: place.join("tmux"),
        };
        let folder = place.path().to_string_lossy();
        let session = ["new-session", "-d", "-x", "80", "-y", "24", "-c"];
        terminal.tmux(&[&session[..], &[&folder, line]].concat());
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(["-f", "/dev/null"])
            .args(words)
            .output()
            .expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until all of these are on the screen, and gives the screen.
    pub(crate) fn shows(&self, words: &[&str]) -> String {
        eventually(&format!("{words:?} in the terminal"), || {
            let screen = self.screen();
            let all = words.iter().all(|word| screen.contains(word));
            all.then_some(screen)
        })
    }

    /// What tmux knows of the terminal, by the names of its formats.
    pub(crate) fn property(&self, format: &str) -> String {
        let printed = self.tmux(&["display-message", "-p", format]);
        printed.trim_end().to_owned()
    }

    /// Presses a key, by the name that tmux has for it.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Types a line.
    pub(crate) fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let server = self.property("#{pid}");
        self.tmux(&["kill-server"]);
        if let Ok(pid) = server.parse() {
            processes::kill9(pid);
        }
    }
}
