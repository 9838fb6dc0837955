//! Emulated agents: any number of them as one state machine.
//!
//! A [`Fleet`] knows no sockets and no clock: messages and the time come in, messages go out. An agent is
//! a record of some hundred bytes, a task of some hundred more. Nothing is kept for an agent that
//! could be made up again from its number: the tasks that a fleet re-registers with ([`Standing`])
//! exist on the wire alone.
//!
//! ```text
//!           enrol                 RegisterSlave / ReregisterSlave
//!  Outside ───────▶ to be asked ─────────────────────────────────▶ asked ──▶ registered
//!                        ▲                                           │            │ ping says that
//!                        └───────────────────────────────────────────┴────────────┘ it is not connected
//! ```

mod behaviour;
mod operations;
mod registration;
mod tasks;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use meseta_proto::internal::{
    ApplyOperationMessage, KillTaskMessage, PingSlaveMessage, PongSlaveMessage,
    RunTaskGroupMessage, RunTaskMessage, ShutdownFrameworkMessage, ShutdownMessage,
    SlaveRegisteredMessage, SlaveReregisteredMessage, StatusUpdateAcknowledgementMessage,
    UnregisterSlaveMessage, UpdateFrameworkMessage,
};
use meseta_proto::v1::AgentId;
use meseta_proto::{Upid, Wire, decode};
use meseta_resources::Resources;
use meseta_transport::Message;

pub(crate) use behaviour::{Pattern, Standing};
pub(crate) use registration::mark;

use crate::limits;
use crate::measure::Distribution;
use crate::timetable::Timetable;
use tasks::{Due, Task, TaskKey, Unanswered};

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Which of the listening sockets its sender has.
    pub(crate) port: usize,
    /// The sender's process id, such as `slave(7)`.
    pub(crate) from: String,
    pub(crate) to: Upid,
    pub(crate) name: &'static str,
    pub(crate) body: Bytes,
}

/// What the agents of a fleet have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) resources: Resources,
    pub(crate) pattern: Pattern,
    pub(crate) standing: Standing,
    /// The target.
    pub(crate) master: Upid,
    /// Where the agents listen: agent `i` at address `i` modulo their number.
    pub(crate) addresses: Vec<SocketAddrV4>,
    /// Makes the ids of this run its own.
    pub(crate) run: String,
    /// The time of day when the generator's clock was at zero.
    pub(crate) epoch: Duration,
    pub(crate) seed: u64,
}

/// What happened to a fleet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// From asking to be registered to the answer.
    pub(crate) registrations: Distribution,
    pub(crate) pings: u64,
    pub(crate) launched: u64,
    pub(crate) updates: u64,
    pub(crate) acknowledged: u64,
    pub(crate) operations: u64,
    /// What had to be said again because nobody answered.
    pub(crate) repeated: u64,
    /// Agents that the master told to end.
    pub(crate) shut_down: u64,
    /// Messages that could not be read, or that no agent knows.
    pub(crate) strange: u64,
}

/// Emulated agents.
#[derive(Debug)]
pub(crate) struct Fleet {
    shape: Shape,
    agents: Vec<Agent>,
    /// Agents that have yet to ask for their registration.
    to_ask: VecDeque<usize>,
    registered: usize,
    due: Timetable<Due>,
    /// What was said last comes last, because everything is repeated after the same time.
    unanswered: VecDeque<(Duration, Unanswered)>,
    random: fastrand::Rng,
    pub(crate) tally: Tally,
}

#[derive(Debug)]
struct Agent {
    id: Option<AgentId>,
    phase: Phase,
    version: [u8; 16],
    tasks: HashMap<TaskKey, Task>,
    /// What operations have made of its resources; nothing as long as there were none.
    changed: Option<Arc<Resources>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Asked {
        at: Duration,
    },
    Registered,
    /// The master told it to end.
    ShutDown,
}

