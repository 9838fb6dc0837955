//! Kills: of one task, of a group, of all.

use std::time::Duration;

use meseta_machine::Now;
use meseta_proto::v1::TaskState;
use meseta_proto::v1::executor::event;

use super::super::grace_period;
use super::{
    Action, Answer, Cause, Group, Kill, Member, Number, Outcome, Purpose, Signal, State, Timer,
    calls,
};
use crate::limits::{DEFAULT_KILL_GRACE, REQUEST_RETRY, SHUTDOWN_RESERVE};

impl Group {
    pub(super) fn on_kill(&mut self, now: Now, kill: &event::Kill, actions: &mut Vec<Action>) {
        let Some(number) = self.find(&kill.task_id) else {
            return actions.push(Action::Log(format!(
                "Ignoring the kill of task '{}': it does not run",
                kill.task_id
            )));
        };
        let grace = kill.kill_policy.as_ref().and_then(grace_period);
        self.kill(now, number, Cause::Request, grace, actions);
    }

    pub(super) fn on_time_is_up(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        let grace = Some(Duration::ZERO);
        self.kill(now, number, Cause::TimeIsUp, grace, actions);
    }

    /// Begins to kill a task, with its own grace unless who kills says otherwise. While it is being
    /// killed its grace can only shrink: schedulers repeat kills, and that must not give the task
    /// more time.
    pub(super) fn kill(
        &mut self,
        now: Now,
        number: Number,
        cause: Cause,
        grace: Option<Duration>,
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let grace = grace.unwrap_or_else(|| own_grace(member));
        if let Some(kill) = &mut member.kill {
            kill.grace = kill.grace.min(grace);
            let escalation = Timer::Escalation(number);
            if self.timers.is_set(&escalation) {
                self.timers.set_earlier(escalation, kill.since + kill.grace);
            }
            return;
        }
        member.kill = Some(Kill {
            cause,
            since: now.monotonic,
            grace,
            signal: Signal::Term,
        });
        self.begin_kill(now, number, actions);
    }

    /// Carries out a kill once there is something to kill.
    pub(super) fn begin_kill(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let (State::Running, Some(kill)) = (&member.state, &mut member.kill) else {
            return;
        };
        kill.since = now.monotonic;
        let Kill { cause, grace, .. } = *kill;
        self.timers.cancel(&Timer::Completion(number));
        self.stop_checks(now, number, actions);
        if self.link.takes_killing() && cause != Cause::TimeIsUp {
            self.tell(now, number, TaskState::TaskKilling, actions);
        }
        self.timers
            .set(Timer::Escalation(number), now.monotonic + grace);
        self.signal(number, actions);
    }

    pub(super) fn escalate(&mut self, number: Number, actions: &mut Vec<Action>) {
        if let Some(member) = self.members.get_mut(&number)
            && let Some(kill) = &mut member.kill
        {
            kill.signal = Signal::Kill;
            self.signal(number, actions);
        }
    }

    /// Sends the signal of a kill that is under way. Without the agent it waits for the next
    /// subscription.
    pub(super) fn signal(&mut self, number: Number, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get(&number) else {
            return;
        };
        if let (State::Running, Some(kill)) = (&member.state, &member.kill)
            && self.link.is_subscribed()
        {
            let call = calls::kill(&member.container, kill.signal);
            let purpose = Purpose::Signal(number, kill.signal);
            self.request(purpose, call, actions);
        }
    }

    pub(super) fn on_signaled(
        &mut self,
        now: Now,
        number: Number,
        signal: Signal,
        answer: Result<Answer, String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get(&number) else {
            return;
        };
        let reason = match answer {
            // 404: it has ended already, which the answer to the wait for it tells.
            Ok(Answer {
                status: 200 | 404, ..
            }) => return,
            Ok(Answer { status, body }) => {
                format!("status {status}: {}", String::from_utf8_lossy(&body))
            }
            Err(reason) => reason,
        };
        actions.push(Action::Log(format!(
            "The agent did not send {signal:?} to task '{}': {reason}",
            member.info.task_id
        )));
        self.timers
            .set(Timer::Signal(number), now.monotonic + REQUEST_RETRY);
    }

    pub(super) fn shutdown(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.is_shutting_down {
            return;
        }
        self.is_shutting_down = true;
        if !self.link.is_subscribed() {
            // There is no way to the containers: the agent ends them with the executor.
            return actions.push(Action::Exit(Outcome::Failure));
        }
        let grace = self.link.identity.shutdown_grace;
        let grace = grace.saturating_sub(SHUTDOWN_RESERVE);
        for number in self.numbers() {
            self.kill(now, number, Cause::Request, Some(grace), actions);
        }
        self.end_if_done(now, actions);
    }
}

/// Between TERM and KILL when who kills does not say.
fn own_grace(member: &Member) -> Duration {
    let policy = member.info.kill_policy.as_ref();
    policy.and_then(grace_period).unwrap_or(DEFAULT_KILL_GRACE)
}
