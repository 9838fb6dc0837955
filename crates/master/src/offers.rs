//! Offers: made of what the allocator proposes, held by schedulers, answered or taken back.

use std::sync::Arc;
use std::time::Duration;

use meseta_allocator::{Proposal, refusal_time};
use meseta_proto::v1;
use meseta_proto::v1::framework_info::capability::Type as Capability;
use meseta_proto::v1::resource::AllocationInfo;
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::{Address, AgentId, Filters, FrameworkId, Offer, OfferId, Url};
use meseta_resources::Resources;

use crate::events::Notice;
use crate::limits::TIMER_SLACK;
use crate::master::Master;
use crate::records::{AgentRecord, FrameworkRecord};
use crate::step::Step;
use crate::timers::Timer;

/// What kept a scheduler from using all that it was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unused {
    /// It used none of it, and would use none of it a moment later.
    Declined,
    /// It used a part, and may have use for the rest at once.
    LeftOver,
}

/// Whether the scheduler is told that its offer is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rescinding {
    Told,
    Silent,
}

impl Master {
    /// Makes offers of what the allocator proposes.
    pub(crate) fn offer(&mut self, step: &mut Step<'_>, proposals: Vec<Proposal>) {
        let mut proposals = proposals.into_iter().peekable();
        while let Some(first) = proposals.next() {
            let framework = first.framework.clone();
            let mut offers = Vec::new();
            let mut pids = Vec::new();
            let mut next = Some(first);
            while let Some(proposal) = next {
                if let Some((offer, pid)) = self.make_offer(step, proposal) {
                    offers.push(offer);
                    pids.push(pid);
                }
                next = proposals.next_if(|proposal| proposal.framework == framework);
            }
            if !offers.is_empty() {
                self.notify(step, &framework, Notice::Offers(offers, pids));
            }
        }
    }

    /// Enters an offer. Returns it in the form for its scheduler, and the agent's pid; `None` if
    /// there is nobody to offer to or nothing to offer, and then the resources are free again.
    fn make_offer(&mut self, step: &Step<'_>, proposal: Proposal) -> Option<(Offer, String)> {
        let Proposal {
            framework: framework_id,
            role,
            agent: agent_id,
            resources,
        } = proposal;
        let framework = self.state.frameworks.get(&framework_id);
        let framework = framework.filter(|framework| framework.connected() && framework.active);
        let agent = self
            .state
            .agents
            .get(&agent_id)
            .filter(|agent| agent.active);
        let (Some(framework), Some(agent)) = (framework, agent) else {
            self.recover(&framework_id, &agent_id, &resources);
            return None;
        };
        let id = self.ids.next_offer(&self.state.config.id);
        let mut offer = new_offer(id.clone(), framework, agent, role, &resources);
        offer.unavailability = self.unavailability_of(agent);
        let told = told_offer(offer.clone(), framework);
        let pid = agent.pid.to_string();

        if let Some(timeout) = self.state.config.policy.offer_timeout {
            let due = step.now.monotonic.saturating_add(timeout);
            self.timers
                .set_about(Timer::Offer(id.clone()), due, TIMER_SLACK);
        }
        if let Some(agent) = self.agent_mut(&agent_id) {
            agent.offered += &resources;
            agent.offers.insert(id.clone());
        }
        if let Some(framework) = self.framework_mut(&framework_id) {
            *framework.offered.entry(agent_id).or_default() += &resources;
            framework.offers.insert(id.clone());
        }
        self.state.offers.insert(id.clone(), Arc::new(offer));
        self.offered.insert(id, resources);
        self.count_of(&framework_id, |counts| counts.offers_sent += 1);
        Some((told, pid))
    }

    /// Takes an offer out of the books. What becomes of its resources is the caller's to say.
    pub(crate) fn take_offer(&mut self, id: &OfferId) -> Option<(Arc<Offer>, Resources)> {
        let offer = self.state.offers.remove(id)?;
        let resources = self.offered.remove(id).unwrap_or_default();
        self.timers.cancel(&Timer::Offer(id.clone()));
        if let Some(agent) = self.agent_mut(&offer.agent_id) {
            agent.offered -= &resources;
            agent.offers.remove(id);
        }
        if let Some(framework) = self.framework_mut(&offer.framework_id) {
            framework.offers.remove(id);
            if let Some(offered) = framework.offered.get_mut(&offer.agent_id) {
                *offered -= &resources;
                if offered.is_empty() {
                    framework.offered.remove(&offer.agent_id);
                }
            }
        }
        Some((offer, resources))
    }

    /// Takes an offer back; its resources are free.
    pub(crate) fn remove_offer(
        &mut self,
        step: &mut Step<'_>,
        id: &OfferId,
        rescinding: Rescinding,
    ) {
        let Some((offer, resources)) = self.take_offer(id) else {
            return;
        };
        if rescinding == Rescinding::Told {
            let framework = &offer.framework_id;
            self.count_of(framework, |counts| counts.offers_rescinded += 1);
            self.notify(step, framework, Notice::Rescind(id.clone()));
        }
        self.recover(&offer.framework_id, &offer.agent_id, &resources);
    }

