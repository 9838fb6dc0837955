use meseta_proto::v1::master::call::Type;

use super::routes::{Endpoint, ROUTES};
use super::{Request, operator};
use crate::limits::MAX_READ_CALL;
use meseta_endpoints::{Weight, find, route};

/// The weight of a request to the process of that name.
pub fn weight(process: &str, request: &Request<'_>) -> Weight {
    let segments = route(request.path, process);
    let Some((found, rest)) = find(ROUTES, &segments) else {
        return Weight::Ordinary;
    };
    match found.endpoint {
        Endpoint::Health | Endpoint::Version => Weight::Light,
        Endpoint::Redirect if rest.is_empty() => Weight::Light,
        Endpoint::State
        | Endpoint::StateSummary
        | Endpoint::Agents
        | Endpoint::Frameworks
        | Endpoint::Tasks
        | Endpoint::Roles
        | Endpoint::Metrics
        | Endpoint::MetricsSnapshot => Weight::Heavy,
        // No call that reads is longer, and larger ones take their time to parse.
        Endpoint::OperatorApi if request.body.len() > MAX_READ_CALL => Weight::Ordinary,
        Endpoint::OperatorApi if asks_for_much(request) => Weight::Heavy,
        _ => Weight::Ordinary,
    }
}

fn asks_for_much(request: &Request<'_>) -> bool {
    use Type::{
        GetAgents, GetExecutors, GetFrameworks, GetMetrics, GetOperations, GetRoles, GetState,
        GetTasks,
    };
    operator::kind(request).is_some_and(|kind| {
        matches!(
            kind,
            GetAgents
                | GetExecutors
                | GetFrameworks
                | GetMetrics
                | GetOperations
                | GetRoles
                | GetState
                | GetTasks
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, path: &str, body: &str) -> Weight {
        let request = Request {
            method,
            path,
            query: &[],
            content_type: Some("application/json"),
            accept: None,
            stream_id: None,
            last_event_id: None,
            host: None,
            body: body.as_bytes(),
        };
        weight("master", &request)
    }

    #[test]
    fn what_grows_with_the_cluster_is_heavy_and_what_monitors_live_by_is_light() {
        for path in [
            "/state",
            "/master/state.json",
            "/metrics/snapshot",
            "/master/tasks/",
        ] {
            assert_eq!(of("GET", path, ""), Weight::Heavy, "{path}");
        }
        assert_eq!(of("GET", "/master/health", ""), Weight::Light);
        assert_eq!(of("HEAD", "/master/redirect", ""), Weight::Light);
        assert_eq!(of("GET", "/files/browse", ""), Weight::Ordinary);
    }

    #[test]
    fn a_large_call_is_not_parsed_before_its_turn() {
        let padded = |bytes| format!(r#"{{"type":"GET_STATE"{}}}"#, " ".repeat(bytes));
        assert_eq!(of("POST", "/api/v1", &padded(100)), Weight::Heavy);
        assert_eq!(
            of("POST", "/api/v1", &padded(MAX_READ_CALL)),
            Weight::Ordinary
        );
    }

    #[test]
    fn calls_that_change_something_are_never_shared() {
        let call = |kind: &str| of("POST", "/api/v1", &format!(r#"{{"type":"{kind}"}}"#));
        assert_eq!(call("GET_TASKS"), Weight::Heavy);
        assert_eq!(call("GET_VERSION"), Weight::Ordinary);
        for kind in ["UPDATE_QUOTA", "SUBSCRIBE", "MARK_AGENT_GONE", "nonsense"] {
            assert_eq!(call(kind), Weight::Ordinary, "{kind}");
        }
        let call = r#"{"type":"REVIVE","revive":{}}"#;
        assert_eq!(of("POST", "/api/v1/scheduler", call), Weight::Ordinary);
    }
}
