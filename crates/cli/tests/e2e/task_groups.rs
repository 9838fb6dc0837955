//! Task groups: tasks that share an executor, volumes and their fate.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::daemon::{
    Daemon, Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent,
    start_master,
};
use crate::support::genuine::oracle;
use crate::support::golden::repository;
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{PATIENCE, eventually, processes};

/// The agent's flags: it comes back without waiting for others to have come back before it.
const FLAGS: [&str; 2] = [RESOURCES, "--registration_backoff_factor=10ms"];

/// The states of a task that is killed while it runs.
const KILLED: [&str; 4] = [
    "TASK_STARTING",
    "TASK_RUNNING",
    "TASK_KILLING",
    "TASK_KILLED",
];

/// How many times the agent dies.
const ROUNDS: u32 = 12;

/// Of the time that a round takes by itself, the fraction that the moments of death are apart: multiples
/// of it come everywhere, evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

/// A master and an agent, and a framework whose executors outlive the agent.
struct Cluster {
    scheduler: Scheduler,
    agent: Daemon,
    master: Daemon,
    place: Place,
}

impl Cluster {
    fn start() -> Self {
        Self::with(Place::new(), &FLAGS)
    }

    fn with(place: Place, flags: &[&str]) -> Self {
        let master = start_master(&place, &["--allocation_interval=100ms"]);
        let agent = start_agent(&place, master.address, 0, flags);
        registered_agents(master.address, 1);
        Self {
            scheduler: subscribe(master.address),
            agent,
            master,
            place,
        }
    }

    fn launch(&mut self, executor: &str, tasks: &[Value]) {
        let offer = loop {
            let offer = self.scheduler.offer();
            if has_room(&offer) {
                break offer;
            }
            // What an executor has left comes again in one piece with the rest.
            self.scheduler.tell(json!({"type": "DECLINE", "decline": {
                "offer_ids": [offer["id"]],
                "filters": {"refuse_seconds": 0.0},
            }}));
        };
        self.scheduler.launch_group(&offer, executor, tasks);
    }

    /// Launches a group and sees all of its tasks run.
    fn run(&mut self, executor: &str, tasks: &[Value]) -> Told {
        self.launch(executor, tasks);
        let mut told = Told::default();
        self.hear(&mut told, |told| {
            let running = told
                .0
                .values()
                .filter(|of| states(of).contains(&"TASK_RUNNING"));
            running.count() == tasks.len()
        });
        told
    }

    fn hear(&mut self, told: &mut Told, is_enough: impl Fn(&Told) -> bool) {
        hear(&mut self.scheduler, told, is_enough);
    }

    fn hear_all_end(&mut self, told: &mut Told) {
        hear_all_end(&mut self.scheduler, told);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn sandbox(&self, executor: &str, task: &str) -> PathBuf {
        self.place.sandbox_of(executor).join("tasks").join(task)
    }

    /// Waits until only the daemons are left.
    fn see_everything_gone(&self) {
        let daemons = [self.master.pid(), self.agent.pid()].into();
        eventually("the end of every executor and task", || {
            (processes::with_traces_of(self.place.path()) == daemons).then_some(())
        });
    }
}

/// A framework whose executors outlive their agent.
fn subscribe(master: SocketAddr) -> Scheduler {
    let mut info = framework("groups");
    info["checkpoint"] = json!(true);
    Scheduler::subscribe(scheduler_api(master), Voice::JSON, info)
}

/// Whether a group fits into what is offered.
fn has_room(offer: &Value) -> bool {
    let mut resources = offer["resources"].as_array().into_iter().flatten();
    let cpus = resources.find(|resource| resource["name"] == "cpus");
    cpus.and_then(|cpus| cpus["scalar"]["value"].as_f64())
        .is_some_and(|cpus| cpus >= 1.0)
}

/// What a framework was told, by task; repetitions left out.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, Vec<Value>>);

impl Told {
    fn take(&mut self, status: Value) {
        let of = self.0.entry(text(&status["task_id"]["value"])).or_default();
        if of.last().is_none_or(|last| last["uuid"] != status["uuid"]) {
            assert!(!has_ended(of), "after the end of {of:#?} came {status}");
            of.push(status);
        }
    }

    fn has(&self, task: &str, state: &str) -> bool {
        self.0
            .get(task)
            .is_some_and(|of| states(of).contains(&state))
    }

    fn states(&self, task: &str) -> Vec<&str> {
        states(&self.0[task])
    }

