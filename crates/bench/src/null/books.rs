//! What the null target knows.

use std::collections::{HashMap, VecDeque};

use meseta_proto::v1::resource::AllocationInfo;
use meseta_proto::v1::scheduler::{Event, event};
use meseta_proto::v1::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, Offer, OfferId, Resource, TaskId, TaskState,
};
use meseta_proto::{Upid, Wire, recordio};
use meseta_transport::StreamSender;

use crate::frameworks::{Encoding, encode};

/// Agents, frameworks and tasks.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) agents: HashMap<AgentId, Agent>,
    /// Agents by their process ids, which status updates come from.
    pub(super) by_pid: HashMap<Upid, AgentId>,
    pub(super) frameworks: HashMap<FrameworkId, Framework>,
    /// Frameworks in the order in which they are offered to.
    turns: VecDeque<FrameworkId>,
    /// Agents that nobody took yet.
    idle: VecDeque<AgentId>,
    pub(super) watchers: Vec<Stream>,
    /// How many cpus roles may have, who have a quota.
    pub(super) quotas: HashMap<String, f64>,
    /// Tasks of frameworks that have not subscribed again.
    orphans: HashMap<FrameworkId, HashMap<TaskId, Known>>,
    numbers: u64,
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) pid: Upid,
    info: AgentInfo,
}

#[derive(Debug)]
pub(super) struct Framework {
    pub(super) info: FrameworkInfo,
    stream: Stream,
    /// Offers that it has not answered.
    offers: HashMap<OfferId, AgentId>,
    pub(super) tasks: HashMap<TaskId, Known>,
    /// Until it revives.
    is_suppressed: bool,
}

/// A task that has not ended.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) agent: AgentId,
    pub(super) state: TaskState,
}

/// Where events go.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) sender: StreamSender,
    pub(super) encoding: Encoding,
}

impl Stream {
    /// Sends an event; one that has left gets nothing.
    pub(super) fn send<M: Wire>(&self, event: &M) {
        let record = recordio::encode(&encode(event, self.encoding));
        let _ = self.sender.send(record);
    }
}

impl Books {
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn enter_agent(&mut self, id: AgentId, pid: Upid, info: AgentInfo) {
        self.by_pid.insert(pid.clone(), id.clone());
        if self
            .agents
            .insert(id.clone(), Agent { pid, info })
            .is_none()
        {
            self.offer(id);
        }
    }

    pub(super) fn remove_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.remove(id) {
            self.by_pid.remove(&agent.pid);
        }
        self.idle.retain(|idle| idle != id);
    }

    pub(super) fn enter_framework(&mut self, info: FrameworkInfo, stream: Stream) -> FrameworkId {
        let number = self.next_number();
        let id = info.id.clone();
        let id = id.unwrap_or_else(|| format!("null-{number:04}").into());
        let known = self.frameworks.remove(&id);
        self.turns.retain(|turn| *turn != id);
        let framework = Framework {
            info: FrameworkInfo {
                id: Some(id.clone()),
                ..info
            },
            stream,
            offers: HashMap::new(),
            tasks: known
                .map(|known| known.tasks)
                .or_else(|| self.orphans.remove(&id))
                .unwrap_or_default(),
            is_suppressed: false,
        };
        let subscribed = Event {
            r#type: Some(event::Type::Subscribed.into()),
            subscribed: Some(event::Subscribed {
                framework_id: id.clone(),
                heartbeat_interval_seconds: Some(15.0),
                master_info: None,
            }),
            ..Event::default()
        };
        framework.stream.send(&subscribed);
        self.frameworks.insert(id.clone(), framework);
        self.turns.push_back(id.clone());
        self.offer_idle();
        id
    }

    pub(super) fn remove_framework(&mut self, id: &FrameworkId) {
        self.turns.retain(|turn| turn != id);
        if let Some(framework) = self.frameworks.remove(id) {
            framework.stream.sender.close();
            for agent in framework.offers.into_values() {
                self.offer(agent);
            }
        }
    }

    pub(super) fn suppress(&mut self, id: &FrameworkId, suppressed: bool) {
        if let Some(framework) = self.frameworks.get_mut(id) {
            framework.is_suppressed = suppressed;
        }
        self.offer_idle();
    }

    /// An offer has been answered; its agent is known until it is offered to the next.
    pub(super) fn take_offer(&mut self, id: &FrameworkId, offer: &OfferId) -> Option<AgentId> {
        self.frameworks.get_mut(id)?.offers.remove(offer)
    }

    pub(super) fn offer_idle(&mut self) {
        for agent in std::mem::take(&mut self.idle) {
            self.offer(agent);
        }
    }

    /// Offers all of an agent to the next framework that wants it.
    pub(super) fn offer(&mut self, agent: AgentId) {
        let number = self.next_number();
        for _ in 0..self.turns.len() {
            let Some(turn) = self.turns.pop_front() else {
                break;
            };
            self.turns.push_back(turn.clone());
            let Some(framework) = self.frameworks.get_mut(&turn) else {
                continue;
            };
            if framework.is_suppressed || framework.has_its_quota(&self.quotas) {
                continue;
            }
            let Some(known) = self.agents.get(&agent) else {
                return;
            };
            let offer = known.offer(&agent, format!("O{number}").into(), &framework.info);
            framework.offers.insert(offer.id.clone(), agent);
            let event = Event {
                r#type: Some(event::Type::Offers.into()),
                offers: Some(event::Offers {
                    offers: vec![offer],
                }),
                ..Event::default()
            };
            framework.stream.send(&event);
            return;
        }
        self.idle.push_back(agent);
    }

    pub(super) fn remember(&mut self, framework: FrameworkId, task: TaskId, known: Known) {
        match self.frameworks.get_mut(&framework) {
            Some(owner) => owner.tasks.insert(task, known),
            None => self
                .orphans
                .entry(framework)
                .or_default()
                .insert(task, known),
        };
    }

    pub(super) fn send(&self, id: &FrameworkId, event: &Event) {
        if let Some(framework) = self.frameworks.get(id) {
            framework.stream.send(event);
        }
    }

    pub(super) fn tasks_running(&self) -> usize {
        let owned = self.frameworks.values().map(|framework| &framework.tasks);
        owned.chain(self.orphans.values()).map(HashMap::len).sum()
    }
}

impl Framework {
    /// Whether it is offered what it may have; every offer counts as one cpu.
    fn has_its_quota(&self, quotas: &HashMap<String, f64>) -> bool {
        let quota = self.info.roles.first().and_then(|role| quotas.get(role));
        let held = u32::try_from(self.offers.len()).map_or(f64::MAX, f64::from);
        quota.is_some_and(|quota| held >= *quota)
    }
}

impl Agent {
    fn offer(&self, agent: &AgentId, id: OfferId, framework: &FrameworkInfo) -> Offer {
        let allocation = AllocationInfo {
            role: framework.roles.first().map(|role| role.as_str().into()),
        };
        let allocated = |resource: &Resource| Resource {
            allocation_info: Some(allocation.clone()),
            ..resource.clone()
        };
        Offer {
            id,
            framework_id: framework.id.clone().unwrap_or_default(),
            agent_id: agent.clone(),
            hostname: self.info.hostname.clone(),
            attributes: self.info.attributes.clone(),
            resources: self.info.resources.iter().map(allocated).collect(),
            allocation_info: Some(allocation.clone()),
            ..Offer::default()
        }
    }
}
