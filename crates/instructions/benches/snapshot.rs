//! The master's snapshot of a large cluster: taken after every batch, rendered for readers.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use meseta_instructions::{Cluster, agent_pid, request};
use meseta_master::http::answer;
use meseta_proto::internal::PongSlaveMessage;

fn snapshots(criterion: &mut Criterion) {
    let mut cluster = Cluster::with_agents(1_000, 10);
    let mut group = criterion.benchmark_group("1,000 agents with 10 tasks each");
    group.bench_function("a snapshot", |b| {
        b.iter(|| black_box(&cluster).master.snapshot());
    });
    group.bench_function("a message that changes nothing, and a snapshot", |b| {
        b.iter(|| {
            cluster.tell(agent_pid(0), &PongSlaveMessage {});
            cluster.master.snapshot()
        });
    });
    let snapshot = cluster.master.snapshot();
    for path in ["/state", "/tasks", "/slaves"] {
        let request = request(path);
        group.bench_function(format!("{path}, rendered"), |b| {
            b.iter(|| answer(black_box(&snapshot), black_box(&request)));
        });
    }
    group.finish();
}

criterion_group!(benches, snapshots);
criterion_main!(benches);
