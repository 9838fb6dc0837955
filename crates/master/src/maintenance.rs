//! Maintenance: machines that an operator has scheduled to be away, and the frameworks that are
//! asked to leave them.
//!
//! ```text
//! (up) ──scheduled──▶ draining ──start──▶ down ──stop──▶ (up)
//!            ▲            │ no longer scheduled
//!            └────────────┘
//! ```
//!
//! Who has anything on such a machine gets an inverse offer. What it answers is shown to the
//! operator; nothing else follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meseta_allocator::{InverseAnswer, InverseProposal, refusal_time};
use meseta_machine::Reply;
use meseta_proto::internal::ShutdownMessage;
use meseta_proto::json;
use meseta_proto::v1::allocator::{InverseOfferStatus, inverse_offer_status};
use meseta_proto::v1::maintenance::Schedule;
use meseta_proto::v1::{
    AgentId, Filters, FrameworkId, InverseOffer, MachineId, OfferId, Unavailability,
};

use crate::events::Notice;
use crate::limits::TIMER_SLACK;
use crate::master::Master;
use crate::offers::{Rescinding, agent_url};
use crate::operator::Outcome;
use crate::records::AgentRecord;
use crate::registry;
use crate::step::Step;
use crate::timers::Timer;
use crate::validation;

/// The machines of the schedule, by name (in lower case) and address.
pub(crate) type Unavailabilities = BTreeMap<MachineKey, Unavailability>;

/// A machine's name (in lower case) and its address.
pub type MachineKey = (String, String);

/// Which inverse offers are outstanding, by whom they are about and by whom they are for.
#[derive(Debug, Default)]
pub(crate) struct InverseIndex {
    by_agent: BTreeMap<AgentId, BTreeSet<OfferId>>,
    by_framework: BTreeMap<FrameworkId, BTreeSet<OfferId>>,
}

impl InverseIndex {
    fn insert(&mut self, offer: &InverseOffer) {
        if let Some(agent) = &offer.agent_id {
            let of_agent = self.by_agent.entry(agent.clone()).or_default();
            of_agent.insert(offer.id.clone());
        }
        let framework = offer.framework_id.clone();
        let of_framework = self.by_framework.entry(framework).or_default();
        of_framework.insert(offer.id.clone());
    }

    fn remove(&mut self, offer: &InverseOffer) {
        if let Some(agent) = &offer.agent_id {
            forget(&mut self.by_agent, agent, &offer.id);
        }
        forget(&mut self.by_framework, &offer.framework_id, &offer.id);
    }

    /// Those that ask to leave an agent.
    pub(crate) fn of_agent(&self, agent: &AgentId) -> Vec<OfferId> {
        let offers = self.by_agent.get(agent).into_iter();
        offers.flatten().cloned().collect()
    }

    /// Those that ask a framework.
    pub(crate) fn of_framework(&self, framework: &FrameworkId) -> Vec<OfferId> {
        let offers = self.by_framework.get(framework).into_iter();
        offers.flatten().cloned().collect()
    }
}

fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<OfferId>>, key: &K, offer: &OfferId) {
    if let Some(offers) = index.get_mut(key) {
        offers.remove(offer);
        if offers.is_empty() {
            index.remove(key);
        }
    }
}

impl Master {
    /// Takes over the schedule of earlier masters.
    pub(crate) fn recover_schedule(&mut self, schedule: Schedule) {
        self.unavailabilities = unavailabilities(&schedule);
        self.state.schedule = Arc::new(schedule);
    }

    /// Replaces the schedule.
    pub(crate) fn update_schedule(&mut self, step: &mut Step<'_>, schedule: &Schedule) -> Outcome {
        validation::schedule(schedule).map_err(|e| Reply::bad_request(e.0))?;
        let scheduled = unavailabilities(schedule);
        for (key, machine) in &self.state.down_machines {
            if !scheduled.contains_key(key) {
                return refused(
                    machine,
                    "is deactivated and cannot be removed from the schedule",
                );
            }
        }
        step.persist(vec![registry::set_schedule(schedule)]);
        self.change_schedule(step, schedule);
        Ok(())
    }

    fn change_schedule(&mut self, step: &mut Step<'_>, schedule: &Schedule) {
        let before = std::mem::take(&mut self.unavailabilities);
        self.recover_schedule(schedule.clone());
        let concerned = self.agents_on(before.keys().chain(self.unavailabilities.keys()));
        for agent in concerned {
            // Frameworks are to know as soon as possible.
            self.remove_offers_of_agent(step, &agent, Rescinding::Told);
            self.state.inverse_answers.remove(&agent);
            self.schedule_agent(&agent);
        }
    }

