//! What the allocator is told about agents and frameworks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meseta_proto::v1::{AgentInfo, Filters, FrameworkId, FrameworkInfo};
use meseta_proto::v1::{agent_info, domain_info::fault_domain::RegionInfo, framework_info};
use meseta_resources::{Quantities, Resources, Scalar};

use crate::Constraints;
use crate::limits::MAX_REFUSAL;

/// The rules, under the names of the master's flags.
#[derive(Debug, Clone)]
pub struct Options {
    /// An offer is made of what holds any of these; of anything when there is none.
    pub min_allocatable_resources: Vec<Quantities>,
    /// Whether agents with GPUs are kept for frameworks that ask for GPUs.
    pub filter_gpu_resources: bool,
    /// The master's region; agents elsewhere are remote.
    pub region: Option<RegionInfo>,
    /// The weights of roles; 1 for those not named.
    pub weights: BTreeMap<String, f64>,
    /// In which order roles that compete with each other are served.
    pub role_sorter: Sorter,
    /// In which order the frameworks of one role are served.
    pub framework_sorter: Sorter,
    /// What the random order comes from.
    pub seed: u64,
    /// Names of resources that do not count in shares.
    pub fair_sharing_excluded_resource_names: BTreeSet<String>,
    /// How long what quota held back, or a framework that was asked to leave an agent, waits at
    /// most for another look.
    pub allocation_interval: Duration,
    /// How long allocations wait for agents after a failover.
    pub allocator_recovery_timeout: Duration,
    /// The fraction of agents that ends this waiting.
    pub allocator_agent_recovery_factor: f64,
}

/// What decides who is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sorter {
    /// The smallest dominant share, divided by weight.
    #[default]
    Drf,
    /// Chance, in proportion to weights.
    Random,
}

impl Default for Options {
    fn default() -> Self {
        let amount = |name, thousandths| {
            Quantities::from_iter([(name, Scalar::from_thousandths(thousandths))])
        };
        Self {
            min_allocatable_resources: vec![amount("cpus", 10), amount("mem", 32_000)],
            filter_gpu_resources: true,
            region: None,
            weights: BTreeMap::new(),
            role_sorter: Sorter::Drf,
            framework_sorter: Sorter::Drf,
            seed: 0,
            fair_sharing_excluded_resource_names: BTreeSet::new(),
            allocation_interval: Duration::from_secs(1),
            allocator_recovery_timeout: Duration::from_mins(10),
            allocator_agent_recovery_factor: 0.8,
        }
    }
}

/// An agent, when it is added.
#[derive(Debug, Clone, Default)]
pub struct AgentView {
    /// Where it is and what it is like, for offer constraints and regions.
    pub info: Arc<AgentInfo>,
    /// What its program can do.
    pub capabilities: Vec<agent_info::capability::Type>,
    /// All that it has, allocated to no role.
    pub total: Resources,
    /// What of it is taken, allocated to roles. The frameworks need not be known yet.
    pub used: BTreeMap<FrameworkId, Resources>,
}

/// A framework, when it is added or updated.
#[derive(Debug, Clone, Default)]
pub struct FrameworkView {
    /// The roles in which it takes offers.
    pub roles: BTreeSet<String>,
    /// Those of them in which it wants none now.
    pub suppressed_roles: BTreeSet<String>,
    /// What its scheduler can deal with.
    pub capabilities: Vec<framework_info::capability::Type>,
    /// What makes an offer in a role, where it is not as in [`Options`].
    pub min_allocatable_resources: BTreeMap<String, Vec<Quantities>>,
    /// Which agents it wants offers of.
    pub constraints: Option<Arc<Constraints>>,
}

impl FrameworkView {
    /// From what a framework says about itself, with nothing suppressed and no constraints.
    pub fn from_info(info: &FrameworkInfo) -> Self {
        let capabilities: Vec<_> = info
            .capabilities
            .iter()
            .map(framework_info::Capability::r#type)
            .collect();
        let roles = if capabilities.contains(&framework_info::capability::Type::MultiRole) {
            info.roles.iter().cloned().collect()
        } else {
            #[allow(deprecated, reason = "frameworks of one role say it there")]
            [info.role().to_owned()].into()
        };
        let min_allocatable_resources = info
            .offer_filters
            .iter()
            .filter_map(|(role, filters)| {
                let sets = &filters.min_allocatable_resources.as_ref()?.quantities;
                Some((role.clone(), sets.iter().map(quantities).collect()))
            })
            .collect();
        Self {
            roles,
            capabilities,
            min_allocatable_resources,
            ..Self::default()
        }
    }
}

fn quantities(set: &meseta_proto::v1::offer_filters::ResourceQuantities) -> Quantities {
    set.quantities
        .iter()
        .filter_map(|(name, amount)| Some((name.as_str(), Scalar::from_f64(amount.value)?)))
        .collect()
}

/// For how long a scheduler refuses what it declines. As in Mesos, what is no time counts as the
/// default of five seconds, and what is too long is cut.
pub fn refusal_time(filters: &Filters) -> Duration {
    let given = filters.refuse_seconds();
    if given > MAX_REFUSAL.as_secs_f64() {
        return MAX_REFUSAL;
    }
    Duration::try_from_secs_f64(given)
        .unwrap_or_else(|_| Duration::from_secs_f64(Filters::default().refuse_seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_within_bounds() {
        let time = |refuse_seconds| refusal_time(&Filters { refuse_seconds });
        assert_eq!(time(None), Duration::from_secs(5));
        assert_eq!(time(Some(0.0)), Duration::ZERO);
        assert_eq!(time(Some(0.25)), Duration::from_millis(250));
        assert_eq!(time(Some(-1.0)), Duration::from_secs(5));
        assert_eq!(time(Some(f64::NAN)), Duration::from_secs(5));
        assert_eq!(time(Some(f64::INFINITY)), MAX_REFUSAL);
        assert_eq!(time(Some(1e300)), MAX_REFUSAL);
    }
}
