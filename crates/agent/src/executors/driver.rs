//! Executors on the old driver: they post libprocess messages instead of calling the HTTP API.

use std::sync::Arc;

use meseta_proto::v1::{ExecutorId, FrameworkId};
use meseta_proto::{Upid, internal, v0};

use crate::Action;
use crate::agent::{Agent, Phase, Timer, Turn};
use crate::executors::{RunKey, ToExecutor};
use crate::records::{Executor, ExecutorState};

impl Agent {
    /// Says to a driver what an event says to others.
    pub(super) fn tell_driver(
        &self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        pid: Upid,
        what: ToExecutor,
    ) {
        let slave_id = self.id().cloned().unwrap_or_default();
        match what {
            ToExecutor::Launch(task) => {
                let Some(framework) = self.frameworks.get(&key.0) else {
                    return;
                };
                #[allow(deprecated, reason = "old drivers read it")]
                let message = internal::RunTaskMessage {
                    framework_id: Some(key.0.clone()),
                    framework: (*framework.info).clone(),
                    pid: Some(
                        framework
                            .pid
                            .as_ref()
                            .map(ToString::to_string)
                            .unwrap_or_default(),
                    ),
                    task: *task,
                    ..internal::RunTaskMessage::default()
                };
                self.send(turn, pid, &message);
            }
            // Drivers know no groups.
            ToExecutor::LaunchGroup(tasks) => {
                for task in tasks {
                    self.tell_driver(turn, key, pid.clone(), ToExecutor::Launch(Box::new(task)));
                }
            }
            ToExecutor::Kill(task_id, kill_policy) => {
                let message = internal::KillTaskMessage {
                    framework_id: key.0.clone(),
                    task_id,
                    kill_policy,
                };
                self.send(turn, pid, &message);
            }
            ToExecutor::Acknowledged(task_id, uuid) => {
                let message = internal::StatusUpdateAcknowledgementMessage {
                    slave_id,
                    framework_id: key.0.clone(),
                    task_id,
                    uuid,
                };
                self.send(turn, pid, &message);
            }
            ToExecutor::Message(data) => {
                let message = internal::FrameworkToExecutorMessage {
                    slave_id,
                    framework_id: key.0.clone(),
                    executor_id: key.1.clone(),
                    data,
                };
                self.send(turn, pid, &message);
            }
            ToExecutor::Shutdown => self.dismiss_driver(turn, pid),
        }
    }

    fn dismiss_driver(&self, turn: &mut Turn<'_>, pid: Upid) {
        let message = internal::ShutdownExecutorMessage::default();
        self.send(turn, pid, &message);
    }

    /// A driver that may register becomes its executor's, any other is told to end.
    fn admit_driver(&mut self, turn: &mut Turn<'_>, from: &Upid, key: &RunKey) -> bool {
        if self.has_refused {
            return false;
        }
        let awaited = self
            .executor(key)
            .is_some_and(|e| e.state == ExecutorState::Registering);
        if !awaited || !self.may_subscribe(key) {
            self.dismiss_driver(turn, from.clone());
            return false;
        }
        turn.act(Action::Link {
            address: from.address,
        });
        if let Some(run) = self.runs.get_mut(key) {
            run.pid = Some(from.clone());
        }
        if let Some(executor) = self.executor_mut(key) {
            executor.state = ExecutorState::Running;
            let container = executor.container_id.clone();
            self.timers.cancel(&Timer::ExecutorRegistration(container));
        }
        self.persist_executor(turn, key);
        true
    }

    pub(crate) fn on_register_executor(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        message: internal::RegisterExecutorMessage,
    ) {
        let key = (message.framework_id, message.executor_id);
        // One that the former life knew is asked back; what registers in its place is none of ours.
        // One that it had only just started finds the agent where it is.
        let is_known = self.runs.get(&key).is_some_and(|run| run.pid.is_some());
        if self.phase == Phase::Recovering && is_known {
            self.dismiss_driver(turn, from.clone());
            return;
        }
        if !self.admit_driver(turn, from, &key) {
            return;
        }
        if !self.has_purpose(&key) {
            self.shut_down_executor(turn, &key);
            self.end_recovery_when_complete(turn);
            return;
        }
        let (Some(framework), Some(executor)) = (self.frameworks.get(&key.0), self.executor(&key))
        else {
            return;
        };
        let registered = internal::ExecutorRegisteredMessage {
            executor_info: (*executor.info).clone(),
            framework_id: key.0.clone(),
            framework_info: (*framework.info).clone(),
            slave_id: self.id().cloned().unwrap_or_default(),
            slave_info: v0::SlaveInfo::from((*self.info).clone()),
        };
        self.send(turn, from.clone(), &registered);
        self.deliver(turn, &key);
        self.end_recovery_when_complete(turn);
    }

