//! The measurements, one after the other.

use std::net::SocketAddrV4;
use std::time::Duration;

use meseta_proto::v1::TaskState;

use super::cluster::{Census, Cluster};
use super::processes::{agents_of, executors_of};
use super::syncs::Syncs;
use crate::error::Error;
use crate::frameworks::{Command, Policy, Work};
use crate::measure::{Usage, Watched};
use crate::report::Figures;
use crate::scenarios::{count, expect, whole};
use crate::stage::Stage;
use crate::target::metric;

/// How often processes and descriptors are counted again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many counts in a row must agree to be believed.
const STEADY: usize = 10;

/// How many counts are made at most.
const COUNTS: usize = 300;

/// A framework with its tasks, and what is known of the agents that run them.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    stage: &'a mut Stage,
    worker: usize,
    master: SocketAddrV4,
    /// Those of this machine.
    agents: Vec<Watched>,
    figures: Figures,
    notes: Vec<String>,
}

impl<'a> Trial<'a> {
    pub(super) async fn new(
        stage: &'a mut Stage,
        worker: usize,
        master: SocketAddrV4,
    ) -> Result<Self, Error> {
        Ok(Self {
            stage,
            worker,
            master,
            agents: agents_of(master).await?,
            figures: Figures::default(),
            notes: Vec::new(),
        })
    }

    pub(super) fn finish(self) -> (Figures, Vec<String>) {
        (self.figures, self.notes)
    }

    pub(super) async fn warm_up(&mut self, at_once: usize, tasks: usize) -> Result<(), Error> {
        self.run(many(at_once, tasks)).await?;
        for agent in self.usages()? {
            self.figures.bytes("memory of the idle agent", agent.memory);
        }
        Ok(())
    }

    pub(super) async fn throughput(&mut self, at_once: usize, tasks: usize) -> Result<(), Error> {
        let before = self.usages()?;
        let took = self.run(many(at_once, tasks)).await?;
        self.figures.rate("tasks", tasks as u64, took).times(
            "ACCEPT to TASK_RUNNING, many at once",
            &self.stage.book.running,
        );
        for (before, after) in before.iter().zip(self.usages()?) {
            let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            let written = after.written.saturating_sub(before.written);
            self.figures
                .bytes("memory of the agent after the tasks", after.memory)
                .number("CPU of the agent for a task", cpu / count(tasks.max(1)))
                .bytes(
                    "written to disk by the agent for a task",
                    written / tasks.max(1) as u64,
                );
        }
        Ok(())
    }

    /// Tasks that each take all of their agent, so that one can tell when it is free again.
    pub(super) async fn latencies(&mut self, samples: usize) -> Result<(), Error> {
        self.stage.book.watches_freed = true;
        let work = Work {
            whole: true,
            ..many(1, samples)
        };
        self.run(work).await?;
        self.stage.book.watches_freed = false;
        self.figures
            .times(
                "ACCEPT to TASK_RUNNING, one by one",
                &self.stage.book.running,
            )
            .times(
                "ACCEPT to TASK_FINISHED, one by one",
                &self.stage.book.completed,
            )
            .times("freed to offered again", &self.stage.book.freed);
        Ok(())
    }

    /// Counts the syncs of the agent, which that makes slow: its time is no figure.
    pub(super) async fn syncs(&mut self, at_once: usize, tasks: usize) -> Result<(), Error> {
        let Some(agent) = self.agents.first() else {
            return Ok(());
        };
        let Some(syncs) = Syncs::trace(agent.pid()) else {
            self.notes
                .push("syncs were not counted: strace cannot look at the agent".to_owned());
            return Ok(());
        };
        self.run(many(at_once, tasks)).await?;
        let syncs = syncs.count()?;
        self.figures.amount(
            "syncs of the agent for a task",
            count(syncs) / count(tasks.max(1)),
        );
        Ok(())
    }

