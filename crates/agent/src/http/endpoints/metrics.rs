use meseta_endpoints::{Gauges, Process, Sums};

use super::{allocated, resources};
use crate::snapshot::Snapshot;

/// All metrics, of the machine and of the process around it.
pub(in crate::http) fn all(snapshot: &Snapshot, process: &dyn Process) -> Gauges {
    let mut all = gauges(snapshot);
    all.extend(process.metrics());
    for timing in process.timings() {
        timing.show(&mut all);
    }
    all
}

fn gauges(snapshot: &Snapshot) -> Gauges {
    let mut gauges = Gauges::default();
    gauges.extend(snapshot.metrics());
    let (mut total, mut used) = (Sums::default(), Sums::default());
    total.add(&resources(&snapshot.total_resources));
    if let Some(oversubscribed) = &snapshot.oversubscribed {
        total.add(oversubscribed);
    }
    used.add(&allocated(snapshot));
    gauges.resources("slave", &total, &used);
    gauges
}
