//! The agent as its master, its executors and its shell see it.

mod authentication;
mod chaos;
mod damage;
mod delivery;
mod executors;
mod garbage;
mod launch;
mod nested;
mod oversubscription;
mod reconfiguration;
mod recovery;
mod registration;
mod resources;
mod sessions;
mod updates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meseta_machine::{Entropy, Now, Reply, RequestId, StreamId};
use meseta_proto::v1::executor::{Call, Event, call};
use meseta_proto::v1::{
    CommandInfo, ContainerId, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, MasterInfo,
    TaskInfo, TaskState, TaskStatus, framework_info::Capability, framework_info::capability,
    master_info, task_status,
};
use meseta_proto::{Upid, Wire, decode, internal};
use meseta_resources::Resources;

use crate::{Action, Agent, Config, Executor, ExitReason, Framework, Input, Launch, LaunchFailure};

const MASTER: &str = "master@10.0.0.1:5050";
const OBSERVER: &str = "slave-observer(1)@10.0.0.1:5050";
const AGENT_ID: &str = "M-S0";

fn pid(text: &str) -> Upid {
    text.parse().unwrap()
}

/// What a step did, beside what it persisted and noted.
#[derive(Debug, Default)]
struct Did(Vec<Action>);

impl Did {
    /// Every message of this type that was sent.
    fn sent<M: Wire>(&self) -> Vec<M> {
        let messages = self.0.iter().filter_map(|action| match action {
            Action::Send { name, body, .. } if *name == M::SCHEMA.name => {
                Some(decode(body).unwrap())
            }
            _ => None,
        });
        messages.collect()
    }

    fn sent_one<M: Wire>(&self) -> M {
        let mut messages = self.sent::<M>();
        assert_eq!(messages.len(), 1, "{} in {self:?}", M::SCHEMA.name);
        messages.remove(0)
    }

    /// The states of the updates that were sent to the master.
    fn updates(&self) -> Vec<TaskStatus> {
        let messages = self.sent::<internal::StatusUpdateMessage>().into_iter();
        messages.map(|message| message.update.status).collect()
    }

    fn update(&self) -> TaskStatus {
        let mut updates = self.updates();
        assert_eq!(updates.len(), 1, "{self:?}");
        updates.remove(0)
    }

    fn events(&self) -> Vec<Event> {
        let events = self.0.iter().filter_map(|action| match action {
            Action::Event { event, .. } => Some((**event).clone()),
            _ => None,
        });
        events.collect()
    }

    fn event_types(&self) -> Vec<&'static str> {
        let events = self.events().into_iter();
        events.map(|event| event.r#type().as_str_name()).collect()
    }

    fn launch(&self) -> Launch {
        let launches = self.0.iter().filter_map(|action| match action {
            Action::Launch(launch) => Some((**launch).clone()),
            _ => None,
        });
        let mut launches: Vec<_> = launches.collect();
        assert_eq!(launches.len(), 1, "{self:?}");
        launches.remove(0)
    }

    fn destroyed(&self) -> Vec<ContainerId> {
        let destroyed = self.0.iter().filter_map(|action| match action {
            Action::Destroy { container_id } => Some(container_id.clone()),
            _ => None,
        });
        destroyed.collect()
    }

    fn reply(&self) -> Reply {
        let mut replies = self.0.iter().filter_map(|action| match action {
            Action::Reply { reply, .. } => Some(reply.clone()),
            _ => None,
        });
        replies.next().unwrap()
    }

    fn exit(&self) -> Option<ExitReason> {
        self.0.iter().find_map(|action| match action {
            Action::Exit { reason } => Some(reason.clone()),
            _ => None,
        })
    }
}

