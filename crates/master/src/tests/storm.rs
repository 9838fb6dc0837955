//! Whatever comes in whatever order: the master goes on, its books agree after every step (debug
//! builds check that), and what nobody uses any more is free in the end.

use std::time::Duration;

use meseta_machine::Entropy;
use meseta_proto::internal::{ExitedExecutorMessage, PongSlaveMessage, UnregisterSlaveMessage};
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{
    AgentId, ExecutorInfo, Filters, FrameworkInfo, Offer, Task, TaskId, TaskState,
};
use meseta_resources::Resources;

use super::world::*;
use crate::Input;

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
        match (self.below(22), scheduler, agent) {
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
        if !scheduler.id.value.is_empty() {
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
            let tasks = (0..self.below(4)).map(|_| self.task(&offer)).collect();
            Call {
                accept: Some(call::Accept {
                    offer_ids,
                    operations: vec![launch(tasks)],
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
    for seed in 0..12 {
        let mut storm = Storm {
            world: World::new(),
            entropy: Entropy::new(seed),
            schedulers: Vec::new(),
            agents: Vec::new(),
        };
        for _ in 0..1000 {
            storm.act();
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
        seen.0 += metrics.valid_status_updates;
        seen.1 += metrics.valid_status_update_acknowledgements;
        seen.2 += metrics.terminal(TaskState::TaskLost);
    }
    // It was a storm, not a breeze.
    assert!(seen.0 > 100 && seen.1 > 300 && seen.2 > 50, "{seen:?}");
}
