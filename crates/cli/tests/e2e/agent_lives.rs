//! What an agent finds when it comes back: its memory damaged, its machine started anew, its binary
//! exchanged, or itself with other resources and attributes than before.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use meseta_store::Store;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{
    Daemon, Place, agent_address, agent_command, registered_agents, scheduler_api, start_agent,
    start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{eventually, processes};

const CPUS: &str = "--resources=cpus:4;mem:4096;disk:10000";
const QUICK: &str = "--registration_backoff_factor=10ms";
const NO_SANDBOXES: &str = "--gc_delay=0ns";

struct World<'a> {
    place: &'a Place,
    master: Daemon,
    scheduler: Scheduler,
    port: u16,
}

impl World<'_> {
    fn start<'a>(place: &'a Place, flags: &[&str]) -> (World<'a>, Daemon) {
        let master = start_master(place, &["--allocation_interval=100ms"]);
        let agent = start_agent(place, master.address, 0, flags);
        let port = agent_address(&registered_agents(master.address, 1)[0]).port();
        let mut info = framework("agent-lives");
        info["checkpoint"] = json!(true);
        // The agent is known to know its id before it is killed.
        eventually("the agent's memory of its id", || {
            let facts = std::fs::read(place.join("agent/meta/facts")).ok()?;
            facts
                .windows(10)
                .any(|part| part == b"copy/agent")
                .then_some(())
        });
        let scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
        let world = World {
            place,
            master,
            scheduler,
            port,
        };
        (world, agent)
    }

    fn address(&self) -> SocketAddr {
        self.master.address
    }

    fn come_back(&self, flags: &[&str]) -> Daemon {
        start_agent(self.place, self.address(), self.port, flags)
    }

    fn facts(&self) -> PathBuf {
        self.place.join("agent/meta/facts")
    }

    /// An offer that no death of the agent has ended.
    fn valid_offer(&mut self) -> Value {
        // What the master answers comes after all that it has said before.
        self.scheduler
            .tell(json!({"type": "RECONCILE", "reconcile": {
                "tasks": [{"task_id": {"value": "unknown-task"}}],
            }}));
        let mut offers: Vec<Value> = Vec::new();
        let mut is_answered = false;
        loop {
            if is_answered && let Some(offer) = offers.pop() {
                return offer;
            }
            let event = self.scheduler.any();
            match event["type"].as_str() {
                Some("OFFERS") => {
                    offers.extend(
                        event["offers"]["offers"]
                            .as_array()
                            .expect("offers")
                            .clone(),
                    );
                }
                Some("RESCIND") => {
                    offers.retain(|offer| offer["id"] != event["rescind"]["offer_id"]);
                }
                Some("UPDATE") => {
                    let status = &event["update"]["status"];
                    self.scheduler.acknowledge(status);
                    is_answered |= status["task_id"]["value"] == "unknown-task";
                }
                _ => {}
            }
        }
    }

    /// Runs tasks for ever, each with this many CPUs.
    fn run(&mut self, ids: &[&str], cpus: f64) {
        let offer = self.valid_offer();
        let tasks: Vec<Value> = ids.iter().map(|id| endless(id, cpus)).collect();
        let answer = self.scheduler.launch(&offer, &tasks);
        assert_eq!(answer.status(), 202, "{}", answer.text());
        let mut running = BTreeSet::new();
        while running.len() < ids.len() {
            let status = self.scheduler.acknowledged_update();
            if status["state"] == "TASK_RUNNING" {
                running.insert(text(&status["task_id"]["value"]));
            }
        }
    }

    /// The next update that says that a task does not run; those before it may be repeated.
    fn news(&mut self) -> Value {
        loop {
            let status = self.scheduler.acknowledged_update();
            if !matches!(
                status["state"].as_str(),
                Some("TASK_RUNNING" | "TASK_STARTING")
            ) {
                return status;
            }
        }
    }

    /// The states in which each of the tasks ended, after those that still ran were killed.
    fn ends(&mut self, ids: &[&str]) -> BTreeMap<String, Value> {
        let mut ends = BTreeMap::new();
        for id in ids {
            self.scheduler.kill(id);
        }
        while ends.len() < ids.len() {
            let status = self.scheduler.acknowledged_update();
            let state = text(&status["state"]);
            if !matches!(&*state, "TASK_RUNNING" | "TASK_STARTING" | "TASK_KILLING") {
                ends.insert(text(&status["task_id"]["value"]), status);
                ends.retain(|id, _| ids.contains(&&**id));
            }
        }
        ends
    }

    fn see_processes_gone(&self, agent: &Daemon) {
        let daemons = [self.master.pid(), agent.pid()].into();
        eventually("the end of every executor and task", || {
            (processes::with_traces_of(self.place.path()) == daemons).then_some(())
        });
    }

    /// The end of an agent that refuses to start, and the last of what it said.
    fn refusal(&self, flags: &[&str]) -> String {
        let mut command = agent_command(self.place, self.address(), self.port, flags);
        let said = |place: &Place| std::fs::read_to_string(place.join("agent.log")).unwrap();
        let before = said(self.place).len();
        let mut child = self.place.run("agent", &mut command);
        let status = eventually("the agent's end", || child.try_wait().expect("its state"));
        assert!(!status.success());
        said(self.place)[before..].to_owned()
    }
}

