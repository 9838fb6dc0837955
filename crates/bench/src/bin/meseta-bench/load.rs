//! A scheduler that runs small tasks.

use std::time::Duration;

use meseta_framework::v1::offer::{Operation, operation};
use meseta_framework::v1::scheduler::Event;
use meseta_framework::v1::{
    CommandInfo, Filters, FrameworkInfo, Offer, Resource, TaskId, TaskInfo, TaskState, TaskStatus,
};
use meseta_framework::{Events, Incoming, Scheduler, Settings, is_terminal, subscribe};
use meseta_resources::Resources;
use tokio::time::{Instant, timeout};

use crate::error::Error;

/// CPUs of one task.
pub(crate) const TASK_CPUS: f64 = 0.1;
/// Memory of one task, in megabytes.
pub(crate) const TASK_MEM: f64 = 32.0;

/// How long the cluster may be silent before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// For how long offers are refused that no task is left for.
const ENOUGH: f64 = 3600.0;

/// How a load went.
#[derive(Debug)]
pub(crate) struct Throughput {
    /// From the first ACCEPT to the last TASK_FINISHED.
    pub(crate) took: Duration,
    pub(crate) tasks_a_second: f64,
}

/// One subscribed framework.
pub(crate) struct Client {
    scheduler: Scheduler,
    events: Events,
    /// What each task takes.
    needs: Resources,
    /// Offers that no task has used yet.
    offers: Vec<Offer>,
}

impl Client {
    pub(crate) async fn subscribe(master: &str) -> Result<Self, Error> {
        let framework = FrameworkInfo {
            user: std::env::var("USER").unwrap_or_else(|_| "root".to_owned()),
            name: "bench".to_owned(),
            ..FrameworkInfo::default()
        };
        let (scheduler, events) = subscribe(Settings::new(master, framework));
        let mut client = Self {
            scheduler,
            events,
            needs: Resources::parse(&format!("cpus:{TASK_CPUS};mem:{TASK_MEM}"), "*")?,
            offers: Vec::new(),
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match client.incoming("SUBSCRIBED").await? {
                Incoming::Event(event) if event.subscribed.is_some() => return Ok(client),
                // The master may still be starting.
                Incoming::Disconnected { reason } if Instant::now() > deadline => {
                    return Err(Error::Disconnected(reason));
                }
                Incoming::Event(_) | Incoming::Disconnected { .. } => {}
            }
        }
    }

    /// Runs so many tasks, as many at once as there is room for.
    pub(crate) async fn run(
        &mut self,
        name: &str,
        tasks: usize,
        at_once: usize,
    ) -> Result<Throughput, Error> {
        let (mut launched, mut finished) = (0, 0);
        let mut started = None;
        while finished < tasks {
            for offer in std::mem::take(&mut self.offers) {
                let room = (at_once + finished - launched).min(tasks - launched);
                let count = self.fits(&offer)?.min(room);
                if count == 0 {
                    self.decline(offer, (launched == tasks).then_some(ENOUGH))
                        .await?;
                    continue;
                }
                let names = (launched..launched + count).map(|i| format!("{name}-{i}"));
                let infos = names.map(|id| self.task(&offer, &id, "true")).collect();
                started.get_or_insert_with(Instant::now);
                self.launch(offer, infos).await?;
                launched += count;
            }
            if self
                .next_ended("TASK_FINISHED", TaskState::TaskFinished)
                .await?
            {
                finished += 1;
            }
        }
        let took = started.map_or(Duration::ZERO, |started| started.elapsed());
        #[allow(clippy::cast_precision_loss, reason = "a number of tasks")]
        let tasks_a_second = tasks as f64 / took.as_secs_f64();
        Ok(Throughput {
            took,
            tasks_a_second,
        })
    }

    /// Runs tasks one after the other; says for each how long it took from ACCEPT to TASK_RUNNING.
    pub(crate) async fn run_one_by_one(
        &mut self,
        name: &str,
        tasks: usize,
    ) -> Result<Vec<Duration>, Error> {
        let mut latencies = Vec::with_capacity(tasks);
        self.scheduler.revive().await?;
        for i in 0..tasks {
            let offer = self.offer().await?;
            let task = self.task(&offer, &format!("{name}-{i}"), "true");
            let start = Instant::now();
            self.launch(offer, vec![task]).await?;
            latencies.push(self.running(start).await?);
            while !self
                .next_ended("TASK_FINISHED", TaskState::TaskFinished)
                .await?
            {}
        }
        Ok(latencies)
    }

    /// Kills tasks that have all of an offer, one after the other; says for each how long it took
    /// from the news of its end to the offer of what it had.
    pub(crate) async fn free_one_by_one(
        &mut self,
        name: &str,
        tasks: usize,
    ) -> Result<Vec<Duration>, Error> {
        let mut latencies = Vec::with_capacity(tasks);
        for i in 0..tasks {
            let offer = self.offer().await?;
            let mut task = self.task(&offer, &format!("{name}-{i}"), "sleep 1000");
            task.resources.clone_from(&offer.resources);
            let id = task.task_id.clone();
            self.launch(offer, vec![task]).await?;
            self.running(Instant::now()).await?;
            self.scheduler.kill(id, None).await?;
            let ended = loop {
                match self.next_status("TASK_KILLED").await? {
                    Some(status) if status.state() == TaskState::TaskKilled => break status,
                    Some(status) => return Err(outcome(&status, "TASK_KILLED")),
                    None => {}
                }
            };
            let start = Instant::now();
            let held = self.offers.len();
            while self.offers.len() <= held {
                self.next_status("an offer").await?;
            }
            latencies.push(start.elapsed());
            self.scheduler.acknowledge(&ended).await?;
        }
        Ok(latencies)
    }

