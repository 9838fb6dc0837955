//! The process that holds the terminal of a container which outlives its agent.
//!
//! It is the container's first process: it makes the terminal, starts the program on it, copies what is printed there to a
//! file, and lets those have a part who connect to its socket. One loop does all of it, over what is ready. When the program has
//! ended and what it printed is read, the keeper ends as it did.
//!
//! Who connects says with the first byte what for: [`WATCH`], to be sent what is printed from then on; or [`TYPE`], to send
//! what is typed, in frames ([`Frame`]).

#![allow(
    unsafe_code,
    reason = "a terminal of its own needs code of ours after fork"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::WaitStatus;

use super::attendant::{end_as, set_apart, take_ends};
use super::{Terminal, WindowSize, open_terminal, resize, unblocked};
use crate::limits::{FRAME_BYTES, TERMINAL_CLIENTS, TERMINAL_PATIENCE, TERMINAL_STEP};
use crate::supervisor::write_down;

/// What a connection is for: to be sent what is printed.
pub const WATCH: u8 = b'w';

/// What a connection is for: to type.
pub const TYPE: u8 = b't';

/// The kinds of frames.
const DATA: u8 = b'd';
const SIZE: u8 = b's';

/// Before each frame: its kind, and the length of what follows.
const HEAD: usize = 5;

/// What is said of a terminal of which nobody knows the size.
const UNKNOWN: &str = "-";

/// What is sent to a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Keys.
    Data(&'a [u8]),
    /// Its size from now on.
    Size(WindowSize),
}

impl Frame<'_> {
    /// The frame, as keepers read it; data in as many as it takes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |kind, body: &[u8]| {
            let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
            bytes.push(kind);
            bytes.extend(length.to_be_bytes());
            bytes.extend(body);
        };
        match self {
            Self::Data(data) => data.chunks(FRAME_BYTES).for_each(|it| put(DATA, it)),
            Self::Size(size) => {
                let size = [size.rows.to_be_bytes(), size.columns.to_be_bytes()];
                put(SIZE, size.as_flattened());
            }
        }
        bytes
    }

    /// The first frame, and its length; `None` while it is not whole.
    fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, ErrorKind> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [kind, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES {
            return Err(ErrorKind::InvalidData);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = match (kind, body) {
            (DATA, data) => Frame::Data(data),
            (SIZE, [r0, r1, c0, c1]) => Frame::Size(WindowSize {
                rows: u16::from_be_bytes([*r0, *r1]),
                columns: u16::from_be_bytes([*c0, *c1]),
            }),
            _ => return Err(ErrorKind::InvalidData),
        };
        Ok(Some((frame, HEAD + length)))
    }
}

/// The arguments that [`keep`] takes before those of the program.
pub(super) fn arguments(terminal: Terminal, role: Role) -> [String; 2] {
    let size = terminal.size.map_or(UNKNOWN.to_owned(), |size| {
        format!("{}x{}", size.rows, size.columns)
    });
    let role = match role {
        Role::Program => "program",
        Role::Executor => "executor",
    };
    [size, role.to_owned()]
}

/// What the program of a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who uses it.
    Program,
    /// Who starts those that do: it leaves to them to make it their own.
    Executor,
}

/// The keeper's whole life. Its standard input is the socket that it listens on, its output the file for what is printed, and its
/// standard error the file for the end of the program, if that is wanted.
pub fn keep(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Keeper::start(arguments).and_then(Keeper::run) {
        Ok(status) => end_as(status),
        Err(sentence) => {
            let _ = writeln!(std::io::stdout(), "{sentence}");
            ExitCode::FAILURE
        }
    }
}

struct Keeper {
    terminal: OwnedFd,
    listener: UnixListener,
    printed: File,
    end: File,
    signals: SignalFd,
    program: i32,
    clients: Vec<Client>,
    /// Nobody has the terminal open, and nobody will.
    is_closed: bool,
}

struct Client {
    socket: UnixStream,
    purpose: Option<u8>,
    /// What it has sent and the terminal has not taken yet.
    sent: Vec<u8>,
}

