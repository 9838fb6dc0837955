//! Traces of the ways that tasks go, for collectors of OpenTelemetry: nothing of it happens unless an
//! endpoint is given.
//!
//! ```text
//! task                            from ACCEPT until its end is acknowledged
//! ├─ master.accept                validation, and the order to the agent
//! │  └─ agent.run_task            admission
//! │     ├─ agent.launch           the sandbox, what is fetched, the executor's process
//! │     └─ executor.subscribe     until the executor has its tasks
//! ├─ agent.update                 what the executor tells, made durable and passed on
//! ├─ master.update                the same, passed on to the scheduler
//! ├─ scheduler.acknowledge        until the scheduler has taken note
//! └─ agent.acknowledge            until the agent knows of that
//! ```
//!
//! All of a task's spans are of one trace, whose id follows from the ids of framework and task: master
//! and agent agree on it without a word, beside agents and masters that know nothing of traces. What the
//! machines do is seen from outside, by what goes into them and comes out.

mod agent;
mod export;
mod master;
mod otlp;
mod pending;
mod updates;

pub(super) use agent::AgentTraces;
pub(super) use master::MasterTraces;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use meseta_proto::v1::{FrameworkId, TaskId};
use sha2::{Digest as _, Sha256};

use self::export::Destination;
use super::limits::MAX_WAITING_SPANS;
use crate::Failure;
use crate::flags::Flags;

/// What has become of the spans of a daemon whose metrics have this name; nothing if it makes none.
pub(super) fn metrics(daemon: &str, counts: Option<&Counts>) -> Vec<(String, f64)> {
    let counts = counts.into_iter().flat_map(Counts::by_name);
    let named = counts.map(|(name, count)| (format!("{daemon}/{name}"), count));
    named.collect()
}

/// Where spans go.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    spans: SyncSender<Span>,
    counts: Arc<Counts>,
}

/// What has become of spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// By the ends of the names of their metrics.
    #[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
    fn by_name(&self) -> [(&'static str, f64); 2] {
        [
            ("trace_spans_exported", &self.exported),
            ("trace_spans_dropped", &self.dropped),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed) as f64))
    }
}

impl Traces {
    /// Begins to export, if the flags or OpenTelemetry's environment say where to.
    pub(crate) fn from_flags(
        flags: &Flags,
        service: &'static str,
        hostname: &str,
    ) -> Result<Option<Self>, Failure> {
        let Some(destination) = Destination::find(flags, service, hostname)? else {
            return Ok(None);
        };
        let (spans, waiting) = sync_channel(MAX_WAITING_SPANS);
        let counts = Arc::<Counts>::default();
        let of_exporter = Arc::clone(&counts);
        let thread = std::thread::Builder::new().name("traces".into());
        thread
            .spawn(move || export::run(&destination, &waiting, &of_exporter))
            .map_err(|e| Failure::Start(format!("failed to start the thread of traces: {e}")))?;
        Ok(Some(Self { spans, counts }))
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Never waits: what there is no room for is dropped, and counted.
    fn send(&self, span: Span) {
        match self.spans.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A part of a task's way.
#[derive(Debug, Clone)]
struct Span {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    name: &'static str,
    /// Since the Unix epoch.
    start: Duration,
    end: Duration,
    attributes: Vec<(&'static str, String)>,
    /// What went wrong.
    error: Option<String>,
}

type SpanId = [u8; 8];

/// The trace of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TraceId([u8; 16]);

/// A task, as spans know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TaskKey {
    framework: FrameworkId,
    task: TaskId,
}

/// An update of a task.
type UpdateKey = (TaskKey, Vec<u8>);

const TASK: &str = "task";
const ACCEPT: &str = "master.accept";
const RUN_TASK: &str = "agent.run_task";

impl TaskKey {
    fn new(framework: &FrameworkId, task: &TaskId) -> Self {
        Self {
            framework: framework.clone(),
            task: task.clone(),
        }
    }

    fn trace(&self) -> TraceId {
        let text = [self.framework.as_str(), self.task.as_str()];
        TraceId(digest(text.map(str::as_bytes)))
    }

    /// A span of this task. `within` is the name of the one that it is a part of.
    fn span(&self, name: &'static str, within: &str, start: Duration, end: Duration) -> Span {
        let trace = self.trace();
        Span {
            trace,
            id: trace.span(name, &[]),
            parent: Some(trace.span(within, &[])),
            name,
            start,
            end: end.max(start),
            attributes: vec![
                ("mesos.framework.id", self.framework.as_str().to_owned()),
                ("mesos.task.id", self.task.as_str().to_owned()),
            ],
            error: None,
        }
    }
}

impl TraceId {
    /// The id of a span that there is once in a trace, or once for each `detail`.
    fn span(self, name: &str, detail: &[u8]) -> SpanId {
        digest([&self.0, name.as_bytes(), detail])
    }
}

impl Span {
    fn of_update(mut self, uuid: &[u8]) -> Self {
        self.id = self.trace.span(self.name, uuid);
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    fn failed(mut self, reason: impl Into<String>) -> Self {
        self.error = Some(reason.into());
        self
    }
}

/// The beginning of a digest of parts, each with its length.
fn digest<const LENGTH: usize, const PARTS: usize>(parts: [&[u8]; PARTS]) -> [u8; LENGTH] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut out = [0; LENGTH];
    for (to, from) in out.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_spans_are_of_one_trace_and_tell_themselves_apart() {
        let key = |framework: &str, task: &str| TaskKey::new(&framework.into(), &task.into());
        let trace = key("f", "t").trace();
        assert_eq!(trace, key("f", "t").trace());
        for other in [key("f", "u"), key("g", "t"), key("ft", ""), key("", "ft")] {
            assert_ne!(trace, other.trace());
        }
        let at = Duration::from_secs;
        let accept = key("f", "t").span(ACCEPT, TASK, at(1), at(2));
        let run = key("f", "t").span(RUN_TASK, ACCEPT, at(2), at(1));
        assert_eq!(run.parent, Some(accept.id));
        assert_eq!(run.end, at(2), "it does not end before it begins");
        let update = |uuid: &[u8]| {
            let span = key("f", "t").span("master.update", TASK, at(1), at(2));
            span.of_update(uuid).id
        };
        assert_ne!(update(b"one"), update(b"two"));
    }

    #[test]
    fn who_sends_never_waits_and_what_is_dropped_is_counted() {
        let (spans, waiting) = sync_channel(1);
        let traces = Traces {
            spans,
            counts: Arc::default(),
        };
        let key = TaskKey::new(&"f".into(), &"t".into());
        for _ in 0..3 {
            traces.send(key.span(ACCEPT, TASK, Duration::ZERO, Duration::ZERO));
        }
        assert_eq!(traces.counts.dropped.load(Ordering::Relaxed), 2);
        drop(waiting);
        traces.send(key.span(ACCEPT, TASK, Duration::ZERO, Duration::ZERO));
        assert_eq!(traces.counts.dropped.load(Ordering::Relaxed), 3);
    }
}
