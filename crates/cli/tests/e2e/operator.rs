//! What operators see and change, by the operator API of the real master.

use std::io::BufReader;

use serde_json::{Value, json};

use crate::support::daemon::{
    Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent, start_master,
    start_master_at,
};
use crate::support::events::next_record;
use crate::support::http::{self, operator_call};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task};
use crate::support::{eventually, processes};

const JSON: (&str, &str) = ("content-type", "application/json");

fn subscribe(master: std::net::SocketAddr) -> BufReader<http::Body> {
    let call = br#"{"type":"SUBSCRIBE"}"#;
    let open = http::open(master, "POST", "/api/v1", &[JSON], Some(call)).expect("a stream");
    assert_eq!(open.head.status, 200);
    BufReader::new(open.body)
}

/// The next event that is no heartbeat.
fn event(stream: &mut BufReader<http::Body>) -> Value {
    loop {
        let record = next_record(stream).expect("an event");
        let event: Value = serde_json::from_slice(&record).expect("JSON");
        if event["type"] != "HEARTBEAT" {
            return event;
        }
    }
}

#[test]
fn a_watcher_sees_a_task_from_its_start_to_its_end() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let _agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    registered_agents(master.address, 1);
    let mut watcher = subscribe(master.address);
    let first = event(&mut watcher);
    assert_eq!(first["type"], "SUBSCRIBED");
    let agents = &first["subscribed"]["get_state"]["get_agents"]["agents"];
    assert_eq!(agents.as_array().map(Vec::len), Some(1));

    let info = framework("watched");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let added = event(&mut watcher);
    assert_eq!(added["type"], "FRAMEWORK_ADDED");
    let shown = &added["framework_added"]["framework"]["framework_info"];
    assert_eq!(shown["name"], "watched");

    let offer = scheduler.offer();
    scheduler.launch(&offer, &[shell_task("t", "true")]);
    let added = event(&mut watcher);
    assert_eq!(added["task_added"]["task"]["task_id"]["value"], "t");
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        scheduler.expect(state);
        let updated = event(&mut watcher);
        // Beside it stands the latest state, which may be a later one.
        let status = &updated["task_updated"]["status"];
        assert_eq!(status["state"], state, "{updated}");
    }
    scheduler.tell(json!({"type": "TEARDOWN"}));
    assert_eq!(event(&mut watcher)["type"], "FRAMEWORK_REMOVED");
}

#[test]
fn what_operators_reserve_and_schedule_outlives_the_master() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let port = master.address.port();
    let _agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    let agent = registered_agents(master.address, 1).remove(0);
    let reserved = json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1},
        "reservations": [{"type": "DYNAMIC", "role": "web"}]}]);
    let answer = operator_call(
        master.address,
        &json!({"type": "RESERVE_RESOURCES", "reserve_resources":
            {"agent_id": {"value": agent["id"]}, "resources": reserved}}),
    );
    assert_eq!((answer.status(), answer.text()), (202, String::new()));
    let machine = json!({"hostname": "elsewhere"});
    let window = json!({"machine_ids": [machine],
        "unavailability": {"start": {"nanoseconds": 1}}});
    for call in [
        json!({"type": "UPDATE_MAINTENANCE_SCHEDULE",
            "update_maintenance_schedule": {"schedule": {"windows": [window]}}}),
        json!({"type": "START_MAINTENANCE", "start_maintenance": {"machines": [machine]}}),
    ] {
        let answer = operator_call(master.address, &call);
        assert_eq!((answer.status(), answer.text()), (200, String::new()));
    }
    let has_reservation = |master| {
        let agents = http::get(master, "/slaves").json();
        (agents["slaves"][0]["reserved_resources"]["web"]["cpus"] == 1.0).then_some(())
    };
    eventually("the reservation", || has_reservation(master.address));
    let at_agent = || {
        let state = http::get(agent_address(&agent), "/state").json();
        (state["reserved_resources"]["web"]["cpus"] == 1.0).then_some(())
    };
    eventually("the reservation at the agent", at_agent);

    master.kill9();
    let master = start_master_at(&place, port, &[]);
    registered_agents(master.address, 1);
    assert!(has_reservation(master.address).is_some());
    let status = json!({"type": "GET_MAINTENANCE_STATUS"});
    let status = operator_call(master.address, &status).json();
    let status = &status["get_maintenance_status"]["status"];
    assert_eq!(*status, json!({"down_machines": [machine]}));
}

