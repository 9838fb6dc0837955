//! The shell around the machine: one task of the runtime that owns subscription and store.

use std::collections::VecDeque;
use std::time::Duration;

use meseta_proto::v1::scheduler::{Event, event};
use meseta_proto::v1::{FrameworkId, TaskStatus};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::machine::{Action, Input, KeptTask, Machine};
use super::store::{Change, Store};
use super::task::Task;
use crate::limits::MAX_REQUESTS;
use crate::{Error, Events, Incoming, Scheduler, Settings, subscribe};

/// Keeps declared tasks running. Dropping it leaves them running, for the next keeper with the same
/// store.
#[derive(Debug)]
pub struct Keeper {
    requests: mpsc::Sender<Request>,
    /// The machine tells one update of a task at a time, so their number is bounded by that of the
    /// tasks.
    told: mpsc::UnboundedReceiver<Result<TaskStatus, Error>>,
    /// The update that the user has at the moment.
    dealing_with: Option<TaskStatus>,
    status: watch::Receiver<Status>,
    scheduler: Scheduler,
}

/// Whether a keeper has a master.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It has yet to find one.
    Connecting,
    /// It is subscribed.
    Subscribed {
        /// The framework's id.
        framework_id: FrameworkId,
    },
    /// No master answers, or none leads. It tries again and again; tasks run on meanwhile.
    Disconnected {
        /// What happened last.
        reason: String,
        /// How many attempts have failed since there was one.
        attempts: u32,
    },
    /// The framework has ended, or the keeper has.
    Ended,
}

enum Request {
    Input(Input),
    Tasks(oneshot::Sender<Vec<KeptTask>>),
    Teardown(oneshot::Sender<Result<(), Error>>),
}

impl Keeper {
    /// Takes up what the store remembers, and subscribes.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be read.
    pub async fn start(mut settings: Settings, store: impl Store) -> Result<Self, Error> {
        let mut store: Box<dyn Store> = Box::new(store);
        let (store, loaded) = blocking(move || {
            let loaded = store.load();
            (store, loaded)
        })
        .await?;
        let loaded = loaded.map_err(|e| failed("everything", &e))?;
        let machine = Machine::restore(loaded).map_err(|(key, reason)| failed(&key, &reason))?;
        if let Some(id) = machine.framework_id() {
            settings.framework.id = Some(id.clone());
        }
        let (requests, received) = mpsc::channel(MAX_REQUESTS);
        let (tell, told) = mpsc::unbounded_channel();
        let (scheduler, events) = subscribe(settings);
        let (show, status) = watch::channel(Status::Connecting);
        let driver = Driver {
            machine,
            store: Some(store),
            scheduler: scheduler.clone(),
            tell: tell.clone(),
            show: show.clone(),
            born: Instant::now(),
        };
        tokio::spawn(async move {
            let ended = driver.run(events, received).await;
            show.send_replace(Status::Ended);
            if let Err(error) = ended {
                // Nobody hears it when the keeper has been dropped.
                let _ = tell.send(Err(error));
            }
        });
        Ok(Self {
            requests,
            told,
            dealing_with: None,
            status,
            scheduler,
        })
    }

    /// Keeps a task running, by its name. Declaring the same again changes nothing, so a program
    /// declares all of its tasks at each start; another task of the same name replaces it.
    ///
    /// # Errors
    /// [`Error::Task`] when it could never run, and [`Error::Ended`].
    pub async fn declare(&self, task: Task) -> Result<(), Error> {
        task.check()?;
        self.request(Request::Input(Input::Declare(Box::new(task))))
            .await
    }

    /// Kills a task and forgets it.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn withdraw(&self, name: impl Into<String>) -> Result<(), Error> {
        self.request(Request::Input(Input::Withdraw(name.into())))
            .await
    }

    /// Waits for the next update of a task; `None` after the end of the framework.
    ///
    /// The update is acknowledged when this is called again, and is told again after a restart
    /// otherwise: whatever is to be remembered of it, remember it before. It may be dropped while it
    /// waits, as in `select!`, without losing an update.
    ///
    /// # Errors
    /// Why the framework has ended, if it was not torn down.
    pub async fn next(&mut self) -> Result<Option<TaskStatus>, Error> {
        if let Some(status) = &self.dealing_with {
            let input = Input::Dealt(Box::new(status.clone()));
            // When the driver has ended, why is told below.
            let _ = self.request(Request::Input(input)).await;
            self.dealing_with = None;
        }
        let status = self.told.recv().await.transpose()?;
        self.dealing_with.clone_from(&status);
        Ok(status)
    }

    /// Whether there is a master, to be looked at or waited for:
    ///
    /// ```no_run
    /// # use meseta_framework::keep::{Keeper, Status};
    /// # async fn run(keeper: Keeper) {
    /// let mut status = keeper.status();
    /// tokio::spawn(async move {
    ///     while status.changed().await.is_ok() {
    ///         if let Status::Disconnected { reason, .. } = &*status.borrow_and_update() {
    ///             eprintln!("no master answers: {reason}");
    ///         }
    ///     }
    /// });
    /// # }
    /// ```
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// How the kept tasks are doing, by name.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn tasks(&self) -> Result<Vec<KeptTask>, Error> {
        let (answer, answered) = oneshot::channel();
        self.request(Request::Tasks(answer)).await?;
        answered.await.map_err(|_| Error::Ended)
    }

    /// For what a keeper does not do: messages to executors, for example. It must not be used to
    /// launch tasks, which the keeper would take for strays and kill.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Ends this keeper and leaves its tasks running. When this returns, another may have the store.
    pub async fn leave(self) {
        let Self {
            requests,
            mut status,
            ..
        } = self;
        drop(requests);
        // The store has gone by then; an error says that all is gone already.
        let _ = status.wait_for(|status| *status == Status::Ended).await;
    }

    /// Ends the framework and all of its tasks.
    ///
    /// # Errors
    /// As [`Scheduler::teardown`].
    pub async fn teardown(self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.request(Request::Teardown(answer)).await?;
        answered.await.unwrap_or(Err(Error::Ended))
    }

    async fn request(&self, request: Request) -> Result<(), Error> {
        self.requests.send(request).await.map_err(|_| Error::Ended)
    }
}

