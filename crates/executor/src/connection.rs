//! One connection to the agent that never blocks.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::{fmt, io};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::http::{AnswerReader, HttpError, Part};
use crate::limits::{READ_SIZE, READS_PER_TURN};
use crate::settings::Endpoint;

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("failed to connect to {to}: {error}")]
    Connect { to: String, error: io::Error },
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// A connection with what waits to be sent and what came back.
pub(crate) struct Connection {
    socket: OwnedFd,
    connecting: bool,
    unsent: Vec<u8>,
    answers: AnswerReader,
    ended: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            socket,
            connecting,
            ended,
            ..
        } = self;
        write!(
            f,
            "Connection({socket:?}, connecting: {connecting}, ended: {ended})"
        )
    }
}

impl Connection {
    /// Begins to connect.
    pub(crate) fn open(endpoint: &Endpoint) -> Result<Self, ConnectionError> {
        let opened = match endpoint {
            Endpoint::Tcp(address) => open_tcp(address),
            Endpoint::Unix(path) => open_unix(path),
        };
        let (socket, connecting) = opened.map_err(|error| ConnectionError::Connect {
            to: endpoint.to_string(),
            error,
        })?;
        Ok(Self {
            socket,
            connecting,
            unsent: Vec::new(),
            answers: AnswerReader::default(),
            ended: false,
        })
    }

    /// Adds to what waits to be sent.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What to poll for.
    pub(crate) fn interest(&self) -> PollFlags {
        if self.connecting {
            PollFlags::OUT
        } else if self.unsent.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    /// Sends as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), ConnectionError> {
        if self.connecting {
            return Ok(());
        }
        let mut sent = 0;
        while let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match rustix::net::send(&self.socket, rest, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        self.unsent.drain(..sent);
        Ok(())
    }

    /// Whether connecting has succeeded, after the socket was found ready.
    pub(crate) fn connected(&mut self) -> Result<(), ConnectionError> {
        if self.connecting {
            sockopt::socket_error(&self.socket)
                .and_then(|outcome| outcome)
                .map_err(io::Error::from)?;
            self.connecting = false;
        }
        Ok(())
    }

    /// Goes on after the socket was found ready.
    pub(crate) fn on_ready(&mut self) -> Result<(), ConnectionError> {
        self.connected()?;
        self.flush()?;
        let mut buffer = [0; READ_SIZE];
        for _ in 0..READS_PER_TURN {
            if self.ended {
                break;
            }
            match rustix::io::read(&self.socket, &mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.answers.extend(buffer.get(..count).unwrap_or_default()),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    /// The next piece of an answer, if it has arrived.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part>, ConnectionError> {
        Ok(self.answers.next_part()?)
    }

    /// Whether the present answer has no other end than that of the connection.
    pub(crate) fn answer_ends_with_it(&self) -> bool {
        self.answers.ends_with_connection()
    }

    /// Whether the agent has closed its side.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }
}

fn open_tcp(address: &str) -> io::Result<(OwnedFd, bool)> {
    let address = address
        .to_socket_addrs()?
        .next()
        .ok_or(io::ErrorKind::NotFound)?;
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kind = SocketType::STREAM;
    let socket = rustix::net::socket_with(family, kind, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok((socket, false)),
        Err(Errno::INPROGRESS) => Ok((socket, true)),
        Err(error) => Err(error.into()),
    }
}

/// Connecting to a socket in the file system is instant, unless so many others are before us that
/// waiting is right.
fn open_unix(path: &Path) -> io::Result<(OwnedFd, bool)> {
    let stream = UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok((stream.into(), false))
}
