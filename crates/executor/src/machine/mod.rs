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

mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use meseta_machine::{Entropy, Now, Timers};
use meseta_proto::v1::executor::{Call, Event, call, event};
use meseta_proto::v1::framework_info::capability;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    CommandInfo, ExecutorId, FrameworkId, FrameworkInfo, KillPolicy, TaskId, TaskInfo, TaskState,
};

use crate::limits::{
    ANSWER_TIMEOUT, DEFAULT_KILL_GRACE, HEARTBEAT_INTERVAL, LAST_ACKNOWLEDGEMENT_TIMEOUT,
    MAX_UNACKNOWLEDGED, NOT_READY_RETRY, SHUTDOWN_RESERVE, SWEEP_INTERVAL, SWEEP_TIMEOUT,
};
use crate::status::Ending;
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
    /// Kill whatever the task has left behind, and answer with [`Input::Swept`] when it is gone.
    Sweep,
    /// Tell the reader of the sandbox's stderr.
    Log(String),
    /// End this process.
    Exit(Outcome),
}

/// What to run.
#[derive(Debug, PartialEq)]
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
                    self.on_launch(now, launch.task, actions);
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

/// The connection to the agent.
impl Machine {
    fn subscribe(&mut self, now: Now, actions: &mut Vec<Action>) {
        let mut subscribe = self.call(call::Type::Subscribe);
        subscribe.subscribe = Some(call::Subscribe {
            unacknowledged_tasks: match &self.task {
                Some(task) if !self.updates.any_acknowledged() => vec![task.info.clone()],
                _ => Vec::new(),
            },
            unacknowledged_updates: self.updates.take_all(),
        });
        self.link = Link::Subscribing;
        self.timers
            .set(Timer::Answer, now.monotonic + ANSWER_TIMEOUT);
        actions.push(Action::Subscribe(subscribe));
    }

    fn on_subscribed(&mut self, now: Now, framework: &FrameworkInfo, actions: &mut Vec<Action>) {
        self.link = Link::Subscribed;
        self.timers.cancel(&Timer::Answer);
        self.timers.cancel(&Timer::Recovery);
        self.timers
            .set(Timer::Heartbeat, now.monotonic + HEARTBEAT_INTERVAL);
        self.takes_killing = framework
            .capabilities
            .iter()
            .any(|c| c.r#type() == capability::Type::TaskKillingState);
        self.send_updates(actions);
        self.expect_last_acknowledgement(now);
    }

    fn on_refused(&mut self, now: Now, status: u16, sentence: &str, actions: &mut Vec<Action>) {
        actions.push(Action::Disconnect);
        // Agents that are recovering answer 503, those that have only begun to listen 404. Any
        // other refusal will not change: the agent knows nothing of this executor.
        if matches!(status, 404 | 503) {
            self.wait_for_agent(now, NOT_READY_RETRY);
        } else {
            let reason = format!("it refused the subscription with status {status}: {sentence}");
            self.give_up(now, &reason, actions);
        }
    }

    fn on_disconnected(&mut self, now: Now, reason: &str, actions: &mut Vec<Action>) {
        actions.push(Action::Disconnect);
        let Some(backoff_max) = self.identity.recovery.as_ref().map(|r| r.backoff_max) else {
            return self.give_up(now, reason, actions);
        };
        if self.link == Link::GivenUp {
            return;
        }
        if self.link == Link::Subscribed {
            actions.push(Action::Log(format!(
                "Disconnected from the agent: {reason}"
            )));
        }
        let pause = random_below(&mut self.entropy, backoff_max);
        self.wait_for_agent(now, pause);
    }

    fn wait_for_agent(&mut self, now: Now, pause: Duration) {
        self.link = Link::Away;
        self.timers.cancel(&Timer::Answer);
        self.timers.cancel(&Timer::Heartbeat);
        self.timers.cancel(&Timer::LastAcknowledgement);
        self.timers.set(Timer::Reconnect, now.monotonic + pause);
        if let Some(recovery) = &self.identity.recovery {
            self.timers
                .set_earlier(Timer::Recovery, now.monotonic + recovery.timeout);
        }
    }

    /// Nobody will be told any more: ends the task and this executor.
    fn give_up(&mut self, now: Now, reason: &str, actions: &mut Vec<Action>) {
        if self.link == Link::GivenUp {
            return;
        }
        self.link = Link::GivenUp;
        for timer in [
            Timer::Answer,
            Timer::Reconnect,
            Timer::Recovery,
            Timer::Heartbeat,
        ] {
            self.timers.cancel(&timer);
        }
        actions.push(Action::Disconnect);
        actions.push(Action::Log(format!(
            "Lost the agent: {reason}; shutting down"
        )));
        match self.task.as_ref().map(|t| t.phase) {
            None | Some(Phase::Reported) => actions.push(Action::Exit(Outcome::Failure)),
            Some(Phase::Running) => self.shutdown(now, actions),
            Some(Phase::Sweeping(_)) => {}
        }
    }

    fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.identity.executor_id.clone(),
            framework_id: self.identity.framework_id.clone(),
            r#type: Some(kind.into()),
            ..Call::default()
        }
    }

    fn send_updates(&mut self, actions: &mut Vec<Action>) {
        if self.link != Link::Subscribed {
            return;
        }
        for update in self.updates.take_unsent() {
            let mut call = self.call(call::Type::Update);
            call.update = Some(update);
            actions.push(Action::Send(call));
        }
    }
}

