//! The curl tutorial from start to end: a framework made of nothing but HTTP requests, on a
//! cluster of one command, and what its reader sees in the browser meanwhile.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::daemon::{Cluster, Place, RESOURCES, agent_address, registered_agents};
use crate::support::scheduler::{Scheduler, Voice, scalar, text};
use crate::support::{eventually, http, skip};

const LOOP: &str = "shell hello world loop";
const DOCKER: &str = "docker nginx";

/// Written for bash, run by sh: `[[` is not found there, and the loop goes on by that.
const LOOP_COMMAND: &str =
    "i=0; while [[ true ]] || true; do i=$((i+1)); echo hello world $i; sleep 0.2; done";

#[test]
fn the_tutorial_runs_to_its_end_with_nothing_but_curl() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("curl is not installed");
    }
    run(Voice::CURL);
}

#[test]
fn the_tutorial_runs_to_its_end_with_protobuf_on_request_and_stream() {
    run(Voice::PROTOBUF);
}

#[test]
fn calls_in_protobuf_are_answered_by_events_in_json_when_a_scheduler_wants_that() {
    let cluster = Cluster::start();
    for voice in [
        Voice {
            calls: Voice::PROTOBUF.calls,
            ..Voice::JSON
        },
        Voice {
            events: Voice::PROTOBUF.events,
            ..Voice::JSON
        },
    ] {
        let mut scheduler = Scheduler::subscribe(cluster.scheduler_api(), voice, hello_world());
        scheduler.start(&task("t", "true", 0.1));
        scheduler.expect("TASK_STARTING");
        scheduler.expect("TASK_RUNNING");
        scheduler.expect("TASK_FINISHED");
        scheduler.tell(json!({"type": "TEARDOWN"}));
    }
}

/// The tutorial's own framework.
fn hello_world() -> Value {
    json!({
        "user": "root",
        "name": "hello_world_framework",
        "roles": ["hello_world_role"],
        "capabilities": [{"type": "MULTI_ROLE"}],
    })
}

fn task(id: &str, command: &str, cpus: f64) -> Value {
    json!({
        "name": id,
        "task_id": {"value": id},
        "command": {"shell": true, "value": command},
        "resources": [scalar("cpus", cpus), scalar("mem", 128.0)],
    })
}

fn run(voice: Voice) {
    let place = Place::new();
    let programs = place.join("bin");
    stand_in_for_docker(&programs);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
    let environment = json!({"PATH": path});
    let environment = format!("--executor_environment_variables={environment}");
    let cluster = Cluster::in_place(place, &[RESOURCES, &environment]);
    let master = cluster.master();
    let agent = agent_address(&registered_agents(master, 1)[0]);
    assert!(
        cluster.daemon.printed().contains("meseta execute"),
        "no word of a first task"
    );

    // The terminal shows SUBSCRIBED, then offers and heartbeats.
    let mut scheduler = Scheduler::subscribe(cluster.scheduler_api(), voice, hello_world());
    assert_eq!(scheduler.subscribed["heartbeat_interval_seconds"], 15.0);
    scheduler.event("HEARTBEAT");
    let offer = scheduler.offer();
    assert_eq!(
        offer["allocation_info"],
        json!({"role": "hello_world_role"})
    );
    for resource in offer["resources"].as_array().expect("resources") {
        assert_eq!(
            resource["allocation_info"],
            json!({"role": "hello_world_role"}),
            "{resource}"
        );
    }
    let browser = Browser::start(&cluster.place.join("browser"));
    if browser.is_none() {
        skip("the page is not looked at: no browser is installed");
    }
    let mut view = View {
        cluster: &cluster,
        framework: scheduler.id.clone(),
        browser,
    };

    // 1. A task of the shell: 202, then TASK_STARTING.
    let answer = accept(&scheduler, &offer, &task(LOOP, LOOP_COMMAND, 1.0));
    assert_eq!((answer.status(), answer.text().as_str()), (202, ""));
    let starting = scheduler.update();
    assert_eq!(starting["state"], "TASK_STARTING");
    assert_eq!(starting["source"], "SOURCE_EXECUTOR");

    // 3. Without acknowledgement the same update comes again; with it, the next.
    let again = scheduler.update();
    assert_eq!(again["uuid"], starting["uuid"]);
    scheduler.acknowledge(&again);
    let running = scheduler.update();
    assert_eq!(running["state"], "TASK_RUNNING");
    scheduler.acknowledge(&running);

    // 2. The page lists the task under active tasks; its sandbox shows a growing stdout.
    view.lists(LOOP, "tasks", "TASK_RUNNING");
    let sandbox = sandbox(agent, &scheduler.id, LOOP);
    let stdout = format!("/files/read?path={}/stdout&offset=0", encoded(&sandbox));
    let length = |text: &Value| text["data"].as_str().map_or(0, str::len);
    let first = eventually("output of the task", || {
        let read = http::get(agent, &stdout).json();
        (length(&read) > 0).then_some(read)
    });
    assert!(
        text(&first["data"]).starts_with("hello world 1\n"),
        "{first}"
    );
    eventually("more output of the task", || {
        (length(&http::get(agent, &stdout).json()) > length(&first)).then_some(())
    });
    view.shows("/#/tasks", "Tasks", &[LOOP, "running"]);
    view.shows("/#/frameworks", "Frameworks", &["hello_world_framework"]);
    view.shows_sandbox(agent, LOOP, "hello world 1\nhello world 2\n");

    // 5. An offer declined for five seconds comes again after them.
    let offer = scheduler.offer();
    decline(&scheduler, &offer);
    let offer = scheduler.offer();

    // 4. A task that is a call of docker.
    let command = "docker run --name mesos-nginx -p 8080:80 nginx";
    assert_eq!(
        accept(&scheduler, &offer, &task(DOCKER, command, 0.5)).status(),
        202
    );
    scheduler.expect("TASK_STARTING");
    scheduler.expect("TASK_RUNNING");
    let called = cluster.place.join("bin/called");
    let arguments = eventually("the call of docker", || {
        let written = std::fs::read_to_string(&called).ok()?;
        written.ends_with('\n').then_some(written)
    });
    assert_eq!(arguments, "run --name mesos-nginx -p 8080:80 nginx\n");

    // 6. A task that is killed stays active until its last update is acknowledged.
    for id in [LOOP, DOCKER] {
        scheduler.tell(json!({"type": "KILL", "kill": {
            "task_id": {"value": id},
            "agent_id": running["agent_id"],
        }}));
        let killed = scheduler.update();
        assert_eq!(killed["state"], "TASK_KILLED");
        assert_eq!(killed["task_id"]["value"], id);
        assert_eq!(
            killed["message"],
            "Command terminated with signal Terminated"
        );
        view.lists(id, "tasks", "TASK_KILLED");
        view.shows("/#/tasks", "Tasks", &[id, "killed"]);
        scheduler.acknowledge(&killed);
        view.lists(id, "completed_tasks", "TASK_KILLED");
        view.shows("/#/tasks?state=TASK_KILLED", "Tasks", &[id, "killed"]);
    }

    scheduler.tell(json!({"type": "TEARDOWN"}));
    scheduler.drain();
    let state = http::get(master, "/state").json();
    assert_eq!(state["frameworks"], json!([]));
    assert_eq!(
        state["completed_frameworks"][0]["name"],
        "hello_world_framework"
    );
}

