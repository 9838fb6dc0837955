//! Many tasks that end at once: what each takes follows what is its own, and none is forgotten though those
//! who end them die meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::daemon::{
    Cluster, Daemon, Place, agent_address, registered_agents, scheduler_api, start_agent,
    start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{eventually, processes};

const TASKS: usize = 100;

/// The agent comes back without waiting for others to have come back before it.
const FLAGS: [&str; 2] = [
    "--resources=cpus:20;mem:8000;disk:10000",
    "--registration_backoff_factor=10ms",
];

/// A crowd of tasks that stay until they are killed.
struct Crowd<'a> {
    place: &'a Place,
    master: Daemon,
    port: u16,
    scheduler: Scheduler,
    /// Their executors' processes.
    executors: BTreeMap<String, u32>,
    /// Those that were seen to run.
    running: BTreeSet<String>,
    /// What became of those that ended.
    ends: BTreeMap<String, String>,
}

impl Crowd<'_> {
    fn start(place: &Place) -> (Crowd<'_>, Daemon) {
        let master = start_master(place, &["--allocation_interval=100ms"]);
        let agent = start_agent(place, master.address, 0, &FLAGS);
        let port = agent_address(&registered_agents(master.address, 1)[0]).port();
        let mut info = framework("crowd");
        info["checkpoint"] = json!(true);
        let scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
        let mut crowd = Crowd {
            place,
            master,
            port,
            scheduler,
            executors: BTreeMap::new(),
            running: BTreeSet::new(),
            ends: BTreeMap::new(),
        };
        let tasks: Vec<Value> = (0..TASKS)
            .map(|number| shell_task(&format!("t{number}"), "sleep 1000"))
            .collect();
        let offer = crowd.scheduler.offer();
        let answer = crowd.scheduler.launch(&offer, &tasks);
        assert_eq!(answer.status(), 202, "{}", answer.text());
        while crowd.running.len() < TASKS {
            crowd.hear();
        }
        crowd.executors = executors_of(&agent);
        assert_eq!(crowd.executors.len(), TASKS);
        (crowd, agent)
    }

    /// The next update.
    fn hear(&mut self) {
        let status = self.scheduler.acknowledged_update();
        let id = text(&status["task_id"]["value"]);
        match status["state"].as_str() {
            Some("TASK_RUNNING") => drop(self.running.insert(id)),
            Some("TASK_STARTING" | "TASK_KILLING") => {}
            _ => {
                let state = text(&status["state"]);
                let last = self.ends.insert(id, state.clone());
                assert!(last.is_none_or(|last| last == state), "{status}");
            }
        }
    }

    fn hear_ends(&mut self, count: usize) {
        while self.ends.len() < count {
            self.hear();
        }
    }

    /// Kills all that have not ended, as far as anybody knows.
    fn kill(&self) {
        for id in self.executors.keys() {
            if !self.ends.contains_key(id) {
                self.scheduler.kill(id);
            }
        }
    }

    fn come_back(&self) -> Daemon {
        let agent = start_agent(self.place, self.address(), self.port, &FLAGS);
        eventually("the agent's return", || {
            let agents = registered_agents(self.address(), 1);
            (agents[0]["active"] == true).then_some(())
        });
        agent
    }

    fn address(&self) -> SocketAddr {
        self.master.address
    }

    fn see_everything_gone(&self, agent: &Daemon) {
        let daemons: BTreeSet<u32> = [self.master.pid(), agent.pid()].into();
        eventually("the end of every process of the tasks", || {
            (processes::with_traces_of(self.place.path()) == daemons).then_some(())
        });
    }
}

/// The processes of an agent's command executors, by what these call themselves.
fn executors_of(agent: &Daemon) -> BTreeMap<String, u32> {
    let read = |pid: u32, what: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let processes = processes::descendants(agent.pid()).into_iter();
    let executors = processes.filter(|pid| read(*pid, "cmdline").contains("command-executor"));
    let named = executors.filter_map(|pid| {
        let environment = read(pid, "environ");
        let mut variables = environment.split('\0');
        let id = variables.find_map(|variable| variable.strip_prefix("MESOS_EXECUTOR_ID="))?;
        Some((id.to_owned(), pid))
    });
    named.collect()
}

