//! The allocator against a naive one, which counts everything from the beginning for each decision.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "what is not there fails the test; the numbers are small"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use meseta_allocator::{AgentView, Allocator, FrameworkView, Options, Quota};
use meseta_machine::Now;
use meseta_proto::v1::{agent_info, framework_info};
use meseta_resources::{Resources, Scalar};
use proptest::prelude::*;

const ROLES: [&str; 5] = ["a", "a/b", "a/c", "d", "e"];

/// Unreserved cpus and mem.
type Amounts = [i64; 2];

#[derive(Debug, Clone, Default, PartialEq)]
struct Holding {
    unreserved: Amounts,
    /// Cpus by the role that they are reserved to.
    reserved: BTreeMap<&'static str, i64>,
}

#[derive(Debug, Clone, Default)]
struct Limit {
    guarantee: Amounts,
    /// `None` is no limit.
    limit: [Option<i64>; 2],
}

/// A framework's number and one of its roles.
type Client = (usize, &'static str);

#[derive(Debug, Clone, Default)]
struct Cluster {
    agents: Vec<Holding>,
    clients: BTreeSet<Client>,
    weights: BTreeMap<&'static str, f64>,
    quotas: BTreeMap<&'static str, Limit>,
    /// By client and agent.
    held: BTreeMap<(Client, usize), Holding>,
    chosen: BTreeMap<String, u64>,
    total: Amounts,
}

fn is_within(role: &str, above: &str) -> bool {
    role == above || role.starts_with(&format!("{above}/"))
}

impl Cluster {
    fn free(&self, agent: usize) -> Holding {
        let mut free = self.agents[agent].clone();
        for ((_, of), held) in &self.held {
            if *of == agent {
                for i in 0..2 {
                    free.unreserved[i] -= held.unreserved[i];
                }
                for (role, cpus) in &held.reserved {
                    *free.reserved.get_mut(role).unwrap() -= cpus;
                }
            }
        }
        free
    }

    fn share(&self, counts: impl Fn(&Client) -> bool, weight: f64) -> f64 {
        let mut sums = [0; 2];
        for ((client, _), held) in &self.held {
            if counts(client) {
                sums[0] += held.unreserved[0] + held.reserved.values().sum::<i64>();
                sums[1] += held.unreserved[1];
            }
        }
        let fraction = |i: usize| {
            let total = self.total[i];
            if total == 0 {
                0.0
            } else {
                sums[i] as f64 / total as f64
            }
        };
        f64::max(fraction(0), fraction(1)) / weight
    }

    /// What a client is ordered by: share, times chosen and name at each level of the tree.
    fn position(&self, (framework, role): Client) -> Vec<(f64, u64, String)> {
        let chosen = |name: &str| self.chosen.get(name).copied().unwrap_or(0);
        let mut levels = Vec::new();
        let ends = role.match_indices('/').map(|(i, _)| i).chain([role.len()]);
        for end in ends {
            let above = &role[..end];
            let weight = self.weights.get(above).copied().unwrap_or(1.0);
            let share = self.share(|(_, of)| is_within(of, above), weight);
            levels.push((share, chosen(above), above.to_owned()));
        }
        let own = format!("{role}/.");
        levels.push((self.share(|(_, of)| *of == role, 1.0), chosen(&own), own));
        let share = self.share(|of| *of == (framework, role), 1.0);
        let name = format!("f{framework}");
        let times = chosen(&format!("{role}/. {name}"));
        levels.push((share, times, name));
        levels
    }

    fn in_order(&self) -> Vec<Client> {
        let mut clients: Vec<Client> = self.clients.iter().copied().collect();
        clients.sort_by(|one, other| {
            self.position(*one)
                .partial_cmp(&self.position(*other))
                .unwrap()
        });
        clients
    }

    fn consumed(&self, role: &str) -> Amounts {
        let mut sums = [0; 2];
        for agent in &self.agents {
            let of_role = agent.reserved.iter().filter(|(to, _)| is_within(to, role));
            sums[0] += of_role.map(|(_, cpus)| cpus).sum::<i64>();
        }
        for (((_, of), _), held) in &self.held {
            if is_within(of, role) {
                sums[0] += held.unreserved[0];
                sums[1] += held.unreserved[1];
            }
        }
        sums
    }

    /// The quotas whose nearest quota above is that of `role`, or that have none above.
    fn below(&self, role: Option<&str>) -> Vec<&'static str> {
        let nearest = |of: &str| {
            let above = self
                .quotas
                .keys()
                .filter(|it| **it != of && is_within(of, it));
            above.max_by_key(|it| it.len()).copied()
        };
        let all = self.quotas.keys().copied();
        all.filter(|of| nearest(of) == role).collect()
    }

    fn unmet(&self, role: &str) -> Amounts {
        let consumed = self.consumed(role);
        let guarantee = self.quotas[role].guarantee;
        [0, 1].map(|i| (guarantee[i] - consumed[i]).max(0))
    }

    fn required(&self, role: Option<&str>) -> Amounts {
        let mut sums = [0; 2];
        for below in self.below(role) {
            let (own, inner) = (self.unmet(below), self.required(Some(below)));
            for i in 0..2 {
                sums[i] += own[i].max(inner[i]);
            }
        }
        sums
    }

    /// What a role is due that no role below its nearest quotas, and none beside it, is due.
    fn claim(&self, role: &str) -> Amounts {
        let mut claim = [0; 2];
        let mut beneath: Option<&str> = None;
        let mut path: Vec<&str> = self.quotas.keys().copied().collect();
        path.retain(|of| is_within(role, of));
        path.sort_by_key(|of| std::cmp::Reverse(of.len()));
        for of in path {
            let (unmet, mut others) = (self.unmet(of), self.required(Some(of)));
            if let Some(beneath) = beneath {
                let (own, inner) = (self.unmet(beneath), self.required(Some(beneath)));
                for i in 0..2 {
                    others[i] -= own[i].max(inner[i]);
                }
            }
            for i in 0..2 {
                claim[i] = claim[i].max(unmet[i] - others[i]);
            }
            beneath = Some(of);
        }
        claim
    }

    fn offer(&self, client: Client, agent: usize, granted: Amounts) -> Option<Holding> {
        let role = client.1;
        let mut offer = self.free(agent);
        offer
            .reserved
            .retain(|to, cpus| is_within(role, to) && *cpus > 0);
        let required = self.required(None);
        for i in 0..2 {
            let amount = &mut offer.unreserved[i];
            for (of, quota) in &self.quotas {
                if let (true, Some(limit)) = (is_within(role, of), quota.limit[i]) {
                    *amount = (*amount).min((limit - self.consumed(of)[i]).max(0));
                }
            }
            if required[i] > 0 {
                let agents = 0..self.agents.len();
                let available: i64 = agents.map(|of| self.free(of).unreserved[i]).sum();
                *amount = (*amount).min((available - required[i]).max(0) + granted[i]);
            }
        }
        let is_enough = offer.unreserved != [0, 0] || !offer.reserved.is_empty();
        is_enough.then_some(offer)
    }

    fn guaranteed(&self, client: Client, agent: usize) -> Option<Holding> {
        let (claim, free) = (self.claim(client.1), self.free(agent).unreserved);
        let granted = [0, 1].map(|i| claim[i].min(free[i]));
        if granted == [0, 0] {
            return None;
        }
        let offer = self.offer(client, agent, granted)?;
        let helps = (0..2).any(|i| claim[i] > 0 && offer.unreserved[i] > 0);
        helps.then_some(offer)
    }

    fn give(&mut self, client: Client, agent: usize, offer: &Holding) {
        let held = self.held.entry((client, agent)).or_default();
        for i in 0..2 {
            held.unreserved[i] += offer.unreserved[i];
        }
        for (role, cpus) in &offer.reserved {
            *held.reserved.entry(role).or_default() += cpus;
        }
        let (framework, role) = client;
        let own = format!("{role}/.");
        let ends = role.match_indices('/').map(|(i, _)| i).chain([role.len()]);
        let above = ends.map(|end| role[..end].to_owned());
        let levels = above.chain([own.clone(), format!("{own} f{framework}")]);
        for level in levels.collect::<Vec<_>>() {
            *self.chosen.entry(level).or_default() += 1;
        }
    }

    /// Who gets what, by client and agent.
    fn allocate(&mut self) -> BTreeMap<(Client, usize), Holding> {
        let before = self.held.clone();
        for guarantees in [true, false] {
            for agent in 0..self.agents.len() {
                let mut served = BTreeSet::new();
                let mut order = self.in_order();
                while let Some((client, offer)) = order
                    .iter()
                    .filter(|client| !served.contains(*client))
                    .find_map(|client| {
                        let offer = if guarantees {
                            self.guaranteed(*client, agent)
                        } else {
                            self.offer(*client, agent, [0, 0])
                        };
                        Some((*client, offer?))
                    })
                {
                    self.give(client, agent, &offer);
                    served.insert(client);
                    if !self.quotas.is_empty() {
                        order = self.in_order();
                    }
                }
            }
        }
        let mut got = BTreeMap::new();
        for (key, held) in &self.held {
            let had = before.get(key).cloned().unwrap_or_default();
            if *held != had {
                let mut more = held.clone();
                for i in 0..2 {
                    more.unreserved[i] -= had.unreserved[i];
                }
                got.insert(*key, more);
            }
        }
        got
    }
}

