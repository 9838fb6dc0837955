//! `/why`: what speaks against offers to a framework, in words and numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use meseta_allocator::{Allocator, Quota, Reason, Refusal, Verdicts};
use meseta_endpoints::forms::quantities;
use meseta_endpoints::{Query, method_not_allowed};
use meseta_machine::{Now, Reply};
use meseta_resources::{Quantities, Resources, roles};
use serde_json::{Value, json, to_value};

use super::{Answer, Request};
use crate::limits::DEFAULT_NEAREST;
use crate::records::FrameworkRecord;
use crate::snapshot::Snapshot;
use crate::why::Question;

/// A request for reasons.
pub(super) fn answer(request: &Request<'_>) -> Answer {
    if !matches!(request.method, "GET" | "HEAD") {
        return Answer::Reply(method_not_allowed(&["GET"], request.method));
    }
    let query = Query(request.query);
    let Some(framework_id) = query.get("framework_id") else {
        return Answer::Reply(Reply::bad_request("Missing query parameter 'framework_id'"));
    };
    let nearest = match query.get("nearest").map(str::parse) {
        None => DEFAULT_NEAREST,
        Some(Ok(nearest)) => nearest,
        Some(Err(_)) => {
            return Answer::Reply(Reply::bad_request(
                "Expecting query parameter 'nearest' to be a number",
            ));
        }
    };
    Answer::Why(Question {
        framework_id: framework_id.into(),
        role: query.get("role").map(str::to_owned),
        nearest,
    })
}

/// The answer, for each role that was looked at.
pub(crate) fn reply(
    snapshot: &Snapshot,
    allocator: &Allocator,
    framework: &FrameworkRecord,
    found: &BTreeMap<String, Verdicts>,
    now: Now,
) -> Reply {
    let shown = Shown {
        snapshot,
        allocator,
        framework,
        now,
    };
    let roles: Vec<Value> = found
        .iter()
        .map(|(role, verdicts)| shown.role(role, verdicts))
        .collect();
    let answer = json!({
        "framework_id": framework.id.as_str(),
        "name": framework.info.name,
        "connected": framework.connected(),
        "active": framework.active,
        "roles": roles,
    });
    Reply::json(answer.to_string())
}

struct Shown<'a> {
    snapshot: &'a Snapshot,
    allocator: &'a Allocator,
    framework: &'a FrameworkRecord,
    now: Now,
}

impl Shown<'_> {
    fn role(&self, role: &str, verdicts: &Verdicts) -> Value {
        let mut counts: Vec<_> = verdicts.counts.iter().collect();
        counts.sort_by_key(|(_, agents)| std::cmp::Reverse(**agents));
        let reasons: Vec<Value> = counts
            .into_iter()
            .map(|(name, agents)| {
                let (meaning, remedy) = explain(name);
                json!({"reason": name, "agents": agents, "meaning": meaning, "remedy": remedy})
            })
            .collect();
        let nearest = verdicts.nearest.iter().map(|reason| self.miss(reason));
        json!({
            "role": role,
            "weight": self.snapshot.weights.get(role).copied().unwrap_or(1.0),
            "suppressed": self.framework.suppressed_roles.contains(role),
            "offers": self.offers(role),
            "agents": verdicts.agents,
            "offerable": verdicts.offerable,
            "reasons": reasons,
            "nearest": nearest.collect::<Vec<_>>(),
            "quotas": self.quotas(role),
        })
    }

    /// How many offers the framework has for the role and has not answered.
    fn offers(&self, role: &str) -> usize {
        let offers = self.framework.offers.iter();
        offers
            .filter_map(|id| self.snapshot.offers.get(id)?.allocation_info.as_ref())
            .filter(|allocation| allocation.role() == role)
            .count()
    }

    /// The quotas that bind a role: its own, and those of the roles above it.
    fn quotas(&self, role: &str) -> Vec<Value> {
        let binding = std::iter::once(role).chain(roles::ancestors(role));
        let quotas = binding.filter_map(|role| Some((role, self.snapshot.quotas.get(role)?)));
        quotas
            .map(|(role, Quota { guarantees, limits })| {
                let limits: BTreeMap<&str, f64> = limits
                    .iter()
                    .map(|(name, limit)| (name, limit.to_f64()))
                    .collect();
                let consumed = self.allocator.quota_consumed(role);
                json!({
                    "role": role,
                    "guarantees": amounts(guarantees),
                    "limits": limits,
                    "consumed": consumed.map(amounts),
                })
            })
            .collect()
    }

    fn miss(&self, reason: &Reason) -> Value {
        let agent = self.snapshot.agents.get(&reason.agent);
        let mut miss = json!({
            "agent_id": reason.agent.as_str(),
            "hostname": agent.map(|agent| agent.info.hostname.as_str()),
            "reason": reason.refusal.name(),
        });
        let mut say = |name: &str, value: Value| {
            if let Some(fields) = miss.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        };
        let sum = |resources: &Resources| amounts(&resources.quantities());
        match &reason.refusal {
            Refusal::Filtered { until } | Refusal::Recovering { until } => {
                say("until", self.wall(*until).as_secs_f64().into());
            }
            Refusal::NotAllocatable {
                free: left,
                missing,
            } => {
                say("free", sum(left));
                say("missing", amounts(missing));
            }
            Refusal::QuotaExhausted { free: left } | Refusal::HeldForGuarantees { free: left } => {
                say("free", sum(left));
            }
            Refusal::NothingFree => {
                if let Some(agent) = agent {
                    say("used", sum(&agent.used_total()));
                    say("offered", sum(&agent.offered));
                }
            }
            Refusal::FrameworkDeactivated
            | Refusal::Suppressed
            | Refusal::AgentDeactivated
            | Refusal::AgentNotListed
            | Refusal::AgentNotMultiRole
            | Refusal::AgentNotHierarchicalRole
            | Refusal::Gpu
            | Refusal::RemoteRegion
            | Refusal::Constraint
            | Refusal::ReservedToOthers
            | Refusal::Incapable
            | Refusal::AlreadyShared => {}
        }
        miss
    }

    /// A moment since the Unix epoch.
    fn wall(&self, monotonic: Duration) -> Duration {
        let left = monotonic.saturating_sub(self.now.monotonic);
        self.now.wall.saturating_add(left)
    }
}

