//! Event streams: answers that go on for as long as the client listens.
//!
//! The sender is synchronous and never waits, so that a state machine's shell can write to
//! thousands of subscribers in one pass. What a slow client has not taken yet is bounded: beyond
//! the bound the client is cut off, and subscribes again when it is fit to.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::limits;

/// A new event stream that holds at most `limit_bytes` of what its client has not taken yet, and
/// little when much is in the `backlog` of all. The body goes into the [`crate::Response`], the
/// sender to whoever has events.
pub fn event_stream(limit_bytes: usize, backlog: &Backlog) -> (StreamSender, EventBody) {
    let stream = Arc::new(Stream {
        limit_bytes,
        backlog: backlog.clone(),
        state: Mutex::default(),
        gone: Notify::new(),
    });
    let sender = StreamSender(Arc::new(SenderHandle(Arc::clone(&stream))));
    (sender, EventBody(stream))
}

/// How many bytes wait for the clients of some event streams together.
#[derive(Debug, Clone, Default)]
pub struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// How many they are now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The end of an event stream that events are put into. Clones write to the same stream; when the
/// last one is dropped, the stream ends as with [`StreamSender::close`].
#[derive(Clone)]
pub struct StreamSender(Arc<SenderHandle>);

/// The end of an event stream that goes to the client, as a [`crate::Body`].
pub struct EventBody(Arc<Stream>);

/// Why an event was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The client reads too slowly. Its connection has been cut.
    #[error(
        "the event stream holds {queued} bytes that its client has not taken: \
         {event} more exceed the {limit} allowed"
    )]
    Overflow {
        /// What waits for the client.
        queued: usize,
        /// The size of the event that was refused.
        event: usize,
        /// The bound.
        limit: usize,
    },
    /// The client has gone or the stream has been closed.
    #[error("the event stream has ended")]
    Ended,
}

struct SenderHandle(Arc<Stream>);

struct Stream {
    limit_bytes: usize,
    backlog: Backlog,
    state: Mutex<State>,
    /// Rings when the body has been dropped.
    gone: Notify,
}

#[derive(Default)]
struct State {
    /// What comes before all else, and counts nowhere: whoever shares it among streams bounds it.
    shared: Option<Bytes>,
    /// What comes before the queue, and does not count in it.
    first: VecDeque<Bytes>,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    phase: Phase,
    /// The connection's task, while it waits for an event.
    reader: Option<Waker>,
    /// Cuts the connection that carries the stream.
    cut: Option<Arc<Notify>>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Nothing more is taken; what waits still goes out.
    Closing,
    /// The client did not keep up.
    Overflown,
    /// Nobody reads any more.
    Gone,
}

impl StreamSender {
    /// Appends an event, which becomes one HTTP chunk: some clients decode one record from each.
    pub fn send(&self, event: Bytes) -> Result<(), SendError> {
        let stream = &self.0.0;
        let mut state = stream.state();
        if state.phase != Phase::Open {
            return Err(SendError::Ended);
        }
        if event.is_empty() {
            return Ok(());
        }
        let limit = stream.limit(event.len());
        if state.queued_bytes.saturating_add(event.len()) > limit {
            let overflow = SendError::Overflow {
                queued: state.queued_bytes,
                event: event.len(),
                limit,
            };
            stream.forget(&mut state);
            state.overflow();
            return Err(overflow);
        }
        state.queued_bytes += event.len();
        stream.backlog.0.fetch_add(event.len(), Ordering::Relaxed);
        state.queue.push_back(event);
        state.wake_reader();
        Ok(())
    }

    /// Ends the stream in order: the client gets what was sent before, and then the last chunk.
    pub fn close(&self) {
        self.0.0.close();
    }

    /// Waits until nothing reaches the client any more: it went away, was cut off, or has been
    /// given the end of the stream.
    pub async fn closed(&self) {
        let stream = &self.0.0;
        loop {
            let mut gone = std::pin::pin!(stream.gone.notified());
            // Listen before looking, so that a departure in between is not missed.
            gone.as_mut().enable();
            if stream.state().phase == Phase::Gone {
                return;
            }
            gone.await;
        }
    }
}

impl Drop for SenderHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl EventBody {
    /// Puts events before all others, which may be sent already. However large they are, they do not
    /// count as what its client has not taken; but they count in the backlog of all.
    ///
    /// # Errors
    /// When so much waits for others that there is no room for them.
    pub fn begin_with(&self, events: Vec<Bytes>) -> Result<(), SendError> {
        let size = events.iter().map(Bytes::len).sum();
        let stream = &self.0;
        let mut state = stream.state();
        let of_all = stream.backlog.0.load(Ordering::Relaxed);
        if of_all.saturating_add(size) > limits::STREAMS_BYTES {
            return Err(SendError::Overflow {
                queued: of_all,
                event: size,
                limit: limits::STREAMS_BYTES,
            });
        }
        stream.backlog.0.fetch_add(size, Ordering::Relaxed);
        state.first = events.into();
        state.wake_reader();
        Ok(())
    }

