//! Checks and health checks of the task: when to probe it, and what an outcome means.
//!
//! ```text
//! launched ──delay──▶ probing ──outcome, or timeout──▶ waiting
//!                        ▲                                │
//!                        └────────── interval ────────────┘
//! ```
//!
//! A check only tells: its result goes into the task's status whenever it changes. A health check
//! judges: each failure is told, and enough of them in a row end the task. Both stop for good when
//! the task ends or begins to be killed.

mod probe;
#[cfg(test)]
mod tests;

use std::time::Duration;

use meseta_machine::{Now, Timers};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    CheckInfo, CheckStatusInfo, HealthCheck, TaskInfo, TaskStatus, check_info, check_status_info,
    health_check,
};

pub(crate) use probe::{HttpProbe, Observation, Probe, Scheme};

use super::status::Updates;
use crate::limits::{LONGEST_CHECK_PERIOD, PROBE_RETRY};

/// The two things that a task may ask to be probed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Check,
    HealthCheck,
}

/// What came of a probe: what it saw, or why it saw nothing.
pub(crate) type Outcome = Result<Observation, String>;

/// What the checks of a task want to be done.
#[derive(Debug)]
pub(super) enum Deed {
    /// Probe the task.
    Probe(Which, Probe),
    /// End a probe that is under way.
    Stop(Which),
    /// Tell the reader of the sandbox's stderr.
    Log(String),
    /// Send the status of the running task, with what [`Checks::fill`] adds.
    Tell(Reason),
    /// Kill the task, for it is not healthy.
    Kill,
}

/// The checks of a task, and what is known from them.
#[derive(Debug, Default)]
pub(super) struct Checks {
    check: Option<Check>,
    health: Option<Health>,
    timers: Timers<Timer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The next probe of the task.
    Probe(Which),
    /// A probe has taken for as long as it may.
    Timeout(Which),
}

#[derive(Debug)]
struct Check {
    prober: Prober,
    kind: check_info::Type,
    last: CheckStatusInfo,
}

#[derive(Debug)]
struct Health {
    prober: Prober,
    /// Before this time and the first success, failures do not count.
    grace_until: Option<Duration>,
    has_passed: bool,
    failures: u32,
    fatal_failures: u32,
    last: Option<bool>,
}

#[derive(Debug)]
struct Prober {
    /// For the reader of the sandbox's stderr: `TCP health check`.
    name: String,
    probe: Probe,
    interval: Duration,
    timeout: Option<Duration>,
    is_probing: bool,
}

impl Checks {
    /// Begins to check a task that has just been launched.
    pub(super) fn start(now: Now, task: &TaskInfo, deeds: &mut Vec<Deed>) -> Self {
        let mut checks = Self::default();
        if let Some(info) = &task.check {
            match Check::new(info, task) {
                Ok(check) => {
                    checks.check = Some(check);
                    checks.probe_after(now, Which::Check, seconds(info.delay_seconds()));
                }
                Err(reason) => deeds.push(Deed::Log(format!(
                    "Failed to create checker: {reason}; the task goes on without"
                ))),
            }
        }
        if let Some(info) = &task.health_check {
            match Health::new(now, info, task) {
                Ok(health) => {
                    checks.health = Some(health);
                    checks.probe_after(now, Which::HealthCheck, seconds(info.delay_seconds()));
                }
                Err(reason) => deeds.push(Deed::Log(format!(
                    "Failed to create health checker: {reason}; the task goes on without"
                ))),
            }
        }
        checks
    }

    pub(super) fn next_wake(&self) -> Option<Duration> {
        self.timers.next_due()
    }

