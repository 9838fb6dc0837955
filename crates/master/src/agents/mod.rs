//! Agents: from registration to loss.
//!
//! ```text
//!              register                    link breaks
//!  (unknown) ───────────▶ registered ◀──────────────▶ disconnected
//!                          ▲    │  ▲     re-register        │
//!  recovered ──re-register─┘    │  │                        │ no pong, or not back in time
//!      │                        │  └──re-register──┐        │
//!      │ not back in time       └──no pong────▶ unreachable ◀┘
//!      └───────────────────────────────────────────▲
//! ```
//!
//! Beside that, operators take agents out of service: [`drain`].

mod drain;
mod forget;
mod gone;
mod liveness;
mod loss;
mod register;
mod reregister;
mod resources;
mod update;

use std::sync::Arc;
use std::time::Duration;

use meseta_proto::internal::{
    MasterSlaveConnection, PingSlaveMessage, SlaveRegisteredMessage, UpdateFrameworkMessage,
};
use meseta_proto::v1::{AgentId, FrameworkId, Resource, TaskInfo};
use meseta_proto::{Upid, v1};
use meseta_resources::Resources;

pub(crate) use liveness::Pings;

use crate::allocation;
use crate::config::Config;
use crate::events::NO_PID;
use crate::maintenance::machine_of;
use crate::master::Master;
use crate::records::{AgentRecord, FrameworkRecord};
use crate::step::Step;
use crate::watchers::News;

impl Master {
    pub(crate) fn agent_mut(&mut self, id: &AgentId) -> Option<&mut AgentRecord> {
        self.state.agents.get_mut(id).map(Arc::make_mut)
    }

    /// Says what an agent in the books has from now on.
    pub(crate) fn set_total(&mut self, id: &AgentId, total: Resources) {
        if let Some(agent) = self.state.agents.get_mut(id) {
            self.consumption.change_total(id, &agent.total, &total);
            Arc::make_mut(agent).total = total;
        }
    }

    /// Where the agent is, if it is there.
    pub(crate) fn connected_agent(&self, id: &AgentId) -> Option<Upid> {
        let agent = self.state.agents.get(id)?;
        agent.connected.then(|| agent.pid.clone())
    }

    /// Enters an agent in the books.
    fn enter_agent(&mut self, agent: AgentRecord) {
        self.peers.add_agent(&agent.pid, agent.observer, &agent.id);
        self.pings.insert(agent.id.clone(), Pings::default());
        self.watchers.note(|| News::AgentAdded(agent.id.clone()));
        self.consumption.add_agent(&agent);
        let of_machine = self.by_machine.entry(machine_of(&agent)).or_default();
        of_machine.insert(agent.id.clone());
        self.state.agents.insert(agent.id.clone(), Arc::new(agent));
    }

    /// Offers the resources of an agent that was entered, links to it, and begins to ping it.
    fn open_agent(&mut self, step: &mut Step<'_>, id: &AgentId) {
        if let Some(agent) = self.state.agents.get(id) {
            let view = allocation::agent_view(agent);
            self.allocator.add_agent(id.clone(), view);
            step.link(agent.pid.address);
            self.schedule_agent(id);
        }
        self.activate(step, id);
        self.ping(step, id);
    }

    fn next_observer(&mut self) -> u64 {
        self.ids.observers += 1;
        self.ids.observers
    }

    fn send_ping(step: &mut Step<'_>, agent: &AgentRecord) {
        let message = PingSlaveMessage {
            connected: agent.connected,
        };
        // Agents answer to whoever pinged them.
        let from = format!("slave-observer({})", agent.observer);
        step.send_from(from, &agent.pid, &message);
    }

    fn send_registered(&self, step: &mut Step<'_>, pid: &Upid, id: &AgentId) {
        let message = SlaveRegisteredMessage {
            slave_id: id.clone(),
            connection: Some(self.connection()),
        };
        step.send(pid, &message);
    }

    fn connection(&self) -> MasterSlaveConnection {
        let timeout = self.state.config.policy.total_ping_timeout();
        MasterSlaveConnection {
            total_ping_timeout_seconds: Some(timeout.as_secs_f64()),
        }
    }