    /// Puts an event before all others that other streams begin with as well: it is in memory once, so
    /// that it counts neither for this client nor in the backlog of all. It is let go when the last of
    /// their clients has taken it, or is gone.
    pub fn begin_with_shared(&self, event: Bytes) {
        let mut state = self.0.state();
        if state.phase != Phase::Overflown {
            state.shared = Some(event);
            state.wake_reader();
        }
    }

    /// Names what cuts the connection that carries this stream. Without it an overflow would only be
    /// noticed when the client reads again, which it may never do.
    pub(crate) fn cut_with(&self, cut: Arc<Notify>) {
        let mut state = self.0.state();
        if state.phase == Phase::Overflown {
            cut.notify_one();
        }
        state.cut = Some(cut);
    }

    /// The next event; `None` after the last one. Says so if the client did not keep up.
    pub(crate) fn poll_event(
        &self,
        context: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, Overflown>>> {
        let mut state = self.0.state();
        if state.phase == Phase::Overflown {
            return Poll::Ready(Some(Err(Overflown)));
        }
        if let Some(event) = state.shared.take() {
            return Poll::Ready(Some(Ok(event)));
        }
        if let Some(event) = state.first.pop_front() {
            self.0.backlog.0.fetch_sub(event.len(), Ordering::Relaxed);
            return Poll::Ready(Some(Ok(event)));
        }
        if let Some(event) = state.queue.pop_front() {
            state.queued_bytes -= event.len();
            self.0.backlog.0.fetch_sub(event.len(), Ordering::Relaxed);
            return Poll::Ready(Some(Ok(event)));
        }
        if state.phase != Phase::Open {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        let mut state = self.0.state();
        self.0.forget(&mut state);
        *state = State {
            phase: Phase::Gone,
            ..State::default()
        };
        drop(state);
        self.0.gone.notify_waiters();
    }
}

/// The client of an event stream did not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client reads the event stream too slowly")]
pub(crate) struct Overflown;

impl Stream {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may wait for the client, with a further event for it.
    fn limit(&self, event: usize) -> usize {
        let of_all = self.backlog.0.load(Ordering::Relaxed);
        if of_all.saturating_add(event) > limits::STREAMS_BYTES {
            self.limit_bytes.min(limits::STREAM_SHARE_BYTES)
        } else {
            self.limit_bytes
        }
    }

    /// Drops what waits.
    fn forget(&self, state: &mut State) {
        state.queue = VecDeque::new();
        state.shared = None;
        let first = std::mem::take(&mut state.first);
        let first: usize = first.iter().map(Bytes::len).sum();
        let bytes = std::mem::take(&mut state.queued_bytes) + first;
        self.backlog.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
            state.wake_reader();
        }
    }
}

impl State {
    fn overflow(&mut self) {
        self.phase = Phase::Overflown;
        if let Some(cut) = &self.cut {
            cut.notify_one();
        }
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl fmt::Debug for StreamSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSender")
            .field("queued_bytes", &self.0.0.state().queued_bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EventBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody")
            .field("queued_bytes", &self.0.state().queued_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(body: &EventBody) -> Poll<Option<Result<Bytes, Overflown>>> {
        body.poll_event(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn events_come_out_in_order_and_one_by_one() {
        let (sender, body) = event_stream(100, &Backlog::default());
        sender.send(Bytes::from_static(b"one")).unwrap();
        sender.clone().send(Bytes::from_static(b"two")).unwrap();
        assert_eq!(
            poll(&body),
            Poll::Ready(Some(Ok(Bytes::from_static(b"one"))))
        );
        assert_eq!(
            poll(&body),
            Poll::Ready(Some(Ok(Bytes::from_static(b"two"))))
        );
        assert_eq!(poll(&body), Poll::Pending);
    }

    #[test]
    fn what_streams_share_comes_first_counts_nowhere_and_is_let_go_when_taken() {
        let backlog = Backlog::default();
        let record = Bytes::from(vec![b'x'; 1000]);
        let streams = [event_stream(4, &backlog), event_stream(4, &backlog)];
        for (sender, body) in &streams {
            sender.send(Bytes::from_static(b"next")).unwrap();
            body.begin_with_shared(record.clone());
        }
        assert_eq!(backlog.bytes(), 2 * 4);
        assert!(!record.is_unique());
        let [(_sender, taken), (cut, overflown)] = &streams;
        assert_eq!(poll(taken), Poll::Ready(Some(Ok(record.clone()))));
        assert_eq!(
            poll(taken),
            Poll::Ready(Some(Ok(Bytes::from_static(b"next"))))
        );
        cut.send(Bytes::from_static(b"!")).unwrap_err();
        assert_eq!(poll(overflown), Poll::Ready(Some(Err(Overflown))));
        assert!(record.is_unique());
    }

    #[test]
    fn what_the_client_has_taken_makes_room() {
        let (sender, body) = event_stream(4, &Backlog::default());
        for _ in 0..10 {
            sender.send(Bytes::from_static(b"four")).unwrap();
            assert!(poll(&body).is_ready());
        }
    }

    #[test]
    fn an_overflow_frees_the_queue_and_cuts_the_connection() {
        let (sender, body) = event_stream(4, &Backlog::default());
        let cut = Arc::new(Notify::new());
        body.cut_with(Arc::clone(&cut));
        sender.send(Bytes::from_static(b"four")).unwrap();
        let overflow = SendError::Overflow {
            queued: 4,
            event: 1,
            limit: 4,
        };
        assert_eq!(sender.send(Bytes::from_static(b"!")), Err(overflow));
        assert_eq!(sender.send(Bytes::from_static(b"!")), Err(SendError::Ended));
        assert_eq!(poll(&body), Poll::Ready(Some(Err(Overflown))));
        let rung = std::pin::pin!(cut.notified());
        assert!(
            rung.poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        );
    }

    #[test]
    fn an_overflow_before_the_connection_is_known_cuts_it_too() {
        let (sender, body) = event_stream(1, &Backlog::default());
        sender.send(Bytes::from_static(b"too long")).unwrap_err();
        let cut = Arc::new(Notify::new());
        body.cut_with(Arc::clone(&cut));
        let rung = std::pin::pin!(cut.notified());
        assert!(
            rung.poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        );
    }

    #[test]
    fn when_too_much_waits_for_all_those_are_cut_off_that_have_more_than_their_share() {
        let backlog = Backlog::default();
        let (slow, slow_body) = event_stream(usize::MAX, &backlog);
        let (quick, body) = event_stream(usize::MAX, &backlog);
        slow.send(Bytes::from(vec![0; limits::STREAMS_BYTES]))
            .unwrap();
        quick.send(Bytes::from_static(b"small")).unwrap();
        assert!(poll(&body).is_ready());
        let large = Bytes::from(vec![0; limits::STREAM_SHARE_BYTES + 1]);
        assert!(quick.send(large).is_err());
        assert!(slow.send(Bytes::from_static(b"small")).is_err());
        assert_eq!(backlog.0.load(Ordering::Relaxed), 0);
        drop(slow_body);
        assert_eq!(backlog.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_closed_stream_ends_after_what_was_sent() {
        let (sender, body) = event_stream(100, &Backlog::default());
        sender.send(Bytes::from_static(b"last")).unwrap();
        sender.close();
        assert_eq!(
            sender.send(Bytes::from_static(b"late")),
            Err(SendError::Ended)
        );
        assert_eq!(
            poll(&body),
            Poll::Ready(Some(Ok(Bytes::from_static(b"last"))))
        );
        assert_eq!(poll(&body), Poll::Ready(None));
    }

    #[test]
    fn what_a_stream_begins_with_comes_first_and_does_not_count() {
        let backlog = Backlog::default();
        let (sender, body) = event_stream(4, &backlog);
        sender.send(Bytes::from_static(b"next")).unwrap();
        body.begin_with(vec!["a large state".into(), "what was missed".into()])
            .unwrap();
        assert_eq!(backlog.bytes(), 32);
        for expected in ["a large state", "what was missed", "next"] {
            let event = poll(&body);
            assert_eq!(event, Poll::Ready(Some(Ok(Bytes::from(expected)))));
        }
        assert_eq!(backlog.bytes(), 0);
        body.begin_with(vec!["unread".into()]).unwrap();
        drop(body);
        assert_eq!(backlog.bytes(), 0);
        let (_, body) = event_stream(4, &backlog);
        let room = limits::STREAMS_BYTES;
        backlog.0.fetch_add(room, Ordering::Relaxed);
        assert!(body.begin_with(vec!["x".into()]).is_err());
    }

    #[test]
    fn the_last_sender_closes_the_stream() {
        let (sender, body) = event_stream(100, &Backlog::default());
        let other = sender.clone();
        drop(sender);
        assert_eq!(poll(&body), Poll::Pending);
        drop(other);
        assert_eq!(poll(&body), Poll::Ready(None));
    }

    #[tokio::test]
    async fn the_sender_learns_that_the_client_went_away() {
        let (sender, body) = event_stream(100, &Backlog::default());
        let mut closed = Box::pin(sender.closed());
        assert!(
            closed
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        drop(body);
        closed.await;
        sender.closed().await;
        assert_eq!(
            sender.send(Bytes::from_static(b"late")),
            Err(SendError::Ended)
        );
    }
}
