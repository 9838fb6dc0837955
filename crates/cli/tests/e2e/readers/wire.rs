//! What careless and strict clients need of requests, answers and streams.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use meseta_proto::v1::scheduler;
use serde_json::{Value, json};

use crate::support::daemon::{
    Cluster, Place, RESOURCES, agent_address, registered_agents, start_agent, start_master,
};
use crate::support::events::next_record;
use crate::support::http::{self, operator_call};
use crate::support::scheduler::{framework, shell_task};

/// The lines of an answer's head, and what comes after it, byte for byte.
fn exchange(address: SocketAddr, request: &str) -> (Vec<String>, BufReader<TcpStream>) {
    let mut socket = TcpStream::connect(address).expect("a connection");
    let patience = Some(crate::support::PATIENCE);
    socket.set_read_timeout(patience).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("the request");
    let mut reader = BufReader::new(socket);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line of the head");
        match line.strip_suffix("\r\n").expect("a whole line") {
            "" => return (head, reader),
            line => head.push(line.to_owned()),
        }
    }
}

/// A SUBSCRIBE as a client without a library writes it; `more` are lines of its head.
fn subscribe(path: &str, more: &str, info: &Value) -> String {
    let body = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}).to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: application/json\r\n\
         {more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One chunk of a body, as it was framed.
fn chunk(from: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut size = String::new();
    from.read_line(&mut size).expect("the size of a chunk");
    let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
    let mut chunk = vec![0; size + 2];
    from.read_exact(&mut chunk).expect("a chunk");
    assert_eq!(chunk.split_off(size), b"\r\n");
    chunk
}

/// The record that a chunk is, whole and alone.
fn record(chunk: &[u8]) -> Value {
    let (length, text) = std::str::from_utf8(chunk)
        .expect("text")
        .split_once('\n')
        .expect("a length and a record");
    assert_eq!(length.parse(), Ok(text.len()), "bytes of {text}");
    assert!(!text.contains('\n'), "{text}");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn each_record_is_a_chunk_of_its_own_with_its_length_in_bytes_and_no_other_newline() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let mut info = framework("Käse\nund Brot");
    info["labels"] = json!({"labels": [{"key": "größe", "value": "𝄞"}]});
    let (_, mut body) = exchange(cluster.master(), &subscribe("/api/v1/scheduler", "", &info));
    for kind in ["SUBSCRIBED", "HEARTBEAT", "OFFERS"] {
        assert_eq!(record(&chunk(&mut body))["type"], kind);
    }
    // The operators' stream holds the name.
    let request = "POST /api/v1 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                   content-length: 20\r\n\r\n{\"type\":\"SUBSCRIBE\"}";
    let (_, mut body) = exchange(cluster.master(), request);
    let first = chunk(&mut body);
    assert!(first.len() > String::from_utf8_lossy(&first).chars().count());
    let frameworks = &record(&first)["subscribed"]["get_state"]["get_frameworks"];
    let shown = &frameworks["frameworks"][0]["framework_info"];
    assert_eq!(shown["name"], info["name"]);
    assert_eq!(shown["labels"], info["labels"]);
    assert_eq!(record(&chunk(&mut body))["type"], "HEARTBEAT");
}

#[test]
fn a_heartbeat_follows_the_subscription_at_once() {
    // Without agents nothing else comes that would end the first record for those who wait for the next.
    let place = Place::new();
    let master = start_master(&place, &[]);
    let request = subscribe("/api/v1/scheduler", "", &framework("waits"));
    let (_, mut body) = exchange(master.address, &request);
    let first = chunk(&mut body);
    let text = String::from_utf8_lossy(&first).into_owned();
    // Numbers with a point keep it.
    assert!(
        text.contains(r#""heartbeat_interval_seconds":15.0"#),
        "{text}"
    );
    assert_eq!(record(&first)["type"], "SUBSCRIBED");
    assert_eq!(record(&chunk(&mut body))["type"], "HEARTBEAT");
}

#[test]
fn streams_flow_to_those_who_close_and_paths_are_found_however_they_are_joined() {
    let cluster = Cluster::start();
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    for path in [
        "/api/v1/scheduler",
        "//api/v1/scheduler",
        "/master/api/v1/scheduler",
    ] {
        let request = subscribe(path, "Connection: close\r\n", &framework("closes"));
        let (head, mut body) = exchange(cluster.master(), &request);
        assert_eq!(head[0], "HTTP/1.1 200 OK", "{path}");
        assert!(
            head.contains(&"Transfer-Encoding: chunked".to_owned()),
            "{head:?}"
        );
        assert!(
            head.contains(&"Content-Type: application/json".to_owned()),
            "{head:?}"
        );
        assert!(
            head.iter()
                .any(|line| line.starts_with("Mesos-Stream-Id: ")),
            "{head:?}"
        );
        for kind in ["SUBSCRIBED", "HEARTBEAT", "OFFERS"] {
            assert_eq!(record(&chunk(&mut body))["type"], kind, "{path}");
        }
    }
    for (address, paths) in [
        (
            cluster.master(),
            &[
                "/state",
                "/state.json",
                "/master/state.json",
                "//master//state",
                "/tasks/",
                "/master/frameworks/",
                "/slaves/anything",
                "/metrics/snapshot",
            ][..],
        ),
        (
            agent,
            &[
                "/state",
                "/slave(1)/state",
                "/slave(1)/state.json",
                "/slave%281%29/state",
                "/monitor/statistics",
                "/monitor/statistics.json",
                "/slave(1)/monitor/statistics.json",
            ],
        ),
    ] {
        for path in paths {
            http::get(address, path).json();
        }
    }
}

#[test]
fn unknown_fields_are_passed_over_and_lists_in_lists_are_flattened() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let body = json!({
        "type": "SUBSCRIBE",
        "subscribe": {
            "framework_info": {
                "user": "root",
                "name": "careless",
                "hostname": "",
                "webui_url": "",
                "capabilities": [[{"type": "MULTI_ROLE"}], {"type": "PARTITION_AWARE"}],
                "roles": ["a", ["b"]],
                "invented": {"deep": [1, {"x": null}]},
            },
            "credentials": {"principal": "p", "secret": "s"},
        },
        "also_invented": true,
    });
    let headers = [("content-type", "application/json")];
    let open = http::open(
        cluster.master(),
        "POST",
        "/api/v1/scheduler",
        &headers,
        Some(body.to_string().as_bytes()),
    )
    .expect("a stream");
    assert_eq!(open.head.status, 200);
    let state = http::get(cluster.master(), "/frameworks").json();
    let shown = &state["frameworks"][0];
    assert_eq!(shown["roles"], json!(["a", "b"]));
    assert_eq!(
        shown["capabilities"],
        json!(["MULTI_ROLE", "PARTITION_AWARE"])
    );
}

/// What a strict client does with an event: it knows the fields and names of Mesos, and no others.
fn understood(event: &Value) -> Value {
    let text = event.to_string();
    let strict: scheduler::Event =
        meseta_proto::json::from_slice(text.as_bytes()).expect("an event");
    serde_json::from_slice(&meseta_proto::json::to_vec(&strict)).expect("its JSON")
}

#[test]
fn events_hold_no_field_and_no_name_that_strict_clients_do_not_know() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("strict"));
    let subscribed = json!({"type": "SUBSCRIBED", "subscribed": scheduler.subscribed});
    assert_eq!(understood(&subscribed), subscribed);
    let offer = scheduler.offer();
    let offers = json!({"type": "OFFERS", "offers": {"offers": [offer]}});
    assert_eq!(understood(&offers), offers);
    let answer = scheduler.launch(&offer, &[shell_task("t", "exit 3")]);
    assert_eq!(answer.status(), 202);
    scheduler.tell(json!({"type": "RECONCILE", "reconcile": {
        "tasks": [{"task_id": {"value": "nobody's"}}],
    }}));
    let mut kinds = BTreeSet::new();
    let mut has_failed = false;
    while !has_failed {
        let event = scheduler.any();
        assert_eq!(understood(&event), event);
        let status = &event["update"]["status"];
        scheduler.acknowledge(status);
        has_failed = status["state"] == "TASK_FAILED";
        kinds.insert(event["type"].as_str().expect("a type").to_owned());
    }
    for kind in ["HEARTBEAT", "UPDATE"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

#[test]
fn numbers_and_bytes_are_written_as_mesos_writes_them() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let agents = operator_call(cluster.master(), &json!({"type": "GET_AGENTS"})).text();
    let (_, time) = agents
        .split_once(r#""registered_time":{"nanoseconds":"#)
        .expect("a time");
    assert!(time.starts_with(|c: char| c.is_ascii_digit()), "{time:.20}");
    let (_, port) = agents.split_once(r#""begin":"#).expect("a range");
    assert!(port.starts_with("31000,"), "{port:.20}");
    assert!(agents.contains(r#""scalar":{"value":4.0}"#), "{agents}");

    let mut scheduler = cluster.subscribe(framework("bytes"));
    let update = scheduler.start_and_see_running(&shell_task("t", "sleep 1000"));
    let uuid = update["uuid"].as_str().expect("text");
    // 16 bytes in base64.
    assert!(uuid.len() == 24 && uuid.ends_with("=="), "{uuid}");
    assert!(update["timestamp"].is_f64(), "{update}");
}

#[test]
fn versions_are_three_numbers_wherever_they_are_told() {
    let cluster = Cluster::start();
    let agent = &registered_agents(cluster.master(), 1)[0];
    let scheduler = cluster.subscribe(framework("reads versions"));
    let at = |address, path: &str| http::get(address, path).json()["version"].clone();
    for version in [
        at(cluster.master(), "/version"),
        at(cluster.master(), "/state"),
        at(agent_address(agent), "/version"),
        at(agent_address(agent), "/state"),
        agent["version"].clone(),
        scheduler.subscribed["master_info"]["version"].clone(),
    ] {
        let parts = version.as_str().expect("text").split('.');
        let numbers: Vec<u32> = parts.map(|it| it.parse().expect("a number")).collect();
        assert_eq!(numbers, [1, 11, 0]);
    }
}

#[test]
fn answers_have_the_reasons_that_clients_look_for() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    registered_agents(master.address, 1);
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    for (address, request, line) in [
        (master.address, get("/health"), "HTTP/1.1 200 OK"),
        (
            master.address,
            post("/api/v1/scheduler", "{}"),
            "HTTP/1.1 400 Bad Request",
        ),
        (
            master.address,
            get("/api/v1/scheduler"),
            "HTTP/1.1 405 Method Not Allowed",
        ),
        (master.address, get("/nothing"), "HTTP/1.1 404 Not Found"),
        (
            agent.address,
            post("/api/v1/executor", "{}"),
            "HTTP/1.1 400 Bad Request",
        ),
        (
            agent.address,
            get("/slave(1)/api/v1/executor"),
            "HTTP/1.1 405 Method Not Allowed",
        ),
    ] {
        let (head, _) = exchange(address, &request);
        assert_eq!(head[0], line, "{request}");
        let wants = head.iter().any(|line| line == "Allow: POST");
        assert_eq!(wants, line.contains("405"), "{head:?}");
    }
}

#[test]
fn the_leader_is_named_without_a_scheme() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    for method in ["GET", "HEAD"] {
        for path in ["/redirect", "/master/redirect"] {
            let (head, _) = exchange(
                master.address,
                &format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n"),
            );
            assert_eq!(
                head[0], "HTTP/1.1 307 Temporary Redirect",
                "{method} {path}"
            );
            let location = format!("Location: //{}", master.address);
            assert!(head.contains(&location), "{head:?}");
        }
    }
}

#[test]
fn the_capability_of_quotas_has_its_name() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let answer = operator_call(master.address, &json!({"type": "GET_MASTER"})).json();
    let shown = &answer["get_master"]["master_info"]["capabilities"];
    let all = shown.as_array().expect("a list");
    assert!(all.contains(&json!({"type": "QUOTA_V2"})), "{shown}");
    assert!(all.iter().all(|it| it["type"].is_string()), "{shown}");
}

#[test]
fn metrics_come_at_once_with_and_without_a_timeout() {
    let cluster = Cluster::start();
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    for (address, metric) in [
        (cluster.master(), "master/uptime_secs"),
        (agent, "slave/uptime_secs"),
    ] {
        for query in ["", "?timeout=100ms", "?timeout=1ns", "?timeout=5secs"] {
            let shown = http::get(address, &format!("/metrics/snapshot{query}")).json();
            assert!(shown[metric].is_number(), "{query}: {shown}");
        }
    }
}

#[test]
fn records_come_in_protobuf_for_those_who_ask_for_it() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let request = subscribe("/api/v1/scheduler", "", &framework("binary"))
        .replace("accept: application/json", "accept: application/x-protobuf");
    let (head, mut body) = exchange(cluster.master(), &request);
    assert!(
        head.contains(&"Content-Type: application/x-protobuf".to_owned()),
        "{head:?}"
    );
    let chunk = chunk(&mut body);
    let record = next_record(&mut chunk.as_slice()).expect("a record");
    let event: scheduler::Event = meseta_proto::decode(&record).expect("an event");
    assert_eq!(event.r#type(), scheduler::event::Type::Subscribed);
}
