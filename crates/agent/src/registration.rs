//! Being known to the leading master: detection, registration with backoff, pings, and the end.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{AgentId, MasterInfo, Resource, Task, Uuid, agent_info, master_info};
use meseta_proto::{Upid, internal, v0};
use meseta_resources::Resources;

use crate::agent::{Agent, Phase, Timer, Turn};
use crate::limits::{PING_TIMEOUT, REGISTRATION_BACKOFF_MAX};
use crate::records::ExecutorState;
use crate::recovery::facts::{AGENT, Change};
use crate::sandbox::is_valid_id;
use crate::task::{self, Verdict};
use crate::{Action, Config, ExitReason};

/// What the agent knows of the master, and of its attempts to register.
#[derive(Debug)]
pub(crate) struct Registration {
    master: Option<(Arc<MasterInfo>, Upid)>,
    /// Upper bound of the next random wait.
    backoff: Duration,
    /// After how much silence the master counts as gone.
    ping_timeout: Duration,
    /// The agent's description is not the one that it was registered with.
    pub(crate) changed: bool,
}

impl Registration {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            master: None,
            backoff: config.registration_backoff_factor,
            ping_timeout: PING_TIMEOUT,
            changed: false,
        }
    }

    pub(crate) fn master(&self) -> Option<&Upid> {
        self.master.as_ref().map(|(_, pid)| pid)
    }

    pub(crate) fn master_info(&self) -> Option<Arc<MasterInfo>> {
        self.master.as_ref().map(|(info, _)| Arc::clone(info))
    }

    fn accepts_changed_agents(&self) -> bool {
        self.master.as_ref().is_some_and(|(info, _)| {
            info.capabilities
                .iter()
                .any(|c| c.r#type() == master_info::capability::Type::AgentUpdate)
        })
    }
}

impl Agent {
    pub(crate) fn on_master_detected(&mut self, turn: &mut Turn<'_>, master: Option<MasterInfo>) {
        self.registration.master = master.and_then(|info| {
            let pid = Upid::from_field(info.pid.as_deref())?;
            Some((Arc::new(info), pid))
        });
        if self.phase == Phase::Running {
            self.phase = Phase::Disconnected;
        }
        self.timers.cancel(&Timer::PingTimeout);
        self.schedule_registration(turn);
    }

    /// Starts to register anew, with a random wait so that a new master is not overrun.
    pub(crate) fn schedule_registration(&mut self, turn: &Turn<'_>) {
        self.timers.cancel(&Timer::Register);
        self.forget_authentication();
        if self.phase == Phase::Disconnected && self.registration.master.is_some() {
            let factor = self.config.registration_backoff_factor;
            let wait = self.random_up_to(factor);
            self.registration.backoff = factor.saturating_mul(2);
            self.timers.set(Timer::Register, turn.after(wait));
        }
    }

    pub(crate) fn random_up_to(&mut self, limit: Duration) -> Duration {
        let fraction = f64::from((self.entropy.next_u64() >> 32) as u32) / f64::from(u32::MAX);
        limit.mul_f64(fraction)
    }

    /// Asks the master to register the agent, and again until it does.
    pub(crate) fn register(&mut self, turn: &mut Turn<'_>) {
        let Some((info, master)) = self.registration.master.clone() else {
            return;
        };
        if self.phase != Phase::Disconnected {
            return;
        }
        if self.registration.changed && !self.registration.accepts_changed_agents() {
            let reason = ExitReason::Conflict(format!(
                "The agent's resources, attributes or domain have changed, and the master at {} \
                 lacks the AGENT_UPDATE capability",
                info.pid()
            ));
            turn.act(Action::Exit { reason });
            return;
        }
        turn.act(Action::Link {
            address: master.address,
        });
        if !self.is_authenticated() {
            self.authenticate(turn);
            return;
        }
        if self.id().is_none() {
            let message = self.register_message();
            self.send(turn, master, &message);
        } else {
            let message = self.reregister_message();
            self.send(turn, master, &message);
        }
        let limit = self.registration.backoff.min(REGISTRATION_BACKOFF_MAX);
        let wait = self.random_up_to(limit);
        self.registration.backoff = limit.saturating_mul(2);
        self.timers.set(Timer::Register, turn.after(wait));
    }

    fn register_message(&self) -> internal::RegisterSlaveMessage {
        internal::RegisterSlaveMessage {
            slave: self.slave_info(),
            checkpointed_resources: downgraded(self.checkpointed_resources.to_vec()),
            version: Some(self.config.version.clone()),
            agent_capabilities: capabilities(),
            resource_version_uuid: Some(self.resource_version()),
        }
    }

