//! What the executor decides: when to subscribe, what to report, when to kill, when to end.
//!
//! ```text
//! task        none ──LAUNCH──▶ running ──ended──▶ sweeping ──swept──▶ reported ──acknowledged──▶ exit
//!                                 │ KILL, SHUTDOWN, time is up: TERM, after the grace KILL
//!
//! connection  subscribing ──SUBSCRIBED──▶ subscribed
//!                  ▲                          │ lost
//!                  └──────── backoff ◀────────┤
//!                                             └──▶ given up (no checkpointing, or timed out)
//! ```

mod checks;
mod link;
mod status;
mod task;
#[cfg(test)]
mod tests;

use std::time::Duration;

use meseta_machine::{Entropy, Now, Timers};
use meseta_proto::v1::executor::{Call, Event, call, event};
use meseta_proto::v1::{CommandInfo, ExecutorId, FrameworkId, TaskInfo};

use crate::limits::{ANSWER_TIMEOUT, HEARTBEAT_INTERVAL};
use crate::status::Ending;
use checks::Checks;
pub(crate) use checks::{HttpProbe, Observation, Outcome as ProbeOutcome, Probe, Scheme, Which};
use status::Updates;

/// Who an executor is, and how it is to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) framework_id: FrameworkId,
    pub(crate) executor_id: ExecutorId,
    /// How long the agent waits after SHUTDOWN before it destroys the container.
    pub(crate) shutdown_grace: Duration,
    /// How to outlive the agent; without, the executor ends with its connection.
    pub(crate) recovery: Option<Recovery>,
}

/// How an executor waits for an agent that went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// How long altogether.
    pub(crate) timeout: Duration,
    /// The longest pause between two attempts.
    pub(crate) backoff_max: Duration,
}

/// What happens to an executor.
#[derive(Debug)]
pub(crate) enum Input {
    /// The process has begun.
    Start,
    /// A timer is due.
    Wake,
    /// The agent says something.
    Event(Box<Event>),
    /// The agent refused the subscription.
    Refused { status: u16, sentence: String },
    /// The connection could not be made, or is gone.
    Disconnected { reason: String },
    /// The task's first process ended, or could not even be started.
    Ended(Ending),
    /// Nothing of the task is left.
    Swept,
    /// A probe of the task came to something.
    Probed { which: Which, outcome: ProbeOutcome },
    /// Somebody wants this process to end.
    Terminate,
}

/// What an executor does.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Connect to the agent and subscribe, in place of an earlier connection.
    Subscribe(Call),
    /// Drop the connection.
    Disconnect,
    /// Post a call on the present connection.
    Send(Call),
    /// Start the task.
    Launch(Launch),
    /// Signal every process of the task.
    Kill(Signal),
    /// Probe the task, and answer with [`Input::Probed`].
    Probe(Which, Probe),
    /// End the probe: nobody wants to know its outcome any more.
    StopProbe(Which),
    /// Kill whatever the task has left behind, and answer with [`Input::Swept`] when it is gone.
    Sweep,
    /// Tell the reader of the sandbox's stderr.
    Log(String),
    /// End this process.
    Exit(Outcome),
}

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Launch {
    pub(crate) command: CommandInfo,
    /// Variables that come before the command's own, by name.
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// The signals of a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Term,
    Kill,
}

/// How the executor itself ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that was to be told has been acknowledged.
    Success,
    /// The agent does not know the end of the task.
    Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The agent should have answered the subscription.
    Answer,
    /// Time for another attempt to subscribe.
    Reconnect,
    /// The agent has been gone for too long.
    Recovery,
    /// A sign of life is due.
    Heartbeat,
    /// The task has run for as long as it may.
    Completion,
    /// The next probe of the task.
    Probe(Which),
    /// A probe has taken for as long as it may.
    ProbeTimeout(Which),
    /// The grace of a kill is over.
    Escalation,
    /// Another round of killing what is left.
    Sweep,
    /// What is left cannot be killed.
    SweepTimeout,
    /// The last update should have been acknowledged.
    LastAcknowledgement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Between two attempts.
    Away,
    Subscribing,
    Subscribed,
    /// For good.
    GivenUp,
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// By KILL, SHUTDOWN, or the loss of the agent.
    Request,
    /// The task's `max_completion_time` is over.
    TimeIsUp,
    /// The task's health check failed too often.
    Unhealthy,
}

/// The command executor's state.
#[derive(Debug)]
pub(crate) struct Machine {
    identity: Identity,
    timers: Timers<Timer>,
    entropy: Entropy,
    link: Link,
    takes_killing: bool,
    task: Option<Task>,
    checks: Checks,
    updates: Updates,
}

impl Machine {
    pub(crate) fn new(identity: Identity, entropy: Entropy) -> Self {
        Self {
            updates: Updates::new(identity.executor_id.clone()),
            identity,
            timers: Timers::default(),
            entropy,
            link: Link::Away,
            takes_killing: false,
            task: None,
            checks: Checks::default(),
        }
    }

    /// Takes one input and appends what is to be done, in order.
    pub(crate) fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Start => self.subscribe(now, actions),
            Input::Wake => {
                while let Some(timer) = self.timers.pop_due(now) {
                    self.on_timer(now, timer, actions);
                }
            }
            Input::Event(event) => self.on_event(now, *event, actions),
            Input::Refused { status, sentence } => {
                self.on_refused(now, status, &sentence, actions);
            }
            Input::Disconnected { reason } => self.on_disconnected(now, &reason, actions),
            Input::Ended(ending) => self.on_ended(now, ending, actions),
            Input::Swept => self.report_end(now, actions),
            Input::Probed { which, outcome } => self.on_probed(now, which, outcome, actions),
            Input::Terminate => self.shutdown(now, actions),
        }
    }

    /// When to step with [`Input::Wake`], in monotonic time.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        self.timers.next_due()
    }

    fn on_timer(&mut self, now: Now, timer: Timer, actions: &mut Vec<Action>) {
        match timer {
            Timer::Answer => {
                let reason = format!("no answer to the subscription within {ANSWER_TIMEOUT:?}");
                self.on_disconnected(now, &reason, actions);
            }
            Timer::Reconnect => self.subscribe(now, actions),
            Timer::Recovery => self.give_up(now, "it did not come back in time", actions),
            Timer::Heartbeat => {
                let heartbeat = self.call(call::Type::Heartbeat);
                actions.push(Action::Send(heartbeat));
                self.timers
                    .set(Timer::Heartbeat, now.monotonic + HEARTBEAT_INTERVAL);
            }
            Timer::Completion => self.kill(now, Cause::TimeIsUp, Duration::ZERO, actions),
            Timer::Probe(which) => self.on_probe_due(now, which, actions),
            Timer::ProbeTimeout(which) => self.on_probe_timeout(now, which, actions),
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
                    self.on_subscribed(now, &subscribed.framework_info, actions);
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
}
