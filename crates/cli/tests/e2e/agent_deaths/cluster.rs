//! A cluster whose agent dies, and what its framework hears.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use meseta_store::Store;
use serde_json::{Value, json};

use super::FLAGS;
use crate::support::daemon::{
    Daemon, Place, agent_address, registered_agents, scheduler_api, start_agent, start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{PATIENCE, processes};

/// Tasks of a round, so that each death meets several moments.
pub(super) const TASKS: usize = 4;

/// What is said of a task that an agent died before taking: on its way there, or before the master sent it.
const NEVER_TAKEN: &str = "Reconciliation: task unknown to the agent";
const NEVER_SENT: &str = "Task launched with invalid offers: ";

/// What a framework was told of a task.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The updates that are not repetitions of the one before: state, and what else was said.
    updates: Vec<(String, String)>,
    latest: Option<String>,
    last_message: String,
}

impl History {
    fn take(&mut self, status: &Value) {
        let uuid = status["uuid"].as_str().map(str::to_owned);
        if uuid.is_some() && uuid == self.latest {
            return;
        }
        let (state, said) = (text(&status["state"]), status.to_string());
        assert!(!self.has_ended(), "after {:?} came {said}", self.updates);
        self.updates.push((state, said));
        status["message"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.last_message);
        self.latest = uuid;
    }

    pub(super) fn has_ended(&self) -> bool {
        let last = self.updates.last().map(|(state, _)| state.as_str());
        !matches!(last, None | Some("TASK_STARTING" | "TASK_RUNNING"))
    }

    /// A task that the agent took has run once and has told everything; of any other the framework knows
    /// that it was not taken. Gives whether it ran.
    pub(super) fn check(&self, trace: &Path) -> bool {
        let states: Vec<&str> = self.updates.iter().map(|(s, _)| s.as_str()).collect();
        let runs = std::fs::read_to_string(trace).unwrap_or_default();
        match runs.lines().count() {
            // The agent died before it took the task, and says so.
            0 => {
                assert_eq!(states, ["TASK_DROPPED"], "a task that never ran: {self:?}");
                let said = &self.last_message;
                assert!(
                    said == NEVER_TAKEN || said.starts_with(NEVER_SENT),
                    "{self:?}"
                );
            }
            1 => assert_eq!(
                states,
                ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"],
                "{self:?}"
            ),
            more => panic!("it ran {more} times: {self:?}"),
        }
        !runs.is_empty()
    }
}

/// A framework with its master, and the folder where its tasks leave their traces.
pub(super) struct Test<'a> {
    scheduler: Scheduler,
    pub(super) master: Daemon,
    pub(super) place: &'a Place,
    offers: BTreeMap<String, Value>,
}

