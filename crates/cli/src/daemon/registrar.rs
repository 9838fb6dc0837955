//! How the registry of a master is kept, for its metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How the registry is kept.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    /// How long it took to read it at the start.
    fetch: Duration,
    /// What it takes on disk, if it is there at all.
    bytes: AtomicU64,
    /// Changes that are being made durable.
    queued: AtomicUsize,
}

impl Registrar {
    /// Of a registry that was read in a time.
    pub(crate) fn new(fetch: Duration, bytes: u64) -> Self {
        Self {
            fetch,
            bytes: bytes.into(),
            queued: AtomicUsize::default(),
        }
    }

    pub(crate) fn storing(&self, changes: usize) {
        self.queued.store(changes, Ordering::Relaxed);
    }

    pub(crate) fn stored(&self, bytes: u64) {
        self.queued.store(0, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Under Mesos's names.
    #[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
    pub(crate) fn metrics(&self) -> [(&'static str, f64); 3] {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let queued = self.queued.load(Ordering::Relaxed);
        [
            ("registrar/queued_operations", queued as f64),
            ("registrar/registry_size_bytes", bytes as f64),
            ("registrar/state_fetch_ms", self.fetch.as_secs_f64() * 1e3),
        ]
    }
}