/// An agent with a store, a clock, and numbers for what happens to it.
struct World {
    agent: Agent,
    config: Config,
    clock: Duration,
    /// What is on disk.
    store: BTreeMap<String, Vec<u8>>,
    /// What is noted, and lost by a crash.
    noted: Vec<(String, Option<Vec<u8>>)>,
    numbers: u64,
    /// The keys of facts that the next life finds damaged.
    damaged: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(pid("slave(1)@10.0.0.2:5051"), "/w");
        config.resources = Resources::parse("cpus:4;mem:4096;disk:1000", "*")
            .unwrap()
            .to_v1();
        config.command_executor = ("/opt/meseta".into(), vec!["command-executor".into()]);
        // Only tests of it are woken for it.
        config.disk_watch_interval = Duration::from_hours(24 * 365);
        change(&mut config);
        let mut world = Self {
            agent: Agent::new(config.clone(), Entropy::new(1), now(Duration::ZERO)),
            config,
            clock: Duration::ZERO,
            store: BTreeMap::new(),
            noted: Vec::new(),
            numbers: 0,
            damaged: BTreeSet::new(),
        };
        world.recover(&[]);
        world
    }

    /// An agent that a master has registered.
    fn registered() -> Self {
        let mut world = Self::new();
        world.detect();
        world.wait(Duration::from_secs(1));
        world.register();
        world
    }

    fn recover(&mut self, alive: &[&ContainerId]) -> Did {
        self.recover_with(alive, &[])
    }

    fn recover_with(&mut self, alive: &[&ContainerId], unstarted: &[&ContainerId]) -> Did {
        let set = |ids: &[&ContainerId]| ids.iter().map(|id| (*id).clone()).collect();
        let damaged = std::mem::take(&mut self.damaged);
        self.step(Input::Recovered {
            facts: self.store.clone().into_iter().collect(),
            alive: set(alive),
            unstarted: set(unstarted),
            damaged,
        })
    }

    /// Another life of the agent, after a crash that comes so early that what was noted since the
    /// last change that had to be durable is lost.
    fn crash(&mut self, alive: &[&ContainerId]) -> Did {
        self.noted.clear();
        self.restart(alive)
    }

    /// What was noted is on disk now.
    fn write_notes(&mut self) {
        for (key, value) in self.noted.drain(..) {
            match value {
                Some(value) => self.store.insert(key, value),
                None => self.store.remove(&key),
            };
        }
    }

    /// Another life of the agent, after a crash when everything was on disk.
    fn restart(&mut self, alive: &[&ContainerId]) -> Did {
        self.end();
        self.recover(alive)
    }

    /// An agent that knows nothing yet, in place of the one there was.
    fn end(&mut self) {
        self.write_notes();
        // A shell gives every life another seed.
        let entropy = Entropy::new(1 + self.number());
        self.agent = Agent::new(self.config.clone(), entropy, now(self.clock));
    }

    /// Takes an input; gives all actions in their order.
    fn step_in_order(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.agent.step(now(self.clock), input, &mut actions);
        actions
    }

    fn step(&mut self, input: Input) -> Did {
        let mut actions = Vec::new();
        self.agent.step(now(self.clock), input, &mut actions);
        let mut did = Vec::new();
        for action in actions {
            match action {
                Action::Persist { changes } | Action::Record { changes } => {
                    self.noted.extend(changes);
                    self.write_notes();
                }
                Action::Note { changes } => self.noted.extend(changes),
                other => did.push(other),
            }
        }
        Did(did)
    }

    /// Lets time pass, and every timer with it.
    fn wait(&mut self, time: Duration) -> Did {
        let end = self.clock + time;
        let mut did = Vec::new();
        while let Some(at) = self.agent.next_wake().filter(|at| *at <= end) {
            self.clock = self.clock.max(at);
            did.extend(self.step(Input::Wake).0);
        }
        self.clock = end;
        Did(did)
    }

    fn receive<M: Wire>(&mut self, from: &str, message: &M) -> Did {
        self.step(Input::Message {
            from: pid(from),
            to: "slave(1)".into(),
            name: M::SCHEMA.name.into(),
            body: message.encode_to_vec().into(),
        })
    }

    fn detect(&mut self) -> Did {
        let master = MasterInfo {
            id: "M".into(),
            pid: Some(MASTER.into()),
            capabilities: vec![master_info::Capability {
                r#type: Some(master_info::capability::Type::AgentUpdate.into()),
            }],
            ..MasterInfo::default()
        };
        self.step(Input::MasterDetected {
            master: Some(master),
        })
    }

    fn register(&mut self) -> Did {
        let message = internal::SlaveRegisteredMessage {
            slave_id: AGENT_ID.into(),
            connection: None,
        };
        self.receive(MASTER, &message)
    }

    fn reregister(&mut self) -> Did {
        let message = internal::SlaveReregisteredMessage {
            slave_id: AGENT_ID.into(),
            ..internal::SlaveReregisteredMessage::default()
        };
        self.receive(MASTER, &message)
    }

    fn run(&mut self, task: TaskInfo) -> Did {
        let message = internal::RunTaskMessage {
            framework: framework(),
            task,
            launch_executor: Some(true),
            ..internal::RunTaskMessage::default()
        };
        self.receive(MASTER, &message)
    }

    /// Finds the master again, and comes back to it.
    fn back(&mut self) -> Did {
        self.detect();
        let mut did = self.wait(Duration::from_secs(1));
        did.0.extend(self.reregister().0);
        did
    }

    /// Runs a command task up to its executor's subscription.
    fn running(&mut self, id: &str) -> (ContainerId, StreamId) {
        let container = self.run(command(id, "sleep 1000")).launch().container_id;
        self.launched(&container);
        let (_, stream) = self.subscribe(id);
        (container, stream)
    }

    /// The same of a task with a custom executor.
    fn running_in(&mut self, id: &str, executor: &str) -> (ContainerId, StreamId) {
        let container = self.run(custom(id, executor)).launch().container_id;
        self.launched(&container);
        let (_, stream) = self.subscribe(executor);
        (container, stream)
    }

    fn launched(&mut self, container: &ContainerId) -> Did {
        self.step(Input::ContainerLaunched {
            container_id: container.clone(),
            pid: 77,
            start_time: 1,
        })
    }

    fn launch_failed(&mut self, container: &ContainerId, failure: LaunchFailure) -> Did {
        self.step(Input::ContainerLaunchFailed {
            container_id: container.clone(),
            failure,
        })
    }

    fn exited(&mut self, container: &ContainerId, status: Option<i32>) -> Did {
        self.step(Input::ContainerExited {
            container_id: container.clone(),
            status,
        })
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn call(&mut self, executor: &str, call: Call) -> (Did, StreamId) {
        let number = self.number();
        let new_stream = StreamId(format!("stream-{number}"));
        let did = self.step(Input::ExecutorCall {
            request: RequestId(number),
            call: Box::new(Call {
                framework_id: "F".into(),
                executor_id: executor.into(),
                ..call
            }),
            new_stream: new_stream.clone(),
            principal: None,
        });
        (did, new_stream)
    }

    fn subscribe(&mut self, executor: &str) -> (Did, StreamId) {
        self.resubscribe(executor, &[], &[])
    }

    fn resubscribe(
        &mut self,
        executor: &str,
        tasks: &[TaskInfo],
        updates: &[TaskStatus],
    ) -> (Did, StreamId) {
        let updates = updates.iter().cloned();
        let subscribe = call::Subscribe {
            unacknowledged_tasks: tasks.to_vec(),
            unacknowledged_updates: updates.map(|status| call::Update { status }).collect(),
        };
        let call = Call {
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        self.call(executor, call)
    }

    /// An executor reports of a task.
    fn update(&mut self, executor: &str, status: TaskStatus) -> Did {
        let call = Call {
            r#type: Some(call::Type::Update.into()),
            update: Some(call::Update { status }),
            ..Call::default()
        };
        self.call(executor, call).0
    }

    fn acknowledge(&mut self, status: &TaskStatus) -> Did {
        let message = internal::StatusUpdateAcknowledgementMessage {
            slave_id: AGENT_ID.into(),
            framework_id: "F".into(),
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap(),
        };
        self.receive(MASTER, &message)
    }

    /// Has an executor tell of its task, and the framework take note of that; what follows from it.
    fn tell(&mut self, executor: &str, status: &TaskStatus) -> Did {
        self.update(executor, status.clone());
        self.acknowledge(status)
    }

    fn kill(&mut self, task: &str) -> Did {
        let message = internal::KillTaskMessage {
            framework_id: "F".into(),
            task_id: task.into(),
            kill_policy: None,
        };
        self.receive(MASTER, &message)
    }

    fn shutdown_framework(&mut self) -> Did {
        let message = internal::ShutdownFrameworkMessage {
            framework_id: "F".into(),
        };
        self.receive(MASTER, &message)
    }

    /// The framework, as readers see it.
    fn framework(&self) -> Arc<Framework> {
        let frameworks = self.agent.snapshot().frameworks;
        Arc::clone(frameworks.get(&FrameworkId::from("F")).unwrap())
    }

    /// An executor, as readers see it.
    fn executor(&self, id: &str) -> Arc<Executor> {
        let framework = self.framework();
        Arc::clone(framework.executors.get(&ExecutorId::from(id)).unwrap())
    }

    /// The kinds of facts that are kept, the agent's own left out.
    fn kept(&mut self) -> Vec<&str> {
        self.write_notes();
        self.store
            .keys()
            .map(String::as_str)
            .filter(|key| !matches!(*key, "agent" | "copy/agent" | "copy/resources"))
            .collect()
    }
}

fn now(clock: Duration) -> Now {
    Now {
        monotonic: clock,
        wall: Duration::from_secs(1_700_000_000) + clock,
    }
}

fn framework() -> FrameworkInfo {
    FrameworkInfo {
        id: Some("F".into()),
        user: "root".into(),
        name: "f".into(),
        roles: vec!["r".into()],
        checkpoint: Some(true),
        capabilities: [
            capability::Type::MultiRole,
            capability::Type::PartitionAware,
        ]
        .map(|kind| Capability {
            r#type: Some(kind.into()),
        })
        .to_vec(),
        ..FrameworkInfo::default()
    }
}

fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: id.into(),
        agent_id: AGENT_ID.into(),
        resources: Resources::parse("cpus:1;mem:128", "*")
            .unwrap()
            .allocate("r")
            .to_v1(),
        ..TaskInfo::default()
    }
}

fn command(id: &str, value: &str) -> TaskInfo {
    TaskInfo {
        command: Some(CommandInfo {
            value: Some(value.into()),
            ..CommandInfo::default()
        }),
        ..task(id)
    }
}

/// A task for a custom executor.
fn custom(id: &str, executor: &str) -> TaskInfo {
    TaskInfo {
        executor: Some(ExecutorInfo {
            executor_id: executor.into(),
            framework_id: Some("F".into()),
            command: Some(CommandInfo {
                value: Some("./executor".into()),
                ..CommandInfo::default()
            }),
            ..ExecutorInfo::default()
        }),
        ..task(id)
    }
}

/// What an executor says of a task; the number tells updates apart.
fn status(task: &str, state: TaskState, number: u8) -> TaskStatus {
    TaskStatus {
        task_id: task.into(),
        state: state.into(),
        source: Some(task_status::Source::Executor.into()),
        executor_id: None,
        uuid: Some(uuid(number)),
        timestamp: Some(1.0),
        ..TaskStatus::default()
    }
}

/// A UUID that a number tells from others.
fn uuid(number: u8) -> Vec<u8> {
    let mut uuid = [number; 16];
    // The version.
    uuid[6] = 0x40;
    uuid.to_vec()
}
