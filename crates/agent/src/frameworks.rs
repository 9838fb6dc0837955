//! What masters say of whole frameworks.

use std::sync::Arc;

use meseta_proto::v1::FrameworkId;
use meseta_proto::{Upid, internal};

use crate::agent::{Agent, Phase, Turn};
use crate::records::ExecutorState;
use crate::recovery::facts::FrameworkFact;

impl Agent {
    /// The framework is over: its executors end, and nobody waits for its updates.
    pub(crate) fn on_shutdown_framework(
        &mut self,
        turn: &mut Turn<'_>,
        message: &internal::ShutdownFrameworkMessage,
    ) {
        if self.phase != Phase::Recovering {
            self.shutdown_framework(turn, &message.framework_id);
        }
    }

    pub(crate) fn shutdown_framework(&mut self, turn: &mut Turn<'_>, id: &FrameworkId) {
        let mut changes = Vec::new();
        for key in self.updates.of(id) {
            self.updates.remove(&key, &mut changes);
            self.forget_retry(&key);
        }
        if let Some(framework) = self.framework_mut(id) {
            framework.terminating = true;
            changes.push(FrameworkFact::change(framework));
        }
        turn.persist(changes);
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let executors: Vec<_> = framework
            .executors
            .iter()
            .map(|(executor, record)| (executor.clone(), record.state))
            .collect();
        for (executor, state) in executors {
            let key = (id.clone(), executor);
            match state {
                ExecutorState::Registering | ExecutorState::Running => {
                    self.shut_down_executor(turn, &key);
                }
                ExecutorState::Terminating => {}
                ExecutorState::Terminated => self.remove_executor(turn, &key),
            }
        }
        self.remove_framework_when_idle(turn, id);
    }

    /// The framework's scheduler is back, or the framework has changed.
    pub(crate) fn on_update_framework(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::UpdateFrameworkMessage,
    ) {
        if !self.is_registered() {
            self.counters.invalid_framework_messages += 1;
            return;
        }
        let id = message.framework_id;
        if let Some(framework) = self.framework_mut(&id)
            && !framework.terminating
        {
            if let Some(mut info) = message.framework_info {
                info.id = Some(id.clone());
                framework.info = Arc::new(info);
            }
            framework.pid = Upid::from_field(message.pid.as_deref());
            turn.persist(vec![FrameworkFact::change(framework)]);
        }
        self.resume_updates_of(turn, &id);
    }
}
