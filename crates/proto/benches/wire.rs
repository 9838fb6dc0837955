//! The codecs: protobuf with its checks, JSON, RecordIO.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use meseta_proto::v1::scheduler::{Event, event};
use meseta_proto::v1::{Offer, Resource, Value, value};
use meseta_proto::{decode, json, recordio};
use prost::Message as _;

/// An event of so many offers, as large clusters send them.
fn offers(count: usize) -> Event {
    let scalar = |name: &str, amount| Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value: amount }),
        ..Resource::default()
    };
    let offer = |number: usize| Offer {
        id: format!("0a8c2f7e-6a0e-4e9b-8f3e-3f7d6b1c9d10-O{number}").into(),
        framework_id: "0a8c2f7e-6a0e-4e9b-8f3e-3f7d6b1c9d10-0001".into(),
        agent_id: format!("0a8c2f7e-6a0e-4e9b-8f3e-3f7d6b1c9d10-S{number}").into(),
        hostname: "agent.example.org".to_owned(),
        resources: vec![
            scalar("cpus", 31.9),
            scalar("mem", 64_000.0),
            scalar("disk", 1_000_000.0),
        ],
        ..Offer::default()
    };
    Event {
        r#type: Some(event::Type::Offers.into()),
        offers: Some(event::Offers {
            offers: (0..count).map(offer).collect(),
        }),
        ..Event::default()
    }
}

fn codecs(criterion: &mut Criterion) {
    let event = offers(100);
    let bytes = event.encode_to_vec();
    let text = json::to_vec(&event);

    let mut group = criterion.benchmark_group("an event of 100 offers");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("protobuf, written", |b| {
        b.iter(|| black_box(&event).encode_to_vec());
    });
    group.bench_function("protobuf, read and checked", |b| {
        b.iter(|| decode::<Event>(black_box(&bytes)));
    });
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("JSON, written", |b| {
        b.iter(|| json::to_vec(black_box(&event)));
    });
    group.bench_function("JSON, read", |b| {
        b.iter(|| json::from_slice::<Event>(black_box(&text)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("RecordIO");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("a record, framed", |b| {
        b.iter(|| recordio::encode(black_box(&bytes)));
    });
    let framed = recordio::encode(&bytes);
    group.bench_function("a record in pieces of 4 KiB", |b| {
        b.iter(|| {
            let mut decoder = recordio::Decoder::default();
            for piece in black_box(&framed).chunks(4096) {
                decoder.extend(piece);
            }
            decoder.next_record()
        });
    });
    group.finish();
}

/// A value is the smallest of all messages: what a call costs in any case.
fn smallest(criterion: &mut Criterion) {
    let bytes = Value {
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value: 1.5 }),
        ..Value::default()
    }
    .encode_to_vec();
    criterion.bench_function("the smallest message, read and checked", |b| {
        b.iter(|| decode::<Value>(black_box(&bytes)));
    });
}

criterion_group!(benches, codecs, smallest);
criterion_main!(benches);