    fn reregister_message(&self) -> internal::ReregisterSlaveMessage {
        let mut message = internal::ReregisterSlaveMessage {
            slave: self.slave_info(),
            checkpointed_resources: downgraded(self.checkpointed_resources.to_vec()),
            version: Some(self.config.version.clone()),
            agent_capabilities: capabilities(),
            resource_version_uuid: Some(self.resource_version()),
            ..internal::ReregisterSlaveMessage::default()
        };
        for framework in self.frameworks.values() {
            message.frameworks.push((*framework.info).clone());
            let id = framework.id();
            for executor in framework.executors.values() {
                let queued = executor.queued_tasks.values();
                message.tasks.extend(queued.map(|t| task::staging(t, &id)));
                let given = executor
                    .launched_tasks
                    .values()
                    .chain(executor.terminated_tasks.values());
                message.tasks.extend(given.map(|t| (**t).clone()));
                // Masters count the resources of command executors as their tasks'.
                if !executor.is_command_executor && executor.state != ExecutorState::Terminated {
                    message.executor_infos.push((*executor.info).clone());
                }
            }
        }
        for framework in &self.completed_frameworks {
            let executors = framework.completed_executors.iter();
            let tasks = executors.flat_map(|e| {
                let terminated = e.terminated_tasks.values();
                terminated.chain(e.completed_tasks.iter())
            });
            message
                .completed_frameworks
                .push(internal::archive::Framework {
                    framework_info: (*framework.info).clone(),
                    pid: framework.pid.as_ref().map(ToString::to_string),
                    tasks: tasks.map(|t| downgraded_task((**t).clone())).collect(),
                });
        }
        for task in &mut message.tasks {
            *task = downgraded_task(std::mem::take(task));
        }
        for executor in &mut message.executor_infos {
            executor.resources = downgraded(std::mem::take(&mut executor.resources));
        }
        message
    }

    fn slave_info(&self) -> v0::SlaveInfo {
        let mut slave = v0::SlaveInfo::from((*self.info).clone());
        slave.resources = downgraded(slave.resources);
        slave
    }

    fn resource_version(&self) -> Uuid {
        Uuid {
            value: self.resource_version.to_vec(),
        }
    }

    pub(crate) fn on_registered(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::SlaveRegisteredMessage,
    ) {
        match self.phase {
            // Only answers to what was asked count, and nothing was asked before recovery ended.
            Phase::Recovering | Phase::Terminating(_) => return,
            Phase::Disconnected | Phase::Running => {}
        }
        if self.refuse_other_id(turn, &message.slave_id) {
            return;
        }
        if self.id().is_none() {
            if !is_valid_id(message.slave_id.as_str()) {
                return;
            }
            Arc::make_mut(&mut self.info).id = Some(message.slave_id);
            turn.persist(Change::put_twice(AGENT, &*self.info));
        }
        self.connected(turn, message.connection);
    }

    pub(crate) fn on_reregistered(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::SlaveReregisteredMessage,
    ) {
        match self.phase {
            Phase::Recovering | Phase::Terminating(_) => return,
            Phase::Disconnected | Phase::Running => {}
        }
        if self.id().is_none() || self.refuse_other_id(turn, &message.slave_id) {
            return;
        }
        if self.registration.changed {
            self.registration.changed = false;
            turn.persist(Change::put_twice(AGENT, &*self.info));
        }
        self.connected(turn, message.connection);
        for reconcile in message.reconciliations {
            for status in reconcile.statuses {
                let key = (reconcile.framework_id.clone(), status.task_id);
                if self.tasks.contains_key(&key) || self.updates.holds_end(&key) {
                    continue;
                }
                let verdict = Verdict::new(
                    task::dropped_for(reconcile.framework.as_ref()),
                    Reason::Reconciliation,
                    "Reconciliation: task unknown to the agent",
                );
                self.report(turn, &key, None, &verdict);
            }
        }
    }

    /// Ends the agent if the master takes it for another one.
    fn refuse_other_id(&self, turn: &mut Turn<'_>, id: &AgentId) -> bool {
        let Some(own) = self.id().filter(|own| *own != id) else {
            return false;
        };
        let reason = format!("Registered but got wrong id: {id} (expected: {own})");
        turn.act(Action::Exit {
            reason: ExitReason::Conflict(reason),
        });
        true
    }