fn endless(id: &str, cpus: f64) -> Value {
    let mut task = shell_task(id, "sleep 100000");
    for resource in task["resources"].as_array_mut().expect("resources") {
        if resource["name"] == "cpus" {
            resource["scalar"]["value"] = json!(cpus);
        }
    }
    task
}

/// Numbers that are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("a number below another")
    }
}

#[test]
fn an_agent_whose_memory_is_damaged_goes_on_with_the_rest_and_leaves_nothing_running() {
    const TASKS: [&str; 3] = ["one", "two", "three"];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..6 {
        let place = Place::new();
        let flags = [CPUS, QUICK, NO_SANDBOXES];
        let (mut world, agent) = World::start(&place, &flags);
        world.run(&TASKS, 0.1);
        agent.kill9();
        let mut bytes = std::fs::read(world.facts()).unwrap();
        let length = bytes.len();
        match round % 3 {
            0 => {
                for _ in 0..3 {
                    bytes[random.below(length)] ^= 1 << random.below(8);
                }
            }
            1 => bytes.truncate(length - random.below(length / 2)),
            _ => {
                let page = random.below(length - 512);
                bytes[page..page + 512].fill(0);
            }
        }
        std::fs::write(world.facts(), &bytes).unwrap();
        let agent = world.come_back(&flags);
        registered_agents(world.address(), 1);
        // Whatever is known of them: all of them end, for the framework and in truth.
        world.ends(&TASKS);
        world.see_processes_gone(&agent);
        world.run(&["another"], 0.1);
    }
}

#[test]
fn one_damaged_record_costs_one_task_and_a_strict_agent_refuses_it() {
    let place = Place::new();
    let flags = [CPUS, QUICK];
    let (mut world, agent) = World::start(&place, &flags);
    world.run(&["whole", "damaged"], 0.1);
    agent.kill9();
    // What an agent keeps of a running task is written once its state has changed.
    let mut bytes = std::fs::read(world.facts()).unwrap();
    let key = b"/damaged/damaged";
    let found = bytes.windows(key.len()).enumerate();
    let places: Vec<usize> = found
        .filter(|(_, part)| *part == key)
        .map(|(at, _)| at + key.len() + 40)
        .collect();
    for at in places {
        bytes[at] ^= 0x10;
    }
    std::fs::write(world.facts(), &bytes).unwrap();

    let said = world.refusal(&[CPUS, QUICK, "--strict=true"]);
    assert!(said.contains("is damaged: the facts task/"), "{said}");
    assert!(said.contains("/damaged/damaged"), "{said}");
    assert_eq!(
        std::fs::read(world.facts()).unwrap(),
        bytes,
        "it is left alone"
    );

    let agent = world.come_back(&flags);
    let log = std::fs::read_to_string(place.join("agent.log")).unwrap();
    assert!(log.contains("the store is damaged"), "{log}");
    assert_eq!(
        std::fs::read(place.join("agent/meta/facts.damaged-1")).unwrap(),
        bytes
    );
    // The damaged one ends by itself.
    let status = world.news();
    assert_eq!(status["task_id"]["value"], "damaged", "{status}");
    let end = &world.ends(&["whole"])["whole"];
    assert_eq!(end["state"], "TASK_KILLED", "{end}");
    world.see_processes_gone(&agent);
}

#[test]
fn tasks_outlive_other_attributes_and_as_far_as_they_fit_fewer_resources() {
    let place = Place::new();
    let flags = [CPUS, QUICK, "--attributes=rack:a"];
    let (mut world, agent) = World::start(&place, &flags);
    let id = registered_agents(world.address(), 1)[0]["id"].clone();
    world.run(&["a", "b", "c"], 1.0);
    agent.kill9();

    let fewer = "--resources=cpus:2;mem:4096;disk:10000";
    for policy in ["equal", "additive"] {
        let policy = format!("--reconfiguration_policy={policy}");
        let said = world.refusal(&[fewer, QUICK, "--attributes=rack:a", &policy]);
        assert!(said.contains("Failed to perform recovery: "), "{said}");
    }

    let agent = world.come_back(&[fewer, QUICK, "--attributes=rack:b"]);
    let known = eventually("the agent as it is now", || {
        let agents = registered_agents(world.address(), 1);
        (agents[0]["attributes"]["rack"] == "b").then(|| agents[0].clone())
    });
    assert_eq!(known["id"], id);
    assert_eq!(known["resources"]["cpus"], 2.0, "{known}");
    let status = world.news();
    assert_eq!(status["task_id"]["value"], "c", "{status}");
    assert_eq!(status["reason"], "REASON_RESOURCES_UNKNOWN", "{status}");
    // What is left is used up.
    eventually("what the master counts as used", || {
        let agents = registered_agents(world.address(), 1);
        (agents[0]["used_resources"]["cpus"] == 2.0).then_some(())
    });
    for (task, end) in world.ends(&["a", "b"]) {
        assert_eq!(end["state"], "TASK_KILLED", "{task}: {end}");
    }
    world.see_processes_gone(&agent);
    let offer = world.scheduler.offer();
    assert!(offer.to_string().contains("rack"), "{offer}");
}

