//! Messages to other processes: one outgoing connection per address, written in order and never
//! waiting for an answer.
//!
//! Whoever sends is never held up. What a peer has not taken yet waits in a bounded queue, and a
//! connection that breaks takes its queue with it: libprocess promises no more, and its
//! protocols repeat what matters. A *linked* address is told about when that happens, once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use meseta_proto::Upid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::limits;
use crate::listener::configure;
use crate::message::Encoded;

/// The outgoing connections of a process. Dropping it drops them with all that waits.
pub struct Peers {
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared {
    own: SocketAddrV4,
    exited: Box<dyn Fn(SocketAddrV4) + Send + Sync>,
    /// What waits for all peers, in bytes.
    waiting: AtomicUsize,
    peers: Mutex<HashMap<SocketAddrV4, Peer>>,
}

struct Peer {
    line: Arc<Line>,
    linked: bool,
    task: AbortHandle,
}

/// The queue between senders and the task of one connection.
#[derive(Default)]
struct Line {
    queue: Mutex<Queue>,
    /// Rings when there is something to write.
    filled: Notify,
    /// Rings when all has been written or lost.
    emptied: Notify,
    /// Rings when the peer has let its queue overflow.
    overflown: Notify,
}

#[derive(Default)]
struct Queue {
    messages: Vec<Encoded>,
    /// How many messages wait or are being written, and their size.
    count: usize,
    bytes: usize,
    /// Whether the connection has ended or is about to: nothing is taken any more.
    dead: bool,
}

impl Peers {
    /// Connections of the process that listens at `own`, carried by the tasks of `runtime`.
    /// `exited` is called on one of its threads when the connection to a linked address breaks or
    /// cannot be made, and must not wait for long.
    pub fn new(
        own: SocketAddrV4,
        runtime: Handle,
        exited: impl Fn(SocketAddrV4) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            own,
            exited: Box::new(exited),
            waiting: AtomicUsize::new(0),
            peers: Mutex::default(),
        });
        Self { shared, runtime }
    }

    /// Sends a message from the process with the id `from`, after all that was sent to that address
    /// before. It is lost, without a word, if the connection cannot be made or breaks.
    pub fn send(&self, from: &str, to: &Upid, name: &str, body: Bytes) {
        let from = Upid::new(from, self.shared.own);
        let message = Encoded::new(&from, to, name, body);
        let mut peers = self.shared.peers();
        let Some(peer) = self.peer(&mut peers, to.address) else {
            tracing::warn!(%to, name, "dropped a message: connected to too many peers");
            return;
        };
        if let Err(Overflow) = peer.line.push(message, &self.shared.waiting) {
            tracing::warn!(%to, name, "cut off a peer that takes its messages too slowly");
        }
    }

    /// Watches an address: `exited` is called once when the connection there, which this opens if
    /// need be, ends for whatever reason. After that it takes a new link to be told again.
    pub fn link(&self, address: SocketAddrV4) {
        let mut peers = self.shared.peers();
        if let Some(peer) = self.peer(&mut peers, address) {
            peer.linked = true;
        } else {
            drop(peers);
            tracing::warn!(%address, "cannot link: connected to too many peers");
            let shared = Arc::clone(&self.shared);
            // Not from here: the caller may be the one who has to take the news.
            self.runtime.spawn(async move { (shared.exited)(address) });
        }
    }

    /// Waits until all that has been sent so far is in the kernel's hands or lost, for a process
    /// that is about to end.
    pub async fn flush(&self) {
        let lines: Vec<_> = self
            .shared
            .peers()
            .values()
            .map(|peer| Arc::clone(&peer.line))
            .collect();
        for line in lines {
            loop {
                let mut emptied = std::pin::pin!(line.emptied.notified());
                emptied.as_mut().enable();
                if line.queue().count == 0 {
                    break;
                }
                emptied.await;
            }
        }
    }

    /// The peer at an address, whose connection is begun if there is none; `None` if there are too many.
    fn peer<'a>(
        &self,
        peers: &'a mut HashMap<SocketAddrV4, Peer>,
        address: SocketAddrV4,
    ) -> Option<&'a mut Peer> {
        if !peers.contains_key(&address) && peers.len() >= limits::PEERS {
            return None;
        }
        let peer = peers.entry(address).or_insert_with(|| {
            let line = Arc::new(Line::default());
            let task = carry(Arc::clone(&self.shared), address, Arc::clone(&line));
            Peer {
                line,
                linked: false,
                task: self.runtime.spawn(task).abort_handle(),
            }
        });
        Some(peer)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for peer in self.shared.peers().values() {
            peer.task.abort();
        }
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers")
            .field("own", &self.shared.own)
            .field("connections", &self.shared.peers().len())
            .field("waiting_bytes", &self.shared.waiting)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn peers(&self) -> MutexGuard<'_, HashMap<SocketAddrV4, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up an idle connection, unless it is linked or has something to carry again.
    fn retire(&self, address: SocketAddrV4) -> bool {
        let mut peers = self.peers();
        let Some(peer) = peers.get(&address) else {
            return true;
        };
        // Looked at under the lock that senders take first, so that none puts a message into
        // a queue that is about to be forgotten.
        if peer.linked || peer.line.queue().count > 0 {
            return false;
        }
        peers.remove(&address);
        true
    }
}

