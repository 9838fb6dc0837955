//! What holds after any history of calls.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is not there fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_allocator::{
    AgentView, Allocator, FrameworkView, Options, Proposal, Quota, Refusal, Sorter,
};
use meseta_machine::Now;
use meseta_proto::v1::{AgentId, FrameworkId, agent_info, framework_info};
use meseta_resources::{Resources, Scalar};
use proptest::prelude::*;

const AGENTS: usize = 4;
const FRAMEWORKS: usize = 4;
const ROLES: [&str; 4] = ["a", "a/b", "c", "*"];

#[derive(Debug, Clone)]
enum Step {
    AddAgent(usize, u8),
    UpdateAgent(usize, u8),
    RemoveAgent(usize),
    SetAgentActive(usize, bool),
    AddFramework(usize, BTreeSet<usize>),
    UpdateFramework(usize, BTreeSet<usize>, BTreeSet<usize>),
    RemoveFramework(usize),
    SetFrameworkActive(usize, bool),
    Suppress(usize, BTreeSet<usize>),
    Revive(usize, BTreeSet<usize>),
    SetWeight(usize, f64),
    /// Guaranteed cpus, and how many more are the limit.
    SetQuota(usize, u8, Option<u8>),
    Allocate,
    /// Gives back one of the outstanding proposals, in whole or in part.
    Recover(usize, Part),
    Decline(usize, Part, u16),
    Wait(u16),
}

#[derive(Debug, Clone, Copy)]
enum Part {
    All,
    OneCpu,
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..AGENTS;
    let framework = 0..FRAMEWORKS;
    let roles = || prop::collection::btree_set(0..ROLES.len(), 0..ROLES.len());
    let part = prop_oneof![Just(Part::All), Just(Part::OneCpu)];
    prop_oneof![
        2 => (agent.clone(), 1..9_u8).prop_map(|(a, size)| Step::AddAgent(a, size)),
        1 => (agent.clone(), 0..9_u8).prop_map(|(a, size)| Step::UpdateAgent(a, size)),
        1 => agent.clone().prop_map(Step::RemoveAgent),
        1 => (agent, any::<bool>()).prop_map(|(a, on)| Step::SetAgentActive(a, on)),
        2 => (framework.clone(), roles()).prop_map(|(f, r)| Step::AddFramework(f, r)),
        1 => (framework.clone(), roles(), roles())
            .prop_map(|(f, r, s)| Step::UpdateFramework(f, r, s)),
        1 => framework.clone().prop_map(Step::RemoveFramework),
        1 => (framework.clone(), any::<bool>()).prop_map(|(f, on)| Step::SetFrameworkActive(f, on)),
        1 => (framework.clone(), roles()).prop_map(|(f, r)| Step::Suppress(f, r)),
        1 => (framework, roles()).prop_map(|(f, r)| Step::Revive(f, r)),
        1 => (0..ROLES.len(), 0.5..8.0).prop_map(|(r, weight)| Step::SetWeight(r, weight)),
        1 => (0..ROLES.len() - 1, 0..5_u8, prop::option::of(0..5_u8))
            .prop_map(|(r, cpus, more)| Step::SetQuota(r, cpus, more)),
        6 => Just(Step::Allocate),
        3 => (any::<usize>(), part.clone()).prop_map(|(i, part)| Step::Recover(i, part)),
        3 => (any::<usize>(), part, 0..9_u16).prop_map(|(i, part, s)| Step::Decline(i, part, s)),
        2 => (0..9_u16).prop_map(Step::Wait),
    ]
}

/// What the allocator was told, kept in the plainest way.
#[derive(Default)]
struct Model {
    now: Duration,
    totals: BTreeMap<AgentId, Resources>,
    inactive_agents: BTreeSet<AgentId>,
    /// Subscribed roles without the suppressed ones, of active frameworks.
    wanting: BTreeMap<FrameworkId, BTreeSet<String>>,
    subscribed: BTreeMap<FrameworkId, BTreeSet<String>>,
    suppressed: BTreeMap<FrameworkId, BTreeSet<String>>,
    inactive_frameworks: BTreeSet<FrameworkId>,
    outstanding: Vec<Proposal>,
    filters: Vec<(FrameworkId, String, AgentId, Resources, Duration)>,
}

