use std::path::PathBuf;

/// Why the program ends before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("in {folder}, {what} could not be read or written: {reason}", folder = .folder.display())]
    Files {
        folder: PathBuf,
        what: &'static str,
        reason: String,
    },
    #[error(transparent)]
    Subscription(#[from] meseta_framework::Error),
    #[error("the master has ended the framework: {0}")]
    Ended(String),
    #[error(
        "the agent with the volume is gone for good; after `stateful end` counting can begin anew"
    )]
    Lost,
}