    fn connected(
        &mut self,
        turn: &mut Turn<'_>,
        connection: Option<internal::MasterSlaveConnection>,
    ) {
        self.registration.ping_timeout = connection
            .and_then(|c| c.total_ping_timeout_seconds)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|timeout| !timeout.is_zero())
            .unwrap_or(PING_TIMEOUT);
        self.timers.cancel(&Timer::Register);
        self.expect_ping(turn);
        let was_connected = self.phase == Phase::Running;
        self.phase = Phase::Running;
        let message = internal::UpdateSlaveMessage {
            slave_id: self.id().cloned().unwrap_or_default(),
            update_oversubscribed_resources: Some(self.oversubscribed.is_some()),
            oversubscribed_resources: self
                .oversubscribed
                .as_deref()
                .map(Resources::to_v1)
                .unwrap_or_default(),
            operations: Some(internal::update_slave_message::Operations {
                operations: self.operations.messages(),
            }),
            resource_version_uuid: Some(self.resource_version()),
            resource_providers: Some(internal::update_slave_message::ResourceProviders::default()),
        };
        self.send_to_master(turn, &message);
        if !was_connected {
            self.resume_updates(turn);
            self.resume_operations(turn);
        }
    }

    fn expect_ping(&mut self, turn: &Turn<'_>) {
        let at = turn.after(self.registration.ping_timeout);
        self.timers.set(Timer::PingTimeout, at);
    }

    /// Pings come from a process of their own for each agent, and are answered there.
    pub(crate) fn on_ping(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        message: internal::PingSlaveMessage,
    ) {
        let pong = internal::PongSlaveMessage::default();
        self.send(turn, from.clone(), &pong);
        let Some(master) = self.registration.master() else {
            return;
        };
        // A former master's observer says nothing about the present one.
        if self.phase != Phase::Running || from.address != master.address {
            return;
        }
        self.expect_ping(turn);
        if !message.connected {
            self.reconnect(turn);
        }
    }

    /// A link is broken. Of executors only their containers tell; but a master whose link breaks
    /// has most likely gone, and the one that comes next should not have to wait for a timeout.
    pub(crate) fn on_exited(&mut self, turn: &mut Turn<'_>, address: SocketAddrV4) {
        let is_master = self
            .registration
            .master()
            .is_some_and(|m| m.address == address);
        if is_master && self.phase == Phase::Running {
            self.reconnect(turn);
        } else if is_master {
            // It is about to try again anyway, with its backoff; but the master that comes next
            // does not know what the agent proved to this one, and drops what strangers send.
            self.authentication.expire();
        }
    }

    pub(crate) fn on_master_silent(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Running {
            self.reconnect(turn);
        }
    }

    /// Registers again, with whoever leads: the present master unless the detector knows better.
    pub(crate) fn reconnect(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Disconnected;
        self.timers.cancel(&Timer::PingTimeout);
        self.schedule_registration(turn);
        turn.act(Action::Redetect);
    }

    /// The master has no place for this agent any more.
    pub(crate) fn on_shutdown_message(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::ShutdownMessage,
    ) {
        if self.phase != Phase::Recovering {
            let reason = message.message.unwrap_or_default();
            self.terminate(turn, reason);
        }
    }

    pub(crate) fn on_shutdown_signal(&mut self, turn: &mut Turn<'_>) {
        if let Some(id) = self.id() {
            let message = internal::UnregisterSlaveMessage {
                slave_id: id.clone(),
            };
            self.send_to_master(turn, &message);
        }
        self.terminate(turn, "asked to shut down".into());
    }

    fn terminate(&mut self, turn: &mut Turn<'_>, reason: String) {
        if matches!(self.phase, Phase::Terminating(_)) {
            return;
        }
        self.phase = Phase::Terminating(reason);
        self.timers.cancel(&Timer::Register);
        self.timers.cancel(&Timer::PingTimeout);
        self.forget_authentication();
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            self.shutdown_framework(turn, &framework);
        }
        self.exit_when_idle(turn);
    }
}

/// What a Mesos 1.11 agent can do. Masters send to each agent what it says that it understands.
pub(crate) const CAPABILITIES: [agent_info::capability::Type; 8] = {
    use agent_info::capability::Type;
    [
        Type::MultiRole,
        Type::HierarchicalRole,
        Type::ReservationRefinement,
        Type::ResourceProvider,
        Type::ResizeVolume,
        Type::AgentOperationFeedback,
        Type::AgentDraining,
        Type::TaskResourceLimits,
    ]
};

fn capabilities() -> Vec<agent_info::Capability> {
    CAPABILITIES
        .map(|capability| agent_info::Capability {
            r#type: Some(capability.into()),
        })
        .to_vec()
}

/// Agents describe resources in the old form, where it can say what they are.
fn downgraded(mut resources: Vec<Resource>) -> Vec<Resource> {
    for resource in &mut resources {
        // Refined reservations have no old form and stay as they are; masters know both.
        let _ = meseta_resources::downgrade(resource);
    }
    resources
}

fn downgraded_task(mut task: Task) -> Task {
    task.resources = downgraded(std::mem::take(&mut task.resources));
    task
}
