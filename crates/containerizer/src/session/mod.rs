//! Programs whose input and output are somebody's who is there: shells, mostly.
//!
//! ```text
//! agent ──pipes, or a terminal──▶ attendant ──▶ program ──▶ its children
//! ```
//!
//! The program runs below a process of its own, the *attendant* ([`attend`]), so that nothing of a session
//! outlives its agent, however that dies: the attendant is told by the kernel, and takes along all that
//! the program has started. Whatever leaves its parents there becomes the attendant's child.

mod attendant;
mod keeper;

use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

pub use self::attendant::attend;
pub use self::keeper::{Frame, Role, TYPE, WATCH, keep};
use crate::launch::{LaunchError, Spec, Streams, identity, launch_on, open, open_output};
use crate::process::Process;
use crate::started::Record;
use crate::supervisor::{Supervisor, place_for_end};
use crate::user::Identity;

/// A program to start with its input and output in the caller's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// As in [`Spec`].
    pub program: String,
    /// As in [`Spec`].
    pub arguments: Vec<String>,
    /// As in [`Spec`].
    pub environment: Vec<(String, String)>,
    /// Where the program starts: a sandbox that others may use as well.
    pub directory: PathBuf,
    /// What the session is known by. Nothing need be there.
    pub place: PathBuf,
    /// As in [`Spec`].
    pub user: Option<String>,
    /// The terminal that the program is to have; without one, it has pipes.
    pub terminal: Option<Terminal>,
}

/// A terminal to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// How large it is, if anybody knows that yet.
    pub size: Option<WindowSize>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// The caller's ends of a session's streams; none of them blocks.
#[derive(Debug)]
pub struct Ends {
    /// What is written here is the program's input.
    pub input: OwnedFd,
    /// What the program prints. With a terminal, reading fails with an input/output error when nobody has
    /// the terminal open any more.
    pub output: OwnedFd,
    /// What the program prints to standard error, unless it has a terminal.
    pub errors: Option<OwnedFd>,
}

/// Starts a session. The process is the attendant's; it ends as the program has ended.
///
/// # Errors
/// When there are no streams to be had, or no process.
pub fn launch_session(
    session: &Session,
    attendant: &Supervisor,
    record: Option<&Record<'_>>,
) -> Result<(Process, Ends), LaunchError> {
    let mut arguments = attendant.arguments.clone();
    arguments.extend(attendant::arguments(session));
    let spec = Spec {
        program: attendant.program.to_string_lossy().into_owned(),
        arguments,
        environment: session.environment.clone(),
        directory: session.directory.clone(),
        stdout: PathBuf::new(),
        stderr: PathBuf::new(),
        user: session.user.clone(),
    };
    let owner = identity(&spec)?;
    let streams = match &session.terminal {
        Some(terminal) => terminal_streams(*terminal, owner.as_ref()),
        None => pipes(),
    };
    let (streams, ends) = streams.map_err(|source| LaunchError::Streams {
        program: session.program.clone(),
        source,
    })?;
    let process = launch_on(&spec, streams, record, &session.place)?;
    Ok((process, ends))
}

/// Tells a terminal how large it is; whoever uses it is told.
///
/// # Errors
/// When these are pipes.
pub fn resize(input: impl AsFd, size: WindowSize) -> std::io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(input, size)?)
}

fn pipes() -> std::io::Result<(Streams, Ends)> {
    let (stdin, input) = std::io::pipe()?;
    let (output, stdout) = std::io::pipe()?;
    let (errors, stderr) = std::io::pipe()?;
    let ends = Ends {
        input: unblocked(input.into())?,
        output: unblocked(output.into())?,
        errors: Some(unblocked(errors.into())?),
    };
    let streams = Streams {
        stdin: stdin.into(),
        stdout: stdout.into(),
        stderr: stderr.into(),
    };
    Ok((streams, ends))
}

/// A program to start on a terminal of its own, which both have no need of this process.
#[derive(Debug)]
pub struct Kept<'a> {
    /// The program; what it prints goes to its standard output, as one.
    pub spec: &'a Spec,
    /// The terminal.
    pub terminal: Terminal,
    /// What the program is.
    pub role: Role,
    /// Where those connect who have a part in it, listening; see [`Frame`].
    pub socket: OwnedFd,
    /// Where the program's end is written to, if anywhere; [`crate::exit_status`] reads it.
    pub exit_status: Option<&'a Path>,
}

/// Starts a program on a terminal. The process is that of the terminal's keeper; it ends as the program has
/// ended, and signals that it gets reach the program.
///
/// # Errors
/// When there is no process to be had. That there is no such program is said in its output.
pub fn launch_kept(
    kept: Kept<'_>,
    keeper: &Supervisor,
    record: Option<&Record<'_>>,
) -> Result<Process, LaunchError> {
    let spec = kept.spec;
    let mut arguments = keeper.arguments.clone();
    arguments.extend(keeper::arguments(kept.terminal, kept.role));
    arguments.push(spec.program.clone());
    arguments.extend(spec.arguments.iter().cloned());
    let with_keeper = Spec {
        program: keeper.program.to_string_lossy().into_owned(),
        arguments,
        ..spec.clone()
    };
    let end = match kept.exit_status {
        Some(path) => place_for_end(path)?,
        None => open(Path::new("/dev/null"), OpenOptions::new().write(true))?,
    };
    let streams = Streams {
        stdin: kept.socket,
        stdout: open_output(&spec.stdout)?,
        stderr: end,
    };
    launch_on(&with_keeper, streams, record, &spec.directory)
}

fn terminal_streams(
    terminal: Terminal,
    owner: Option<&Identity>,
) -> std::io::Result<(Streams, Ends)> {
    let (ours, theirs) = open_terminal(terminal, owner)?;
    let streams = Streams {
        stdin: rustix::io::fcntl_dupfd_cloexec(&theirs, 0)?,
        stdout: rustix::io::fcntl_dupfd_cloexec(&theirs, 0)?,
        stderr: theirs,
    };
    let ends = Ends {
        input: unblocked(rustix::io::fcntl_dupfd_cloexec(&ours, 0)?)?,
        output: ours,
        errors: None,
    };
    Ok((streams, ends))
}

/// Both ends of a new terminal: ours, and the one that programs use.
fn open_terminal(
    terminal: Terminal,
    owner: Option<&Identity>,
) -> std::io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    if let Some(owner) = owner {
        // Programs open it anew by its name.
        rustix::fs::fchown(&theirs, Some(owner.uid), None)?;
    }
    if let Some(size) = terminal.size {
        resize(&ours, size)?;
    }
    Ok((ours, theirs))
}

fn unblocked(end: OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = rustix::fs::fcntl_getfl(&end)?;
    rustix::fs::fcntl_setfl(&end, flags | OFlags::NONBLOCK)?;
    Ok(end)
}
