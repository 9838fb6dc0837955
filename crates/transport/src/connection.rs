//! One accepted connection: what is known of it, and the watch over its socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits;

/// What the tasks around one connection share.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Ends the connection without another word.
    pub(crate) cut: Arc<Notify>,
    /// How many requests have been begun.
    begun: AtomicU64,
    in_request: AtomicBool,
    carries_messages: AtomicBool,
    streams: AtomicBool,
    silent_since: Mutex<Instant>,
    _place: OwnedSemaphorePermit,
}

/// A request in progress, from its whole head to the end of its answer.
#[derive(Debug)]
pub(crate) struct InRequest(Arc<Connection>);

impl Connection {
    pub(crate) fn new(place: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self {
            cut: Arc::default(),
            begun: AtomicU64::new(0),
            in_request: AtomicBool::new(false),
            carries_messages: AtomicBool::new(false),
            streams: AtomicBool::new(false),
            silent_since: Mutex::new(Instant::now()),
            _place: place,
        })
    }

    pub(crate) fn begin_request(self: &Arc<Self>) -> InRequest {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_request.store(true, Ordering::Relaxed);
        InRequest(Arc::clone(self))
    }

    /// Marks the connection as a link of libprocess.
    pub(crate) fn carry_messages(&self) {
        self.carries_messages.store(true, Ordering::Relaxed);
    }

    /// Says that the answer goes on for as long as the client listens.
    pub(crate) fn begin_stream(&self) {
        self.streams.store(true, Ordering::Relaxed);
    }

    /// Whether the connection could end without harm to its client.
    pub(crate) fn is_dispensable(&self) -> bool {
        let since = *self
            .silent_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !self.carries_messages.load(Ordering::Relaxed)
            && !self.in_request.load(Ordering::Relaxed)
            && since.elapsed() >= limits::IDLE_TIME
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        let mut since = self
            .0
            .silent_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *since = Instant::now();
        self.0.in_request.store(false, Ordering::Relaxed);
        self.0.streams.store(false, Ordering::Relaxed);
    }
}

/// A socket under watch: a request's head has to arrive in time, and a peer has to take what is
/// written. Silence between requests may last for ever: links between daemons are silent for days.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    socket: S,
    connection: Arc<Connection>,
    /// The head being read: how many requests came before it, and until when it may take.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    /// How many bytes were written since others had their turn.
    turn: usize,
    /// Until when a write may wait that waits.
    stuck: Option<Pin<Box<Sleep>>>,
    /// What the peer sent while it was being sent a stream.
    early: BytesMut,
    /// Whether answers are thrown away because the peer takes none any more.
    deaf: bool,
    /// Once the last answer is written: until when the rest of a refused request is read.
    farewell: Option<Farewell>,
}

/// What a refused peer may still send before the connection is torn down.
#[derive(Debug)]
struct Farewell {
    deadline: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> Watched<S> {
    pub(crate) fn new(socket: S, connection: Arc<Connection>) -> Self {
        Self {
            socket,
            connection,
            head: None,
            turn: 0,
            stuck: None,
            early: BytesMut::new(),
            deaf: false,
            farewell: None,
        }
    }

    fn on_read(&mut self, bytes: &[u8]) {
        let idle = !self.connection.in_request.load(Ordering::Relaxed);
        // Some clients end a body with a line break that belongs to nothing.
        let begins = bytes.iter().any(|byte| !b"\r\n".contains(byte));
        let begun = self.connection.begun.load(Ordering::Relaxed);
        let same_head = self
            .head
            .as_ref()
            .is_some_and(|(before, _)| *before == begun);
        if idle && begins && !same_head {
            self.head = Some((begun, Box::pin(sleep(limits::HEAD_TIME))));
        }
    }

    fn poll_late_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let begun = self.connection.begun.load(Ordering::Relaxed);
        self.head.take_if(|(before, _)| *before != begun);
        match &mut self.head {
            Some((_, deadline)) => deadline.as_mut().poll(context).map(|()| {
                let message = "the request's head did not arrive in time";
                Err(io::Error::new(io::ErrorKind::TimedOut, message))
            }),
            None => Poll::Pending,
        }
    }

