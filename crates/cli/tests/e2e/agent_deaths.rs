//! The agent dies again and again, at every moment of its tasks' lives: no task is lost, none runs
//! twice, no update is missing or out of order, and no process is left.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::{
    Daemon, Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent,
    start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{PATIENCE, eventually, processes};

/// How many times the agent dies, unless the variable below says otherwise.
const ROUNDS: u32 = 12;

/// Says how many times the agent dies.
const ROUNDS_VARIABLE: &str = "MESETA_AGENT_DEATHS";

/// Tasks of a round, so that each death meets several moments.
const TASKS: usize = 4;

/// Of the time that a round takes by itself, the fraction that the moments of death are apart,
/// whole rounds left out: multiples of it come everywhere, evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

/// The agent's flags: it comes back without waiting for others to have come back before it.
const FLAGS: [&str; 2] = [RESOURCES, "--registration_backoff_factor=10ms"];

/// What a framework was told of a task.
#[derive(Debug, Default)]
struct History {
    /// The updates that are not repetitions of the one before: state, and what else was said.
    updates: Vec<(String, String)>,
    latest: Option<String>,
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
        self.latest = uuid;
    }

    fn has_ended(&self) -> bool {
        let last = self.updates.last().map(|(state, _)| state.as_str());
        !matches!(last, None | Some("TASK_STARTING" | "TASK_RUNNING"))
    }

    /// A task that ran has run once and has told everything; any other was given up before it ran,
    /// and the framework knows. Gives whether it ran.
    fn check(&self, trace: &Path) -> bool {
        let states: Vec<&str> = self.updates.iter().map(|(s, _)| s.as_str()).collect();
        let runs = std::fs::read_to_string(trace).unwrap_or_default();
        match runs.lines().count() {
            0 => assert!(
                matches!(states[..], ["TASK_DROPPED" | "TASK_FAILED"]),
                "a task that never ran: {self:?}"
            ),
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
struct Test<'a> {
    scheduler: Scheduler,
    master: Daemon,
    place: &'a Place,
    offers: BTreeMap<String, Value>,
}

impl Test<'_> {
    fn trace(&self, task: &str) -> PathBuf {
        self.place.join(&format!("{task}.ran"))
    }

    /// The second half of the tasks takes a little time.
    fn tasks(&self, round: u32) -> Vec<Value> {
        let tasks = (0..TASKS).map(|number| {
            let id = format!("t{round}-{number}");
            let pause = if number * 2 < TASKS { "0" } else { "0.05" };
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

    fn launch(&mut self, tasks: &[Value]) -> BTreeMap<String, History> {
        registered_agents(self.master.address, 1);
        let offer = self.valid_offer();
        let answer = self.scheduler.launch(&offer, tasks);
        assert_eq!(answer.status(), 202, "{}", answer.text());
        let ids = tasks.iter().map(|task| text(&task["task_id"]["value"]));
        ids.map(|id| (id, History::default())).collect()
    }

    /// An offer that no death of the agent has ended.
    fn valid_offer(&mut self) -> Value {
        // What the master answers comes after all that it has said before.
        let question = "unknown-task";
        let mut histories = BTreeMap::from([(question.to_owned(), History::default())]);
        self.scheduler
            .tell(json!({"type": "RECONCILE", "reconcile": {
                "tasks": [{"task_id": {"value": question}}],
            }}));
        self.see_the_end(&mut histories);
        loop {
            if let Some((_, offer)) = self.offers.pop_last() {
                return offer;
            }
            self.hear(&mut BTreeMap::new());
        }
    }

    fn see_the_end(&mut self, histories: &mut BTreeMap<String, History>) {
        let give_up = Instant::now() + PATIENCE;
        while !histories.values().all(History::has_ended) {
            assert!(
                Instant::now() < give_up,
                "not every task ends: {histories:?}"
            );
            self.hear(histories);
        }
    }

    /// Waits until only the daemons are left.
    fn see_everything_gone(&self, agent: &Daemon) {
        let daemons = [self.master.pid(), agent.pid()].into();
        eventually("the end of every executor and task", || {
            (processes::with_traces_of(self.place.path()) == daemons).then_some(())
        });
    }
}

/// A cluster, and the port of its agent.
fn start(place: &Place) -> (Test<'_>, Daemon, u16) {
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

/// Kills the agent after a while and starts it again.
fn die_and_return(
    agent: Daemon,
    after: Duration,
    place: &Place,
    master: SocketAddr,
    port: u16,
) -> Daemon {
    // A moment can only be chosen by time.
    std::thread::sleep(after);
    agent.kill9();
    start_agent(place, master, port, &FLAGS)
}

fn rounds() -> u32 {
    std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| {
        rounds
            .parse()
            .unwrap_or_else(|e| panic!("{ROUNDS_VARIABLE}={rounds}: {e}"))
    })
}

#[test]
fn an_agent_may_die_at_any_moment_of_its_tasks_lives() {
    let place = Place::new();
    let (mut test, mut agent, port) = start(&place);
    // How long a round takes that nothing disturbs.
    let tasks = test.tasks(0);
    let begin = Instant::now();
    let mut histories = test.launch(&tasks);
    test.see_the_end(&mut histories);
    test.see_everything_gone(&agent);
    let life = begin.elapsed();

    let mut ran = 0;
    for round in 1..=rounds() {
        let tasks = test.tasks(round);
        let mut histories = test.launch(&tasks);
        // Every third time it dies once more, while it recovers.
        let deaths = if round % 3 == 0 { 2 } else { 1 };
        let master = test.master.address;
        let moments = (0..deaths)
            .map(move |death| life.mul_f64((f64::from(round * 2 + death) * GOLDEN_RATIO).fract()));
        agent = std::thread::scope(|scope| {
            let deaths = scope.spawn(|| {
                moments.fold(agent, |agent, after| {
                    die_and_return(agent, after, &place, master, port)
                })
            });
            test.see_the_end(&mut histories);
            deaths.join().expect("an agent that comes back")
        });
        test.see_everything_gone(&agent);
        for (task, history) in &histories {
            ran += usize::from(history.check(&test.trace(task)));
        }
    }
    // Deaths before the agent has taken the tasks are few.
    assert!(ran * 3 > rounds() as usize * TASKS, "only {ran} tasks ran");
}