#[test]
fn a_machine_that_goes_down_takes_its_agent_along() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    let shown = registered_agents(master.address, 1).remove(0);
    let machine = json!({"hostname": shown["hostname"], "ip": "127.0.0.1"});
    let schedule = json!({"windows": [{"machine_ids": [machine],
        "unavailability": {"start": {"nanoseconds": 1}}}]});
    let post = |path: &str, body: &Value| {
        let body = body.to_string();
        http::request(master.address, "POST", path, &[], Some(body.as_bytes())).expect("an answer")
    };
    assert_eq!(post("/maintenance/schedule", &schedule).status(), 200);
    assert_eq!(post("/machine/down", &json!([machine])).status(), 200);
    registered_agents(master.address, 0);
    let pid = agent.pid();
    eventually("the agent's end", || (!processes::runs(pid)).then_some(()));
    assert_eq!(post("/machine/up", &json!([machine])).status(), 200);
    let status = http::get(master.address, "/maintenance/status").json();
    assert_eq!(status, json!({}));
}

#[test]
fn more_is_logged_for_a_while() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let level = || http::get(master.address, "/logging/toggle").text();
    assert_eq!(level(), "0\n");
    http::get(master.address, "/logging/toggle?level=1&duration=1hrs");
    assert_eq!(level(), "1\n");
    let call = json!({"type": "SET_LOGGING_LEVEL",
        "set_logging_level": {"level": 2, "duration": {"nanoseconds": 1}}});
    assert_eq!(operator_call(master.address, &call).status(), 200);
    eventually("the end of the time", || (level() == "0\n").then_some(()));
}

#[test]
fn prometheus_finds_every_metric_with_its_unit_and_times_as_histograms() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let _agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    registered_agents(master.address, 1);
    let info = framework("measured");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    scheduler.offer();
    let answer = http::get(master.address, "/metrics");
    let kind = answer.head.header("content-type").expect("a content type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text();
    for line in [
        "# UNIT meseta_master_uptime_seconds seconds",
        "# TYPE meseta_master_messages_register_framework counter",
        "meseta_master_slaves_active 1.0",
        "# TYPE meseta_allocator_allocation_run_seconds histogram",
        "# TYPE meseta_master_event_queue_wait_seconds histogram",
        "# EOF",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
    }
    let shown = http::get(master.address, "/metrics/snapshot").json();
    for name in [
        "allocator/mesos/allocation_run_ms",
        "registrar/state_store_ms",
    ] {
        for end in ["", "/count", "/p50", "/p9999"] {
            assert!(shown[format!("{name}{end}")].is_f64(), "{name}{end}");
        }
    }
}

#[test]
fn every_endpoint_that_help_names_is_there() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let document = http::get(master.address, "/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 30);
    let help = http::get(master.address, "/help").text();
    for (path, methods) in paths {
        assert!(help.contains(path.as_str()), "{path}");
        let of_one = http::get(master.address, &format!("/help{path}")).text();
        let summary = methods.as_object().expect("methods").values().next();
        let summary = summary.expect("a method")["summary"].as_str();
        assert!(of_one.contains(summary.expect("a summary")), "{of_one}");
        // Files are of the process, not of the master in it.
        let prefixes: &[&str] = if path.starts_with("/files") {
            &[""]
        } else {
            &["", "/master"]
        };
        for prefix in prefixes {
            let target = format!("{prefix}{path}");
            let answer = http::request(master.address, "GET", &target, &[], None);
            let answer = answer.expect("an answer");
            let is_unknown = answer.status() == 404 && answer.text() == "404 Not Found.";
            assert!(!is_unknown, "{target}");
        }
    }
}

#[test]
fn large_answers_are_compressed_for_those_who_ask() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let ask = |target: &str, codings: &str| {
        let headers = [("accept-encoding", codings)];
        http::request(master.address, "GET", target, &headers, None).expect("an answer")
    };
    let packed = ask("/openapi.json", "br, gzip;q=0.8");
    assert_eq!(packed.head.header("content-encoding"), Some("gzip"));
    let mut text = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::bufread::GzDecoder::new(&packed.body[..]),
        &mut text,
    )
    .expect("gzip");
    let plain = http::get(master.address, "/openapi.json");
    assert_eq!(plain.head.header("content-encoding"), None);
    assert_eq!(plain.head.header("vary"), Some("Accept-Encoding"));
    assert_eq!(text, plain.body);
    let packed = ask("/openapi.json", "gzip, deflate, br, zstd");
    assert_eq!(packed.head.header("content-encoding"), Some("zstd"));
    assert_eq!(packed.head.header("vary"), Some("Accept-Encoding"));
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(&packed.body[..]).expect("zstd");
    text.clear();
    std::io::Read::read_to_end(&mut decoder, &mut text).expect("zstd");
    assert_eq!(text, plain.body);
    assert_eq!(
        ask("/version", "gzip").head.header("content-encoding"),
        None
    );
}
