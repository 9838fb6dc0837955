//! Letting the stage run until something has come about.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::Stage;
use crate::error::Error;
use crate::frameworks::{Policy, framework_info};

/// How often a count is shown to whoever waits for it.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

/// The longest that a turn waits, so that silence is noticed.
const TURN: Duration = Duration::from_millis(200);

/// The same while the end of a task is waited for, which no input tells of.
const BESIDE: Duration = Duration::from_millis(2);

impl Stage {
    /// Runs until `count` has reached `wanted`; says how long that took. Fails when the count
    /// has not changed for the patience that is set.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        wanted: u64,
        mut count: impl FnMut(&Self) -> u64,
    ) -> Result<Duration, Error> {
        let began = Instant::now();
        let mut progress = Progress::new(what, wanted);
        let mut last = (count(self), began);
        while last.0 < wanted {
            self.turn(Instant::now() + TURN).await;
            let done = count(self);
            if done == last.0 && last.1.elapsed() > self.settings.patience {
                return Err(self.stalled(what, done, wanted));
            }
            if done != last.0 {
                last = (done, Instant::now());
            }
            progress.show(done);
        }
        Ok(began.elapsed())
    }

    /// Runs for a time.
    pub(crate) async fn during(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(end.min(Instant::now() + TURN)).await;
        }
    }

    /// Runs while a task goes on, to its end.
    pub(crate) async fn beside<T: Send + 'static>(
        &mut self,
        other: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let other = tokio::spawn(other);
        while !other.is_finished() {
            self.turn(Instant::now() + BESIDE).await;
        }
        other
            .await
            .map_err(|error| Error::Runtime(std::io::Error::other(error)))?
    }

    /// Adds agents and has them registered.
    pub(crate) async fn register(&mut self, agents: usize) -> Result<Duration, Error> {
        self.fleet.enrol(agents);
        let wanted = self.fleet.len() as u64;
        self.until("agents registered", wanted, |stage| {
            stage.fleet.registered() as u64
        })
        .await
    }

    /// Adds frameworks, each in the role that `role` gives its number, and has them subscribed. Gives
    /// the number of the first.
    pub(crate) async fn join(
        &mut self,
        frameworks: usize,
        policy: &Policy,
        role: impl Fn(usize) -> String,
    ) -> Result<usize, Error> {
        let first = self.frameworks.len();
        for number in first..first + frameworks {
            let name = format!("{}-{number}", self.run);
            self.subscribe(framework_info(name, vec![role(number)]), policy.clone());
        }
        self.all_subscribed().await?;
        Ok(first)
    }

    pub(crate) async fn all_subscribed(&mut self) -> Result<Duration, Error> {
        let gone = usize::try_from(self.left).unwrap_or_default();
        let wanted = (self.frameworks.len() - gone) as u64;
        self.until("frameworks subscribed", wanted, |stage| {
            stage.frameworks().filter(|f| f.is_subscribed()).count() as u64
        })
        .await
    }

    /// One framework takes its leave, and its tasks end with it.
    pub(crate) async fn retire(&mut self, framework: usize) -> Result<(), Error> {
        let wanted = self.left + self.take_leave(framework);
        self.until("a framework removed", wanted, |stage| stage.left)
            .await?;
        Ok(())
    }

    /// All frameworks and agents take their leave, so that the target is as it was before.
    pub(crate) async fn leave(&mut self) -> Result<(), Error> {
        self.answered().await?;
        let mut wanted = self.left;
        for framework in 0..self.frameworks.len() {
            wanted += self.take_leave(framework);
        }
        // The end of the streams is their answer.
        self.until("frameworks removed", wanted, |stage| stage.left)
            .await?;
        self.fleet.leave(&mut self.outgoing);
        self.send().await;
        self.flush().await;
        self.answered().await
    }

    /// Tears a framework down; says how many streams that will end.
    fn take_leave(&mut self, framework: usize) -> u64 {
        self.with(framework, |scheduler, _, _, out| scheduler.tear_down(out));
        let subscribed = self
            .frameworks
            .get_mut(framework)
            .filter(|emulated| emulated.scheduler.is_subscribed());
        let Some(emulated) = subscribed else {
            return 0;
        };
        emulated.is_leaving = true;
        1
    }

    /// Runs until as many calls are answered as there have been until now. Events may lead to further
    /// ones meanwhile, for ever where all offers are declined.
    pub(crate) async fn answered(&mut self) -> Result<(), Error> {
        let wanted = self.called + self.wanted.len() as u64;
        let calls = "calls answered";
        self.until(calls, wanted, |stage| stage.answered).await?;
        Ok(())
    }

    fn stalled(&self, what: &str, done: u64, wanted: u64) -> Error {
        let because = match self.book.sentences.join("; ") {
            none if none.is_empty() => none,
            some => format!(" ({some})"),
        };
        Error::Stalled {
            what: what.to_owned(),
            done,
            wanted,
            silence: self.settings.patience,
            because,
        }
    }
}

/// Shows how far something is, on standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    wanted: u64,
    shown: Instant,
}

impl Progress {
    pub(crate) fn new(what: &str, wanted: u64) -> Self {
        Self {
            what: what.to_owned(),
            wanted,
            shown: Instant::now(),
        }
    }

    pub(crate) fn show(&mut self, done: u64) {
        if self.shown.elapsed() < SHOWN_EVERY {
            return;
        }
        self.shown = Instant::now();
        say(&format!("  {}: {done} of {}", self.what, self.wanted));
    }
}

/// Tells the user how things go, if anybody is there to read it.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
