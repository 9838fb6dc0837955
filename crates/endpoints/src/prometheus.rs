//! Metrics in the text that Prometheus reads, with units, help, and labels for what Mesos puts into
//! the names: frameworks, roles, resources, states.

use std::collections::BTreeMap;
use std::fmt;

use meseta_machine::{ContentType, Reply};
use percent_encoding::percent_decode_str;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::Gauges;
use crate::timing::Timing;

/// What `/metrics` answers.
pub fn prometheus(gauges: &Gauges, timings: Vec<Timing>) -> Reply {
    let mut registry = Registry::with_prefix("meseta");
    registry.register_collector(Box::new(Metrics {
        families: families(gauges),
        timings,
    }));
    let mut body = String::new();
    if text::encode(&mut body, &registry).is_err() {
        return Reply::refused(500, "Failed to write the metrics");
    }
    Reply {
        content_type: Some(ContentType::OpenMetrics),
        body: body.into(),
        ..Reply::ok()
    }
}

/// Names of Mesos that hold values, and the names of ours that have them as labels. A segment
/// `{label}` stands for any value, `{label:prefix}` for one that begins so, and `{label*}` for one that
/// may have slashes, as names of roles do.
const LABELLED: &[(&str, &str)] = &[
    (
        "master/frameworks/{framework}/{framework_id}/subscribed",
        "master_framework_subscribed",
    ),
    (
        "master/frameworks/{framework}/{framework_id}/roles/{role*}/suppressed",
        "master_framework_suppressed",
    ),
    (
        "master/frameworks/{framework}/{framework_id}/tasks/active/{state}",
        "master_framework_active_tasks",
    ),
    (
        "master/frameworks/{framework}/{framework_id}/calls/{type}",
        "master_framework_calls",
    ),
    (
        "master/frameworks/{framework}/{framework_id}/events/{type}",
        "master_framework_events",
    ),
    (
        "master/frameworks/{framework}/{framework_id}/operations/{type}",
        "master_framework_operations",
    ),
    (
        "master/frameworks/{framework}/{framework_id}/offers/{fate}",
        "master_framework_offers",
    ),
    (
        "master/frameworks/{framework}/{framework_id}/tasks/terminal/{state}",
        "master_framework_ended_tasks",
    ),
    ("master/{state:task_}/{source}/{reason}", "master_task_ends"),
    ("master/operations/{state}", "master_operations"),
    (
        "master/operations/{type}/{state}",
        "master_operations_by_type",
    ),
    (
        "allocator/mesos/resources/{resource}/total",
        "allocator_resources",
    ),
    (
        "allocator/mesos/resources/{resource}/offered_or_allocated",
        "allocator_resources_taken",
    ),
    (
        "allocator/mesos/quota/roles/{role}/resources/{resource}/guarantee",
        "allocator_quota_guarantee",
    ),
    (
        "allocator/mesos/quota/roles/{role}/resources/{resource}/offered_or_allocated",
        "allocator_quota_taken",
    ),
    (
        "allocator/mesos/roles/{role*}/shares/dominant",
        "allocator_dominant_share",
    ),
    (
        "allocator/mesos/offer_filters/roles/{role*}/active",
        "allocator_offer_filters",
    ),
];

/// What counts up, by the beginnings of names. Everything else goes up and down.
const COUNTERS: &[&str] = &[
    "allocator/mesos/allocation_runs",
    "containerizer/fetcher/task_fetches_",
    "containerizer/mesos/container_destroy_errors",
    "gc/path_removals_failed",
    "gc/path_removals_succeeded",
    "master/dropped_messages",
    "master/event_streams_cut_off",
    "master/http_cache_hits",
    "master/invalid_",
    "master/messages_",
    "master/recovery_slave_removals",
    "master/slave_",
    "master/task_",
    "master/trace_spans_",
    "master/tasks_dropped",
    "master/tasks_error",
    "master/tasks_failed",
    "master/tasks_finished",
    "master/tasks_gone",
    "master/tasks_killed",
    "master/tasks_lost",
    "master/valid_",
    "slave/container_launch_errors",
    "slave/executors_preempted",
    "slave/executors_terminated",
    "slave/invalid_",
    "slave/recovery_errors",
    "slave/tasks_failed",
    "slave/tasks_finished",
    "slave/tasks_gone",
    "slave/tasks_killed",
    "slave/tasks_lost",
    "slave/trace_spans_",
    "slave/valid_",
];