    /// A scheduler sat on an offer for too long.
    pub(crate) fn rescind_offer(&mut self, step: &mut Step<'_>, id: &OfferId) {
        self.remove_offer(step, id, Rescinding::Told);
        self.remove_inverse_offer(step, id, Rescinding::Told);
    }

    pub(crate) fn remove_offers_of_framework(
        &mut self,
        step: &mut Step<'_>,
        id: &FrameworkId,
        rescinding: Rescinding,
    ) {
        let offers = self.framework(id).map(|f| f.offers.clone());
        for offer in offers.into_iter().flatten() {
            self.remove_offer(step, &offer, rescinding);
        }
        for offer in self.inverse_index.of_framework(id) {
            self.remove_inverse_offer(step, &offer, rescinding);
        }
    }

    pub(crate) fn remove_offers_of_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        rescinding: Rescinding,
    ) {
        let offers = self.state.agents.get(id).map(|agent| agent.offers.clone());
        for offer in offers.into_iter().flatten() {
            self.remove_offer(step, &offer, rescinding);
        }
        for offer in self.inverse_index.of_agent(id) {
            self.remove_inverse_offer(step, &offer, rescinding);
        }
    }

    /// The offers of what an agent lends beyond what it has.
    pub(crate) fn revocable_offers_of(&self, id: &AgentId) -> Vec<OfferId> {
        let is_revocable = |offer: &&OfferId| {
            let resources = self.offered.get(*offer);
            resources.is_some_and(|resources| !resources.revocable().is_empty())
        };
        let agent = self.state.agents.get(id);
        let offers = agent.into_iter().flat_map(|agent| agent.offers.iter());
        offers.filter(is_revocable).cloned().collect()
    }

    /// A scheduler does not want what it was offered, for some time.
    pub(crate) fn decline(
        &mut self,
        step: &mut Step<'_>,
        framework: &FrameworkId,
        decline: &call::Decline,
    ) {
        self.state.metrics.messages.decline_offers += 1;
        for id in &decline.offer_ids {
            let offer = self.state.offers.get(id);
            if offer.is_none_or(|offer| offer.framework_id != *framework) {
                continue;
            }
            if let Some((offer, resources)) = self.take_offer(id) {
                self.count_of(framework, |counts| counts.offers_declined += 1);
                let filters = decline.filters.as_ref();
                let agent = &offer.agent_id;
                self.refuse(
                    step,
                    framework,
                    agent,
                    &resources,
                    Unused::Declined,
                    filters,
                );
            }
        }
    }

    /// Gives resources back that the framework does not want for some time. What it declines stays
    /// away for an allocation interval at least, as in Mesos, where nothing is offered again before
    /// the next allocation: a scheduler that refuses for no time would be asked without end.
    pub(crate) fn refuse(
        &mut self,
        step: &Step<'_>,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        unused: Unused,
        filters: Option<&Filters>,
    ) {
        if resources.is_empty() {
            return;
        }
        let time = match filters {
            Some(filters) => refusal_time(filters),
            None => refusal_time(&Filters::default()),
        };
        let least = match unused {
            Unused::Declined => self.state.config.policy.allocation_interval,
            Unused::LeftOver => Duration::ZERO,
        };
        self.allocator
            .decline(framework, agent, resources, time.max(least), step.now);
    }
}

fn new_offer(
    id: OfferId,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
    role: String,
    resources: &Resources,
) -> Offer {
    let info = &agent.info;
    let of_framework = |(owner, _): &&(FrameworkId, v1::ExecutorId)| *owner == framework.id;
    let executors = agent.executors.keys().filter(of_framework);
    Offer {
        id,
        framework_id: framework.id.clone(),
        agent_id: agent.id.clone(),
        hostname: info.hostname.clone(),
        url: Some(agent_url(agent)),
        domain: info.domain.clone(),
        resources: resources.to_v1(),
        attributes: info.attributes.clone(),
        executor_ids: executors.map(|(_, executor)| executor.clone()).collect(),
        unavailability: None,
        allocation_info: Some(AllocationInfo {
            role: Some(role.into()),
        }),
    }
}

/// Where an agent listens.
pub(crate) fn agent_url(agent: &AgentRecord) -> Url {
    let address = agent.pid.address;
    Url {
        scheme: "http".to_owned(),
        address: Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: Some(address.ip().to_string()),
            port: i32::from(address.port()),
        },
        path: Some(format!("/{}", agent.pid.id)),
        ..Default::default()
    }
}

/// An offer in the form that its scheduler understands.
fn told_offer(mut offer: Offer, framework: &FrameworkRecord) -> Offer {
    if !framework.is_capable_of(Capability::MultiRole) {
        offer.allocation_info = None;
        for resource in &mut offer.resources {
            resource.allocation_info = None;
        }
    }
    if !framework.is_capable_of(Capability::ReservationRefinement) {
        // The allocator offers such a framework nothing that the old form cannot say.
        crate::agents::downgrade(&mut offer.resources);
    }
    offer
}
