//! The store: commits with their syncs, and opening what was committed. They measure the disk under the
//! folder for temporary files.
#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use meseta_store::{Change, Store};

/// As large as a task's facts.
const FACT: usize = 500;

fn changes(count: usize) -> Vec<Change> {
    (0..count)
        .map(|number| (format!("task/{number}"), Some(vec![b'x'; FACT])))
        .collect()
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a commit");
    for count in [1, 100] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(&folder.path().join("facts")).expect("a store");
        let changes = changes(count);
        group.bench_function(format!("of {count} facts"), |b| {
            b.iter(|| store.commit(&changes).expect("a commit"));
        });
    }
    group.finish();
}

fn open(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("facts");
    let mut store = Store::open(&path).expect("a store");
    store.commit(&changes(10_000)).expect("a commit");
    drop(store);
    criterion.bench_function("opening a store of 10,000 facts", |b| {
        b.iter_batched(
            || (),
            |()| {
                let store = Store::open(&path).expect("a store");
                store.load().expect("its facts").len()
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, commit, open);
criterion_main!(benches);
