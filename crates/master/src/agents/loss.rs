//! How agents leave: given up, for now or for good.

use std::sync::Arc;

use meseta_proto::Upid;
use meseta_proto::internal::ShutdownMessage;
use meseta_proto::v1::framework_info::capability::Type::PartitionAware;
use meseta_proto::v1::{AgentId, AgentInfo, OperationState, TaskState, TimeInfo, task_status};

use crate::maintenance::machine_of;
use crate::master::Master;
use crate::offers::Rescinding;
use crate::records::{AgentRecord, Deactivation, RecoveredAgent, UnreachableAgent};
use crate::registry::{self, Fact};
use crate::step::Step;
use crate::tasks::Leaving;
use crate::timers::Timer;
use crate::updates::MasterStatus;
use crate::watchers::News;

/// Why an agent is removed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// Another one registered at its address.
    Replaced,
    /// It said that it ends.
    Unregistered,
    /// An operator said that its machine is away.
    MachineDown,
}

impl Master {
    /// Takes over what earlier masters knew.
    pub(crate) fn on_recovered(&mut self, step: &mut Step<'_>, facts: &[(String, Vec<u8>)]) {
        let facts = facts
            .iter()
            .filter_map(|(key, value)| registry::read(key, value));
        let mut unreachable = Vec::new();
        let (mut quotas, mut weights) = (Vec::new(), Vec::new());
        for fact in facts {
            match fact {
                Fact::Agent(id, info) => {
                    let info = Arc::new(info);
                    let agent = RecoveredAgent { info };
                    self.state.recovered_agents.insert(id, agent);
                }
                Fact::Unreachable(id, since) => unreachable.push((id, since)),
                Fact::Gone(id, since) => {
                    self.state.gone_agents.insert(id, since);
                }
                Fact::Deactivation(id, drain) => {
                    let deactivation = Deactivation {
                        drain: drain.map(Arc::new),
                        drain_start: None,
                    };
                    self.state.deactivations.insert(id, deactivation);
                }
                Fact::Schedule(schedule) => self.recover_schedule(schedule),
                Fact::DownMachines(machines) => self.recover_down_machines(machines),
                Fact::Quota(config) => quotas.push(config),
                Fact::Weight(info) => weights.push((info.role().to_owned(), info.weight)),
            }
        }
        for (id, since) in unreachable {
            if let Some(agent) = self.state.recovered_agents.remove(&id) {
                let info = agent.info;
                let agent = UnreachableAgent { info, since };
                self.state.unreachable_agents.insert(id, agent);
            }
        }
        self.recover_weights(step, weights);
        self.recover_quotas(step, &quotas);
        self.schedule_registry_gc(step);
        if !self.state.recovered_agents.is_empty() {
            let due = step.now.monotonic + self.state.config.policy.agent_reregister_timeout;
            self.timers.set(Timer::Recovery, due);
        }
    }

    /// Agents that have not come to this master by now are given up.
    pub(crate) fn on_recovery_timeout(&mut self, step: &mut Step<'_>) {
        let agents: Vec<AgentId> = self.state.recovered_agents.keys().cloned().collect();
        let since = step.time_info();
        for id in agents {
            let Some(agent) = self.state.recovered_agents.remove(&id) else {
                continue;
            };
            let metrics = &mut self.state.metrics;
            metrics.slave_unreachable_scheduled += 1;
            metrics.slave_unreachable_completed += 1;
            metrics.recovery_slave_removals += 1;
            self.remember_unreachable(step, &id, agent.info, since);
            self.notify_all_of_lost_agent(step, &id);
        }
    }

