//! What waits for a machine, counted as Mesos counts its own queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The sorts of what can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A libprocess message.
    Message,
    /// A request that only the machine can answer.
    HttpRequest,
    /// Whatever the process tells the machine itself.
    Dispatch,
}

/// How much of each sort waits.
#[derive(Debug, Default)]
pub(crate) struct Depths {
    messages: AtomicUsize,
    http_requests: AtomicUsize,
    dispatches: AtomicUsize,
}

impl Depths {
    /// By the ends of the names that Mesos has for them.
    pub(crate) fn by_name(&self) -> [(&'static str, usize); 3] {
        [
            ("event_queue_messages", Sort::Message),
            ("event_queue_http_requests", Sort::HttpRequest),
            ("event_queue_dispatches", Sort::Dispatch),
        ]
        .map(|(name, sort)| (name, self.of(sort).load(Ordering::Relaxed)))
    }

    fn of(&self, sort: Sort) -> &AtomicUsize {
        match sort {
            Sort::Message => &self.messages,
            Sort::HttpRequest => &self.http_requests,
            Sort::Dispatch => &self.dispatches,
        }
    }
}

/// Something waits, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    depths: Arc<Depths>,
    sort: Sort,
}

impl Place {
    pub(super) fn take(depths: &Arc<Depths>, sort: Sort) -> Self {
        depths.of(sort).fetch_add(1, Ordering::Relaxed);
        Self {
            depths: Arc::clone(depths),
            sort,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.depths.of(self.sort).fetch_sub(1, Ordering::Relaxed);
    }
}
