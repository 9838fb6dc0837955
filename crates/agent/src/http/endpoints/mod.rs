//! Requests to the agent, answered from a snapshot, turned into calls, or refused.
//!
//! Every endpoint has its name bare and under `/slave(1)`, with `.json` at its end as older clients
//! have it, and answers for paths below its own.

mod containers;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use meseta_authentication::Claims;
use meseta_endpoints::forms::Object;
use meseta_endpoints::{
    Gauges, Query, Sums, endpoint, json, method_not_allowed, metrics, route, version,
};
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1;
use meseta_resources::Resources;
use serde_json::json as value;

use super::{ExecutorCall, ExecutorRequest, operator, parse_executor_call, tokens};
use crate::nested::ContainerCall;
use crate::records::Executor;
use crate::snapshot::Snapshot;

/// A request, as far as an answer depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// The decoded path.
    pub path: &'a str,
    /// The decoded query.
    pub query: &'a [(String, String)],
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
    /// The time, since the Unix epoch.
    pub now: Duration,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is answered.
    Reply(Reply),
    /// It is a call for the machine, complete and valid in itself.
    ExecutorCall {
        /// The call.
        call: Box<v1::executor::Call>,
        /// The media type of the events, if the call is a SUBSCRIBE.
        stream_type: ContentType,
        /// What the caller's token says, if executors must authenticate.
        principal: Option<Claims>,
    },
    /// It is a call about a container for the machine, complete and valid in itself. The answer may
    /// take as long as the container lives.
    ContainerCall(Box<ContainerCall>),
    /// It is none of the machine's paths.
    Elsewhere,
}

/// Answers a request as far as the machine is not needed.
pub fn answer(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    answer_with(snapshot, request, Vec::new)
}

/// The same, with more values for `/metrics/snapshot`: those that only the process knows, such as
/// `slave/uptime_secs`.
pub fn answer_with(
    snapshot: &Snapshot,
    request: &Request<'_>,
    system: impl FnOnce() -> Vec<(&'static str, f64)>,
) -> Answer {
    let segments = route(request.path, &snapshot.config.pid.id);
    let Some((first, rest)) = segments.split_first() else {
        return Answer::Elsewhere;
    };
    let query = Query(request.query);
    Answer::Reply(match (endpoint(first), rest) {
        ("api", ["v1", "executor", ..]) => return executor(snapshot, request),
        ("api", ["v1", ..]) => return operator::answer(snapshot, request),
        ("health", _) => Reply::ok(),
        ("version", _) => version(query, &snapshot.config.version),
        ("flags", _) => flags(snapshot, request),
        ("state", _) => json(query, &Object(state::State(snapshot))),
        ("containers", _) => json(query, &containers::Containers { snapshot, query }),
        ("metrics", [name, ..]) if endpoint(name) == "snapshot" => metrics(query, || {
            let mut gauges = gauges(snapshot);
            gauges.extend(system());
            gauges
        }),
        _ => return Answer::Elsewhere,
    })
}

fn executor(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    let authenticated = tokens::executor(&snapshot.config, request.authorization, request.now);
    let principal = match authenticated {
        Ok(principal) => principal,
        Err(refusal) => return Answer::Reply(*refusal),
    };
    let parsed = parse_executor_call(ExecutorRequest {
        method: request.method,
        content_type: request.content_type,
        accept: request.accept,
        body: request.body,
    });
    match parsed {
        Ok(ExecutorCall { call, stream_type }) => Answer::ExecutorCall {
            call,
            stream_type,
            principal,
        },
        Err(refusal) => Answer::Reply(*refusal),
    }
}

fn flags(snapshot: &Snapshot, request: &Request<'_>) -> Reply {
    if !matches!(request.method, "GET" | "HEAD") {
        return method_not_allowed(&["GET"], request.method);
    }
    let shown = value!({ "flags": snapshot.config.flags });
    json(Query(request.query), &shown)
}

fn gauges(snapshot: &Snapshot) -> Gauges {
    let mut gauges = Gauges::default();
    gauges.extend(snapshot.metrics());
    let (mut total, mut used) = (Sums::default(), Sums::default());
    total.add(&resources(&snapshot.total_resources));
    if let Some(oversubscribed) = &snapshot.oversubscribed {
        total.add(oversubscribed);
    }
    used.add(&allocated(snapshot));
    gauges.resources("slave", &total, &used);
    gauges
}

/// What all executors and their tasks take.
fn allocated(snapshot: &Snapshot) -> Resources {
    let mut total = Resources::new();
    let frameworks = snapshot.frameworks.values();
    for executor in frameworks.flat_map(|framework| framework.executors.values()) {
        total += &resources(&taken(executor));
    }
    total
}

/// What an executor and its tasks that are not over take.
fn taken(executor: &Executor) -> Vec<v1::Resource> {
    let own = executor.info.resources.iter();
    let queued = executor
        .queued_tasks
        .values()
        .flat_map(|task| &task.resources);
    let launched = executor
        .launched_tasks
        .values()
        .flat_map(|task| &task.resources);
    own.chain(queued).chain(launched).cloned().collect()
}

/// The machine has checked them when they arrived, so that none is invalid.
fn resources(messages: &[v1::Resource]) -> Resources {
    Resources::from_v1(messages).unwrap_or_default()
}
