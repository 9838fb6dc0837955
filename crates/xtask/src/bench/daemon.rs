//! A master to be measured, and what keeps it busy.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::error::Error;

/// A master in a folder of its own, ended with this.
#[derive(Debug)]
pub(crate) struct Master {
    child: Child,
    pub(crate) address: String,
    _folder: TempDir,
}

impl Master {
    pub(crate) fn start(binary: &str) -> Result<Self, Error> {
        let failed = |source| Error::NotStarted {
            command: format!("{binary} master"),
            source,
            help: "",
        };
        let folder = tempfile::tempdir().map_err(failed)?;
        let mut child = Command::new(binary)
            .args(["master", "--ip=127.0.0.1", "--port=0"])
            .arg("--logging_level=WARNING")
            .arg(format!("--work_dir={}", folder.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(failed)?;
        }
        // `… http://127.0.0.1:5050/`
        let address = line.split_once("http://").map(|(_, address)| address);
        let address = address.unwrap_or_default().trim().trim_end_matches('/');
        Ok(Self {
            child,
            address: address.to_owned(),
            _folder: folder,
        })
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // That it has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Emulated agents and frameworks, ended with this.
#[derive(Debug)]
pub(crate) struct Load(Child);

impl Load {
    pub(crate) fn start(binary: &str, scenario: &str, flags: &[&str]) -> Result<Self, Error> {
        let child = Command::new(binary)
            .args(["bench", scenario])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|source| Error::NotStarted {
                command: format!("{binary} bench {scenario}"),
                source,
                help: "",
            })?;
        Ok(Self(child))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
