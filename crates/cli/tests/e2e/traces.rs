//! A task's way as a collector of OpenTelemetry sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use prost::Message;
use serde_json::{Value, json};

use crate::support::daemon::{Cluster, RESOURCES, agent_address, registered_agents};
use crate::support::scheduler::{framework, scalar, shell_task};
use crate::support::web::{self, Reply, Request};
use crate::support::{eventually, free_address, http};

/// What is read of OTLP's messages.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Attributes>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
#[allow(
    clippy::struct_field_names,
    reason = "the names are those of the protocol"
)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Text>,
}

#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

fn value<'a>(attributes: &'a [Attribute], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|it| it.key == key);
    found?.value.as_ref()?.text.as_deref()
}

/// A collector that answers with a status, and keeps what it is sent by the services' names.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Collector {
    fn start() -> Self {
        let spans = Arc::<Mutex<Vec<(String, Span)>>>::default();
        let kept = Arc::clone(&spans);
        let address = web::serve(move |request| {
            let spans = exported(&request);
            kept.lock().expect("no panic holds it").extend(spans);
            Reply::empty("200 OK").header("Content-Type", "application/x-protobuf")
        });
        Self { address, spans }
    }

    /// The spans of a task.
    fn of(&self, task: &str) -> Vec<(String, Span)> {
        let spans = self.spans.lock().expect("no panic holds it");
        let of_task =
            |(_, span): &&(String, Span)| value(&span.attributes, "mesos.task.id") == Some(task);
        spans.iter().filter(of_task).cloned().collect()
    }

    fn flag(&self) -> String {
        format!("--otlp_endpoint=http://{}", self.address)
    }
}

/// The spans of an export, with the names of their services.
fn exported(request: &Request) -> Vec<(String, Span)> {
    assert_eq!((&*request.method, &*request.target), ("POST", "/v1/traces"));
    let kind = request.header("content-type");
    assert_eq!(kind, Some("application/x-protobuf"));
    let export = Export::decode(&*request.body).expect("spans");
    let parts = export.resource_spans.into_iter();
    let spans = parts.flat_map(|part| {
        let resource = part.resource.expect("a resource").attributes;
        let service = value(&resource, "service.name").expect("a name").to_owned();
        let spans = part.scope_spans.into_iter().flat_map(|it| it.spans);
        spans.map(move |span| (service.clone(), span))
    });
    spans.collect()
}

/// The spans of the steps that a command task goes, and what they are parts of.
const WAY: [(&str, &str, Option<&str>); 9] = [
    ("meseta-master", "task", None),
    ("meseta-master", "master.accept", Some("task")),
    ("meseta-agent", "agent.run_task", Some("master.accept")),
    ("meseta-agent", "agent.launch", Some("agent.run_task")),
    ("meseta-agent", "executor.subscribe", Some("agent.run_task")),
    ("meseta-agent", "agent.update", Some("task")),
    ("meseta-master", "master.update", Some("task")),
    ("meseta-master", "scheduler.acknowledge", Some("task")),
    ("meseta-agent", "agent.acknowledge", Some("task")),
];

