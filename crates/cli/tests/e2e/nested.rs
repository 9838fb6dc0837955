//! Containers inside of an executor's: as task groups have them, and whoever else asks the agent's
//! API for some. The executor is one in Python; the tests call the agent in its place.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::{JoinHandle, spawn};

use meseta_proto::v1::agent::{Call, Response, call, response};
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::custom::{Kind, World, await_end};
use crate::support::http::Answer;
use crate::support::scheduler::{shell_task, text};
use crate::support::{eventually, http, processes, skip};

/// An executor that runs, and the container that it runs in.
struct Pod {
    world: World,
    pid: u32,
    root: String,
    sandbox: PathBuf,
}

impl Pod {
    fn start() -> Self {
        let mut world = Self::world();
        let executor = world.executor("e", &Kind::V1.command());
        let (pid, sandbox) = world.run("t", &executor);
        Self::at(world, pid, sandbox)
    }

    /// A plain command's, which runs as a user.
    fn of_command(user: &str) -> Self {
        let mut world = Self::world();
        let mut task = shell_task("t", "exec sleep 1000");
        task["command"]["user"] = json!(user);
        // The tests' own folder is closed to others.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(world.place.path(), open).expect("an open folder");
        world.scheduler.start_and_see_running(&task);
        let container = http::get(world.agent(), "/containers").json()[0].clone();
        let pid = container["status"]["executor_pid"].as_u64();
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        let sandbox = world.place.sandbox_of("t");
        Self::at(world, pid.expect("a process"), sandbox)
    }

    fn world() -> World {
        World::with(&["--executor_reregistration_timeout=20secs"])
    }

    fn at(world: World, pid: u32, sandbox: PathBuf) -> Self {
        let root = sandbox.file_name().expect("the container's id");
        Self {
            root: root.to_string_lossy().into_owned(),
            world,
            pid,
            sandbox,
        }
    }

    /// The id of a container below the executor's.
    fn id(&self, path: &[&str]) -> Value {
        path.iter().fold(
            json!({"value": self.root}),
            |parent, name| json!({"value": name, "parent": parent}),
        )
    }

    fn sandbox_of(&self, path: &[&str]) -> PathBuf {
        path.iter().fold(self.sandbox.clone(), |parent, name| {
            parent.join("containers").join(name)
        })
    }

    fn call(&self, call: &Value) -> Answer {
        post(self.world.agent(), call)
    }

    fn launch(&self, path: &[&str], command: &str) -> Answer {
        self.call(
            &json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {
                "container_id": self.id(path),
                "command": {"value": command},
            }}),
        )
    }

    /// Launches a container that must start, and waits for the word that its program writes to
    /// `started`.
    fn start_in(&self, path: &[&str], command: &str) -> String {
        let command = format!("echo $$ > started.new; mv started.new started; {command}");
        let answer = self.launch(path, &command);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        await_file(&self.sandbox_of(path).join("started"))
    }

    fn wait(&self, path: &[&str]) -> Answer {
        wait(self.world.agent(), &self.id(path))
    }

    /// Waits for the end of a container and gives its status.
    fn status(&self, path: &[&str]) -> Value {
        let answer = self.wait(path);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()["wait_nested_container"]["exit_status"].clone()
    }

    /// Asks for the end of a container on another thread.
    fn waiting(&self, path: &[&str]) -> JoinHandle<Value> {
        let (agent, id) = (self.world.agent(), self.id(path));
        spawn(move || {
            let answer = wait(agent, &id);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            answer.json()["wait_nested_container"]["exit_status"].clone()
        })
    }

    fn kill(&self, path: &[&str], signal: Option<i32>) -> Answer {
        let mut kill = json!({"container_id": self.id(path)});
        if let Some(signal) = signal {
            kill["signal"] = json!(signal);
        }
        self.call(&json!({"type": "KILL_NESTED_CONTAINER", "kill_nested_container": kill}))
    }

    fn remove(&self, path: &[&str]) -> Answer {
        self.call(
            &json!({"type": "REMOVE_NESTED_CONTAINER", "remove_nested_container": {
                "container_id": self.id(path),
            }}),
        )
    }
}

