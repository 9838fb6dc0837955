//! `examples/scheduler`: its recipes, and its survival of every death.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use meseta_framework::keep::{FileStore, Store as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::daemon::{
    Cluster, Daemon, Place, RESOURCES, agent_address, registered_agents, start_agent, start_master,
    start_master_at,
};
use crate::support::examples::{example, this_user};
use crate::support::{eventually, http, processes};

const QUICK: &str = "--registration_backoff_factor=10ms";

/// Starts the example. Whatever it remembers is in the place.
fn start(place: &Place, master: SocketAddr, flags: &[&str]) -> Daemon {
    let mut command = example("scheduler");
    command
        .args(["--listen=127.0.0.1:0", &format!("--master={master}")])
        .arg(format!("--folder={}", place.join("remembered").display()))
        .arg(format!("--user={}", this_user()))
        .args(flags);
    Daemon::start(place, "scheduler", &mut command)
}

/// The id that a command was given.
fn try_to_schedule(at: SocketAddr, command: &str) -> io::Result<u64> {
    let command = utf8_percent_encode(command, NON_ALPHANUMERIC);
    let answer = http::request(at, "POST", &format!("/?cmd={command}"), &[], None)?;
    assert_eq!(answer.status(), 201, "{}", answer.text());
    Ok(answer.text().trim().parse().expect("a number"))
}

fn schedule(at: SocketAddr, command: &str) -> u64 {
    try_to_schedule(at, command).expect("an answer")
}

fn list(at: SocketAddr) -> Vec<Value> {
    let list = http::get(at, "/").json();
    list.as_array().expect("a list").clone()
}

/// Waits for a state of a task.
fn reaches(at: SocketAddr, id: u64, state: &str) -> Value {
    eventually(&format!("{state} of {id}"), || {
        let tasks = list(at);
        let task = tasks.iter().find(|task| task["id"] == id)?;
        (task["state"] == state).then(|| task.clone())
    })
}

/// The only framework of a master.
fn framework(master: SocketAddr) -> Value {
    eventually("the framework", || {
        let state = http::get(master, "/state").json();
        let frameworks = state["frameworks"].as_array()?;
        assert!(frameworks.len() < 2, "{frameworks:?}");
        let only = frameworks.first()?;
        (only["connected"] == true).then(|| only.clone())
    })
}

fn metric(master: SocketAddr, name: &str) -> f64 {
    let metrics = http::get(master, "/metrics/snapshot").json();
    metrics[name].as_f64().expect("a number")
}

fn recipes(flags: &[&str]) {
    let cluster = Cluster::with(&[RESOURCES, "--agents=2"]);
    let scheduler = start(&cluster.place, cluster.master(), flags);
    let at = scheduler.address;

    let sleeps = schedule(at, "sleep 100000");
    let fails = schedule(at, "false");
    assert_ne!(sleeps, fails);
    let failed = reaches(at, fails, "TASK_FAILED");
    assert_eq!(failed["completed"], true, "{failed}");
    assert_eq!(failed["command"], "false");
    assert_eq!(failed["message"], "Command exited with status 1");
    let running = reaches(at, sleeps, "TASK_RUNNING");
    assert_eq!(running["completed"], false, "{running}");

    let known = framework(cluster.master());
    assert_eq!(known["webui_url"], format!("http://{at}/"), "{known}");
    assert_eq!(known["failover_timeout"], 3600.0);
    assert_eq!(known["checkpoint"], true);
    // A task is active until the update of its end has been acknowledged.
    eventually("the acknowledgement of the failure", || {
        let known = framework(cluster.master());
        (known["completed_tasks"][0]["id"] == failed["task_id"]).then_some(())
    });
    eventually("every offer used or given back, and no more wanted", || {
        let known = framework(cluster.master());
        let has_none = known["offers"] == json!([]);
        let suppressions = metric(cluster.master(), "master/messages_suppress_offers");
        (has_none && suppressions > 0.0).then_some(())
    });

    let id_of = |id: u64| format!("/?id={id}");
    let killed = http::request(at, "DELETE", &id_of(sleeps), &[], None).expect("an answer");
    assert_eq!(killed.status(), 202, "{}", killed.text());
    reaches(at, sleeps, "TASK_KILLED");
    // Somebody waits again, so offers are wanted again.
    let last = schedule(at, "true");
    reaches(at, last, "TASK_FINISHED");
    assert!(metric(cluster.master(), "master/messages_revive_offers") > 0.0);

    let refusal = |method: &str, target: &str, headers: &[(&str, &str)]| {
        let answer = http::request(at, method, target, headers, None).expect("an answer");
        (answer.status(), answer.text())
    };
    for (method, target, status, sentence) in [
        (
            "POST",
            "/",
            400,
            "missing field `cmd`; try POST /?cmd=COMMAND",
        ),
        ("POST", "/?cmd=", 400, "the command is empty"),
        ("POST", "/?cmd=a%00", 400, "the command contains a NUL"),
        ("POST", "/?cmd=a&cmd=b", 400, "duplicate field `cmd`"),
        ("DELETE", "/?id=x", 400, "try DELETE /?id=NUMBER"),
        ("DELETE", "/", 400, "missing field `id`"),
        ("DELETE", "/?id=99", 404, "there is no task 99"),
        (
            "DELETE",
            &id_of(last),
            409,
            "has ended already: TASK_FINISHED",
        ),
        ("PUT", "/?cmd=true", 405, ""),
        ("GET", "/other", 404, ""),
    ] {
        let (found, text) = refusal(method, target, &[]);
        assert_eq!(found, status, "{method} {target}: {text}");
        assert!(text.contains(sentence), "{method} {target}: {text}");
    }
    let long = format!("/?cmd={}", "x".repeat(64 * 1024 + 1));
    assert_eq!(refusal("POST", &long, &[]).0, 414);
    let page = [("origin", "http://a-page.example")];
    assert_eq!(refusal("POST", "/?cmd=true", &page).0, 403);
    assert_eq!(list(at).len(), 3);
}