/// What metrics tell, by the beginnings of their names; the first that fits.
const HELP: &[(&str, &str)] = &[
    (
        "allocator/mesos/allocation_runs",
        "How often was decided who is offered what",
    ),
    (
        "allocator/mesos/offer_filters",
        "Offers that frameworks of a role have declined for some time",
    ),
    (
        "allocator/mesos/quota",
        "Resources that are guaranteed to a role, and those that it is offered or uses",
    ),
    (
        "allocator/mesos/resources",
        "Resources of all agents, and those that are offered or in use",
    ),
    (
        "allocator/mesos/roles",
        "The largest share that a role has of any resource",
    ),
    (
        "containerizer/fetcher/cache_size",
        "What the fetcher's cache may hold, and what it holds",
    ),
    (
        "containerizer/fetcher/task_fetches",
        "Containers whose URIs were fetched, and those whose URIs could not be",
    ),
    (
        "containerizer/mesos/container_destroy_errors",
        "Containers of which something may be left",
    ),
    (
        "gc/path_removals",
        "Folders of sandboxes that were removed, could not be, or will be",
    ),
    ("master/cpus", "CPUs of all agents"),
    ("master/disk", "Disk of all agents in megabytes"),
    (
        "master/dropped_messages",
        "Messages that came from nobody who may send them",
    ),
    ("master/elected", "Whether this master leads"),
    (
        "master/event_streams_cut_off",
        "Schedulers and operators whose event streams were ended because they did not read",
    ),
    (
        "master/event_streams_waiting_bytes",
        "Events that schedulers and operators have not read yet",
    ),
    (
        "master/event_queue",
        "Messages, requests and what else waits for its turn",
    ),
    (
        "master/frameworks_",
        "Frameworks that are connected or not, active or not",
    ),
    (
        "master/frameworks/",
        "One framework: whether it is subscribed and wants offers, and its tasks",
    ),
    ("master/gpus", "GPUs of all agents"),
    ("master/http_cache_hits", "Answers that were given twice"),
    (
        "master/invalid_",
        "Messages about something that is not there",
    ),
    ("master/mem", "Memory of all agents in megabytes"),
    ("master/messages_", "Messages and calls that arrived"),
    (
        "master/operations",
        "Operations on resources by their state",
    ),
    (
        "master/operator_event_stream_subscribers",
        "Operators who watch by event streams",
    ),
    ("master/outstanding_offers", "Offers that are not answered"),
    (
        "master/recovery_slave_removals",
        "Agents that did not come back after a failover",
    ),
    ("master/slave_", "Agents that came and went"),
    (
        "master/slaves_",
        "Agents that are connected or not, active or not, or unreachable",
    ),
    ("master/task_", "Tasks that ended, by who said so and why"),
    ("master/tasks_", "Tasks by their state"),
    (
        "master/trace_spans",
        "Spans of traces that were exported, and those that could not be",
    ),
    (
        "master/uptime_secs",
        "How long the process has been running",
    ),
    ("master/valid_", "Messages that were passed on"),
    (
        "registrar/queued_operations",
        "Changes of the registry that are being made durable",
    ),
    ("registrar/registry_size", "What the registry takes on disk"),
    (
        "slave/container_launch_errors",
        "Containers that could not be started",
    ),
    ("slave/cpus", "CPUs of the agent"),
    ("slave/disk", "Disk of the agent in megabytes"),
    (
        "slave/executor_directory_max_allowed_age_secs",
        "How old sandboxes may become that nothing needs any more",
    ),
    ("slave/executors_", "Executors by their state"),
    (
        "slave/frameworks_active",
        "Frameworks with something on the agent",
    ),
    ("slave/gpus", "GPUs of the agent"),
    (
        "slave/invalid_",
        "Messages that did not fit what the agent knows",
    ),
    ("slave/mem", "Memory of the agent in megabytes"),
    (
        "slave/recovery_errors",
        "What the agent had kept and could not take up",
    ),
    (
        "slave/recovery_time_secs",
        "How long it took to find all executors again or give them up",
    ),
    (
        "slave/registered",
        "Whether a master has the agent registered",
    ),
    ("slave/tasks_", "Tasks by their state"),
    (
        "slave/trace_spans",
        "Spans of traces that were exported, and those that could not be",
    ),
    ("slave/uptime_secs", "How long the process has been running"),
    ("slave/valid_", "Messages that the agent took"),
    ("system/cpus_total", "Processors of the machine"),
    ("system/load", "Load of the machine"),
    ("system/mem", "Memory of the machine"),
];

