//! All endpoints of the agent.

use meseta_endpoints::{Parameter, Route};

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    ExecutorApi,
    OperatorApi,
    State,
    Containers,
    Statistics,
    Pending,
    Health,
    Version,
    Flags,
    Metrics,
    MetricsSnapshot,
    SystemStats,
    Logging,
    Help,
    OpenApi,
    /// Files, which the process around the machine answers for.
    Files,
}

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];

const JSONP: Parameter = (
    "jsonp",
    "a function to call with the answer, for older pages",
);
const PATH: Parameter = ("path", "the path, as /files/debug shows it");

const fn route(
    endpoint: Endpoint,
    methods: &'static [&'static str],
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
) -> Route<Endpoint> {
    Route {
        endpoint,
        path,
        methods,
        summary,
        parameters,
    }
}

/// Every endpoint, in the order of their importance to people.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route<Endpoint>] = &[
    route(Endpoint::ExecutorApi, POST, "/api/v1/executor", "The API of executors: calls, and a stream of events for SUBSCRIBE.", &[]),
    route(Endpoint::OperatorApi, POST, "/api/v1", "The API of operators, and of executors that have containers inside of their own.", &[]),
    route(Endpoint::State, GET, "/state", "The agent, its frameworks, executors and tasks.", &[JSONP]),
    route(Endpoint::Containers, GET, "/containers", "Containers: whose they are, and what they use and may use.", &[("framework_id", "only those of this framework"), ("executor_id", "only those of this executor"), ("container_id", "only this one"), ("show_nested", "whether to show those inside of others"), ("show_standalone", "whether to show those that are of no executor; there are none"), JSONP]),
    route(Endpoint::Statistics, GET, "/monitor/statistics", "What the containers of executors use and may use.", &[JSONP]),
    route(Endpoint::Pending, GET, "/containerizer/debug", "Containers that are being started or destroyed.", &[JSONP]),
    route(Endpoint::Health, GET, "/health", "200 while the agent answers.", &[]),
    route(Endpoint::Version, GET, "/version", "The version.", &[JSONP]),
    route(Endpoint::Flags, GET, "/flags", "The flags in effect.", &[JSONP]),
    route(Endpoint::MetricsSnapshot, GET, "/metrics/snapshot", "All metrics, by the names of Mesos.", &[("timeout", "not needed: every value is at hand"), JSONP]),
    route(Endpoint::Metrics, GET, "/metrics", "All metrics in the text that Prometheus reads.", &[]),
    route(Endpoint::SystemStats, GET, "/system/stats", "Load, processors and memory of the machine.", &[JSONP]),
    route(Endpoint::Logging, &["GET", "POST"], "/logging/toggle", "Logs more for some time; without parameters, tells how much more.", &[("level", "0 is nothing more, 1 details, 2 everything"), ("duration", "for how long, such as 15mins")]),
    route(Endpoint::Help, GET, "/help", "This list, or what one endpoint takes.", &[("format", "json for programs")]),
    route(Endpoint::OpenApi, GET, "/openapi", "This list as an OpenAPI document.", &[JSONP]),
    route(Endpoint::Files, GET, "/files/browse", "The entries of a folder.", &[PATH, JSONP]),
    route(Endpoint::Files, GET, "/files/read", "A piece of a file.", &[PATH, ("offset", "where it begins; -1 asks for the size"), ("length", "how many bytes"), JSONP]),
    route(Endpoint::Files, GET, "/files/download", "A whole file.", &[PATH]),
    route(Endpoint::Files, GET, "/files/debug", "Which paths lead where.", &[JSONP]),
];
