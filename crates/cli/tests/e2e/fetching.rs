//! URIs reach sandboxes before their tasks start, and tell why if they do not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::daemon::Cluster;
use crate::support::scheduler::{framework, scalar, shell_task};

/// What a [`Server`] sends of one file before it goes on.
const PIECE: usize = 1 << 20;

/// A web server that knows one file, and counts how often it is asked for it.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(content: Vec<u8>) -> Self {
        Self::repeating(content, 1)
    }

    /// The file is this piece so many times.
    fn repeating(content: Vec<u8>, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let content = Arc::new(content);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (content, counter) = (Arc::clone(&content), Arc::clone(&counter));
                std::thread::spawn(move || {
                    let mut connection = connection.expect("a connection");
                    let copy = connection.try_clone().expect("a descriptor");
                    let mut lines = BufReader::new(copy).lines();
                    while lines
                        .next()
                        .is_some_and(|line| line.is_ok_and(|l| !l.is_empty()))
                    {}
                    counter.fetch_add(1, Ordering::SeqCst);
                    let length = content.len() * times;
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n");
                    // A fetch that is cancelled does not read to the end.
                    let _ = connection
                        .write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
                        .and_then(|()| (0..times).try_for_each(|_| connection.write_all(&content)));
                });
            }
        });
        Self { address, asked }
    }

    /// Accepts connections and never answers.
    fn silent() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        (listener.local_addr().expect("an address"), listener)
    }

    fn uri(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn task_with(id: &str, command: &str, uri: &Value) -> Value {
    let mut task = shell_task(id, command);
    task["command"]["uris"] = json!([uri]);
    task
}

#[test]
fn an_executor_that_is_fetched_over_http_runs() {
    let script = b"#!/bin/sh\necho \"$MESOS_EXECUTOR_ID\" > ran\nexit 7\n".to_vec();
    let server = Server::start(script);
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("fetching"));
    let offer = scheduler.offer();
    let task = json!({
        "name": "custom",
        "task_id": {"value": "custom"},
        "executor": {
            "executor_id": {"value": "fetched"},
            "framework_id": offer["framework_id"],
            "command": {
                "value": "./executor",
                "uris": [{"value": server.uri("executor"), "executable": true}],
            },
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        },
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
    });
    scheduler.launch(&offer, &[task]);
    // It ends without ever having subscribed.
    let status = scheduler.expect("TASK_FAILED");
    assert_eq!(status["reason"], "REASON_EXECUTOR_TERMINATED", "{status}");
    let sandbox = cluster.place.sandboxes().remove(0);
    let ran = std::fs::read_to_string(sandbox.join("ran")).expect("a trace");
    assert_eq!(ran, "fetched\n");
    let said = std::fs::read_to_string(sandbox.join("stderr")).expect("its stderr");
    assert!(
        said.contains("Successfully fetched all URIs into"),
        "{said}"
    );
}

#[test]
fn fifty_tasks_that_want_the_same_share_one_download() {
    let size = 100 * PIECE;
    let server = Server::repeating(vec![b'x'; PIECE], 100);
    let cluster = Cluster::with(&["--resources=cpus:50;mem:50000;disk:1000"]);
    let mut scheduler = cluster.subscribe(framework("fetching"));
    let offer = scheduler.offer();
    let uri = json!({"value": server.uri("data"), "cache": true});
    let command = format!("test $(wc -c < data) -eq {size} && rm data");
    let tasks: Vec<Value> = (0..50)
        .map(|number| task_with(&format!("t{number}"), &command, &uri))
        .collect();
    scheduler.launch(&offer, &tasks);
    let mut finished = 0;
    while finished < tasks.len() {
        let status = scheduler.acknowledged_update();
        assert_ne!(status["state"], "TASK_FAILED", "{status}");
        finished += usize::from(status["state"] == "TASK_FINISHED");
    }
    assert_eq!(server.asked(), 1);
}

#[test]
fn what_cannot_be_fetched_fails_the_task_and_says_why_in_its_sandbox() {
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("fetching"));
    let missing = json!({"value": "/nowhere/to/be/found"});
    scheduler.start(&task_with("t", "true", &missing));
    let status = scheduler.expect("TASK_FAILED");
    assert_eq!(
        status["reason"], "REASON_CONTAINER_LAUNCH_FAILED",
        "{status}"
    );
    let sandbox = cluster.place.sandboxes().remove(0);
    let container = sandbox
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let sentence = format!(
        "Failed to launch container: Failed to fetch all URIs for container '{container}': exited \
         with status 1: Failed to fetch '/nowhere/to/be/found': Failed to copy \
         '/nowhere/to/be/found': No such file or directory (os error 2)"
    );
    assert_eq!(status["message"], sentence);
    let said = std::fs::read_to_string(sandbox.join("stderr")).expect("its stderr");
    assert!(
        said.contains("Failed to fetch '/nowhere/to/be/found'"),
        "{said}"
    );
}

#[test]
fn a_download_holds_up_no_other_task_and_ends_with_its_own() {
    let (address, listener) = Server::silent();
    let cluster = Cluster::with(&[
        crate::support::daemon::RESOURCES,
        "--executor_registration_timeout=3secs",
    ]);
    let mut scheduler = cluster.subscribe(framework("fetching"));
    let slow = json!({"value": format!("http://{address}/slow"), "cache": true});
    scheduler.start(&task_with("slow", "true", &slow));
    let (_connection, _) = listener.accept().expect("a request");
    scheduler.start(&shell_task("quick", "true"));
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        assert_eq!(scheduler.expect(state)["task_id"]["value"], "quick");
    }
    // The executor does not come in time, and is destroyed: the download goes with it.
    let status = scheduler.expect("TASK_FAILED");
    assert_eq!(status["task_id"]["value"], "slow", "{status}");
}
