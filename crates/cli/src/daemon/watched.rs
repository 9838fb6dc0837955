//! An agent with the process around it, as its endpoints see both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meseta_agent::http::{Statistics, Surroundings};
use meseta_agent::{Action, Agent, Input, Snapshot};
use meseta_endpoints::{Piece, Process};
use meseta_machine::{Now, Reply};
use meseta_proto::v1::FileInfo;

use super::driver::{Changes, Machine};
use super::measures::Measures;
use super::sessions::Sessions;
use super::system;
use super::traces::{self, AgentTraces, Counts};
use crate::files::{self, Sandboxes, Shown, WithLog};
use crate::logging;

/// The path of an agent's log. The name is Mesos's.
const LOG: &str = "/slave/log";

/// An agent whose readers see what is around it, too.
#[derive(Debug)]
pub(crate) struct Watched {
    agent: Agent,
    measures: Arc<Measures>,
    sessions: Sessions,
    /// What follows tasks on their way, if anybody wants that.
    traces: Option<AgentTraces>,
}

/// What they see.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) snapshot: Snapshot,
    pub(crate) sessions: Sessions,
    measures: Arc<Measures>,
    spans: Option<Arc<Counts>>,
}

impl Watched {
    pub(crate) fn new(
        agent: Agent,
        measures: Measures,
        sessions: Sessions,
        traces: Option<AgentTraces>,
    ) -> Self {
        Self {
            agent,
            measures: Arc::new(measures),
            sessions,
            traces,
        }
    }
}

impl Machine for Watched {
    type Input = Input;
    type Action = Action;
    type Snapshot = Seen;

    fn wake() -> Input {
        Input::Wake
    }

    fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        let begin = Instant::now();
        let traced = self.traces.as_ref().map(|_| AgentTraces::cause(&input));
        let before = actions.len();
        self.agent.step(now, input, actions);
        if let (Some(traces), Some(cause)) = (&mut self.traces, traced) {
            let done = now.wall + begin.elapsed();
            let actions = actions.get(before..).unwrap_or_default();
            traces.saw(cause, (now.wall, done), actions);
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        self.agent.next_wake()
    }

    fn snapshot(&self) -> Seen {
        Seen {
            snapshot: self.agent.snapshot(),
            sessions: self.sessions.clone(),
            measures: Arc::clone(&self.measures),
            spans: self.traces.as_ref().map(AgentTraces::counts),
        }
    }

    fn into_changes(action: Action) -> Result<Changes, Action> {
        match action {
            Action::Persist { changes } => Ok(Changes::Persist(changes)),
            Action::Record { changes } => Ok(Changes::Record(changes)),
            Action::Note { changes } => Ok(Changes::Note(changes)),
            other => Err(other),
        }
    }

    fn follows_notes(action: &Action) -> bool {
        matches!(action, Action::ForgetStarted { .. })
    }
}

impl Seen {
    /// Does something with the files that the agent shows.
    pub(crate) fn with_files<T>(&self, look: impl FnOnce(&dyn Shown) -> T) -> T {
        let snapshot = &self.snapshot;
        let id = snapshot.info.id.as_ref().map(ToString::to_string);
        let volumes = |framework: &str, executor: &str| snapshot.volumes_of(framework, executor);
        look(&WithLog {
            name: LOG,
            file: logging::shown(&snapshot.config.flags),
            others: &Sandboxes::new(&snapshot.config.work_dir, id, &volumes),
        })
    }

    /// The log and the sandboxes by the paths that requests may name.
    pub(crate) fn attached(&self) -> BTreeMap<String, String> {
        let log = logging::shown(&self.snapshot.config.flags);
        let log = log.map(|file| (LOG.to_owned(), text(&file)));
        let mut attached: BTreeMap<String, String> = log.into_iter().collect();
        let live = self.snapshot.frameworks.values();
        for executor in live.flat_map(|framework| framework.executors.values()) {
            let (framework, id) = (executor.framework_id(), executor.id());
            let latest = format!("/frameworks/{framework}/executors/{id}/runs/latest");
            attached.insert(latest, text(&executor.directory));
        }
        let frameworks = self.snapshot.frameworks.values();
        for framework in frameworks.chain(&self.snapshot.completed_frameworks) {
            let executors = framework.executors.values();
            for executor in executors.chain(&framework.completed_executors) {
                let real = text(&executor.directory);
                let virtual_path = format!(
                    "/frameworks/{}/executors/{}/runs/{}",
                    framework.id(),
                    executor.id(),
                    executor.container_id.value
                );
                attached.insert(virtual_path, real.clone());
                attached.insert(real.clone(), real);
            }
        }
        attached
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Process for Seen {
    fn metrics(&self) -> Vec<(String, f64)> {
        let metrics = system::metrics("slave/uptime_secs", self.snapshot.start_time);
        let metrics = metrics.into_iter();
        metrics
            .map(|(name, value)| (name.to_owned(), value))
            .chain(self.measures.metrics())
            .chain(traces::metrics("slave", self.spans.as_deref()))
            .collect()
    }

    fn logging_level(&self) -> u32 {
        logging::level()
    }

    fn set_logging_level(&self, level: u32, duration: Duration) {
        logging::raise(level, duration);
    }

    fn list_files(&self, path: &str) -> Result<Vec<FileInfo>, Box<Reply>> {
        self.with_files(|files| files::list(files, path))
            .map_err(|_| files::not_found().into())
    }

    fn read_file(&self, path: &str, offset: u64, length: Option<u64>) -> Result<Piece, Box<Reply>> {
        self.with_files(|files| files::piece(files, path, Some(offset), length))
            .map_err(|error| files::unreadable(path, &error).into())
    }
}

impl Surroundings for Seen {
    fn statistics(&self) -> Statistics {
        let machine = system::machine();
        Statistics {
            measured: self.measures.get(),
            cpus: machine.cpus,
            mem_bytes: machine.mem_bytes,
        }
    }
}