    pub(crate) fn on_reregister_executor(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        message: internal::ReregisterExecutorMessage,
    ) {
        let key = (message.framework_id, message.executor_id);
        // It was asked more than once, and has answered more than once.
        let is_asked_again = self.config.executor_reregistration_retry_interval.is_some();
        if is_asked_again && self.is_driver_of(from, &key) {
            return;
        }
        if !self.admit_driver(turn, from, &key) {
            return;
        }
        let reregistered = internal::ExecutorReregisteredMessage {
            slave_id: self.id().cloned().unwrap_or_default(),
            slave_info: v0::SlaveInfo::from((*self.info).clone()),
        };
        self.send(turn, from.clone(), &reregistered);
        let updates = message.updates.into_iter();
        let updates: Vec<_> = updates.filter(|u| u.framework_id == key.0).collect();
        let mut known: Vec<_> = updates.iter().map(|u| u.status.task_id.clone()).collect();
        known.extend(message.tasks.into_iter().map(|t| t.task_id));
        self.take_back_lost_launches(turn, &key, &known);
        for update in updates {
            self.take_driver_update(turn, &key, update);
        }
        if self.has_purpose(&key) {
            self.deliver(turn, &key);
        } else {
            self.shut_down_executor(turn, &key);
        }
        self.end_recovery_when_complete(turn);
    }

    /// The executor that runs in this process.
    fn driver_of(
        &self,
        from: &Upid,
        framework: FrameworkId,
        executor: ExecutorId,
    ) -> Option<RunKey> {
        let key = (framework, executor);
        let run = self.runs.get(&key)?;
        (run.pid.as_ref() == Some(from)).then_some(key)
    }

    pub(crate) fn on_driver_update(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        message: internal::StatusUpdateMessage,
    ) {
        let update = message.update;
        let executor = update.executor_id.clone().unwrap_or_default();
        let Some(key) = self.driver_of(from, update.framework_id.clone(), executor) else {
            self.counters.invalid_status_updates += 1;
            return;
        };
        // Until it has registered again, one before this may have been lost on the way to the
        // agent's former life. It sends all of them again then, in their order.
        let is_back = |executor: &Arc<Executor>| executor.state != ExecutorState::Registering;
        if self.executor(&key).is_some_and(is_back) {
            self.take_driver_update(turn, &key, update);
        }
    }

    fn take_driver_update(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        update: internal::StatusUpdate,
    ) {
        use meseta_proto::v1::TaskState;
        let mut status = update.status;
        // No executor may take a task back to where only the agent can put it.
        if status.state() == TaskState::TaskStaging {
            self.counters.invalid_status_updates += 1;
            self.shut_down_executor(turn, key);
            return;
        }
        status.uuid = update.uuid;
        status.executor_id = Some(key.1.clone());
        // A driver sends an update that found no room again when it registers again.
        self.take_executor_update(turn, key, status);
    }

    pub(crate) fn on_driver_message(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        message: internal::ExecutorToFrameworkMessage,
    ) {
        match self.driver_of(from, message.framework_id, message.executor_id) {
            Some(key) => self.send_executor_message(turn, &key, message.data),
            None => self.counters.invalid_framework_messages += 1,
        }
    }

    /// Whether a running executor is on the driver that runs in this process.
    fn is_driver_of(&self, from: &Upid, key: &RunKey) -> bool {
        let runs = |executor: &Arc<Executor>| executor.state == ExecutorState::Running;
        self.executor(key).is_some_and(runs)
            && self.runs.get(key).and_then(|run| run.pid.as_ref()) == Some(from)
    }

    /// Asks those drivers again that have not come back.
    pub(crate) fn on_reconnect_retry(&mut self, turn: &mut Turn<'_>) {
        let Some(interval) = self.config.executor_reregistration_retry_interval else {
            return;
        };
        if self.phase != Phase::Recovering {
            return;
        }
        let keys: Vec<RunKey> = self.runs.keys().cloned().collect();
        for key in keys {
            let state = self.executor(&key).map(|executor| executor.state);
            if state == Some(ExecutorState::Registering) {
                self.reconnect_driver(turn, &key);
            }
        }
        self.timers
            .set(Timer::ExecutorReconnect, turn.after(interval));
    }

    /// Asks the drivers of a former life of the agent to come back.
    pub(crate) fn reconnect_driver(&self, turn: &mut Turn<'_>, key: &RunKey) {
        let Some(pid) = self.runs.get(key).and_then(|run| run.pid.clone()) else {
            return;
        };
        let message = internal::ReconnectExecutorMessage {
            slave_id: self.id().cloned().unwrap_or_default(),
        };
        self.send(turn, pid, &message);
    }
}
