//! The scheduler: fills offers with tasks until every image is done.

use meseta_framework::v1::{FrameworkInfo, Offer, TaskStatus};
use meseta_framework::{Error, Events, Happening, Scheduler, Settings, operations, subscribe};
use tokio::time::{MissedTickBehavior, interval};

use crate::limits::{FAILOVER_TIMEOUT, RECONCILE_EVERY};
use crate::work::{News, Work};

/// What happens on the way, for whoever watches.
#[derive(Debug)]
pub enum Told {
    /// Of an image.
    News(News),
    /// There is no master at the moment, for that reason.
    MasterAway(String),
}

/// Runs until every image is done or given up, and ends the framework; dropped before, it leaves the
/// framework to [`end`].
///
/// # Errors
/// When the master refuses the framework or ends it.
pub async fn run(
    scheduler: &Scheduler,
    events: &mut Events,
    mut work: Work,
    mut tell: impl FnMut(Told),
) -> Result<(), Error> {
    let mut reconcile = interval(RECONCILE_EVERY);
    reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !work.is_over() {
        let incoming = tokio::select! {
            incoming = events.next() => incoming?.ok_or(Error::Ended)?,
            _ = reconcile.tick() => {
                passing(scheduler.reconcile(work.running()).await)?;
                continue;
            }
        };
        match incoming.into_happening() {
            Happening::Subscribed { .. } => {
                // What was said while nobody listened.
                passing(scheduler.reconcile(work.running()).await)?;
            }
            Happening::Offers(offers) => {
                for offer in offers {
                    use_offer(scheduler, &mut work, offer).await?;
                }
            }
            Happening::Update(status) => {
                let news = on_update(scheduler, &mut work, &status).await?;
                news.map(Told::News).into_iter().for_each(&mut tell);
            }
            Happening::ExecutorEnded {
                agent_id: Some(agent_id),
                executor_id,
                ..
            } => work.on_executor_ended(&agent_id, Some(&executor_id)),
            Happening::AgentLost(Some(agent_id)) => work.on_executor_ended(&agent_id, None),
            Happening::Disconnected { reason } => tell(Told::MasterAway(reason)),
            Happening::Ended(reason) => return Err(Error::EndedByMaster(reason)),
            _ => {}
        }
    }
    end(scheduler).await
}

/// Ends the framework and, with it, its executors.
///
/// # Errors
/// When the master refuses.
pub async fn end(scheduler: &Scheduler) -> Result<(), Error> {
    passing(scheduler.teardown().await)
}

/// A framework whose executors outlive a restart of their agent.
pub fn framework(user: &str) -> FrameworkInfo {
    FrameworkInfo {
        user: user.to_owned(),
        name: "images".to_owned(),
        checkpoint: Some(true),
        failover_timeout: Some(FAILOVER_TIMEOUT),
        ..FrameworkInfo::default()
    }
}

/// Subscribes a [`framework`] at masters.
pub fn connect(masters: &str, user: &str) -> (Scheduler, Events) {
    subscribe(Settings::new(masters, framework(user)))
}

async fn use_offer(scheduler: &Scheduler, work: &mut Work, offer: Offer) -> Result<(), Error> {
    let tasks = work.fit(&offer);
    if tasks.is_empty() {
        return passing(scheduler.decline([offer.id], None).await);
    }
    let launch = operations::launch(tasks.clone());
    match scheduler.accept([offer.id], [launch], None).await {
        // After an exchange that broke off it is unknown whether the master has taken the call:
        // reconciliation will tell.
        Ok(()) | Err(Error::Unreachable { .. }) => Ok(()),
        Err(error) => {
            work.on_not_launched(tasks);
            passing(Err(error))
        }
    }
}

async fn on_update(
    scheduler: &Scheduler,
    work: &mut Work,
    status: &TaskStatus,
) -> Result<Option<News>, Error> {
    let news = work.on_update(status);
    passing(scheduler.acknowledge(status).await)?;
    if let Some(News::Again { .. }) = news {
        // Offers may have been declined, and be held back, while nothing waited for them.
        passing(scheduler.revive().await)?;
    }
    Ok(news)
}

/// Calls that did not reach a master, for it is away: what they were for comes again. Offers are void,
/// and updates are repeated.
fn passing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::NotSubscribed | Error::NotLeading { .. } | Error::Unreachable { .. }) => Ok(()),
        other => other,
    }
}