/// The task.
impl Machine {
    fn on_launch(&mut self, now: Now, info: TaskInfo, actions: &mut Vec<Action>) {
        if let Some(task) = &self.task {
            if task.info.task_id != info.task_id && self.updates.len() < MAX_UNACKNOWLEDGED {
                let message = "Attempted to run multiple tasks using a \"command\" executor";
                let status = self
                    .updates
                    .status(&info, TaskState::TaskFailed, None, Some(message));
                self.updates.push(status, now, &mut self.entropy);
                self.send_updates(actions);
            }
            return;
        }

        self.task = Some(Task {
            info: info.clone(),
            phase: Phase::Running,
            kill: None,
        });
        self.forward(now, TaskState::TaskStarting, None, None, actions);
        if info.health_check.is_some() || info.check.is_some() {
            actions.push(Action::Log(
                "The task's checks and health checks are not run by this version".into(),
            ));
        }
        let Some(command) = info.command.filter(|c| c.value.is_some()) else {
            let message = format!("The command of task '{}' is not specified", info.task_id);
            self.forward(now, TaskState::TaskFailed, None, Some(&message), actions);
            return self.await_last_acknowledgement(now, actions);
        };
        if let Some(limit) = info.max_completion_time
            && let Ok(nanoseconds @ 1..) = u64::try_from(limit.nanoseconds)
        {
            let limit = Duration::from_nanos(nanoseconds);
            self.timers.set(Timer::Completion, now.monotonic + limit);
        }
        let role = info
            .resources
            .first()
            .and_then(|r| r.allocation_info.as_ref()?.role.clone());
        actions.push(Action::Launch(Launch {
            command,
            variables: vec![
                ("MESOS_TASK_ID", info.task_id.value),
                ("MESOS_ALLOCATION_ROLE", role.unwrap_or_default()),
            ],
        }));
        self.forward(now, TaskState::TaskRunning, None, None, actions);
    }

    fn on_kill(&mut self, now: Now, kill: &event::Kill, actions: &mut Vec<Action>) {
        let Some(task) = &self.task else {
            // The launch was lost on the way, and the agent has to learn that nothing runs.
            actions.push(Action::Log(format!(
                "Asked to kill task '{}' before its launch: ending",
                kill.task_id
            )));
            return actions.push(Action::Exit(Outcome::Failure));
        };
        if !is_of(task, &kill.task_id) {
            return actions.push(Action::Log(format!(
                "Asked to kill unknown task '{}'",
                kill.task_id
            )));
        }
        let grace = kill
            .kill_policy
            .as_ref()
            .and_then(grace_period)
            .or_else(|| task.info.kill_policy.as_ref().and_then(grace_period))
            .unwrap_or(DEFAULT_KILL_GRACE);
        self.kill(now, Cause::Request, grace, actions);
    }

    fn shutdown(&mut self, now: Now, actions: &mut Vec<Action>) {
        let grace = self.identity.shutdown_grace;
        match self.task.as_ref().map(|t| t.phase) {
            None => actions.push(Action::Exit(Outcome::Success)),
            Some(Phase::Running) => {
                let grace = grace.saturating_sub(SHUTDOWN_RESERVE);
                self.kill(now, Cause::Request, grace, actions);
            }
            Some(Phase::Sweeping(_)) => {}
            Some(Phase::Reported) => {
                self.timers
                    .set_earlier(Timer::LastAcknowledgement, now.monotonic + grace);
            }
        }
    }