    fn last(&self, task: &str) -> &Value {
        self.0[task].last().expect("an update")
    }
}

fn states(of: &[Value]) -> Vec<&str> {
    of.iter()
        .map(|status| status["state"].as_str().expect("a state"))
        .collect()
}

fn has_ended(of: &[Value]) -> bool {
    let last = states(of).pop();
    !matches!(
        last,
        None | Some("TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING")
    )
}

/// Hears updates until enough is told.
fn hear(scheduler: &mut Scheduler, told: &mut Told, is_enough: impl Fn(&Told) -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_enough(told) {
        assert!(Instant::now() < give_up, "not enough is told: {told:#?}");
        told.take(scheduler.acknowledged_update());
    }
}

fn hear_all_end(scheduler: &mut Scheduler, told: &mut Told) {
    hear(scheduler, told, |told| {
        told.0.values().all(|of| has_ended(of))
    });
}

/// A command that goes on once a file is there.
fn after(file: &Path, command: &str) -> String {
    format!(
        "while ! test -e {}; do sleep 0.02; done; {command}",
        file.display()
    )
}

/// A command that ends when it is told to.
const SLEEP: &str = "exec sleep 1000";

#[test]
fn three_tasks_share_a_volume_and_each_has_a_sandbox_of_its_own() {
    let mut cluster = Cluster::start();
    let with_volume = |id: &str, command: &str| {
        let mut task = shell_task(id, command);
        task["container"] = json!({"type": "MESOS", "volumes": [{
            "mode": "RW",
            "container_path": "volume",
            "source": {
                "type": "SANDBOX_PATH",
                "sandbox_path": {"type": "PARENT", "path": "shared"},
            },
        }]});
        task
    };
    let reads = "while ! test -s volume/file; do sleep 0.02; done; cat volume/file";
    let tasks = [
        with_volume("a", "echo shared > volume/file; echo it is a"),
        with_volume("b", &format!("{reads}; echo it is b; pwd > own")),
        with_volume("c", &format!("{reads}; echo it is c >&2; pwd > own")),
    ];
    cluster.launch("pod", &tasks);
    let mut told = Told::default();
    cluster.hear(&mut told, |told| {
        told.0.len() == 3 && told.0.values().all(|of| has_ended(of))
    });
    let mut containers = Vec::new();
    for task in ["a", "b", "c"] {
        let expected = ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];
        assert_eq!(told.states(task), expected);
        let last = told.last(task);
        assert_eq!(last["message"], "Command exited with status 0");
        assert_eq!(last["source"], "SOURCE_EXECUTOR");
        assert_eq!(last["executor_id"]["value"], "pod");
        let container = &last["container_status"]["container_id"];
        assert!(container["parent"]["value"].is_string(), "{last}");
        containers.push(text(&container["value"]));
    }
    let read = |task: &str, file: &str| {
        let path = cluster.sandbox("pod", task).join(file);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    assert_eq!(read("a", "stdout"), "it is a\n");
    assert_eq!(read("b", "stdout"), "shared\nit is b\n");
    assert_eq!(read("c", "stdout"), "shared\n");
    assert_eq!(read("c", "stderr"), "it is c\n");
    let own = read("b", "own");
    assert!(own.trim_end().ends_with(&containers[1]), "{own}");
    assert_ne!(own, read("c", "own"));
    cluster.see_everything_gone();
}

#[test]
fn a_task_that_fails_ends_its_group_and_no_other() {
    let mut cluster = Cluster::start();
    let (fail, finish) = (cluster.file("fail"), cluster.file("finish"));
    let other = shell_task("other", &after(&finish, "true"));
    let mut of_other = cluster.run("pod", &[other]);
    let tasks = [
        shell_task("a", &after(&fail, "exit 7")),
        shell_task("b", SLEEP),
        shell_task("c", SLEEP),
    ];
    let mut told = cluster.run("pod", &tasks);
    fs::write(&fail, "").expect("a file");
    cluster.hear_all_end(&mut told);
    let expected = ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"];
    assert_eq!(told.states("a"), expected);
    assert_eq!(told.last("a")["message"], "Command exited with status 7");
    for task in ["b", "c"] {
        assert_eq!(told.states(task), KILLED);
        let message = &told.last(task)["message"];
        assert_eq!(message, "Command terminated with signal Terminated");
    }
    fs::write(&finish, "").expect("a file");
    cluster.hear_all_end(&mut of_other);
    assert_eq!(of_other.last("other")["state"], "TASK_FINISHED");
    cluster.see_everything_gone();
}

#[test]
fn a_task_that_is_killed_takes_its_group_with_it() {
    let mut cluster = Cluster::start();
    let stubborn = "trap '' TERM; touch trapped; while true; do sleep 0.02; done";
    let mut stubborn = shell_task("a", stubborn);
    stubborn["kill_policy"] = json!({"grace_period": {"nanoseconds": 100_000_000}});
    let mut told = cluster.run("pod", &[stubborn, shell_task("b", SLEEP)]);
    let trapped = cluster.sandbox("pod", "a").join("trapped");
    eventually("the trap", || trapped.exists().then_some(()));
    cluster.scheduler.kill("a");
    cluster.hear_all_end(&mut told);
    for (task, signal) in [("a", "Killed"), ("b", "Terminated")] {
        assert_eq!(told.states(task), KILLED);
        let message = format!("Command terminated with signal {signal}");
        assert_eq!(told.last(task)["message"], message);
    }
    cluster.see_everything_gone();
}

#[test]
fn a_task_that_is_not_healthy_is_killed_and_its_group_with_it() {
    let mut cluster = Cluster::start();
    let sick = cluster.file("sick");
    let mut checked = shell_task("a", &format!("touch here; {SLEEP}"));
    // In the sandbox of the task, and in its environment.
    checked["command"]["environment"] = json!({"variables": [{"name": "WHERE", "value": "here"}]});
    checked["health_check"] = json!({
        "type": "COMMAND",
        "command": {
            "shell": true,
            "value": format!("test -e $WHERE && ! test -e {}", sick.display()),
        },
        "delay_seconds": 0.0,
        "interval_seconds": 0.05,
        "grace_period_seconds": 30.0,
        "consecutive_failures": 2,
    });
    let mut told = cluster.run("pod", &[checked, shell_task("b", SLEEP)]);
    cluster.hear(&mut told, |told| told.last("a")["healthy"] == true);
    let reason = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED";
    assert_eq!(told.last("a")["reason"], reason);
    fs::write(&sick, "").expect("a file");
    cluster.hear_all_end(&mut told);
    let healths: Vec<&Value> = told.0["a"]
        .iter()
        .map(|status| &status["healthy"])
        .collect();
    // The update of the killing says nothing of it.
    let [sick, silent] = [Value::Bool(false), Value::Null];
    let expected = [&Value::Bool(true), &sick, &sick, &silent, &sick];
    assert_eq!(healths[2..], expected, "{told:#?}");
    for task in ["a", "b"] {
        let last = told.last(task);
        assert_eq!(last["state"], "TASK_KILLED", "{last}");
        assert_eq!(last["healthy"], false, "{last}");
    }
    cluster.see_everything_gone();
}

#[test]
fn a_group_outlives_its_agent_and_nothing_of_it_is_lost_or_done_twice() {
    let mut cluster = Cluster::start();
    let (first, second) = (cluster.file("first"), cluster.file("second"));
    let ran = cluster.file("ran");
    let task = |id: &str, file: &Path, end: &str| {
        let wait = after(file, end);
        shell_task(id, &format!("echo {id} >> {}; {wait}", ran.display()))
    };
    let tasks = [
        task("a", &first, "touch ended"),
        task("b", &second, "true"),
        task("c", &second, "true"),
    ];
    let mut told = cluster.run("pod", &tasks);
    let agents = registered_agents(cluster.master.address, 1);
    let port = agent_address(&agents[0]).port();
    let ended = cluster.sandbox("pod", "a").join("ended");
    let master: SocketAddr = cluster.master.address;

    let next = |cluster: &mut Cluster| {
        let agent = start_agent(&cluster.place, master, port, &FLAGS);
        std::mem::replace(&mut cluster.agent, agent)
    };
    processes::kill9(cluster.agent.pid());
    // One ends while no agent is there.
    fs::write(&first, "").expect("a file");
    eventually("the end of a task", || ended.exists().then_some(()));
    drop(next(&mut cluster));
    cluster.hear(&mut told, |told| has_ended(&told.0["a"]));
    fs::write(&second, "").expect("a file");
    cluster.hear_all_end(&mut told);
    for task in ["a", "b", "c"] {
        let expected = ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];
        assert_eq!(told.states(task), expected);
    }
    let mut runs: Vec<String> = fs::read_to_string(&ran)
        .expect("their traces")
        .lines()
        .map(str::to_owned)
        .collect();
    runs.sort();
    assert_eq!(runs, ["a", "b", "c"]);
    cluster.see_everything_gone();
}

