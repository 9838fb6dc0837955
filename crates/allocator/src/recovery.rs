//! Waiting for agents after a failover.

use std::time::Duration;

use meseta_machine::Now;

use crate::Allocator;

/// Nothing is shared while too few agents are back: guarantees would be met out of a part of the
/// cluster, at the cost of those who have none.
#[derive(Debug)]
pub(crate) struct Recovery {
    agents: usize,
    until: Duration,
}

impl Allocator {
    /// Makes no proposals until a fraction of the agents that are expected back has come, or time
    /// is up (see [`Options`](crate::Options)). To be called after the quotas are set and before
    /// agents are added; without quotas there is nothing to wait for.
    pub fn begin_recovery(&mut self, expected_agents: usize, now: Now) {
        let factor = self.options.allocator_agent_recovery_factor;
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a count of agents, rounded down as in Mesos"
        )]
        let agents = (expected_agents as f64 * factor) as usize;
        if self.quotas.is_empty() || self.agents.len() >= agents {
            return;
        }
        let timeout = self.options.allocator_recovery_timeout;
        let until = now.monotonic.saturating_add(timeout);
        self.recovery = Some(Recovery { agents, until });
    }

    /// Until when allocations wait at most, if they do.
    pub fn recovering_until(&self) -> Option<Duration> {
        self.recovery.as_ref().map(|recovery| recovery.until)
    }

    pub(crate) fn agent_came(&mut self) {
        let count = self.agents.len();
        self.recovery.take_if(|recovery| recovery.agents <= count);
    }

    pub(crate) fn is_recovering(&mut self, now: Now) -> bool {
        self.recovery
            .take_if(|recovery| recovery.until <= now.monotonic);
        self.recovery.is_some()
    }
}