#[derive(Debug)]
struct Metrics {
    families: Families,
    timings: Vec<Timing>,
}

/// By name and unit.
type Families = BTreeMap<(String, Option<&'static str>), Family>;

#[derive(Debug)]
struct Family {
    help: &'static str,
    counts: bool,
    samples: Vec<(Labels, f64)>,
}

type Labels = Vec<(&'static str, String)>;

fn families(gauges: &Gauges) -> Families {
    let mut families = Families::new();
    for (name, value) in gauges.iter() {
        // Times are shown as histograms, and sums of what is shown add nothing.
        if name.contains("_ms/") || name.ends_with("_ms") || is_sum(name) {
            continue;
        }
        let labelled = LABELLED
            .iter()
            .find_map(|(pattern, ours)| Some((*ours, labels(pattern, name)?)));
        let (ours, labels) = match labelled {
            Some((ours, labels)) => (ours.to_owned(), labels),
            None => (plain(name), Labels::new()),
        };
        let (ours, unit) = unit(&ours);
        let family = families.entry((ours, unit)).or_insert_with(|| Family {
            help: help(name),
            counts: counts(name),
            samples: Vec::new(),
        });
        family.samples.push((labels, value));
    }
    families
}

/// Whether a value never goes down.
fn counts(name: &str) -> bool {
    let of_framework = name.starts_with("master/frameworks/");
    let parts = [
        "/calls/",
        "/events/",
        "/operations/",
        "/offers/",
        "/tasks/terminal/",
    ];
    COUNTERS.iter().any(|counter| name.starts_with(counter))
        || of_framework && parts.iter().any(|part| name.contains(part))
}

fn is_sum(name: &str) -> bool {
    let of_framework = name.starts_with("master/frameworks/");
    let sums = ["/calls", "/events", "/operations"];
    let is_of_operations = name.starts_with("master/operations/") && name.ends_with("/total");
    is_of_operations || of_framework && sums.iter().any(|sum| name.ends_with(sum))
}

/// A name of Mesos in the letters that Prometheus allows.
fn plain(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = name.replace("mesos/", "");
    name.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// The unit that the end of a name tells, and the name without it.
fn unit(name: &str) -> (String, Option<&'static str>) {
    for (end, ours, unit) in [
        ("_secs", "", "seconds"),
        ("_bytes", "", "bytes"),
        ("_percent", "_used", "ratio"),
    ] {
        if let Some(name) = name.strip_suffix(end) {
            return (format!("{name}{ours}"), Some(unit));
        }
    }
    // Only counters may end so.
    let name = name.strip_suffix("_total").unwrap_or(name);
    (name.to_owned(), None)
}

fn help(name: &str) -> &'static str {
    let found = HELP
        .iter()
        .find(|(beginning, _)| name.starts_with(beginning));
    found.map_or(
        "A value that Mesos shows under this name too",
        |(_, help)| help,
    )
}

/// The labels of a name, if it has the form of the pattern.
fn labels(pattern: &'static str, name: &str) -> Option<Labels> {
    let mut labels = Labels::new();
    let wanted: Vec<&'static str> = pattern.split('/').collect();
    let given: Vec<&str> = name.split('/').collect();
    let more = given.len().checked_sub(wanted.len())?;
    let mut given = given.into_iter();
    let mut is_long = false;
    for wanted in wanted {
        let first = given.next()?;
        let Some(label) = wanted.strip_prefix('{').and_then(|it| it.strip_suffix('}')) else {
            if wanted != first {
                return None;
            }
            continue;
        };
        if let Some(label) = label.strip_suffix('*') {
            is_long = true;
            let value: Vec<&str> = std::iter::once(first)
                .chain(given.by_ref().take(more))
                .collect();
            labels.push((label, value.join("/")));
            continue;
        }
        let (label, beginning) = label.split_once(':').unwrap_or((label, ""));
        if !first.starts_with(beginning) {
            return None;
        }
        let value = percent_decode_str(first).decode_utf8_lossy();
        labels.push((label, value.into_owned()));
    }
    (is_long || more == 0).then_some(labels)
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for ((name, unit), family) in &self.families {
            let kind = if family.counts {
                MetricType::Counter
            } else {
                MetricType::Gauge
            };
            let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
            let unit = unit.as_ref();
            let mut metric = encoder.encode_descriptor(name, family.help, unit, kind)?;
            for (labels, value) in &family.samples {
                if labels.is_empty() {
                    encode(&mut metric, family.counts, *value)?;
                } else {
                    encode(&mut metric.encode_family(labels)?, family.counts, *value)?;
                }
            }
        }
        for timing in &self.timings {
            let kind = MetricType::Histogram;
            let name = plain(timing.name);
            let unit = Some(&Unit::Seconds);
            let metric = encoder.encode_descriptor(&name, timing.help, unit, kind)?;
            encode_timing(metric, timing)?;
        }
        Ok(())
    }
}

fn encode(metric: &mut MetricEncoder<'_>, counts: bool, value: f64) -> fmt::Result {
    if counts {
        metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
    } else {
        metric.encode_gauge(&value)
    }
}

fn encode_timing(mut metric: MetricEncoder<'_>, timing: &Timing) -> fmt::Result {
    let mut before = 0;
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (bound, count) in Timing::BOUNDS.iter().zip(timing.buckets) {
        buckets.push((bound.as_secs_f64(), count.saturating_sub(before)));
        before = count;
    }
    buckets.push((f64::INFINITY, timing.count.saturating_sub(before)));
    let sum = timing.sum.as_secs_f64();
    metric.encode_histogram::<NoLabelSet>(sum, timing.count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(values: &[(&str, f64)], timings: Vec<Timing>) -> String {
        let mut gauges = Gauges::default();
        gauges.extend(values.iter().copied());
        let reply = prometheus(&gauges, timings);
        assert_eq!(reply.content_type, Some(ContentType::OpenMetrics));
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn metrics_have_units_help_and_labels() {
        let text = text(
            &[
                ("master/uptime_secs", 1.5),
                ("master/cpus_total", 4.0),
                ("master/cpus_percent", 0.5),
                ("master/messages_kill_task", 3.0),
                ("master/frameworks/a%20b/f-0/roles/web/ads/suppressed", 1.0),
                ("master/task_lost/source_slave/reason_x", 2.0),
                ("master/operations/total", 9.0),
                ("master/operations/reserve/finished", 8.0),
                ("allocator/mesos/allocation_run_ms/p50", 7.0),
            ],
            Vec::new(),
        );
        for line in [
            "# HELP meseta_master_uptime_seconds How long the process has been running",
            "# UNIT meseta_master_uptime_seconds seconds",
            "meseta_master_uptime_seconds 1.5",
            "# TYPE meseta_master_cpus gauge",
            "meseta_master_cpus 4.0",
            "meseta_master_cpus_used_ratio 0.5",
            "# TYPE meseta_master_messages_kill_task counter",
            "meseta_master_messages_kill_task_total 3.0",
            "meseta_master_framework_suppressed{framework=\"a b\",framework_id=\"f-0\",role=\"web/ads\"} 1.0",
            "meseta_master_task_ends_total{state=\"task_lost\",source=\"source_slave\",reason=\"reason_x\"} 2.0",
            "meseta_master_operations_by_type{type=\"reserve\",state=\"finished\"} 8.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
        assert!(!text.contains("9.0") && !text.contains("7.0"), "{text}");
    }

    #[test]
    fn times_are_histograms_in_seconds() {
        let mut timing = Timing {
            name: "allocator/mesos/allocation_run",
            help: "How long it takes",
            count: 3,
            sum: Duration::from_millis(30),
            ..Timing::default()
        };
        timing.buckets = [0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 2];
        let text = text(&[], vec![timing]);
        for line in [
            "# TYPE meseta_allocator_allocation_run_seconds histogram",
            "meseta_allocator_allocation_run_seconds_sum 0.03",
            "meseta_allocator_allocation_run_seconds_count 3",
            "meseta_allocator_allocation_run_seconds_bucket{le=\"0.005\"} 1",
            "meseta_allocator_allocation_run_seconds_bucket{le=\"0.01\"} 2",
            "meseta_allocator_allocation_run_seconds_bucket{le=\"+Inf\"} 3",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }
}
