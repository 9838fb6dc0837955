//! Random lives of an agent: whatever happens in whatever order, nothing panics, the invariants
//! hold after every step (the machine checks them itself), and when everything has ended and is
//! acknowledged, nothing of it is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_machine::{RequestId, StreamId};
use meseta_proto::internal;
use meseta_proto::v1::{ContainerId, TaskState};
use proptest::prelude::*;

use super::{Did, MASTER, World, command, custom, framework, status};
use crate::{Action, ContainerCall, Input, LaunchFailure, recovery};

#[derive(Debug, Clone)]
enum Step {
    RunCommand(u8),
    RunCustom(u8, u8),
    Kill(u8),
    /// Inside of which of those there are, and what of it.
    Nested(u8, Nested),
    Launched(u8),
    LaunchFailed(u8),
    Exited(u8),
    Subscribe(u8),
    CloseStream(u8),
    Report(u8, u8, u8),
    AcknowledgeAll,
    ShutdownExecutor(u8),
    ShutdownFramework,
    Drain,
    Wait(u16),
    LoseMaster,
    Reregister,
    /// What was noted has reached the disk.
    WriteNotes,
    Crash,
}

#[derive(Debug, Clone, Copy)]
enum Nested {
    Launch(u8),
    Wait,
    Kill,
    Remove,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0..4_u8;
    let nested = prop_oneof![
        4 => id.clone().prop_map(Nested::Launch),
        2 => Just(Nested::Wait),
        1 => Just(Nested::Kill),
        1 => Just(Nested::Remove),
    ];
    let step = prop_oneof![
        3 => id.clone().prop_map(Step::RunCommand),
        3 => (id.clone(), id.clone()).prop_map(|(task, executor)| Step::RunCustom(task, executor)),
        2 => id.clone().prop_map(Step::Kill),
        6 => (0..8_u8, nested).prop_map(|(which, what)| Step::Nested(which, what)),
        4 => id.clone().prop_map(Step::Launched),
        1 => id.clone().prop_map(Step::LaunchFailed),
        2 => id.clone().prop_map(Step::Exited),
        5 => id.clone().prop_map(Step::Subscribe),
        1 => id.clone().prop_map(Step::CloseStream),
        5 => (id.clone(), id.clone(), id.clone()).prop_map(|(e, t, s)| Step::Report(e, t, s)),
        3 => Just(Step::AcknowledgeAll),
        1 => id.clone().prop_map(Step::ShutdownExecutor),
        1 => Just(Step::ShutdownFramework),
        1 => Just(Step::Drain),
        2 => (1..100_u16).prop_map(Step::Wait),
        1 => Just(Step::LoseMaster),
        2 => Just(Step::Reregister),
        1 => Just(Step::WriteNotes),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..80)
}

/// An agent, with what a shell and a master would know of it.
struct Chaos {
    world: World,
    /// Containers that were asked for and have not ended.
    containers: Vec<ContainerId>,
    streams: Vec<StreamId>,
    /// Calls about containers that this life of the agent has not answered.
    held: BTreeSet<RequestId>,
    /// What the framework was last sent of each task.
    unacknowledged: BTreeMap<String, meseta_proto::v1::TaskStatus>,
    numbers: u8,
}

impl Chaos {
    fn note(&mut self, did: Did) {
        for update in did.updates() {
            self.unacknowledged
                .insert(update.task_id.to_string(), update);
        }
        for action in did.0 {
            match action {
                Action::Launch(launch) => self.containers.push(launch.container_id),
                Action::Reply { request, .. } => {
                    // Others are answered at once, and looked at where they are asked.
                    self.held.remove(&request);
                }
                Action::OpenStream { stream, .. } => self.streams.push(stream),
                _ => {}
            }
        }
    }

    fn take_container(&mut self, which: u8) -> Option<ContainerId> {
        let count = self.containers.len();
        (count > 0).then(|| self.containers.remove(usize::from(which) % count))
    }

