use std::time::Duration;

use meseta_proto::v1::AgentId;
use meseta_resources::Resources;

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
    /// The agent is deactivated: away, draining, or by an operator.
    AgentDeactivated,
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
    /// Less is free than what makes an offer.
    NotAllocatable {
        /// What is free for the framework.
        free: Resources,
    },
    /// The framework has declined what is free.
    Filtered {
        /// When the filter runs out, in monotonic time.
        until: Duration,
    },
}
