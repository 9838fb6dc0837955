use std::time::Duration;

use meseta_proto::v1::AgentId;
use meseta_resources::{Quantities, Resources};

/// Why a framework gets no offer of an agent in one of its roles.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The framework's role.
    pub role: String,
    /// The agent.
    pub agent: AgentId,
    /// What speaks against it.
    pub refusal: Refusal,
}

/// What speaks against an offer.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The framework is deactivated: its scheduler is away.
    FrameworkDeactivated,
    /// The framework has suppressed offers for the role.
    Suppressed,
    /// After a failover, allocations wait for agents to come back.
    Recovering {
        /// Until when at most, in monotonic time.
        until: Duration,
    },
    /// The agent is deactivated: away, draining, or by an operator.
    AgentDeactivated,
    /// The agent is not on the whitelist.
    AgentNotListed,
    /// The framework can take several roles, and the agent's program is too old for that.
    AgentNotMultiRole,
    /// The role has a parent, and the agent's program is too old for that.
    AgentNotHierarchicalRole,
    /// The agent has GPUs, which are kept for frameworks with the capability `GPU_RESOURCES`.
    Gpu,
    /// The agent is in another region than the master, and the framework lacks `REGION_AWARE`.
    RemoteRegion,
    /// The framework's offer constraints for the role exclude the agent.
    Constraint,
    /// All that the agent has is offered or in use.
    NothingFree,
    /// All that is free on the agent is reserved to other roles.
    ReservedToOthers,
    /// All that is free for the role is of a sort that the framework has not said it can take:
    /// shared, revocable, or with a refined reservation.
    Incapable,
    /// All that is free is shared, and the framework holds it already.
    AlreadyShared,
    /// Less is free than what makes an offer.
    NotAllocatable {
        /// What is free for the framework.
        free: Resources,
        /// What that lacks of what comes nearest to making an offer.
        missing: Box<Quantities>,
    },
    /// The limits of the role, or of one above it, leave less room than what makes an offer.
    QuotaExhausted {
        /// What is free for the framework, were it not for the limits.
        free: Resources,
    },
    /// What is free is kept for the guarantees of other roles.
    HeldForGuarantees {
        /// What is free for the framework, were it not for the guarantees.
        free: Resources,
    },
    /// The framework has declined what is free.
    Filtered {
        /// When the filter runs out, in monotonic time.
        until: Duration,
    },
}

impl Refusal {
    /// What it is called where reasons are counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::FrameworkDeactivated => "FRAMEWORK_DEACTIVATED",
            Self::Suppressed => "SUPPRESSED",
            Self::Recovering { .. } => "RECOVERING",
            Self::AgentDeactivated => "AGENT_DEACTIVATED",
            Self::AgentNotListed => "AGENT_NOT_WHITELISTED",
            Self::AgentNotMultiRole => "AGENT_NOT_MULTI_ROLE",
            Self::AgentNotHierarchicalRole => "AGENT_NOT_HIERARCHICAL_ROLE",
            Self::Gpu => "GPU_RESOURCES_MISSING",
            Self::RemoteRegion => "REGION_AWARE_MISSING",
            Self::Constraint => "CONSTRAINT_UNMET",
            Self::NothingFree => "NOTHING_FREE",
            Self::ReservedToOthers => "RESERVED_TO_OTHERS",
            Self::Incapable => "CAPABILITY_MISSING",
            Self::AlreadyShared => "ALREADY_SHARED",
            Self::NotAllocatable { .. } => "BELOW_MINIMUM",
            Self::QuotaExhausted { .. } => "QUOTA_EXHAUSTED",
            Self::HeldForGuarantees { .. } => "HELD_FOR_GUARANTEES",
            Self::Filtered { .. } => "FILTERED",
        }
    }

    /// How far the offer is away, smaller being nearer: what time alone mends comes first, what
    /// depends on others next, then what the framework itself must change.
    pub(crate) fn distance(&self) -> (u8, u128) {
        match self {
            Self::Filtered { until } => (0, until.as_nanos()),
            Self::Recovering { until } => (1, until.as_nanos()),
            Self::QuotaExhausted { .. } => (2, 0),
            Self::HeldForGuarantees { .. } => (3, 0),
            Self::NotAllocatable { missing, .. } => {
                let missing = missing.iter().map(|(_, amount)| amount.thousandths());
                (
                    4,
                    missing
                        .map(|amount| u128::from(amount.unsigned_abs()))
                        .sum(),
                )
            }
            Self::AlreadyShared => (5, 0),
            Self::NothingFree => (6, 0),
            Self::ReservedToOthers => (7, 0),
            Self::AgentDeactivated => (8, 0),
            Self::AgentNotListed => (9, 0),
            Self::Incapable => (10, 0),
            Self::Gpu => (11, 0),
            Self::RemoteRegion => (12, 0),
            Self::Constraint => (13, 0),
            Self::AgentNotMultiRole => (14, 0),
            Self::AgentNotHierarchicalRole => (15, 0),
            Self::Suppressed => (16, 0),
            Self::FrameworkDeactivated => (17, 0),
        }
    }
}
