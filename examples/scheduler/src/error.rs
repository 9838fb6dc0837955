use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the scheduler ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("in {folder}, {what} could not be read or written: {reason}", folder = .folder.display())]
    Files {
        folder: PathBuf,
        what: String,
        reason: String,
    },
    #[error("nothing can be served at {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Subscription(#[from] meseta_framework::Error),
    /// Another scheduler has taken the framework over, or it was away for longer than its failover
    /// timeout, or somebody has torn it down.
    #[error(
        "the master has ended the framework: {reason} (without the folder {folder} it begins anew)",
        folder = .folder.display()
    )]
    Ended { reason: String, folder: PathBuf },
}
