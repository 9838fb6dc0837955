use std::path::PathBuf;
use std::time::Duration;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("starting the runtime: {0}")]
    Runtime(std::io::Error),
    #[error("preparing the cluster: {0}")]
    Prepare(std::io::Error),
    #[error("starting `{} {program}`: {source}; `cargo build --release -p meseta-cli` builds it", binary.display())]
    Start {
        binary: PathBuf,
        program: &'static str,
        source: std::io::Error,
    },
    #[error(transparent)]
    Framework(#[from] meseta_framework::Error),
    #[error("resources: {0}")]
    Resources(#[from] meseta_resources::Error),
    #[error("the subscription ended: {0}")]
    Disconnected(String),
    #[error("no event for {0:?} while waiting for {1}")]
    Silence(Duration, &'static str),
    #[error("task {task} ended as {state}, not as {wanted}: {message}")]
    Outcome {
        task: String,
        state: &'static str,
        wanted: &'static str,
        message: String,
    },
    #[error("{0} executors were found where one runs")]
    Executors(usize),
    #[error("reading /proc: {0}")]
    Proc(#[from] procfs::ProcError),
    #[error("/proc has no figure `{0}` for a process")]
    NoFigure(&'static str),
    #[error("processes or descriptors were left behind")]
    Left,
}
