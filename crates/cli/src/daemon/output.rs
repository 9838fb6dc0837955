//! Keeps what containers print within bounds while they run.
//!
//! One thread looks at the sizes of their `stdout` and `stderr`: seldom at those that do not grow,
//! and the more often, the sooner one is full. However many containers there are, it looks at no more
//! than a bounded number in a second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use meseta_containerizer::{OutputBounds, OutputFolder, RotationError};
use meseta_machine::Timers;
use meseta_proto::v1::ContainerId;

use super::driver::Clock;
use super::limits::{
    LOOK_LONGEST, LOOK_SHORTEST, MAX_LOOKS_AT_ONCE, OUTPUT_BYTES, OUTPUT_ROTATED, RUN_DEPTH,
};
use crate::flags::modules::{Chosen, LOGROTATE};
use crate::flags::{Bytes, FlagError, FlagValue, Flags};

/// How much is kept of a container's standard output and standard error.
pub(crate) type Bounds = [OutputBounds; 2];

const NAMES: [&str; 2] = ["stdout", "stderr"];

/// What the flags say about output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Nothing where files have no bounds.
    bounds: Option<Bounds>,
    /// What the names of variables begin with by which a container has bounds of its own.
    prefix: String,
}

impl Default for Policy {
    fn default() -> Self {
        let bounds = OutputBounds {
            max_bytes: OUTPUT_BYTES,
            rotated: OUTPUT_ROTATED,
        };
        Self {
            bounds: Some([bounds; 2]),
            prefix: "CONTAINER_LOGGER_".to_owned(),
        }
    }
}

impl Policy {
    pub(crate) fn from_flags(flags: &Flags) -> Result<Self, FlagError> {
        let mut policy = Self::default();
        let Some(mut chosen) = Chosen::from_flags(flags, LOGROTATE.flag)? else {
            return Ok(policy);
        };
        if chosen.module.name != LOGROTATE.name {
            policy.bounds = None;
            chosen.end()?;
            return Ok(policy);
        }
        let both = chosen.take::<Count>("rotate")?;
        for (bounds, name) in policy.bounds.iter_mut().flatten().zip(NAMES) {
            if let Some(Count(rotated)) = both {
                bounds.rotated = rotated;
            }
            let size = chosen.take::<Size>(&format!("max_{name}_size"))?;
            let options = chosen.take::<Options>(&format!("logrotate_{name}_options"))?;
            adjust(bounds, size, options);
        }
        if let Some(prefix) = chosen.take("environment_variable_prefix")? {
            policy.prefix = prefix;
        }
        // Where Mesos finds the programs that do it there.
        for detail in [
            "launcher_dir",
            "logrotate_path",
            "libprocess_num_worker_threads",
        ] {
            chosen.take::<String>(detail)?;
        }
        chosen.end()?;
        Ok(policy)
    }

    /// The bounds of a container whose command has these variables.
    ///
    /// # Errors
    /// Says which variable cannot be understood.
    pub(crate) fn of_container<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Option<Bounds>, String> {
        let mut all = self.bounds;
        for (name, value) in variables {
            let Some(key) = name.strip_prefix(&self.prefix) else {
                continue;
            };
            for (bounds, output) in all.iter_mut().flatten().zip(["STDOUT", "STDERR"]) {
                let refused =
                    |reason| format!("Failed to load container logger settings: {name}: {reason}");
                if key == format!("MAX_{output}_SIZE") {
                    adjust(bounds, Some(Size::parse(value).map_err(refused)?), None);
                } else if key == format!("LOGROTATE_{output}_OPTIONS") {
                    adjust(bounds, None, Some(Options::parse(value).map_err(refused)?));
                }
            }
        }
        Ok(all)
    }
}

fn adjust(bounds: &mut OutputBounds, size: Option<Size>, options: Option<Options>) {
    if let Some(Size(bytes)) = size {
        bounds.max_bytes = bytes;
    }
    if let Some(Options(Some(rotated))) = options {
        bounds.rotated = rotated;
    }
}

/// The size of a file; Mesos takes a memory page at least.
#[derive(Clone, Copy)]
struct Size(u64);