#[test]
fn an_agent_that_is_to_clean_up_ends_what_outlived_it_and_then_itself() {
    let place = Place::new();
    let flags = [CPUS, QUICK];
    let (mut world, agent) = World::start(&place, &flags);
    world.run(&["t"], 0.1);
    agent.kill9();
    let mut command = agent_command(
        &place,
        world.address(),
        world.port,
        &[CPUS, QUICK, "--recover=cleanup"],
    );
    let mut child = place.run("agent", &mut command);
    let status = eventually("the agent's end", || child.try_wait().expect("its state"));
    assert!(status.success(), "{status}");
    eventually("the end of every executor and task", || {
        (processes::with_traces_of(place.path()) == [world.master.pid()].into()).then_some(())
    });
    assert!(
        Store::open(&world.facts())
            .unwrap()
            .load()
            .unwrap()
            .is_empty()
    );
}

/// As if the machine had been started anew: nothing runs, and what was written was written in another
/// boot.
fn restart_machine(world: &World<'_>) {
    for pid in processes::with_traces_of(world.place.path()) {
        if pid != world.master.pid() {
            processes::kill9(pid);
        }
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (boot, other) = (
        boot.trim().as_bytes(),
        b"00000000-0000-4000-8000-000000000000",
    );
    let replace = |bytes: &mut Vec<u8>| {
        let mut found = 0;
        for at in 0..bytes.len().saturating_sub(boot.len()) {
            if bytes[at..].starts_with(boot) {
                bytes[at..at + boot.len()].copy_from_slice(other);
                found += 1;
            }
        }
        found
    };
    let mut store = Store::open(&world.facts()).unwrap();
    let mut facts = store.load().unwrap();
    let found: usize = facts.iter_mut().map(|(_, bytes)| replace(bytes)).sum();
    assert!(found > 0, "the facts name the boot");
    let changes: Vec<_> = facts
        .into_iter()
        .map(|(key, bytes)| (key, Some(bytes)))
        .collect();
    store.commit(&changes).unwrap();
    for entry in std::fs::read_dir(world.place.join("agent/meta/started")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(replace(&mut bytes), 1, "{}", path.display());
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_machine_that_was_started_anew_has_its_agent_back_and_no_process_is_mistaken_for_a_task() {
    let place = Place::new();
    let flags = [CPUS, QUICK];
    let (mut world, agent) = World::start(&place, &flags);
    let id = registered_agents(world.address(), 1)[0]["id"].clone();
    world.run(&["t"], 0.1);
    agent.kill9();
    restart_machine(&world);
    let agent = world.come_back(&flags);
    let status = world.news();
    assert_eq!(status["state"], "TASK_FAILED", "{status}");
    assert_eq!(registered_agents(world.address(), 1)[0]["id"], id);
    world.see_processes_gone(&agent);
    world.run(&["another"], 0.1);
}

#[test]
fn executors_of_the_former_binary_go_on_under_a_new_one() {
    let place = Place::new();
    let flags = [CPUS, QUICK];
    let former = place.join("former-meseta");
    std::fs::copy(env!("CARGO_BIN_EXE_meseta"), &former).unwrap();
    let (mut world, agent) = World::start(&place, &flags);
    agent.kill9();
    let like = agent_command(&place, world.address(), world.port, &flags);
    let mut command = Command::new(&former);
    command.args(like.get_args());
    let agent = Daemon::start(&place, "agent", &mut command);
    registered_agents(world.address(), 1);
    world.run(&["old"], 0.1);
    agent.kill9();
    std::fs::remove_file(&former).unwrap();

    let agent = world.come_back(&flags);
    registered_agents(world.address(), 1);
    world.run(&["new"], 0.1);
    for (task, end) in world.ends(&["old", "new"]) {
        assert_eq!(end["state"], "TASK_KILLED", "{task}: {end}");
    }
    world.see_processes_gone(&agent);
    let status = agent.stop_by(Signal::TERM);
    assert!(status.success(), "{status}");
    assert_eq!(world.facts().metadata().unwrap().mode() & 0o7777, 0o600);
}
