//! What containers use, beside what they may.

use std::collections::BTreeMap;
use std::sync::Arc;

use meseta_endpoints::{NoProcess, Process};
use meseta_proto::v1::value::Scalar;
use meseta_proto::v1::{ContainerId, ResourceStatistics};
use meseta_resources::Resources;

use super::taken;
use crate::records::Executor;

/// The process around an agent, as far as endpoints ask it.
pub trait Surroundings: Process {
    /// What containers use, measured now or a moment ago.
    fn statistics(&self) -> Statistics;
}

impl Surroundings for NoProcess {
    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

/// What containers use, and what the machine has.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// What was measured of each container that runs, without its limits.
    pub measured: Arc<BTreeMap<ContainerId, ResourceStatistics>>,
    /// The processors of the machine: what a task may use that has no bound.
    pub cpus: f64,
    /// The bytes of the machine's memory.
    pub mem_bytes: u64,
}

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// What the container of an executor uses and may use, if it was measured.
pub(super) fn of_executor(
    executor: &Executor,
    statistics: &Statistics,
) -> Option<ResourceStatistics> {
    let mut shown = statistics.measured.get(&executor.container_id)?.clone();
    let resources = Resources::from_v1(&taken(executor)).unwrap_or_default();
    let requested = |name: &str| scalar(&resources, name);
    shown.cpus_soft_limit = requested("cpus");
    let unbounded = |limit: f64| limit.is_infinite();
    let cpus = limit(executor, "cpus");
    shown.cpus_limit = cpus.map(|it| if unbounded(it) { statistics.cpus } else { it });
    shown.mem_soft_limit_bytes = requested("mem").map(bytes);
    shown.mem_limit_bytes = match limit(executor, "mem") {
        Some(limit) if unbounded(limit) => Some(statistics.mem_bytes),
        Some(limit) => Some(bytes(limit)),
        None => shown.mem_soft_limit_bytes,
    };
    Some(shown)
}

fn scalar(resources: &Resources, name: &str) -> Option<f64> {
    let amounts = resources.iter().filter(|it| it.name() == name);
    let amounts = amounts.filter_map(meseta_resources::Resource::scalar);
    amounts
        .reduce(|sum, amount| sum + amount)
        .map(meseta_resources::Scalar::to_f64)
}

/// What an executor and its tasks may use at most, if any task says so: the others count with what
/// they have asked for.
fn limit(executor: &Executor, name: &str) -> Option<f64> {
    let queued = executor.queued_tasks.values();
    let queued = queued.map(|task| (&task.limits, &task.resources));
    let launched = executor.launched_tasks.values();
    let launched = launched.map(|task| (&task.limits, &task.resources));
    let of = |resources: &[_]| {
        let resources = Resources::from_v1(resources).unwrap_or_default();
        scalar(&resources, name).unwrap_or_default()
    };
    let mut is_limited = false;
    let mut sum = of(&executor.info.resources);
    for (limits, resources) in queued.chain(launched) {
        let limit: Option<&Scalar> = limits.get(name);
        is_limited |= limit.is_some();
        sum += limit.map_or_else(|| of(resources), |limit| limit.value);
    }
    is_limited.then_some(sum)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no machine has more than 2^53 bytes of memory, and none less than none"
)]
fn bytes(megabytes: f64) -> u64 {
    (megabytes * MEGABYTE) as u64
}
