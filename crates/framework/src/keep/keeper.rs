//! The shell around the machine: one task of the runtime that owns subscription and store.

use std::sync::Arc;
use std::time::Duration;

use meseta_proto::v1::TaskStatus;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::machine::{Action, Input, Machine};
use super::store::Store;
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
}

enum Request {
    Input(Input),
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
        let driver = Driver {
            machine,
            store: Some(store),
            scheduler,
            tell: tell.clone(),
            born: Instant::now(),
        };
        tokio::spawn(async move {
            if let Err(error) = driver.run(events, received).await {
                // Nobody hears it when the keeper has been dropped.
                let _ = tell.send(Err(error));
            }
        });
        Ok(Self {
            requests,
            told,
            dealing_with: None,
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
                    Some(Incoming::Disconnected { .. }) => Input::Disconnected,
                    Some(Incoming::Event(event)) => match event.error {
                        Some(error) => return Err(Error::EndedByMaster(error.message)),
                        None => Input::Event(event),
                    },
                },
                request = requests.recv() => match request {
                    None => return Ok(()),
                    Some(Request::Input(input)) => input,
                    Some(Request::Teardown(answer)) => {
                        // Nobody may wait for it any more.
                        let _ = answer.send(self.scheduler.teardown().await);
                        return Ok(());
                    }
                },
                () = async { sleep_until(wake_at.unwrap_or(self.born)).await },
                    if wake_at.is_some() => Input::Wake,
            };
            let mut actions = Vec::new();
            let now: Duration = self.born.elapsed();
            self.machine.step(now, input, &mut actions);
            for action in actions {
                self.carry_out(action).await?;
            }
        }
    }

    async fn carry_out(&mut self, action: Action) -> Result<(), Error> {
        match action {
            Action::Save(key, value) => {
                let Some(mut store) = self.store.take() else {
                    return Err(Error::Ended);
                };
                let at = Arc::<str>::from(key);
                let key = Arc::clone(&at);
                let (store, saved) = blocking(move || {
                    let saved = store.save(&key, value.as_deref());
                    (store, saved)
                })
                .await?;
                self.store = Some(store);
                saved.map_err(|error| failed(&at, &error))
            }
            // Reconciliation sets right what a lost or refused call leaves: a task that nobody has
            // launched is reported as lost.
            Action::Call(call) => {
                drop(self.scheduler.call(*call).await);
                Ok(())
            }
            Action::Tell(status) => {
                // The end of the keeper is seen by the next request.
                let _ = self.tell.send(Ok(*status));
                Ok(())
            }
        }
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