#[test]
fn a_crowd_is_killed_though_agent_and_executors_die_meanwhile() {
    let place = Place::new();
    let (mut crowd, agent) = Crowd::start(&place);
    crowd.kill();
    crowd.hear_ends(TASKS / 10);
    let left = crowd.executors.iter();
    let left = left.filter(|(id, _)| !crowd.ends.contains_key(*id));
    let victims: BTreeMap<String, u32> = left
        .take(TASKS / 5)
        .map(|(id, pid)| (id.clone(), *pid))
        .collect();
    for pid in victims.values() {
        processes::kill9(*pid);
    }
    agent.kill9();
    let agent = crowd.come_back();
    // Of what was on its way nobody knows whether it has arrived.
    crowd.kill();
    crowd.hear_ends(TASKS);
    for (id, state) in &crowd.ends {
        let may_have_failed = victims.contains_key(id);
        assert!(
            state == "TASK_KILLED" || (may_have_failed && state == "TASK_FAILED"),
            "{id}: {state}"
        );
    }
    crowd.see_everything_gone(&agent);
}

#[test]
fn a_crowd_that_outlived_its_agent_is_killed_by_the_next() {
    let place = Place::new();
    let (mut crowd, agent) = Crowd::start(&place);
    agent.kill9();
    let agent = crowd.come_back();
    crowd.kill();
    crowd.hear_ends(TASKS);
    assert!(crowd.ends.values().all(|state| state == "TASK_KILLED"));
    crowd.see_everything_gone(&agent);
}

#[test]
fn a_crowd_that_ended_while_no_agent_was_there_is_known_to_have_ended() {
    let place = Place::new();
    let (mut crowd, agent) = Crowd::start(&place);
    agent.kill9();
    crowd
        .executors
        .values()
        .for_each(|pid| processes::kill9(*pid));
    let agent = crowd.come_back();
    crowd.hear_ends(TASKS);
    assert!(crowd.ends.values().all(|state| state == "TASK_FAILED"));
    crowd.see_everything_gone(&agent);
}

/// Processes that have nothing to do with any task.
struct Bystanders(Vec<Child>);

impl Bystanders {
    fn start(count: usize) -> Self {
        let start = |_| {
            let mut command = Command::new("sleep");
            let command = command.arg("1000").stdin(Stdio::null());
            command.spawn().expect("a process")
        };
        Self((0..count).map(start).collect())
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How often a process has read anything.
fn reads(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("what a process has read");
    let reads = io.lines().find_map(|line| line.strip_prefix("syscr: "));
    reads
        .and_then(|reads| reads.parse().ok())
        .expect("a number")
}

#[test]
fn an_executor_that_kills_its_task_looks_at_no_other_process_of_the_machine() {
    const BYSTANDERS: usize = 300;
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("bystanders"));
    let command = "trap '' TERM; while :; do sleep 1000; done";
    let mut task = shell_task("stays", command);
    task["kill_policy"] = json!({"grace_period": {"nanoseconds": 3_600_000_000_000_u64}});
    scheduler.start_and_see_running(&task);
    let executor = executors_of(&cluster.daemon)["stays"];
    // Its shell does not die of the signal, and has come to its loop.
    eventually("the task's own process", || {
        (processes::descendants(executor).len() == 2).then_some(())
    });

    let _bystanders = Bystanders::start(BYSTANDERS);
    let before = reads(executor);
    scheduler.kill("stays");
    scheduler.expect("TASK_KILLING");
    // The update leaves after the signal.
    let read = reads(executor) - before;
    assert!(read < BYSTANDERS as u64, "{read} reads for two processes");
}
