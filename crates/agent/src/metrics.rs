//! The agent's numbers, under the names that Mesos gives them.

use meseta_proto::v1::TaskState;

use crate::records::ExecutorState;
use crate::snapshot::Snapshot;

/// What only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each is the metric of that name under slave/ or gc/"
)]
pub struct Counters {
    pub container_launch_errors: u64,
    pub executors_terminated: u64,
    pub executors_preempted: u64,
    pub invalid_framework_messages: u64,
    pub invalid_status_updates: u64,
    pub path_removals_failed: u64,
    pub path_removals_succeeded: u64,
    pub recovery_errors: u64,
    pub tasks_failed: u64,
    pub tasks_finished: u64,
    pub tasks_gone: u64,
    pub tasks_killed: u64,
    pub tasks_lost: u64,
    pub valid_framework_messages: u64,
    pub valid_status_updates: u64,
}

impl Snapshot {
    /// Every `slave/` and `gc/` metric that the machine knows of. The resources' and the uptime are their
    /// readers' to compute, from [`Snapshot::total_resources`] and [`Snapshot::start_time`].
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        #[allow(
            clippy::cast_precision_loss,
            reason = "metrics are doubles on the wire"
        )]
        let float = |n: u64| n as f64;
        let executors = || self.frameworks.values().flat_map(|f| f.executors.values());
        let in_state = |state| float(executors().filter(|e| e.state == state).count() as u64);
        let tasks = |state: TaskState| {
            let launched = executors().flat_map(|e| e.launched_tasks.values());
            launched.filter(|t| t.state() == state).count() as u64
        };
        let queued: u64 = executors().map(|e| e.queued_tasks.len() as u64).sum();
        let c = &self.counters;
        let mut metrics = vec![
            ("gc/path_removals_failed", float(c.path_removals_failed)),
            (
                "gc/path_removals_pending",
                float(self.pending_removals as u64),
            ),
            (
                "gc/path_removals_succeeded",
                float(c.path_removals_succeeded),
            ),
            (
                "slave/container_launch_errors",
                float(c.container_launch_errors),
            ),
            ("slave/executors_preempted", float(c.executors_preempted)),
            (
                "slave/executors_registering",
                in_state(ExecutorState::Registering),
            ),
            ("slave/executors_running", in_state(ExecutorState::Running)),
            ("slave/executors_terminated", float(c.executors_terminated)),
            (
                "slave/executors_terminating",
                in_state(ExecutorState::Terminating),
            ),
            (
                "slave/frameworks_active",
                float(self.frameworks.len() as u64),
            ),
            (
                "slave/invalid_framework_messages",
                float(c.invalid_framework_messages),
            ),
            (
                "slave/invalid_status_updates",
                float(c.invalid_status_updates),
            ),
            ("slave/recovery_errors", float(c.recovery_errors)),
            ("slave/registered", float(u64::from(self.registered))),
            ("slave/tasks_failed", float(c.tasks_failed)),
            ("slave/tasks_finished", float(c.tasks_finished)),
            ("slave/tasks_gone", float(c.tasks_gone)),
            ("slave/tasks_killed", float(c.tasks_killed)),
            ("slave/tasks_killing", float(tasks(TaskState::TaskKilling))),
            ("slave/tasks_lost", float(c.tasks_lost)),
            ("slave/tasks_running", float(tasks(TaskState::TaskRunning))),
            (
                "slave/tasks_staging",
                float(queued + tasks(TaskState::TaskStaging)),
            ),
            (
                "slave/tasks_starting",
                float(tasks(TaskState::TaskStarting)),
            ),
            (
                "slave/valid_framework_messages",
                float(c.valid_framework_messages),
            ),
            ("slave/valid_status_updates", float(c.valid_status_updates)),
            (
                "slave/executor_directory_max_allowed_age_secs",
                self.max_allowed_age.as_secs_f64(),
            ),
        ];
        let recovery = self.recovery_time.map(|time| time.as_secs_f64());
        metrics.extend(recovery.map(|time| ("slave/recovery_time_secs", time)));
        metrics
    }
}