impl Test<'_> {
    pub(super) fn trace(&self, task: &str) -> PathBuf {
        self.place.join(&format!("{task}.ran"))
    }

    /// The second half of the tasks takes a little time.
    pub(super) fn tasks(&self, round: u32, count: usize) -> Vec<Value> {
        let tasks = (0..count).map(|number| {
            let id = format!("t{round}-{number}");
            let pause = if number * 2 < count { "0" } else { "0.05" };
            let trace = self.trace(&id);
            shell_task(
                &id,
                &format!("echo ran >> {}; sleep {pause}", trace.display()),
            )
        });
        tasks.collect()
    }

    /// The next event; acknowledges updates, and keeps account of offers.
    fn hear(&mut self, histories: &mut BTreeMap<String, History>) {
        let event = self.scheduler.any();
        match event["type"].as_str() {
            Some("OFFERS") => {
                for offer in event["offers"]["offers"].as_array().expect("offers") {
                    self.take_offer(offer);
                }
            }
            Some("RESCIND") => {
                self.offers
                    .remove(&text(&event["rescind"]["offer_id"]["value"]));
            }
            Some("UPDATE") => {
                let status = &event["update"]["status"];
                self.scheduler.acknowledge(status);
                let task = text(&status["task_id"]["value"]);
                // One of an earlier round comes again when its last acknowledgement was lost.
                if let Some(history) = histories.get_mut(&task) {
                    history.take(status);
                }
            }
            _ => {}
        }
    }

    /// Keeps an offer that a round's tasks fit into; what ended tasks have left goes back, to come
    /// again in one piece.
    fn take_offer(&mut self, offer: &Value) {
        let resources = offer["resources"].as_array().expect("resources");
        let cpus = resources.iter().find(|resource| resource["name"] == "cpus");
        let cpus = cpus.and_then(|cpus| cpus["scalar"]["value"].as_f64());
        if cpus.is_some_and(|cpus| cpus >= 1.0) {
            self.offers
                .insert(text(&offer["id"]["value"]), offer.clone());
        } else {
            self.scheduler.tell(json!({"type": "DECLINE", "decline": {
                "offer_ids": [offer["id"]],
                "filters": {"refuse_seconds": 0.0},
            }}));
        }
    }

    pub(super) fn launch(&mut self, tasks: &[Value]) -> BTreeMap<String, History> {
        registered_agents(self.master.address, 1);
        let offer = self.valid_offer();
        let answer = self.scheduler.launch(&offer, tasks);
        assert_eq!(answer.status(), 202, "{}", answer.text());
        let ids = tasks.iter().map(|task| text(&task["task_id"]["value"]));
        ids.map(|id| (id, History::default())).collect()
    }

    /// Hears all that has been said until now; what comes once more is acknowledged once more.
    fn catch_up(&mut self) {
        // What the master answers comes after all that it has said before.
        let question = "unknown-task";
        let mut histories = BTreeMap::from([(question.to_owned(), History::default())]);
        self.scheduler
            .tell(json!({"type": "RECONCILE", "reconcile": {
                "tasks": [{"task_id": {"value": question}}],
            }}));
        self.see_the_end(&mut histories);
    }

    /// An offer that no death of the agent has ended.
    fn valid_offer(&mut self) -> Value {
        self.catch_up();
        loop {
            if let Some((_, offer)) = self.offers.pop_last() {
                return offer;
            }
            self.hear(&mut BTreeMap::new());
        }
    }

    pub(super) fn see_the_end(&mut self, histories: &mut BTreeMap<String, History>) {
        let give_up = Instant::now() + PATIENCE;
        while !histories.values().all(History::has_ended) {
            assert!(
                Instant::now() < give_up,
                "not every task ends: {histories:?}"
            );
            self.hear(histories);
        }
    }

    /// Waits until only the daemons are left, and nothing that they keep is of any task.
    pub(super) fn see_everything_gone(&mut self, agent: &Daemon) {
        let daemons = [self.master.pid(), agent.pid()].into();
        self.see_gone(|processes| *processes == daemons);
    }

    /// Waits until nothing runs but daemons, whichever agent there is, and nothing is kept.
    pub(super) fn see_tasks_gone(&mut self) {
        self.see_gone(|processes| processes.len() <= 2);
    }

    fn see_gone(&mut self, are_all: impl Fn(&BTreeSet<u32>) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let processes = processes::with_traces_of(self.place.path());
            let left = self.left();
            if are_all(&processes) && left.is_empty() {
                return;
            }
            assert!(
                Instant::now() < give_up,
                "processes {processes:?} run, and it stays: {left:?}"
            );
            // The last acknowledgement may have been lost with an agent.
            self.catch_up();
        }
    }

    /// What the agent keeps of tasks, on disk.
    fn left(&self) -> Vec<String> {
        let work_dir = self.place.join("agent");
        let mut left = kept_facts(self.place);
        left.retain(|key| key.trim_start_matches("copy/") != "agent");
        left.extend(files_below(&work_dir.join("meta/started")));
        left.extend(files_below(&work_dir.join("meta/ends")));
        left.extend(files_below(&work_dir.join("slaves")));
        left
    }
}

/// The keys of what the agent keeps; read from a copy, because the agent has its store open.
pub(super) fn kept_facts(place: &Place) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("facts");
    std::fs::copy(place.join("agent/meta/facts"), &copy).expect("the agent's facts");
    let store = Store::open(&copy).expect("a store");
    let facts = store.load().expect("facts");
    facts.into_iter().map(|(key, _)| key).collect()
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path().display().to_string());
        }
    }
    files
}

/// A cluster, and the port of its agent.
pub(super) fn start(place: &Place) -> (Test<'_>, Daemon, u16) {
    let master = start_master(place, &["--allocation_interval=100ms"]);
    let agent = start_agent(place, master.address, 0, &FLAGS);
    let port = agent_address(&registered_agents(master.address, 1)[0]).port();
    let mut info = framework("agent-deaths");
    info["checkpoint"] = json!(true);
    let scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let test = Test {
        scheduler,
        master,
        place,
        offers: BTreeMap::new(),
    };
    (test, agent, port)
}