    /// Deals with the timers that are due.
    pub(super) fn wake(&mut self, now: Now, updates: &Updates, deeds: &mut Vec<Deed>) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                // Nobody takes what the executor has to tell, so nothing is added to it for now.
                Timer::Probe(which) if updates.is_full() => {
                    self.probe_after(now, which, PROBE_RETRY);
                }
                Timer::Probe(which) => self.on_probe_due(now, which, deeds),
                Timer::Timeout(which) => {
                    deeds.push(Deed::Stop(which));
                    self.on_probed(now, which, Err("it timed out".into()), deeds);
                }
            }
        }
    }

    /// Ends all probing. What comes of a probe that is under way is of no interest any more.
    pub(super) fn stop(&mut self, deeds: &mut Vec<Deed>) {
        for which in [Which::Check, Which::HealthCheck] {
            self.timers.cancel(&Timer::Probe(which));
            self.timers.cancel(&Timer::Timeout(which));
            if let Some(prober) = self.prober(which)
                && std::mem::take(&mut prober.is_probing)
            {
                deeds.push(Deed::Stop(which));
            }
        }
    }

    /// Goes on after a [`Self::stop`], with a probe of each at once.
    pub(super) fn resume(&mut self, now: Now) {
        for which in [Which::Check, Which::HealthCheck] {
            if self.prober(which).is_some() {
                self.probe_after(now, which, Duration::ZERO);
            }
        }
    }

    pub(super) fn on_probed(
        &mut self,
        now: Now,
        which: Which,
        outcome: Outcome,
        deeds: &mut Vec<Deed>,
    ) {
        let Some(interval) = self.end_probe(which) else {
            return;
        };
        self.probe_after(now, which, interval);
        match which {
            Which::Check => self.on_checked(outcome, deeds),
            Which::HealthCheck => match outcome.and_then(Observation::healthy) {
                Ok(()) => self.on_healthy(deeds),
                Err(reason) => self.on_unhealthy(now, &reason, deeds),
            },
        }
    }

    /// A probe could not be made, which says nothing about the task.
    pub(super) fn on_not_probed(&mut self, now: Now, which: Which) {
        if let Some(interval) = self.end_probe(which) {
            self.probe_after(now, which, interval.max(PROBE_RETRY));
        }
    }

    /// Adds what is known to a status of the running task.
    pub(super) fn fill(&self, status: &mut TaskStatus) {
        if let Some(check) = &self.check {
            status.check_status = Some(Box::new(check.last));
        }
        status.healthy = self.health.as_ref().and_then(|health| health.last);
    }

    fn on_probe_due(&mut self, now: Now, which: Which, deeds: &mut Vec<Deed>) {
        let Some(prober) = self.prober(which) else {
            return;
        };
        prober.is_probing = true;
        deeds.push(Deed::Probe(which, prober.probe.clone()));
        if let Some(timeout) = prober.timeout {
            self.timers
                .set(Timer::Timeout(which), now.monotonic + timeout);
        }
    }

    /// The pause before the next probe, unless there was none: one that was stopped may have ended
    /// in the same instant.
    fn end_probe(&mut self, which: Which) -> Option<Duration> {
        self.timers.cancel(&Timer::Timeout(which));
        let prober = self.prober(which)?;
        std::mem::take(&mut prober.is_probing).then_some(prober.interval)
    }

    fn on_checked(&mut self, outcome: Outcome, deeds: &mut Vec<Deed>) {
        let Some(check) = &mut self.check else {
            return;
        };
        let status = match outcome {
            Ok(observation) => observation.into_status(check.kind),
            Err(reason) => {
                let name = &check.prober.name;
                deeds.push(Deed::Log(format!("{name} failed: {reason}")));
                no_result(check.kind)
            }
        };
        if status != check.last {
            check.last = status;
            deeds.push(Deed::Tell(Reason::TaskCheckStatusUpdated));
        }
    }

    fn on_healthy(&mut self, deeds: &mut Vec<Deed>) {
        let Some(health) = &mut self.health else {
            return;
        };
        let is_news = !health.has_passed || health.failures > 0;
        health.has_passed = true;
        health.failures = 0;
        health.last = Some(true);
        if is_news {
            deeds.push(Deed::Tell(Reason::TaskHealthCheckStatusUpdated));
        }
    }

    fn on_unhealthy(&mut self, now: Now, reason: &str, deeds: &mut Vec<Deed>) {
        let Some(health) = &mut self.health else {
            return;
        };
        let name = &health.prober.name;
        if !health.has_passed && health.grace_until.is_some_and(|end| now.monotonic <= end) {
            return deeds.push(Deed::Log(format!(
                "{name} failed: {reason}; ignored, for the task is still in its grace period"
            )));
        }
        health.failures = health.failures.saturating_add(1);
        health.last = Some(false);
        deeds.push(Deed::Log(format!(
            "{name} failed {} times consecutively: {reason}",
            health.failures
        )));
        deeds.push(Deed::Tell(Reason::TaskHealthCheckStatusUpdated));
        if health.failures >= health.fatal_failures {
            deeds.push(Deed::Kill);
        }
    }

    fn probe_after(&mut self, now: Now, which: Which, pause: Duration) {
        self.timers.set(Timer::Probe(which), now.monotonic + pause);
    }

    fn prober(&mut self, which: Which) -> Option<&mut Prober> {
        match which {
            Which::Check => self.check.as_mut().map(|check| &mut check.prober),
            Which::HealthCheck => self.health.as_mut().map(|health| &mut health.prober),
        }
    }
}

impl Check {
    fn new(info: &CheckInfo, task: &TaskInfo) -> Result<Self, String> {
        let kind = info.r#type();
        Ok(Self {
            prober: Prober {
                name: format!("{} check", kind.as_str_name()),
                probe: Probe::of_check(info, task)?,
                interval: seconds(info.interval_seconds()),
                timeout: timeout(info.timeout_seconds()),
                is_probing: false,
            },
            kind,
            last: no_result(kind),
        })
    }
}

impl Health {
    fn new(now: Now, info: &HealthCheck, task: &TaskInfo) -> Result<Self, String> {
        let kind: health_check::Type = info.r#type();
        let grace = seconds(info.grace_period_seconds());
        Ok(Self {
            prober: Prober {
                name: format!("{} health check", kind.as_str_name()),
                probe: Probe::of_health_check(info, task)?,
                interval: seconds(info.interval_seconds()),
                timeout: timeout(info.timeout_seconds()),
                is_probing: false,
            },
            grace_until: (!grace.is_zero()).then(|| now.monotonic + grace),
            has_passed: false,
            failures: 0,
            fatal_failures: info.consecutive_failures(),
            last: None,
        })
    }
}

/// Statuses of a task with a check always say which kind it is, even without a result.
pub(super) fn no_result(kind: check_info::Type) -> CheckStatusInfo {
    let mut status = CheckStatusInfo {
        r#type: Some(kind.into()),
        ..CheckStatusInfo::default()
    };
    match kind {
        check_info::Type::Command => status.command = Some(check_status_info::Command::default()),
        check_info::Type::Http => status.http = Some(check_status_info::Http::default()),
        check_info::Type::Tcp => status.tcp = Some(check_status_info::Tcp::default()),
        check_info::Type::Unknown => {}
    }
    status
}

fn seconds(seconds: f64) -> Duration {
    // What is no duration is negative or no number, which counts as nothing, or too long.
    Duration::try_from_secs_f64(seconds.max(0.0))
        .unwrap_or(LONGEST_CHECK_PERIOD)
        .min(LONGEST_CHECK_PERIOD)
}

/// None is as in Mesos the meaning of zero.
fn timeout(value: f64) -> Option<Duration> {
    let timeout = seconds(value);
    (!timeout.is_zero()).then_some(timeout)
}
