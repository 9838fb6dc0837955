//! The web page as a real browser shows it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Names under which the browser is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// How much time the page believes to have passed before it is looked at: enough for what it asks
/// the master for, and for what it asks again because of the answers.
const PAGE_TIME: &str = "--virtual-time-budget=4000";

/// The browser of this machine, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Browser(&'static str);

impl Browser {
    pub(crate) fn find() -> Option<Self> {
        NAMES
            .into_iter()
            .find(|name| {
                Command::new(name)
                    .arg("--version")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success())
            })
            .map(Self)
    }

    /// The document that stands at `target` after its scripts ran.
    pub(crate) fn look(self, profile: &Path, address: SocketAddr, target: &str) -> String {
        let output = Command::new(self.0)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args([PAGE_TIME, "--dump-dom"])
            .arg(format!("http://{address}{target}"))
            .stderr(Stdio::null())
            .output()
            .expect("the browser starts");
        assert!(
            output.status.success(),
            "the browser failed: {:?}",
            output.status
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
