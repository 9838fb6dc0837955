//! Facts that an agent could not read, kept for its operator.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The file, below the work directory: a line of JSON for each fact, with its bytes in base64.
const FILE: &str = "meta/facts.unreadable";

#[derive(Debug)]
pub(super) struct SetAside {
    file: PathBuf,
}

impl SetAside {
    pub(super) fn new(work_dir: &Path) -> Self {
        Self {
            file: work_dir.join(FILE),
        }
    }

    pub(super) fn keep(&self, facts: &[(String, Vec<u8>)]) {
        for (fact, _) in facts {
            let file = self.file.display();
            tracing::error!(fact, kept = %file, "a fact can't be read; the agent goes on without it");
        }
        if let Err(error) = self.write(facts) {
            let file = self.file.display();
            tracing::error!(%file, %error, "facts that can't be read could not be kept");
        }
    }

    fn write(&self, facts: &[(String, Vec<u8>)]) -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.file)?;
        for (key, bytes) in facts {
            let line = serde_json::json!({"key": key, "bytes": STANDARD.encode(bytes)});
            writeln!(file, "{line}")?;
        }
        Ok(())
    }
}