fn post(agent: SocketAddr, call: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    let body = call.to_string().into_bytes();
    http::request(agent, "POST", "/slave(1)/api/v1", &headers, Some(&body)).expect("an answer")
}

fn wait(agent: SocketAddr, id: &Value) -> Answer {
    post(
        agent,
        &json!({"type": "WAIT_NESTED_CONTAINER", "wait_nested_container": {"container_id": id}}),
    )
}

fn await_file(path: &Path) -> String {
    eventually(&path.to_string_lossy(), || {
        std::fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    })
}

fn said(answer: &Answer) -> (u16, String) {
    (answer.status(), answer.text())
}

fn number(pid: &str) -> u32 {
    pid.parse().expect("a process id")
}

#[test]
fn a_nested_container_has_a_sandbox_an_environment_and_an_end_of_its_own() {
    let pod = Pod::start();
    let id = pod.id(&["c"]);
    let answer = pod.call(&json!({"type": "LAUNCH_CONTAINER", "launch_container": {
        "container_id": id,
        "command": {
            "value": "env > environment; echo out; echo err >&2; exit 3",
            "environment": {"variables": [{"name": "OWN", "value": "mine"}]},
        },
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
    }}));
    assert_eq!(said(&answer), (200, String::new()));
    assert_eq!(pod.status(&["c"]), 3 << 8);
    let newer = pod.call(&json!({"type": "WAIT_CONTAINER", "wait_container": {
        "container_id": pod.id(&["c"]),
    }}));
    assert_eq!(
        newer.json(),
        json!({"type": "WAIT_CONTAINER", "wait_container": {"exit_status": 3 << 8}})
    );

    let sandbox = pod.sandbox_of(&["c"]);
    let read = |name: &str| std::fs::read_to_string(sandbox.join(name)).expect("a file");
    assert_eq!(
        (read("stdout"), read("stderr")),
        ("out\n".into(), "err\n".into())
    );
    let environment = read("environment");
    let mut names: Vec<&str> = environment
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        // What the shell sets by itself.
        .filter(|name| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["MESOS_SANDBOX", "OWN", "PATH"]);
    assert!(environment.contains(&format!("MESOS_SANDBOX={}\n", sandbox.display())));

    assert_eq!(said(&pod.remove(&["c"])), (200, String::new()));
    assert!(!sandbox.exists());
    let root = &pod.root;
    let unknown = (404, format!("Container {root}.c cannot be found"));
    assert_eq!(said(&pod.wait(&["c"])), unknown);
    // Gone is gone, and to be had anew.
    assert_eq!(pod.remove(&["c"]).status(), 200);
    assert_eq!(pod.launch(&["c"], "exit 4").status(), 200);
    assert_eq!(pod.status(&["c"]), 4 << 8);
}

#[test]
fn a_nested_container_is_its_parents_users_and_they_cannot_have_it_made_elsewhere() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root runs programs as others");
    }
    let pod = Pod::of_command("nobody");
    pod.start_in(&["c"], "id -un; exec sleep 1000");
    let stdout = pod.sandbox_of(&["c"]).join("stdout");
    let user = eventually("who it is", || {
        let printed = std::fs::read_to_string(&stdout).ok()?;
        (!printed.is_empty()).then_some(printed)
    });
    assert_eq!(user, "nobody\n");
    // The sandbox is the user's, who may put anything in the place of what the agent has made there.
    let containers = pod.sandbox.join("containers");
    std::fs::rename(&containers, pod.sandbox.join("former")).expect("another name");
    let elsewhere = pod.world.place.join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("victim")).expect("a folder");
    std::os::unix::fs::symlink(&elsewhere, &containers).expect("a link");
    assert_eq!(pod.launch(&["d"], "true").status(), 400);
    assert_eq!(pod.remove(&["victim"]).status(), 200);
    assert_eq!(pod.kill(&["c"], None).status(), 200);
    assert_eq!(pod.status(&["c"]), 9);
    let left: Vec<_> = std::fs::read_dir(&elsewhere)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["victim"]);
}