impl FlagValue for Size {
    fn parse(text: &str) -> Result<Self, String> {
        let page = rustix::param::page_size() as u64;
        match Bytes::parse(text)? {
            Bytes(bytes) if bytes >= page => Ok(Self(bytes)),
            Bytes(_) => Err(format!("expected {page}B at least")),
        }
    }
}

struct Count(u32);

impl FlagValue for Count {
    fn parse(text: &str) -> Result<Self, String> {
        let count = text.trim().parse();
        count
            .map(Self)
            .map_err(|_| "expected a number of files".into())
    }
}

/// What a configuration of logrotate says, as far as it has a meaning here: how many files are
/// kept.
#[derive(Clone, Copy)]
struct Options(Option<u32>);

/// Directives that say what is done anyway, or that Mesos overrides.
const DONE_ANYWAY: [&str; 9] = [
    "copytruncate",
    "missingok",
    "nocompress",
    "nocreate",
    "nodateext",
    "nomail",
    "notifempty",
    "size",
    "start",
];

impl FlagValue for Options {
    fn parse(text: &str) -> Result<Self, String> {
        let mut rotated = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (directive, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if directive == "rotate" {
                rotated = Some(Count::parse(rest)?.0);
            } else if !DONE_ANYWAY.contains(&directive) {
                return Err(format!("logrotate's '{directive}' is not served"));
            }
        }
        Ok(Self(rotated))
    }
}

/// The way to the thread.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    orders: Sender<Order>,
    work_dir: PathBuf,
}

#[derive(Debug)]
enum Order {
    Watch(ContainerId, Watched),
    /// The container is over.
    End(ContainerId),
}

/// A container whose output is kept within bounds.
#[derive(Debug)]
struct Watched {
    sandbox: PathBuf,
    below: PathBuf,
    bounds: Bounds,
    /// What there was at the last look, and when that was.
    sizes: [u64; 2],
    seen: Duration,
}

impl Outputs {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system refuses it.
    pub(crate) fn start(work_dir: &Path) -> std::io::Result<Self> {
        let (orders, receiver) = channel();
        std::thread::Builder::new()
            .name("output".into())
            .spawn(move || Keeper::new(Clock::start()).keep(&receiver))?;
        let work_dir = work_dir.to_owned();
        Ok(Self { orders, work_dir })
    }

    /// Keeps the output of a container within bounds, from now on until its end.
    pub(crate) fn watch(&self, id: ContainerId, folder: &Path, bounds: Bounds) {
        let (sandbox, below) = split(&self.work_dir, folder);
        let watched = Watched {
            sandbox,
            below,
            bounds,
            sizes: [0; 2],
            seen: Duration::ZERO,
        };
        // The thread lives as long as the process.
        let _ = self.orders.send(Order::Watch(id, watched));
    }

    /// The container has ended.
    pub(crate) fn end(&self, id: &ContainerId) {
        let _ = self.orders.send(Order::End(id.clone()));
    }
}

/// The sandbox of the executor that a folder is of, whose path is the agent's own, and what is below
/// it, which may be a task's.
fn split(work_dir: &Path, folder: &Path) -> (PathBuf, PathBuf) {
    let inside = folder.strip_prefix(work_dir).unwrap_or(folder);
    let run: PathBuf = inside.components().take(RUN_DEPTH).collect();
    let below = inside.components().skip(RUN_DEPTH).collect();
    (work_dir.join(run), below)
}

/// The thread's own.
struct Keeper {
    clock: Clock,
    containers: HashMap<ContainerId, Watched>,
    looks: Timers<ContainerId>,
}

