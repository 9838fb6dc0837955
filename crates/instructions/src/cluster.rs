//! A master with agents and tasks, made by the messages that make one.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use meseta_machine::{Entropy, Now, RequestId};
use meseta_master::http::Request;
use meseta_master::{Action, Change, Config, Input, Master};
use meseta_proto::internal::{ReregisterSlaveMessage, StatusUpdate, StatusUpdateMessage};
use meseta_proto::v1::{
    AgentId, AgentInfo, FrameworkInfo, Resource, Task, TaskState, TaskStatus, agent_info,
    framework_info,
};
use meseta_proto::{Upid, Wire};
use meseta_resources::Resources;

/// A master, with a time that stands still.
#[derive(Debug)]
pub struct Cluster {
    /// The machine itself.
    pub master: Master,
    actions: Vec<Action>,
}

impl Cluster {
    /// A master to which so many agents have come back with so many tasks each.
    pub fn with_agents(agents: usize, tasks: usize) -> Self {
        let mut this = Self::new();
        for number in 0..agents {
            this.tell(agent_pid(number), &return_of_agent(number, tasks));
        }
        assert_eq!(this.master.snapshot().agents.len(), agents);
        this
    }

    /// A master without agents.
    #[allow(clippy::new_without_default, reason = "it is not the usual one")]
    pub fn new() -> Self {
        let config = Config::new("m", pid("master", 5050));
        let mut this = Self {
            master: Master::new(config, Entropy::new(1), now()),
            actions: Vec::new(),
        };
        this.step(Input::Recovered { facts: Vec::new() });
        this
    }

    fn step(&mut self, input: Input) {
        self.master.step(now(), input, &mut self.actions);
        self.actions.clear();
    }

    /// Has an operator change something.
    pub fn change(&mut self, change: Change) {
        self.step(Input::Operator {
            request: RequestId(0),
            change,
        });
    }

    /// Has the master hear a message.
    pub fn tell<M: Wire>(&mut self, from: Upid, message: &M) {
        self.tell_encoded(from, M::SCHEMA.name, message.encode_to_vec().into());
    }

    /// The same, if the message has been written before.
    pub fn tell_encoded(&mut self, from: Upid, name: &str, body: Bytes) {
        self.step(Input::Message {
            from,
            to: "master".to_owned(),
            name: name.to_owned(),
            body,
        });
    }
}

fn pid(id: &str, port: u16) -> Upid {
    Upid::new(id, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// The process of an agent.
pub fn agent_pid(number: usize) -> Upid {
    pid(&format!("slave({})", number + 1), 5051)
}

/// The time at which everything happens.
pub fn now() -> Now {
    Now {
        monotonic: Duration::from_secs(100),
        wall: Duration::from_secs(1_700_000_000),
    }
}

/// Unreserved resources.
pub fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").expect("resources")
}

/// What an agent says that comes back with so many tasks to a master which does not know it.
pub(crate) fn return_of_agent(number: usize, tasks: usize) -> ReregisterSlaveMessage {
    let id = format!("S{number}");
    let used: Vec<Resource> = resources("cpus:0.1;mem:32").allocate("r").to_v1();
    let task = |task: usize| Task {
        name: task_name(number, task),
        task_id: task_name(number, task).into(),
        framework_id: "f".into(),
        agent_id: id.as_str().into(),
        state: TaskState::TaskStarting.into(),
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
    ReregisterSlaveMessage {
        slave: agent.into(),
        tasks: (0..tasks).map(task).collect(),
        frameworks: vec![framework()],
        version: Some("1.11.0".to_owned()),
        agent_capabilities: agent_capabilities(),
        ..ReregisterSlaveMessage::default()
    }
}

/// What an agent says when one of its tasks runs.
pub fn running(number: usize, task: usize) -> StatusUpdateMessage {
    let agent: AgentId = format!("S{number}").into();
    // Its version is 4.
    let uuid = Some(vec![0x47; 16]);
    StatusUpdateMessage {
        update: StatusUpdate {
            framework_id: "f".into(),
            slave_id: Some(agent.clone()),
            status: TaskStatus {
                task_id: task_name(number, task).into(),
                state: TaskState::TaskRunning.into(),
                agent_id: Some(agent),
                uuid: uuid.clone(),
                ..TaskStatus::default()
            },
            timestamp: 1_700_000_000.0,
            uuid,
            ..StatusUpdate::default()
        },
        pid: Some(agent_pid(number).to_string()),
    }
}

/// A GET of a path, as of a browser.
pub fn request(path: &str) -> Request<'_> {
    Request {
        method: "GET",
        path,
        query: &[],
        content_type: None,
        accept: None,
        stream_id: None,
        last_event_id: None,
        host: None,
        body: &[],
    }
}

pub(crate) fn task_name(agent: usize, task: usize) -> String {
    format!("t{agent}-{task}")
}

pub(crate) fn framework() -> FrameworkInfo {
    FrameworkInfo {
        user: "u".to_owned(),
        name: "f".to_owned(),
        id: Some("f".into()),
        roles: vec!["r".to_owned()],
        capabilities: vec![framework_info::Capability {
            r#type: Some(framework_info::capability::Type::MultiRole.into()),
        }],
        ..FrameworkInfo::default()
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
