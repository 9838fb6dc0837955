//! Everything together, for as long as you like; tells what grows.

use std::time::Duration;

use super::{Context, Outcome, agents, count, role, tell, time};
use crate::agents::Pattern;
use crate::error::Error;
use crate::frameworks::{Policy, Work};
use crate::measure::Usage;
use crate::observers::{Observer, Observers};
use crate::report::Figures;
use crate::stage::{Stage, say};

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// How long it takes.
    #[arg(long, default_value = "1h", value_parser = time)]
    time: Duration,
    /// How often a framework leaves, another joins, and the target is looked at.
    #[arg(long, default_value = "30s", value_parser = time)]
    interval: Duration,
    /// Agents that run tasks.
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Frameworks that run tasks.
    #[arg(long, default_value_t = 10)]
    frameworks: usize,
    /// Tasks that each has at a time.
    #[arg(long, default_value_t = 20)]
    at_once: usize,
    /// How long a task runs.
    #[arg(long, default_value = "1s", value_parser = time)]
    duration: Duration,
    /// Intervals before, in which caches and histories fill up.
    #[arg(long, default_value_t = 4)]
    warm_up: usize,
}

/// What the target used at a time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    usage: Usage,
}

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let pattern = Pattern::finishing(sizes.duration);
    let slots = (sizes.frameworks * sizes.at_once).div_ceil(sizes.agents.max(1)) + 10;
    let mut stage = Stage::open(context.settings.clone(), agents(slots, pattern)?)?;
    stage.register(sizes.agents).await?;
    stage.join(sizes.frameworks, &work(sizes), role).await?;
    let paths = ["/master/state", "/master/health", "/metrics/snapshot"];
    let poll = |path| Observer::Poll {
        path,
        rest: Duration::from_secs(1),
    };
    let mut oldest = 0;
    for _ in 0..sizes.warm_up {
        interval(&mut stage, sizes, &mut oldest).await?;
    }
    stage.start_anew();

    let observers = Observers::start(target.address, paths.map(poll).to_vec())?;
    let meter = target.meter()?;
    let began = stage.now();
    let mut samples = Vec::new();
    while stage.now().saturating_sub(began) < sizes.time {
        interval(&mut stage, sizes, &mut oldest).await?;
        let at = stage.now().saturating_sub(began);
        if let Some(usage) = target.usage()? {
            samples.push(Sample { at, usage });
            say(&format!(
                "  after {at:.0?}: {} tasks, {:.1} MB, {} descriptors, {} threads",
                stage.book.ended,
                megabytes(usage.memory),
                usage.descriptors,
                usage.threads
            ));
        }
    }
    let took = stage.now().saturating_sub(began);
    let cost = target.cost_since(&meter)?;

    let mut figures = Figures::default();
    figures
        .rate("tasks", stage.book.ended, took)
        .times("ACCEPT to TASK_RUNNING", &stage.book.running)
        .times("calls answered", &stage.book.calls);
    let mut notes = tell(&mut figures, observers.finish());
    for (what, of) in [
        (
            "memory",
            (|usage| megabytes(usage.memory)) as fn(&Usage) -> f64,
        ),
        ("descriptors", |usage| precise(usage.descriptors)),
        ("threads", |usage| precise(usage.threads)),
    ] {
        if let Some(slope) = slope(&samples, of) {
            let unit = if what == "memory" { " MB" } else { "" };
            notes.push(format!("{what} of the target: {slope:+.2}{unit} an hour"));
        }
    }
    let mut outcome = Outcome::new(
        &[
            ("agents", sizes.agents),
            ("frameworks", sizes.frameworks),
            ("tasks at a time for each", sizes.at_once),
        ],
        figures,
        cost,
        &stage,
    );
    outcome.note(notes);
    stage.leave().await?;
    Ok(outcome)
}

fn work(sizes: &Sizes) -> Policy {
    Policy::Launch(Work {
        at_once: sizes.at_once,
        ..Work::of(usize::MAX)
    })
}

/// Lets everything go on for a while, and has the oldest framework replaced by a new one.
async fn interval(stage: &mut Stage, sizes: &Sizes, oldest: &mut usize) -> Result<(), Error> {
    stage.during(sizes.interval).await;
    stage.retire(*oldest).await?;
    *oldest += 1;
    stage.join(1, &work(sizes), role).await?;
    Ok(())
}

/// What something grows by in an hour, by the line that is nearest to all samples.
fn slope(samples: &[Sample], of: impl Fn(&Usage) -> f64) -> Option<f64> {
    let points: Vec<(f64, f64)> = samples
        .iter()
        .map(|sample| (sample.at.as_secs_f64() / 3600.0, of(&sample.usage)))
        .collect();
    let number = count(points.len());
    let mean = |sum: f64| sum / number;
    let x = mean(points.iter().map(|(x, _)| x).sum());
    let y = mean(points.iter().map(|(_, y)| y).sum());
    let along: f64 = points.iter().map(|(px, _)| (px - x).powi(2)).sum();
    let rise: f64 = points.iter().map(|(px, py)| (px - x) * (py - y)).sum();
    (along > 0.0).then(|| rise / along)
}

fn megabytes(bytes: u64) -> f64 {
    precise(bytes) / f64::from(1 << 20)
}

#[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
fn precise(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_by_the_hour() {
        let sample = |minutes: u64, memory: u64| Sample {
            at: Duration::from_secs(60 * minutes),
            usage: Usage {
                memory: memory << 20,
                ..Usage::default()
            },
        };
        let grows = [sample(0, 100), sample(30, 110), sample(60, 120)];
        let found = slope(&grows, |usage| megabytes(usage.memory)).unwrap();
        assert!((found - 20.0).abs() < 1e-9, "{found}");
        assert_eq!(slope(&grows[..1], |usage| megabytes(usage.memory)), None);
    }
}