#[test]
fn a_check_tells_its_changes_and_a_time_limit_ends_the_group() {
    let mut cluster = Cluster::start();
    let (flag, stop) = (cluster.file("flag"), cluster.file("stop"));
    let mut checked = shell_task("a", SLEEP);
    checked["check"] = json!({
        "type": "COMMAND",
        "command": {"command": {"shell": true, "value": format!("test -e {}", flag.display())}},
        "delay_seconds": 0.0,
        "interval_seconds": 0.02,
    });
    let mut told = cluster.run("pod", &[checked, shell_task("b", &after(&stop, "true"))]);
    let exit_code = |status: &Value| status["check_status"]["command"]["exit_code"].clone();
    cluster.hear(&mut told, |told| exit_code(told.last("a")) == 1);
    fs::write(&flag, "").expect("a file");
    cluster.hear(&mut told, |told| exit_code(told.last("a")) == 0);
    let codes: Vec<Value> = told.0["a"].iter().map(exit_code).collect();
    assert_eq!(codes, [json!(null), json!(null), json!(1), json!(0)]);
    let reason = &told.last("a")["reason"];
    assert_eq!(reason, "REASON_TASK_CHECK_STATUS_UPDATED");
    fs::write(&stop, "").expect("a file");
    cluster.hear(&mut told, |told| has_ended(&told.0["b"]));

    let mut limited = shell_task("c", SLEEP);
    limited["max_completion_time"] = json!({"nanoseconds": 100_000_000});
    let mut of_limited = cluster.run("pod", &[limited, shell_task("d", SLEEP)]);
    cluster.hear_all_end(&mut of_limited);
    assert_eq!(of_limited.last("c")["state"], "TASK_FAILED");
    let reason = &of_limited.last("c")["reason"];
    assert_eq!(reason, "REASON_MAX_COMPLETION_TIME_REACHED");
    assert_eq!(of_limited.last("d")["state"], "TASK_KILLED");
    cluster.scheduler.kill("a");
    cluster.hear_all_end(&mut told);
    cluster.see_everything_gone();
}

