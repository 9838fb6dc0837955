//! Requests to the agent, answered from a snapshot, turned into calls, or refused.
//!
//! Every endpoint has its name bare and under `/slave(1)`, with `.json` at its end as older clients
//! have it, and answers for paths below its own.

pub(super) mod containers;
pub(super) mod metrics;
mod routes;
mod state;
mod statistics;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use meseta_authentication::Claims;
use meseta_endpoints::forms::Object;
use meseta_endpoints::{
    NoProcess, Query, find, flags, help, json, openapi, prometheus, route, version,
};
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::{self, ContainerId};
use meseta_resources::Resources;

pub use self::statistics::{Statistics, Surroundings};

use self::containers::{Containers, Measured, Wanted, containers};
use self::routes::{Endpoint, ROUTES};
use super::{ExecutorCall, ExecutorRequest, operator, parse_executor_call, tokens};
use crate::nested::{ContainerCall, OutputForm};
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
    /// Headers that few requests have.
    pub more: MoreHeaders<'a>,
    /// The whole body.
    pub body: &'a [u8],
    /// The time, since the Unix epoch.
    pub now: Duration,
}

/// Headers of requests with streams in them, and of those that a browser makes.
#[derive(Debug, Clone, Copy, Default)]
pub struct MoreHeaders<'a> {
    /// `Message-Accept`: the encoding of what the answer streams.
    pub message_accept: Option<&'a str>,
    /// `Message-Content-Type`: the encoding of what the request streams.
    pub message_content_type: Option<&'a str>,
    /// `Origin`: the page that a browser asks for.
    pub origin: Option<&'a str>,
    /// `Host`: whom the client takes this agent for.
    pub host: Option<&'a str>,
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
    /// It wants to be sent what a container prints. The container's executor runs.
    AttachOutput {
        /// Which container.
        container_id: ContainerId,
        /// How it is written.
        form: OutputForm,
    },
    /// It is none of the machine's paths.
    Elsewhere,
}

/// Whether a path is that of the operator API.
pub(super) fn is_operator_api(snapshot: &Snapshot, path: &str) -> bool {
    let segments = route(path, &snapshot.config.pid.id);
    let found = find(ROUTES, &segments);
    found.is_some_and(|(route, _)| route.endpoint == Endpoint::OperatorApi)
}

/// Answers a request as far as the machine is not needed.
pub fn answer(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    answer_with(snapshot, request, &NoProcess)
}

/// The same, with a process around the machine that knows and does what the machine cannot.
pub fn answer_with(
    snapshot: &Snapshot,
    request: &Request<'_>,
    process: &dyn Surroundings,
) -> Answer {
    let config = &snapshot.config;
    let segments = route(request.path, &config.pid.id);
    let Some((found, rest)) = find(ROUTES, &segments) else {
        return Answer::Elsewhere;
    };
    let query = Query(request.query);
    Answer::Reply(match found.endpoint {
        Endpoint::ExecutorApi => return executor(snapshot, request),
        Endpoint::OperatorApi => return operator::answer(snapshot, request, process),
        Endpoint::Files => return Answer::Elsewhere,
        Endpoint::Health => Reply::ok(),
        Endpoint::Version => version(query, &config.version),
        Endpoint::Flags => flags(request.method, query, &config.flags),
        Endpoint::State => json(query, &Object(state::State(snapshot))),
        Endpoint::Containers => {
            let nested = query.get("show_nested") == Some("true");
            let wanted = Wanted { query, nested };
            let shown = containers(snapshot, wanted, &process.statistics());
            json(query, &Containers(shown))
        }
        Endpoint::Statistics => {
            let all = Wanted {
                query: Query(&[]),
                nested: false,
            };
            let shown = containers(snapshot, all, &process.statistics());
            json(query, &Measured(shown))
        }
        Endpoint::Pending => json(query, &containers::pending(snapshot)),
        Endpoint::Logging => meseta_endpoints::logging(query, process),
        Endpoint::SystemStats => meseta_endpoints::system(query, process),
        Endpoint::MetricsSnapshot => {
            meseta_endpoints::metrics(query, || metrics::all(snapshot, process))
        }
        Endpoint::Metrics => prometheus(&metrics::all(snapshot, process), process.timings()),
        Endpoint::Help => help(query, ROUTES, &config.pid.id, rest),
        Endpoint::OpenApi => openapi(query, ROUTES, "Meseta agent", &config.version),
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