    /// Tells an agent what a framework is like and where its scheduler is. The agent then sends
    /// again whatever the scheduler has not acknowledged.
    pub(crate) fn send_framework(step: &mut Step<'_>, to: &Upid, framework: &FrameworkRecord) {
        step.send(to, &framework_update(framework));
    }

    /// Tells every agent.
    pub(crate) fn send_framework_to_agents(&self, step: &mut Step<'_>, id: &FrameworkId) {
        let Some(framework) = self.state.frameworks.get(id) else {
            return;
        };
        let agents = self.state.agents.values().map(|agent| &agent.pid);
        step.send_to_all(agents, &framework_update(framework));
    }
}

fn framework_update(framework: &FrameworkRecord) -> UpdateFrameworkMessage {
    UpdateFrameworkMessage {
        framework_id: framework.id.clone(),
        pid: Some(pid_text(framework)),
        framework_info: Some(v1::FrameworkInfo::clone(&framework.info)),
    }
}

/// The pid of a framework's scheduler as agents are told it.
pub(crate) fn pid_text(framework: &FrameworkRecord) -> String {
    let pid = framework.endpoint.pid();
    pid.map_or_else(|| NO_PID.to_owned(), Upid::to_string)
}

/// Why a registration is not answered: it would not help the agent to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unfit;

/// Checks what holds for every agent, new or not.
fn check_agent(info: &v1::AgentInfo, version: &str, config: &Config) -> Result<(), Unfit> {
    let id_is_fit = info
        .id
        .as_ref()
        .is_none_or(|id| crate::validation::id(id.as_str()).is_ok());
    // Whether it is far away can't be told without a place of the master's own.
    let place_is_fit = match &info.domain {
        Some(_) => config.domain.is_some(),
        None => !config.policy.require_agent_domain,
    };
    (id_is_fit && is_served(version) && place_is_fit)
        .then_some(())
        .ok_or(Unfit)
}

/// Whether agents of this version are served: those since 1.0.0.
fn is_served(version: &str) -> bool {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = plain.split('.').map(str::parse::<u32>);
    let all_numbers = parts.clone().count() <= 3 && parts.clone().all(|part| part.is_ok());
    all_numbers
        && parts
            .next()
            .is_some_and(|major| major.is_ok_and(|major| major >= 1))
}

/// Brings resources from an agent into the form in which the master keeps them.
fn upgrade(resources: &mut [Resource]) -> Result<(), Unfit> {
    for resource in resources {
        meseta_resources::upgrade(resource).map_err(|_| Unfit)?;
    }
    Ok(())
}

/// Brings a task's resources into the form that agents without refined reservations know. They have
/// no refined reservations, so that nothing is left over.
pub(crate) fn downgrade_task(task: &mut TaskInfo) {
    downgrade(&mut task.resources);
    if let Some(executor) = &mut task.executor {
        downgrade(&mut executor.resources);
    }
}

pub(crate) fn downgrade(resources: &mut [Resource]) {
    for resource in resources {
        let _ = meseta_resources::downgrade(resource);
    }
}

/// As Mesos prints durations: in the largest unit that gives a whole number.
pub(crate) fn duration_text(duration: Duration) -> String {
    const UNITS: [(u64, &str); 5] = [
        (7 * 24 * 3600, "weeks"),
        (24 * 3600, "days"),
        (3600, "hrs"),
        (60, "mins"),
        (1, "secs"),
    ];
    let seconds = duration.as_secs();
    let whole = UNITS.iter().find(|(unit, _)| {
        seconds >= *unit && seconds.is_multiple_of(*unit) && duration.subsec_nanos() == 0
    });
    match whole {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{}secs", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_since_version_1_are_served() {
        for version in ["1.0.0", "1.11.0", "2.0", "1.12.0-dev", "1.9.0+build"] {
            assert!(is_served(version), "{version}");
        }
        for version in ["", "0.28.2", "x", "1.x.0", "1.2.3.4"] {
            assert!(!is_served(version), "{version}");
        }
    }

    #[test]
    fn durations_are_written_as_in_mesos() {
        assert_eq!(duration_text(Duration::from_mins(10)), "10mins");
        assert_eq!(duration_text(Duration::from_secs(75)), "75secs");
        assert_eq!(duration_text(Duration::from_millis(1500)), "1.5secs");
    }
}