impl Model {
    fn now(&self) -> Now {
        Now {
            monotonic: self.now,
            wall: self.now,
        }
    }

    fn recount(&mut self) {
        let active = |(id, _): &(&FrameworkId, _)| !self.inactive_frameworks.contains(*id);
        self.wanting = self
            .subscribed
            .iter()
            .filter(active)
            .map(|(id, roles)| {
                let suppressed = self.suppressed.get(id).cloned().unwrap_or_default();
                (id.clone(), roles - &suppressed)
            })
            .collect();
    }

    fn held(&self, agent: &AgentId) -> Resources {
        let of_agent = |proposal: &&Proposal| proposal.agent == *agent;
        self.outstanding
            .iter()
            .filter(of_agent)
            .map(|proposal| &proposal.resources)
            .sum::<Resources>()
            .unallocate()
    }

    fn forget_filters(&mut self, framework: &FrameworkId, roles: &BTreeSet<String>) {
        self.filters
            .retain(|(id, role, ..)| id != framework || !roles.contains(role));
    }

    /// Takes a part of an outstanding proposal out.
    fn take_back(&mut self, index: usize, part: Part) -> Option<Proposal> {
        let count = self.outstanding.len();
        let index = index.checked_rem(count)?;
        let cpu = resources("cpus:1").allocate(&self.outstanding[index].role);
        let mut taken = self.outstanding[index].clone();
        match part {
            Part::OneCpu if taken.resources.contains(&cpu) && taken.resources != cpu => {
                self.outstanding[index].resources -= &cpu;
                taken.resources = cpu;
            }
            Part::OneCpu | Part::All => {
                self.outstanding.remove(index);
            }
        }
        Some(taken)
    }

    fn check_proposal(&self, proposal: &Proposal) -> Result<(), TestCaseError> {
        let Proposal {
            framework,
            role,
            agent,
            resources,
        } = proposal;
        let wanted = self.wanting.get(framework);
        prop_assert!(
            wanted.is_some_and(|roles| roles.contains(role)),
            "suppressed"
        );
        prop_assert!(!self.inactive_agents.contains(agent));
        prop_assert!(resources.iter().all(|r| r.allocation_role() == Some(role)));
        let offered = resources.unallocate();
        prop_assert!(offered.iter().all(|r| r.is_allocatable_to(role)));
        for (f, r, a, refused, until) in &self.filters {
            if (f, r, a) == (framework, role, agent) && *until > self.now {
                prop_assert!(!refused.contains(&offered), "filtered until {until:?}");
            }
        }
        Ok(())
    }

    /// That nothing is free that someone wants and has not refused.
    fn check_all_is_proposed(&self, allocator: &Allocator) -> Result<(), TestCaseError> {
        let is_active = |agent: &&AgentId| !self.inactive_agents.contains(*agent);
        let active = self.totals.keys().filter(is_active).count();
        for (id, roles) in &self.wanting {
            let mut reasons = allocator.why(id);
            reasons.retain(|reason| roles.contains(&reason.role));
            for reason in &reasons {
                prop_assert!(
                    matches!(
                        reason.refusal,
                        Refusal::AgentDeactivated
                            | Refusal::NothingFree
                            | Refusal::ReservedToOthers
                            | Refusal::NotAllocatable { .. }
                            | Refusal::QuotaExhausted { .. }
                            | Refusal::HeldForGuarantees { .. }
                    ),
                    "{reason:?}"
                );
            }
            prop_assert!(
                reasons.len() >= active * roles.len(),
                "an agent would still be proposed to {id}: {reasons:?}"
            );
        }
        Ok(())
    }
}

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn size(size: u8) -> Resources {
    resources(&format!(
        "cpus:{size};mem:{};cpus(a):2;mem(c):64;ports:[1-{}]",
        32 * u32::from(size),
        size + 1
    ))
}

