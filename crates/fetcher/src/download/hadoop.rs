//! Whatever an installed Hadoop client knows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{DownloadError, Downloader, Transfer};

/// An installed Hadoop client.
#[derive(Debug)]
pub(super) struct Hadoop {
    program: PathBuf,
}

impl Hadoop {
    /// The client of `--hadoop_home`, of the environment's `HADOOP_HOME`, or that on the path.
    pub(super) fn new(home: Option<&Path>) -> Self {
        let home = home
            .map(Path::to_owned)
            .or_else(|| std::env::var_os("HADOOP_HOME").map(PathBuf::from));
        Self {
            program: home.map_or_else(|| "hadoop".into(), |home| home.join("bin/hadoop")),
        }
    }

    /// Whether there is one to be asked.
    pub(super) fn is_installed(&self) -> bool {
        if self.program.components().count() > 1 {
            return self.program.is_file();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(&self.program).is_file())
    }

    /// Has the client bring a file.
    pub(super) fn download(
        &self,
        downloader: &Downloader<'_>,
        uri: &str,
        to: &Path,
        transfer: &Transfer<'_>,
    ) -> Result<File, DownloadError> {
        self.check(uri)?;
        // The client follows links. In a folder of its own there are none.
        let place = folder_for(to);
        let folder = downloader.directory.join(&place);
        std::fs::create_dir(&folder).map_err(DownloadError::Write)?;
        let copied = self.copy_to_local(downloader, uri, &place.join("content"), to);
        // The outcome of the copy is what matters.
        let _ = std::fs::remove_dir_all(folder);
        let file = copied?;
        let size = file.metadata().map_err(DownloadError::Write)?.len();
        transfer.check_size(size)?;
        Ok(file)
    }

    fn check(&self, uri: &str) -> Result<(), DownloadError> {
        let version = Command::new(&self.program).arg("version").output();
        let version = version.map_err(|error| {
            let scheme = uri.split(':').next().unwrap_or_default();
            let program = self.program.display();
            DownloadError::NoHadoop(format!(
                "Failed to execute '{program}', which {scheme} needs: {error}"
            ))
        })?;
        if version.status.success() {
            return Ok(());
        }
        let why = format!("Hadoop client is not available, {}", version.status);
        Err(DownloadError::NoHadoop(why))
    }

    fn copy_to_local(
        &self,
        downloader: &Downloader<'_>,
        uri: &str,
        part: &Path,
        to: &Path,
    ) -> Result<File, DownloadError> {
        let output = Command::new(&self.program)
            .args(["fs", "-copyToLocal", uri])
            .arg(downloader.directory.join(part))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| DownloadError::Hadoop(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = format!("{}: {}", output.status, said.trim());
            return Err(DownloadError::Hadoop(why));
        }
        let folder = downloader.folder;
        folder.rename(part, to).map_err(DownloadError::Write)?;
        folder.open_file(to).map_err(DownloadError::Write)
    }
}

/// A folder's name that no URI and no archive would have.
fn folder_for(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!(".fetching-{}-{name}", std::process::id()))
}