    /// Passes on the outcome of a write of `length` bytes.
    fn on_write(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Err(_)) if self.connection.carries_messages.load(Ordering::Relaxed) => {
                // A peer that sent its messages and left without reading the answers has done
                // nothing wrong, and what it sent still counts.
                self.deaf = true;
                Poll::Ready(Ok(length))
            }
            Poll::Ready(done) => {
                self.stuck = None;
                Poll::Ready(done)
            }
            Poll::Pending => {
                let deadline = self
                    .stuck
                    .get_or_insert_with(|| Box::pin(sleep(limits::WRITE_SILENCE)));
                deadline.as_mut().poll(context).map(|()| {
                    let message = "the peer takes nothing of its answer";
                    Err(io::Error::new(io::ErrorKind::TimedOut, message))
                })
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Fails once the client of a stream has left. Hyper does not look: it takes the end of what a
    /// client sends for no more than that, as is right while an answer is on its way.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut bytes = [0; 1024];
        while self.connection.streams.load(Ordering::Relaxed)
            && self.early.len() < limits::EARLY_BYTES
        {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer)? {
                Poll::Ready(()) if buffer.filled().is_empty() => {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Poll::Ready(()) => self.early.extend_from_slice(buffer.filled()),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Throws away what the peer still sends. A socket that is closed over unread bytes resets the
    /// connection, which would destroy the refusal on its way to a peer that is still writing.
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let farewell = self.farewell.get_or_insert_with(|| Farewell {
            deadline: Box::pin(sleep(limits::FAREWELL_TIME)),
            bytes: 0,
        });
        let mut bytes = [0; 4096];
        while farewell.bytes < limits::FAREWELL_BYTES {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    farewell.bytes += buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return farewell.deadline.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            let early = this
                .early
                .split_to(this.early.len().min(buffer.remaining()));
            buffer.put_slice(&early);
            this.on_read(&early);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.socket).poll_read(context, buffer) {
            Poll::Ready(outcome) => {
                this.on_read(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(outcome)
            }
            Poll::Pending => this.poll_late_head(context),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if this.deaf {
            return Poll::Ready(Ok(length));
        }
        if this.turn >= limits::TURN_BYTES {
            this.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let slices = beginning(slices, limits::TURN_BYTES - this.turn);
        let outcome = Pin::new(&mut this.socket).poll_write_vectored(context, &slices);
        this.turn = match &outcome {
            Poll::Ready(Ok(written)) => this.turn + written,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        this.on_write(context, outcome, length)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.socket).poll_flush(context))?;
        Poll::Ready(this.poll_gone(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.farewell.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
        }
        this.poll_farewell(context).map(Ok)
    }
}

/// The beginning of what slices hold: no more than so many bytes, in a bounded number of pieces.
fn beginning<'a>(slices: &'a [IoSlice<'_>], mut bytes: usize) -> [IoSlice<'a>; PIECES] {
    let mut pieces = [IoSlice::new(&[]); PIECES];
    let full = slices.iter().filter(|slice| !slice.is_empty());
    for (piece, slice) in pieces.iter_mut().zip(full) {
        let part = slice.get(..bytes).unwrap_or(slice);
        *piece = IoSlice::new(part);
        bytes -= part.len();
    }
    pieces
}

/// The pieces of one write: more than the head of an answer and the parts of its body come to.
const PIECES: usize = 16;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{Sink, empty, join, sink};
    use tokio::sync::Semaphore;

    use super::*;

    fn watched() -> Watched<impl AsyncRead + AsyncWrite + Unpin> {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let socket: tokio::io::Join<_, Sink> = join(empty(), sink());
        Watched::new(socket, Connection::new(place))
    }

    #[test]
    fn who_is_written_much_gives_others_their_turn_and_goes_on() {
        let mut watched = watched();
        let mut context = Context::from_waker(Waker::noop());
        let (head, body) = (vec![b'h'; 100], vec![b'b'; 1_000_000]);
        let mut left = head.len() + body.len();
        let mut turns = 1;
        while left > 0 {
            let begin = head.len() + body.len() - left;
            let slices = [
                IoSlice::new(head.get(begin..).unwrap_or_default()),
                IoSlice::new(&body[begin.saturating_sub(head.len())..]),
            ];
            match Pin::new(&mut watched).poll_write_vectored(&mut context, &slices) {
                Poll::Ready(written) => left -= written.unwrap(),
                Poll::Pending => turns += 1,
            }
        }
        assert_eq!(turns, 1_000_100_usize.div_ceil(limits::TURN_BYTES));
    }

    #[test]
    fn the_beginning_of_slices_is_cut_where_it_is_long_enough() {
        let slices = [b"".as_slice(), b"ab", b"", b"cdef", b"gh"].map(IoSlice::new);
        for (bytes, text) in [
            (0, ""),
            (1, "a"),
            (2, "ab"),
            (5, "abcde"),
            (100, "abcdefgh"),
        ] {
            let pieces = beginning(&slices, bytes);
            let together: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            assert_eq!(together, text.as_bytes());
        }
    }
}
