//! What the daemons' processes have in common: their runtime, signals and end.

use std::net::SocketAddrV4;

use meseta_transport::{BindError, Listener, Service};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::limits::LAST_REQUESTS;
use crate::Failure;

/// Why a daemon has ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked to, and everything is in order.
    Done(String),
    /// It can't go on.
    Failed(String),
}

/// Where a daemon tells of its end.
#[derive(Debug, Clone)]
pub(crate) struct Ends(mpsc::UnboundedSender<End>);

impl Ends {
    /// A way to tell of ends, and the way to hear of them.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<End>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(crate) fn tell(&self, end: End) {
        // Nobody listens when the process is about to end anyway.
        let _ = self.0.send(end);
    }
}

/// Runs a daemon to its end, on the runtime that its sockets live on.
pub(crate) fn run(daemon: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let result = runtime.block_on(daemon);
    runtime.shutdown_timeout(LAST_REQUESTS);
    result
}

/// Tasks that run between two looks at the sockets. By default there are so many that whoever asks for
/// something small waits for milliseconds while clients are sent large answers.
const TASKS_BETWEEN_LOOKS: u32 = 16;

/// Starts the runtime that the sockets live on. Machines have threads of their own, which need half
/// of the cores; more workers than the other half only wake each other up.
fn runtime() -> Result<Runtime, Failure> {
    if let Err(error) = meseta_containerizer::raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads((cores / 2).clamp(1, 4))
        .thread_name("net")
        .event_interval(TASKS_BETWEEN_LOOKS)
        .enable_all()
        .build()
        .map_err(|e| Failure::Start(format!("failed to start the network's threads: {e}")))
}

/// How many threads render what grows with the cluster: few, so that cores are left for the rest.
pub(crate) fn reading_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    (cores / 4).clamp(1, 4)
}

/// Listens, or says in one line why that can't be.
pub(crate) fn listen(address: SocketAddrV4) -> Result<Listener, Failure> {
    meseta_transport::bind(address).map_err(|error| match error {
        BindError::AddressInUse { address } => Failure::Start(format!(
            "port {} of {} is taken by another program; choose another with --port",
            address.port(),
            address.ip()
        )),
        other @ BindError::Other { .. } => Failure::Start(other.to_string()),
    })
}

/// Serves a daemon's listener. When that is not possible, the daemon is of no use.
pub(crate) fn serve(listener: Listener, service: impl Service, ends: Ends) {
    tokio::spawn(async move {
        let Err(error) = meseta_transport::serve(listener, service).await;
        ends.tell(End::Failed(format!("can't serve the network: {error}")));
    });
}

/// The signals that ask a daemon to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    shutdown: Signal,
    /// Unless whoever started the process wants it to outlive its terminal.
    hangup: Option<Signal>,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// INT or TERM, or the end of the terminal: end the process.
    End,
    /// USR1: end it for good, with everything that it runs (as with Mesos's agent).
    Shutdown,
}

impl Signals {
    pub(crate) fn install() -> Result<Self, Failure> {
        let install = |kind| {
            signal(kind).map_err(|e| Failure::Start(format!("failed to await signals: {e}")))
        };
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            shutdown: install(SignalKind::user_defined1())?,
            hangup: if ignores_hangups() {
                None
            } else {
                Some(install(SignalKind::hangup())?)
            },
        })
    }

    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.shutdown.recv() => Asked::Shutdown,
            () = hung_up(self.hangup.as_mut()) => Asked::End,
        }
    }
}

async fn hung_up(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether this process was started as with `nohup`.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        // The lowest bit is the first signal's: that of hangups.
        .is_some_and(|mask| mask & 1 == 1)
}
