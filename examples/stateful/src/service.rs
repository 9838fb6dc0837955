//! Keeps the counter going, or ends it: one loop in which everything happens one after the other.
//!
//! What is promised is on the disk first, and what may have been lost is asked for; the chapter on
//! that is `examples/scheduler`.

use std::time::Duration;

use meseta_framework::v1::{FrameworkId, Offer, OperationStatus, TaskState, TaskStatus};
use meseta_framework::{Events, Happening, Scheduler};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::counter::{Counter, News, Use};
use crate::error::Error;
use crate::files::Files;

/// How long a task that has ended stays so: one that ends at once must not keep the cluster busy.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a task that nobody has told of is asked for.
const QUESTION: Duration = Duration::from_secs(5);

/// What is wanted of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    Run,
    End,
}

#[derive(Debug)]
pub(crate) struct Service {
    aim: Aim,
    counter: Counter,
    files: Files,
    scheduler: Scheduler,
    /// Whether anything was heard of the task since the framework subscribed last.
    is_confirmed: bool,
    /// Whether the master has been told that no offers are wanted.
    is_suppressed: bool,
    /// Until then no offers are wanted.
    rests_until: Instant,
    ask_again: Instant,
}

impl Service {
    pub(crate) fn new(aim: Aim, counter: Counter, files: Files, scheduler: Scheduler) -> Self {
        let now = Instant::now();
        Self {
            aim,
            counter,
            files,
            scheduler,
            is_confirmed: false,
            is_suppressed: false,
            rests_until: now,
            ask_again: now + QUESTION,
        }
    }

    /// Returns once the counter has been ended.
    pub(crate) async fn run(mut self, mut events: Events) -> Result<(), Error> {
        loop {
            let is_resting = self.rests_until > Instant::now();
            tokio::select! {
                incoming = events.next() => match incoming? {
                    Some(incoming) => self.on_happening(incoming.into_happening()).await?,
                    None => return Ok(()),
                },
                () = sleep_until(self.rests_until), if is_resting => {}
                () = sleep_until(self.ask_again) => self.reconcile().await,
            }
            if self.aim == Aim::End && self.counter.is_nowhere() && self.tear_down().await? {
                return Ok(());
            }
            self.ask_for_offers().await;
        }
    }

    async fn on_happening(&mut self, happening: Happening) -> Result<(), Error> {
        match happening {
            Happening::Subscribed { framework_id, .. } => self.on_subscribed(&framework_id).await,
            Happening::Offers(offers) => {
                for offer in offers {
                    self.on_offer(offer).await?;
                }
                Ok(())
            }
            Happening::Update(status) => self.on_update(&status).await,
            Happening::OperationUpdate(status) => self.on_operation_update(&status).await,
            Happening::Disconnected { reason } => {
                warn!("no master: {reason}");
                Ok(())
            }
            Happening::Ended(reason) => Err(Error::Ended(reason)),
            _ => Ok(()),
        }
    }

    async fn on_subscribed(&mut self, framework_id: &FrameworkId) -> Result<(), Error> {
        info!("subscribed as {framework_id}");
        self.files.save_framework(framework_id)?;
        // A new subscription wants offers.
        self.is_suppressed = false;
        self.is_confirmed = false;
        self.reconcile().await;
        Ok(())
    }

    async fn on_offer(&mut self, offer: Offer) -> Result<(), Error> {
        let before = self.counter.clone();
        let used = match self.aim {
            Aim::Run => self.counter.go_on_with(&offer),
            Aim::End => self.counter.end_with(&offer),
        };
        if self.counter != before {
            self.files.save_counter(&self.counter)?;
        }
        match used {
            Use::Decline => log("DECLINE", self.scheduler.decline([offer.id], None).await),
            Use::Accept(operations) => {
                let kinds = operations.iter().map(|it| it.r#type().as_str_name());
                let kinds: Vec<_> = kinds.collect();
                info!("{} on {}", kinds.join(", "), offer.hostname);
                log(
                    "ACCEPT",
                    self.scheduler.accept([offer.id], operations, None).await,
                );
            }
        }
        Ok(())
    }

    async fn on_update(&mut self, status: &TaskStatus) -> Result<(), Error> {
        let state = status.state();
        info!(
            "{}: {} {}",
            status.task_id,
            state.as_str_name(),
            status.message()
        );
        self.is_confirmed = true;
        match (self.counter.on_status(status), self.aim) {
            (News::Nothing, _) => {}
            (News::Lost, Aim::Run) => return Err(Error::Lost),
            (News::Lost, Aim::End) => {
                self.counter.forget_volume();
                self.files.save_counter(&self.counter)?;
            }
            (News::Changed, _) => self.files.save_counter(&self.counter)?,
        }
        if self.counter.running().is_none() && self.aim == Aim::Run {
            self.rests_until = Instant::now() + PAUSE;
        }
        log("ACKNOWLEDGE", self.scheduler.acknowledge(status).await);
        // In other states nobody could kill it, and the master would only answer with the state.
        if matches!(
            state,
            TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskRunning
        ) {
            self.kill_in_the_end().await;
        }
        Ok(())
    }

    async fn on_operation_update(&mut self, status: &OperationStatus) -> Result<(), Error> {
        info!("UNRESERVE: {}", status.state().as_str_name());
        if self.counter.has_ended(status) {
            self.files.save_counter(&self.counter)?;
        }
        let called = self.scheduler.acknowledge_operation(status).await;
        log("ACKNOWLEDGE_OPERATION_STATUS", called);
        Ok(())
    }

    /// Asks for the task until somebody tells of it; one that is to end is killed when it is heard of.
    async fn reconcile(&mut self) {
        self.ask_again = Instant::now() + QUESTION;
        if !self.is_confirmed
            && let Some((task, agent)) = self.counter.running()
        {
            let called = self.scheduler.reconcile([(task, Some(agent))]).await;
            log("RECONCILE", called);
        }
    }

    async fn kill_in_the_end(&self) {
        if self.aim == Aim::End
            && let Some((task, agent)) = self.counter.running()
        {
            log("KILL", self.scheduler.kill(task, Some(agent)).await);
        }
    }

    /// Wants offers while the task does not run and has rested.
    async fn ask_for_offers(&mut self) {
        let is_resting = self.rests_until > Instant::now();
        let wants_none = self.counter.running().is_some() || is_resting;
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

    /// Ends the framework too. Whether that has worked: if not, the next subscription is a chance.
    async fn tear_down(&mut self) -> Result<bool, Error> {
        if self.scheduler.framework_id().is_none() {
            return Ok(false);
        }
        if let Err(error) = self.scheduler.teardown().await {
            warn!("TEARDOWN: {error}");
            return Ok(false);
        }
        self.files.forget()?;
        info!("nothing is left of the counter");
        Ok(true)
    }
}

/// A call that fails is no more than a line in the log: the next subscription makes good for it.
fn log(call: &str, called: Result<(), meseta_framework::Error>) {
    if let Err(error) = called {
        warn!("{call}: {error}");
    }
}
