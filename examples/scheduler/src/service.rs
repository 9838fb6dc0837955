//! The scheduler proper: one loop that owns the tasks, and in which everything happens one after the
//! other, be it a word of the master, a request, or the time to ask again.
//!
//! Two rules make it survive its own death at any moment:
//!
//! * what is promised is on the disk first: an id before it is answered, a launch before the offer is
//!   accepted, an update before it is acknowledged;
//! * what may have been lost is asked for: after each subscription, every task that should run.

use std::path::PathBuf;
use std::time::Duration;

use meseta_framework::v1::{AgentId, FrameworkId, FrameworkInfo, Offer, TaskId, TaskStatus};
use meseta_framework::{Events, Happening, Scheduler, operations};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::book::{Book, Refusal};
use crate::error::Error;
use crate::files::Files;
use crate::limits::{FIRST_QUESTION, LONGEST_QUESTION};
use crate::task::Task;

/// What clients ask for. An answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub(crate) enum Request {
    Schedule {
        command: String,
        answer: oneshot::Sender<Result<u64, Refusal>>,
    },
    Kill {
        id: u64,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    List {
        answer: oneshot::Sender<Vec<Task>>,
    },
}

#[derive(Debug)]
pub(crate) struct Service {
    book: Book,
    files: Files,
    folder: PathBuf,
    framework: FrameworkInfo,
    scheduler: Scheduler,
    /// Whether the master has been told that no offers are wanted.
    is_suppressed: bool,
    ask_again: Instant,
    pause: Duration,
}

impl Service {
    pub(crate) fn new(
        book: Book,
        files: Files,
        folder: PathBuf,
        framework: FrameworkInfo,
        scheduler: Scheduler,
    ) -> Self {
        Self {
            book,
            files,
            folder,
            framework,
            scheduler,
            is_suppressed: false,
            ask_again: Instant::now() + FIRST_QUESTION,
            pause: FIRST_QUESTION,
        }
    }

    /// Ends only by an error: whatever the scheduler has to do at its end, it has done before.
    pub(crate) async fn run(
        mut self,
        mut events: Events,
        mut requests: mpsc::Receiver<Request>,
    ) -> Result<(), Error> {
        loop {
            tokio::select! {
                incoming = events.next() => match incoming? {
                    Some(incoming) => self.on_happening(incoming.into_happening()).await?,
                    None => return Ok(()),
                },
                Some(request) = requests.recv() => self.on_request(request).await?,
                () = sleep_until(self.ask_again) => self.reconcile().await,
            }
            self.ask_for_offers().await;
        }
    }

    async fn on_happening(&mut self, happening: Happening) -> Result<(), Error> {
        match happening {
            Happening::Subscribed { framework_id, .. } => self.on_subscribed(framework_id).await,
            Happening::Offers(offers) => {
                for offer in offers {
                    self.on_offer(offer).await?;
                }
                Ok(())
            }
            Happening::Update(status) => self.on_update(&status).await,
            Happening::Disconnected { reason } => {
                warn!("no master: {reason}");
                Ok(())
            }
            Happening::Ended(reason) => Err(Error::Ended {
                reason,
                folder: self.folder.clone(),
            }),
            // Offers are used at once, so it does not matter when one is void; and what becomes of
            // tasks when agents are lost comes as updates.
            _ => Ok(()),
        }
    }

    async fn on_subscribed(&mut self, framework_id: FrameworkId) -> Result<(), Error> {
        info!("subscribed as {framework_id}");
        if self.framework.id.as_ref() != Some(&framework_id) {
            self.framework.id = Some(framework_id);
            self.files.save_framework(&self.framework)?;
        }
        // A new subscription wants offers.
        self.is_suppressed = false;
        self.book.doubt();
        self.pause = FIRST_QUESTION;
        self.reconcile().await;
        Ok(())
    }

    async fn on_offer(&mut self, offer: Offer) -> Result<(), Error> {
        let launches = self.book.launch(&offer);
        if launches.is_empty() {
            log("DECLINE", self.scheduler.decline([offer.id], None).await);
            return Ok(());
        }
        let mut infos = Vec::with_capacity(launches.len());
        for (task, info) in launches {
            self.files.save_task(&task)?;
            info!("launches {} on {}", info.task_id, offer.hostname);
            infos.push(info);
        }
        // If this is lost, reconciliation tells: the tasks are unconfirmed until they are heard of.
        let launch = operations::launch(infos);
        log(
            "ACCEPT",
            self.scheduler.accept([offer.id], [launch], None).await,
        );
        Ok(())
    }

    async fn on_update(&mut self, status: &TaskStatus) -> Result<(), Error> {
        let consequence = self.book.on_status(status);
        if let Some(task) = consequence.changed {
            self.files.save_task(&task)?;
            info!("{}: {}", status.task_id, status.state().as_str_name());
        }
        if let Some(task) = consequence.to_kill {
            self.kill(task).await;
        }
        log("ACKNOWLEDGE", self.scheduler.acknowledge(status).await);
        Ok(())
    }

    async fn on_request(&mut self, request: Request) -> Result<(), Error> {
        match request {
            Request::Schedule { command, answer } => {
                let scheduled = self.book.schedule(command);
                if let Ok((task, forgotten)) = &scheduled {
                    self.files.save_task(task)?;
                    if let Some(id) = forgotten {
                        self.files.forget_task(*id)?;
                    }
                }
                let _ = answer.send(scheduled.map(|(task, _)| task.id));
            }
            Request::Kill { id, answer } => {
                let killed = self.book.kill(id);
                if let Ok((task, _)) = &killed {
                    self.files.save_task(task)?;
                }
                let _ = answer.send(killed.as_ref().map(drop).map_err(Clone::clone));
                if let Ok((_, Some(task))) = killed {
                    self.kill(task).await;
                }
            }
            Request::List { answer } => {
                let _ = answer.send(self.book.tasks().cloned().collect());
            }
        }
        Ok(())
    }

    /// If this is lost, the next word of the task has it killed again.
    async fn kill(&self, (task, agent): (TaskId, AgentId)) {
        log("KILL", self.scheduler.kill(task, Some(agent)).await);
    }

    /// Asks for the tasks that nobody has told of, until somebody does.
    async fn reconcile(&mut self) {
        let tasks = self.book.unconfirmed();
        if !tasks.is_empty() {
            info!("asks for {} tasks", tasks.len());
            log("RECONCILE", self.scheduler.reconcile(tasks).await);
        }
        self.ask_again = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_QUESTION);
    }

    /// Wants offers while a task waits for one, and none otherwise.
    async fn ask_for_offers(&mut self) {
        let wants_none = !self.book.is_any_waiting();
        if wants_none == self.is_suppressed || self.scheduler.framework_id().is_none() {
            return;
        }
        let (name, called) = if wants_none {
            ("SUPPRESS", self.scheduler.suppress().await)
        } else {
            ("REVIVE", self.scheduler.revive().await)
        };
        if called.is_ok() {
            self.is_suppressed = wants_none;
        }
        log(name, called);
    }
}

/// A call that fails is no more than a line in the log: whatever it was for, the next subscription
/// makes good for it.
fn log(call: &str, called: Result<(), meseta_framework::Error>) {
    if let Err(error) = called {
        warn!("{call}: {error}");
    }
}