#[test]
fn the_recipes_hold_in_protobuf() {
    recipes(&[]);
}

#[test]
fn the_recipes_hold_in_json() {
    recipes(&["--json"]);
}

const TASKS: usize = 50;

/// A master, an agent and a scheduler with [`TASKS`] running tasks, each of which has left its
/// process id in a file.
struct World {
    master: Daemon,
    agent: Daemon,
    agent_port: u16,
    scheduler: Daemon,
    framework_id: Value,
    pids: BTreeMap<u64, u32>,
    // Its end is that of every process left.
    place: Place,
}

const AGENT: [&str; 3] = [
    "--resources=cpus:8;mem:8192;disk:10000",
    // On a loaded machine, fifty executors may need longer than two seconds to find it again.
    "--executor_reregistration_timeout=15secs",
    QUICK,
];

impl World {
    fn start() -> Self {
        let place = Place::new();
        let master = start_master(&place, &[]);
        let agent = start_agent(&place, master.address, 0, &AGENT);
        let agent_port = agent_address(&registered_agents(master.address, 1)[0]).port();
        let scheduler = start(&place, master.address, &[]);
        fs::create_dir(place.join("pids")).expect("a folder");
        let ids: Vec<u64> = (0..TASKS)
            .map(|number| {
                let file = place.join(&format!("pids/{number}"));
                let command = format!("echo $$ >> {}; exec sleep 100000", file.display());
                schedule(scheduler.address, &command)
            })
            .collect();
        let framework_id = framework(master.address)["id"].clone();
        let mut world = Self {
            place,
            master,
            agent,
            agent_port,
            scheduler,
            framework_id,
            pids: BTreeMap::new(),
        };
        world.see_all_confirmed();
        world.pids = ids.into_iter().zip(world.started()).collect();
        world
    }

    /// The process id of each task's only start.
    fn started(&self) -> Vec<u32> {
        let pid = |number: usize| {
            let text = fs::read_to_string(self.place.join(&format!("pids/{number}")));
            let text = text.expect("the file of a task that runs");
            text.trim()
                .parse()
                .unwrap_or_else(|_| panic!("{number} was started more than once: {text}"))
        };
        (0..TASKS).map(pid).collect()
    }

    fn see_all_confirmed(&self) {
        eventually("the confirmation that all tasks run", || {
            let tasks = list(self.scheduler.address);
            let runs = |task: &&Value| task["state"] == "TASK_RUNNING" && task["confirmed"] == true;
            (tasks.iter().filter(runs).count() == TASKS).then_some(())
        });
    }

    /// Sees that nothing was lost: for the scheduler, for the master, and in truth.
    fn see_all_run(&self) {
        let master = self.master.address;
        eventually("all tasks in the master's books", || {
            let known = framework(master);
            assert_eq!(known["id"], self.framework_id);
            let tasks = known["tasks"].as_array()?;
            let runs = |task: &&Value| task["state"] == "TASK_RUNNING";
            (tasks.iter().filter(runs).count() == TASKS).then_some(())
        });
        self.see_all_confirmed();
        assert_eq!(framework(master)["completed_tasks"], json!([]));
        let pids: Vec<u32> = self.pids.values().copied().collect();
        assert_eq!(self.started(), pids);
        for (id, pid) in &self.pids {
            assert!(processes::runs(*pid), "{id} is gone");
        }
    }
}

