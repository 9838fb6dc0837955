//! Agents that operators take out of service, for now or for good.
//!
//! ```text
//!             deactivate                     drain
//!  (in use) ─────────────▶ deactivated ──────────────┐
//!     ▲ ▲                       │                    ▼
//!     │ └──────reactivate───────┘                draining
//!     │                                              │ no task and no operation is left
//!     └──────────────reactivate────── drained ◀──────┤
//!                                                    └──▶ gone, if that was asked for
//! ```
//!
//! All of it belongs to the agent's id, not to its registration: it holds while the agent is away,
//! and for the masters that follow.

use std::sync::Arc;

use meseta_machine::Reply;
use meseta_proto::internal::DrainSlaveMessage;
use meseta_proto::v1::agent_info::capability::Type as Capability;
use meseta_proto::v1::master::call::DrainAgent;
use meseta_proto::v1::{AgentId, DrainConfig, DrainInfo, DrainState, DurationInfo};

use crate::maintenance::machine_of;
use crate::master::Master;
use crate::offers::Rescinding;
use crate::operator::Outcome;
use crate::records::Deactivation;
use crate::registry;
use crate::step::Step;

/// In a second.
const NANOSECONDS: i64 = 1_000_000_000;

impl Master {
    /// Has an agent emptied: nothing is offered of it, and it ends what runs on it.
    pub(crate) fn drain_agent(&mut self, step: &mut Step<'_>, drain: &DrainAgent) -> Outcome {
        let id = &drain.agent_id;
        if let Some(agent) = self.state.agents.get(id) {
            let (hostname, ip) = machine_of(agent);
            if self.unavailability_of(agent).is_some() {
                return Err(Reply::bad_request(format!(
                    "Agent {id} is part of a maintenance schedule under Machine {hostname} ({ip})"
                )));
            }
            if !agent.is_capable_of(Capability::AgentDraining) {
                let sentence = format!("Agent {id} is not capable of draining");
                return Err(Reply::bad_request(sentence));
            }
        }
        self.check_known(id)?;
        let info = DrainInfo {
            state: DrainState::Draining.into(),
            config: DrainConfig {
                max_grace_period: drain.max_grace_period.map(|it| {
                    let seconds = it.seconds.saturating_mul(NANOSECONDS);
                    DurationInfo {
                        nanoseconds: seconds.saturating_add(it.nanos.into()),
                    }
                }),
                mark_gone: Some(drain.mark_gone()),
            },
        };
        let deactivation = Deactivation {
            drain: Some(Arc::new(info)),
            drain_start: self.state.agents.contains_key(id).then_some(step.now.wall),
        };
        self.deactivate(step, id, deactivation);
        self.send_drain(step, id);
        self.maybe_drained.insert(id.clone());
        self.end_drains(step);
        Ok(())
    }

    /// Has nothing offered of an agent. What runs on it goes on.
    pub(crate) fn deactivate_agent(&mut self, step: &mut Step<'_>, id: &AgentId) -> Outcome {
        self.check_known(id)?;
        // One that is drained stays so.
        let deactivation = self.state.deactivations.get(id).cloned();
        self.deactivate(step, id, deactivation.unwrap_or_default());
        Ok(())
    }

    /// Has an agent offered again.
    pub(crate) fn reactivate_agent(&mut self, step: &mut Step<'_>, id: &AgentId) -> Outcome {
        let Some(deactivation) = self.state.deactivations.get(id) else {
            return Err(Reply::bad_request("Agent is not deactivated"));
        };
        if deactivation.is_draining() {
            let sentence = "Agent is still in the DRAINING state";
            return Err(Reply::bad_request(sentence));
        }
        step.persist(vec![registry::reactivate(id)]);
        self.state.deactivations.remove(id);
        if let Some(agent) = self.agent_mut(id)
            && agent.connected
        {
            agent.active = true;
            self.allocator.activate_agent(id);
        }
        Ok(())
    }

    fn check_known(&self, id: &AgentId) -> Outcome {
        let is_known = self.state.agents.contains_key(id)
            || self.state.recovered_agents.contains_key(id)
            || self.state.unreachable_agents.contains_key(id);
        is_known
            .then_some(())
            .ok_or_else(|| Reply::bad_request("Unknown agent"))
    }

    fn deactivate(&mut self, step: &mut Step<'_>, id: &AgentId, deactivation: Deactivation) {
        step.persist(vec![registry::deactivate(
            id,
            deactivation.drain.as_deref(),
        )]);
        self.state.deactivations.insert(id.clone(), deactivation);
        self.withhold(step, id);
    }

    /// Offers nothing of an agent, nor asks anybody to leave it.
    fn withhold(&mut self, step: &mut Step<'_>, id: &AgentId) {
        if let Some(agent) = self.agent_mut(id) {
            agent.active = false;
            self.allocator.deactivate_agent(id);
            self.remove_offers_of_agent(step, id, Rescinding::Told);
        }
    }

    /// An agent is there, for the first time or again: it is offered, unless operators have taken it
    /// out of service.
    pub(super) fn activate(&mut self, step: &mut Step<'_>, id: &AgentId) {
        if self.state.deactivations.contains_key(id) {
            self.withhold(step, id);
            self.send_drain(step, id);
        } else if let Some(agent) = self.agent_mut(id) {
            agent.active = true;
            self.allocator.activate_agent(id);
        }
    }

    /// Tells an agent that is to be emptied, or may have been without hearing of it.
    fn send_drain(&mut self, step: &mut Step<'_>, id: &AgentId) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let Some(deactivation) = self.state.deactivations.get_mut(id) else {
            return;
        };
        let Some(drain) = &deactivation.drain else {
            return;
        };
        let config = drain.config;
        deactivation.drain_start.get_or_insert(step.now.wall);
        step.send(&agent.pid, &DrainSlaveMessage { config });
        // What the others hold of operations is not known before they have told.
        if !agent.is_capable_of(Capability::ResourceProvider) {
            self.maybe_drained.insert(id.clone());
        }
    }

    /// Something is no longer on an agent, or it has told what is.
    pub(crate) fn note_less_on(&mut self, id: &AgentId) {
        let deactivation = self.state.deactivations.get(id);
        if deactivation.is_some_and(Deactivation::is_draining) {
            self.maybe_drained.insert(id.clone());
        }
    }

    /// Ends the drains of agents that are empty by now.
    pub(crate) fn end_drains(&mut self, step: &mut Step<'_>) {
        while let Some(id) = self.maybe_drained.pop_first() {
            // One that is away may still have something.
            let agent = self.state.agents.get(&id);
            if !agent.is_some_and(|it| it.tasks.is_empty() && it.operations.is_empty()) {
                continue;
            }
            let Some(deactivation) = self.state.deactivations.get_mut(&id) else {
                continue;
            };
            let Some(drain) = deactivation
                .drain
                .as_ref()
                .filter(|_| deactivation.is_draining())
            else {
                continue;
            };
            if drain.config.mark_gone() {
                // An agent in the books is there to be marked.
                let _ = self.mark_agent_gone(step, &id);
                continue;
            }
            let drained = DrainInfo {
                state: DrainState::Drained.into(),
                ..**drain
            };
            step.persist(vec![registry::deactivate(&id, Some(&drained))]);
            deactivation.drain = Some(Arc::new(drained));
        }
    }

    /// The id will not be used again.
    pub(super) fn forget_deactivation(&mut self, id: &AgentId) -> Option<registry::Change> {
        let deactivation = self.state.deactivations.remove(id);
        deactivation.map(|_| registry::reactivate(id))
    }
}