fn amounts(amounts: &Quantities) -> Value {
    to_value(quantities(amounts)).unwrap_or_default()
}

/// What a reason means, and what can be done about it.
fn explain(name: &str) -> (&'static str, &'static str) {
    let known = REASONS.iter().find(|(known, ..)| *known == name);
    known.map_or(("", ""), |(_, meaning, remedy)| (meaning, remedy))
}

/// Every name of a [`Refusal`].
const REASONS: [(&str, &str, &str); 18] = [
    (
        "FRAMEWORK_DEACTIVATED",
        "the framework's scheduler is not connected",
        "start the scheduler; it subscribes with the framework's id",
    ),
    (
        "SUPPRESSED",
        "the framework has suppressed offers for this role",
        "the scheduler sends REVIVE for the role",
    ),
    (
        "RECOVERING",
        "the master has just started and waits for agents to come back, because roles have guarantees",
        "wait; --allocator_recovery_timeout and --allocator_agent_recovery_factor say how long",
    ),
    (
        "AGENT_DEACTIVATED",
        "the agent is away or deactivated",
        "see why the agent is disconnected, or whether it is drained",
    ),
    (
        "AGENT_NOT_WHITELISTED",
        "the agent's hostname is not in the file that --whitelist names",
        "add the hostname to the file; it is read every five seconds",
    ),
    (
        "AGENT_NOT_MULTI_ROLE",
        "the framework may have several roles, which the agent's program is too old for",
        "upgrade the agent",
    ),
    (
        "AGENT_NOT_HIERARCHICAL_ROLE",
        "the role is below another one, which the agent's program is too old for",
        "upgrade the agent",
    ),
    (
        "GPU_RESOURCES_MISSING",
        "the agent has GPUs, which are kept for frameworks with the capability GPU_RESOURCES",
        "give the framework the capability, or start the master with --filter_gpu_resources=false",
    ),
    (
        "REGION_AWARE_MISSING",
        "the agent is in another region, and the framework lacks the capability REGION_AWARE",
        "give the framework the capability",
    ),
    (
        "CONSTRAINT_UNMET",
        "the agent does not satisfy the framework's offer constraints for this role",
        "compare the constraints with the agent's attributes, hostname and domain",
    ),
    (
        "NOTHING_FREE",
        "everything that the agent has is in use or offered",
        "wait for tasks to end or offers to be answered, or add agents",
    ),
    (
        "RESERVED_TO_OTHERS",
        "what is free on the agent is reserved to other roles",
        "reserve something to this role, or release reservations",
    ),
    (
        "CAPABILITY_MISSING",
        "what is free is shared, revocable or reserved in a refined way, and the framework has not said that it can take such resources",
        "give the framework SHARED_RESOURCES, REVOCABLE_RESOURCES or RESERVATION_REFINEMENT",
    ),
    (
        "ALREADY_SHARED",
        "what is free is a shared volume that the framework holds already",
        "nothing need be done",
    ),
    (
        "BELOW_MINIMUM",
        "less is free on the agent than what makes an offer",
        "wait for tasks to end, or lower --min_allocatable_resources or the framework's offer filters",
    ),
    (
        "QUOTA_EXHAUSTED",
        "the role, or one above it, is at the limits of its quota",
        "wait for the role's tasks to end, or raise the limits (UPDATE_QUOTA)",
    ),
    (
        "HELD_FOR_GUARANTEES",
        "what is free is kept for the guarantees of other roles",
        "add agents, lower those guarantees, or give this role a guarantee of its own (UPDATE_QUOTA)",
    ),
    (
        "FILTERED",
        "the framework has declined what is free there, and the time that it asked for is not over",
        "wait, or the scheduler sends REVIVE; decline with a shorter refuse_seconds",
    ),
];
