//! Messages of masters, old drivers and their executors, told apart by name. What cannot be
//! decoded is dropped without an answer, as in C++.

use meseta_proto::{Upid, Wire, decode};

use crate::agent::{Agent, Turn};

impl Agent {
    pub(crate) fn on_message(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Upid,
        to: &str,
        name: &str,
        body: &[u8],
    ) {
        match name.strip_prefix("mesos.internal.") {
            // From the master's observer of this agent, and before anything else works.
            Some("PingSlaveMessage") => with(body, |m| self.on_ping(turn, from, m)),
            // Old drivers acknowledge and send messages directly.
            Some("StatusUpdateAcknowledgementMessage") => {
                with(body, |m| self.on_acknowledgement(turn, from, m));
            }
            Some("FrameworkToExecutorMessage") => {
                with(body, |m| self.on_framework_message(turn, m));
            }
            Some("RegisterExecutorMessage") => {
                with(body, |m| self.on_register_executor(turn, from, m));
            }
            Some("ReregisterExecutorMessage") => {
                with(body, |m| self.on_reregister_executor(turn, from, m));
            }
            Some("StatusUpdateMessage") => with(body, |m| self.on_driver_update(turn, from, m)),
            Some("ExecutorToFrameworkMessage") => {
                with(body, |m| self.on_driver_message(turn, from, m));
            }
            Some(name) if name.starts_with("Authentication") => {
                self.on_authentication_message(turn, from, to, name, body);
            }
            Some(name) if self.registration.master() == Some(from) => {
                self.on_master_message(turn, name, body);
            }
            _ => {}
        }
    }

    fn on_master_message(&mut self, turn: &mut Turn<'_>, name: &str, body: &[u8]) {
        match name {
            "SlaveRegisteredMessage" => with(body, |m| self.on_registered(turn, m)),
            "SlaveReregisteredMessage" => with(body, |m| self.on_reregistered(turn, m)),
            "RunTaskMessage" => with(body, |m| self.on_run_task(turn, m)),
            "RunTaskGroupMessage" => with(body, |m| self.on_run_task_group(turn, m)),
            "KillTaskMessage" => with(body, |m| self.on_kill_task(turn, m)),
            "ShutdownExecutorMessage" => with(body, |m| self.on_shutdown_executor(turn, m)),
            "ShutdownFrameworkMessage" => with(body, |m| self.on_shutdown_framework(turn, &m)),
            "UpdateFrameworkMessage" => with(body, |m| self.on_update_framework(turn, m)),
            "CheckpointResourcesMessage" => with(body, |m| self.on_checkpoint_resources(turn, &m)),
            "ApplyOperationMessage" => with(body, |m| self.on_apply_operation(turn, m)),
            "AcknowledgeOperationStatusMessage" => {
                with(body, |m| self.on_operation_acknowledgement(turn, m));
            }
            "ReconcileOperationsMessage" => with(body, |m| self.on_reconcile_operations(turn, m)),
            "DrainSlaveMessage" => with(body, |m| self.on_drain(turn, m)),
            "ShutdownMessage" => with(body, |m| self.on_shutdown_message(turn, m)),
            _ => {}
        }
    }
}

pub(crate) fn with<M: Wire>(body: &[u8], handle: impl FnOnce(M)) {
    if let Ok(message) = decode(body) {
        handle(message);
    }
}
