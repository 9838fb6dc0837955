//! When and how resources are shared: the seam to the allocator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meseta_allocator::{AgentView, Constraints, FrameworkView, Options};
use meseta_proto::v1::agent_info::Capability;
use meseta_proto::v1::scheduler::OfferConstraints;
use meseta_proto::v1::{AgentId, FrameworkId};
use meseta_resources::{Quantities, Resources, Scalar};

use crate::config::Config;
use crate::master::Master;
use crate::records::{AgentRecord, FrameworkRecord};
use crate::step::Step;
use crate::timers::Timer;

/// The allocator's rules, out of the master's.
pub(crate) fn options(config: &Config, seed: u64) -> Options {
    let policy = &config.policy;
    let quantities = |set: &BTreeMap<String, f64>| -> Quantities {
        set.iter()
            .filter_map(|(name, amount)| Some((name.as_str(), Scalar::from_f64(*amount)?)))
            .collect()
    };
    let domain = config.domain.as_ref();
    Options {
        min_allocatable_resources: policy
            .min_allocatable_resources
            .iter()
            .map(quantities)
            .collect(),
        filter_gpu_resources: policy.filter_gpu_resources,
        region: domain
            .and_then(|domain| domain.fault_domain.as_ref())
            .map(|fault_domain| fault_domain.region.clone()),
        // They follow when the registry is known.
        weights: BTreeMap::new(),
        role_sorter: policy.role_sorter,
        framework_sorter: policy.framework_sorter,
        seed,
        fair_sharing_excluded_resource_names: policy.fair_sharing_excluded_resource_names.clone(),
        allocation_interval: policy.allocation_interval,
        allocator_recovery_timeout: policy.allocator_recovery_timeout,
        allocator_agent_recovery_factor: policy.allocator_agent_recovery_factor,
    }
}

/// What the allocator is told about an agent.
pub(crate) fn agent_view(agent: &AgentRecord) -> AgentView {
    AgentView {
        info: Arc::clone(&agent.info),
        capabilities: agent.capabilities.iter().map(Capability::r#type).collect(),
        total: agent.total.clone(),
        used: agent
            .used
            .iter()
            .map(|(framework, used)| (framework.clone(), used.clone()))
            .collect(),
    }
}

/// What the allocator is told about a framework.
pub(crate) fn framework_view(framework: &FrameworkRecord) -> FrameworkView {
    // They compiled when the framework sent them.
    let compiled = |given: &Arc<OfferConstraints>| Constraints::new(given).ok().map(Arc::new);
    FrameworkView {
        suppressed_roles: framework.suppressed_roles.iter().cloned().collect(),
        constraints: framework.offer_constraints.as_ref().and_then(compiled),
        ..FrameworkView::from_info(&framework.info)
    }
}

impl Master {
    /// Sees to it that what changed in this step leads to offers soon, and that refused resources
    /// are offered again when their filters run out.
    pub(crate) fn schedule_allocation(&mut self, step: &Step<'_>) {
        let soon = step.now.monotonic + self.state.config.policy.allocation_delay;
        if self.allocator.is_pending() {
            self.timers.set_earlier(Timer::Allocate, soon);
        } else if let Some(expiry) = self.allocator.next_expiry() {
            self.timers.set_earlier(Timer::Allocate, expiry.max(soon));
        }
    }

    /// Shares what is free.
    pub(crate) fn on_allocation_due(&mut self, step: &mut Step<'_>) {
        self.state.metrics.allocation_runs += 1;
        let proposals = self.allocator.allocate(step.now);
        self.offer(step, proposals);
        self.ask_to_leave(step);
    }

    /// Makes no offers to the framework in these roles; in all of its roles when none is named.
    /// Roles that are not its own make the whole call void.
    pub(crate) fn suppress(&mut self, id: &FrameworkId, roles: &[String]) {
        self.state.metrics.messages.suppress_offers += 1;
        let Some((named, all)) = self.own_roles(id, roles) else {
            return;
        };
        self.allocator.suppress(id, &named);
        if let Some(framework) = self.framework_mut(id) {
            let suppressed = if named.is_empty() { all } else { named };
            framework.suppressed_roles.extend(suppressed);
        }
    }

    /// Makes offers in these roles again; in all of its roles when none is named.
    pub(crate) fn revive(&mut self, id: &FrameworkId, roles: &[String]) {
        self.state.metrics.messages.revive_offers += 1;
        let Some((named, all)) = self.own_roles(id, roles) else {
            return;
        };
        self.allocator.revive(id, &named);
        if let Some(framework) = self.framework_mut(id) {
            for role in if named.is_empty() { all } else { named } {
                framework.suppressed_roles.remove(&role);
            }
        }
    }

    /// The roles that a call names and all that the framework has; `None` if it names others.
    fn own_roles(
        &self,
        id: &FrameworkId,
        named: &[String],
    ) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
        let framework = self.state.frameworks.get(id)?;
        let all: BTreeSet<String> = framework.roles().map(str::to_owned).collect();
        let named: BTreeSet<String> = named.iter().cloned().collect();
        named.is_subset(&all).then_some((named, all))
    }

    /// Gives resources back to the allocator, free for anyone.
    pub(crate) fn recover(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
    ) {
        if !resources.is_empty() {
            self.allocator.recover(framework, agent, resources);
        }
    }
}
