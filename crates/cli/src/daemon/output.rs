//! Keeps what containers print within bounds while they run.
//!
//! One thread looks at the sizes of their `stdout` and `stderr`: seldom at those that do not grow,
//! and the more often, the sooner one is full. However many containers there are, it looks at no more
//! than a bounded number in a second. Files that have grown too large are cut by others, a few at a time:
//! that may take long, and nobody else's output is to grow meanwhile.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use meseta_containerizer::{OutputBounds, OutputFolder, RotationError};
use meseta_machine::Timers;
use meseta_proto::v1::ContainerId;

use super::containers::aside;
use super::driver::Clock;
use super::limits::{
    LOOK_LONGEST, LOOK_SHORTEST, MAX_LOOKS_AT_ONCE, MAX_OUTPUT_ROTATED, MAX_ROTATIONS,
    OUTPUT_BYTES, OUTPUT_ROTATED, RUN_DEPTH,
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
        match text.trim().parse() {
            Ok(count) if count <= MAX_OUTPUT_ROTATED => Ok(Self(count)),
            Ok(_) => Err(format!("expected no more than {MAX_OUTPUT_ROTATED} files")),
            Err(_) => Err("expected a number of files".into()),
        }
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
    /// Its files have been cut.
    Cut(ContainerId, Watched),
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
    /// It is over; what it printed in the end counts as well.
    has_ended: bool,
    /// One of the files is too large, and could not be made smaller.
    is_stuck: bool,
}

impl Outputs {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system refuses it.
    pub(crate) fn start(work_dir: &Path) -> std::io::Result<Self> {
        let (orders, receiver) = channel();
        let keeper = Keeper::new(Clock::start(), orders.clone());
        std::thread::Builder::new()
            .name("output".into())
            .spawn(move || keeper.keep(&receiver))?;
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
            has_ended: false,
            is_stuck: false,
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
    /// Those whose files nobody is cutting.
    containers: HashMap<ContainerId, Watched>,
    looks: Timers<ContainerId>,
    /// Those whose files are being cut, and whether they have ended meanwhile.
    cutting: HashMap<ContainerId, bool>,
    /// Those whose files are to be cut next.
    crowd: VecDeque<ContainerId>,
    orders: Sender<Order>,
}

impl Keeper {
    fn new(clock: Clock, orders: Sender<Order>) -> Self {
        Self {
            clock,
            containers: HashMap::new(),
            looks: Timers::default(),
            cutting: HashMap::new(),
            crowd: VecDeque::new(),
            orders,
        }
    }

    fn keep(mut self, orders: &Receiver<Order>) {
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
            Order::End(id) => {
                if let Some(has_ended) = self.cutting.get_mut(&id) {
                    *has_ended = true;
                }
                if let Some(watched) = self.containers.get_mut(&id) {
                    watched.has_ended = true;
                    self.looks.cancel(&id);
                    self.look(id);
                }
            }
            Order::Cut(id, mut watched) => {
                watched.has_ended |= self.cutting.remove(&id).unwrap_or_default();
                while self.cutting.len() < MAX_ROTATIONS
                    && let Some(next) = self.crowd.pop_front()
                {
                    self.cut(next);
                }
                let (has_ended, is_stuck) = (watched.has_ended, watched.is_stuck);
                self.containers.insert(id.clone(), watched);
                match (has_ended, is_stuck) {
                    (true, true) => drop(self.containers.remove(&id)),
                    (true, false) => self.look(id),
                    (false, _) => {
                        let wait = if is_stuck {
                            LOOK_LONGEST
                        } else {
                            LOOK_SHORTEST
                        };
                        self.looks.set(id, self.clock.now().monotonic + wait);
                    }
                }
            }
        }
    }

    fn look_at_what_is_due(&mut self) {
        for _ in 0..MAX_LOOKS_AT_ONCE {
            match self.looks.pop_due(self.clock.now()) {
                Some(id) => self.look(id),
                None => return,
            }
        }
    }

    /// Looks at the files of a container, and has them cut where that is due.
    fn look(&mut self, id: ContainerId) {
        let now = self.clock.now().monotonic;
        let Some(watched) = self.containers.get_mut(&id) else {
            return;
        };
        match watched.look(now) {
            Look::TooLarge => self.cut(id),
            Look::Later(wait) if !watched.has_ended => self.looks.set(id, now + wait),
            Look::Later(_) => drop(self.containers.remove(&id)),
        }
    }

    /// Has the files of a container cut, when its turn comes.
    fn cut(&mut self, id: ContainerId) {
        if self.cutting.len() >= MAX_ROTATIONS {
            if !self.crowd.contains(&id) {
                self.crowd.push_back(id);
            }
            return;
        }
        let Some(mut watched) = self.containers.remove(&id) else {
            return;
        };
        self.cutting.insert(id.clone(), watched.has_ended);
        let orders = self.orders.clone();
        aside("rotate", move || {
            watched.cut();
            // The thread lives as long as the process.
            let _ = orders.send(Order::Cut(id, watched));
        });
    }
}

/// What is to be done about the files of a container.
enum Look {
    /// Nothing for so long.
    Later(Duration),
    /// One of them is to be cut.
    TooLarge,
}

impl Watched {
    /// Sees whether both files are within their bounds.
    fn look(&mut self, now: Duration) -> Look {
        let Ok(folder) = OutputFolder::open(&self.sandbox, &self.below) else {
            // Not made yet, or given up by its owner.
            return Look::Later(LOOK_LONGEST);
        };
        let elapsed = now.saturating_sub(self.seen);
        self.seen = now;
        let mut wait = LOOK_LONGEST;
        let mut is_too_large = false;
        for ((name, bounds), last) in NAMES.iter().zip(&self.bounds).zip(&mut self.sizes) {
            let size = folder.size(name).unwrap_or(0);
            let grown = size.saturating_sub(*last);
            *last = size;
            is_too_large |= size > bounds.max_bytes;
            let room = bounds.max_bytes.saturating_sub(size);
            wait = wait.min(next_look(grown, elapsed, room));
        }
        if is_too_large {
            Look::TooLarge
        } else {
            Look::Later(wait)
        }
    }

    /// Brings both files within their bounds.
    fn cut(&mut self) {
        self.is_stuck = false;
        let Ok(folder) = OutputFolder::open(&self.sandbox, &self.below) else {
            return;
        };
        for ((name, bounds), last) in NAMES.iter().zip(&self.bounds).zip(&mut self.sizes) {
            match folder.rotate(name, *bounds) {
                Ok(()) => {}
                Err(error @ RotationError::Lost { .. }) => {
                    tracing::warn!(sandbox = %self.sandbox.display(), %error, "output is lost");
                }
                Err(error) => {
                    tracing::warn!(sandbox = %self.sandbox.display(), %error, "output grows");
                }
            }
            let before = std::mem::replace(last, folder.size(name).unwrap_or(0));
            self.is_stuck |= *last > bounds.max_bytes && *last >= before;
        }
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
mod tests;