impl Keeper {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            containers: HashMap::new(),
            looks: Timers::default(),
        }
    }

    fn keep(&mut self, orders: &Receiver<Order>) {
        let mut earliest = Duration::ZERO;
        loop {
            let order = match self.looks.next_due() {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => {
                    let now = self.clock.now().monotonic;
                    orders.recv_timeout(at.max(earliest).saturating_sub(now))
                }
            };
            let order = match order {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Nobody waits for this thread: what comes in quick succession is taken together.
            let now = self.clock.now().monotonic;
            std::thread::sleep(earliest.saturating_sub(now));
            let orders = order.into_iter().chain(orders.try_iter());
            orders.for_each(|order| self.take(order));
            self.look_at_what_is_due();
            earliest = self.clock.now().monotonic + LOOK_SHORTEST;
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Watch(id, mut watched) => {
                watched.seen = self.clock.now().monotonic;
                self.looks.set(id.clone(), watched.seen + LOOK_SHORTEST);
                self.containers.insert(id, watched);
            }
            // What it printed in the end counts as well.
            Order::End(id) => {
                self.looks.cancel(&id);
                if let Some(mut watched) = self.containers.remove(&id) {
                    watched.look(self.clock.now().monotonic);
                }
            }
        }
    }

    fn look_at_what_is_due(&mut self) {
        for _ in 0..MAX_LOOKS_AT_ONCE {
            let now = self.clock.now();
            let Some(id) = self.looks.pop_due(now) else {
                return;
            };
            if let Some(watched) = self.containers.get_mut(&id) {
                let wait = watched.look(now.monotonic);
                self.looks.set(id, now.monotonic + wait);
            }
        }
    }
}

impl Watched {
    /// Brings both files within their bounds; gives how long it need not be looked again.
    fn look(&mut self, now: Duration) -> Duration {
        let Ok(folder) = OutputFolder::open(&self.sandbox, &self.below) else {
            // Not made yet, or given up by its owner.
            return LOOK_LONGEST;
        };
        let elapsed = now.saturating_sub(self.seen);
        self.seen = now;
        let mut wait = LOOK_LONGEST;
        for ((name, bounds), last) in NAMES.iter().zip(&self.bounds).zip(&mut self.sizes) {
            let size = folder.size(name).unwrap_or(0);
            let grown = size.saturating_sub(*last);
            *last = size;
            if size > bounds.max_bytes {
                match folder.rotate(name, *bounds) {
                    Ok(()) => {}
                    Err(error @ RotationError::Lost { .. }) => {
                        tracing::warn!(sandbox = %self.sandbox.display(), %error, "output is lost");
                    }
                    Err(error) => {
                        tracing::warn!(sandbox = %self.sandbox.display(), %error, "output grows");
                    }
                }
                *last = folder.size(name).unwrap_or(0);
            }
            let room = bounds.max_bytes.saturating_sub(*last);
            wait = wait.min(next_look(grown, elapsed, room));
        }
        wait
    }
}

