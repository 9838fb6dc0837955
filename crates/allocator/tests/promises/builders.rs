//! Small clusters, in few words.

use std::collections::BTreeSet;
use std::time::Duration;

use meseta_allocator::{AgentView, Allocator, FrameworkView, Options, Proposal, Quota};
use meseta_machine::Now;
use meseta_proto::v1::{AgentId, FrameworkId, agent_info, framework_info};
use meseta_resources::Resources;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: Duration::from_secs(1_700_000_000 + seconds),
    }
}

pub(crate) fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

pub(crate) fn agent(total: &str) -> AgentView {
    use agent_info::capability::Type::{HierarchicalRole, MultiRole, ReservationRefinement};
    AgentView {
        capabilities: vec![MultiRole, HierarchicalRole, ReservationRefinement],
        total: resources(total),
        ..AgentView::default()
    }
}

pub(crate) fn framework(roles: &[&str]) -> FrameworkView {
    FrameworkView {
        roles: names(roles),
        capabilities: vec![framework_info::capability::Type::MultiRole],
        ..FrameworkView::default()
    }
}

pub(crate) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

pub(crate) fn cluster(agents: &[(&str, &str)], frameworks: &[(&str, &[&str])]) -> Allocator {
    let mut allocator = Allocator::new(Options::default());
    for (id, total) in agents {
        allocator.add_agent((*id).into(), agent(total));
    }
    for (id, roles) in frameworks {
        allocator.add_framework((*id).into(), framework(roles));
    }
    allocator
}

/// Proposals as `framework role agent resources`.
pub(crate) fn shown(proposals: &[Proposal]) -> Vec<String> {
    proposals
        .iter()
        .map(|p| {
            let resources = p.resources.unallocate();
            format!("{} {} {} {resources}", p.framework, p.role, p.agent)
        })
        .collect()
}

pub(crate) fn decline(
    allocator: &mut Allocator,
    proposal: &Proposal,
    refuse_for: Duration,
    now: Now,
) {
    let Proposal {
        framework, agent, ..
    } = proposal;
    allocator.decline(framework, agent, &proposal.resources, refuse_for, now);
}

pub(crate) fn ids() -> (FrameworkId, AgentId) {
    ("f".into(), "a".into())
}

/// Guarantees and limits as text, empty for none.
pub(crate) fn quota(guarantees: &str, limits: &str) -> Quota {
    let amounts = |text: &str| match text {
        "" => Resources::new(),
        text => resources(text),
    };
    Quota {
        guarantees: amounts(guarantees).quantities(),
        limits: amounts(limits).quantities().iter().collect(),
    }
}

pub(crate) fn set_quota(allocator: &mut Allocator, role: &str, guarantees: &str, limits: &str) {
    allocator.set_quotas([(role.to_owned(), quota(guarantees, limits))]);
    allocator.check_invariants().unwrap();
}

/// The first thing that speaks against the only agent.
pub(crate) fn refusal(allocator: &Allocator, framework: &str) -> &'static str {
    let reasons = allocator.why(&framework.into());
    reasons
        .first()
        .map_or("none", |reason| reason.refusal.name())
}

/// Gives all of it back.
pub(crate) fn recover(allocator: &mut Allocator, proposal: &Proposal) {
    allocator.recover(&proposal.framework, &proposal.agent, &proposal.resources);
}
