//! What is measured: each scenario in a file of its own, told from its beginning to its end.
//!
//! A scenario warms up, measures, checks that what came about is what should have, and leaves the
//! target as it was. A run in which counts do not agree is an error, not a figure.

mod decline;
mod events;
mod failover;
mod latency;
mod launch;
mod quota;
mod reconcile;
mod register;
mod soak;
mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use meseta_proto::v1::{FrameworkInfo, TaskState};
use meseta_resources::Resources;

use crate::agents::{Pattern, Standing};
use crate::error::Error;
use crate::frameworks::{Policy, Work, framework_info};
use crate::observers::Observation;
use crate::report::{Figures, Machine, Report, date};
use crate::stage::{Agents, Settings, Stage, say};
use crate::target::{Cost, Target};

/// A scenario with its sizes.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Scenario {
    /// Agents register, all at once
    Register(register::Sizes),
    /// Agents come back with their tasks and their history, as to a new leading master
    Failover(failover::Sizes),
    /// Frameworks decline every offer that they get
    Decline(decline::Sizes),
    /// Frameworks launch as many tasks as they can
    Launch(launch::Sizes),
    /// Tasks one after the other: from ACCEPT to running, from freed to offered again
    Latency(latency::Sizes),
    /// Endpoints are polled while a scheduler works
    State(state::Sizes),
    /// Subscribers follow the operator's events while a scheduler works
    Events(events::Sizes),
    /// A framework asks what has become of its tasks
    Reconcile(reconcile::Sizes),
    /// Roles get what their quotas allow
    Quota(quota::Sizes),
    /// Everything together, for as long as you like; tells what grows
    Soak(soak::Sizes),
}

/// What every scenario is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) target: Target,
    pub(crate) settings: Settings,
}

impl Scenario {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Failover(_) => "failover",
            Self::Decline(_) => "decline",
            Self::Launch(_) => "launch",
            Self::Latency(_) => "latency",
            Self::State(_) => "state",
            Self::Events(_) => "events",
            Self::Reconcile(_) => "reconcile",
            Self::Quota(_) => "quota",
            Self::Soak(_) => "soak",
        }
    }

    pub(crate) async fn run(&self, context: &Context) -> Result<Report, Error> {
        say(&format!("{} on {}", self.name(), context.target.address));
        let outcome = match self {
            Self::Register(sizes) => register::run(sizes, context).await,
            Self::Failover(sizes) => failover::run(sizes, context).await,
            Self::Decline(sizes) => decline::run(sizes, context).await,
            Self::Launch(sizes) => launch::run(sizes, context).await,
            Self::Latency(sizes) => latency::run(sizes, context).await,
            Self::State(sizes) => state::run(sizes, context).await,
            Self::Events(sizes) => events::run(sizes, context).await,
            Self::Reconcile(sizes) => reconcile::run(sizes, context).await,
            Self::Quota(sizes) => quota::run(sizes, context).await,
            Self::Soak(sizes) => soak::run(sizes, context).await,
        }?;
        Ok(outcome.report(self.name(), context))
    }
}

/// What a scenario found.
#[derive(Debug)]
pub(crate) struct Outcome {
    sizes: BTreeMap<String, u64>,
    figures: Figures,
    cost: Cost,
    notes: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(
        sizes: &[(&str, usize)],
        figures: Figures,
        cost: Cost,
        stage: &Stage,
    ) -> Self {
        let sizes = sizes
            .iter()
            .map(|(name, size)| ((*name).to_owned(), *size as u64))
            .collect();
        Self {
            sizes,
            figures,
            cost,
            notes: oddities(stage),
        }
    }

    pub(crate) fn note(&mut self, notes: Vec<String>) {
        self.notes.extend(notes);
    }

    pub(crate) fn report(mut self, scenario: &str, context: &Context) -> Report {
        Report {
            scenario: scenario.to_owned(),
            target: context.target.address.to_string(),
            date: date(),
            machine: Machine::this(),
            seed: context.settings.seed,
            sizes: self.sizes,
            figures: self.figures.done(),
            cost: self.cost,
            notes: self.notes,
        }
    }
}