impl Fleet {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            random: fastrand::Rng::with_seed(shape.seed),
            shape,
            agents: Vec::new(),
            to_ask: VecDeque::new(),
            registered: 0,
            due: Timetable::default(),
            unanswered: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// Adds agents that are yet to register, or to register again with [`Standing`] tasks.
    pub(crate) fn enrol(&mut self, count: usize) {
        for _ in 0..count {
            let index = self.agents.len();
            let id = (!self.shape.standing.is_nothing())
                .then(|| format!("{}-S{index}", self.shape.run).into());
            self.agents.push(Agent {
                id,
                phase: Phase::Waiting,
                version: new_uuid(&mut self.random),
                tasks: HashMap::new(),
                changed: None,
            });
            self.to_ask.push_back(index);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.agents.len()
    }

    pub(crate) fn registered(&self) -> usize {
        self.registered
    }

    /// The tasks that it re-registered with, of all agents together.
    pub(crate) fn standing_tasks(&self) -> usize {
        self.agents.len() * self.shape.standing.tasks
    }

    /// Lets some agents ask for their registration. Says whether there were any.
    pub(crate) fn ask_some(&mut self, now: Duration, out: &mut Vec<Outgoing>) -> bool {
        let count = self.to_ask.len().min(limits::ASKED_AT_ONCE);
        for index in self.to_ask.drain(..count).collect::<Vec<_>>() {
            let Some(agent) = self.agents.get_mut(index) else {
                continue;
            };
            if agent.phase == Phase::ShutDown {
                continue;
            }
            agent.phase = Phase::Asked { at: now };
            let (name, body) = registration::ask(&self.shape, index, agent);
            out.push(
                self.shape
                    .outgoing(index, self.shape.master.clone(), name, body),
            );
            self.unanswered
                .push_back((now + limits::REPEAT_AFTER, Unanswered::Registration(index)));
        }
        count > 0
    }

    /// When [`Self::on_time`] has something to do.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let repeat = self.unanswered.front().map(|(at, _)| *at);
        [self.due.next_at(), repeat].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Duration, out: &mut Vec<Outgoing>) {
        while let Some(due) = self.due.pop_due(now) {
            self.on_due(due, now, out);
        }
        while let Some((at, _)) = self.unanswered.front()
            && *at <= now
            && let Some((_, what)) = self.unanswered.pop_front()
        {
            self.repeat(what, now, out);
        }
    }

    /// Takes a message for one of the agents.
    pub(crate) fn on_message(&mut self, message: &Message, now: Duration, out: &mut Vec<Outgoing>) {
        let taken = self
            .index_of(&message.to)
            .and_then(|index| self.dispatch(index, message, now, out));
        if taken.is_none() {
            self.tally.strange += 1;
        }
    }

