//! The command executor: one task, whose processes are its own.
//!
//! ```text
//! none ──LAUNCH──▶ running ──ended──▶ sweeping ──swept──▶ reported ──acknowledged──▶ exit
//!                     │ KILL, SHUTDOWN, time is up, unhealthy: TERM, after the grace KILL
//! ```

mod task;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use meseta_machine::{Entropy, Now, Timers};
use meseta_proto::v1::TaskInfo;
use meseta_proto::v1::executor::{Event, event};

use super::checks::{self, Checks};
use super::link::{Change, Link};
use super::{Action, Cause, Identity, Input, Launch, Machine, Outcome, ProbeId, Signal};
use crate::status::Ending;

pub(super) use task::variables;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The task has run for as long as it may.
    Completion,
    /// The grace of a kill is over.
    Escalation,
    /// Another round of killing what is left.
    Sweep,
    /// What is left cannot be killed.
    SweepTimeout,
    /// The last update should have been acknowledged.
    LastAcknowledgement,
}

/// The number of the only task.
const ONLY: u64 = 0;

/// The task and how far it is.
#[derive(Debug)]
struct Task {
    info: TaskInfo,
    phase: Phase,
    kill: Option<Kill>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Sweeping(Ending),
    Reported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kill {
    cause: Cause,
    since: Duration,
}

/// The command executor's state.
#[derive(Debug)]
pub(crate) struct Command {
    link: Link,
    timers: Timers<Timer>,
    task: Option<Task>,
    checks: Checks,
}

impl Machine for Command {
    fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Start => self.subscribe(now, actions),
            Input::Wake => self.wake(now, actions),
            Input::Event(event) => self.on_event(now, *event, actions),
            Input::Refused { status, sentence } => {
                let change = self.link.on_refused(now, status, &sentence, actions);
                self.on_change(now, change, actions);
            }
            Input::Disconnected { reason } => {
                let change = self.link.on_disconnected(now, &reason, actions);
                self.on_change(now, change, actions);
            }
            Input::Ended(ending) => self.on_ended(now, ending, actions),
            Input::Swept => self.report_end(now, actions),
            Input::Probed { probe, outcome } => {
                let mut deeds = Vec::new();
                self.checks.on_probed(now, probe.which, outcome, &mut deeds);
                self.carry_out(now, deeds, actions);
            }
            Input::Terminate => self.shutdown(now, actions),
            // This machine asks nothing of the agent's own API.
            Input::Answered { .. } => {}
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        [
            self.link.next_wake(),
            self.checks.next_wake(),
            self.timers.next_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Command {
    pub(crate) fn new(identity: Identity, entropy: Entropy) -> Self {
        Self {
            link: Link::new(identity, entropy),
            timers: Timers::default(),
            task: None,
            checks: Checks::default(),
        }
    }

    fn subscribe(&mut self, now: Now, actions: &mut Vec<Action>) {
        let tasks = match &self.task {
            Some(task) if !self.link.updates.any_acknowledged() => vec![task.info.clone()],
            _ => Vec::new(),
        };
        self.link.subscribe(now, tasks, actions);
    }

    fn wake(&mut self, now: Now, actions: &mut Vec<Action>) {
        loop {
            let change = self.link.wake(now, actions);
            if change == Change::None {
                break;
            }
            self.on_change(now, change, actions);
        }
        while let Some(timer) = self.timers.pop_due(now) {
            self.on_timer(now, timer, actions);
        }
        let mut deeds = Vec::new();
        self.checks.wake(now, &self.link.updates, &mut deeds);
        self.carry_out(now, deeds, actions);
    }

    fn on_change(&mut self, now: Now, change: Change, actions: &mut Vec<Action>) {
        match change {
            Change::None => {}
            Change::Due => self.subscribe(now, actions),
            Change::Away => self.timers.cancel(&Timer::LastAcknowledgement),
            Change::GivenUp => match self.task.as_ref().map(|t| t.phase) {
                None | Some(Phase::Reported) => actions.push(Action::Exit(Outcome::Failure)),
                Some(Phase::Running) => self.shutdown(now, actions),
                Some(Phase::Sweeping(_)) => {}
            },
        }
    }

    fn on_timer(&mut self, now: Now, timer: Timer, actions: &mut Vec<Action>) {
        match timer {
            Timer::Completion => self.kill(now, Cause::TimeIsUp, Duration::ZERO, actions),
            Timer::Escalation => actions.push(Action::Kill(Signal::Kill)),
            Timer::Sweep => self.sweep(now, actions),
            Timer::SweepTimeout => {
                actions.push(Action::Log(
                    "Some processes of the task cannot be killed".into(),
                ));
                self.report_end(now, actions);
            }
            Timer::LastAcknowledgement => {
                actions.push(Action::Log(
                    "Did not receive ACK for the terminal status update from the agent".into(),
                ));
                actions.push(Action::Exit(Outcome::Failure));
            }
        }
    }

    fn on_event(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        match event.r#type() {
            event::Type::Subscribed => {
                if let Some(subscribed) = event.subscribed {
                    self.link.on_subscribed(now, &subscribed, actions);
                    self.expect_last_acknowledgement(now);
                }
            }
            event::Type::Launch => {
                if let Some(launch) = event.launch {
                    self.on_launch(now, &launch.task, actions);
                }
            }
            event::Type::Kill => {
                if let Some(kill) = event.kill {
                    self.on_kill(now, &kill, actions);
                }
            }
            event::Type::Acknowledged => {
                if let Some(acknowledged) = event.acknowledged {
                    self.on_acknowledged(&acknowledged.uuid, actions);
                }
            }
            event::Type::LaunchGroup => {
                actions.push(Action::Log(
                    "A command executor cannot run a task group: shutting down".into(),
                ));
                self.shutdown(now, actions);
            }
            event::Type::Shutdown => self.shutdown(now, actions),
            event::Type::Error => {
                let message = event.error.map(|e| e.message).unwrap_or_default();
                actions.push(Action::Log(format!(
                    "The agent reports an error: {message}"
                )));
            }
            event::Type::Message | event::Type::Heartbeat | event::Type::Unknown => {}
        }
    }

    /// Does what the checks of the task want.
    fn carry_out(&mut self, now: Now, deeds: Vec<checks::Deed>, actions: &mut Vec<Action>) {
        for deed in deeds {
            let probe = |which| ProbeId { task: ONLY, which };
            match deed {
                checks::Deed::Probe(which, what) => {
                    actions.push(Action::Probe(probe(which), what));
                }
                checks::Deed::Stop(which) => actions.push(Action::StopProbe(probe(which))),
                checks::Deed::Log(line) => actions.push(Action::Log(line)),
                checks::Deed::Tell(reason) => {
                    let Some(task) = &self.task else { continue };
                    let mut status = self.link.updates.running(&task.info, reason);
                    self.checks.fill(&mut status);
                    self.link.tell(now, status, actions);
                }
                checks::Deed::Kill => {
                    let grace = self.own_grace();
                    self.kill(now, Cause::Unhealthy, grace, actions);
                }
            }
        }
    }
}
