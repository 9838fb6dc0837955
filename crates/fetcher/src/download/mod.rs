//! Getting the content of a URI into a file.

mod ftp;
mod hadoop;
mod proxies;
mod store;
mod transfer;
mod web;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::beneath::Folder;
use crate::uri::{Source, source};
use hadoop::Hadoop;
pub(crate) use store::Object;
use transfer::Transfer;
use web::Web;

/// Why content did not come. The sentences are Mesos's where it has them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("{0}")]
    Refused(String),
    #[error("Failed to copy '{path}': {source}", path = .path.display())]
    Local {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("Error downloading resource: {0}")]
    Web(#[from] ureq::Error),
    #[error("Error downloading resource: {0}")]
    Ftp(#[from] suppaftp::FtpError),
    #[error("Error downloading resource: the server said '{0}'")]
    FtpRefused(String),
    #[error("Error downloading resource, received HTTP return code {0}")]
    Status(u16),
    #[error("Error downloading resource, received HTTP return code {status}: {reason}")]
    Store { status: u16, reason: String },
    #[error("Error downloading resource: nothing arrived for {} seconds", .0.as_secs_f64())]
    Stalled(Duration),
    #[error("Error downloading resource: the connection ended after {found} of {expected} bytes")]
    Truncated { found: u64, expected: u64 },
    #[error("Error downloading resource: {0}")]
    Read(std::io::Error),
    #[error("Failed to write: {0}")]
    Write(std::io::Error),
    #[error("more than {limit} bytes")]
    DoesNotFit { limit: u64 },
    #[error("Failed to create HDFS client: {0}")]
    NoHadoop(String),
    #[error("HDFS copyToLocal failed: {0}")]
    Hadoop(String),
}

/// Gets content into files of a folder.
#[derive(Debug)]
pub(crate) struct Downloader<'a> {
    pub(crate) folder: &'a Folder,
    /// The folder's path, for programs that need one.
    pub(crate) directory: &'a Path,
    pub(crate) frameworks_home: Option<&'a Path>,
    pub(crate) hadoop_home: Option<&'a Path>,
    pub(crate) stall_timeout: Duration,
    pub(crate) max_bytes: Option<u64>,
}

impl Downloader<'_> {
    /// Brings a URI's content, and tells how far it is.
    pub(crate) fn download(
        &self,
        uri: &str,
        to: &Path,
        log: &mut dyn Write,
    ) -> Result<File, DownloadError> {
        let source = source(uri, self.frameworks_home).map_err(DownloadError::Refused)?;
        let mut transfer = Transfer::new(self.max_bytes, uri, log);
        let hadoop = Hadoop::new(self.hadoop_home);
        match source {
            Source::Hadoop(uri) => return hadoop.download(self, uri, to, &transfer),
            // It may know more of the store than this machine's environment tells.
            Source::Store(object) if object.is_hadoops() && hadoop.is_installed() => {
                return hadoop.download(self, uri.trim_start(), to, &transfer);
            }
            _ => {}
        }
        let mut file = self.folder.create(to).map_err(DownloadError::Write)?;
        match source {
            Source::Local(path) => copy_local(&path, &mut file, &mut transfer)?,
            Source::Web(uri) => {
                Web::new(self.stall_timeout).get(uri, &mut file, &mut transfer)?;
            }
            Source::Ftp(uri) => ftp::get(uri, &mut file, self.stall_timeout, &mut transfer)?,
            Source::Store(object) => {
                let web = Web::new(self.stall_timeout);
                store::get(&object, &web, &mut file, &mut transfer)?;
            }
            Source::Hadoop(_) => {}
        }
        Ok(file)
    }
}

/// Opens a file of this machine, if it is one: a pipe would be waited for without end.
pub(crate) fn open_local(path: &Path) -> Result<File, DownloadError> {
    let open = || {
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is not a file"));
        }
        File::open(path)
    };
    open().map_err(|source| DownloadError::Local {
        path: path.to_owned(),
        source,
    })
}

/// Copies a file that is in the cache, by the kernel's own means, which may be to share its blocks.
pub(crate) fn copy_cached(path: &Path, to: &mut File) -> Result<(), DownloadError> {
    let mut from = open_local(path)?;
    std::io::copy(&mut from, to)
        .map(|_| ())
        .map_err(DownloadError::Write)
}

fn copy_local(
    path: &Path,
    to: &mut File,
    transfer: &mut Transfer<'_>,
) -> Result<(), DownloadError> {
    let from = open_local(path)?;
    match transfer.copy(from, to, None) {
        Err(DownloadError::Read(source)) => Err(DownloadError::Local {
            path: path.to_owned(),
            source,
        }),
        outcome => outcome,
    }
}