    /// Has tasks run that stay, and looks at what they take.
    pub(super) async fn hold(
        &mut self,
        tasks: usize,
        cluster: Option<&Cluster>,
    ) -> Result<(), Error> {
        self.stage.start_anew();
        let work = Work {
            command: Command::Sleep,
            ..Work::of(tasks)
        };
        self.launch(work);
        let running = |stage: &Stage| stage.book.running.count();
        let took = self
            .stage
            .until("tasks running", tasks as u64, running)
            .await?;
        self.stage.answered().await?;
        self.figures.seconds("all held tasks running", took);
        for (agent, usage) in self.agents.iter().zip(self.usages()?) {
            self.figures
                .bytes("memory of the agent with the held tasks", usage.memory);
            let executors = executors_of(agent.pid())?;
            let number = executors.len() as u64;
            let all: u64 = executors.iter().map(|usage| usage.memory).sum();
            let largest = executors.iter().map(|usage| usage.memory).max();
            self.figures
                .count("executors", number)
                .bytes("memory of an executor, mean", all / number.max(1))
                .bytes(
                    "memory of an executor, the largest",
                    largest.unwrap_or_default(),
                );
        }
        if cluster.is_none() {
            self.end_held(tasks).await?;
        }
        Ok(())
    }

    /// Ends the agent as the kernel would, starts it again, and waits until it is back with all.
    pub(super) async fn recovery(
        &mut self,
        tasks: usize,
        cluster: &mut Cluster,
    ) -> Result<(), Error> {
        self.stage.book.reconciled = 0;
        cluster.kill_agent();
        self.active_agents(0).await?;
        let began = self.stage.now();
        cluster.start_agent()?;
        self.active_agents(1).await?;
        let took = self.stage.now().saturating_sub(began);
        self.stage.with(self.worker, |scheduler, _, _, out| {
            scheduler.reconcile_all(out);
        });
        let known = |stage: &Stage| stage.book.reconciled;
        self.stage
            .until("tasks known after the recovery", tasks as u64, known)
            .await?;
        expect(
            "tasks that the agent's end has ended",
            self.stage.book.ended,
            0,
        )?;
        self.figures
            .seconds("the agent is back with the held tasks after kill -9", took);
        self.agents = agents_of(self.master).await?;
        for agent in self.usages()? {
            self.figures
                .bytes("memory of the agent after its recovery", agent.memory);
        }
        self.end_held(tasks).await
    }

    async fn end_held(&mut self, tasks: usize) -> Result<(), Error> {
        let began = self.stage.now();
        self.stage
            .with(self.worker, |scheduler, _, _, out| scheduler.kill_all(out));
        let ended = |stage: &Stage| stage.book.ended;
        self.stage
            .until("tasks killed", tasks as u64, ended)
            .await?;
        let took = self.stage.now().saturating_sub(began);
        self.stage.answered().await?;
        let killed = self.stage.book.states(TaskState::TaskKilled);
        expect("tasks that were killed", killed, tasks as u64)?;
        self.figures.seconds("all held tasks killed", took);
        Ok(())
    }

    /// Waits until so many agents are active.
    async fn active_agents(&mut self, wanted: u64) -> Result<(), Error> {
        let master = self.master;
        let became = async move {
            while whole(metric(master, "master/slaves_active").await?) != wanted {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(())
        };
        self.stage.beside(became).await
    }

    /// Counts until the count is as wanted, or for a while nothing changes when nothing is wanted.
    /// What is counted in the end is the answer all the same.
    pub(super) async fn settle(
        &mut self,
        cluster: &Cluster,
        wanted: Option<Census>,
    ) -> Result<Census, Error> {
        let mut last = cluster.census()?;
        let mut steady = 0;
        for _ in 0..COUNTS {
            if wanted.map_or(steady == STEADY, |wanted| wanted == last) {
                break;
            }
            self.stage.during(PAUSE).await;
            let next = cluster.census()?;
            steady = if next == last { steady + 1 } else { 0 };
            last = next;
        }
        Ok(last)
    }

    /// Runs tasks to their ends, which must be as they are meant.
    async fn run(&mut self, work: Work) -> Result<Duration, Error> {
        let tasks = work.remaining as u64;
        self.stage.start_anew();
        self.launch(work);
        let ended = |stage: &Stage| stage.book.ended;
        let took = self.stage.until("tasks ended", tasks, ended).await?;
        self.stage.answered().await?;
        let finished = self.stage.book.states(TaskState::TaskFinished);
        expect("tasks that finished", finished, tasks)?;
        Ok(took)
    }

    fn launch(&mut self, work: Work) {
        self.stage.with(self.worker, |scheduler, now, book, out| {
            scheduler.set_policy(Policy::Launch(work), now, book, out);
        });
    }

    fn usages(&self) -> Result<Vec<Usage>, Error> {
        let usages = self.agents.iter().map(Watched::usage);
        Ok(usages.collect::<Result<_, _>>()?)
    }
}

fn many(at_once: usize, tasks: usize) -> Work {
    Work {
        at_once,
        ..Work::of(tasks)
    }
}
