//! Whatever comes in whatever order: the master goes on, its books agree after every step (debug
//! builds check that), and what nobody uses any more is free in the end.

use std::time::Duration;

use meseta_machine::{Entropy, StreamId};
use meseta_proto::Upid;
use meseta_proto::internal::{
    ExitedExecutorMessage, PongSlaveMessage, UnregisterSlaveMessage, UpdateOperationStatusMessage,
    UpdateSlaveMessage, update_slave_message,
};
use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{
    self, AgentId, ExecutorInfo, Filters, FrameworkInfo, Offer, OperationStatus, Task, TaskId,
    TaskState, Uuid,
};
use meseta_resources::Resources;

use super::operations::{operation, quiet};
use super::world::*;
use crate::{Input, Opening};

const ADDRESSES: u16 = 4;
const TASKS: u64 = 12;

struct Storm {
    world: World,
    entropy: Entropy,
    schedulers: Vec<Scheduler>,
    agents: Vec<AgentId>,
}

impl Storm {
    fn below(&mut self, bound: u64) -> u64 {
        self.entropy.next_u64() % bound.max(1)
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> Option<T> {
        let index = self.below(choices.len() as u64);
        choices.get(usize::try_from(index).unwrap()).cloned()
    }

    fn pid(&mut self) -> meseta_proto::Upid {
        let port = 5051 + u16::try_from(self.below(ADDRESSES.into())).unwrap();
        upid("slave(1)", port)
    }

    fn state(&mut self) -> TaskState {
        let number = i32::try_from(self.below(14)).unwrap();
        TaskState::try_from(number).unwrap()
    }

    fn task_name(&mut self) -> String {
        format!("t{}", self.below(TASKS))
    }

    fn act(&mut self) {
        let pid = self.pid();
        let mut name = self.task_name();
        let mut scheduler = self.pick(&self.schedulers.clone());
        let mut agent = self.pick(&self.agents.clone());
        // Mostly what is so, now and then what is not.
        if let Some((at, task)) = self.a_task().filter(|_| self.below(5) > 0) {
            name = task.task_id.to_string();
            agent = Some(task.agent_id);
            scheduler = Some(at);
        }
        match (self.below(25), scheduler, agent) {
            (0, ..) => {
                self.world.message(&pid, "master", &registration());
            }
            (1, ..) => self.subscribe(),
            (2, ..) => self.world.step(Input::Exited {
                address: pid.address,
            }),
            (3, Some(scheduler), _) => {
                let stream = scheduler.stream;
                self.world.step(Input::StreamClosed { stream });
            }
            (4 | 5 | 20 | 21, Some(scheduler), _) => self.answer_an_offer(&scheduler),
            (6 | 13..=16, Some(scheduler), Some(agent)) => {
                let (state, latest) = (self.state(), self.state());
                let latest = (self.below(2) == 0).then_some(latest);
                let world = &mut self.world;
                world.update(&pid, &agent, &scheduler, &name, state, latest);
            }
            (7 | 17..=19, Some(scheduler), Some(agent)) => {
                let uuid = uuid(self.state());
                let acknowledge = Call {
                    acknowledge: Some(call::Acknowledge {
                        agent_id: agent,
                        task_id: name.into(),
                        uuid,
                    }),
                    ..call(call::Type::Acknowledge)
                };
                self.world.call(&scheduler, acknowledge);
            }
            (22, Some(scheduler), Some(agent)) => {
                self.acknowledge_an_operation(&scheduler, &agent);
            }
            (23, _, Some(agent)) => self.tell_of_an_operation(&pid, &agent),
            (24, _, Some(agent)) => self.tell_of_all_operations(&pid, agent),
            (8, _, Some(agent)) => self.reregister(&pid, &agent),
            (9, Some(scheduler), _) if self.below(4) == 0 => {
                self.world.call(&scheduler, call(call::Type::Teardown));
            }
            (9, Some(scheduler), Some(agent)) => {
                let exited = ExitedExecutorMessage {
                    slave_id: agent,
                    framework_id: scheduler.id,
                    executor_id: "e".into(),
                    status: 1,
                };
                self.world.message(&pid, "master", &exited);
            }
            (10, Some(scheduler), _) => {
                let kill = Call {
                    kill: Some(call::Kill {
                        task_id: name.into(),
                        ..Default::default()
                    }),
                    ..call(call::Type::Kill)
                };
                self.world.call(&scheduler, kill);
            }
            (11, _, Some(agent)) if self.below(4) == 0 => {
                let message = UnregisterSlaveMessage { slave_id: agent };
                self.world.message(&pid, "master", &message);
            }
            _ => {
                let seconds = self.below(20);
                self.world.pass(Duration::from_secs(seconds));
                if self.below(3) > 0 {
                    for observer in 0..200 {
                        let to = format!("slave-observer({observer})");
                        self.world.message(&pid, &to, &PongSlaveMessage {});
                    }
                }
            }
        }
        let known = self.world.master.snapshot();
        let unreachable = known.unreachable_agents.keys();
        self.agents = known.agents.keys().chain(unreachable).cloned().collect();
        self.world.actions();
    }

    /// Somebody watches from now on, or no more, or what some begin with has been made.
    fn watch(&mut self, entropy: &mut Entropy, number: u64) {
        match entropy.next_u64() % 20 {
            0..=2 => self.world.step(Input::Watch {
                request: meseta_machine::RequestId(0),
                stream: StreamId(format!("w{number}")),
                opening: Opening::State,
                after: None,
            }),
            3 => self.world.step(Input::WatchesOpened),
            4 => {
                if let Some(stream) = self.world.followers.streams().pop() {
                    self.world.step(Input::StreamClosed { stream });
                }
            }
            _ => {}
        }
    }

    /// A task that is in the books, with its framework's scheduler.
    fn a_task(&mut self) -> Option<(Scheduler, Task)> {
        let frameworks = self.world.master.snapshot().frameworks;
        let scheduler = self.pick(&self.schedulers.clone())?;
        let tasks = &frameworks.get(&scheduler.id)?.tasks;
        let tasks: Vec<_> = tasks.values().cloned().collect();
        Some((scheduler, Task::clone(self.pick(&tasks)?.as_ref())))
    }

    fn subscribe(&mut self) {
        let id = self.pick(&self.schedulers.clone()).map(|s| s.id);
        let id = id.filter(|_| self.below(2) == 0);
        let checkpoint = Some(self.below(2) == 0);
        let scheduler = self.world.subscribe(FrameworkInfo {
            id,
            checkpoint,
            failover_timeout: Some(30.0),
            ..framework_info()
        });
        if !scheduler.id.as_str().is_empty() {
            self.schedulers.push(scheduler);
        }
        if self.schedulers.len() > 6 {
            self.schedulers.remove(0);
        }
    }

    fn answer_an_offer(&mut self, scheduler: &Scheduler) {
        self.world.settle();
        let offers = self.world.master.snapshot().offers;
        let anyones = self.below(4) == 0;
        let offers = offers.values().cloned();
        let offers: Vec<_> = offers
            .filter(|offer| anyones || offer.framework_id == scheduler.id)
            .collect();
        let Some(offer) = self.pick(&offers) else {
            return;
        };
        let filters = Some(Filters {
            refuse_seconds: Some(1.0),
        });
        let offer_ids = vec![offer.id.clone()];
        let call = if self.below(4) == 0 {
            Call {
                decline: Some(call::Decline { offer_ids, filters }),
                ..call(call::Type::Decline)
            }
        } else {
            let mut operations = self.operations();
            let tasks = (0..self.below(4)).map(|_| self.task(&offer)).collect();
            operations.push(launch(tasks));
            Call {
                accept: Some(call::Accept {
                    offer_ids,
                    operations,
                    filters,
                }),
                ..call(call::Type::Accept)
            }
        };
        self.world.call(scheduler, call);
    }

    fn task(&mut self, offer: &Offer) -> meseta_proto::v1::TaskInfo {
        let cpus = self.below(3);
        let name = self.task_name();
        let mut task = command_task(&name, offer, &format!("cpus:{cpus};mem:32"));
        if self.below(3) == 0 {
            task.executor = Some(ExecutorInfo {
                executor_id: "e".into(),
                command: task.command.take(),
                resources: Resources::parse("cpus:0.1;mem:32", "*").unwrap().to_v1(),
                ..Default::default()
            });
        }
        task
    }

    /// A volume from its reservation to its end, or a part of that.
    fn operations(&mut self) -> Vec<Operation> {
        let amount = 10 * (1 + u32::try_from(self.below(2)).unwrap());
        let (from, count) = (self.below(4), self.below(4));
        let kinds = ["RESERVE", "CREATE", "DESTROY", "UNRESERVE"].iter();
        let kinds = kinds.skip(usize::try_from(from / 2).unwrap());
        let kinds = kinds.take(usize::try_from(count).unwrap());
        let made = kinds.map(|kind| {
            let made = operation(kind, &format!("op{}", self.below(4)), amount);
            if self.below(3) == 0 {
                quiet(made)
            } else {
                made
            }
        });
        made.collect()
    }

    fn operations_of(&mut self, agent: &AgentId) -> Vec<v1::Operation> {
        let agents = self.world.master.snapshot().agents;
        let operations = agents.get(agent).map(|agent| agent.operations.clone());
        let operations = operations.into_iter().flatten();
        operations.map(|(_, it)| it.as_ref().clone()).collect()
    }

    fn tell_of_an_operation(&mut self, pid: &Upid, agent: &AgentId) {
        let operations = self.operations_of(agent);
        let Some(operation) = self.pick(&operations) else {
            return;
        };
        let state = i32::try_from(self.below(10)).unwrap();
        let message = UpdateOperationStatusMessage {
            framework_id: operation.framework_id.filter(|_| self.below(4) > 0),
            slave_id: Some(agent.clone()),
            status: OperationStatus {
                state,
                uuid: (self.below(4) > 0).then(|| Uuid { value: vec![7; 16] }),
                ..Default::default()
            },
            operation_uuid: Some(operation.uuid).filter(|_| self.below(8) > 0),
            ..Default::default()
        };
        self.world.message(pid, "master", &message);
    }

    /// All, some, or those of an earlier master.
    fn tell_of_all_operations(&mut self, pid: &Upid, agent: AgentId) {
        let mut operations = self.operations_of(&agent);
        operations.truncate(usize::try_from(self.below(6)).unwrap());
        if self.below(2) == 0 {
            let owner = self.pick(&self.schedulers.clone()).map(|s| s.id);
            operations.push(v1::Operation {
                framework_id: owner.filter(|_| self.below(2) == 0),
                info: operation("RESERVE", "op0", 10),
                uuid: Uuid {
                    value: self.entropy.uuid_bytes().to_vec(),
                },
                ..Default::default()
            });
        }
        let message = UpdateSlaveMessage {
            slave_id: agent,
            update_oversubscribed_resources: Some(false),
            operations: Some(update_slave_message::Operations { operations }),
            ..Default::default()
        };
        self.world.message(pid, "master", &message);
    }

    fn acknowledge_an_operation(&mut self, scheduler: &Scheduler, agent: &AgentId) {
        let operations = self.operations_of(agent);
        let operation = self.pick(&operations);
        let owner = operation.as_ref().and_then(|it| it.framework_id.clone());
        let schedulers = self.schedulers.clone();
        // Mostly who made it, and the latest that is connected.
        let owner = schedulers.iter().rfind(|it| Some(&it.id) == owner.as_ref());
        let scheduler = owner.unwrap_or(scheduler);
        let id = operation.and_then(|operation| operation.info.id);
        let id = id.unwrap_or_else(|| "op0".into());
        let acknowledge = Call {
            acknowledge_operation_status: Some(call::AcknowledgeOperationStatus {
                agent_id: Some(agent.clone()),
                operation_id: id,
                uuid: vec![7; 16],
                ..Default::default()
            }),
            ..call(call::Type::AcknowledgeOperationStatus)
        };
        self.world.call(scheduler, acknowledge);
    }

    /// An agent comes back with whatever tasks of whatever frameworks.
    fn reregister(&mut self, pid: &meseta_proto::Upid, agent: &AgentId) {
        let mut frameworks = Vec::<FrameworkInfo>::new();
        let mut tasks = Vec::new();
        for scheduler in self.schedulers.clone() {
            if frameworks
                .iter()
                .any(|f| f.id.as_ref() == Some(&scheduler.id))
            {
                continue;
            }
            frameworks.push(FrameworkInfo {
                id: Some(scheduler.id.clone()),
                ..framework_info()
            });
            for name in 0..self.below(4) {
                tasks.push(Task {
                    name: "t".into(),
                    task_id: TaskId::from(format!("t{name}")),
                    framework_id: scheduler.id.clone(),
                    agent_id: agent.clone(),
                    state: self.state().into(),
                    resources: Resources::parse("cpus:0.5;mem:32", "*")
                        .unwrap()
                        .allocate("web")
                        .to_v1(),
                    ..Default::default()
                });
            }
        }
        self.world.reregister(pid, agent, frameworks, tasks);
    }
}

#[test]
fn the_books_agree_whatever_happens() {
    let mut seen = (0, 0, 0);
    let mut of_operations = (0, 0);
    for seed in 0..12 {
        let mut storm = Storm {
            world: World::new(),
            entropy: Entropy::new(seed),
            schedulers: Vec::new(),
            agents: Vec::new(),
        };
        let mut watchers = Entropy::new(seed);
        for number in 0..1000 {
            storm.act();
            storm.watch(&mut watchers, number);
        }
        let frameworks = storm.world.master.snapshot().frameworks;
        for id in frameworks.keys() {
            storm.world.step(Input::Teardown {
                request: meseta_machine::RequestId(0),
                framework_id: id.clone(),
            });
        }
        let snapshot = storm.world.master.snapshot();
        assert!(snapshot.frameworks.is_empty());
        assert!(snapshot.offers.is_empty());
        assert_eq!(snapshot.metrics.tasks_unreachable, 0, "seed {seed}");
        let active: u64 = snapshot.metrics.active_tasks.values().sum();
        assert_eq!(active, 0, "seed {seed}");
        for (id, agent) in &snapshot.agents {
            assert!(
                agent.used.is_empty() && agent.tasks.is_empty(),
                "seed {seed}"
            );
            assert!(agent.executors.is_empty() && agent.offered.is_empty());
            let free = storm.world.master.free(id);
            assert_eq!(free, Some(agent.total.clone()), "seed {seed}");
        }
        let metrics = &snapshot.metrics;
        of_operations.0 += metrics.valid_operation_status_updates;
        of_operations.1 += metrics.valid_operation_status_update_acknowledgements;
        seen.0 += metrics.valid_status_updates;
        seen.1 += metrics.valid_status_update_acknowledgements;
        seen.2 += metrics.terminal(TaskState::TaskLost);
    }
    // It was a storm, not a breeze.
    assert!(
        of_operations.0 > 100 && of_operations.1 > 5,
        "{of_operations:?}"
    );
    assert!(seen.0 > 100 && seen.1 > 300 && seen.2 > 50, "{seen:?}");
}
