//! Brings URIs into sandboxes, each fetch by a process that runs as the task's user.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meseta_agent::Launch;
use meseta_containerizer::{self as containerizer, Container, Process, Spec};
use meseta_fetcher::{Cache, Cancelled, Claim, DOES_NOT_FIT, Filling, Item, Job, Key, Use};
use rustix::fs::OFlags;

use super::limits::MAX_LAST_WORDS;
use crate::Failure;
use crate::flags::{Bytes, Flags};

/// What fetches are made with.
#[derive(Debug)]
pub(crate) struct Fetcher {
    program: PathBuf,
    cache: Arc<Cache>,
    frameworks_home: Option<PathBuf>,
    hadoop_home: Option<PathBuf>,
    stall_timeout: Duration,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// One container's fetch, as others see it.
#[derive(Debug, Default)]
pub(crate) struct Fetch {
    cancelled: Cancelled,
    running: Mutex<Option<Process>>,
}

impl Fetcher {
    /// Reads the flags, and empties the cache: nobody knows what a former life has left there.
    pub(crate) fn new(flags: &Flags, work_dir: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|e| Failure::Start(format!("failed to find this program's own file: {e}")))?;
        let directory = flags
            .get::<PathBuf>("fetcher_cache_dir")?
            .unwrap_or_else(|| work_dir.to_owned())
            // A folder of its own: all that is in it is removed.
            .join("fetch");
        let emptied = match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(&directory),
        };
        emptied.map_err(|e| {
            let directory = directory.display();
            Failure::Start(format!(
                "failed to empty the fetcher's cache {directory}: {e}"
            ))
        })?;
        let size = flags
            .get::<Bytes>("fetcher_cache_size")?
            .unwrap_or_default();
        let stall_timeout = flags.get("fetcher_stall_timeout")?;
        Ok(Self {
            program,
            cache: Cache::new(directory, size.0),
            frameworks_home: flags
                .get::<String>("frameworks_home")?
                .filter(|home| !home.is_empty())
                .map(PathBuf::from),
            hadoop_home: flags.get::<PathBuf>("hadoop_home")?,
            stall_timeout: stall_timeout.unwrap_or(Job::default().stall_timeout),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Ends a fetch.
    pub(crate) fn cancel(&self, fetch: &Fetch, sandbox: &Path) {
        fetch.cancelled.cancel();
        self.cache.wake();
        // Held, so that no process is started unseen between the two.
        let running = fetch.running();
        if let Some(process) = *running {
            let container = Container {
                process: Some(process),
                directory: sandbox.to_owned(),
            };
            if let Err(error) = containerizer::destroy(&container) {
                tracing::error!(%error, "something of a fetch may be left");
            }
        }
    }

    /// Brings what a launch asks for into its sandbox, and returns when it is there.
    ///
    /// # Errors
    /// A sentence, as Mesos has it, for the status updates of the tasks. The reasons are in the
    /// sandbox's `stderr`.
    pub(crate) fn fetch(&self, launch: &Launch, fetch: &Fetch) -> Result<(), String> {
        let outcome = self.bring(launch, fetch);
        let counter = if outcome.is_ok() {
            &self.succeeded
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    /// What has been fetched and is kept, under the names of its metrics.
    #[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
    pub(crate) fn metrics(&self) -> Vec<(String, f64)> {
        let (succeeded, failed) = (&self.succeeded, &self.failed);
        let values = [
            ("task_fetches_succeeded", succeeded.load(Ordering::Relaxed)),
            ("task_fetches_failed", failed.load(Ordering::Relaxed)),
            ("cache_size_total_bytes", self.cache.capacity()),
            ("cache_size_used_bytes", self.cache.used()),
        ];
        values
            .map(|(name, value)| (format!("containerizer/fetcher/{name}"), value as f64))
            .to_vec()
    }

    fn bring(&self, launch: &Launch, fetch: &Fetch) -> Result<(), String> {
        let mut job = self.job(launch.directory.clone());
        // Copies stay in the cache until the end of this function.
        let mut uses = Vec::new();
        for (mut item, cached) in items(launch) {
            meseta_fetcher::validate(std::slice::from_ref(&item))
                .map_err(|reason| format!("Could not fetch: {reason}"))?;
            if cached && let Some(copy) = self.copy(launch, fetch, &item)? {
                item.cached = Some(copy.path().to_owned());
                uses.push(copy);
            }
            job.items.push(item);
        }
        match self.run(launch, fetch, &job)? {
            Some(0) => Ok(()),
            status => Err(failed(launch, status)),
        }
    }

    /// A copy in the cache; `None` if the URI is to be fetched past it.
    fn copy(&self, launch: &Launch, fetch: &Fetch, item: &Item) -> Result<Option<Use>, String> {
        let key = Key {
            user: launch.user.clone(),
            uri: item.uri.clone(),
        };
        match self.cache.claim(&key, &fetch.cancelled) {
            Claim::Ready(copy) => Ok(Some(copy)),
            Claim::Fill(filling) => self.fill(launch, fetch, item, filling),
            // Its own try tells the task what is wrong.
            Claim::Failed => Ok(None),
            Claim::Cancelled => Err(cancelled()),
        }
    }

    fn fill(
        &self,
        launch: &Launch,
        fetch: &Fetch,
        item: &Item,
        filling: Filling,
    ) -> Result<Option<Use>, String> {
        let directory = filling.directory();
        make_directory(&directory, launch.user.as_deref()).map_err(|error| {
            let directory = directory.display();
            format!("Could not create the fetcher cache directory '{directory}': {error}")
        })?;
        let mut job = self.job(directory.clone());
        job.max_bytes = Some(self.cache.capacity());
        job.items.push(Item {
            uri: item.uri.clone(),
            output_file: Some(filling.file().to_owned()),
            ..Item::default()
        });
        let status = self.run(launch, fetch, &job)?;
        let exited = status.and_then(|status| ExitStatus::from_raw(status).code());
        if status == Some(0) {
            let size = std::fs::symlink_metadata(directory.join(filling.file()));
            let size = size.map_err(|error| {
                format!(
                    "Could not determine size of cache file for '{}': {error}",
                    item.uri
                )
            })?;
            return Ok(Some(filling.complete(size.len())));
        }
        if fetch.cancelled.is_cancelled() {
            return Err(cancelled());
        }
        filling.fail();
        if exited == Some(DOES_NOT_FIT.into()) {
            return Ok(None);
        }
        Err(failed(launch, status))
    }

    fn job(&self, directory: PathBuf) -> Job {
        Job {
            directory,
            frameworks_home: self.frameworks_home.clone(),
            hadoop_home: self.hadoop_home.clone(),
            stall_timeout: self.stall_timeout,
            agent: Some(std::process::id()),
            ..Job::default()
        }
    }

    /// Runs a process for a job and waits for its end.
    fn run(&self, launch: &Launch, fetch: &Fetch, job: &Job) -> Result<Option<i32>, String> {
        let mut environment = job
            .environment(|name| std::env::var(name).ok())
            .map_err(|error| format!("Failed to run the fetcher: {error}"))?;
        // Processes of a container are known by it.
        let sandbox = launch.directory.to_string_lossy().into_owned();
        environment.push(("MESOS_SANDBOX".into(), sandbox));
        let spec = Spec {
            program: self.program.to_string_lossy().into_owned(),
            arguments: vec!["meseta".into(), super::FETCHER.into()],
            environment,
            directory: launch.directory.clone(),
            stdout: launch.stdout.clone(),
            stderr: launch.stderr.clone(),
            user: launch.user.clone(),
        };
        let process = {
            let mut running = fetch.running();
            if fetch.cancelled.is_cancelled() {
                return Err(cancelled());
            }
            let process = containerizer::launch(&spec)
                .map_err(|error| format!("Failed to run the fetcher: {error}"))?;
            *running = Some(process);
            process
        };
        let status = containerizer::wait(process)
            .map_err(|error| format!("Failed to wait for the fetcher: {error}"));
        *fetch.running() = None;
        status
    }
}

impl Fetch {
    /// Whether the container is no longer wanted.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    fn running(&self) -> MutexGuard<'_, Option<Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a launch has anything to be fetched.
pub(crate) fn is_needed(launch: &Launch) -> bool {
    items(launch).next().is_some()
}

/// What is to be fetched, and whether through the cache.
fn items(launch: &Launch) -> impl Iterator<Item = (Item, bool)> {
    launch.uris.iter().map(|uri| {
        let item = Item {
            uri: uri.value.clone(),
            output_file: uri.output_file.clone(),
            executable: uri.executable(),
            extract: uri.extract(),
            cached: None,
        };
        (item, uri.cache())
    })
}

/// Makes the folder of a user's copies, closed to others, unless it is there.
fn make_directory(directory: &Path, user: Option<&str>) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    if let Some(user) = user
        && let Some(user) = nix::unistd::User::from_name(user)?
    {
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        return std::os::unix::fs::chown(directory, Some(uid), Some(gid)).inspect_err(|_| {
            // The next fetch is not to take it for the user's.
            let _ = std::fs::remove_dir(directory);
        });
    }
    Ok(())
}

fn failed(launch: &Launch, status: Option<i32>) -> String {
    let status = status.map(ExitStatus::from_raw);
    let how = match (status, status.and_then(|status| status.code())) {
        (None, _) => "its end was not seen".to_owned(),
        (_, Some(code)) => format!("exited with status {code}"),
        (Some(status), None) => {
            let signal = status.signal().unwrap_or_default();
            format!("terminated with signal {signal}")
        }
    };
    let container = &launch.container_id.value;
    let why = last_words(launch).map_or_else(String::new, |why| format!(": {why}"));
    format!("Failed to fetch all URIs for container '{container}': {how}{why}")
}

/// What a fetch said last, which is why it has failed. The file is its user's, who may have put
/// anything in its place.
fn last_words(launch: &Launch) -> Option<String> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&launch.stderr)
        .ok()?;
    let found = file.metadata().ok()?;
    let sandbox = std::fs::metadata(&launch.directory).ok()?;
    if !found.is_file() || found.uid() != sandbox.uid() {
        return None;
    }
    let start = found.len().saturating_sub(MAX_LAST_WORDS);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut said = Vec::new();
    file.take(MAX_LAST_WORDS).read_to_end(&mut said).ok()?;
    let said = String::from_utf8_lossy(&said);
    let line = said.trim_end().lines().next_back()?.trim();
    (!line.is_empty()).then(|| line.replace(char::is_control, " "))
}

fn cancelled() -> String {
    "Container destroyed during fetching".into()
}