#[test]
fn programs_that_cannot_be_started_end_and_say_why() {
    let pod = Pod::start();
    let answer = pod.call(
        &json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {
            "container_id": pod.id(&["c"]),
            "command": {"shell": false, "value": "./not there", "arguments": ["not there"]},
        }}),
    );
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(pod.status(&["c"]), 1 << 8);
    let printed = std::fs::read_to_string(pod.sandbox_of(&["c"]).join("stderr")).expect("stderr");
    assert!(printed.contains("'./not there'"), "{printed}");
    let unfetched = pod.call(
        &json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {
            "container_id": pod.id(&["d"]),
            "command": {"value": "true", "uris": [{"value": "/not/there"}]},
        }}),
    );
    assert_eq!(unfetched.status(), 400);
    let sentence = unfetched.text();
    assert!(
        sentence.starts_with("Failed to fetch all URIs"),
        "{sentence}"
    );
}

#[test]
fn what_cannot_be_is_refused_with_the_sentences_of_mesos() {
    let pod = Pod::start();
    let root = &pod.root;
    pod.start_in(&["c"], "exec sleep 1000");
    assert_eq!(said(&pod.launch(&["c"], "true")), (202, String::new()));
    let missing = format!("Parent container {root}.x does not exist");
    assert_eq!(said(&pod.launch(&["x", "y"], "true")), (400, missing));
    let still_there = (500, "Nested container has not terminated yet".to_owned());
    assert_eq!(said(&pod.remove(&["c"])), still_there);
    let unknown = format!("Container '{root}.x' cannot be found (or is already killed)");
    assert_eq!(said(&pod.kill(&["x"], None)), (404, unknown));
    let elsewhere = json!({"value": "c", "parent": {"value": "nowhere"}});
    let launch = json!({"container_id": elsewhere, "command": {"value": "true"}});
    let answer =
        pod.call(&json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": launch}));
    let refused = (400, "Root container nowhere not found".to_owned());
    assert_eq!(said(&answer), refused);
    let deep: Vec<&str> = std::iter::repeat_n("c", 20).collect();
    assert_eq!(pod.launch(&deep, "true").status(), 400);
}

#[test]
fn a_signal_reaches_the_program_and_a_kill_all_that_it_has_started() {
    let pod = Pod::start();
    let trap = "trap 'exit 7' TERM; touch trapped; while :; do sleep 0.1; done";
    pod.start_in(&["c"], trap);
    await_file(&pod.sandbox_of(&["c"]).join("trapped"));
    let end = pod.waiting(&["c"]);
    assert_eq!(pod.kill(&["c"], Some(15)).status(), 200);
    assert_eq!(end.join().expect("an answer"), 7 << 8);
    // Also one that does not look after its signals by itself.
    pod.start_in(&["plain"], "exec sleep 1000");
    assert_eq!(pod.kill(&["plain"], Some(15)).status(), 200);
    assert_eq!(pod.status(&["plain"]), 15);

    let own = pod.start_in(&["d"], "setsid sleep 1000 & wait");
    let child = pod.start_in(&["d", "child"], "exec sleep 1000");
    let end_of_child = pod.waiting(&["d", "child"]);
    assert_eq!(pod.kill(&["d"], None).status(), 200);
    assert_eq!(pod.status(&["d"]), 9);
    assert_eq!(end_of_child.join().expect("an answer"), 9);
    for pid in [own, child] {
        await_end(number(&pid));
    }
    let left = processes::with_traces_of(&pod.sandbox_of(&["d"]));
    assert!(left.is_empty(), "{left:?}");
    assert!(processes::runs(pod.pid));
}

#[test]
fn containers_share_a_folder_of_their_parent_and_never_more() {
    let pod = Pod::start();
    let launch = |name: &str, path: &str, command: &str| {
        let volume = json!({"mode": "RW", "container_path": "data", "source": {
            "type": "SANDBOX_PATH", "sandbox_path": {"type": "PARENT", "path": path},
        }});
        pod.call(&json!({"type": "LAUNCH_CONTAINER", "launch_container": {
            "container_id": pod.id(&[name]),
            "command": {"value": command},
            "container": {"type": "MESOS", "volumes": [volume]},
        }}))
    };
    for name in ["one", "two", "three"] {
        let command = format!("echo {name} >> data/all");
        assert_eq!(launch(name, "shared/deep", &command).status(), 200);
        assert_eq!(pod.status(&[name]), 0);
    }
    let all = std::fs::read_to_string(pod.sandbox.join("shared/deep/all")).expect("the folder");
    assert_eq!(all, "one\ntwo\nthree\n");

    std::os::unix::fs::symlink("/etc", pod.sandbox.join("out")).expect("a link");
    for path in ["../..", "/etc", "out", "out/made"] {
        let answer = launch("four", path, "true");
        assert_eq!(answer.status(), 400, "{path}: {}", answer.text());
    }
}

#[test]
fn nested_containers_outlive_their_agent_and_so_does_what_is_known_of_their_ends() {
    let mut pod = Pod::start();
    let sign = pod.world.place.join("sign");
    let until = format!("until [ -e {} ]; do sleep 0.05; done", sign.display());
    pod.start_in(&["ended"], "exit 5");
    assert_eq!(pod.status(&["ended"]), 5 << 8);
    let ending = pod.start_in(&["ending"], &format!("{until}; exit 6"));
    let living = pod.start_in(&["living"], "exec sleep 1000");
    let inside = pod.start_in(&["living", "inside"], &format!("{until}; kill -3 $$"));

    pod.world.kill_agent();
    std::fs::write(&sign, "").expect("a file");
    await_end(number(&ending));
    await_end(number(&inside));
    pod.world.start_agent();

    assert_eq!(pod.status(&["ended"]), 5 << 8);
    assert_eq!(pod.status(&["ending"]), 6 << 8);
    assert_eq!(
        pod.status(&["living", "inside"])
            .as_i64()
            .map(|it| it & 0x7f),
        Some(3)
    );
    assert_eq!(pod.launch(&["living"], "true").status(), 202);
    assert!(processes::runs(number(&living)));
    let end = pod.waiting(&["living"]);
    assert_eq!(pod.kill(&["living"], Some(15)).status(), 200);
    assert_eq!(end.join().expect("an answer"), 15);
    pod.start_in(&["anew"], "true");
    assert_eq!(pod.status(&["anew"]), 0);
}

#[test]
fn when_an_executor_dies_all_containers_inside_of_its_own_die() {
    let mut pod = Pod::start();
    let pids = [
        pod.start_in(&["c"], "exec sleep 1000"),
        pod.start_in(&["c", "inside"], "setsid sleep 1000 & wait"),
        pod.start_in(&["d"], "exec sleep 1000"),
    ];
    let agent = pod.world.agent();
    let waiting = wait_later(agent, pod.id(&["c"]));
    processes::kill9(pod.pid);
    pod.world.scheduler.expect("TASK_FAILED");
    for pid in pids {
        await_end(number(&pid));
    }
    assert_eq!(waiting.join().expect("an answer"), 200);
    let left = processes::with_traces_of(&pod.sandbox);
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(pod.wait(&["c"]).status(), 404);
    let ends = pod.world.place.join("agent/meta/ends");
    assert!(!ends.join(&pod.root).exists());
}

#[test]
fn containers_of_an_executor_that_dies_with_its_agent_die_when_the_agent_is_back() {
    let mut pod = Pod::start();
    let pid = pod.start_in(&["c"], "exec sleep 1000");
    pod.world.kill_agent();
    processes::kill9(pod.pid);
    pod.world.start_agent();
    await_end(number(&pid));
    pod.world.scheduler.expect("TASK_FAILED");
}

fn wait_later(agent: SocketAddr, id: Value) -> JoinHandle<u16> {
    spawn(move || wait(agent, &id).status())
}

#[test]
fn more_waits_than_calls_in_work_hold_up_nobody() {
    let pod = Pod::start();
    let names: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
    for name in &names {
        pod.start_in(&[name], "exec sleep 1000");
    }
    let agent = pod.world.agent();
    let waits: Vec<_> = (0..600)
        .map(|number| wait_later(agent, pod.id(&[&names[number % names.len()]])))
        .collect();
    for name in &names {
        assert_eq!(pod.kill(&[name], None).status(), 200);
    }
    for wait in waits {
        assert_eq!(wait.join().expect("an answer"), 200);
    }
}

#[test]
fn nested_containers_are_shown_where_they_are_asked_for() {
    let pod = Pod::start();
    pod.start_in(&["c"], "echo hello; exec sleep 1000");
    let agent = pod.world.agent();
    let plain = http::get(agent, "/containers").json();
    assert_eq!(plain.as_array().map(Vec::len), Some(1));
    let all = http::get(agent, "/containers?show_nested=true").json();
    assert_eq!(all[1]["container_id"], "c");
    assert_eq!(all[1]["status"]["container_id"], pod.id(&["c"]));
    let shown = pod.call(&json!({"type": "GET_CONTAINERS", "get_containers": {
        "show_nested": true,
    }}));
    let shown = shown.json()["get_containers"]["containers"].clone();
    assert_eq!(shown.as_array().map(Vec::len), Some(2));
    assert_eq!(shown[1]["container_status"]["container_id"], pod.id(&["c"]));

    let framework = &pod.world.scheduler.id;
    let runs = format!("/frameworks/{framework}/executors/e/runs/latest");
    let target = format!("/files/read?path={runs}/containers/c/stdout&offset=0");
    let read = eventually("what was printed", || {
        let read = http::get(agent, &target).json();
        (read["data"] != "").then_some(read)
    });
    assert_eq!(text(&read["data"]), "hello\n");
}

#[test]
fn protobuf_is_spoken_as_well() {
    let pod = Pod::start();
    pod.start_in(&["c"], "exit 2");
    let id = meseta_proto::json::from_slice(pod.id(&["c"]).to_string().as_bytes());
    let wait = Call {
        r#type: Some(call::Type::WaitContainer.into()),
        wait_container: Some(call::WaitContainer {
            container_id: id.expect("an id"),
        }),
        ..Call::default()
    };
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("accept", "application/x-protobuf"),
    ];
    let body = wait.encode_to_vec();
    let answer = http::request(pod.world.agent(), "POST", "/api/v1", &headers, Some(&body));
    let answer = Response::decode(answer.expect("an answer").body.as_slice());
    let answer = answer.expect("a response");
    assert_eq!(answer.r#type(), response::Type::WaitContainer);
    let wait = answer.wait_container.expect("the end");
    assert_eq!(wait.exit_status, Some(2 << 8));
}

#[test]
fn a_program_starts_with_no_signal_blocked_though_its_supervisor_blocks_all() {
    let pod = Pod::start();
    // No shell, for some clear the mask themselves.
    let answer = pod.call(
        &json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {
            "container_id": pod.id(&["c"]),
            "command": {"shell": false, "value": "cat", "arguments": ["cat", "/proc/self/status"]},
        }}),
    );
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(pod.status(&["c"]), 0);
    let printed = std::fs::read_to_string(pod.sandbox_of(&["c"]).join("stdout")).expect("stdout");
    let mask = printed.lines().find(|line| line.starts_with("SigBlk:"));
    assert_eq!(mask, Some("SigBlk:\t0000000000000000"));
}