/// When to look again at a file that grew by so much in that time and has so much room left: at the
/// latest when half of the room is taken, if it goes on like that.
fn next_look(grown: u64, elapsed: Duration, room: u64) -> Duration {
    if grown == 0 {
        return LOOK_LONGEST;
    }
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let share = room as f64 / grown as f64 / 2.0;
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * share)
        .unwrap_or(LOOK_LONGEST)
        .clamp(LOOK_SHORTEST, LOOK_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{agent::FLAGS, tests::parsed};

    fn policy(args: &[&str]) -> Result<Policy, String> {
        Policy::from_flags(&parsed(FLAGS, args)).map_err(|e| e.to_string())
    }

    fn bounds(max_bytes: u64, rotated: u32) -> OutputBounds {
        OutputBounds { max_bytes, rotated }
    }

    #[test]
    fn output_has_bounds_unless_somebody_says_otherwise() {
        let [stdout, stderr] = policy(&[]).unwrap().bounds.unwrap();
        assert_eq!((stdout, stderr), (bounds(10 << 20, 9), bounds(10 << 20, 9)));
        let none = policy(&["--container_logger=sandbox"]).unwrap();
        assert_eq!(none.of_container([]), Ok(None));
        let own = "--container_logger=logrotate:max_stdout_size=1MB,rotate=2";
        let own = policy(&[own]).unwrap().bounds.unwrap();
        assert_eq!(own, [bounds(1 << 20, 2), bounds(10 << 20, 2)]);
    }

    #[test]
    fn the_parameters_of_mesos_are_understood_or_refused() {
        let modules = |key: &str, value: &str| {
            format!(
                r#"--modules={{"libraries":[{{"modules":[{{
                    "name":"org_apache_mesos_LogrotateContainerLogger",
                    "parameters":[{{"key":"launcher_dir","value":"/x"}},
                        {{"key":"{key}","value":"{value}"}}]}}]}}]}}"#
            )
        };
        let logger = "--container_logger=org_apache_mesos_LogrotateContainerLogger";
        let of = |key, value| policy(&[&modules(key, value), logger]);
        let options = of("logrotate_stderr_options", r"rotate 3\nmissingok").unwrap();
        assert_eq!(
            options.bounds.unwrap(),
            [bounds(10 << 20, 9), bounds(10 << 20, 3)]
        );
        for (key, value, sentence) in [
            (
                "max_stdout_size",
                "1KB",
                "max_stdout_size: expected 4096B at least",
            ),
            (
                "logrotate_stdout_options",
                "compress",
                "logrotate's 'compress' is not served",
            ),
            ("max_size", "1MB", "there is no parameter max_size"),
        ] {
            let error = of(key, value).unwrap_err();
            assert!(error.ends_with(sentence), "{error}");
        }
    }

    #[test]
    fn containers_have_bounds_of_their_own_in_their_variables() {
        let policy = Policy::default();
        let own = [
            ("CONTAINER_LOGGER_MAX_STDERR_SIZE", "1MB"),
            ("CONTAINER_LOGGER_LOGROTATE_STDERR_OPTIONS", "rotate 1"),
            ("PATH", "/bin"),
        ];
        let [stdout, stderr] = policy.of_container(own).unwrap().unwrap();
        assert_eq!((stdout, stderr), (bounds(10 << 20, 9), bounds(1 << 20, 1)));
        let wrong = [("CONTAINER_LOGGER_MAX_STDERR_SIZE", "much")];
        let error = policy.of_container(wrong).unwrap_err();
        assert_eq!(
            error,
            "Failed to load container logger settings: CONTAINER_LOGGER_MAX_STDERR_SIZE: \
             expected a size such as 512MB or 2GB"
        );
    }

    #[test]
    fn files_are_looked_at_the_more_often_the_sooner_they_are_full() {
        let second = Duration::from_secs(1);
        assert_eq!(next_look(0, second, 0), LOOK_LONGEST);
        assert_eq!(next_look(1, second, 1 << 20), LOOK_LONGEST);
        assert_eq!(next_look(1 << 20, second, 1 << 20), second / 2);
        assert_eq!(next_look(1 << 30, second, 1 << 20), LOOK_SHORTEST);
    }

    #[test]
    fn only_what_is_below_the_executors_sandbox_may_be_a_tasks() {
        let run = "slaves/S/frameworks/F/executors/E/runs/C";
        let nested = format!("/w/{run}/containers/N");
        assert_eq!(
            split(Path::new("/w"), Path::new(&nested)),
            (Path::new("/w").join(run), "containers/N".into())
        );
    }

    #[test]
    fn a_file_that_grows_too_large_is_rotated_and_one_of_an_ended_container_too() {
        let home = tempfile::tempdir().unwrap();
        let outputs = Outputs::start(home.path()).unwrap();
        let await_rotation = |folder: &Path| {
            let give_up = std::time::Instant::now() + Duration::from_secs(30);
            while !folder.join("stdout.1").exists() {
                assert!(std::time::Instant::now() < give_up, "it is never rotated");
                std::thread::yield_now();
            }
        };
        for name in ["running", "ended"] {
            let run = home
                .path()
                .join("slaves/S/frameworks/F/executors/E/runs")
                .join(name);
            std::fs::create_dir_all(&run).unwrap();
            std::fs::write(run.join("stderr"), vec![b'x'; 9000]).unwrap();
            let id = ContainerId {
                value: name.into(),
                parent: None,
            };
            outputs.watch(id.clone(), &run, [bounds(4096, 2); 2]);
            std::fs::write(run.join("stdout"), vec![b'x'; 9000]).unwrap();
            if name == "ended" {
                outputs.end(&id);
            }
            await_rotation(&run);
        }
    }
}
