//! URIs reach sandboxes before their tasks start, and tell why if they do not.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, Place, RESOURCES, scheduler_api, start_agent, start_master};
use crate::support::scheduler::{Scheduler, Voice, framework, scalar, shell_task};
use crate::support::web::{self, Reply, Silent};
use crate::support::{eventually, processes};

/// What a [`Server`] sends of one file before it goes on.
const PIECE: usize = 1 << 20;

/// A web server that knows one file by every name, and what it was asked for.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(content: Vec<u8>) -> Self {
        Self::repeating(content, 1)
    }

    /// The file is this piece so many times.
    fn repeating(content: Vec<u8>, times: usize) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        let address = web::serve(move |request| {
            let name = request.target.trim_start_matches('/').to_owned();
            told.lock().expect("no panic holds it").push(name);
            Reply::ok(content.clone()).times(times)
        });
        Self { address, asked }
    }

    fn uri(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().expect("no panic holds it");
        asked.iter().filter(|it| *it == name).count()
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
    assert_eq!(server.asked("data"), 1);
    // One of them has downloaded, and told how far it was.
    let sandboxes = cluster.place.sandboxes();
    let said = sandboxes
        .iter()
        .map(|sandbox| std::fs::read_to_string(sandbox.join("stderr")).expect("its stderr"));
    let milestone = format!(" of {size} bytes of '{}' so far", server.uri("data"));
    let downloads = said.filter(|said| said.contains(&milestone)).count();
    assert_eq!((sandboxes.len(), downloads), (50, 1));
}

#[test]
fn what_was_not_used_for_longest_leaves_the_cache_first() {
    let server = Server::start(vec![b'x'; PIECE]);
    let large = Server::repeating(vec![b'x'; PIECE], 4);
    let cluster = Cluster::with(&[RESOURCES, "--fetcher_cache_size=3MB"]);
    let mut scheduler = cluster.subscribe(framework("fetching"));
    let mut number = 0;
    let mut fetch = |server: &Server, name: &str| {
        number += 1;
        let uri = json!({"value": server.uri(name), "cache": true});
        scheduler.start(&task_with(
            &format!("t{number}"),
            &format!("test -s {name}"),
            &uri,
        ));
        for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
            scheduler.expect(state);
        }
        server.asked(name)
    };
    for (name, asked) in [
        ("a", 1),
        ("b", 1),
        ("c", 1),
        ("a", 1),
        ("d", 1),
        ("a", 1),
        ("b", 2),
        ("d", 1),
    ] {
        assert_eq!(fetch(&server, name), asked, "{name}");
    }
    // What the cache cannot hold goes past it.
    fetch(&large, "large");
    let work = cluster.place.join("work");
    let kept = files_below(&work).filter(|it| is_cached(it));
    let sizes: Vec<u64> = kept
        .map(|it| it.metadata().expect("its size").len())
        .collect();
    assert_eq!(sizes, [PIECE as u64; 3]);
}

#[test]
fn an_agent_that_dies_while_it_fetches_leaves_no_process_and_no_half_file() {
    let server = Silent::start();
    let place = Place::new();
    let master = start_master(&place, &[]);
    let flags = [RESOURCES, "--registration_backoff_factor=10ms"];
    let agent = start_agent(&place, master.address, 0, &flags);
    let mut info = framework("fetching");
    info["checkpoint"] = json!(true);
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let uri = json!({"value": format!("http://{}/data", server.address), "cache": true});
    let command = format!("test $(wc -c < data) -eq {PIECE} && ! grep -q half data");
    scheduler.start(&task_with("t", &command, &uri));
    let mut fetch = server.request();
    fetch.answer(PIECE, "half".repeat(PIECE / 8).as_bytes());
    let folder = place.join("agent");
    eventually("half of the file in the cache", || {
        files_below(&folder)
            .find(|it| is_cached(it) && it.metadata().is_ok_and(|it| it.len() == PIECE as u64 / 2))
    });
    agent.kill9();
    eventually("the end of the fetch with its agent", || {
        processes::with_traces_of(&folder).is_empty().then_some(())
    });
    // Its next life begins the task anew, and takes nothing for what it is not.
    let _agent = start_agent(&place, master.address, 0, &flags);
    server.request().answer(PIECE, &vec![b'x'; PIECE]);
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        scheduler.expect(state);
    }
}

/// Whether a file is one of the cache.
fn is_cached(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "fetch")
}

/// The files below a folder, wherever.
fn files_below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        // It may be gone by now.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.into_iter()
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
    let server = Silent::start();
    let cluster = Cluster::with(&[RESOURCES, "--executor_registration_timeout=3secs"]);
    let mut scheduler = cluster.subscribe(framework("fetching"));
    let slow = json!({"value": format!("http://{}/slow", server.address), "cache": true});
    scheduler.start(&task_with("slow", "true", &slow));
    let _fetch = server.request();
    scheduler.start(&shell_task("quick", "true"));
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        assert_eq!(scheduler.expect(state)["task_id"]["value"], "quick");
    }
    // The executor does not come in time, and is destroyed: the download goes with it.
    let status = scheduler.expect("TASK_FAILED");
    assert_eq!(status["task_id"]["value"], "slow", "{status}");
}