    /// Every agent takes its leave, as on an orderly end.
    pub(crate) fn leave(&mut self, out: &mut Vec<Outgoing>) {
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if let (Phase::Registered, Some(id)) = (agent.phase, &agent.id) {
                let message = UnregisterSlaveMessage {
                    slave_id: id.clone(),
                };
                out.push(self.shape.to_master(index, &message));
            }
            agent.phase = Phase::ShutDown;
        }
        self.registered = 0;
        self.to_ask.clear();
    }

    fn index_of(&self, process: &str) -> Option<usize> {
        let number = process.strip_prefix("slave(")?.strip_suffix(')')?;
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        (index < self.agents.len()).then_some(index)
    }

    fn dispatch(
        &mut self,
        index: usize,
        message: &Message,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let body = &message.body;
        match message.name.strip_prefix("mesos.internal.")? {
            "PingSlaveMessage" => self.on_ping(index, message, out)?,
            "SlaveRegisteredMessage" => {
                let SlaveRegisteredMessage { slave_id, .. } = decode(body).ok()?;
                self.on_registered(index, slave_id, now, out)?;
            }
            "SlaveReregisteredMessage" => {
                let SlaveReregisteredMessage { slave_id, .. } = decode(body).ok()?;
                self.on_registered(index, slave_id, now, out)?;
            }
            "RunTaskMessage" => {
                let message: RunTaskMessage = decode(body).ok()?;
                self.on_run_task(index, message, now, out)?;
            }
            "RunTaskGroupMessage" => {
                let message: RunTaskGroupMessage = decode(body).ok()?;
                self.on_run_task_group(index, message, now, out)?;
            }
            "KillTaskMessage" => {
                let message: KillTaskMessage = decode(body).ok()?;
                self.on_kill(index, message, now, out)?;
            }
            "StatusUpdateAcknowledgementMessage" => {
                let message: StatusUpdateAcknowledgementMessage = decode(body).ok()?;
                self.on_acknowledgement(index, message, now, out)?;
            }
            "ApplyOperationMessage" => {
                let message: ApplyOperationMessage = decode(body).ok()?;
                self.on_operation(index, message, out)?;
            }
            "ShutdownFrameworkMessage" => {
                let ShutdownFrameworkMessage { framework_id } = decode(body).ok()?;
                let agent = self.agents.get_mut(index)?;
                agent.tasks.retain(|key, _| key.framework != framework_id);
            }
            "UpdateFrameworkMessage" => {
                let UpdateFrameworkMessage { framework_id, .. } = decode(body).ok()?;
                self.resend(index, &framework_id, now, out)?;
            }
            "ShutdownMessage" => {
                let ShutdownMessage { .. } = decode(body).ok()?;
                self.on_shutdown(index)?;
            }
            // An agent takes no action on these that its master would see.
            "AcknowledgeOperationStatusMessage"
            | "CheckpointResourcesMessage"
            | "FrameworkToExecutorMessage"
            | "ReconcileOperationsMessage"
            | "ShutdownExecutorMessage" => {}
            _ => return None,
        }
        Some(())
    }

    fn on_ping(&mut self, index: usize, message: &Message, out: &mut Vec<Outgoing>) -> Option<()> {
        let PingSlaveMessage { connected } = decode(&message.body).ok()?;
        self.tally.pings += 1;
        let pong = PongSlaveMessage {};
        out.push(self.shape.send(index, message.from.clone(), &pong));
        let agent = self.agents.get_mut(index)?;
        if !connected && agent.phase == Phase::Registered {
            agent.phase = Phase::Waiting;
            self.registered -= 1;
            self.to_ask.push_back(index);
        }
        Some(())
    }

    fn on_registered(
        &mut self,
        index: usize,
        id: AgentId,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Option<()> {
        let agent = self.agents.get_mut(index)?;
        // The master repeats its answer when it is asked again.
        if let Phase::Asked { at } = agent.phase {
            agent.phase = Phase::Registered;
            self.registered += 1;
            self.tally.registrations.add(now.saturating_sub(at));
        }
        let update = registration::totals(agent, &id);
        agent.id = Some(id);
        out.push(self.shape.to_master(index, &update));
        Some(())
    }

    fn on_shutdown(&mut self, index: usize) -> Option<()> {
        let agent = self.agents.get_mut(index)?;
        if agent.phase == Phase::Registered {
            self.registered -= 1;
        }
        agent.phase = Phase::ShutDown;
        agent.tasks = HashMap::new();
        self.tally.shut_down += 1;
        Some(())
    }
}

impl Shape {
    fn outgoing(&self, index: usize, to: Upid, name: &'static str, body: Bytes) -> Outgoing {
        Outgoing {
            port: index % self.addresses.len().max(1),
            from: process_id(index),
            to,
            name,
            body,
        }
    }

    fn send<M: Wire>(&self, index: usize, to: Upid, message: &M) -> Outgoing {
        let name = M::SCHEMA.name;
        self.outgoing(index, to, name, message.encode_to_vec().into())
    }

    fn to_master<M: Wire>(&self, index: usize, message: &M) -> Outgoing {
        self.send(index, self.master.clone(), message)
    }

    /// Where an agent is, as its messages say.
    fn pid(&self, index: usize) -> Option<Upid> {
        let address = self.addresses.get(index % self.addresses.len().max(1))?;
        Some(Upid::new(process_id(index), *address))
    }

    fn time_of_day(&self, now: Duration) -> f64 {
        (self.epoch + now).as_secs_f64()
    }
}

/// A random UUID by RFC 4122. A master of Mesos ignores updates whose UUIDs lack its marks.
fn new_uuid(random: &mut fastrand::Rng) -> [u8; 16] {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    let random = random.u128(..) & !VERSION & !VARIANT;
    (random | 0x4 << 76 | 0x2 << 62).to_be_bytes()
}

/// As agents of Mesos are called, of which one process has one.
fn process_id(index: usize) -> String {
    format!("slave({})", index + 1)
}

#[cfg(test)]
mod tests;