    /// Gives up an agent that may come back. Its tasks are unreachable, or lost for frameworks that
    /// know no difference.
    pub(super) fn mark_agent_unreachable(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        cause: &str,
    ) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let info = Arc::clone(&agent.info);
        let since = step.time_info();
        self.remember_unreachable(step, id, info, since);
        let state = OperationState::OperationUnreachable;
        self.lose_operations(step, id, state, "Agent was marked unreachable");
        self.end_agent(step, id, |partition_aware| {
            let status = MasterStatus {
                state: if partition_aware {
                    TaskState::TaskUnreachable
                } else {
                    TaskState::TaskLost
                },
                reason: task_status::Reason::AgentRemoved,
                message: cause.to_owned(),
                unreachable_time: Some(since),
            };
            (status, Leaving::Unreachable)
        });
    }

    /// Removes an agent that will not come back under its id.
    pub(super) fn remove_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        cause: &str,
        removal: Removal,
    ) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let message = format!("Agent {} removed: {cause}", agent.info.hostname);
        let mut changes = vec![registry::forget(id)];
        changes.extend(self.forget_deactivation(id));
        step.persist(changes);
        let metrics = &mut self.state.metrics;
        metrics.slave_removals += 1;
        match removal {
            Removal::Replaced => metrics.slave_removals_reason_registered += 1,
            Removal::Unregistered => metrics.slave_removals_reason_unregistered += 1,
            Removal::MachineDown => {}
        }
        self.end_agent(step, id, |_| {
            let status = MasterStatus {
                state: TaskState::TaskLost,
                reason: task_status::Reason::AgentRemoved,
                message: message.clone(),
                unreachable_time: None,
            };
            (status, Leaving::Completed)
        });
    }

    /// The agent's machine is away from now on.
    pub(crate) fn remove_agent_of_down_machine(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        cause: &str,
    ) {
        self.remove_agent(step, id, cause, Removal::MachineDown);
    }

    /// Tells an agent to end whose machine is away, by what its operator says. Says whether it is.
    pub(super) fn refuse_on_down_machine(
        &self,
        step: &mut Step<'_>,
        from: &Upid,
        info: &AgentInfo,
    ) -> bool {
        let key = (info.hostname.to_lowercase(), from.address.ip().to_string());
        if !self.is_down(&key) {
            return false;
        }
        let message = Some("Machine is `DOWN`".to_owned());
        step.send(from, &ShutdownMessage { message });
        true
    }

    /// An agent says that it ends.
    pub(crate) fn on_unregister_agent(&mut self, step: &mut Step<'_>, from: &Upid, id: &AgentId) {
        self.state.metrics.messages.unregister_slave += 1;
        if self.state.agents.get(id).is_some_and(|a| a.pid == *from) {
            self.remove_agent(step, id, "the agent unregistered", Removal::Unregistered);
        } else {
            self.drop_message();
        }
    }

    fn remember_unreachable(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        info: Arc<AgentInfo>,
        since: TimeInfo,
    ) {
        step.persist(vec![registry::mark_unreachable(id, since)]);
        let agent = UnreachableAgent { info, since };
        self.state.unreachable_agents.insert(id.clone(), agent);
        self.schedule_registry_gc(step);
        self.state.metrics.slave_removals += 1;
        self.state.metrics.slave_removals_reason_unhealthy += 1;
    }

    /// Ends all that is on an agent, as `ending` says for frameworks that are partition-aware and
    /// for those that are not, and removes the agent.
    pub(super) fn end_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        ending: impl Fn(bool) -> (MasterStatus, Leaving),
    ) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let (tasks, executors) = (agent.tasks.clone(), agent.executors.clone());
        self.allocator.remove_agent(id);
        self.state.inverse_answers.remove(id);
        for (framework, task) in tasks {
            let aware = self
                .framework(&framework)
                .is_some_and(|framework| framework.is_capable_of(PartitionAware));
            let (status, leaving) = ending(aware);
            self.end_task(step, &framework, &task, &status, leaving);
        }
        for (framework, executor) in executors.keys() {
            self.remove_executor(framework, id, executor);
        }
        self.remove_offers_of_agent(step, id, Rescinding::Told);
        self.forget_operations(id);
        if let Some(agent) = self.state.agents.remove(id) {
            self.watchers.note(|| News::AgentRemoved(id.clone()));
            self.consumption.remove_agent(&agent);
            self.forget_connection(&agent);
        }
        self.notify_all_of_lost_agent(step, id);
    }

    fn forget_connection(&mut self, agent: &AgentRecord) {
        let machine = machine_of(agent);
        if let Some(of_machine) = self.by_machine.get_mut(&machine) {
            of_machine.remove(&agent.id);
            if of_machine.is_empty() {
                self.by_machine.remove(&machine);
            }
        }
        self.peers.remove_agent(&agent.pid, agent.observer);
        // Who comes to the place of one that is away has authenticated meanwhile.
        if agent.connected {
            self.forget_authentication(&agent.pid);
        }
        self.pings.remove(&agent.id);
        self.timers.cancel(&Timer::Ping(agent.id.clone()));
        self.timers
            .cancel(&Timer::AgentReregistration(agent.id.clone()));
    }
}
