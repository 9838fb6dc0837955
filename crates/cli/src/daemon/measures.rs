//! What the containers of an agent use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meseta_containerizer::Usage;
use meseta_proto::v1::{ContainerId, ResourceStatistics};

use super::containers::Containers;
use super::limits::MEASURE_INTERVAL;

/// What containers use, by their ids.
pub(crate) type Measured = Arc<BTreeMap<ContainerId, ResourceStatistics>>;

/// Measures containers when somebody asks, and not more often than [`MEASURE_INTERVAL`] however many
/// do: who asks while they are being measured gets that.
#[derive(Debug)]
pub(crate) struct Measures {
    containers: Containers,
    latest: Latest<Measured>,
}

impl Measures {
    pub(crate) fn new(containers: Containers) -> Self {
        Self {
            containers,
            latest: Latest::default(),
        }
    }

    /// What containers use, or did a moment ago. Waits for the kernel, so that no machine may ask.
    pub(crate) fn get(&self) -> Measured {
        let now = Instant::now();
        self.latest.get(now, || self.measure())
    }

    /// What the agent's containers and their fetches have come to.
    pub(crate) fn metrics(&self) -> Vec<(String, f64)> {
        self.containers.metrics()
    }

    fn measure(&self) -> Measured {
        let now = SystemTime::now();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let measured = self.containers.usage().unwrap_or_else(|error| {
            tracing::warn!(%error, "what containers use can't be measured");
            Vec::new()
        });
        let measured = measured.into_iter();
        let measured = measured.map(|(id, usage)| (id, statistics(now, &usage)));
        Arc::new(measured.collect())
    }
}

fn statistics(now: Duration, usage: &Usage) -> ResourceStatistics {
    ResourceStatistics {
        timestamp: now.as_secs_f64(),
        processes: Some(usage.processes),
        threads: Some(usage.threads),
        cpus_user_time_secs: Some(usage.cpus_user_time_secs),
        cpus_system_time_secs: Some(usage.cpus_system_time_secs),
        mem_rss_bytes: Some(usage.mem_rss_bytes),
        ..ResourceStatistics::default()
    }
}

/// A value that is good for [`MEASURE_INTERVAL`].
#[derive(Debug)]
struct Latest<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Latest<T> {
    /// The value, made anew if it is too old; whoever asks meanwhile waits for it.
    fn get(&self, now: Instant, make: impl FnOnce() -> T) -> T {
        // It is whole between any two statements.
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((time, value)) = &*latest
            && now.saturating_duration_since(*time) < MEASURE_INTERVAL
        {
            return value.clone();
        }
        let value = make();
        *latest = Some((now, value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn many_who_ask_cost_one_measurement() {
        let made = Cell::new(0);
        let measure = || {
            made.set(made.get() + 1);
            made.get()
        };
        let latest = Latest::default();
        let start = Instant::now();
        assert_eq!(latest.get(start, measure), 1);
        assert_eq!(latest.get(start + MEASURE_INTERVAL / 2, measure), 1);
        // Who has asked before and waited for it gets it, too.
        assert_eq!(
            latest.get(start.checked_sub(MEASURE_INTERVAL).unwrap(), measure),
            1
        );
        assert_eq!(latest.get(start + MEASURE_INTERVAL, measure), 2);
        assert_eq!(made.get(), 2);
    }
}