#[test]
fn an_agent_may_die_at_any_moment_of_a_groups_life() {
    let mut cluster = Cluster::start();
    let master = cluster.master.address;
    let agents = registered_agents(master, 1);
    let port = agent_address(&agents[0]).port();
    let group = |cluster: &Cluster, round: u32| -> Vec<Value> {
        let tasks = ["", "sleep 0.1; "].iter().enumerate();
        tasks
            .map(|(number, pause)| {
                let id = format!("t{round}-{number}");
                let trace = cluster.file(&format!("{id}.ran"));
                shell_task(&id, &format!("{pause}echo ran >> {}", trace.display()))
            })
            .collect()
    };
    // How long a round takes that nothing disturbs.
    let begin = Instant::now();
    let mut told = cluster.run("pod-0", &group(&cluster, 0));
    cluster.hear_all_end(&mut told);
    cluster.see_everything_gone();
    let life = begin.elapsed();

    let mut complete = 0;
    for round in 1..=ROUNDS {
        // A framework that knows no offers from before the last death.
        registered_agents(master, 1);
        cluster.scheduler = subscribe(master);
        let tasks = group(&cluster, round);
        cluster.launch(&format!("pod-{round}"), &tasks);
        // A moment can only be chosen by time.
        std::thread::sleep(life.mul_f64((f64::from(round) * GOLDEN_RATIO).fract()));
        processes::kill9(cluster.agent.pid());
        cluster.agent = start_agent(&cluster.place, master, port, &FLAGS);
        let mut told = Told::default();
        cluster.hear(&mut told, |told| {
            told.0.len() == tasks.len() && told.0.values().all(|of| has_ended(of))
        });
        cluster.see_everything_gone();
        for (task, of) in &told.0 {
            let trace = cluster.file(&format!("{task}.ran"));
            let runs = fs::read_to_string(trace)
                .unwrap_or_default()
                .lines()
                .count();
            match states(of)[..] {
                ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] => {
                    assert_eq!(runs, 1, "{told:#?}");
                    complete += 1;
                }
                // What the agent had not taken, or had only begun to launch, and the rest of its group.
                [.., "TASK_DROPPED" | "TASK_FAILED" | "TASK_KILLED"] => {
                    assert!(runs <= 1, "{told:#?}");
                }
                _ => panic!("{told:#?}"),
            }
        }
    }
    // Such deaths are few.
    assert!(complete > ROUNDS, "only {complete} tasks finished");
}