impl Keeper {
    fn start(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let failed =
            |what: &str, error: &dyn std::fmt::Display| format!("Failed to {what}: {error}");
        let mut arguments = arguments.into_iter();
        let size = arguments.next().unwrap_or_default();
        let is_executor = arguments.next().is_some_and(|it| it == "executor");
        let program = arguments.next().unwrap_or_default();

        let kept = |it| rustix::io::fcntl_dupfd_cloexec(it, 3);
        let kept = |it| kept(it).map_err(|error| failed("keep a descriptor", &error));
        let listener = UnixListener::from(kept(rustix::stdio::stdin())?);
        let printed = File::from(kept(rustix::stdio::stdout())?);
        let end = File::from(kept(rustix::stdio::stderr())?);
        listener
            .set_nonblocking(true)
            .map_err(|error| failed("listen", &error))?;

        let all = SigSet::all();
        nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&all), None)
            .map_err(|error| failed("hold signals", &error))?;
        let signals = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|error| failed("hold signals", &error))?;

        let terminal = Terminal {
            size: size.to_str().and_then(parse_size),
        };
        // It is made as who uses it, and so is theirs.
        let opened = open_terminal(terminal, None);
        let (ours, theirs) = opened.map_err(|error| failed("make a terminal", &error))?;
        let mut command = Command::new(&program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        let copy = || theirs.try_clone();
        let stdin = copy().map_err(|error| failed("keep a descriptor", &error))?;
        let stdout = copy().map_err(|error| failed("keep a descriptor", &error))?;
        command
            .args(arguments)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(theirs);
        set_apart(&mut command, !is_executor);
        let child = command.spawn().map_err(|error| {
            let program = program.to_string_lossy();
            failed(&format!("execute '{program}'"), &error)
        })?;
        // The command has the other end of the terminal open.
        drop(command);
        Ok(Self {
            terminal: unblocked(ours).map_err(|error| failed("keep a descriptor", &error))?,
            listener,
            printed,
            end,
            signals,
            program: i32::try_from(child.id()).map_err(|error| error.to_string())?,
            clients: Vec::new(),
            is_closed: false,
        })
    }

    fn run(mut self) -> Result<WaitStatus, String> {
        loop {
            let ready = self.ready()?;
            if ready.signals
                && let Some(status) = self.take_signals()
            {
                // What was printed before the end is there by now.
                while self.copy() {}
                // Without one to be written to, there is nothing to be written.
                let _ = write_down(
                    &mut self.end,
                    std::os::unix::process::ExitStatusExt::from_raw(status.as_raw()),
                );
                return Ok(status);
            }
            // First: what is copied may show that some have gone, and then they have other places.
            for place in ready.clients.into_iter().rev() {
                let client = self.clients.get_mut(place);
                if client.is_some_and(|client| !client.read()) {
                    self.clients.swap_remove(place);
                }
            }
            if ready.terminal.intersects(PollFlags::IN) {
                self.copy();
            } else if ready.terminal.intersects(PollFlags::HUP | PollFlags::ERR) {
                self.is_closed = true;
            }
            self.pass_on();
            if ready.newcomers {
                self.admit();
            }
        }
    }

    /// Waits for something to do.
    fn ready(&self) -> Result<Ready, String> {
        let reads = PollFlags::IN;
        let has_keys = self.clients.iter().any(|it| !it.sent.is_empty());
        let of_terminal = if has_keys {
            reads | PollFlags::OUT
        } else {
            reads
        };
        let mut wanted = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), reads),
            PollFd::new(&self.listener, reads),
        ];
        let clients = self.clients.iter();
        wanted.extend(clients.map(|it| {
            // Who types faster than is read waits; who has gone is seen in any case.
            let is_behind = it.sent.len() >= FRAME_BYTES;
            let flags = if is_behind { PollFlags::empty() } else { reads };
            PollFd::new(&it.socket, flags)
        }));
        if !self.is_closed {
            wanted.push(PollFd::new(&self.terminal, of_terminal));
        }
        loop {
            match poll(&mut wanted, None) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(format!("Failed to wait: {errno}")),
            }
        }
        let mut happened = wanted.iter().map(PollFd::revents);
        let mut next = || happened.next().unwrap_or(PollFlags::empty());
        let (signals, newcomers) = (next(), next());
        let clients = (0..self.clients.len()).filter(|_| !next().is_empty());
        let clients = clients.collect();
        let terminal = next();
        Ok(Ready {
            signals: !signals.is_empty(),
            terminal,
            newcomers: !newcomers.is_empty(),
            clients,
        })
    }

    /// Passes signals on to the program, and gives its end when it has come.
    fn take_signals(&mut self) -> Option<WaitStatus> {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).unwrap_or_default();
            match Signal::try_from(signal) {
                Ok(Signal::SIGCHLD) => {
                    if let Some(status) = take_ends(self.program) {
                        return Some(status);
                    }
                }
                Ok(signal) => {
                    let _ = nix::sys::signal::kill(Pid::from_raw(self.program), signal);
                }
                Err(_) => {}
            }
        }
        None
    }

    /// Copies some of what is printed; false if there is nothing more now.
    fn copy(&mut self) -> bool {
        let mut buffer = [0; TERMINAL_STEP];
        let length = match rustix::io::read(&self.terminal, &mut buffer) {
            Ok(length @ 1..) => length,
            Err(Errno::INTR) => return true,
            // Nobody has it open, or nothing was printed.
            Ok(_) | Err(_) => return false,
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        // A disk that is full loses what is printed, as it does for any program.
        let _ = self.printed.write_all(bytes);
        self.clients.retain_mut(|client| {
            client.purpose != Some(WATCH) || client.socket.write_all(bytes).is_ok()
        });
        true
    }

    /// Lets the terminal have what was typed.
    fn pass_on(&mut self) {
        let terminal = &self.terminal;
        self.clients.retain_mut(|client| client.pass_on(terminal));
    }

    fn admit(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            if self.clients.len() >= TERMINAL_CLIENTS {
                continue;
            }
            let is_ready = socket.set_write_timeout(Some(TERMINAL_PATIENCE)).is_ok();
            if is_ready {
                self.clients.push(Client {
                    socket,
                    purpose: None,
                    sent: Vec::new(),
                });
            }
        }
    }
}

