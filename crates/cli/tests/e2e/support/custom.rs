//! Custom executors: programs in Python that speak either protocol and do as `executors/behaviour.py`
//! says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::daemon::{
    Daemon, Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent,
    start_master,
};
use super::golden::repository;
use super::scheduler::{Scheduler, Voice, framework, scalar, text};
use super::{eventually, processes};

/// The interpreter of the executors, by its path: agents look for programs elsewhere.
pub(crate) fn python() -> String {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("python3 runs the executor");
    String::from_utf8(output.stdout)
        .expect("its path")
        .trim()
        .to_owned()
}

/// Which protocol an executor speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    V1,
    Old,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::V1, Kind::Old];

impl Kind {
    pub(crate) fn command(self) -> String {
        let script = match self {
            Self::V1 => "v1.py",
            Self::Old => "old.py",
        };
        let path = repository("crates/cli/tests/e2e/executors").join(script);
        // No compiled files in the repository.
        format!("exec {} -B {}", python(), path.display())
    }
}

/// A cluster of one agent, and a framework with custom executors.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) agent: Option<Daemon>,
    port: u16,
    pub(crate) master: Daemon,
    flags: Vec<String>,
    pub(crate) place: Place,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(flags: &[&str]) -> Self {
        Self::in_place(Place::new(), flags)
    }

    pub(crate) fn in_place(place: Place, flags: &[&str]) -> Self {
        let mut world = Self::without_agent(place, flags);
        world.start_agent();
        let agents = registered_agents(world.master.address, 1);
        world.port = agent_address(&agents[0]).port();
        world
    }

    /// The agent may be another's.
    pub(crate) fn without_agent(place: Place, flags: &[&str]) -> Self {
        let master = start_master(&place, &["--allocation_interval=100ms"]);
        let usual = [RESOURCES, "--registration_backoff_factor=10ms"];
        let flags: Vec<String> = usual
            .iter()
            .chain(flags)
            .map(|flag| (*flag).to_owned())
            .collect();
        let mut info = framework("executors");
        info["checkpoint"] = json!(true);
        let scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
        Self {
            scheduler,
            agent: None,
            port: 0,
            master,
            flags,
            place,
        }
    }

    pub(crate) fn start_agent(&mut self) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let agent = start_agent(&self.place, self.master.address, self.port, &flags);
        self.agent = Some(agent);
    }

    pub(crate) fn kill_agent(&mut self) {
        self.agent.take().expect("a running agent").kill9();
    }

    pub(crate) fn agent(&self) -> SocketAddr {
        self.agent.as_ref().expect("a running agent").address
    }

    pub(crate) fn executor(&self, id: &str, command: &str) -> Value {
        json!({
            "executor_id": {"value": id},
            "framework_id": {"value": self.scheduler.id},
            "command": {"value": command},
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        })
    }

    /// Waits for an offer and launches a task on it.
    pub(crate) fn launch(&mut self, id: &str, data: &str, executor: &Value) {
        let mut executor = executor.clone();
        for resource in executor["resources"].as_array_mut().into_iter().flatten() {
            resource["allocation_info"] = json!({"role": self.scheduler.role});
        }
        let task = json!({
            "name": id,
            "task_id": {"value": id},
            "data": BASE64.encode(data),
            "executor": executor,
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        });
        self.scheduler.start(&task);
    }

    /// Launches a task and sees it run; gives its executor's process and sandbox.
    pub(crate) fn run(&mut self, id: &str, executor: &Value) -> (u32, PathBuf) {
        self.launch(id, "", executor);
        assert_eq!(self.update("TASK_RUNNING").0, id);
        self.find(&text(&executor["executor_id"]["value"]))
    }

    /// [`Self::launch`] and TASK_RUNNING, when offers may have ended before they are seen.
    pub(crate) fn launch_on_valid_offer(&mut self, id: &str, data: &str, executor: &Value) {
        loop {
            self.launch(id, data, executor);
            let mut status = self.scheduler.acknowledged_update();
            // Others come again when their acknowledgement was lost.
            while status["task_id"]["value"] != id {
                status = self.scheduler.acknowledged_update();
            }
            if status["reason"] != "REASON_INVALID_OFFERS" {
                assert_eq!(status["state"], "TASK_RUNNING", "{status}");
                return;
            }
        }
    }

    /// Sends a message to an executor.
    pub(crate) fn say(&self, executor: &str, data: &str) {
        let agents = registered_agents(self.master.address, 1);
        self.scheduler.tell(json!({"type": "MESSAGE", "message": {
            "agent_id": {"value": agents[0]["id"]},
            "executor_id": {"value": executor},
            "data": BASE64.encode(data),
        }}));
    }

    /// The next message of an executor.
    pub(crate) fn hear(&mut self, executor: &str) -> String {
        let message = self.scheduler.event("MESSAGE");
        assert_eq!(message["executor_id"]["value"], executor);
        let data = BASE64.decode(text(&message["data"])).expect("base64");
        String::from_utf8(data).expect("a text")
    }

    /// Where an executor runs: its process and its sandbox.
    pub(crate) fn find(&mut self, executor: &str) -> (u32, PathBuf) {
        self.say(executor, "where");
        let answer: Value = serde_json::from_str(&self.hear(executor)).expect("JSON");
        let pid = answer["pid"].as_u64().expect("a number");
        (
            u32::try_from(pid).expect("a process id"),
            text(&answer["sandbox"]).into(),
        )
    }

    /// The next new update: its task, state and message.
    pub(crate) fn update(&mut self, state: &str) -> (String, String) {
        let status = self.scheduler.expect(state);
        let message = status["message"].as_str().unwrap_or_default().to_owned();
        (text(&status["task_id"]["value"]), message)
    }

    /// The states of tasks, in order and without repetitions, up to their ends.
    pub(crate) fn histories(&mut self, tasks: &[String]) -> BTreeMap<String, Vec<String>> {
        let mut histories: BTreeMap<String, Vec<String>> = tasks
            .iter()
            .map(|task| (task.clone(), Vec::new()))
            .collect();
        let has_ended = |states: &Vec<String>| {
            let last = states.last().map(String::as_str);
            !matches!(last, None | Some("TASK_STARTING" | "TASK_RUNNING"))
        };
        while !histories.values().all(has_ended) {
            let status = self.scheduler.acknowledged_update();
            let task = text(&status["task_id"]["value"]);
            if let Some(states) = histories.get_mut(&task)
                && states.last().map(String::as_str) != status["state"].as_str()
            {
                states.push(text(&status["state"]));
            }
        }
        histories
    }

    pub(crate) fn shut_down(&self, executor: &str) {
        let agents = registered_agents(self.master.address, 1);
        self.scheduler.tell(json!({"type": "SHUTDOWN", "shutdown": {
            "agent_id": {"value": agents[0]["id"]},
            "executor_id": {"value": executor},
        }}));
    }

    /// The FAILURE event of an executor; its status, raw as `wait` gives it.
    pub(crate) fn end_of(&mut self, executor: &str) -> i64 {
        let failure = self.scheduler.event("FAILURE");
        assert_eq!(failure["executor_id"]["value"], executor, "{failure}");
        failure["status"].as_i64().expect("a status")
    }
}

/// What an executor noted in its sandbox.
pub(crate) fn events(sandbox: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.join("events")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn await_event(sandbox: &Path, event: &str) {
    eventually(event, || {
        events(sandbox).iter().any(|it| it == event).then_some(())
    });
}

pub(crate) fn await_end(pid: u32) {
    eventually("the executor's end", || {
        (!processes::runs(pid)).then_some(())
    });
}

/// The sandbox of the only run of an executor, by the agent's books.
pub(crate) fn sandbox_of(state: &Value, executor: &str) -> PathBuf {
    let frameworks = ["frameworks", "completed_frameworks"]
        .into_iter()
        .filter_map(|name| state[name].as_array());
    let executors = frameworks.flatten().flat_map(|framework| {
        ["executors", "completed_executors"]
            .into_iter()
            .filter_map(|name| framework[name].as_array())
            .flatten()
    });
    let mut found = executors.filter(|it| it["id"] == executor);
    text(&found.next().expect("the executor")["directory"]).into()
}
