//! Whether agents are there: pings, links, and the time that those have who went away.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use meseta_proto::v1::{AgentId, FrameworkId, TaskState, task_status};

use super::duration_text;
use crate::limits::TIMER_SLACK;
use crate::master::Master;
use crate::offers::Rescinding;
use crate::records::AgentRecord;
use crate::step::Step;
use crate::tasks::Leaving;
use crate::timers::Timer;
use crate::updates::MasterStatus;

/// How an agent answers its pings.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    /// Whether the last ping is unanswered.
    waiting: bool,
    /// Pings in a row that were not answered in time.
    missed: u32,
}

impl Master {
    /// Pings an agent, and waits for its answer. The times for that fall due together with those of
    /// other agents, a little after `agent_ping_timeout`: [`TIMER_SLACK`] says by how much.
    pub(super) fn ping(&mut self, step: &mut Step<'_>, id: &AgentId) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        Self::send_ping(step, agent);
        if let Some(pings) = self.pings.get_mut(id) {
            pings.waiting = true;
        }
        let due = step.now.monotonic + self.state.config.policy.agent_ping_timeout;
        self.timers
            .set_about(Timer::Ping(id.clone()), due, TIMER_SLACK);
    }

    /// An agent answered the pings of this process.
    pub(crate) fn on_pong(&mut self, observer: &str) {
        let id = self.peers.observed_by(observer);
        if let Some(pings) = id.and_then(|id| self.pings.get_mut(id)) {
            *pings = Pings::default();
        }
    }

    /// The time to answer the last ping is over.
    pub(crate) fn on_pong_due(&mut self, step: &mut Step<'_>, id: &AgentId) {
        let Some(pings) = self.pings.get_mut(id) else {
            return;
        };
        if pings.waiting {
            pings.missed += 1;
        }
        if pings.missed >= self.state.config.policy.max_agent_ping_timeouts {
            self.state.metrics.slave_unreachable_scheduled += 1;
            self.state.metrics.slave_unreachable_completed += 1;
            self.mark_agent_unreachable(step, id, "health check timed out");
        } else {
            self.ping(step, id);
        }
    }

    /// The link to an address broke.
    pub(crate) fn on_exited(&mut self, step: &mut Step<'_>, address: SocketAddrV4) {
        for framework in self.peers.drivers_at(address) {
            self.on_driver_exited(step, &framework);
        }
        for agent in self.peers.agents_at(address) {
            self.disconnect_agent(step, &agent);
        }
        self.end_attempts_at(address);
    }

    /// The agent is gone for now. Its tasks go on if their frameworks asked for that by
    /// checkpointing; the others' end with it.
    fn disconnect_agent(&mut self, step: &mut Step<'_>, id: &AgentId) {
        let Some(agent) = self.agent_mut(id) else {
            return;
        };
        if !agent.connected {
            return;
        }
        agent.connected = false;
        agent.active = false;
        let pid = agent.pid.clone();
        let frameworks = frameworks_on(agent);
        // It authenticates again before it comes back.
        self.forget_authentication(&pid);
        self.allocator.deactivate_agent(id);
        self.remove_offers_of_agent(step, id, Rescinding::Told);
        for framework_id in frameworks {
            let framework = self.framework(&framework_id);
            if !framework.is_some_and(|framework| framework.info.checkpoint()) {
                self.remove_framework_from_agent(step, id, &framework_id);
            }
        }
        let due = step.now.monotonic + self.state.config.policy.agent_reregister_timeout;
        let timer = Timer::AgentReregistration(id.clone());
        self.timers.set_about(timer, due, TIMER_SLACK);
    }

    /// A disconnected agent did not come back in time, though it may answer its pings.
    pub(crate) fn on_agent_reregistration_timeout(&mut self, step: &mut Step<'_>, id: &AgentId) {
        self.state.metrics.slave_unreachable_scheduled += 1;
        self.state.metrics.slave_unreachable_completed += 1;
        let timeout = duration_text(self.state.config.policy.agent_reregister_timeout);
        let cause = format!("agent did not reregister within {timeout} after disconnecting");
        self.mark_agent_unreachable(step, id, &cause);
    }

    /// Ends what a framework has on an agent that lost it all with its connection.
    fn remove_framework_from_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        framework: &FrameworkId,
    ) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let hostname = &agent.info.hostname;
        let status = MasterStatus {
            state: TaskState::TaskLost,
            reason: task_status::Reason::AgentDisconnected,
            message: format!("Agent {hostname} disconnected"),
            unreachable_time: None,
        };
        let tasks: Vec<_> = agent
            .tasks
            .iter()
            .filter(|(owner, _)| owner == framework)
            .map(|(_, task)| task.clone())
            .collect();
        let executors: Vec<_> = agent
            .executors
            .keys()
            .filter(|(owner, _)| owner == framework)
            .map(|(_, executor)| executor.clone())
            .collect();
        for task in tasks {
            self.end_task(step, framework, &task, &status, Leaving::Completed);
        }
        for executor in executors {
            self.remove_executor(framework, id, &executor);
        }
    }
}

/// The frameworks that have tasks or executors on the agent.
fn frameworks_on(agent: &AgentRecord) -> BTreeSet<FrameworkId> {
    let of_tasks = agent.tasks.iter().map(|(framework, _)| framework);
    let of_executors = agent.executors.keys().map(|(framework, _)| framework);
    of_tasks.chain(of_executors).cloned().collect()
}
