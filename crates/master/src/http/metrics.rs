use std::collections::BTreeMap;

use meseta_endpoints::{Gauges, Process, Sums};
use meseta_proto::v1::offer::operation::Type;
use meseta_proto::v1::{OperationState, TaskState};
use meseta_resources::Quantities;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::roles::Roles;
use crate::metrics::{Messages, Metrics};
use crate::records::FrameworkRecord;
use crate::snapshot::Snapshot;
use crate::{FrameworkCounts, OperationCounts};

/// All metrics, of the machine and of the process around it.
pub(super) fn all(snapshot: &Snapshot, process: &dyn Process) -> Gauges {
    let mut all = gauges(snapshot);
    all.extend(process.metrics());
    for timing in process.timings() {
        timing.show(&mut all);
    }
    all
}

/// What `/metrics/snapshot` shows of the machine.
pub(super) fn gauges(snapshot: &Snapshot) -> Gauges {
    let mut gauges = Gauges::default();
    let up = snapshot.time.saturating_sub(snapshot.config.start_time);
    gauges.set("master/uptime_secs", up.as_secs_f64());
    gauges.set("master/elected", 1.0);
    gauges.len("master/outstanding_offers", snapshot.offers.len());
    gauges.len(
        "master/operator_event_stream_subscribers",
        snapshot.watchers,
    );
    // Nothing is answered from a cache.
    gauges.count("master/http_cache_hits", 0);
    agents(&mut gauges, snapshot);
    roles(&mut gauges, snapshot);
    frameworks(&mut gauges, snapshot);
    tasks(&mut gauges, &snapshot.metrics);
    messages(&mut gauges, &snapshot.metrics.messages);
    counters(&mut gauges, &snapshot.metrics);
    operations(&mut gauges, &snapshot.metrics.operations);
    gauges
}

fn agents(gauges: &mut Gauges, snapshot: &Snapshot) {
    let agents = || snapshot.agents.values();
    let connected = agents().filter(|agent| agent.connected).count();
    let active = agents().filter(|agent| agent.active).count();
    gauges.len("master/slaves_connected", connected);
    gauges.len(
        "master/slaves_disconnected",
        snapshot.agents.len() - connected,
    );
    gauges.len("master/slaves_active", active);
    gauges.len("master/slaves_inactive", snapshot.agents.len() - active);
    gauges.len(
        "master/slaves_unreachable",
        snapshot.unreachable_agents.len(),
    );
    // Ours: who has not come back since a master before this one.
    gauges.len("master/slaves_recovered", snapshot.recovered_agents.len());

    let (mut total, mut used, mut offered) = (Sums::default(), Sums::default(), Sums::default());
    for agent in agents() {
        total.add(&agent.total);
        agent.used.values().for_each(|part| used.add(part));
        offered.add(&agent.offered);
    }
    gauges.resources("master", &total, &used);
    for name in ["cpus", "disk", "mem"] {
        let of = |sums: &Sums| sums.lasting.get(name) + sums.revocable.get(name);
        let prefix = format!("allocator/mesos/resources/{name}");
        let taken = of(&used) + of(&offered);
        gauges.set(format!("{prefix}/total"), of(&total).to_f64());
        gauges.set(format!("{prefix}/offered_or_allocated"), taken.to_f64());
    }
}

/// What each role takes: its share, its quota, and what it has declined.
fn roles(gauges: &mut Gauges, snapshot: &Snapshot) {
    let roles = Roles::new(snapshot);
    let mut total = Quantities::new();
    for agent in snapshot.agents.values() {
        total += &agent.total.non_shared().quantities();
    }
    let excluded = &snapshot.config.policy.fair_sharing_excluded_resource_names;
    let counted = |amounts: &Quantities| -> Quantities {
        let amounts = amounts.iter();
        amounts
            .filter(|(name, _)| !excluded.contains(*name))
            .collect()
    };
    let total = counted(&total);
    for (role, mut frameworks, taken) in roles.iter() {
        if frameworks.next().is_none() {
            continue;
        }
        let share = counted(&taken).share_of(&total);
        gauges.set(
            format!("allocator/mesos/roles/{role}/shares/dominant"),
            share,
        );
        let filters = snapshot.offer_filters.get(role).copied();
        gauges.len(
            format!("allocator/mesos/offer_filters/roles/{role}/active"),
            filters.unwrap_or_default(),
        );
    }
    for (role, quota) in &snapshot.quotas {
        let taken = roles.taken(role);
        for (name, guarantee) in quota.guarantees.iter() {
            let role = utf8_percent_encode(role, RESERVED);
            let prefix = format!("allocator/mesos/quota/roles/{role}/resources/{name}");
            gauges.set(format!("{prefix}/guarantee"), guarantee.to_f64());
            let taken = taken.get(name).to_f64();
            gauges.set(format!("{prefix}/offered_or_allocated"), taken);
        }
    }
}

