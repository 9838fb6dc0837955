//! Why nothing was measured.

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use crate::measure::ProcessError;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("'{0}' is no address of a master such as 127.0.0.1:5050")]
    Address(String),
    #[error(
        "{0} is not on this machine; a load generator can stop a cluster's work, so that it takes --allow-remote (and --ip) to drive one"
    )]
    Remote(SocketAddrV4),
    #[error("starting the runtime: {0}")]
    Runtime(io::Error),
    #[error("listening for the agents: {0}")]
    Listen(#[from] meseta_transport::BindError),
    #[error("resources: {0}")]
    Resources(#[from] meseta_resources::Error),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("no answer of {address} to {what}: {reason}")]
    Unreachable {
        address: SocketAddrV4,
        what: &'static str,
        reason: String,
    },
    #[error("{address} answered {status} to {what}: {sentence}")]
    Refused {
        address: SocketAddrV4,
        what: &'static str,
        status: u16,
        sentence: String,
    },
    #[error("{what}: {done} of {wanted}, and nothing changed for {silence:?}{because}")]
    Stalled {
        what: String,
        done: u64,
        wanted: u64,
        silence: Duration,
        /// What the target has refused until then.
        because: String,
    },
    #[error("{what}: {found}, where {expected} were expected")]
    Inconsistent {
        what: String,
        found: u64,
        expected: u64,
    },
    #[error("starting `{program}`: {source}")]
    Start { program: String, source: io::Error },
    #[error("`{program}` {what}")]
    Program { program: String, what: String },
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Usage(String),
}
