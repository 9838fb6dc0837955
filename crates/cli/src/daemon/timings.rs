//! How long the parts of a master take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use meseta_endpoints::Timing;
use meseta_machine::Now;
use meseta_master::http::Earlier;
use meseta_master::{Action, Input, Master, Snapshot};

use super::driver::{Changes, Machine};
use super::limits::{MAX_TIMING, TIMING_DIGITS};
use super::registrar::Registrar;
use super::traces::{Counts, MasterTraces};
use super::waiting::Depths;

/// How long the parts of a master take.
#[derive(Debug)]
pub(crate) struct Timings {
    allocation_run: Recorder,
    allocation_latency: Recorder,
    queue: Recorder,
    store: Recorder,
    registrar: Registrar,
    waiting: Arc<Depths>,
}

impl Timings {
    pub(crate) fn new(registrar: Registrar, waiting: Arc<Depths>) -> Arc<Self> {
        Arc::new(Self {
            registrar,
            waiting,
            allocation_run: Recorder::new(),
            allocation_latency: Recorder::new(),
            queue: Recorder::new(),
            store: Recorder::new(),
        })
    }

    /// Changes are about to be made durable.
    pub(crate) fn storing(&self, changes: usize) {
        self.registrar.storing(changes);
    }

    /// Changes were made durable.
    pub(crate) fn stored(&self, time: Duration, bytes: u64) {
        self.store.record(time);
        self.registrar.stored(bytes);
    }

    /// How much waits, and how much the registry has.
    #[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
    pub(crate) fn gauges(&self) -> Vec<(String, f64)> {
        let waiting = self.waiting.by_name().into_iter();
        let waiting = waiting.map(|(name, count)| (format!("master/{name}"), count as f64));
        let registrar = self.registrar.metrics().into_iter();
        let registrar = registrar.map(|(name, value)| (name.to_owned(), value));
        waiting.chain(registrar).collect()
    }

    /// All of them, under the names of their metrics.
    pub(crate) fn all(&self) -> Vec<Timing> {
        let named = [
            (
                "allocator/mesos/allocation_run",
                "How long it takes to decide who is offered what",
                &self.allocation_run,
            ),
            (
                "allocator/mesos/allocation_run_latency",
                "How long something that can be offered waits for that decision",
                &self.allocation_latency,
            ),
            (
                "master/event_queue_wait",
                "How long messages and calls wait for their turn",
                &self.queue,
            ),
            (
                "registrar/state_store",
                "How long it takes to make changes of the registry durable",
                &self.store,
            ),
        ];
        named
            .map(|(name, help, recorder)| recorder.timing(name, help))
            .to_vec()
    }
}

/// Times in microseconds.
#[derive(Debug)]
struct Recorder(Mutex<Recorded>);

#[derive(Debug)]
struct Recorded {
    times: Option<Histogram<u64>>,
    sum: Duration,
    latest: Duration,
}

impl Recorder {
    fn new() -> Self {
        let bound = u64::try_from(MAX_TIMING.as_micros()).unwrap_or(u64::MAX);
        Self(Mutex::new(Recorded {
            times: Histogram::new_with_bounds(1, bound, TIMING_DIGITS).ok(),
            sum: Duration::ZERO,
            latest: Duration::ZERO,
        }))
    }