    /// Starts a task that stays, and returns when it runs.
    pub(crate) async fn hold(&mut self, name: &str) -> Result<TaskId, Error> {
        let offer = self.offer().await?;
        let task = self.task(&offer, name, "sleep 1000");
        let id = task.task_id.clone();
        self.launch(offer, vec![task]).await?;
        self.running(Instant::now()).await?;
        Ok(id)
    }

    /// Kills a task and waits for its end.
    pub(crate) async fn kill(&mut self, task: TaskId) -> Result<(), Error> {
        self.scheduler.kill(task, None).await?;
        while !self
            .next_ended("TASK_KILLED", TaskState::TaskKilled)
            .await?
        {}
        Ok(())
    }

    /// Ends the framework.
    pub(crate) async fn leave(self) -> Result<(), Error> {
        Ok(self.scheduler.teardown().await?)
    }

    async fn running(&mut self, start: Instant) -> Result<Duration, Error> {
        loop {
            let Some(status) = self.next_status("TASK_RUNNING").await? else {
                continue;
            };
            let elapsed = start.elapsed();
            self.scheduler.acknowledge(&status).await?;
            match status.state() {
                TaskState::TaskRunning => return Ok(elapsed),
                state if is_terminal(state) => return Err(outcome(&status, "TASK_RUNNING")),
                _ => {}
            }
        }
    }

    /// Takes in one event; whether it was the end of a task, which must be the wanted one.
    async fn next_ended(&mut self, name: &'static str, wanted: TaskState) -> Result<bool, Error> {
        let Some(status) = self.next_status(name).await? else {
            return Ok(false);
        };
        self.scheduler.acknowledge(&status).await?;
        match status.state() {
            state if state == wanted => Ok(true),
            state if is_terminal(state) => Err(outcome(&status, name)),
            _ => Ok(false),
        }
    }

    /// Takes in one event; the status of a task, if it was one.
    async fn next_status(&mut self, awaited: &'static str) -> Result<Option<TaskStatus>, Error> {
        let event: Event = match self.incoming(awaited).await? {
            Incoming::Event(event) => *event,
            Incoming::Disconnected { reason } => return Err(Error::Disconnected(reason)),
        };
        if let Some(offers) = event.offers {
            self.offers.extend(offers.offers);
        }
        if let Some(rescind) = event.rescind {
            self.offers.retain(|offer| offer.id != rescind.offer_id);
        }
        Ok(event.update.map(|update| update.status))
    }

    async fn incoming(&mut self, awaited: &'static str) -> Result<Incoming, Error> {
        match timeout(PATIENCE, self.events.next()).await {
            Err(_) => Err(Error::Silence(PATIENCE, awaited)),
            Ok(incoming) => incoming?
                .ok_or_else(|| Error::Disconnected("the master ended the framework".to_owned())),
        }
    }

    /// An offer with room for a task; what has none is declined.
    async fn offer(&mut self) -> Result<Offer, Error> {
        loop {
            while let Some(offer) = self.offers.pop() {
                if self.fits(&offer)? > 0 {
                    return Ok(offer);
                }
                self.decline(offer, None).await?;
            }
            self.next_status("an offer").await?;
        }
    }

    /// How many tasks there is room for in an offer.
    fn fits(&self, offer: &Offer) -> Result<usize, Error> {
        let mut left = Resources::from_v1(&offer.resources)?.unallocate();
        let mut count = 0;
        while left.contains(&self.needs) {
            left -= &self.needs;
            count += 1;
        }
        Ok(count)
    }

    fn task(&self, offer: &Offer, id: &str, command: &str) -> TaskInfo {
        let resources: Vec<Resource> = self.needs.to_v1();
        TaskInfo {
            name: id.to_owned(),
            task_id: id.into(),
            agent_id: offer.agent_id.clone(),
            command: Some(CommandInfo {
                value: Some(command.to_owned()),
                ..CommandInfo::default()
            }),
            resources,
            ..TaskInfo::default()
        }
    }

    async fn launch(&self, offer: Offer, task_infos: Vec<TaskInfo>) -> Result<(), Error> {
        let launch = Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(operation::Launch { task_infos }),
            ..Operation::default()
        };
        // What is left comes back as soon as more is free with it.
        Ok(self.scheduler.accept([offer.id], [launch], None).await?)
    }

    async fn decline(&self, offer: Offer, refuse_seconds: Option<f64>) -> Result<(), Error> {
        let filters = Filters { refuse_seconds };
        Ok(self.scheduler.decline([offer.id], Some(filters)).await?)
    }
}

fn outcome(status: &TaskStatus, wanted: &'static str) -> Error {
    Error::Outcome {
        task: status.task_id.to_string(),
        state: status.state().as_str_name(),
        wanted,
        message: status.message().to_owned(),
    }
}