fn resources(holding: &Holding) -> Resources {
    let mut text = format!(
        "cpus:{};mem:{}",
        holding.unreserved[0], holding.unreserved[1]
    );
    for (role, cpus) in &holding.reserved {
        write!(text, ";cpus({role}):{cpus}").unwrap();
    }
    Resources::parse(&text, "*").unwrap()
}

fn amounts(amounts: impl IntoIterator<Item = (&'static str, i64)>) -> Vec<(&'static str, Scalar)> {
    let all = amounts.into_iter();
    all.map(|(name, amount)| (name, Scalar::from_thousandths(1000 * amount)))
        .collect()
}

fn allocator(cluster: &Cluster) -> Allocator {
    let mut allocator = Allocator::new(Options::default());
    for (role, weight) in &cluster.weights {
        allocator.set_weight(role, *weight);
    }
    let quotas = cluster.quotas.iter().map(|(role, quota)| {
        let [cpus, mem] = quota.guarantee;
        let limits = ["cpus", "mem"].into_iter().zip(quota.limit);
        let limits = limits.filter_map(|(name, limit)| Some((name, limit?)));
        let quota = Quota {
            guarantees: amounts([("cpus", cpus), ("mem", mem)])
                .into_iter()
                .collect(),
            limits: amounts(limits).into_iter().collect(),
        };
        ((*role).to_owned(), quota)
    });
    allocator.set_quotas(quotas);
    let frameworks: BTreeSet<usize> = cluster.clients.iter().map(|(f, _)| *f).collect();
    for framework in frameworks {
        let of = cluster.clients.iter().filter(|(f, _)| *f == framework);
        let view = FrameworkView {
            roles: of.map(|(_, role)| (*role).to_owned()).collect(),
            capabilities: vec![framework_info::capability::Type::MultiRole],
            ..FrameworkView::default()
        };
        allocator.add_framework(format!("f{framework}").into(), view);
    }
    for (i, agent) in cluster.agents.iter().enumerate() {
        use agent_info::capability::Type::{HierarchicalRole, MultiRole};
        let mut view = AgentView {
            capabilities: vec![MultiRole, HierarchicalRole],
            total: resources(agent),
            ..AgentView::default()
        };
        for (((framework, role), of), held) in &cluster.held {
            if *of == i {
                let used = view.used.entry(format!("f{framework}").into()).or_default();
                *used += &resources(held).allocate(role);
            }
        }
        allocator.add_agent(i.to_string().into(), view);
    }
    allocator
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let role = || prop::sample::select(ROLES.to_vec());
    let agent = (0..9_i64, 0..5_i64, prop::option::of((role(), 1..4_i64)));
    let agents = prop::collection::vec(agent, 1..7);
    let clients = prop::collection::btree_set((0..4_usize, role()), 1..7);
    let weights =
        prop::collection::btree_map(role(), prop::sample::select(vec![0.5, 2.0, 3.0]), 0..3);
    let quota = (
        0..9_i64,
        0..4_i64,
        prop::option::of(0..9_i64),
        any::<bool>(),
    );
    let quotas = prop::collection::btree_map(role(), quota, 0..4);
    let used = prop::collection::vec((any::<prop::sample::Index>(), 0..7_usize, 1..4_i64), 0..5);
    (agents, clients, weights, quotas, used).prop_map(|(agents, clients, weights, quotas, used)| {
        let mut cluster = Cluster {
            clients,
            weights,
            ..Cluster::default()
        };
        for (cpus, mem, reserved) in agents {
            cluster.total[0] += cpus + reserved.map_or(0, |(_, cpus)| cpus);
            cluster.total[1] += 64 * mem;
            cluster.agents.push(Holding {
                unreserved: [cpus, 64 * mem],
                reserved: reserved.into_iter().collect(),
            });
        }
        for (role, (cpus, mem, above, limits_mem)) in quotas {
            let guarantee = [cpus, 64 * mem];
            let limit = [
                above.map(|above| cpus + above),
                limits_mem.then_some(64 * mem),
            ];
            cluster.quotas.insert(role, Limit { guarantee, limit });
        }
        cluster
            .quotas
            .retain(|_, it| it.guarantee != [0, 0] || it.limit != [None, None]);
        let clients: Vec<Client> = cluster.clients.iter().copied().collect();
        for (client, agent, cpus) in used {
            let client = *client.get(&clients);
            if agent < cluster.agents.len() && cluster.free(agent).unreserved[0] >= cpus {
                let held = cluster.held.entry((client, agent)).or_default();
                held.unreserved[0] += cpus;
            }
        }
        cluster
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_naive_allocator_gives_the_same(mut cluster in cluster()) {
        let mut allocator = allocator(&cluster);
        prop_assert_eq!(allocator.check_invariants(), Ok(()));
        let consumed = |cluster: &Cluster| -> BTreeMap<&str, Amounts> {
            let roles = cluster.quotas.keys();
            roles.map(|role| (*role, cluster.consumed(role))).collect()
        };
        let before = consumed(&cluster);
        let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
        let mut given = BTreeMap::new();
        for p in allocator.allocate(now) {
            let key = (p.framework.to_string(), p.role, p.agent.to_string());
            prop_assert_eq!(given.insert(key, p.resources.unallocate()), None);
        }
        let expected: BTreeMap<_, _> = cluster
            .allocate()
            .into_iter()
            .map(|(((framework, role), agent), got)| {
                let key = (format!("f{framework}"), role.to_owned(), agent.to_string());
                (key, resources(&got))
            })
            .collect();
        prop_assert_eq!(&given, &expected, "allocator left, naive right");
        prop_assert_eq!(allocator.check_invariants(), Ok(()));

        // Limits hold, and whoever is alone with its guarantee gets what there is of it.
        let after = consumed(&cluster);
        let left = |i: usize| -> i64 {
            let agents = 0..cluster.agents.len();
            agents.map(|agent| cluster.free(agent).unreserved[i]).sum()
        };
        for (role, quota) in &cluster.quotas {
            for i in 0..2 {
                let (was, is) = (before[role][i], after[role][i]);
                prop_assert!(quota.limit[i].is_none_or(|limit| is <= limit.max(was)));
                let is_bound = |of: &str| is_within(of, role) || is_within(role, of);
                let is_alone = cluster.quotas.keys().filter(|of| is_bound(of)).count() == 1;
                if is_alone && cluster.clients.iter().any(|(_, of)| of == role) {
                    let met = is >= quota.guarantee[i];
                    prop_assert!(met || left(i) == 0, "{role} lacks what is free");
                }
            }
        }
        // Whoever could be offered something and is not has a reason for each agent.
        for framework in cluster.clients.iter().map(|(f, _)| *f).collect::<BTreeSet<_>>() {
            let id = format!("f{framework}").into();
            let roles = cluster.clients.iter().filter(|(f, _)| *f == framework).count();
            prop_assert_eq!(allocator.why(&id).len(), roles * cluster.agents.len());
            for verdicts in allocator.why_in_short(&id, None, 3).values() {
                prop_assert_eq!(verdicts.counts.values().sum::<usize>(), verdicts.agents);
                prop_assert!(verdicts.nearest.len() == verdicts.agents.min(3));
            }
        }
    }
}
