//! What operators change, and on which conditions.

use meseta_machine::{Reply, RequestId};
use meseta_proto::v1::maintenance::Schedule;
use meseta_proto::v1::master::call::{DrainAgent, UpdateQuota};
use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::quota::QuotaRequest;
use meseta_proto::v1::{AgentId, MachineId, WeightInfo};

use crate::master::Master;
use crate::step::Step;

/// What an operator wants changed, complete as far as it alone shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An agent is gone for ever.
    MarkAgentGone(AgentId),
    /// An agent is to be emptied.
    DrainAgent(DrainAgent),
    /// Nothing is to be offered of an agent.
    DeactivateAgent(AgentId),
    /// An agent is to be offered again.
    ReactivateAgent(AgentId),
    /// Guarantees and limits of roles.
    UpdateQuota(UpdateQuota),
    /// A guarantee, which is also the limit, of a role that has no quota: the older form.
    SetQuota(QuotaRequest),
    /// A role is to have no quota.
    RemoveQuota {
        /// The role.
        role: String,
        /// What refusals say after `remove quota`: the older endpoint's name its path.
        asked: String,
    },
    /// Weights of roles.
    UpdateWeights(Vec<WeightInfo>),
    /// When machines will be away.
    UpdateSchedule(Schedule),
    /// Machines of the schedule are away from now on.
    StartMaintenance(Vec<MachineId>),
    /// Machines are back.
    StopMaintenance(Vec<MachineId>),
    /// Something is to be made of an agent's free resources: reservations, volumes, or the reverse.
    Operate(AgentId, Box<Operation>),
}

/// The outcome of a change: nothing to say, or why it is not made.
pub(crate) type Outcome = Result<(), Reply>;

impl Master {
    pub(crate) fn on_operator_change(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        change: &Change,
    ) {
        let outcome = match change {
            Change::MarkAgentGone(id) => self.mark_agent_gone(step, id),
            Change::DrainAgent(drain) => self.drain_agent(step, drain),
            Change::DeactivateAgent(id) => self.deactivate_agent(step, id),
            Change::ReactivateAgent(id) => self.reactivate_agent(step, id),
            Change::UpdateQuota(update) => self.update_quota(step, update),
            Change::SetQuota(request) => self.set_quota(step, request),
            Change::RemoveQuota { role, asked } => self.remove_quota(step, role, asked),
            Change::UpdateWeights(weights) => self.update_weights(step, weights),
            Change::UpdateSchedule(schedule) => self.update_schedule(step, schedule),
            Change::StartMaintenance(machines) => self.start_maintenance(step, machines),
            Change::StopMaintenance(machines) => self.stop_maintenance(step, machines),
            Change::Operate(agent, order) => self.operate_on_agent(step, agent, order),
        };
        let done = match change {
            // The agent carries it out.
            Change::Operate(..) => Reply::accepted(),
            _ => Reply::ok(),
        };
        // Whatever was changed is on disk before this answer leaves.
        step.reply(request, outcome.err().unwrap_or(done));
    }
}
