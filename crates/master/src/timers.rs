use meseta_proto::v1::{AgentId, FrameworkId, OfferId};

use crate::master::Master;
use crate::step::Step;

/// What a master waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Resources are to be offered.
    Allocate,
    /// An agent's answer to the last ping is due, and so is the next ping.
    Ping(AgentId),
    /// A disconnected agent's time to come back is over.
    AgentReregistration(AgentId),
    /// The time of the agents that this master has not seen yet is over.
    Recovery,
    /// Agents that stay away are to be forgotten.
    RegistryGc,
    /// A disconnected framework's time to come back is over.
    FrameworkFailover(FrameworkId),
    /// A subscriber is to hear that its stream is alive.
    Heartbeat(FrameworkId),
    /// Operators who watch are to hear that their streams are alive.
    WatchersHeartbeat,
    /// Nobody watches any more, and nobody has come back.
    RecentEvents,
    /// An offer was held for too long.
    Offer(OfferId),
    /// The next part of an answer is to be found out.
    Why,
    /// The time of an attempt to authenticate is over.
    Authentication(u64),
}

impl Master {
    /// Does what has become due.
    pub(crate) fn on_wake(&mut self, step: &mut Step<'_>) {
        while let Some(timer) = self.timers.pop_due(step.now) {
            match timer {
                Timer::Allocate => self.on_allocation_due(step),
                Timer::Ping(agent) => self.on_pong_due(step, &agent),
                Timer::AgentReregistration(agent) => {
                    self.on_agent_reregistration_timeout(step, &agent);
                }
                Timer::Recovery => self.on_recovery_timeout(step),
                Timer::RegistryGc => self.on_registry_gc_due(step),
                Timer::FrameworkFailover(framework) => {
                    self.remove_framework(step, &framework);
                }
                Timer::Heartbeat(framework) => self.on_heartbeat_due(step, &framework),
                Timer::WatchersHeartbeat => self.on_watchers_heartbeat_due(step),
                Timer::RecentEvents => self.watchers.forget(),
                Timer::Offer(offer) => self.rescind_offer(step, &offer),
                Timer::Why => self.on_inquiry_due(step),
                Timer::Authentication(number) => self.on_authentication_timeout(number),
            }
        }
    }
}
