use std::fs::File;
use std::io::{Seek as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::beneath::{self, Folder};
use crate::download::{self, DownloadError, Downloader};
use crate::extract::{self, Archive, ExtractError};
use crate::limits::STALL_TIMEOUT;

/// What is executable for all, and writable for its user alone.
const EXECUTABLE: u32 = 0o755;

/// URIs to bring into one folder, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The sandbox. It must exist.
    pub directory: PathBuf,
    /// What is to be brought.
    pub items: Vec<Item>,
    /// Where relative paths start from (`--frameworks_home`).
    pub frameworks_home: Option<PathBuf>,
    /// Where the Hadoop client is installed (`--hadoop_home`).
    pub hadoop_home: Option<PathBuf>,
    /// How long nothing may arrive of a download (`--fetcher_stall_timeout`).
    pub stall_timeout: Duration,
    /// The largest file that is wanted.
    pub max_bytes: Option<u64>,
    /// The process that the one that does the job belongs to, and ends with.
    pub agent: Option<u32>,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            items: Vec::new(),
            frameworks_home: None,
            hadoop_home: None,
            stall_timeout: STALL_TIMEOUT,
            max_bytes: None,
            agent: None,
        }
    }
}

/// One URI, and what is to become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// A path, or a URI.
    pub uri: String,
    /// Where in the sandbox to put it, unless under the last part of its path.
    pub output_file: Option<String>,
    /// Whether to make it executable; then it is not extracted.
    pub executable: bool,
    /// Whether to extract it, if its name is that of an archive.
    pub extract: bool,
    /// Where a copy of it is already.
    pub cached: Option<PathBuf>,
}

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sandbox can't be entered.
    #[error("Failed to open the sandbox '{directory}': {source}", directory = .directory.display())]
    Sandbox {
        /// The sandbox.
        directory: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A URI could not be brought.
    #[error("Failed to fetch '{uri}': {reason}")]
    Item {
        /// The URI.
        uri: String,
        /// What went wrong.
        reason: String,
    },
    /// A URI's content is larger than what is wanted.
    #[error("Failed to fetch '{uri}': it has more than {limit} bytes")]
    DoesNotFit {
        /// The URI.
        uri: String,
        /// The limit.
        limit: u64,
    },
}

/// What one item can fail by.
#[derive(Debug, thiserror::Error)]
enum ItemError {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("Failed to write '{path}': {source}", path = .path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Job {
    /// Brings everything, and tells of it in lines. Stops at the first failure.
    ///
    /// # Errors
    /// What could not be brought, and why.
    pub fn fetch(&self, log: &mut dyn Write) -> Result<(), Error> {
        let folder = Folder::open(&self.directory).map_err(|source| Error::Sandbox {
            directory: self.directory.clone(),
            source,
        })?;
        for item in &self.items {
            self.bring(&folder, item, log)
                .map_err(|error| match error {
                    ItemError::Download(DownloadError::DoesNotFit { limit }) => Error::DoesNotFit {
                        uri: item.uri.clone(),
                        limit,
                    },
                    error => Error::Item {
                        uri: item.uri.clone(),
                        reason: error.to_string(),
                    },
                })?;
        }
        let directory = self.directory.display();
        say(
            log,
            &format!("Successfully fetched all URIs into '{directory}'"),
        );
        Ok(())
    }

    fn bring(&self, folder: &Folder, item: &Item, log: &mut dyn Write) -> Result<(), ItemError> {
        let uri = &item.uri;
        let path = item.destination().map_err(ItemError::Refused)?;
        let shown = self.directory.join(path);
        let archive = (item.extract && !item.executable)
            .then(|| Archive::of(item.archive_name()))
            .flatten();
        let mut file = match (&item.cached, &archive) {
            (Some(cached), Some(_)) => {
                say(log, &format!("Fetching URI '{uri}' from cache"));
                download::open_local(cached)?
            }
            (Some(cached), None) => {
                say(log, &format!("Fetching URI '{uri}' from cache"));
                let mut file = self.create(folder, path)?;
                download::copy_cached(cached, &mut file)?;
                file
            }
            (None, _) => {
                say(
                    log,
                    &format!("Fetching URI '{uri}' directly into '{}'", shown.display()),
                );
                self.download(folder, path, item, log)?
            }
        };
        let written = |source| ItemError::Write {
            path: shown.clone(),
            source,
        };
        if item.executable {
            beneath::finish(&file, EXECUTABLE, None).map_err(written)?;
        } else if let Some(archive) = archive {
            file.rewind().map_err(written)?;
            let size = file.metadata().map_err(written)?.len();
            extract::extract(&archive, file, size, folder)?;
            let directory = self.directory.display();
            say(log, &format!("Extracted '{uri}' into '{directory}'"));
            return Ok(());
        } else if item.extract {
            say(
                log,
                &format!(
                    "Copying instead of extracting resource from URI with 'extract' flag, because \
                     it does not seem to be an archive: {uri}"
                ),
            );
        }
        say(log, &format!("Fetched '{uri}' to '{}'", shown.display()));
        Ok(())
    }

    fn create(&self, folder: &Folder, path: &Path) -> Result<File, ItemError> {
        folder.create(path).map_err(|source| ItemError::Write {
            path: self.directory.join(path),
            source,
        })
    }

    fn download(
        &self,
        folder: &Folder,
        path: &Path,
        item: &Item,
        log: &mut dyn Write,
    ) -> Result<File, ItemError> {
        let downloader = Downloader {
            folder,
            directory: &self.directory,
            frameworks_home: self.frameworks_home.as_deref(),
            hadoop_home: self.hadoop_home.as_deref(),
            stall_timeout: self.stall_timeout,
            max_bytes: self.max_bytes,
        };
        downloader.download(&item.uri, path, log).map_err(|error| {
            // A part of a file must not be taken for the whole. The first error is what matters.
            let _ = folder.remove(path);
            error.into()
        })
    }
}

/// Nobody need be there to read it.
fn say(log: &mut dyn Write, line: &str) {
    let _ = writeln!(log, "{line}");
}