fn accept(scheduler: &Scheduler, offer: &Value, task: &Value) -> http::Answer {
    let mut task = task.clone();
    task["agent_id"] = offer["agent_id"].clone();
    for resource in task["resources"].as_array_mut().expect("resources") {
        resource["allocation_info"] = json!({"role": "hello_world_role"});
    }
    scheduler.call(json!({"type": "ACCEPT", "accept": {
        "offer_ids": [offer["id"]],
        "operations": [{"type": "LAUNCH", "launch": {"task_infos": [task]}}],
        "filters": {"refuse_seconds": 5.0},
    }}))
}

fn decline(scheduler: &Scheduler, offer: &Value) {
    scheduler.tell(json!({"type": "DECLINE", "decline": {
        "offer_ids": [offer["id"]],
        "filters": {"refuse_seconds": 5.0},
    }}));
}

/// What the tutorial's reader sees of the framework.
struct View<'a> {
    cluster: &'a Cluster,
    framework: String,
    browser: Option<Browser>,
}

impl View<'_> {
    /// Waits until the master's state has the task in a list of the framework, in a state.
    fn lists(&self, task: &str, list: &str, state: &str) {
        eventually(&format!("{task} under {list} as {state}"), || {
            let document = http::get(self.cluster.master(), "/master/state").json();
            let framework = document["frameworks"]
                .as_array()?
                .iter()
                .find(|framework| framework["id"] == *self.framework)?;
            framework[list]
                .as_array()?
                .iter()
                .any(|found| found["id"] == task && found["state"] == state)
                .then_some(())
        });
    }

    /// Waits until a browser shows a row with all of these words in a table of a view.
    fn shows(&mut self, target: &str, table: &str, words: &[&str]) {
        let master = self.cluster.master();
        if let Some(browser) = &mut self.browser {
            browser.open(master, target);
            browser.shows_row(table, words);
        }
    }

    /// Waits until a browser shows what a task printed.
    fn shows_sandbox(&mut self, agent: SocketAddr, task: &str, printed: &str) {
        let target = format!("/#/sandbox/{}/{}", self.framework, encoded(task));
        if let Some(browser) = &mut self.browser {
            browser.open(agent, &target);
            browser.shows(printed);
        }
    }
}

/// Where the agent keeps the task's files, as its own state tells.
fn sandbox(agent: SocketAddr, framework: &str, executor: &str) -> String {
    let state = http::get(agent, "/state").json();
    let executors = state["frameworks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|found| found["id"] == framework)
        .map(|found| found["executors"].clone())
        .expect("the framework in the agent's state");
    executors
        .as_array()
        .into_iter()
        .flatten()
        .find(|found| found["id"] == executor)
        .map(|found| text(&found["directory"]))
        .expect("the executor in the agent's state")
}

/// A path for a query.
fn encoded(path: &str) -> String {
    path.replace(' ', "%20")
}

/// A program named `docker` that writes its arguments down and runs until it is ended.
fn stand_in_for_docker(folder: &Path) {
    std::fs::create_dir(folder).expect("a folder for it");
    let program = folder.join("docker");
    let called = folder.join("called");
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {}\nexec sleep 1000\n",
        called.display()
    );
    std::fs::write(&program, script).expect("the program");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("its mode");
}