#[test]
fn a_group_whose_executor_is_killed_ends_with_it() {
    let mut cluster = Cluster::start();
    let tasks = [shell_task("a", SLEEP), shell_task("b", SLEEP)];
    let mut told = cluster.run("pod", &tasks);
    let is_executor = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|word| word == b"default-executor")
    };
    let executors: Vec<u32> = processes::with_traces_of(cluster.place.path())
        .into_iter()
        .filter(is_executor)
        .collect();
    let [executor] = executors[..] else {
        panic!("one executor and not {executors:?}");
    };
    processes::kill9(executor);
    cluster.hear_all_end(&mut told);
    for task in ["a", "b"] {
        let last = told.last(task);
        assert_eq!(last["state"], "TASK_FAILED", "{last}");
        assert_eq!(last["reason"], "REASON_EXECUTOR_TERMINATED", "{last}");
        assert_eq!(last["source"], "SOURCE_AGENT", "{last}");
    }
    cluster.see_everything_gone();
}

#[test]
fn a_group_runs_where_executors_have_a_socket_and_must_prove_who_they_are() {
    let place = Place::new();
    let key = place.join("key");
    fs::write(&key, "a key that signs tokens").expect("a key");
    let socket = place.join("agent.sock");
    let flags = [
        RESOURCES.to_owned(),
        "--authenticate_http_executors".to_owned(),
        format!("--jwt_secret_key={}", key.display()),
        "--http_executor_domain_sockets".to_owned(),
        format!("--domain_socket_location={}", socket.display()),
    ];
    let mut cluster = Cluster::with(place, &flags.each_ref().map(String::as_str));
    let tasks = [
        shell_task("a", "test -z \"$MESOS_EXECUTOR_AUTHENTICATION_TOKEN\""),
        shell_task("b", SLEEP),
    ];
    let mut told = cluster.run("pod", &tasks);
    cluster.hear(&mut told, |told| has_ended(&told.0["a"]));
    assert_eq!(told.last("a")["state"], "TASK_FINISHED");
    cluster.scheduler.kill("b");
    cluster.hear_all_end(&mut told);
    assert_eq!(told.last("b")["state"], "TASK_KILLED");
    cluster.see_everything_gone();
}

#[test]
fn the_executor_runs_groups_on_a_genuine_agent() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let master = start_master(&place, &[]);
    // What starts containers for it, and our executor by the name of its own.
    let launcher = place.join("launcher");
    fs::create_dir(&launcher).expect("a folder");
    let starts = launcher.join("mesos-containerizer");
    let original = repository("tests/oracle/launcher-mesos-containerizer");
    fs::copy(original, &starts).expect("a copy");
    fs::set_permissions(&starts, fs::Permissions::from_mode(0o755)).expect("its mode");
    let ours = env!("CARGO_BIN_EXE_meseta");
    symlink(ours, launcher.join("mesos-default-executor")).expect("a link");
    let launcher = launcher.to_str().expect("a path in UTF-8");
    let flags = [("MESOS_LAUNCHER_DIR", launcher)];
    let _genuine = oracle.agent(&place, master.address, &flags);
    let agent = registered_agents(master.address, 1).remove(0);
    assert_eq!(agent["version"], "1.11.0");
    let info = framework("genuine groups");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let fail = place.join("fail");
    let offer = scheduler.offer();
    let tasks = [
        shell_task("a", "echo it is a"),
        shell_task("b", &after(&fail, "exit 7")),
        shell_task("c", SLEEP),
    ];
    scheduler.launch_group(&offer, "pod", &tasks);
    let mut told = Told::default();
    hear(&mut scheduler, &mut told, |told| {
        let ended = told.0.get("a").is_some_and(|of| has_ended(of));
        ended && ["b", "c"].iter().all(|task| told.has(task, "TASK_RUNNING"))
    });
    fs::write(&fail, "").expect("a file");
    hear_all_end(&mut scheduler, &mut told);
    assert_eq!(told.last("a")["message"], "Command exited with status 0");
    assert_eq!(told.last("b")["message"], "Command exited with status 7");
    assert_eq!(told.states("c"), KILLED);
    let message = &told.last("c")["message"];
    assert_eq!(message, "Command terminated with signal Terminated");
    // The genuine agent sees the executor's end and gives everything back.
    scheduler.offer();
}
