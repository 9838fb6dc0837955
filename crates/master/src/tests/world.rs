//! A double of the world around a master: agents and schedulers that say what a test has them say.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use meseta_machine::{Entropy, Now, Reply, RequestId, StreamId};
use meseta_proto::internal::{
    RegisterSlaveMessage, ReregisterSlaveMessage, StatusUpdate, StatusUpdateMessage,
};
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use meseta_proto::v1::{
    AgentId, AgentInfo, CommandInfo, FrameworkId, FrameworkInfo, Offer, OfferId, Task, TaskInfo,
    TaskState, TaskStatus, agent_info, framework_info,
};
use meseta_proto::{Upid, Wire, decode};
use meseta_resources::Resources;

use super::followers::Followers;
use crate::{Action, Config, Input, Master};

pub(super) struct World {
    pub(super) master: Master,
    pub(super) now: Now,
    /// Those who watch what happens.
    pub(super) followers: Followers,
    actions: Vec<Action>,
    requests: u64,
}

/// A scheduler and its stream.
#[derive(Debug, Clone)]
pub(super) struct Scheduler {
    pub(super) id: FrameworkId,
    pub(super) stream: StreamId,
}

pub(super) fn upid(id: &str, port: u16) -> Upid {
    Upid::new(id, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

pub(super) fn framework_info() -> FrameworkInfo {
    FrameworkInfo {
        user: "u".into(),
        name: "n".into(),
        checkpoint: Some(true),
        failover_timeout: Some(60.0),
        roles: vec!["web".into()],
        capabilities: capabilities(&[
            framework_info::capability::Type::MultiRole,
            framework_info::capability::Type::PartitionAware,
            framework_info::capability::Type::ReservationRefinement,
        ]),
        ..Default::default()
    }
}

pub(super) fn capabilities(
    types: &[framework_info::capability::Type],
) -> Vec<framework_info::Capability> {
    types
        .iter()
        .map(|kind| framework_info::Capability {
            r#type: Some((*kind).into()),
        })
        .collect()
}

pub(super) fn agent_capabilities() -> Vec<agent_info::Capability> {
    use agent_info::capability::Type as T;
    [
        T::MultiRole,
        T::HierarchicalRole,
        T::ReservationRefinement,
        T::ResourceProvider,
        T::ResizeVolume,
        T::AgentOperationFeedback,
        T::AgentDraining,
    ]
    .map(|kind| agent_info::Capability {
        r#type: Some(kind.into()),
    })
    .to_vec()
}

/// Resources as agents send them: with a role.
#[allow(deprecated)]
pub(super) fn old_form(text: &str) -> Vec<meseta_proto::v1::Resource> {
    let mut resources = Resources::parse(text, "*").unwrap().to_v1();
    for resource in &mut resources {
        resource.role = Some("*".into());
    }
    resources
}

pub(super) fn agent_info(id: Option<AgentId>) -> AgentInfo {
    AgentInfo {
        hostname: "host".into(),
        port: Some(5051),
        resources: old_form("cpus:4;mem:4096;disk:1000"),
        id,
        ..Default::default()
    }
}

pub(super) fn command_task(name: &str, offer: &Offer, resources: &str) -> TaskInfo {
    TaskInfo {
        name: name.into(),
        task_id: name.into(),
        agent_id: offer.agent_id.clone(),
        resources: Resources::parse(resources, "*").unwrap().to_v1(),
        command: Some(CommandInfo {
            value: Some("true".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn launch(tasks: Vec<TaskInfo>) -> meseta_proto::v1::offer::Operation {
    use meseta_proto::v1::offer::{Operation, operation};
    Operation {
        r#type: Some(operation::Type::Launch.into()),
        launch: Some(operation::Launch { task_infos: tasks }),
        ..Default::default()
    }
}

pub(super) fn call(kind: call::Type) -> Call {
    Call {
        r#type: Some(kind.into()),
        ..Default::default()
    }
}

impl Master {
    /// What is free on an agent, by the allocator's books.
    pub(super) fn free(&self, agent: &AgentId) -> Option<Resources> {
        self.allocator.free(agent).cloned()
    }
}

impl World {
    /// A master that has recovered nothing.
    pub(super) fn new() -> Self {
        let mut world = Self::before_recovery(|_| {});
        world.recover(Vec::new());
        world
    }

    pub(super) fn before_recovery(change: impl FnOnce(&mut Config)) -> Self {
        let now = Now {
            monotonic: Duration::from_secs(100),
            wall: Duration::from_secs(1_700_000_000),
        };
        let mut config = Config::new("m", upid("master", 5050));
        change(&mut config);
        Self {
            master: Master::new(config, Entropy::new(1), now),
            now,
            followers: Followers::default(),
            actions: Vec::new(),
            requests: 0,
        }
    }

    pub(super) fn recover(&mut self, facts: Vec<(String, Vec<u8>)>) {
        self.step(Input::Recovered { facts });
    }

    pub(super) fn step(&mut self, input: Input) {
        if let Input::StreamClosed { stream } = &input {
            self.followers.forget(stream);
        }
        let before = self.actions.len();
        self.master.step(self.now, input, &mut self.actions);
        self.followers.see(&self.actions[before..], &self.master);
    }

    /// Lets time pass, and wakes the master whenever it wants that. Says how often it did.
    pub(super) fn pass(&mut self, time: Duration) -> usize {
        let end = self.now.monotonic + time;
        let mut wakes = 0;
        while let Some(due) = self.master.next_wake().filter(|due| *due <= end) {
            self.go_to(due.max(self.now.monotonic));
            self.step(Input::Wake);
            wakes += 1;
        }
        self.go_to(end);
        wakes
    }

    fn go_to(&mut self, monotonic: Duration) {
        self.now.wall += monotonic.checked_sub(self.now.monotonic).unwrap();
        self.now.monotonic = monotonic;
    }

    /// Long enough for an allocation, and for no other timer.
    pub(super) fn settle(&mut self) {
        self.pass(Duration::from_millis(10));
    }

    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Lets a later look find an action again.
    pub(super) fn put_back(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// The messages of a type that a process was sent.
    pub(super) fn sent<M: Wire>(&self, to: &Upid) -> Vec<M> {
        let messages = self.actions.iter().filter_map(|action| match action {
            Action::Send {
                to: receiver,
                name,
                body,
                ..
            } if receiver == to && *name == M::SCHEMA.name => Some(decode(body).unwrap()),
            _ => None,
        });
        messages.collect()
    }

    /// The events of a stream since the last look, heartbeats left out.
    pub(super) fn events(&mut self, scheduler: &Scheduler) -> Vec<Event> {
        let mut events = Vec::new();
        self.actions.retain(|action| match action {
            Action::Event { stream, event } if *stream == scheduler.stream => {
                if event.r#type() != event::Type::Heartbeat {
                    events.push(Event::clone(event));
                }
                false
            }
            _ => true,
        });
        events
    }

    pub(super) fn statuses(&mut self, scheduler: &Scheduler) -> Vec<TaskStatus> {
        let events = self.events(scheduler).into_iter();
        events
            .filter_map(|event| Some(event.update?.status))
            .collect()
    }

    pub(super) fn offers(&mut self, scheduler: &Scheduler) -> Vec<Offer> {
        self.settle();
        let events = self.events(scheduler).into_iter();
        events
            .flat_map(|event| event.offers.unwrap_or_default().offers)
            .collect()
    }

    pub(super) fn message<M: Wire>(&mut self, from: &Upid, to: &str, message: &M) {
        self.step(Input::Message {
            from: from.clone(),
            to: to.into(),
            name: M::SCHEMA.name.into(),
            body: Bytes::from(message.encode_to_vec()),
        });
    }

    /// An agent registers.
    pub(super) fn agent(&mut self, pid: &Upid) -> AgentId {
        self.message(pid, "master", &registration());
        let answers = self.sent::<meseta_proto::internal::SlaveRegisteredMessage>(pid);
        answers.last().unwrap().slave_id.clone()
    }

    pub(super) fn reregister(
        &mut self,
        pid: &Upid,
        id: &AgentId,
        frameworks: Vec<FrameworkInfo>,
        tasks: Vec<Task>,
    ) {
        let message = ReregisterSlaveMessage {
            slave: agent_info(Some(id.clone())).into(),
            version: Some("1.11.0".into()),
            agent_capabilities: agent_capabilities(),
            frameworks,
            tasks,
            ..Default::default()
        };
        self.message(pid, "master", &message);
    }

    pub(super) fn subscribe(&mut self, info: FrameworkInfo) -> Scheduler {
        let stream = StreamId(format!("stream-{}", self.requests));
        let subscribe = Call {
            framework_id: info.id.clone(),
            subscribe: Some(call::Subscribe {
                framework_info: info,
                ..Default::default()
            }),
            ..call(call::Type::Subscribe)
        };
        self.requests += 1;
        self.step(Input::SchedulerCall {
            request: RequestId(self.requests),
            call: Box::new(subscribe),
            stream: None,
            new_stream: stream.clone(),
        });
        let mut scheduler = Scheduler {
            id: FrameworkId::default(),
            stream,
        };
        let subscribed = self.actions.iter().find_map(|action| match action {
            Action::Event { stream, event } if *stream == scheduler.stream => {
                Some(event.subscribed.as_ref()?.framework_id.clone())
            }
            _ => None,
        });
        scheduler.id = subscribed.unwrap_or_default();
        scheduler
    }

    /// A scheduler calls; the answer.
    pub(super) fn call(&mut self, scheduler: &Scheduler, call: Call) -> Reply {
        let stream = Some(scheduler.stream.clone());
        self.call_on(stream, &scheduler.id, call)
    }

    pub(super) fn call_on(
        &mut self,
        stream: Option<StreamId>,
        framework: &FrameworkId,
        mut call: Call,
    ) -> Reply {
        self.requests += 1;
        let id = RequestId(self.requests);
        call.framework_id = Some(framework.clone());
        self.step(Input::SchedulerCall {
            request: id,
            call: Box::new(call),
            stream,
            new_stream: StreamId("unused".into()),
        });
        let replies = self.actions.iter().filter_map(|action| match action {
            Action::Reply { request, reply } if *request == id => Some(reply.clone()),
            _ => None,
        });
        let [reply] = &replies.collect::<Vec<_>>()[..] else {
            panic!("one reply to a call")
        };
        reply.clone()
    }

    pub(super) fn accept(&mut self, scheduler: &Scheduler, offer: &Offer, tasks: Vec<TaskInfo>) {
        self.accept_with(scheduler, &offer.id, vec![launch(tasks)]);
    }

    pub(super) fn accept_with(
        &mut self,
        scheduler: &Scheduler,
        offer: &OfferId,
        operations: Vec<meseta_proto::v1::offer::Operation>,
    ) {
        let accept = Call {
            accept: Some(call::Accept {
                offer_ids: vec![offer.clone()],
                operations,
                filters: None,
            }),
            ..call(call::Type::Accept)
        };
        assert_eq!(self.call(scheduler, accept), Reply::accepted());
    }

    /// An agent tells what became of a task.
    pub(super) fn update(
        &mut self,
        pid: &Upid,
        agent: &AgentId,
        scheduler: &Scheduler,
        task: &str,
        state: TaskState,
        latest: Option<TaskState>,
    ) {
        let uuid = uuid(state);
        let update = StatusUpdate {
            framework_id: scheduler.id.clone(),
            executor_id: Some(task.into()),
            slave_id: Some(agent.clone()),
            status: TaskStatus {
                task_id: task.into(),
                state: state.into(),
                uuid: Some(uuid.clone()),
                data: Some(b"data".to_vec()),
                ..Default::default()
            },
            timestamp: 7.0,
            uuid: Some(uuid),
            latest_state: latest.map(Into::into),
        };
        let message = StatusUpdateMessage {
            update,
            pid: Some(pid.to_string()),
        };
        self.message(pid, "master", &message);
    }

    pub(super) fn acknowledge(
        &mut self,
        scheduler: &Scheduler,
        agent: &AgentId,
        task: &str,
        state: TaskState,
    ) {
        let acknowledge = Call {
            acknowledge: Some(call::Acknowledge {
                agent_id: agent.clone(),
                task_id: task.into(),
                uuid: uuid(state),
            }),
            ..call(call::Type::Acknowledge)
        };
        assert_eq!(self.call(scheduler, acknowledge), Reply::accepted());
    }
}

pub(super) fn registration() -> RegisterSlaveMessage {
    RegisterSlaveMessage {
        slave: agent_info(None).into(),
        version: Some("1.11.0".into()),
        agent_capabilities: agent_capabilities(),
        resource_version_uuid: Some(meseta_proto::v1::Uuid { value: vec![9; 16] }),
        ..Default::default()
    }
}

/// One UUID for each state.
pub(super) fn uuid(state: TaskState) -> Vec<u8> {
    let mut uuid = [u8::try_from(state as i32).unwrap(); 16];
    // The version.
    uuid[6] = 0x40;
    uuid.to_vec()
}