/// There is no room for a message.
struct Overflow;

impl Line {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, message: Encoded, waiting: &AtomicUsize) -> Result<(), Overflow> {
        let mut queue = self.queue();
        if queue.dead {
            return Ok(());
        }
        let bytes = message.len();
        let full = queue.count >= limits::PEER_QUEUE_MESSAGES
            || queue.bytes.saturating_add(bytes) > limits::PEER_QUEUE_BYTES
            || waiting.load(Ordering::Relaxed).saturating_add(bytes) > limits::PEERS_QUEUE_BYTES;
        if full && queue.count > 0 {
            queue.dead = true;
            self.overflown.notify_one();
            return Err(Overflow);
        }
        queue.count += 1;
        queue.bytes += bytes;
        waiting.fetch_add(bytes, Ordering::Relaxed);
        queue.messages.push(message);
        self.filled.notify_one();
        Ok(())
    }

    fn take(&self) -> Vec<Encoded> {
        std::mem::take(&mut self.queue().messages)
    }

    /// Frees the room of messages that have been written.
    fn written(&self, count: usize, bytes: usize, waiting: &AtomicUsize) {
        let mut queue = self.queue();
        queue.count -= count;
        queue.bytes -= bytes;
        waiting.fetch_sub(bytes, Ordering::Relaxed);
        if queue.count == 0 {
            self.emptied.notify_waiters();
        }
    }

    /// Frees everything.
    fn end(&self, waiting: &AtomicUsize) {
        let mut queue = self.queue();
        waiting.fetch_sub(queue.bytes, Ordering::Relaxed);
        *queue = Queue {
            dead: true,
            ..Queue::default()
        };
        self.emptied.notify_waiters();
    }
}

/// Carries one connection from its beginning to its end.
async fn carry(shared: Arc<Shared>, address: SocketAddrV4, line: Arc<Line>) {
    let ended = tokio::select! {
        ended = exchange(&shared, address, &line) => ended,
        () = line.overflown.notified() => Err(io::Error::other("the peer takes too slowly")),
    };
    line.end(&shared.waiting);
    let Err(error) = ended else {
        return;
    };
    tracing::debug!(%address, %error, "the connection to a peer ended");
    let peer = shared.peers().remove(&address);
    if peer.is_some_and(|peer| peer.linked) {
        (shared.exited)(address);
    }
}

/// Connects and writes until the connection breaks, which is an error, or is given up.
async fn exchange(shared: &Shared, address: SocketAddrV4, line: &Line) -> io::Result<()> {
    let mut socket = timeout(limits::CONNECT_TIME, TcpStream::connect(address)).await??;
    configure(&socket)?;
    let (answers, messages) = socket.split();
    tokio::select! {
        ended = discard(answers) => ended,
        ended = write(shared, address, line, messages) => ended,
    }
}

/// Throws answers away: nothing depends on them. The end of the connection shows here.
async fn discard(mut answers: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut bytes = [0; 1024];
    while answers.read(&mut bytes).await? > 0 {}
    Err(io::ErrorKind::UnexpectedEof.into())
}

async fn write(
    shared: &Shared,
    address: SocketAddrV4,
    line: &Line,
    mut socket: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut gathered = BytesMut::new();
    loop {
        let messages = line.take();
        if messages.is_empty() {
            if timeout(limits::PEER_IDLE_TIME, line.filled.notified())
                .await
                .is_err()
            {
                if shared.retire(address) {
                    return Ok(());
                }
                // Linked, or about to be filled.
                line.filled.notified().await;
            }
            continue;
        }
        let count = messages.len();
        let bytes = messages.iter().map(Encoded::len).sum();
        for part in messages.iter().flat_map(Encoded::parts) {
            if gathered.len() + part.len() > limits::PEER_WRITE_BYTES {
                write_all(&mut socket, &gathered).await?;
                gathered.clear();
            }
            if part.len() > limits::PEER_WRITE_BYTES {
                write_all(&mut socket, part).await?;
            } else {
                gathered.extend_from_slice(part);
            }
        }
        write_all(&mut socket, &gathered).await?;
        gathered = BytesMut::new();
        line.written(count, bytes, &shared.waiting);
    }
}

async fn write_all(socket: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = timeout(limits::WRITE_SILENCE, socket.write(bytes)).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}