    fn take(&mut self, step: &Step) {
        let executor = |n: &u8| format!("e{n}");
        let did = match step {
            Step::RunCommand(n) => self.world.run(command(&format!("t{n}"), "true")),
            Step::RunCustom(task, n) => {
                let task = custom(&format!("t{task}"), &executor(n));
                let key = task.executor.as_ref().unwrap().executor_id.clone();
                let frameworks = self.world.agent.snapshot().frameworks;
                let known = frameworks.values().any(|f| f.executors.contains_key(&key));
                let message = internal::RunTaskMessage {
                    framework: framework(),
                    task,
                    launch_executor: Some(!known),
                    ..internal::RunTaskMessage::default()
                };
                self.world.receive(MASTER, &message)
            }
            Step::Kill(n) => self.world.kill(&format!("t{n}")),
            Step::Nested(which, what) => {
                let count = self.containers.len();
                if count == 0 {
                    return;
                }
                let around = self.containers[usize::from(*which) % count].clone();
                let call = match what {
                    Nested::Launch(n) => super::nested::launch_inside(&around, &format!("n{n}")),
                    Nested::Wait => super::nested::wait(&around),
                    Nested::Kill => ContainerCall::Kill {
                        container_id: around,
                        signal: 9,
                    },
                    Nested::Remove => ContainerCall::Remove {
                        container_id: around,
                    },
                };
                let (did, request) = self.world.container_call(call);
                self.held.insert(request);
                did
            }
            Step::Launched(n) => match self.containers.get(usize::from(*n)).cloned() {
                Some(container) => self.world.launched(&container),
                None => return,
            },
            Step::LaunchFailed(n) => match self.take_container(*n) {
                Some(container) => {
                    let failure = LaunchFailure::Container("no".into());
                    self.world.launch_failed(&container, failure)
                }
                None => return,
            },
            Step::Exited(n) => match self.take_container(*n) {
                Some(container) => self.world.exited(&container, Some(9)),
                None => return,
            },
            Step::Subscribe(n) => {
                let command = self.world.subscribe(&format!("t{n}")).0;
                self.note(command);
                self.world.subscribe(&executor(n)).0
            }
            Step::CloseStream(n) => match self.streams.get(usize::from(*n)).cloned() {
                Some(stream) => self.world.step(Input::StreamClosed { stream }),
                None => return,
            },
            Step::Report(n, task, state) => {
                let state = [
                    TaskState::TaskStarting,
                    TaskState::TaskRunning,
                    TaskState::TaskFinished,
                    TaskState::TaskKilled,
                ][usize::from(*state)];
                self.numbers = self.numbers.wrapping_add(1);
                let task = format!("t{task}");
                let own = self.world.update(&task, status(&task, state, self.numbers));
                self.note(own);
                let number = self.numbers;
                self.world
                    .update(&executor(n), status(&task, state, number))
            }
            Step::AcknowledgeAll => return self.acknowledge_all(),
            Step::ShutdownExecutor(n) => {
                let message = internal::ShutdownExecutorMessage {
                    framework_id: Some("F".into()),
                    executor_id: Some(executor(n).as_str().into()),
                };
                self.world.receive(MASTER, &message)
            }
            Step::ShutdownFramework => self.world.shutdown_framework(),
            Step::Drain => {
                let message = internal::DrainSlaveMessage::default();
                self.world.receive(MASTER, &message)
            }
            Step::Wait(seconds) => self.world.wait(Duration::from_secs(u64::from(*seconds))),
            Step::LoseMaster => self.world.step(Input::MasterDetected { master: None }),
            Step::Reregister => {
                let mut did = self.world.detect();
                did.0.extend(self.world.wait(Duration::from_secs(3)).0);
                did.0.extend(self.world.reregister().0);
                did
            }
            Step::WriteNotes => {
                self.world.write_notes();
                return;
            }
            Step::Crash => {
                // A container whose process is not known any more is ended by the shell.
                let facts: Vec<_> = self.world.store.clone().into_iter().collect();
                let known: BTreeSet<_> =
                    recovery::survivors(&self.world.config.work_dir, "", &facts)
                        .into_iter()
                        .filter(|survivor| survivor.process.is_some())
                        .map(|survivor| survivor.container_id)
                        .collect();
                self.containers
                    .retain(|container| known.contains(container));
                // Their connections end with the agent.
                self.held.clear();
                let alive: Vec<_> = self.containers.iter().collect();
                self.world.crash(&alive)
            }
        };
        self.note(did);
    }

    fn acknowledge_all(&mut self) {
        while let Some((_, update)) = self.unacknowledged.pop_first() {
            let did = self.world.acknowledge(&update);
            self.note(did);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_ends_with_nothing_left(steps in steps()) {
        let mut chaos = Chaos {
            world: World::registered(),
            containers: Vec::new(),
            streams: Vec::new(),
            held: BTreeSet::new(),
            unacknowledged: BTreeMap::new(),
            numbers: 0,
        };
        for step in &steps {
            chaos.take(step);
        }
        chaos.take(&Step::Reregister);
        while let Some(container) = chaos.take_container(0) {
            let did = chaos.world.exited(&container, None);
            chaos.note(did);
        }
        chaos.take(&Step::Wait(3));
        chaos.take(&Step::Reregister);
        chaos.acknowledge_all();
        prop_assert_eq!(chaos.world.kept(), Vec::<&str>::new());
        prop_assert!(chaos.world.agent.snapshot().frameworks.is_empty());
        prop_assert_eq!(chaos.held, BTreeSet::new());
    }
}
