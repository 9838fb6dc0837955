//! Promises of emulated agents.

use meseta_proto::internal::{
    RegisterSlaveMessage, ReregisterSlaveMessage, StatusUpdateMessage, UpdateOperationStatusMessage,
};
use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::{FrameworkInfo, OperationState, Resource, TaskInfo, TaskState, Uuid};

use super::*;

const MASTER: &str = "master@127.0.0.1:5050";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A fleet, and what it said last.
struct World {
    fleet: Fleet,
    out: Vec<Outgoing>,
}

impl World {
    fn with(pattern: Pattern, standing: Standing) -> Self {
        let addresses = ["127.0.0.1:7001", "127.0.0.1:7002"];
        let shape = Shape {
            resources: Resources::parse("cpus:4;mem:4096;disk:1000", "*").unwrap(),
            pattern,
            standing,
            master: MASTER.parse().unwrap(),
            addresses: addresses.map(|address| address.parse().unwrap()).to_vec(),
            run: "run".to_owned(),
            epoch: at(1_000_000),
            seed: 1,
        };
        Self {
            fleet: Fleet::new(shape),
            out: Vec::new(),
        }
    }

    /// A registered agent.
    fn registered(pattern: Pattern) -> Self {
        let mut world = Self::with(pattern, Standing::default());
        world.fleet.enrol(1);
        world.fleet.ask_some(at(0), &mut world.out);
        world.gets(
            at(1),
            &SlaveRegisteredMessage {
                slave_id: "S".into(),
                connection: None,
            },
        );
        world.out.clear();
        world
    }

    fn gets<M: Wire>(&mut self, now: Duration, message: &M) {
        self.gets_from("master", "slave(1)", now, message);
    }

    fn gets_from<M: Wire>(&mut self, from: &str, to: &str, now: Duration, message: &M) {
        let message = Message {
            from: Upid::new(from, "127.0.0.1:5050".parse().unwrap()),
            to: to.to_owned(),
            name: M::SCHEMA.name.to_owned(),
            body: message.encode_to_vec().into(),
        };
        self.fleet.on_message(&message, now, &mut self.out);
    }

    /// What was said of one kind since it was last asked for anything.
    fn said<M: Wire>(&mut self) -> Vec<M> {
        std::mem::take(&mut self.out)
            .iter()
            .filter(|message| message.name == M::SCHEMA.name)
            .map(|message| decode(&message.body).unwrap())
            .collect()
    }

    fn states(&mut self) -> Vec<TaskState> {
        let updates = self.said::<StatusUpdateMessage>();
        updates.iter().map(|u| u.update.status.state()).collect()
    }

    fn runs(&mut self, task: &str) {
        let message = RunTaskMessage {
            framework: framework("F"),
            task: TaskInfo {
                name: task.to_owned(),
                task_id: task.into(),
                agent_id: "S".into(),
                ..TaskInfo::default()
            },
            ..RunTaskMessage::default()
        };
        self.gets(at(2), &message);
    }

    /// The master passes on that a framework has seen the update that was sent last.
    fn acknowledges(&mut self, now: Duration) {
        let update = self.said::<StatusUpdateMessage>().pop().unwrap().update;
        let message = StatusUpdateAcknowledgementMessage {
            slave_id: "S".into(),
            framework_id: update.framework_id,
            task_id: update.status.task_id,
            uuid: update.uuid.unwrap(),
        };
        self.gets(now, &message);
    }
}

fn framework(id: &str) -> FrameworkInfo {
    FrameworkInfo {
        user: "u".into(),
        name: id.to_owned(),
        id: Some(id.into()),
        roles: vec!["r".to_owned()],
        ..FrameworkInfo::default()
    }
}

#[test]
fn agents_of_a_port_share_it_and_differ_by_their_process_ids() {
    let mut world = World::with(Pattern::running(), Standing::default());
    world.fleet.enrol(3);
    assert!(world.fleet.ask_some(at(0), &mut world.out));
    let senders: Vec<_> = world
        .out
        .iter()
        .map(|m| (m.from.as_str(), m.port))
        .collect();
    assert_eq!(senders, [("slave(1)", 0), ("slave(2)", 1), ("slave(3)", 0)]);
    let ports: Vec<_> = world
        .said::<RegisterSlaveMessage>()
        .iter()
        .map(|message| message.slave.port)
        .collect();
    assert_eq!(ports, [Some(7001), Some(7002), Some(7001)]);
    assert!(!world.fleet.ask_some(at(0), &mut world.out));
}

