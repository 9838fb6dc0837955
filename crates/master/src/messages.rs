//! Libprocess messages, by their names.

use meseta_proto::internal::{
    ExecutorToFrameworkMessage, ExitedExecutorMessage, PongSlaveMessage, UnregisterSlaveMessage,
};
use meseta_proto::{Upid, Wire, decode};

use crate::events::Notice;
use crate::master::Master;
use crate::step::Step;

/// Whether a message says nothing that a master does something about: it may wait until the master has its
/// next turn for another reason. Answers to pings are such. They matter when the time for them is over, and the
/// largest clusters send more than a thousand a second. They have no fields: those that bring bytes all the
/// same may not pile up.
pub fn can_wait(name: &str, body: &[u8]) -> bool {
    name == PongSlaveMessage::SCHEMA.name && body.is_empty()
}

impl Master {
    /// Does what a message says. What is malformed or unknown is dropped: its sender waits for no
    /// answer, and sends again what matters.
    pub(crate) fn on_message(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        to: &str,
        name: &str,
        body: &[u8],
    ) {
        let Some(short) = name.strip_prefix("mesos.internal.") else {
            if name == "mesos.scheduler.Call" {
                self.read(body, |master, call| {
                    master.on_driver_call(step, from, call, body);
                });
            } else {
                self.drop_message();
            }
            return;
        };
        let registers = matches!(
            short,
            "RegisterSlaveMessage"
                | "ReregisterSlaveMessage"
                | "RegisterFrameworkMessage"
                | "ReregisterFrameworkMessage"
        );
        if registers && self.hold(from, name, body) {
            return;
        }
        match short {
            "PongSlaveMessage" => self.on_pong(to),
            "RegisterSlaveMessage" => {
                self.read(body, |m, message| m.on_register_agent(step, from, message));
            }
            "ReregisterSlaveMessage" => {
                self.read(body, |m, message| {
                    m.on_reregister_agent(step, from, message);
                });
            }
            "UnregisterSlaveMessage" => {
                self.read(body, |m, message: UnregisterSlaveMessage| {
                    m.on_unregister_agent(step, from, &message.slave_id);
                });
            }
            "UpdateSlaveMessage" => {
                self.read(body, |m, message| m.on_update_agent(step, message));
            }
            "StatusUpdateMessage" => {
                self.read(body, |m, message| m.on_status_update(step, message));
            }
            "UpdateOperationStatusMessage" => {
                self.read(body, |m, message| m.on_operation_update(step, message));
            }
            "ExitedExecutorMessage" => {
                self.read(body, |m, message| m.on_exited_executor(step, message));
            }
            "ExecutorToFrameworkMessage" => {
                self.read(body, |m, message| m.on_executor_message(step, message));
            }
            "AuthenticateMessage" => {
                self.read(body, |m, message| m.on_authenticate(step, from, &message));
            }
            "AuthenticationStartMessage" => {
                self.read(body, |m, message| {
                    m.on_authentication_start(step, from, to, &message);
                });
            }
            "AuthenticationStepMessage" => {
                self.read(body, |m, message| {
                    m.on_authentication_step(step, from, to, &message);
                });
            }
            _ => self.on_driver_message(step, from, short, body),
        }
    }

    fn on_driver_message(&mut self, step: &mut Step<'_>, from: &Upid, name: &str, body: &[u8]) {
        match name {
            "RegisterFrameworkMessage" => {
                self.read(body, |m, message| {
                    m.on_register_framework(step, from, message);
                });
            }
            "ReregisterFrameworkMessage" => {
                self.read(body, |m, message| {
                    m.on_reregister_framework(step, from, message);
                });
            }
            "UnregisterFrameworkMessage" => {
                self.read(body, |m, message| {
                    m.on_unregister_framework(step, from, message);
                });
            }
            "DeactivateFrameworkMessage" => {
                self.read(body, |m, message| {
                    m.on_deactivate_framework(step, from, &message);
                });
            }
            "LaunchTasksMessage" => {
                self.read(body, |m, message| m.on_launch_tasks(step, from, message));
            }
            "ReviveOffersMessage" => {
                self.read(body, |m, message| m.on_revive_offers(step, from, message));
            }
            "KillTaskMessage" => {
                self.read(body, |m, message| m.on_kill_task(step, from, message));
            }
            "ResourceRequestMessage" => {
                self.read(body, |m, message| {
                    m.on_resource_request(step, from, message);
                });
            }
            "FrameworkToExecutorMessage" => {
                self.read(body, |m, message| {
                    m.on_framework_to_executor(step, from, message);
                });
            }
            "ReconcileTasksMessage" => {
                self.read(body, |m, message| m.on_reconcile_tasks(step, from, message));
            }
            "StatusUpdateAcknowledgementMessage" => {
                self.read(body, |m, message| {
                    m.on_status_update_acknowledgement(step, from, message);
                });
            }
            _ => self.drop_message(),
        }
    }

    /// Decodes a message and hands it on.
    fn read<M: Wire>(&mut self, body: &[u8], react: impl FnOnce(&mut Self, M)) {
        match decode(body) {
            Ok(message) => react(self, message),
            Err(_) => self.drop_message(),
        }
    }

    pub(crate) fn drop_message(&mut self) {
        self.state.metrics.dropped_messages += 1;
    }

    /// An executor sends data to its framework's scheduler.
    fn on_executor_message(&mut self, step: &mut Step<'_>, message: ExecutorToFrameworkMessage) {
        self.state.metrics.messages.executor_to_framework += 1;
        let is_from_agent = self.state.agents.contains_key(&message.slave_id);
        let framework = message.framework_id.clone();
        let connected = self
            .framework(&framework)
            .is_some_and(super::records::FrameworkRecord::connected);
        if is_from_agent && connected {
            self.state.metrics.valid_executor_to_framework_messages += 1;
            self.notify(step, &framework, Notice::Message(message));
        } else {
            self.state.metrics.invalid_executor_to_framework_messages += 1;
        }
    }

    /// An executor ended that an agent did not make by itself.
    fn on_exited_executor(&mut self, step: &mut Step<'_>, message: ExitedExecutorMessage) {
        self.state.metrics.messages.exited_executor += 1;
        let framework = message.framework_id.clone();
        if self.remove_executor(&framework, &message.slave_id, &message.executor_id) {
            self.notify(step, &framework, Notice::ExitedExecutor(message));
        }
    }
}