#[test]
fn fifty_tasks_outlive_the_scheduler_the_master_and_the_agent() {
    let mut world = World::start();
    world.see_all_run();
    let master = world.master.address;
    let questions = || metric(master, "master/messages_reconcile_tasks");

    let before = questions();
    world.scheduler.kill9();
    world.scheduler = start(&world.place, master, &[]);
    world.see_all_run();
    assert!(questions() > before);

    world.master.kill9();
    world.master = start_master_at(&world.place, master.port(), &[]);
    registered_agents(master, 1);
    world.see_all_run();
    eventually("the scheduler's questions", || {
        (questions() > 0.0).then_some(())
    });

    let registered = || registered_agents(master, 1)[0]["reregistered_time"].clone();
    let before = registered();
    world.agent.kill9();
    world.agent = start_agent(&world.place, master, world.agent_port, &AGENT);
    eventually("the agent's return", || {
        (registered() != before).then_some(())
    });
    world.see_all_run();

    // And it is a cluster on which one can go on.
    let at = world.scheduler.address;
    let another = schedule(at, "true");
    reaches(at, another, "TASK_FINISHED");
    for id in world.pids.keys() {
        let killed = http::request(at, "DELETE", &format!("/?id={id}"), &[], None);
        assert_eq!(killed.expect("an answer").status(), 202);
    }
    for (id, pid) in &world.pids {
        reaches(at, *id, "TASK_KILLED");
        assert!(!processes::runs(*pid), "{id} is still there");
    }
}

/// A command that leaves a line at each run, and where.
fn leaves_a_line(place: &Place, number: usize) -> (String, PathBuf) {
    let file = place.join(&format!("ran-{number}"));
    (format!("echo ran >> {}", file.display()), file)
}

#[test]
fn a_launch_that_no_master_heard_of_is_made_again() {
    let cluster = Cluster::start();
    let scheduler = start(&cluster.place, cluster.master(), &[]);
    let first = schedule(scheduler.address, "true");
    let agent = reaches(scheduler.address, first, "TASK_FINISHED")["agent_id"].clone();
    scheduler.kill9();

    // As if it had been killed between writing a launch down and making it.
    let (command, file) = leaves_a_line(&cluster.place, 0);
    let written = json!({"id": first + 1, "command": command, "launches": 1, "agent_id": agent,
        "state": "TASK_STAGING", "message": "", "is_to_die": false});
    let mut store = FileStore::open(cluster.place.join("remembered")).expect("its folder");
    let key = format!("task-{}", first + 1);
    store
        .save(&key, Some(written.to_string().as_bytes()))
        .expect("saved");

    let scheduler = start(&cluster.place, cluster.master(), &[]);
    let task = reaches(scheduler.address, first + 1, "TASK_FINISHED");
    assert_eq!(task["task_id"], format!("{}.2", first + 1));
    assert_eq!(fs::read_to_string(file).expect("its line"), "ran\n");
}

#[test]
fn an_id_that_was_answered_is_neither_lost_nor_run_twice_whenever_the_scheduler_dies() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let mut agent = None;
    let mut answered = BTreeMap::new();
    let mut next = 0;
    for round in 0..8 {
        let scheduler = start(&place, master.address, &[]);
        // It dies once so many are answered, while others are under way, and being launched.
        for _ in 0..=round {
            let (command, _) = leaves_a_line(&place, next);
            answered.insert(schedule(scheduler.address, &command), next);
            next += 1;
        }
        let (command, _) = leaves_a_line(&place, next);
        let at = scheduler.address;
        let last = std::thread::spawn(move || try_to_schedule(at, &command));
        scheduler.kill9();
        if let Ok(id) = last.join().expect("no panic") {
            answered.insert(id, next);
        }
        next += 1;
        // In the first round there is nobody to launch anything.
        agent.get_or_insert_with(|| start_agent(&place, master.address, 0, &[RESOURCES, QUICK]));
    }
    let scheduler = start(&place, master.address, &[]);
    for (id, number) in &answered {
        reaches(scheduler.address, *id, "TASK_FINISHED");
        let line = fs::read_to_string(leaves_a_line(&place, *number).1);
        assert_eq!(line.expect("a line"), "ran\n", "{id}");
    }
    // Whose answer was lost may have run or not, but not more than once.
    eventually("the end of all others", || {
        let tasks = list(scheduler.address);
        tasks
            .iter()
            .all(|task| task["completed"] == true)
            .then_some(())
    });
    for number in 0..next {
        let text = fs::read_to_string(leaves_a_line(&place, number).1).unwrap_or_default();
        assert!(["", "ran\n"].contains(&&*text), "{number}: {text}");
    }
}
