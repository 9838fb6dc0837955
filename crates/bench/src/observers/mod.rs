//! Those who look on: pollers of endpoints and subscribers of operator events.
//!
//! They have a thread of their own, so that what they measure is not how busy the emulated agents and
//! frameworks are.

mod events;
mod polls;

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::frameworks::Encoding;
use crate::measure::Distribution;

/// Somebody who looks on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Observer {
    /// Gets a path again and again, this long after each answer.
    Poll { path: &'static str, rest: Duration },
    /// Makes a call of the operator API again and again.
    Call {
        r#type: meseta_proto::v1::master::call::Type,
        encoding: Encoding,
        rest: Duration,
    },
    /// Subscribes to events of the operator API.
    Events { encoding: Encoding },
}

/// What observers of one kind saw.
#[derive(Debug, Default)]
pub(crate) struct Observation {
    pub(crate) name: String,
    /// For pollers, how long answers took; for subscribers, from the making of a status to its event.
    pub(crate) times: Distribution,
    /// For subscribers, until the first event: the whole state.
    pub(crate) first: Distribution,
    /// Size of the largest answer or event.
    pub(crate) largest: u64,
    pub(crate) seen: u64,
    pub(crate) failed: u64,
    pub(crate) sentence: Option<String>,
}

/// Observers at work.
#[derive(Debug)]
pub(crate) struct Observers {
    stop: watch::Sender<bool>,
    thread: JoinHandle<Vec<Observation>>,
    counts: Arc<Counts>,
}

/// What can be known of observers while they are at work.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Subscribers that have the state.
    subscribed: AtomicU64,
    /// Updates of tasks, of all subscribers together.
    updates: AtomicU64,
}

impl Counts {
    pub(crate) fn subscribed(&self) -> u64 {
        self.subscribed.load(Ordering::Relaxed)
    }

    pub(crate) fn updates(&self) -> u64 {
        self.updates.load(Ordering::Relaxed)
    }
}

impl Observers {
    pub(crate) fn start(target: SocketAddrV4, observers: Vec<Observer>) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let (stop, stopped) = watch::channel(false);
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("observers".to_owned())
            .spawn(move || runtime.block_on(observe(target, observers, stopped, shared)))
            .map_err(Error::Runtime)?;
        Ok(Self {
            stop,
            thread,
            counts,
        })
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Ends them. Those that looked at the same thing have seen it together.
    pub(crate) fn finish(self) -> Vec<Observation> {
        // They may have ended by themselves.
        let _ = self.stop.send(true);
        self.thread.join().unwrap_or_default()
    }
}

async fn observe(
    target: SocketAddrV4,
    observers: Vec<Observer>,
    stopped: watch::Receiver<bool>,
    counts: Arc<Counts>,
) -> Vec<Observation> {
    let mut tasks = JoinSet::new();
    for observer in observers {
        let (stopped, counts) = (stopped.clone(), Arc::clone(&counts));
        tasks.spawn(async move {
            match observer {
                Observer::Poll { path, rest } => polls::get(target, path, rest, stopped).await,
                Observer::Call {
                    r#type,
                    encoding,
                    rest,
                } => polls::call(target, r#type, encoding, rest, stopped).await,
                Observer::Events { encoding } => {
                    events::follow(target, encoding, stopped, &counts).await
                }
            }
        });
    }
    let mut together: Vec<Observation> = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let Ok(seen) = done else { continue };
        match together.iter_mut().find(|known| known.name == seen.name) {
            Some(known) => known.merge(seen),
            None => together.push(seen),
        }
    }
    together.sort_by(|a, b| a.name.cmp(&b.name));
    together
}

impl Observation {
    fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    fn merge(&mut self, other: Self) {
        self.times.merge(&other.times);
        self.first.merge(&other.first);
        self.largest = self.largest.max(other.largest);
        self.seen += other.seen;
        self.failed += other.failed;
        self.sentence = self.sentence.take().or(other.sentence);
    }

    fn fail(&mut self, error: &Error) {
        self.failed += 1;
        self.sentence = Some(error.to_string());
    }
}

/// Waits until observers are to stop.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    // That the sender is gone means the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}
