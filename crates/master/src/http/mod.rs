//! Requests to the master, answered from a snapshot, turned into input, or refused.
//!
//! Everything that only reads is answered here, on whatever thread asks, without the machine. Every
//! endpoint has its name bare and under `/master`, with `.json` at its end as older clients have
//! it, and answers for paths below its own.

mod earlier;
mod forms;
mod frameworks;
mod maintenance;
mod metrics;
mod operations;
mod operator;
mod quota;
mod roles;
mod routes;
mod scheduler;
mod state;
mod summary;
mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod views;
mod weight;
mod weights;
mod why;

use meseta_endpoints::forms::Object;
use meseta_endpoints::{
    NoProcess, Process, Query, find, flags, help, json, method_not_allowed, openapi, prometheus,
    route, version,
};
use meseta_machine::{ContentType, Reply, StreamId};
use meseta_proto::v1::FrameworkId;
use meseta_proto::v1::scheduler::Call;

pub use earlier::Earlier;
#[cfg(test)]
pub(crate) use roles::Roles;
pub use views::subscribed;
pub use weight::weight;
pub(crate) use why::reply as why;

use self::operations::Order;
use self::routes::{Endpoint, ROUTES};
use crate::input::Opening;
use crate::operator::Change;
use crate::recent::EventId;
use crate::snapshot::Snapshot;
use crate::why::Question;

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
    /// The `Mesos-Stream-Id` header.
    pub stream_id: Option<&'a str>,
    /// The `Last-Event-ID` header.
    pub last_event_id: Option<&'a str>,
    /// The `Host` header.
    pub host: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is answered.
    Reply(Reply),
    /// It is a call for the machine, complete and valid in itself.
    SchedulerCall {
        /// The call.
        call: Box<Call>,
        /// The stream that the caller says to own.
        stream: Option<StreamId>,
        /// The media type of the events or the answer, for calls that lead to any.
        stream_type: ContentType,
    },
    /// The machine is to end a framework.
    Teardown {
        /// The framework.
        framework_id: FrameworkId,
    },
    /// The machine is to change something for an operator.
    Operator(Change),
    /// The request opens a stream of what happens in the cluster.
    Subscribe {
        /// The media type of its events.
        stream_type: ContentType,
        /// What it begins with.
        opening: Opening,
        /// The last event that the caller has seen, if it wants those that it has missed.
        after: Option<EventId>,
    },
    /// The machine is to find out why a framework gets no offers.
    Why(Question),
    /// It is none of the master's paths.
    Elsewhere,
}

/// Answers a request as far as the machine is not needed.
pub fn answer(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    answer_with(snapshot, request, &NoProcess, &Earlier::default())
}

/// The same, with a process around the machine that knows and does what the machine cannot, and with
/// what earlier answers said.
pub fn answer_with(
    snapshot: &Snapshot,
    request: &Request<'_>,
    process: &dyn Process,
    earlier: &Earlier,
) -> Answer {
    let config = &snapshot.config;
    let segments = route(request.path, &config.pid.id);
    let Some((found, rest)) = find(ROUTES, &segments) else {
        return Answer::Elsewhere;
    };
    let query = Query(request.query);
    Answer::Reply(match found.endpoint {
        Endpoint::SchedulerApi => return scheduler::answer(request),
        Endpoint::OperatorApi => return operator::answer(snapshot, request, process),
        Endpoint::Quota => return quota::answer(snapshot, request, rest),
        Endpoint::MaintenanceSchedule => return maintenance::schedule(snapshot, request),
        Endpoint::MaintenanceStatus => return maintenance::show_status(snapshot, request),
        Endpoint::MachineDown => return maintenance::machines(request, Change::StartMaintenance),
        Endpoint::MachineUp => return maintenance::machines(request, Change::StopMaintenance),
        Endpoint::Weights => return weights::answer(snapshot, request),
        Endpoint::Why => return why::answer(request),
        Endpoint::Reserve => return operations::answer(request, Order::Reserve),
        Endpoint::Unreserve => return operations::answer(request, Order::Unreserve),
        Endpoint::CreateVolumes => return operations::answer(request, Order::CreateVolumes),
        Endpoint::DestroyVolumes => return operations::answer(request, Order::DestroyVolumes),
        Endpoint::Teardown => return teardown(request),
        Endpoint::Files => return Answer::Elsewhere,
        Endpoint::Health => Reply::ok(),
        Endpoint::Version => version(query, &config.version),
        Endpoint::Flags => flags(request.method, query, &config.flags),
        // A path below it is one at the leader.
        Endpoint::Redirect if !rest.is_empty() => return Answer::Elsewhere,
        Endpoint::Redirect => redirect(snapshot),
        Endpoint::State => state::state(snapshot, query, earlier),
        Endpoint::StateSummary => json(query, &Object(summary::Summary::new(snapshot))),
        Endpoint::Agents => state::agents(snapshot, query, earlier),
        Endpoint::Frameworks => state::frameworks(snapshot, query, earlier),
        Endpoint::Tasks => tasks::answer(snapshot, query),
        Endpoint::Roles => json(query, &Object(roles::Roles::new(snapshot))),
        Endpoint::Logging => meseta_endpoints::logging(query, process),
        Endpoint::SystemStats => meseta_endpoints::system(query, process),
        Endpoint::MetricsSnapshot => {
            meseta_endpoints::metrics(query, || metrics::all(snapshot, process))
        }
        Endpoint::Metrics => prometheus(&metrics::all(snapshot, process), process.timings()),
        Endpoint::Help => help(query, ROUTES, &config.pid.id, rest),
        Endpoint::OpenApi => openapi(query, ROUTES, "Meseta master", &config.version),
    })
}

/// The scheme is left to the client: it may have come through a proxy that ends TLS.
fn redirect(snapshot: &Snapshot) -> Reply {
    let leader = &snapshot.master_info;
    Reply {
        status: 307,
        headers: vec![(
            "Location",
            format!("//{}:{}", leader.hostname(), leader.port),
        )],
        ..Reply::ok()
    }
}

fn teardown(request: &Request<'_>) -> Answer {
    if request.method != "POST" {
        return Answer::Reply(method_not_allowed(&["POST"], request.method));
    }
    let parameters = form(request.body);
    match Query(&parameters).get("frameworkId") {
        Some(id) => Answer::Teardown {
            framework_id: id.into(),
        },
        None => Answer::Reply(Reply::bad_request(
            "Missing 'frameworkId' query parameter in the request body",
        )),
    }
}

/// Reads a body that has the form of a query.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let decode = |part: &str| {
        let part = part.replace('+', " ");
        let decoded = percent_encoding::percent_decode_str(&part).decode_utf8_lossy();
        decoded.trim_end_matches(['\r', '\n']).to_owned()
    };
    text.split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (decode(name), decode(value)),
            None => (decode(pair), String::new()),
        })
        .collect()
}