fn agent_id(agent: usize) -> AgentId {
    format!("agent{agent}").into()
}

fn framework_id(framework: usize) -> FrameworkId {
    format!("framework{framework}").into()
}

fn role_names(roles: &BTreeSet<usize>) -> BTreeSet<String> {
    roles.iter().map(|&role| ROLES[role].to_owned()).collect()
}

fn framework(roles: BTreeSet<String>, suppressed_roles: BTreeSet<String>) -> FrameworkView {
    FrameworkView {
        roles,
        suppressed_roles,
        capabilities: vec![framework_info::capability::Type::MultiRole],
        ..FrameworkView::default()
    }
}

/// Does the step on both; what a removed agent held is gone in both.
fn apply(step: Step, allocator: &mut Allocator, model: &mut Model) -> Result<(), TestCaseError> {
    let now = model.now();
    match step {
        Step::AddAgent(agent, amount) => {
            use agent_info::capability::Type::{HierarchicalRole, MultiRole};
            let id = agent_id(agent);
            model.outstanding.retain(|proposal| proposal.agent != id);
            model.filters.retain(|(_, _, agent, ..)| *agent != id);
            model.totals.insert(id.clone(), size(amount));
            model.inactive_agents.remove(&id);
            let view = AgentView {
                capabilities: vec![MultiRole, HierarchicalRole],
                total: size(amount),
                ..AgentView::default()
            };
            allocator.add_agent(id, view);
        }
        Step::UpdateAgent(agent, amount) => {
            let id = agent_id(agent);
            if let Some(total) = model.totals.get_mut(&id) {
                *total = size(amount);
            }
            allocator.update_agent(&id, size(amount));
        }
        Step::RemoveAgent(agent) => {
            let id = agent_id(agent);
            model.totals.remove(&id);
            model.outstanding.retain(|proposal| proposal.agent != id);
            model.filters.retain(|(_, _, agent, ..)| *agent != id);
            allocator.remove_agent(&id);
        }
        Step::SetAgentActive(agent, true) => {
            model.inactive_agents.remove(&agent_id(agent));
            allocator.activate_agent(&agent_id(agent));
        }
        Step::SetAgentActive(agent, false) => {
            if model.totals.contains_key(&agent_id(agent)) {
                model.inactive_agents.insert(agent_id(agent));
            }
            allocator.deactivate_agent(&agent_id(agent));
        }
        Step::AddFramework(id, roles) => {
            let (id, roles) = (framework_id(id), role_names(&roles));
            if !model.subscribed.contains_key(&id) {
                model.inactive_frameworks.remove(&id);
                model.suppressed.remove(&id);
                model.subscribed.insert(id.clone(), roles.clone());
                allocator.add_framework(id, framework(roles, BTreeSet::new()));
            }
        }
        Step::UpdateFramework(id, roles, suppressed) => {
            let (id, roles, suppressed) = (
                framework_id(id),
                role_names(&roles),
                role_names(&suppressed),
            );
            if let Some(before) = model.subscribed.insert(id.clone(), roles.clone()) {
                let revived = model.suppressed.remove(&id).unwrap_or_default();
                model.forget_filters(&id, &(&before - &roles));
                model.forget_filters(&id, &(&revived - &suppressed));
                model.suppressed.insert(id.clone(), suppressed.clone());
            } else {
                model.subscribed.remove(&id);
            }
            allocator.update_framework(&id, framework(roles, suppressed));
        }
        Step::RemoveFramework(id) => {
            let id = framework_id(id);
            model.subscribed.remove(&id);
            model.filters.retain(|(framework, ..)| *framework != id);
            allocator.remove_framework(&id);
        }
        Step::SetFrameworkActive(id, true) => {
            model.inactive_frameworks.remove(&framework_id(id));
            allocator.activate_framework(&framework_id(id));
        }
        Step::SetFrameworkActive(id, false) => {
            let id = framework_id(id);
            model.filters.retain(|(framework, ..)| *framework != id);
            model.inactive_frameworks.insert(id.clone());
            allocator.deactivate_framework(&id);
        }
        Step::Suppress(id, roles) => {
            let (id, roles) = (framework_id(id), role_names(&roles));
            if let Some(subscribed) = model.subscribed.get(&id) {
                let all = if roles.is_empty() { subscribed } else { &roles };
                let suppressed = model.suppressed.entry(id.clone()).or_default();
                suppressed.extend(all & subscribed);
            }
            allocator.suppress(&id, &roles);
        }
        Step::Revive(id, roles) => {
            let (id, roles) = (framework_id(id), role_names(&roles));
            if let Some(subscribed) = model.subscribed.get(&id).cloned() {
                let all = if roles.is_empty() {
                    &subscribed
                } else {
                    &roles
                };
                let revived = all & &subscribed;
                model.forget_filters(&id, &revived);
                let suppressed = model.suppressed.entry(id.clone()).or_default();
                *suppressed = &*suppressed - &revived;
            }
            allocator.revive(&id, &roles);
        }
        Step::SetWeight(role, weight) => allocator.set_weight(ROLES[role], weight),
        Step::SetQuota(role, cpus, more) => {
            let amount = |cpus: u8| [("cpus", Scalar::from_thousandths(1000 * i64::from(cpus)))];
            let quota = Quota {
                guarantees: amount(cpus).into_iter().collect(),
                limits: more
                    .into_iter()
                    .flat_map(|more| amount(cpus + more))
                    .collect(),
            };
            allocator.set_quotas([(ROLES[role].to_owned(), quota)]);
        }
        Step::Allocate => {
            let consumed = |allocator: &Allocator| {
                let cpus = |role| allocator.quota_consumed(role).map(|all| all.get("cpus"));
                ROLES.map(|role| cpus(role).unwrap_or_default())
            };
            let before = consumed(allocator);
            for proposal in allocator.allocate(now) {
                model.check_proposal(&proposal)?;
                model.outstanding.push(proposal);
            }
            for ((role, was), is) in ROLES.iter().zip(before).zip(consumed(allocator)) {
                let limit = allocator
                    .quota(role)
                    .and_then(|quota| quota.limits.get("cpus"));
                prop_assert!(
                    limit.is_none_or(|limit| is <= limit.max(was)),
                    "{role} has {is}"
                );
            }
        }
        Step::Recover(index, part) => {
            if let Some(p) = model.take_back(index, part) {
                allocator.recover(&p.framework, &p.agent, &p.resources);
            }
        }
        Step::Decline(index, part, seconds) => {
            if let Some(p) = model.take_back(index, part) {
                let refuse_for = Duration::from_secs(seconds.into());
                let subscribed = model.subscribed.get(&p.framework);
                let active = !model.inactive_frameworks.contains(&p.framework);
                if active && subscribed.is_some_and(|roles| roles.contains(&p.role)) {
                    let refused = p.resources.unallocate();
                    let until = model.now + refuse_for;
                    let (framework, role, agent) = (&p.framework, &p.role, &p.agent);
                    model.filters.push((
                        framework.clone(),
                        role.clone(),
                        agent.clone(),
                        refused,
                        until,
                    ));
                }
                allocator.decline(&p.framework, &p.agent, &p.resources, refuse_for, now);
            }
        }
        Step::Wait(seconds) => model.now += Duration::from_secs(seconds.into()),
    }
    model.recount();
    Ok(())
}

