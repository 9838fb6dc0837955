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

use meseta_machine::Now;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    CheckInfo, CheckStatusInfo, HealthCheck, TaskInfo, TaskState, check_info, check_status_info,
    health_check,
};

pub(crate) use probe::{HttpProbe, Observation, Probe, Scheme};

use super::{Action, Cause, Machine, Timer};
use crate::limits::{LONGEST_CHECK_PERIOD, MAX_UNACKNOWLEDGED, PROBE_RETRY};

/// The two things that a task may ask to be probed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Check,
    HealthCheck,
}

/// What came of a probe: what it saw, or why it saw nothing.
pub(crate) type Outcome = Result<Observation, String>;

/// The checks of a task, and what is known from them.
#[derive(Debug, Default)]
pub(super) struct Checks {
    check: Option<Check>,
    health: Option<Health>,
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
    fn prober(&mut self, which: Which) -> Option<&mut Prober> {
        match which {
            Which::Check => self.check.as_mut().map(|check| &mut check.prober),
            Which::HealthCheck => self.health.as_mut().map(|health| &mut health.prober),
        }
    }
}

impl Machine {
    pub(super) fn start_checks(&mut self, now: Now, task: &TaskInfo, actions: &mut Vec<Action>) {
        if let Some(info) = &task.check {
            match Check::new(info, task) {
                Ok(check) => {
                    self.checks.check = Some(check);
                    self.probe_after(now, Which::Check, seconds(info.delay_seconds()));
                }
                Err(reason) => actions.push(Action::Log(format!(
                    "Failed to create checker: {reason}; the task goes on without"
                ))),
            }
        }
        if let Some(info) = &task.health_check {
            match Health::new(now, info, task) {
                Ok(health) => {
                    self.checks.health = Some(health);
                    self.probe_after(now, Which::HealthCheck, seconds(info.delay_seconds()));
                }
                Err(reason) => actions.push(Action::Log(format!(
                    "Failed to create health checker: {reason}; the task goes on without"
                ))),
            }
        }
    }

    /// Ends all probing. What comes of a probe that is under way is of no interest any more.
    pub(super) fn stop_checks(&mut self, actions: &mut Vec<Action>) {
        for which in [Which::Check, Which::HealthCheck] {
            self.timers.cancel(&Timer::Probe(which));
            self.timers.cancel(&Timer::ProbeTimeout(which));
            if let Some(prober) = self.checks.prober(which)
                && std::mem::take(&mut prober.is_probing)
            {
                actions.push(Action::StopProbe(which));
            }
        }
    }

    pub(super) fn on_probe_due(&mut self, now: Now, which: Which, actions: &mut Vec<Action>) {
        // Nobody takes what the executor has to tell, so nothing is added to it for now.
        if self.updates.len() >= MAX_UNACKNOWLEDGED {
            return self.probe_after(now, which, PROBE_RETRY);
        }
        let Some(prober) = self.checks.prober(which) else {
            return;
        };
        prober.is_probing = true;
        actions.push(Action::Probe(which, prober.probe.clone()));
        if let Some(timeout) = prober.timeout {
            self.timers
                .set(Timer::ProbeTimeout(which), now.monotonic + timeout);
        }
    }

    pub(super) fn on_probe_timeout(&mut self, now: Now, which: Which, actions: &mut Vec<Action>) {
        actions.push(Action::StopProbe(which));
        self.on_probed(now, which, Err("it timed out".into()), actions);
    }

    pub(super) fn on_probed(
        &mut self,
        now: Now,
        which: Which,
        outcome: Outcome,
        actions: &mut Vec<Action>,
    ) {
        self.timers.cancel(&Timer::ProbeTimeout(which));
        let Some(prober) = self.checks.prober(which) else {
            return;
        };
        // A probe that was stopped may have ended in the same instant.
        if !std::mem::take(&mut prober.is_probing) {
            return;
        }
        let interval = prober.interval;
        self.probe_after(now, which, interval);
        match which {
            Which::Check => self.on_checked(now, outcome, actions),
            Which::HealthCheck => match outcome.and_then(Observation::healthy) {
                Ok(()) => self.on_healthy(now, actions),
                Err(reason) => self.on_unhealthy(now, &reason, actions),
            },
        }
    }

    fn on_checked(&mut self, now: Now, outcome: Outcome, actions: &mut Vec<Action>) {
        let Some(check) = &mut self.checks.check else {
            return;
        };
        let status = match outcome {
            Ok(observation) => observation.into_status(check.kind),
            Err(reason) => {
                let name = &check.prober.name;
                actions.push(Action::Log(format!("{name} failed: {reason}")));
                no_result(check.kind)
            }
        };
        if status != check.last {
            check.last = status;
            self.tell_checks(now, Reason::TaskCheckStatusUpdated, actions);
        }
    }

    fn on_healthy(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(health) = &mut self.checks.health else {
            return;
        };
        let is_news = !health.has_passed || health.failures > 0;
        health.has_passed = true;
        health.failures = 0;
        health.last = Some(true);
        if is_news {
            self.tell_checks(now, Reason::TaskHealthCheckStatusUpdated, actions);
        }
    }

    fn on_unhealthy(&mut self, now: Now, reason: &str, actions: &mut Vec<Action>) {
        let Some(health) = &mut self.checks.health else {
            return;
        };
        let name = &health.prober.name;
        if !health.has_passed && health.grace_until.is_some_and(|end| now.monotonic <= end) {
            return actions.push(Action::Log(format!(
                "{name} failed: {reason}; ignored, for the task is still in its grace period"
            )));
        }
        health.failures = health.failures.saturating_add(1);
        health.last = Some(false);
        actions.push(Action::Log(format!(
            "{name} failed {} times consecutively: {reason}",
            health.failures
        )));
        let is_fatal = health.failures >= health.fatal_failures;
        self.tell_checks(now, Reason::TaskHealthCheckStatusUpdated, actions);
        if is_fatal {
            let grace = self.own_grace();
            self.kill(now, Cause::Unhealthy, grace, actions);
        }
    }

    /// The running task's status, with all that the checks have found.
    fn tell_checks(&mut self, now: Now, reason: Reason, actions: &mut Vec<Action>) {
        let Some(task) = &self.task else { return };
        let running = TaskState::TaskRunning;
        let mut status = self.updates.status(&task.info, running, Some(reason), None);
        if let Some(check) = &self.checks.check {
            status.check_status = Some(check.last);
        }
        status.healthy = self.checks.health.as_ref().and_then(|health| health.last);
        self.updates.push(status, now, &mut self.entropy);
        self.send_updates(actions);
    }

    fn probe_after(&mut self, now: Now, which: Which, pause: Duration) {
        self.timers.set(Timer::Probe(which), now.monotonic + pause);
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