#[test]
fn an_agent_counts_as_registered_once_and_says_what_it_has() {
    let mut world = World::registered(Pattern::running());
    let again = SlaveRegisteredMessage {
        slave_id: "S".into(),
        connection: None,
    };
    world.gets(at(3), &again);
    assert_eq!(world.fleet.registered(), 1);
    assert_eq!(world.fleet.tally.registrations.count(), 1);
    let [update] = &world.said::<meseta_proto::internal::UpdateSlaveMessage>()[..] else {
        panic!("it says what it has");
    };
    assert_eq!(update.slave_id.as_str(), "S");
}

#[test]
fn an_agent_that_nobody_answers_asks_again() {
    let mut world = World::with(Pattern::running(), Standing::default());
    world.fleet.enrol(1);
    world.fleet.ask_some(at(0), &mut world.out);
    assert_eq!(world.fleet.next_wake(), Some(limits::REPEAT_AFTER));
    world.fleet.on_time(limits::REPEAT_AFTER, &mut world.out);
    assert!(world.fleet.ask_some(limits::REPEAT_AFTER, &mut world.out));
    assert_eq!(world.said::<RegisterSlaveMessage>().len(), 2);
    assert_eq!(world.fleet.tally.repeated, 1);
}

#[test]
fn pings_are_answered_to_whoever_pings() {
    let mut world = World::registered(Pattern::running());
    let ping = PingSlaveMessage { connected: true };
    world.gets_from("slave-observer(9)", "slave(1)", at(3), &ping);
    let [answer] = &world.out[..] else {
        panic!("one answer");
    };
    assert_eq!(answer.name, "mesos.internal.PongSlaveMessage");
    assert_eq!(answer.to.id, "slave-observer(9)");
}

#[test]
fn an_agent_that_hears_it_is_not_connected_comes_back_with_its_tasks() {
    let mut world = World::registered(Pattern::running());
    world.runs("t");
    let ping = PingSlaveMessage { connected: false };
    world.gets_from("slave-observer(9)", "slave(1)", at(3), &ping);
    assert_eq!(world.fleet.registered(), 0);
    world.fleet.ask_some(at(3), &mut world.out);
    let [back] = &world.said::<ReregisterSlaveMessage>()[..] else {
        panic!("it asks once");
    };
    assert_eq!(back.slave.id.as_ref().unwrap().as_str(), "S");
    assert_eq!(back.frameworks, [framework("F")]);
    let [task] = &back.tasks[..] else {
        panic!("one task");
    };
    assert_eq!(task.task_id.as_str(), "t");
    assert_eq!(task.state(), TaskState::TaskRunning);
    assert_eq!(
        task.status_update_state,
        Some(TaskState::TaskStarting.into())
    );
}

#[test]
fn one_update_at_a_time_is_on_its_way_and_the_next_follows_its_acknowledgement() {
    let mut world = World::registered(Pattern::finishing(at(5)));
    world.runs("t");
    let first = world.out.clone();
    assert_eq!(world.states(), [TaskState::TaskStarting]);
    world.out = first;
    world.acknowledges(at(3));
    let second = world.out.clone();
    assert_eq!(world.states(), [TaskState::TaskRunning]);
    world.out = second;
    world.acknowledges(at(4));
    assert_eq!(world.states(), []);
    world.fleet.on_time(at(7), &mut world.out);
    let last = world.out.clone();
    assert_eq!(world.states(), [TaskState::TaskFinished]);
    world.out = last;
    world.acknowledges(at(8));
    assert_eq!(world.fleet.tally.acknowledged, 3);
    assert!(
        world
            .fleet
            .agents
            .iter()
            .all(|agent| agent.tasks.is_empty())
    );
}

#[test]
fn updates_are_said_again_until_they_are_acknowledged() {
    let mut world = World::registered(Pattern::running());
    world.runs("t");
    let first = world.said::<StatusUpdateMessage>();
    world
        .fleet
        .on_time(at(2) + limits::REPEAT_AFTER, &mut world.out);
    let again = world.said::<StatusUpdateMessage>();
    assert_eq!(again[0].update.uuid, first[0].update.uuid);
    let update = UpdateFrameworkMessage {
        framework_id: "F".into(),
        ..UpdateFrameworkMessage::default()
    };
    world.gets(at(20), &update);
    assert_eq!(world.states(), [TaskState::TaskStarting]);
}

