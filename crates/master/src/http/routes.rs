//! All endpoints of the master.

use meseta_endpoints::{Parameter, Route};

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    SchedulerApi,
    OperatorApi,
    State,
    StateSummary,
    Agents,
    Frameworks,
    Tasks,
    Roles,
    Weights,
    Quota,
    MaintenanceSchedule,
    MaintenanceStatus,
    MachineDown,
    MachineUp,
    Reserve,
    Unreserve,
    CreateVolumes,
    DestroyVolumes,
    Teardown,
    Why,
    Health,
    Version,
    Flags,
    Redirect,
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
const AGENT: Parameter = ("slaveId", "the agent's id");
const RESOURCES: Parameter = ("resources", "the resources, an array in JSON");
const VOLUMES: Parameter = ("volumes", "the volumes, an array in JSON");
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

#[rustfmt::skip] // A table.
pub(super) const ROUTES: &[Route<Endpoint>] = &[
    route(Endpoint::SchedulerApi, POST, "/api/v1/scheduler", "Calls of schedulers; SUBSCRIBE answers with a stream of events.", &[]),
    route(Endpoint::OperatorApi, POST, "/api/v1", "Calls of operators; SUBSCRIBE answers with a stream of events.", &[
        ("state", "false: a stream of events begins without the state of the cluster"),
        ("last_event_id", "the last event that was seen: a stream begins with those after it; as the header Last-Event-ID"),
    ]),
    route(Endpoint::State, GET, "/state", "All agents, frameworks and tasks.", &[JSONP]),
    route(Endpoint::StateSummary, GET, "/state-summary", "All agents and frameworks, with the numbers of their tasks.", &[JSONP]),
    route(Endpoint::Agents, GET, "/slaves", "All agents.", &[("slave_id", "only this agent"), JSONP]),
    route(Endpoint::Frameworks, GET, "/frameworks", "All frameworks with their tasks.", &[("framework_id", "only this framework"), JSONP]),
    route(Endpoint::Tasks, GET, "/tasks", "Tasks of all frameworks, a page at a time.", &[
        ("framework_id", "only tasks of this framework"),
        ("task_id", "only tasks of this id"),
        ("slave_id", "only tasks of this agent"),
        ("state", "only tasks in one of these states, such as TASK_RUNNING,TASK_LOST"),
        ("search", "only tasks with this text in their id or name, in capitals or not"),
        ("history", "true: each task also with its statuses in whole, with reasons and messages"),
        ("total", "true: also says how many tasks there are to page through"),
        ("limit", "how many; 100 unless given, -1 for all"),
        ("offset", "how many are left out before"),
        ("order", "asc: the oldest first; des: the latest first"),
        JSONP,
    ]),
    route(Endpoint::Roles, GET, "/roles", "All roles with their weights, quotas and resources.", &[JSONP]),
    route(Endpoint::Weights, &["GET", "PUT"], "/weights", "Weights of roles; PUT sets those of an array in JSON.", &[]),
    route(Endpoint::Quota, &["GET", "POST", "DELETE"], "/quota", "Quotas of roles; POST sets the one of its body, DELETE /quota/<role> takes it away.", &[]),
    route(Endpoint::MaintenanceSchedule, &["GET", "POST"], "/maintenance/schedule", "When machines will be away; POST replaces it by its body, in JSON.", &[]),
    route(Endpoint::MaintenanceStatus, GET, "/maintenance/status", "Which machines are to be emptied or are away, and what frameworks say to it.", &[JSONP]),
    route(Endpoint::MachineDown, POST, "/machine/down", "Machines of the schedule are away from now on: an array in JSON.", &[]),
    route(Endpoint::MachineUp, POST, "/machine/up", "Machines are back: an array in JSON.", &[]),
    route(Endpoint::Reserve, POST, "/reserve", "Reserves free resources of an agent for a role.", &[AGENT, RESOURCES, ("source", "the reserved resources that are reserved otherwise, an array in JSON")]),
    route(Endpoint::Unreserve, POST, "/unreserve", "Takes reservations back.", &[AGENT, RESOURCES]),
    route(Endpoint::CreateVolumes, POST, "/create-volumes", "Makes persistent volumes on reserved disk.", &[AGENT, VOLUMES]),
    route(Endpoint::DestroyVolumes, POST, "/destroy-volumes", "Destroys persistent volumes with all that is in them.", &[AGENT, VOLUMES]),
    route(Endpoint::Teardown, POST, "/teardown", "Ends a framework with all its tasks.", &[("frameworkId", "the framework's id")]),
    route(Endpoint::Why, GET, "/why", "Why a framework gets no offers.", &[("framework_id", "the framework"), ("nearest", "how many agents are shown that come nearest"), JSONP]),
    route(Endpoint::Health, &["GET", "HEAD"], "/health", "Answers 200 while the master lives.", &[]),
    route(Endpoint::Version, GET, "/version", "The version.", &[JSONP]),
    route(Endpoint::Flags, GET, "/flags", "The flags that the master runs with.", &[JSONP]),
    route(Endpoint::Redirect, &["GET", "HEAD"], "/redirect", "Leads to the leading master.", &[]),
    route(Endpoint::Metrics, GET, "/metrics", "All metrics, in the text that Prometheus reads.", &[]),
    route(Endpoint::MetricsSnapshot, GET, "/metrics/snapshot", "All metrics, under Mesos's names.", &[("timeout", "taken, and not needed: every value is at hand"), JSONP]),
    route(Endpoint::SystemStats, GET, "/system/stats", "Load, processors and memory of the machine.", &[JSONP]),
    route(Endpoint::Logging, &["GET", "POST"], "/logging/toggle", "How much is logged; sets it for a time.", &[("level", "0: as the flags say; 1: details; more: everything"), ("duration", "for how long, such as 15mins")]),
    route(Endpoint::Help, GET, "/help", "This list; /help/<endpoint> tells more of one.", &[("format", "json: for programs"), JSONP]),
    route(Endpoint::OpenApi, GET, "/openapi", "This list as an OpenAPI document.", &[]),
    route(Endpoint::Files, GET, "/files/browse", "The entries of a folder.", &[PATH, JSONP]),
    route(Endpoint::Files, GET, "/files/read", "A piece of a file.", &[PATH, ("offset", "where it begins; -1 asks for the size"), ("length", "how many bytes"), JSONP]),
    route(Endpoint::Files, GET, "/files/download", "A whole file.", &[PATH]),
    route(Endpoint::Files, GET, "/files/debug", "Which paths lead where.", &[JSONP]),
];
