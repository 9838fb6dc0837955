//! What is known of the counter, and what to do about it. Nothing here waits, writes or calls.
//!
//! ```text
//!             RESERVE, CREATE, LAUNCH         the task runs
//!   nowhere ─────────────────────────▶ asked ───────────────▶ made ─┐
//!      ▲                                                      ▲     │ the task has ended:
//!      │                                                      └─────┘ LAUNCH where the volume is
//!      └──────────────────── DESTROY, UNRESERVE ────────────────┘
//! ```

use meseta_framework::operations::{self, OperationExt as _};
use meseta_framework::v1::offer::Operation;
use meseta_framework::v1::{
    AgentId, Offer, OperationId, OperationState, OperationStatus, TaskId, TaskState, TaskStatus,
};
use serde::{Deserialize, Serialize};

use crate::wanted::{self, Plan};

#[cfg(test)]
mod tests;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    /// The agent that has the volume, or was asked to make it. No other can be used any more.
    agent_id: Option<String>,
    /// Whether the volume is known to be there.
    is_made: bool,
    /// How often the task was launched: names the next.
    launches: u64,
    /// Whether the last launch has not ended, as far as is known.
    is_running: bool,
    /// How often the end of the volume was asked for: names the next time.
    endings: u64,
}

/// What becomes of an offer. To be remembered before it is done.
#[derive(Debug, PartialEq)]
pub(crate) enum Use {
    Decline,
    Accept(Vec<Operation>),
}

/// What a status update tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Nothing,
    /// To be remembered before it is acknowledged.
    Changed,
    /// The agent will never come back, nor the count.
    Lost,
}

impl Counter {
    /// The task that runs, as far as is known, and where.
    pub(crate) fn running(&self) -> Option<(TaskId, AgentId)> {
        let agent = self.agent_id.as_deref().filter(|_| self.is_running)?;
        Some((self.task_id(), agent.into()))
    }

    /// Whether there is nothing on any agent.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.agent_id.is_none()
    }

    fn task_id(&self) -> TaskId {
        format!("counter.{}", self.launches).into()
    }

    fn ending_id(&self) -> String {
        format!("end-{}", self.endings)
    }

    /// Launches the task where the volume is; the first time, wherever there is room for one.
    pub(crate) fn go_on_with(&mut self, offer: &Offer) -> Use {
        if self.is_running || !self.may_use(offer) {
            return Use::Decline;
        }
        // A volume that was made and is not in the offer is in another: it must not be made twice.
        let Some(plan) = Plan::of(offer, !self.is_made) else {
            return Use::Decline;
        };
        self.agent_id = Some(offer.agent_id.as_str().to_owned());
        self.launches += 1;
        self.is_running = true;
        let task = wanted::task(self.task_id(), offer.agent_id.clone(), plan.task);
        let mut operations = Vec::new();
        if !plan.reserve.is_empty() {
            operations.push(operations::reserve(plan.reserve));
        }
        operations.extend(plan.create.map(|volume| operations::create([volume])));
        operations.push(operations::launch([task]));
        Use::Accept(operations)
    }

    /// Destroys the volume and gives everything back. When that is done, the agent tells: see
    /// [`Self::has_ended`].
    pub(crate) fn end_with(&mut self, offer: &Offer) -> Use {
        if self.is_running || !self.may_use(offer) {
            return Use::Decline;
        }
        let (volumes, all) = wanted::ours(offer);
        if all.is_empty() {
            if !self.is_made {
                // The agent was asked, and nothing came of it.
                self.agent_id = None;
            }
            return Use::Decline;
        }
        self.endings += 1;
        let mut operations = Vec::new();
        if !volumes.is_empty() {
            operations.push(operations::destroy(volumes));
        }
        operations.push(operations::unreserve(all).with_id(self.ending_id()));
        Use::Accept(operations)
    }

    fn may_use(&self, offer: &Offer) -> bool {
        let agent = self.agent_id.as_deref();
        agent.is_none_or(|agent| agent == offer.agent_id.as_str())
    }

    /// Takes note of a status update, or of an answer to reconciliation.
    pub(crate) fn on_status(&mut self, status: &TaskStatus) -> News {
        let state = status.state();
        if !self.is_running || status.task_id != self.task_id() {
            return News::Nothing;
        }
        match state {
            TaskState::TaskGoneByOperator => News::Lost,
            state if state.is_terminal() => {
                self.is_running = false;
                News::Changed
            }
            // It has found its volume.
            TaskState::TaskRunning if !self.is_made => {
                self.is_made = true;
                News::Changed
            }
            _ => News::Nothing,
        }
    }

    /// Whether an operation's update tells that nothing is left.
    pub(crate) fn has_ended(&mut self, status: &OperationStatus) -> bool {
        let id = status.operation_id.as_ref().map(OperationId::as_str);
        let is_it = id == Some(&self.ending_id());
        let is_done = is_it && status.state() == OperationState::OperationFinished;
        if is_done {
            self.forget_volume();
        }
        is_done
    }

    /// There is no volume any more.
    pub(crate) fn forget_volume(&mut self) {
        self.agent_id = None;
        self.is_made = false;
        self.is_running = false;
    }
}
