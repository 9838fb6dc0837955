//! The paths. What one needs before it is made by those that stand above it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use meseta_allocator::{AgentView, Allocator, FrameworkView, Options};
use meseta_instructions::{
    Cluster, agent_pid, now, request, resources, return_to_new_master, running,
};
use meseta_master::Change;
use meseta_master::http::{Answer, answer};
use meseta_proto::internal::PongSlaveMessage;
use meseta_proto::v1::master::call::UpdateQuota;
use meseta_proto::v1::quota::QuotaConfig;
use meseta_proto::v1::scheduler::{Event, event};
use meseta_proto::v1::value::Scalar;
use meseta_proto::v1::{Offer, TaskState};
use meseta_proto::{decode, json, recordio};
use prost::Message as _;

const AGENTS: usize = 200;
const TASKS_ON_EACH: usize = 10;

/// What can be counted.
pub(crate) const ALL: [(&str, fn()); 10] = [
    ("protobuf", protobuf),
    ("json", json_),
    ("recordio", records),
    ("reregister", reregister),
    ("failover", failover),
    ("update", update),
    ("snapshot", snapshot),
    ("state", state),
    ("allocation", allocation),
    ("quota", quota),
];

/// An event of 100 offers is written and read, 20 times.
fn protobuf() {
    let event = offers();
    for _ in 0..20 {
        let bytes = black_box(&event).encode_to_vec();
        black_box(decode::<Event>(&bytes).expect("an event"));
    }
}

/// The same in JSON.
fn json_() {
    let event = offers();
    for _ in 0..20 {
        let text = json::to_vec(black_box(&event));
        black_box(json::from_slice::<Event>(&text).expect("an event"));
    }
}

/// 2,000 records are framed and found again.
fn records() {
    let mut decoder = recordio::Decoder::new(1024 * 1024);
    for number in 0..2_000 {
        let record = vec![b'x'; number % 500];
        decoder.extend(&recordio::encode(&record));
        let found = decoder.next_record().expect("a frame").expect("a record");
        assert_eq!(found.len(), record.len());
    }
}

/// 200 agents come back with 10 tasks each.
fn reregister() {
    black_box(cluster());
}

/// 50 agents come back to a new master with 40 tasks each, of ten frameworks, and readers see it after each.
fn failover() {
    let mut cluster = Cluster::new();
    for number in 0..50 {
        cluster.tell(agent_pid(number), &return_to_new_master(number, 40));
        black_box(cluster.master.snapshot());
    }
    assert_eq!(cluster.master.snapshot().agents.len(), 50);
}

/// Each of these 2,000 tasks runs.
fn update() {
    let mut cluster = cluster();
    for agent in 0..AGENTS {
        for task in 0..TASKS_ON_EACH {
            cluster.tell(agent_pid(agent), &running(agent, task));
        }
    }
    let metrics = cluster.master.metrics();
    assert_eq!(
        metrics.active_tasks.get(&TaskState::TaskRunning),
        Some(&2_000)
    );
}

/// 2,000 messages that change nothing, each with the snapshot that is taken after it.
fn snapshot() {
    let mut cluster = cluster();
    for number in 0..2_000 {
        cluster.tell(agent_pid(number % AGENTS), &PongSlaveMessage {});
        black_box(cluster.master.snapshot());
    }
}

/// /state, 5 times.
fn state() {
    let snapshot = cluster().master.snapshot();
    for _ in 0..5 {
        let Answer::Reply(reply) = answer(&snapshot, &request("/state")) else {
            panic!("/state is not answered");
        };
        black_box(reply);
    }
}

/// 500 agents are offered to 50 frameworks that decline, 10 times.
fn allocation() {
    let mut allocator = Allocator::new(Options::default());
    for number in 0..50 {
        let framework = FrameworkView {
            roles: [format!("role{number}")].into(),
            ..FrameworkView::default()
        };
        allocator.add_framework(format!("f{number}").into(), framework);
    }
    for number in 0..500 {
        let agent = AgentView {
            total: resources("cpus:8;mem:8192"),
            ..AgentView::default()
        };
        allocator.add_agent(format!("S{number}").into(), agent);
    }
    let mut now = now();
    for _ in 0..10 {
        let proposals = allocator.allocate(now);
        assert_eq!(proposals.len(), 500);
        for p in proposals {
            let hour = Duration::from_hours(1);
            allocator.decline(&p.framework, &p.agent, &p.resources, hour, now);
        }
        now.monotonic += Duration::from_secs(1);
    }
}

/// 1,000 roles are given a quota, one after the other, and keep it.
fn quota() {
    let mut cluster = cluster();
    for number in 0..1_000 {
        let amounts: BTreeMap<_, _> = [("cpus".to_owned(), Scalar { value: 1.0 })].into();
        let config = QuotaConfig {
            role: format!("role{number}"),
            guarantees: amounts.clone(),
            limits: amounts,
        };
        cluster.change(Change::UpdateQuota(UpdateQuota {
            force: None,
            quota_configs: vec![config],
        }));
    }
    assert_eq!(cluster.master.snapshot().quotas.len(), 1_000);
}

fn cluster() -> Cluster {
    Cluster::with_agents(AGENTS, TASKS_ON_EACH)
}

fn offers() -> Event {
    let offer = |number: usize| Offer {
        id: format!("0a8c2f7e-6a0e-4e9b-8f3e-3f7d6b1c9d10-O{number}").into(),
        framework_id: "0a8c2f7e-6a0e-4e9b-8f3e-3f7d6b1c9d10-0001".into(),
        agent_id: format!("0a8c2f7e-6a0e-4e9b-8f3e-3f7d6b1c9d10-S{number}").into(),
        hostname: "agent.example.org".to_owned(),
        resources: resources("cpus:31.9;mem:64000;disk:1000000").to_v1(),
        ..Offer::default()
    };
    Event {
        r#type: Some(event::Type::Offers.into()),
        offers: Some(event::Offers {
            offers: (0..100).map(offer).collect(),
        }),
        ..Event::default()
    }
}