    /// Begins to kill the task. While it is being killed its grace can only shrink: schedulers
    /// repeat kills, and that must not give the task more time.
    fn kill(&mut self, now: Now, cause: Cause, grace: Duration, actions: &mut Vec<Action>) {
        self.timers.cancel(&Timer::Completion);
        let Some(task) = self.task.as_mut().filter(|t| t.phase == Phase::Running) else {
            return;
        };
        if let Some(kill) = task.kill {
            if self.timers.is_set(&Timer::Escalation) {
                self.timers
                    .set_earlier(Timer::Escalation, kill.since + grace);
            }
            return;
        }
        task.kill = Some(Kill {
            cause,
            since: now.monotonic,
        });
        if self.takes_killing && cause == Cause::Request {
            self.forward(now, TaskState::TaskKilling, None, None, actions);
        }
        actions.push(Action::Kill(Signal::Term));
        self.timers.set(Timer::Escalation, now.monotonic + grace);
    }

    fn on_ended(&mut self, now: Now, ending: Ending, actions: &mut Vec<Action>) {
        let Some(task) = self.task.as_mut().filter(|t| t.phase == Phase::Running) else {
            return;
        };
        task.phase = Phase::Sweeping(ending);
        self.timers.cancel(&Timer::Completion);
        self.timers.cancel(&Timer::Escalation);
        self.timers
            .set(Timer::SweepTimeout, now.monotonic + SWEEP_TIMEOUT);
        self.sweep(now, actions);
    }

    fn sweep(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.timers
            .set(Timer::Sweep, now.monotonic + SWEEP_INTERVAL);
        actions.push(Action::Sweep);
    }

    /// The task's end is told when nothing of it is left, so that its resources are free.
    fn report_end(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(Task {
            phase: Phase::Sweeping(ending),
            kill,
            ..
        }) = &self.task
        else {
            return;
        };
        let (state, reason) = match (kill.map(|k| k.cause), ending) {
            (Some(Cause::TimeIsUp), _) => (
                TaskState::TaskFailed,
                Some(Reason::MaxCompletionTimeReached),
            ),
            (Some(Cause::Request), _) => (TaskState::TaskKilled, None),
            (None, Ending::Exited(0)) => (TaskState::TaskFinished, None),
            (None, _) => (TaskState::TaskFailed, None),
        };
        let message = format!("Command {ending}");
        self.timers.cancel(&Timer::Sweep);
        self.timers.cancel(&Timer::SweepTimeout);
        self.forward(now, state, reason, Some(&message), actions);
        self.await_last_acknowledgement(now, actions);
    }

    fn await_last_acknowledgement(&mut self, now: Now, actions: &mut Vec<Action>) {
        if let Some(task) = &mut self.task {
            task.phase = Phase::Reported;
        }
        if self.link == Link::GivenUp {
            return actions.push(Action::Exit(Outcome::Failure));
        }
        self.expect_last_acknowledgement(now);
    }

    /// Only an agent that is there can acknowledge: while it is away, the recovery timeout counts.
    fn expect_last_acknowledgement(&mut self, now: Now) {
        if self.link == Link::Subscribed
            && self
                .task
                .as_ref()
                .is_some_and(|t| t.phase == Phase::Reported)
        {
            let at = now.monotonic + LAST_ACKNOWLEDGEMENT_TIMEOUT;
            self.timers.set(Timer::LastAcknowledgement, at);
        }
    }

    fn on_acknowledged(&mut self, uuid: &[u8], actions: &mut Vec<Action>) {
        self.updates.acknowledge(uuid);
        let ended = self
            .task
            .as_ref()
            .is_some_and(|t| t.phase == Phase::Reported);
        if ended && !self.updates.any_terminal() {
            actions.push(Action::Exit(Outcome::Success));
        }
    }

    fn forward(
        &mut self,
        now: Now,
        state: TaskState,
        reason: Option<Reason>,
        message: Option<&str>,
        actions: &mut Vec<Action>,
    ) {
        let Some(task) = &self.task else { return };
        let status = self.updates.status(&task.info, state, reason, message);
        self.updates.push(status, now, &mut self.entropy);
        self.send_updates(actions);
    }
}

fn is_of(task: &Task, id: &TaskId) -> bool {
    task.info.task_id == *id
}

fn grace_period(policy: &KillPolicy) -> Option<Duration> {
    let nanoseconds = policy.grace_period.as_ref()?.nanoseconds;
    Some(Duration::from_nanos(
        u64::try_from(nanoseconds).unwrap_or_default(),
    ))
}

fn random_below(entropy: &mut Entropy, max: Duration) -> Duration {
    let max = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(entropy.next_u64().checked_rem(max).unwrap_or_default())
}