/// What should not have happened in a run.
fn oddities(stage: &Stage) -> Vec<String> {
    let tally = &stage.fleet.tally;
    let book = &stage.book;
    let counts = [
        (
            "messages were said again because nobody answered",
            tally.repeated,
        ),
        ("agents were told to end", tally.shut_down),
        ("messages to agents could not be understood", tally.strange),
        ("calls or events were refused", book.refused),
        ("streams ended", book.disconnected),
        ("executors failed", book.failures),
    ];
    let mut notes: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    notes.extend(book.sentences.iter().cloned());
    notes
}

#[allow(clippy::cast_precision_loss, reason = "figures have few digits")]
pub(crate) fn count(things: usize) -> f64 {
    things as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "metrics that count are whole; `as` saturates"
)]
pub(crate) fn whole(metric: f64) -> u64 {
    metric.round() as u64
}

/// Fails unless a count is as it must be.
pub(crate) fn expect(what: &str, found: u64, expected: u64) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Inconsistent {
        what: what.to_owned(),
        found,
        expected,
    })
}

/// Agents with room for so many small tasks, which end after a while.
pub(crate) fn agents(slots: usize, pattern: Pattern) -> Result<Agents, Error> {
    // Those of `Work::of`: 0.1 cpus and 32 MB.
    let (cpus, mem) = (slots.div_ceil(10).max(1), slots * 32 + 1024);
    let resources = format!("cpus:{cpus};mem:{mem};disk:100000;ports:[31000-32000]");
    Ok(Agents {
        resources: Resources::parse(&resources, "*")?,
        pattern,
        standing: Standing::default(),
    })
}

/// Frameworks from before a failover, with ids that a run makes up.
fn earlier_frameworks(count: usize) -> Vec<FrameworkInfo> {
    let run = format!("{:016x}", fastrand::u64(..));
    (0..count.max(1))
        .map(|number| {
            let mut info = framework_info(format!("earlier-{number}"), vec![role(number)]);
            info.id = Some(format!("{run}-{number:04}").into());
            info
        })
        .collect()
}

/// The role of a framework that shares it with none.
fn role(number: usize) -> String {
    format!("bench-{number}")
}

/// Has a framework do all of this work, and waits until every task has ended and every update is acknowledged.
async fn carry_out(stage: &mut Stage, worker: usize, work: Work) -> Result<(), Error> {
    let wanted = stage.book.ended + work.remaining as u64;
    stage.with(worker, |scheduler, now, book, out| {
        scheduler.set_policy(Policy::Launch(work), now, book, out);
    });
    stage
        .until("tasks ended", wanted, |stage| stage.book.ended)
        .await?;
    stage.answered().await
}

/// Tasks that ended as they were meant to.
fn finished(stage: &Stage) -> u64 {
    stage.book.states(TaskState::TaskFinished)
}

/// Puts what observers saw among the figures; gives what is to be said beside them.
fn tell(figures: &mut Figures, seen: Vec<Observation>) -> Vec<String> {
    let mut notes = Vec::new();
    for observation in seen {
        let Observation {
            name,
            times,
            first,
            largest,
            failed,
            sentence,
            ..
        } = observation;
        figures.times(&name, &times);
        figures.times(&format!("{name}: the first, with the state"), &first);
        if largest > 0 {
            figures.bytes(&format!("{name}: the largest"), largest);
        }
        if failed > 0 {
            let sentence = sentence.unwrap_or_default();
            notes.push(format!("{name}: {failed} failed: {sentence}"));
        }
    }
    notes
}

/// A value of clap that is a time, such as `90`, `1.5` or `250ms`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time such as 250ms, 1.5s, 10m or 2h");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let unit = match unit {
        "ms" => 0.001,
        "" | "s" | "secs" => 1.0,
        "m" | "mins" => 60.0,
        "h" | "hrs" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_in_any_usual_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("1.5", 1500),
            ("2s", 2000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5 parsecs", "-1"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
