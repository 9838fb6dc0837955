//! Getting the content of a URI into a file.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::beneath::Folder;
use crate::limits::CHUNK;
use crate::uri::{Source, source};

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
    #[error("Error downloading resource, received HTTP return code {0}")]
    Status(u16),
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
    pub(crate) fn download(&self, uri: &str, to: &Path) -> Result<File, DownloadError> {
        let source = source(uri, self.frameworks_home).map_err(DownloadError::Refused)?;
        if let Source::Hadoop(uri) = source {
            return self.hadoop(uri, to);
        }
        let mut file = self.folder.create(to).map_err(DownloadError::Write)?;
        match source {
            Source::Local(path) => copy_local(&path, &mut file, self.max_bytes)?,
            Source::Web(uri) => self.web(uri, &mut file)?,
            Source::Hadoop(_) => {}
        }
        Ok(file)
    }

    fn web(&self, uri: &str, file: &mut File) -> Result<(), DownloadError> {
        let stall = Some(self.stall_timeout);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("meseta/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(stall)
            .timeout_recv_response(stall)
            .timeout_per_read(stall)
            .tls_config(TlsConfig::builder().root_certs(root_certificates()).build())
            .build()
            .new_agent();
        let stalled = |error| match error {
            ureq::Error::Timeout(_) => DownloadError::Stalled(self.stall_timeout),
            error => DownloadError::Web(error),
        };
        let mut response = agent.get(uri).call().map_err(stalled)?;
        if response.status() != 200 {
            return Err(DownloadError::Status(response.status().as_u16()));
        }
        let expected = response.body().content_length();
        self.check_size(expected.unwrap_or_default())?;
        let body = response.body_mut().as_reader();
        let found = copy(body, file, self.max_bytes).map_err(|error| match error {
            DownloadError::Read(error) => stalled(ureq::Error::from(error)),
            error => error,
        })?;
        match expected {
            Some(expected) if expected != found => {
                Err(DownloadError::Truncated { found, expected })
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, size: u64) -> Result<(), DownloadError> {
        match self.max_bytes {
            Some(limit) if size > limit => Err(DownloadError::DoesNotFit { limit }),
            _ => Ok(()),
        }
    }

    /// Runs the Hadoop client, which knows `hdfs` and what else it is set up for.
    fn hadoop(&self, uri: &str, to: &Path) -> Result<File, DownloadError> {
        let client = match self.hadoop_home {
            Some(home) => home.join("bin/hadoop"),
            None => std::env::var_os("HADOOP_HOME").map_or_else(
                || PathBuf::from("hadoop"),
                |home| PathBuf::from(home).join("bin/hadoop"),
            ),
        };
        let version = Command::new(&client).arg("version").output();
        let version = version.map_err(|error| {
            let scheme = uri.split(':').next().unwrap_or_default();
            let client = client.display();
            DownloadError::NoHadoop(format!(
                "Failed to execute '{client}', which {scheme} needs: {error}"
            ))
        })?;
        if !version.status.success() {
            let status = version.status;
            let why = format!("Hadoop client is not available, {status}");
            return Err(DownloadError::NoHadoop(why));
        }
        // The client follows links. In a folder of its own there are none.
        let place = tempfile_name(to);
        std::fs::create_dir(self.directory.join(&place)).map_err(DownloadError::Write)?;
        let part = place.join("content");
        let copied = self.copy_to_local(&client, uri, &part, to);
        // The outcome of the copy is what matters.
        let _ = std::fs::remove_dir_all(self.directory.join(&place));
        copied
    }

    fn copy_to_local(
        &self,
        client: &Path,
        uri: &str,
        part: &Path,
        to: &Path,
    ) -> Result<File, DownloadError> {
        let output = Command::new(client)
            .args(["fs", "-copyToLocal", uri])
            .arg(self.directory.join(part))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| DownloadError::Hadoop(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = format!("{}: {}", output.status, said.trim());
            return Err(DownloadError::Hadoop(why));
        }
        self.folder.rename(part, to).map_err(DownloadError::Write)?;
        let file = self.folder.open_file(to).map_err(DownloadError::Write)?;
        let size = file.metadata().map_err(DownloadError::Write)?.len();
        self.check_size(size)?;
        Ok(file)
    }
}

/// A folder's name that no URI and no archive would have.
fn tempfile_name(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!(".fetching-{}-{name}", std::process::id()))
}

/// Whom this machine trusts; where it trusts nobody, whom browsers trust.
fn root_certificates() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return RootCerts::WebPki;
    }
    let certificates: Vec<_> = found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    RootCerts::new_with_certs(&certificates)
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

pub(crate) fn copy_local(
    path: &Path,
    to: &mut File,
    max_bytes: Option<u64>,
) -> Result<(), DownloadError> {
    let from = open_local(path)?;
    match copy(from, to, max_bytes) {
        Ok(_) => Ok(()),
        Err(DownloadError::Read(source)) => Err(DownloadError::Local {
            path: path.to_owned(),
            source,
        }),
        Err(error) => Err(error),
    }
}

/// Copies all there is, and says how much it was.
fn copy(mut from: impl Read, to: &mut File, limit: Option<u64>) -> Result<u64, DownloadError> {
    let mut chunk = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DownloadError::Read(error)),
        };
        total += count as u64;
        if let Some(limit) = limit
            && total > limit
        {
            return Err(DownloadError::DoesNotFit { limit });
        }
        let read = chunk.get(..count).unwrap_or_default();
        to.write_all(read).map_err(DownloadError::Write)?;
    }
}