    /// What is in it is whole between any two statements.
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, time: Duration) {
        let mut recorded = self.recorded();
        recorded.sum += time;
        recorded.latest = time;
        if let Some(times) = &mut recorded.times {
            times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn timing(&self, name: &'static str, help: &'static str) -> Timing {
        let recorded = self.recorded();
        let mut timing = Timing {
            name,
            help,
            latest: recorded.latest,
            sum: recorded.sum,
            ..Timing::default()
        };
        if let Some(times) = &recorded.times {
            timing.count = times.len();
            timing.min = Duration::from_micros(if times.is_empty() { 0 } else { times.min() });
            timing.max = Duration::from_micros(times.max());
            timing.quantiles = Timing::QUANTILES
                .map(|(_, quantile)| Duration::from_micros(times.value_at_quantile(quantile)));
            timing.buckets = Timing::BOUNDS.map(|bound| {
                let bound = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
                times.count_between(0, bound)
            });
        }
        timing
    }
}

/// A master whose parts are timed.
#[derive(Debug)]
pub(crate) struct Timed {
    master: Master,
    timings: Arc<Timings>,
    /// Since when an allocation is due.
    due_since: Option<Instant>,
    /// What follows tasks on their way, if anybody wants that.
    traces: Option<MasterTraces>,
    /// How long the next input has waited.
    waited: Duration,
    earlier: Arc<Earlier>,
}

/// What readers see of it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) snapshot: Snapshot,
    pub(crate) timings: Arc<Timings>,
    pub(crate) spans: Option<Arc<Counts>>,
    /// What earlier answers said, for those to come.
    pub(crate) earlier: Arc<Earlier>,
}

impl Timed {
    pub(crate) fn new(master: Master, timings: Arc<Timings>, traces: Option<MasterTraces>) -> Self {
        Self {
            master,
            timings,
            due_since: None,
            traces,
            waited: Duration::ZERO,
            earlier: Arc::default(),
        }
    }
}

impl Machine for Timed {
    type Input = Input;
    type Action = Action;
    type Snapshot = Seen;

    fn wake() -> Input {
        Input::Wake
    }

    fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        let runs = self.master.metrics().allocation_runs;
        let begin = Instant::now();
        let waited = std::mem::take(&mut self.waited);
        let traced = self.traces.as_ref().map(|_| MasterTraces::cause(&input));
        let before = actions.len();
        self.master.step(now, input, actions);
        if let (Some(traces), Some(cause)) = (&mut self.traces, traced) {
            let came = now.wall.saturating_sub(waited);
            let done = now.wall + begin.elapsed();
            traces.saw(
                cause,
                (came, done),
                actions.get(before..).unwrap_or_default(),
            );
        }
        if self.master.metrics().allocation_runs != runs {
            self.timings.allocation_run.record(begin.elapsed());
            if let Some(since) = self.due_since.take() {
                let waited = begin.saturating_duration_since(since);
                self.timings.allocation_latency.record(waited);
            }
        }
        if self.master.is_allocation_due() {
            self.due_since.get_or_insert_with(Instant::now);
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        self.master.next_wake()
    }

    fn snapshot(&self) -> Seen {
        Seen {
            snapshot: self.master.snapshot(),
            timings: Arc::clone(&self.timings),
            spans: self.traces.as_ref().map(MasterTraces::counts),
            earlier: Arc::clone(&self.earlier),
        }
    }

    fn waited(&mut self, time: Duration) {
        self.waited = time;
        self.timings.queue.record(time);
    }

    fn into_changes(action: Action) -> Result<Changes, Action> {
        match action {
            Action::Persist { changes } => Ok(Changes::Persist(changes)),
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_summed_and_ranked() {
        let timings = Timings::new(Registrar::default(), Arc::default());
        for milliseconds in 1..=100 {
            timings.stored(Duration::from_millis(milliseconds), 7);
        }
        let all = timings.all();
        let store = all.iter().find(|it| it.name == "registrar/state_store");
        let store = store.expect("the store's");
        assert_eq!(store.count, 100);
        assert_eq!(store.sum, Duration::from_millis(5050));
        assert_eq!(store.latest, Duration::from_millis(100));
        let [median, ..] = store.quantiles;
        assert!(median.abs_diff(Duration::from_millis(50)) < Duration::from_millis(2));
        let counts = store.buckets;
        assert!(counts.is_sorted() && counts.last() == Some(&100));
        let size = ("registrar/registry_size_bytes".to_owned(), 7.0);
        assert!(timings.gauges().contains(&size));
    }
}