proptest! {
    #[test]
    fn the_books_agree_with_what_was_told(
        steps in prop::collection::vec(step(), 1..120),
        by_chance in any::<bool>(),
    ) {
        let sorter = if by_chance { Sorter::Random } else { Sorter::Drf };
        let mut allocator = Allocator::new(Options {
            role_sorter: sorter,
            framework_sorter: sorter,
            ..Options::default()
        });
        let mut model = Model::default();
        for step in steps {
            apply(step, &mut allocator, &mut model)?;
            prop_assert_eq!(allocator.check_invariants(), Ok(()));
            for (agent, total) in &model.totals {
                let free = allocator.free(agent).unwrap();
                let held = model.held(agent);
                prop_assert_eq!(free, &(total - &held), "free on {}", agent);
            }
        }
        // All given back is all free, and then nobody is known by what they hold.
        while let Some(p) = model.take_back(0, Part::All) {
            allocator.recover(&p.framework, &p.agent, &p.resources);
        }
        for (agent, total) in &model.totals {
            prop_assert_eq!(allocator.free(agent), Some(total));
        }
        // Nothing that is wanted and not refused stays free.
        model.now += Duration::from_secs(100);
        allocator.allocate(model.now());
        prop_assert_eq!(allocator.next_expiry(), None);
        prop_assert!(!allocator.is_pending());
        model.check_all_is_proposed(&allocator)?;
    }

    /// Whoever looks at `is_pending` and `next_expiry` alone misses nothing, whatever is still held.
    #[test]
    fn what_is_wanted_is_proposed_though_nothing_more_happens(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut allocator = Allocator::new(Options::default());
        let mut model = Model::default();
        for step in steps {
            apply(step, &mut allocator, &mut model)?;
        }
        // No filter is longer than this, and what is held back is looked at with each second.
        let end = model.now + Duration::from_secs(20);
        loop {
            if !allocator.is_pending() {
                let Some(next) = allocator.next_expiry() else {
                    break;
                };
                model.now = model.now.max(next);
                prop_assert!(model.now < end, "allocations go on for ever");
            }
            for proposal in allocator.allocate(model.now()) {
                model.check_proposal(&proposal)?;
                model.outstanding.push(proposal);
            }
            prop_assert!(!allocator.is_pending(), "an allocation leads to the next");
        }
        model.check_all_is_proposed(&allocator)?;
    }

    /// Two frameworks that take all they are offered and hold on to it differ by no more than what
    /// one agent adds to a share.
    #[test]
    fn equal_frameworks_get_equal_shares(sizes in prop::collection::vec(1..9_u8, 1..20)) {
        let mut allocator = Allocator::new(Options::default());
        for id in ["f", "g"] {
            allocator.add_framework(id.into(), framework(["r".to_owned()].into(), BTreeSet::new()));
        }
        for (i, cpus) in sizes.iter().enumerate() {
            let view = AgentView {
                capabilities: vec![agent_info::capability::Type::MultiRole],
                total: resources(&format!("cpus:{cpus};mem:64")),
                ..AgentView::default()
            };
            allocator.add_agent(agent_id(i), view);
        }
        let mut held: BTreeMap<FrameworkId, Resources> = BTreeMap::new();
        for proposal in allocator.allocate(Model::default().now()) {
            *held.entry(proposal.framework).or_default() += &proposal.resources.unallocate();
        }
        let count = |id: &str| held.get(&id.into()).cloned().unwrap_or_default();
        let total: f64 = sizes.iter().copied().map(f64::from).sum();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let agents = sizes.len() as f64;
        let share = |id: &str| {
            let cpus = count(id).cpus().unwrap_or(0.0) / total;
            cpus.max(count(id).mem().unwrap_or(0.0) / (64.0 * agents))
        };
        let one = sizes.iter().copied().map(f64::from).fold(0.0, f64::max) / total;
        prop_assert!((share("f") - share("g")).abs() <= one.max(1.0 / agents) + 1e-9);
        prop_assert_eq!(&count("f") + &count("g"), sizes.iter().map(|cpus| resources(&format!("cpus:{cpus};mem:64"))).collect::<Vec<_>>().iter().sum());
    }
}
