use std::collections::BTreeSet;
use std::time::Duration;

use meseta_machine::Now;
use meseta_proto::v1::{AgentId, FrameworkId};
use meseta_resources::Resources;

use crate::{AgentView, FrameworkView, Options, Reason};

/// Who gets what. See the [crate](crate) for an example.
#[derive(Debug)]
pub struct Allocator {
    options: Options,
}

/// Resources that a framework should be offered. The allocator counts them as taken until they are
/// given back with [`Allocator::recover`] or [`Allocator::decline`].
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Whom to offer to.
    pub framework: FrameworkId,
    /// In which of its roles.
    pub role: String,
    /// Of which agent.
    pub agent: AgentId,
    /// What, allocated to the role.
    pub resources: Resources,
}

impl Allocator {
    /// An allocator without agents and frameworks.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Adds an agent, active. One with the same id is replaced.
    pub fn add_agent(&mut self, id: AgentId, agent: AgentView) {}

    /// Says what the agent has now. What is taken stays taken, even if there is less than that.
    pub fn update_agent(&mut self, id: &AgentId, total: Resources) {}

    /// Removes an agent with all that is taken of it and all filters for it.
    pub fn remove_agent(&mut self, id: &AgentId) {}

    /// Makes proposals of the agent again.
    pub fn activate_agent(&mut self, id: &AgentId) {}

    /// Makes no proposals of the agent.
    pub fn deactivate_agent(&mut self, id: &AgentId) {}

    /// Adds a framework, active. What agents hold of it already counts as its own.
    pub fn add_framework(&mut self, id: FrameworkId, framework: FrameworkView) {}

    /// Says anew what the framework is like. Filters in roles that it keeps stay; roles that
    /// are suppressed no longer are revived.
    pub fn update_framework(&mut self, id: &FrameworkId, framework: FrameworkView) {}

    /// Removes a framework with its filters. What it still holds stays taken until it is recovered.
    pub fn remove_framework(&mut self, id: &FrameworkId) {}

    /// Makes proposals to the framework again.
    pub fn activate_framework(&mut self, id: &FrameworkId) {}

    /// Makes no proposals to the framework, and forgets its filters.
    pub fn deactivate_framework(&mut self, id: &FrameworkId) {}

    /// Makes no proposals to the framework in these roles; in all of its roles when none is named.
    pub fn suppress(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) {}

    /// Makes proposals in these roles again and forgets the filters there; in all of its roles when
    /// none is named.
    pub fn revive(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) {}

    /// Sets the weight of a role; what is not above zero counts as 1.
    pub fn set_weight(&mut self, role: &str, weight: f64) {}

    /// Counts resources (allocated to roles) as taken that did not come from a proposal, such as
    /// those of a task that an agent tells of. Those from a proposal are taken already, whether
    /// they lie in an offer or in a task.
    pub fn take(&mut self, framework: &FrameworkId, agent: &AgentId, resources: &Resources) {}

    /// Exchanges what a framework has taken for something else, as operations on an offer do
    /// (reserving, creating volumes). The agent's total changes in the same way.
    pub fn convert(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        consumed: &Resources,
        converted: &Resources,
    ) {
    }

    /// Takes resources (allocated to roles) back, free for anyone at once. What is not held by
    /// the framework on the agent is left out; either may be gone already.
    pub fn recover(&mut self, framework: &FrameworkId, agent: &AgentId, resources: &Resources) {}

    /// Like [`recover`](Self::recover), but the framework is not offered a part of them again for
    /// some time (see [`refusal_time`](crate::refusal_time)).
    pub fn decline(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        refuse_for: Duration,
        now: Now,
    ) {
    }

    /// Whether something changed since the last allocation that may lead to a proposal.
    pub fn is_pending(&self) -> bool {
        false
    }

    /// When the next filter runs out, in monotonic time. [`allocate`](Self::allocate) is worth a
    /// call then.
    pub fn next_expiry(&self) -> Option<Duration> {
        None
    }

    /// Shares what is free. Proposals to one framework stand together.
    pub fn allocate(&mut self, now: Now) -> Vec<Proposal> {
        Vec::new()
    }

    /// Why the framework gets no offers: the first thing that speaks against each agent in each of
    /// its roles. An agent of which nothing is said would be proposed.
    pub fn why(&self, id: &FrameworkId) -> Vec<Reason> {
        Vec::new()
    }

    /// What is free on an agent.
    pub fn free(&self, id: &AgentId) -> Option<&Resources> {
        None
    }

    /// What a framework has taken of an agent, in offers and tasks.
    pub fn taken(&self, framework: &FrameworkId, agent: &AgentId) -> Resources {
        Resources::new()
    }
}
