use imbl::OrdMap;
use meseta_proto::v1::{FrameworkId, TaskState, task_status};

use crate::counts::FrameworkCounts;
use crate::operations::OperationCounts;

/// Counters under the names of the metrics that show them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Messages of each kind that arrived.
    pub messages: Messages,
    /// Active tasks by state, as they are now.
    pub active_tasks: OrdMap<TaskState, u64>,
    /// Tasks that ended in each state.
    pub terminal_tasks: OrdMap<TaskState, u64>,
    /// Tasks of unreachable agents, as they are now.
    pub tasks_unreachable: u64,
    /// States of ended tasks by who said so and why.
    pub reasons: OrdMap<(TaskState, task_status::Source, task_status::Reason), u64>,
    /// `master/dropped_messages`
    pub dropped_messages: u64,
    /// `master/slave_registrations`
    pub slave_registrations: u64,
    /// `master/slave_reregistrations`
    pub slave_reregistrations: u64,
    /// `master/slave_removals`
    pub slave_removals: u64,
    /// `master/slave_removals/reason_registered`
    pub slave_removals_reason_registered: u64,
    /// `master/slave_removals/reason_unhealthy`
    pub slave_removals_reason_unhealthy: u64,
    /// `master/slave_removals/reason_unregistered`
    pub slave_removals_reason_unregistered: u64,
    /// `master/recovery_slave_removals`
    pub recovery_slave_removals: u64,
    /// `master/slave_unreachable_scheduled`
    pub slave_unreachable_scheduled: u64,
    /// `master/slave_unreachable_completed`
    pub slave_unreachable_completed: u64,
    /// `master/slave_unreachable_canceled`
    pub slave_unreachable_canceled: u64,
    /// `master/valid_status_updates`
    pub valid_status_updates: u64,
    /// `master/invalid_status_updates`
    pub invalid_status_updates: u64,
    /// `master/valid_status_update_acknowledgements`
    pub valid_status_update_acknowledgements: u64,
    /// `master/invalid_status_update_acknowledgements`
    pub invalid_status_update_acknowledgements: u64,
    /// `master/valid_framework_to_executor_messages`
    pub valid_framework_to_executor_messages: u64,
    /// `master/invalid_framework_to_executor_messages`
    pub invalid_framework_to_executor_messages: u64,
    /// `master/valid_executor_to_framework_messages`
    pub valid_executor_to_framework_messages: u64,
    /// `master/invalid_executor_to_framework_messages`
    pub invalid_executor_to_framework_messages: u64,
    /// Operations on resources by type and state, `master/operations/…`.
    pub operations: OperationCounts,
    /// `master/valid_operation_status_updates`
    pub valid_operation_status_updates: u64,
    /// `master/invalid_operation_status_updates`
    pub invalid_operation_status_updates: u64,
    /// `master/valid_operation_status_update_acknowledgements`
    pub valid_operation_status_update_acknowledgements: u64,
    /// `master/invalid_operation_status_update_acknowledgements`
    pub invalid_operation_status_update_acknowledgements: u64,
    /// What each framework has done and was told.
    pub frameworks: OrdMap<FrameworkId, FrameworkCounts>,
    /// `allocator/mesos/allocation_runs`
    pub allocation_runs: u64,
}

/// How often each kind of message arrived: `master/messages_…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field counts what its name says")]
pub struct Messages {
    pub authenticate: u64,
    pub deactivate_framework: u64,
    pub decline_offers: u64,
    pub executor_to_framework: u64,
    pub exited_executor: u64,
    pub framework_to_executor: u64,
    pub kill_task: u64,
    pub launch_tasks: u64,
    pub operation_status_update: u64,
    pub operation_status_update_acknowledgement: u64,
    pub reconcile_operations: u64,
    pub reconcile_tasks: u64,
    pub register_framework: u64,
    pub register_slave: u64,
    pub reregister_framework: u64,
    pub reregister_slave: u64,
    pub resource_request: u64,
    pub revive_offers: u64,
    pub status_update: u64,
    pub status_update_acknowledgement: u64,
    pub suppress_offers: u64,
    pub unregister_framework: u64,
    pub unregister_slave: u64,
    pub update_slave: u64,
}

impl Metrics {
    /// How many active tasks are in a state.
    pub fn active(&self, state: TaskState) -> u64 {
        self.active_tasks.get(&state).copied().unwrap_or_default()
    }

    /// How many tasks ended in a state.
    pub fn terminal(&self, state: TaskState) -> u64 {
        self.terminal_tasks.get(&state).copied().unwrap_or_default()
    }
}
