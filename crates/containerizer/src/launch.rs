use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::beneath;
use crate::children::Launching;
use crate::files::limit_at_start;
use crate::process::{Process, start_time};
use crate::spawn::{Child, SpawnError, Step, spawn};
use crate::started::Record;
use crate::user::{Identity, UserError};

/// Where programs are looked for when the environment has no `PATH`, as the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program to start as a container's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// A path (relative ones count from the directory), or a name to be found in the `PATH` of the
    /// environment.
    pub program: String,
    /// The arguments, with the name that the program sees itself under in front.
    pub arguments: Vec<String>,
    /// The whole environment; nothing of this process's own is added. It names the sandbox as
    /// `MESOS_SANDBOX` or `MESOS_DIRECTORY`: that is how processes that have cut every other tie
    /// are found again.
    pub environment: Vec<(String, String)>,
    /// The sandbox, where the program starts.
    pub directory: PathBuf,
    /// Where standard output is appended to.
    pub stdout: PathBuf,
    /// Where standard error is appended to.
    pub stderr: PathBuf,
    /// Who the program runs as, with that user's groups; `None` for this process's own user.
    pub user: Option<String>,
}

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The user is not known.
    #[error("Failed to run as user '{user}': {source}")]
    User {
        /// The user.
        user: String,
        /// The reason.
        source: UserError,
    },
    /// The program, an argument, a variable or a path has a zero byte in it.
    #[error("Failed to execute '{program}': {what} contains a zero byte")]
    ZeroByte {
        /// The program.
        program: String,
        /// What has it.
        what: &'static str,
    },
    /// There is no terminal, or no pipe, to be had.
    #[error("Failed to make a terminal or pipes for '{program}': {source}")]
    Streams {
        /// The program.
        program: String,
        /// The reason.
        source: std::io::Error,
    },
    /// A file for the program's input or output cannot be opened.
    #[error("Failed to open '{path}': {source}", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The kernel gives no new process.
    #[error("Failed to fork: {0}")]
    Fork(std::io::Error),
    /// The new process could not be set apart: the word of it, its session, its descriptors or its limits.
    #[error("Failed to set up the process of '{program}': {source}")]
    Setup {
        /// The program.
        program: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The new process could not become the user.
    #[error("Failed to change to user '{user}': {source}")]
    Switch {
        /// The user.
        user: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The user may not enter the directory, or it is not there.
    #[error("Failed to chdir into '{directory}': {source}", directory = .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The program is not there or cannot be executed.
    #[error("Failed to execute '{program}': {source}")]
    Execute {
        /// The program.
        program: String,
        /// The reason.
        source: std::io::Error,
    },
}

/// Starts a program in a session of its own: with default signals, no descriptors but an empty
/// input and its output files, the limits that this process was started with, and nothing of its
/// environment.
///
/// Its end is kept by the kernel until [`crate::Watcher`] or [`crate::wait`] takes it.
pub fn launch(spec: &Spec) -> Result<Process, LaunchError> {
    let no_input = open(Path::new("/dev/null"), OpenOptions::new().read(true))?;
    launch_with(spec, no_input, None)
}

/// Starts a program as [`launch`] does; the process leaves word of itself, so that it is found though
/// this one may die at any moment.
pub fn launch_recorded(spec: &Spec, record: &Record<'_>) -> Result<Process, LaunchError> {
    let no_input = open(Path::new("/dev/null"), OpenOptions::new().read(true))?;
    launch_with(spec, no_input, Some(record))
}

/// Starts a program as [`launch`] does, with this as its standard input.
pub(crate) fn launch_with(
    spec: &Spec,
    stdin: OwnedFd,
    record: Option<&Record<'_>>,
) -> Result<Process, LaunchError> {
    let streams = Streams {
        stdin,
        stdout: open_output(&spec.stdout)?,
        stderr: open_output(&spec.stderr)?,
    };
    launch_on(spec, streams, record, &spec.directory)
}

/// What a program reads and writes.
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Starts a program on these streams. Its word of itself names the container by the folder `place`.
pub(crate) fn launch_on(
    spec: &Spec,
    streams: Streams,
    record: Option<&Record<'_>>,
    place: &Path,
) -> Result<Process, LaunchError> {
    let mut child = prepare(spec, streams)?;
    child.record = record.map(|it| it.begin(place)).transpose()?;
    let launching = Launching::begin();
    let pid = spawn(&child, launching.announced()).map_err(|error| {
        if let Some(record) = record {
            record.withdraw();
        }
        explain(spec, error)
    })?;
    launching.succeeded();
    // Ended or not, it has its entry until its end is taken, and nobody knows of it yet.
    let start_time = start_time(pid).unwrap_or_default();
    Ok(Process { pid, start_time })
}

fn prepare(spec: &Spec, streams: Streams) -> Result<Child, LaunchError> {
    let zero = |what: &'static str| {
        move |_| LaunchError::ZeroByte {
            program: spec.program.clone(),
            what,
        }
    };
    let identity = identity(spec)?;
    let programs = candidates(spec)
        .into_iter()
        .map(|path| CString::new(path.as_os_str().as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(zero("the program"))?;
    let arguments = spec
        .arguments
        .iter()
        .map(|argument| CString::new(argument.as_str()))
        .collect::<Result<_, _>>()
        .map_err(zero("an argument"))?;
    let environment = spec
        .environment
        .iter()
        .map(|(name, value)| CString::new(format!("{name}={value}")))
        .collect::<Result<_, _>>()
        .map_err(zero("the environment"))?;
    let directory =
        CString::new(spec.directory.as_os_str().as_bytes()).map_err(zero("the directory"))?;
    Ok(Child {
        programs,
        arguments,
        environment,
        directory,
        identity: identity.filter(|identity| !identity.is_ours()),
        file_limit: limit_at_start(),
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        record: None,
    })
}

/// Whom the program runs as, if anybody is named.
pub(crate) fn identity(spec: &Spec) -> Result<Option<Identity>, LaunchError> {
    let user = spec.user.as_ref().map(|user| {
        Identity::of(user).map_err(|source| LaunchError::User {
            user: user.clone(),
            source,
        })
    });
    user.transpose()
}

/// Where the program may be.
fn candidates(spec: &Spec) -> Vec<PathBuf> {
    // The child enters the directory first, so that relative paths count from there.
    if spec.program.contains('/') {
        return vec![PathBuf::from(&spec.program)];
    }
    if spec.program.is_empty() {
        return Vec::new();
    }
    let path = spec
        .environment
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map_or(DEFAULT_PATH, |(_, value)| value.as_str());
    path.split(':')
        .map(|directory| Path::new(if directory.is_empty() { "." } else { directory }))
        .map(|directory| directory.join(&spec.program))
        .collect()
}

pub(crate) fn open_output(path: &Path) -> Result<OwnedFd, LaunchError> {
    // The sandbox is the user's, and this process may be root: a link put in place of the file, or
    // on the way to it, is not followed.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOCTTY;
    beneath::open_file(path, flags, Mode::from_raw_mode(0o644)).map_err(|errno| LaunchError::Open {
        path: path.to_owned(),
        source: errno.into(),
    })
}

pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<OwnedFd, LaunchError> {
    options
        .open(path)
        .map(File::into)
        .map_err(|source| LaunchError::Open {
            path: path.to_owned(),
            source,
        })
}

fn explain(spec: &Spec, error: SpawnError) -> LaunchError {
    let (step, source) = match error {
        SpawnError::Clone(source) => return LaunchError::Fork(source),
        SpawnError::Step(step, source) => (step, source),
    };
    match step {
        Step::Record | Step::Session | Step::Descriptors | Step::Limits => LaunchError::Setup {
            program: spec.program.clone(),
            source,
        },
        Step::User => LaunchError::Switch {
            user: spec.user.clone().unwrap_or_default(),
            source,
        },
        Step::Directory => LaunchError::Directory {
            directory: spec.directory.clone(),
            source,
        },
        Step::Execute => LaunchError::Execute {
            program: spec.program.clone(),
            source,
        },
    }
}