    /// The registered agents on any of the machines.
    fn agents_on<'a>(&self, machines: impl Iterator<Item = &'a MachineKey>) -> BTreeSet<AgentId> {
        let agents = machines.filter_map(|machine| self.by_machine.get(machine));
        agents.flatten().cloned().collect()
    }

    /// Takes over which machines are away.
    pub(crate) fn recover_down_machines(&mut self, machines: Vec<MachineId>) {
        let machines = machines.into_iter();
        self.state.down_machines = machines.map(|id| (machine_key(&id), id)).collect();
    }

    /// Machines are away from now on: their agents are told to end, and are removed.
    pub(crate) fn start_maintenance(
        &mut self,
        step: &mut Step<'_>,
        machines: &[MachineId],
    ) -> Outcome {
        validation::machines(machines).map_err(|e| Reply::bad_request(e.0))?;
        for machine in machines {
            let key = machine_key(machine);
            if !self.unavailabilities.contains_key(&key) {
                return refused(machine, "is not part of a maintenance schedule");
            }
            if self.state.down_machines.contains_key(&key) {
                return refused(
                    machine,
                    "is not in DRAINING mode and cannot be brought down",
                );
            }
        }
        for machine in machines {
            let key = machine_key(machine);
            self.state.down_machines.insert(key, machine.clone());
        }
        let down = self.state.down_machines.values();
        step.persist(vec![registry::set_down_machines(down)]);
        for id in self.agents_on(self.state.down_machines.keys()) {
            let Some(pid) = self.state.agents.get(&id).map(|agent| agent.pid.clone()) else {
                continue;
            };
            let cause = "Operator initiated 'Machine DOWN'";
            let message = Some(cause.to_owned());
            step.send(&pid, &ShutdownMessage { message });
            self.remove_agent_of_down_machine(step, &id, cause);
        }
        Ok(())
    }

    /// Machines are back, and in the schedule no more.
    pub(crate) fn stop_maintenance(
        &mut self,
        step: &mut Step<'_>,
        machines: &[MachineId],
    ) -> Outcome {
        validation::machines(machines).map_err(|e| Reply::bad_request(e.0))?;
        for machine in machines {
            let key = machine_key(machine);
            if !self.unavailabilities.contains_key(&key) {
                return refused(machine, "is not part of a maintenance schedule");
            }
            if !self.is_down(&key) {
                return refused(machine, "is not in DOWN mode and cannot be brought up");
            }
        }
        let back: BTreeSet<MachineKey> = machines.iter().map(machine_key).collect();
        let mut schedule = Schedule::clone(&self.state.schedule);
        for window in &mut schedule.windows {
            window
                .machine_ids
                .retain(|id| !back.contains(&machine_key(id)));
        }
        schedule
            .windows
            .retain(|window| !window.machine_ids.is_empty());
        for key in &back {
            self.state.down_machines.remove(key);
        }
        let down = self.state.down_machines.values();
        step.persist(vec![
            registry::set_down_machines(down),
            registry::set_schedule(&schedule),
        ]);
        self.change_schedule(step, &schedule);
        Ok(())
    }

    /// Whether a machine is away, by what its operator says.
    pub(crate) fn is_down(&self, machine: &MachineKey) -> bool {
        self.state.down_machines.contains_key(machine)
    }

    /// Tells the allocator when an agent will be away.
    pub(crate) fn schedule_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.state.agents.get(id) {
            let unavailability = self.unavailability_of(agent);
            self.allocator.set_unavailability(id, unavailability);
        }
    }

    pub(crate) fn unavailability_of(&self, agent: &AgentRecord) -> Option<Unavailability> {
        if self.unavailabilities.is_empty() {
            return None;
        }
        self.unavailabilities.get(&machine_of(agent)).copied()
    }

    /// Asks frameworks to leave agents.
    pub(crate) fn ask_to_leave(&mut self, step: &mut Step<'_>) {
        let mut by_framework: BTreeMap<FrameworkId, (Vec<InverseOffer>, Vec<String>)> =
            BTreeMap::new();
        for proposal in self.allocator.inverse_offers(step.now) {
            if let Some((offer, pid)) = self.make_inverse_offer(step, proposal) {
                let (offers, pids) = by_framework.entry(offer.framework_id.clone()).or_default();
                offers.push(offer);
                pids.push(pid);
            }
        }
        for (framework, (offers, pids)) in by_framework {
            self.notify(step, &framework, Notice::InverseOffers(offers, pids));
        }
    }

    fn make_inverse_offer(
        &mut self,
        step: &Step<'_>,
        proposal: InverseProposal,
    ) -> Option<(InverseOffer, String)> {
        let framework = self.framework(&proposal.framework)?;
        let agent = self.state.agents.get(&proposal.agent)?;
        if !(framework.connected() && framework.active && agent.active) {
            // It is asked again when both are there.
            self.allocator.answer_inverse_offer(
                &proposal.framework,
                &proposal.agent,
                Some(InverseAnswer::Declined),
                Duration::ZERO,
                step.now,
            );
            return None;
        }
        let (url, pid) = (agent_url(agent), agent.pid.to_string());
        let offer = InverseOffer {
            // Ids are unique across both sorts of offers.
            id: self.ids.next_offer(&self.state.config.id),
            url: Some(url),
            framework_id: proposal.framework,
            agent_id: Some(proposal.agent),
            unavailability: proposal.unavailability,
            resources: Vec::new(),
        };
        if let Some(timeout) = self.state.config.policy.offer_timeout {
            let due = step.now.monotonic.saturating_add(timeout);
            self.timers
                .set_about(Timer::Offer(offer.id.clone()), due, TIMER_SLACK);
        }
        let entry = Arc::new(offer.clone());
        self.inverse_index.insert(&entry);
        self.state.inverse_offers.insert(offer.id.clone(), entry);
        Some((offer, pid))
    }

    /// A scheduler answers inverse offers. Those that are not its own, or are no more, do not count.
    pub(crate) fn answer_inverse_offers(
        &mut self,
        step: &Step<'_>,
        framework: &FrameworkId,
        ids: &[OfferId],
        answer: InverseAnswer,
        filters: Option<&Filters>,
    ) {
        let refuse_for = refusal_time(filters.unwrap_or(&Filters::default()));
        for id in ids {
            let offer = self.state.inverse_offers.get(id);
            if offer.is_none_or(|offer| offer.framework_id != *framework) {
                continue;
            }
            let Some(agent) = self.take_inverse_offer(id) else {
                continue;
            };
            self.allocator.answer_inverse_offer(
                framework,
                &agent,
                Some(answer),
                refuse_for,
                step.now,
            );
            let status = match answer {
                InverseAnswer::Accepted => inverse_offer_status::Status::Accept,
                InverseAnswer::Declined => inverse_offer_status::Status::Decline,
            };
            let status = InverseOfferStatus {
                status: status.into(),
                framework_id: framework.clone(),
                timestamp: step.time_info(),
            };
            let answers = self.state.inverse_answers.entry(agent).or_default();
            answers.insert(framework.clone(), status);
        }
    }

    /// The framework has ended, and what it answered with it.
    pub(crate) fn forget_inverse_answers(&mut self, framework: &FrameworkId) {
        let answered = self.state.inverse_answers.iter();
        let answered = answered.filter(|(_, answers)| answers.contains_key(framework));
        let agents: Vec<AgentId> = answered.map(|(agent, _)| agent.clone()).collect();
        for agent in agents {
            if let Some(answers) = self.state.inverse_answers.get_mut(&agent) {
                answers.remove(framework);
            }
        }
    }

    /// Takes an inverse offer back, unanswered.
    pub(crate) fn remove_inverse_offer(
        &mut self,
        step: &mut Step<'_>,
        id: &OfferId,
        rescinding: Rescinding,
    ) {
        let Some(framework) = self
            .state
            .inverse_offers
            .get(id)
            .map(|it| it.framework_id.clone())
        else {
            return;
        };
        if rescinding == Rescinding::Told {
            self.notify(step, &framework, Notice::RescindInverse(id.clone()));
        }
        if let Some(agent) = self.take_inverse_offer(id) {
            self.allocator
                .answer_inverse_offer(&framework, &agent, None, Duration::ZERO, step.now);
        }
    }

    /// Takes an inverse offer out of the books; its agent.
    fn take_inverse_offer(&mut self, id: &OfferId) -> Option<AgentId> {
        let offer = self.state.inverse_offers.remove(id)?;
        self.inverse_index.remove(&offer);
        self.timers.cancel(&Timer::Offer(id.clone()));
        offer.agent_id.clone()
    }
}

fn refused(machine: &MachineId, what: &str) -> Outcome {
    let machine = json::to_string(machine);
    Err(Reply::bad_request(format!("Machine '{machine}' {what}")))
}

fn unavailabilities(schedule: &Schedule) -> Unavailabilities {
    let windows = schedule.windows.iter();
    windows
        .flat_map(|window| {
            let machines = window.machine_ids.iter();
            machines.map(|machine| (machine_key(machine), window.unavailability))
        })
        .collect()
}

/// As Mesos compares machines: by name without regard to case, and by address.
pub(crate) fn machine_key(machine: &MachineId) -> MachineKey {
    let hostname = machine.hostname().to_lowercase();
    (hostname, machine.ip().to_owned())
}

/// The machine that an agent is on.
pub(crate) fn machine_of(agent: &AgentRecord) -> MachineKey {
    let address = agent.pid.address.ip().to_string();
    (agent.info.hostname.to_lowercase(), address)
}