struct Driver {
    machine: Machine,
    /// Away only while a save is under way.
    store: Option<Box<dyn Store>>,
    scheduler: Scheduler,
    show: watch::Sender<Status>,
    tell: mpsc::UnboundedSender<Result<TaskStatus, Error>>,
    born: Instant,
}

impl Driver {
    async fn run(
        mut self,
        mut events: Events,
        mut requests: mpsc::Receiver<Request>,
    ) -> Result<(), Error> {
        loop {
            let wake = self.machine.next_wake();
            let wake_at = wake.and_then(|wake| self.born.checked_add(wake));
            let input = tokio::select! {
                incoming = events.next() => match incoming? {
                    None => return Err(Error::Ended),
                    Some(Incoming::Disconnected { reason }) => {
                        self.show_disconnected(reason);
                        Input::Disconnected
                    }
                    Some(Incoming::Event(event)) => {
                        if let Some(error) = event.error {
                            return Err(Error::EndedByMaster(error.message));
                        }
                        self.show_subscribed(&event);
                        Input::Event(event)
                    }
                },
                request = requests.recv() => match request {
                    None => return Ok(()),
                    Some(Request::Input(input)) => input,
                    Some(Request::Tasks(answer)) => {
                        // Nobody may wait for it any more.
                        let _ = answer.send(self.machine.kept());
                        continue;
                    }
                    Some(Request::Teardown(answer)) => {
                        let _ = answer.send(self.scheduler.teardown().await);
                        return Ok(());
                    }
                },
                () = async { sleep_until(wake_at.unwrap_or(self.born)).await },
                    if wake_at.is_some() => Input::Wake,
            };
            self.step(input).await?;
        }
    }

    async fn step(&mut self, input: Input) -> Result<(), Error> {
        let mut actions = Vec::new();
        self.machine.step(self.now(), input, &mut actions);
        let mut actions = VecDeque::from(actions);
        let mut changes = Vec::new();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Save(key, value) => changes.push((key, value)),
                // Everything before is saved by then, in one go.
                Action::Call(call) => {
                    self.save(&mut changes).await?;
                    let kind = call.r#type();
                    if let Err(error) = self.scheduler.call(*call).await {
                        tracing::debug!(call = kind.as_str_name(), %error, "a call has failed");
                        let mut more = Vec::new();
                        self.machine
                            .step(self.now(), Input::Failed(kind), &mut more);
                        actions.extend(more);
                    }
                }
                Action::Tell(status) => {
                    self.save(&mut changes).await?;
                    // The end of the keeper is seen by the next request.
                    let _ = self.tell.send(Ok(*status));
                }
            }
        }
        self.save(&mut changes).await
    }

    async fn save(&mut self, changes: &mut Vec<Change>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let Some(mut store) = self.store.take() else {
            return Err(Error::Ended);
        };
        let changes = std::mem::take(changes);
        let first = changes.first().map(|(key, _)| key.clone());
        let (store, saved) = blocking(move || {
            let saved = store.save_all(&changes);
            (store, saved)
        })
        .await?;
        self.store = Some(store);
        saved.map_err(|error| failed(&first.unwrap_or_default(), &error))
    }

    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    fn show_subscribed(&self, event: &Event) {
        if let (event::Type::Subscribed, Some(subscribed)) = (event.r#type(), &event.subscribed) {
            let framework_id = subscribed.framework_id.clone();
            tracing::info!(framework = %framework_id, "subscribed");
            self.show.send_replace(Status::Subscribed { framework_id });
        }
    }

    fn show_disconnected(&self, reason: String) {
        self.show.send_modify(|status| {
            let attempts = match status {
                Status::Disconnected { attempts, .. } => attempts.saturating_add(1),
                _ => 1,
            };
            tracing::warn!(reason, attempts, "no master; trying again");
            *status = Status::Disconnected { reason, attempts };
        });
    }
}

/// Runs what may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed("", &error))
}

fn failed(key: &str, reason: &impl ToString) -> Error {
    Error::Store {
        key: key.to_owned(),
        reason: reason.to_string(),
    }
}