#[test]
fn a_collector_sees_a_task_from_its_launch_to_the_acknowledgement_of_its_end() {
    let collector = Collector::start();
    let cluster = Cluster::with(&[RESOURCES, &collector.flag()]);
    let mut scheduler = cluster.subscribe(framework("traced"));
    scheduler.start_and_see_running(&shell_task("t", "true"));
    scheduler.expect("TASK_FINISHED");
    let spans = eventually("the whole way", || {
        let spans = collector.of("t");
        let seen = |name: &str| spans.iter().filter(|(_, span)| span.name == name).count();
        let told = [
            "agent.update",
            "master.update",
            "scheduler.acknowledge",
            "agent.acknowledge",
        ];
        // Starting, running, finished.
        let all_told = told.iter().all(|name| seen(name) == 3);
        let all = WAY.iter().all(|(_, name, _)| seen(name) > 0);
        (all_told && all).then_some(spans)
    });
    let traces: BTreeSet<&[u8]> = spans.iter().map(|(_, span)| &*span.trace_id).collect();
    assert_eq!(traces.len(), 1, "one trace");
    let ids: BTreeSet<&[u8]> = spans.iter().map(|(_, span)| &*span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "each span has an id of its own");
    let of_name: BTreeMap<&str, &Span> = spans.iter().map(|(_, it)| (&*it.name, it)).collect();
    let root = of_name["task"];
    for (service, span) in &spans {
        let (_, _, parent) = WAY
            .iter()
            .find(|(of, name, _)| of == service && *name == span.name)
            .unwrap_or_else(|| panic!("{service} {span:?}"));
        let parent = parent.map(|name| of_name[name].span_id.clone());
        assert_eq!(span.parent_span_id, parent.unwrap_or_default(), "{span:?}");
        assert!(
            span.start <= span.end && span.start >= root.start,
            "{span:?}"
        );
        assert_eq!(span.status, None);
        assert_eq!(
            value(&span.attributes, "mesos.framework.id"),
            Some(&*scheduler.id)
        );
    }
    let states: BTreeSet<&str> = spans
        .iter()
        .filter(|(_, span)| span.name == "master.update")
        .filter_map(|(_, span)| value(&span.attributes, "mesos.task.state"))
        .collect();
    let expected = ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];
    assert_eq!(states, BTreeSet::from(expected));

    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    for (address, name) in [(cluster.master(), "master"), (agent, "slave")] {
        let shown = http::get(address, "/metrics/snapshot").json();
        let count = |end: &str| shown[format!("{name}/trace_spans_{end}")].as_f64();
        assert!(count("exported") > Some(0.0), "{name}");
        assert_eq!(count("dropped"), Some(0.0), "{name}");
    }
}

#[test]
fn a_task_that_is_refused_and_one_of_a_group_are_seen_too() {
    let collector = Collector::start();
    let cluster = Cluster::with(&[RESOURCES, &collector.flag()]);
    let mut scheduler = cluster.subscribe(framework("traced"));
    let mut greedy = shell_task("greedy", "true");
    greedy["resources"] = json!([scalar("cpus", 1000.0), scalar("mem", 32.0)]);
    scheduler.start(&greedy);
    let error = eventually("the refusal", || {
        let spans = collector.of("greedy");
        let find = |name: &str| spans.iter().find(|(_, span)| span.name == name).cloned();
        find("task")?;
        find("master.accept")?.1.status
    });
    assert_eq!(error.code, 2);
    assert!(error.message.starts_with("TASK_ERROR: "), "{error:?}");

    let offer: Value = scheduler.offer();
    scheduler.launch_group(
        &offer,
        "e",
        &[shell_task("one", "true"), shell_task("two", "true")],
    );
    for task in ["one", "two"] {
        eventually("its way", || {
            let spans = collector.of(task);
            let seen = |name: &str| spans.iter().any(|(_, span)| span.name == name);
            let all = [
                "master.accept",
                "agent.run_task",
                "agent.launch",
                "executor.subscribe",
            ];
            all.into_iter().all(seen).then_some(())
        });
    }
}

#[test]
fn without_a_collector_there_are_no_traces_and_a_dead_one_holds_nothing_up() {
    let plain = Cluster::start();
    let shown = http::get(plain.master(), "/metrics/snapshot").json();
    assert!(shown.get("master/trace_spans_exported").is_none());
    let flag = format!("--otlp_endpoint=http://{}", free_address());
    let cluster = Cluster::with(&[RESOURCES, &flag]);
    let mut scheduler = cluster.subscribe(framework("traced"));
    scheduler.start_and_see_running(&shell_task("t", "true"));
    scheduler.expect("TASK_FINISHED");
    eventually("spans that could not be brought", || {
        let shown = http::get(cluster.master(), "/metrics/snapshot").json();
        (shown["master/trace_spans_dropped"].as_f64() > Some(0.0)).then_some(())
    });
}
