//! Emptying the agent for maintenance.

use std::sync::Arc;

use meseta_proto::internal;
use meseta_proto::v1::{DurationInfo, KillPolicy};

use crate::agent::{Agent, Phase, Turn};
use crate::recovery::facts::{Change, DRAIN};

impl Agent {
    pub(crate) fn on_drain(&mut self, turn: &mut Turn<'_>, message: internal::DrainSlaveMessage) {
        if !matches!(self.phase, Phase::Disconnected | Phase::Running) || self.is_empty() {
            return;
        }
        turn.persist(vec![Change::put(DRAIN.into(), &message.config)]);
        self.drain = Some(Arc::new(message.config));
        self.drain_tasks(turn);
    }

    /// Kills every task, each with its own grace period unless the drain's is shorter.
    pub(crate) fn drain_tasks(&mut self, turn: &mut Turn<'_>) {
        let Some(drain) = &self.drain else {
            return;
        };
        let limit = drain.max_grace_period;
        self.drain_start = Some(turn.now.wall);
        let mut kills = Vec::new();
        for framework in self.frameworks.values() {
            for executor in framework.executors.values() {
                let key = (framework.id(), executor.id().clone());
                let launched = executor.launched_tasks.values();
                let launched = launched.map(|t| (t.task_id.clone(), t.kill_policy));
                let queued = executor.queued_tasks.values();
                let queued = queued.map(|t| (t.task_id.clone(), t.kill_policy));
                kills.extend(
                    launched
                        .chain(queued)
                        .map(|(id, policy)| (key.clone(), id, policy)),
                );
            }
        }
        for (key, task, policy) in kills {
            self.kill_task(turn, &key, task, shortened(policy, limit));
        }
    }

    /// Whether there is nothing that masters wait for when they drain the agent. Executors without
    /// tasks do not count: once the master says that the agent is drained, an operator may put it
    /// into service again, and what is launched then must not be refused.
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.operations.is_empty()
    }

    /// Called after every step.
    pub(crate) fn end_drain_when_empty(&mut self, turn: &mut Turn<'_>) {
        if self.drain.is_some() && self.is_empty() {
            self.drain = None;
            self.drain_start = None;
            turn.persist(vec![Change::forget(DRAIN.into())]);
        }
    }
}

/// A policy in place of the task's own, if that would take too long.
fn shortened(policy: Option<KillPolicy>, limit: Option<DurationInfo>) -> Option<KillPolicy> {
    let limit = limit?;
    let own = policy.and_then(|policy| policy.grace_period);
    own.is_none_or(|own| limit.nanoseconds < own.nanoseconds)
        .then_some(KillPolicy {
            grace_period: Some(limit),
        })
}