fn frameworks(gauges: &mut Gauges, snapshot: &Snapshot) {
    let all = snapshot.frameworks.len();
    let frameworks = || snapshot.frameworks.values();
    let connected = frameworks().filter(|f| f.connected()).count();
    let active = frameworks().filter(|f| f.active).count();
    gauges.len("master/frameworks_connected", connected);
    gauges.len("master/frameworks_disconnected", all - connected);
    gauges.len("master/frameworks_active", active);
    gauges.len("master/frameworks_inactive", all - active);
    if snapshot.config.policy.publish_per_framework_metrics {
        for record in frameworks() {
            let counts = snapshot.metrics.frameworks.get(&record.id);
            framework(
                gauges,
                record,
                counts.unwrap_or(&FrameworkCounts::default()),
            );
        }
    }
}

/// What libprocess encodes in the names of metrics.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b'$')
    .add(b'&')
    .add(b'+')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'=')
    .add(b'?')
    .add(b'@')
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'#')
    .add(b'%')
    .add(b'{')
    .add(b'}')
    .add(b'|')
    .add(b'\\')
    .add(b'^')
    .add(b'~')
    .add(b'[')
    .add(b']')
    .add(b'`');

fn framework(gauges: &mut Gauges, record: &FrameworkRecord, counts: &FrameworkCounts) {
    let name = utf8_percent_encode(&record.info.name, RESERVED);
    let prefix = format!("master/frameworks/{name}/{}", record.id);
    gauges.count(format!("{prefix}/subscribed"), record.connected().into());
    for role in record.roles() {
        let suppressed = record.suppressed_roles.contains(role);
        gauges.count(
            format!("{prefix}/roles/{role}/suppressed"),
            suppressed.into(),
        );
    }
    let mut active: BTreeMap<TaskState, usize> = BTreeMap::new();
    for task in record.tasks.values() {
        *active.entry(task.state()).or_default() += 1;
    }
    for state in ACTIVE {
        let count = active.get(&state).copied().unwrap_or_default();
        let name = state.as_str_name().to_ascii_lowercase();
        gauges.len(format!("{prefix}/tasks/active/{name}"), count);
    }
    for state in TERMINAL {
        let count = counts.terminal_tasks.get(&state).copied();
        let name = state.as_str_name().to_ascii_lowercase();
        gauges.count(
            format!("{prefix}/tasks/terminal/{name}"),
            count.unwrap_or_default(),
        );
    }
    for (name, count) in [
        ("sent", counts.offers_sent),
        ("accepted", counts.offers_accepted),
        ("declined", counts.offers_declined),
        ("rescinded", counts.offers_rescinded),
    ] {
        gauges.count(format!("{prefix}/offers/{name}"), count);
    }
    let calls = counts
        .calls
        .iter()
        .map(|(kind, n)| (kind.as_str_name(), *n));
    by_type(gauges, &format!("{prefix}/calls"), calls);
    let events = counts
        .events
        .iter()
        .map(|(kind, n)| (kind.as_str_name(), *n));
    by_type(gauges, &format!("{prefix}/events"), events);
    let operations = counts.operations.iter();
    let operations = operations.map(|(kind, n)| (kind.as_str_name(), *n));
    by_type(gauges, &format!("{prefix}/operations"), operations);
}

/// A count for each type that there was, and their sum.
fn by_type(gauges: &mut Gauges, prefix: &str, counts: impl Iterator<Item = (&'static str, u64)>) {
    let mut total = 0;
    for (name, count) in counts {
        total += count;
        gauges.count(format!("{prefix}/{}", name.to_ascii_lowercase()), count);
    }
    gauges.count(prefix, total);
}

const ACTIVE: [TaskState; 4] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
];

const TERMINAL: [TaskState; 8] = [
    TaskState::TaskFinished,
    TaskState::TaskFailed,
    TaskState::TaskKilled,
    TaskState::TaskError,
    TaskState::TaskLost,
    TaskState::TaskDropped,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
];

fn tasks(gauges: &mut Gauges, metrics: &Metrics) {
    let name = |state: TaskState| {
        let state = state.as_str_name().to_ascii_lowercase();
        state.strip_prefix("task_").unwrap_or(&state).to_owned()
    };
    for state in ACTIVE {
        gauges.count(
            format!("master/tasks_{}", name(state)),
            metrics.active(state),
        );
    }
    for state in TERMINAL {
        gauges.count(
            format!("master/tasks_{}", name(state)),
            metrics.terminal(state),
        );
    }
    gauges.count("master/tasks_unreachable", metrics.tasks_unreachable);
    for ((state, source, reason), count) in &metrics.reasons {
        let names = [source.as_str_name(), reason.as_str_name()];
        let [source, reason] =
            names.map(|name| name.to_ascii_lowercase().replace("agent", "slave"));
        let state = state.as_str_name().to_ascii_lowercase();
        gauges.count(format!("master/{state}/{source}/{reason}"), *count);
    }
}

