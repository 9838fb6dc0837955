//! The master's snapshot of a large cluster: taken after every batch, rendered for readers.
#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use meseta_machine::{Entropy, Now};
use meseta_master::http::{Request, answer};
use meseta_master::{Config, Input, Master};
use meseta_proto::internal::{PongSlaveMessage, ReregisterSlaveMessage};
use meseta_proto::v1::{AgentInfo, FrameworkInfo, Task, TaskState, agent_info, framework_info};
use meseta_proto::{Upid, Wire};
use meseta_resources::Resources;

const AGENTS: usize = 1_000;
const TASKS_ON_EACH: usize = 10;

fn pid(id: &str, port: u16) -> Upid {
    Upid::new(id, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

fn now() -> Now {
    Now {
        monotonic: Duration::from_secs(100),
        wall: Duration::from_secs(1_700_000_000),
    }
}

fn message<M: Wire>(from: Upid, message: &M) -> Input {
    Input::Message {
        from,
        to: "master".to_owned(),
        name: M::SCHEMA.name.to_owned(),
        body: message.encode_to_vec().into(),
    }
}

fn agent_capabilities() -> Vec<agent_info::Capability> {
    use agent_info::capability::Type::{HierarchicalRole, MultiRole, ReservationRefinement};
    [MultiRole, HierarchicalRole, ReservationRefinement]
        .map(|capability| agent_info::Capability {
            r#type: Some(capability.into()),
        })
        .to_vec()
}

/// A master to which agents have come back with their tasks.
fn master() -> Master {
    let config = Config::new("m", pid("master", 5050));
    let mut master = Master::new(config, Entropy::new(1), now());
    let mut actions = Vec::new();
    master.step(now(), Input::Recovered { facts: Vec::new() }, &mut actions);
    let framework = FrameworkInfo {
        user: "u".to_owned(),
        name: "f".to_owned(),
        id: Some("f".into()),
        roles: vec!["r".to_owned()],
        capabilities: vec![framework_info::Capability {
            r#type: Some(framework_info::capability::Type::MultiRole.into()),
        }],
        ..FrameworkInfo::default()
    };
    let resources = |text| Resources::parse(text, "*").expect("resources");
    let used = resources("cpus:0.1;mem:32").allocate("r").to_v1();
    for number in 0..AGENTS {
        let id = format!("S{number}");
        let task = |task: usize| Task {
            name: format!("t{number}-{task}"),
            task_id: format!("t{number}-{task}").into(),
            framework_id: "f".into(),
            agent_id: id.as_str().into(),
            state: TaskState::TaskRunning.into(),
            resources: used.clone(),
            ..Task::default()
        };
        let agent = AgentInfo {
            hostname: format!("host{number}"),
            port: Some(5051),
            resources: resources("cpus:8;mem:8192").to_v1(),
            id: Some(id.as_str().into()),
            ..AgentInfo::default()
        };
        let back = ReregisterSlaveMessage {
            slave: agent.into(),
            tasks: (0..TASKS_ON_EACH).map(task).collect(),
            frameworks: vec![framework.clone()],
            version: Some("1.11.0".to_owned()),
            agent_capabilities: agent_capabilities(),
            ..ReregisterSlaveMessage::default()
        };
        let from = pid(&format!("slave({})", number + 1), 5051);
        master.step(now(), message(from, &back), &mut actions);
        actions.clear();
    }
    assert_eq!(master.snapshot().agents.len(), AGENTS);
    master
}

fn snapshots(criterion: &mut Criterion) {
    let mut master = master();
    let mut group = criterion.benchmark_group("1,000 agents with 10 tasks each");
    group.bench_function("a snapshot", |b| b.iter(|| black_box(&master).snapshot()));
    let mut actions = Vec::new();
    group.bench_function("a message that changes nothing, and a snapshot", |b| {
        b.iter(|| {
            let pong = message(pid("slave(1)", 5051), &PongSlaveMessage {});
            master.step(now(), pong, &mut actions);
            actions.clear();
            master.snapshot()
        });
    });
    let snapshot = master.snapshot();
    for path in ["/state", "/tasks", "/slaves"] {
        let request = Request {
            method: "GET",
            path,
            query: &[],
            content_type: None,
            accept: None,
            stream_id: None,
            last_event_id: None,
            host: None,
            body: &[],
        };
        group.bench_function(format!("{path}, rendered"), |b| {
            b.iter(|| answer(black_box(&snapshot), black_box(&request)));
        });
    }
    group.finish();
}

criterion_group!(benches, snapshots);
criterion_main!(benches);