/// What there is to do.
struct Ready {
    signals: bool,
    terminal: PollFlags,
    newcomers: bool,
    clients: Vec<usize>,
}

impl Client {
    /// Takes what it has sent; false if it has gone, or makes no sense.
    fn read(&mut self) -> bool {
        let mut buffer = [0; TERMINAL_STEP];
        // It is ready: this does not wait.
        let Ok(length @ 1..) = self.socket.read(&mut buffer) else {
            return false;
        };
        let mut bytes = buffer.get(..length).unwrap_or_default();
        if self.purpose.is_none()
            && let Some((purpose, rest)) = bytes.split_first()
        {
            self.purpose = Some(*purpose);
            bytes = rest;
        }
        match self.purpose {
            Some(TYPE) => {
                self.sent.extend(bytes);
                true
            }
            Some(WATCH) => bytes.is_empty(),
            _ => false,
        }
    }

    /// Lets the terminal have what it takes of what was sent; false if that makes no sense.
    fn pass_on(&mut self, terminal: &OwnedFd) -> bool {
        loop {
            let taken = match Frame::decode(&self.sent) {
                Ok(None) => return true,
                Ok(Some((Frame::Size(size), length))) => {
                    let _ = resize(terminal, size);
                    length
                }
                Ok(Some((Frame::Data(data), length))) => match rustix::io::write(terminal, data) {
                    Ok(written) if written == data.len() => length,
                    Ok(written @ 1..) => {
                        let rest = Frame::Data(data.get(written..).unwrap_or_default()).encode();
                        self.sent.splice(..length, rest);
                        return true;
                    }
                    Err(Errno::INTR) => 0,
                    Err(Errno::AGAIN) | Ok(_) => return true,
                    Err(_) => return false,
                },
                Err(_) => return false,
            };
            self.sent.drain(..taken);
        }
    }
}

fn parse_size(text: &str) -> Option<WindowSize> {
    let (rows, columns) = text.split_once('x')?;
    Some(WindowSize {
        rows: rows.parse().ok()?,
        columns: columns.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_however_they_arrive() {
        let size = Frame::Size(WindowSize {
            rows: 24,
            columns: 80,
        });
        let long = vec![7; FRAME_BYTES + 1];
        for frame in [Frame::Data(b"ls\n"), size.clone()] {
            let bytes = frame.encode();
            for cut in 0..bytes.len() {
                assert_eq!(Frame::decode(&bytes[..cut]), Ok(None));
            }
            assert_eq!(Frame::decode(&bytes), Ok(Some((frame, bytes.len()))));
        }
        let bytes = Frame::Data(&long).encode();
        assert_eq!(bytes.len(), 2 * HEAD + long.len());
        let first = Frame::decode(&bytes).unwrap().unwrap();
        assert_eq!(first.0, Frame::Data(&long[..FRAME_BYTES]));
        for nonsense in [&b"x\0\0\0\0"[..], b"s\0\0\0\x01\0", b"d\xff\xff\xff\xff"] {
            assert_eq!(Frame::decode(nonsense), Err(ErrorKind::InvalidData));
        }
        assert_eq!(
            parse_size("24x80"),
            Some(WindowSize {
                rows: 24,
                columns: 80
            })
        );
        assert_eq!([parse_size("-"), parse_size("24x")], [None; 2]);
    }
}
