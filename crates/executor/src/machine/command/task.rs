//! The task: launched, killed, ended, and its end told.

use std::time::Duration;

use meseta_machine::Now;
use meseta_proto::v1::executor::event;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{TaskId, TaskInfo, TaskState};

use super::super::{grace_period, time_limit, verdict};
use super::{Action, Cause, Checks, Command, Kill, Launch, Outcome, Phase, Signal, Task, Timer};
use crate::limits::{
    DEFAULT_KILL_GRACE, LAST_ACKNOWLEDGEMENT_TIMEOUT, SHUTDOWN_RESERVE, SWEEP_INTERVAL,
    SWEEP_TIMEOUT,
};
use crate::status::Ending;

impl Command {
    pub(super) fn on_launch(&mut self, now: Now, info: &TaskInfo, actions: &mut Vec<Action>) {
        if let Some(task) = &self.task {
            if task.info.task_id != info.task_id && !self.link.updates.is_full() {
                let message = "Attempted to run multiple tasks using a \"command\" executor";
                let status =
                    self.link
                        .updates
                        .status(info, TaskState::TaskFailed, None, Some(message));
                self.link.tell(now, status, actions);
            }
            return;
        }

        self.task = Some(Task {
            info: info.clone(),
            phase: Phase::Running,
            kill: None,
        });
        self.forward(now, TaskState::TaskStarting, None, None, actions);
        let Some(command) = info.command.clone().filter(|c| c.value.is_some()) else {
            let message = format!("The command of task '{}' is not specified", info.task_id);
            self.forward(now, TaskState::TaskFailed, None, Some(&message), actions);
            return self.await_last_acknowledgement(now, actions);
        };
        if let Some(limit) = time_limit(info) {
            self.timers.set(Timer::Completion, now.monotonic + limit);
        }
        actions.push(Action::Launch(Launch {
            command,
            variables: variables(info),
        }));
        self.forward(now, TaskState::TaskRunning, None, None, actions);
        let mut deeds = Vec::new();
        self.checks = Checks::start(now, info, &mut deeds);
        self.carry_out(now, deeds, actions);
    }

    pub(super) fn on_kill(&mut self, now: Now, kill: &event::Kill, actions: &mut Vec<Action>) {
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
            .unwrap_or_else(|| self.own_grace());
        self.kill(now, Cause::Request, grace, actions);
    }

    /// Between TERM and KILL when who kills does not say.
    pub(super) fn own_grace(&self) -> Duration {
        let policy = self.task.as_ref().and_then(|t| t.info.kill_policy.as_ref());
        policy.and_then(grace_period).unwrap_or(DEFAULT_KILL_GRACE)
    }

    pub(super) fn shutdown(&mut self, now: Now, actions: &mut Vec<Action>) {
        let grace = self.link.identity.shutdown_grace;
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
    pub(super) fn kill(
        &mut self,
        now: Now,
        cause: Cause,
        grace: Duration,
        actions: &mut Vec<Action>,
    ) {
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
        if self.link.takes_killing() && cause != Cause::TimeIsUp {
            self.forward(now, TaskState::TaskKilling, None, None, actions);
        }
        let mut deeds = Vec::new();
        self.checks.stop(&mut deeds);
        self.carry_out(now, deeds, actions);
        actions.push(Action::Kill(Signal::Term));
        self.timers.set(Timer::Escalation, now.monotonic + grace);
    }

    pub(super) fn on_ended(&mut self, now: Now, ending: Ending, actions: &mut Vec<Action>) {
        let Some(task) = self.task.as_mut().filter(|t| t.phase == Phase::Running) else {
            return;
        };
        task.phase = Phase::Sweeping(ending);
        self.timers.cancel(&Timer::Completion);
        self.timers.cancel(&Timer::Escalation);
        let mut deeds = Vec::new();
        self.checks.stop(&mut deeds);
        self.carry_out(now, deeds, actions);
        self.timers
            .set(Timer::SweepTimeout, now.monotonic + SWEEP_TIMEOUT);
        self.sweep(now, actions);
    }

    pub(super) fn sweep(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.timers
            .set(Timer::Sweep, now.monotonic + SWEEP_INTERVAL);
        actions.push(Action::Sweep);
    }

    /// The task's end is told when nothing of it is left, so that its resources are free.
    pub(super) fn report_end(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(Task {
            phase: Phase::Sweeping(ending),
            kill,
            ..
        }) = &self.task
        else {
            return;
        };
        let (state, reason) = verdict(kill.map(|kill| kill.cause), *ending);
        let message = format!("Command {ending}");
        self.timers.cancel(&Timer::Sweep);
        self.timers.cancel(&Timer::SweepTimeout);
        let Some(task) = &self.task else { return };
        let mut status = self
            .link
            .updates
            .status(&task.info, state, reason, Some(&message));
        if kill.is_some_and(|k| k.cause == Cause::Unhealthy) {
            status.healthy = Some(false);
        }
        self.link.tell(now, status, actions);
        self.await_last_acknowledgement(now, actions);
    }

    fn await_last_acknowledgement(&mut self, now: Now, actions: &mut Vec<Action>) {
        if let Some(task) = &mut self.task {
            task.phase = Phase::Reported;
        }
        if self.link.is_given_up() {
            return actions.push(Action::Exit(Outcome::Failure));
        }
        self.expect_last_acknowledgement(now);
    }

    /// Only an agent that is there can acknowledge: while it is away, the recovery timeout counts.
    pub(super) fn expect_last_acknowledgement(&mut self, now: Now) {
        if self.link.is_subscribed()
            && self
                .task
                .as_ref()
                .is_some_and(|t| t.phase == Phase::Reported)
        {
            let at = now.monotonic + LAST_ACKNOWLEDGEMENT_TIMEOUT;
            self.timers.set(Timer::LastAcknowledgement, at);
        }
    }

    pub(super) fn on_acknowledged(&mut self, uuid: &[u8], actions: &mut Vec<Action>) {
        self.link.updates.acknowledge(uuid);
        let ended = self
            .task
            .as_ref()
            .is_some_and(|t| t.phase == Phase::Reported);
        if ended && !self.link.updates.any_terminal() {
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
        let status = self.link.updates.status(&task.info, state, reason, message);
        self.link.tell(now, status, actions);
    }
}

/// What a command of the task finds in its environment.
pub(in crate::machine) fn variables(task: &TaskInfo) -> Vec<(&'static str, String)> {
    let role = task
        .resources
        .first()
        .and_then(|r| r.allocation_info.as_ref()?.role.as_deref())
        .map(str::to_owned);
    vec![
        ("MESOS_TASK_ID", task.task_id.to_string()),
        ("MESOS_ALLOCATION_ROLE", role.unwrap_or_default()),
    ]
}

fn is_of(task: &Task, id: &TaskId) -> bool {
    task.info.task_id == *id
}