fn messages(gauges: &mut Gauges, m: &Messages) {
    for (name, count) in [
        ("authenticate", m.authenticate),
        ("deactivate_framework", m.deactivate_framework),
        ("decline_offers", m.decline_offers),
        ("executor_to_framework", m.executor_to_framework),
        ("exited_executor", m.exited_executor),
        ("framework_to_executor", m.framework_to_executor),
        ("kill_task", m.kill_task),
        ("launch_tasks", m.launch_tasks),
        ("operation_status_update", m.operation_status_update),
        (
            "operation_status_update_acknowledgement",
            m.operation_status_update_acknowledgement,
        ),
        ("reconcile_operations", m.reconcile_operations),
        ("reconcile_tasks", m.reconcile_tasks),
        ("register_framework", m.register_framework),
        ("register_slave", m.register_slave),
        ("reregister_framework", m.reregister_framework),
        ("reregister_slave", m.reregister_slave),
        ("resource_request", m.resource_request),
        ("revive_offers", m.revive_offers),
        ("status_update", m.status_update),
        (
            "status_update_acknowledgement",
            m.status_update_acknowledgement,
        ),
        ("suppress_offers", m.suppress_offers),
        ("unregister_framework", m.unregister_framework),
        ("unregister_slave", m.unregister_slave),
        ("update_slave", m.update_slave),
    ] {
        gauges.count(format!("master/messages_{name}"), count);
    }
}

fn counters(gauges: &mut Gauges, m: &Metrics) {
    gauges.count("allocator/mesos/allocation_runs", m.allocation_runs);
    for (name, count) in [
        ("dropped_messages", m.dropped_messages),
        ("slave_registrations", m.slave_registrations),
        ("slave_reregistrations", m.slave_reregistrations),
        ("slave_removals", m.slave_removals),
        (
            "slave_removals/reason_registered",
            m.slave_removals_reason_registered,
        ),
        (
            "slave_removals/reason_unhealthy",
            m.slave_removals_reason_unhealthy,
        ),
        (
            "slave_removals/reason_unregistered",
            m.slave_removals_reason_unregistered,
        ),
        ("recovery_slave_removals", m.recovery_slave_removals),
        // The older names of the same events.
        ("slave_shutdowns_scheduled", m.slave_unreachable_scheduled),
        ("slave_shutdowns_completed", m.slave_unreachable_completed),
        ("slave_shutdowns_canceled", m.slave_unreachable_canceled),
        ("slave_unreachable_scheduled", m.slave_unreachable_scheduled),
        ("slave_unreachable_completed", m.slave_unreachable_completed),
        ("slave_unreachable_canceled", m.slave_unreachable_canceled),
        ("valid_status_updates", m.valid_status_updates),
        ("invalid_status_updates", m.invalid_status_updates),
        (
            "valid_status_update_acknowledgements",
            m.valid_status_update_acknowledgements,
        ),
        (
            "invalid_status_update_acknowledgements",
            m.invalid_status_update_acknowledgements,
        ),
        (
            "valid_framework_to_executor_messages",
            m.valid_framework_to_executor_messages,
        ),
        (
            "invalid_framework_to_executor_messages",
            m.invalid_framework_to_executor_messages,
        ),
        (
            "valid_executor_to_framework_messages",
            m.valid_executor_to_framework_messages,
        ),
        (
            "invalid_executor_to_framework_messages",
            m.invalid_executor_to_framework_messages,
        ),
        (
            "valid_operation_status_updates",
            m.valid_operation_status_updates,
        ),
        (
            "invalid_operation_status_updates",
            m.invalid_operation_status_updates,
        ),
        (
            "valid_operation_status_update_acknowledgements",
            m.valid_operation_status_update_acknowledgements,
        ),
        (
            "invalid_operation_status_update_acknowledgements",
            m.invalid_operation_status_update_acknowledgements,
        ),
    ] {
        gauges.count(format!("master/{name}"), count);
    }
}

fn operations(gauges: &mut Gauges, counts: &OperationCounts) {
    const TYPES: [Type; 8] = [
        Type::Create,
        Type::CreateDisk,
        Type::Destroy,
        Type::DestroyDisk,
        Type::GrowVolume,
        Type::Reserve,
        Type::ShrinkVolume,
        Type::Unreserve,
    ];
    const STATES: [OperationState; 8] = [
        OperationState::OperationDropped,
        OperationState::OperationError,
        OperationState::OperationFailed,
        OperationState::OperationFinished,
        OperationState::OperationGoneByOperator,
        OperationState::OperationPending,
        OperationState::OperationRecovering,
        OperationState::OperationUnreachable,
    ];
    let mut show = |prefix: &str, types: &[Type]| {
        let mut total = 0;
        for state in STATES {
            let count = types.iter().map(|kind| counts.get(*kind, state)).sum();
            let name = state.as_str_name().to_lowercase();
            let name = name.trim_start_matches("operation_");
            gauges.count(format!("{prefix}/{name}"), count);
            total += count;
        }
        gauges.count(format!("{prefix}/total"), total);
    };
    show("master/operations", &TYPES);
    for kind in TYPES {
        let name = kind.as_str_name().to_lowercase();
        show(&format!("master/operations/{name}"), &[kind]);
    }
}