#[test]
fn a_killed_task_ends_whether_or_not_the_agent_remembers_it() {
    let standing = Standing {
        frameworks: vec![framework("F"), framework("G")],
        tasks: 3,
        completed: 2,
    };
    let mut world = World::with(Pattern::running(), standing);
    world.fleet.enrol(1);
    world.fleet.ask_some(at(0), &mut world.out);
    let back = world.said::<ReregisterSlaveMessage>().remove(0);
    assert_eq!(back.tasks.len(), 3);
    assert_eq!(back.completed_frameworks[0].tasks.len(), 2);
    let kill = KillTaskMessage {
        framework_id: back.tasks[1].framework_id.clone(),
        task_id: back.tasks[1].task_id.clone(),
        kill_policy: None,
    };
    world.gets(at(1), &kill);
    let update = world.said::<StatusUpdateMessage>().remove(0).update;
    assert_eq!(update.status.state(), TaskState::TaskKilled);
    assert_eq!(update.framework_id.as_str(), "G");
}

#[test]
fn operations_change_what_an_agent_comes_back_with() {
    let mut world = World::registered(Pattern::running());
    let reserved = Resources::parse("cpus:1", "*").unwrap();
    let reservation = meseta_proto::v1::resource::ReservationInfo {
        r#type: Some(meseta_proto::v1::resource::reservation_info::Type::Dynamic.into()),
        role: Some("r".to_owned()),
        ..Default::default()
    };
    let resources: Vec<Resource> = reserved.push_reservation(&reservation).unwrap().to_v1();
    let apply = |resources| ApplyOperationMessage {
        framework_id: Some("F".into()),
        operation_info: Operation {
            r#type: Some(operation::Type::Reserve.into()),
            id: Some("o".into()),
            reserve: Some(operation::Reserve {
                resources,
                ..Default::default()
            }),
            ..Operation::default()
        },
        operation_uuid: Uuid { value: vec![7; 16] },
        ..ApplyOperationMessage::default()
    };
    world.gets(at(2), &apply(resources));
    let status = world
        .said::<UpdateOperationStatusMessage>()
        .remove(0)
        .status;
    assert_eq!(status.state(), OperationState::OperationFinished);
    world.gets(
        at(3),
        &apply(
            Resources::parse("gpus:1", "*")
                .unwrap()
                .push_reservation(&reservation)
                .unwrap()
                .to_v1(),
        ),
    );
    let status = world
        .said::<UpdateOperationStatusMessage>()
        .remove(0)
        .status;
    assert_eq!(status.state(), OperationState::OperationFailed);

    let ping = PingSlaveMessage { connected: false };
    world.gets_from("slave-observer(9)", "slave(1)", at(3), &ping);
    world.fleet.ask_some(at(3), &mut world.out);
    let back = world.said::<ReregisterSlaveMessage>().remove(0);
    let kept = Resources::from_v1(&back.checkpointed_resources).unwrap();
    assert_eq!(kept.to_string(), "cpus(reservations: [(DYNAMIC,r)]):1");
}

#[test]
fn agents_that_were_told_to_end_say_no_more() {
    let mut world = World::registered(Pattern::finishing(at(5)));
    world.runs("t");
    world.gets(at(3), &ShutdownMessage { message: None });
    world.out.clear();
    world.fleet.on_time(at(60), &mut world.out);
    assert!(!world.fleet.ask_some(at(60), &mut world.out));
    assert_eq!(world.out, []);
    assert_eq!(world.fleet.tally.shut_down, 1);
}

#[test]
fn what_cannot_be_understood_is_counted_and_harms_nothing() {
    let mut world = World::registered(Pattern::running());
    for (to, name, body) in [
        ("slave(0)", "mesos.internal.PingSlaveMessage", &b""[..]),
        ("slave(7)", "mesos.internal.PingSlaveMessage", b""),
        ("slave(1)", "mesos.internal.PingSlaveMessage", b"\xff"),
        ("slave(1)", "mesos.internal.NoSuchMessage", b""),
    ] {
        let message = Message {
            from: MASTER.parse().unwrap(),
            to: to.to_owned(),
            name: name.to_owned(),
            body: Bytes::from_static(body),
        };
        world.fleet.on_message(&message, at(3), &mut world.out);
    }
    assert_eq!(world.fleet.tally.strange, 4);
    assert_eq!(world.out, []);
}

#[test]
fn uuids_bear_the_marks_of_rfc_4122() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..100 {
        let uuid = new_uuid(&mut random);
        assert_eq!((uuid[6] >> 4, uuid[8] >> 6), (4, 2));
    }
}
