//! The connection to the agent: made, kept, lost, and made again.
//!
//! ```text
//! subscribing ──SUBSCRIBED──▶ subscribed
//!      ▲                          │ lost
//!      └──────── backoff ◀────────┤
//!                                 └──▶ given up (no checkpointing, or timed out)
//! ```

use std::time::Duration;

use meseta_machine::{Entropy, Now, Timers};
use meseta_proto::v1::executor::{Call, call, event};
use meseta_proto::v1::framework_info::capability;
use meseta_proto::v1::{TaskInfo, TaskStatus};

use super::status::Updates;
use super::{Action, Identity};
use crate::limits::{ANSWER_TIMEOUT, FIRST_BACKOFF, HEARTBEAT_INTERVAL, NOT_READY_RETRY};

/// The connection, and the updates that it carries.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) identity: Identity,
    pub(super) updates: Updates,
    timers: Timers<Timer>,
    entropy: Entropy,
    state: State,
    /// Upper bound of the next random wait before the agent is looked for again.
    backoff: Duration,
    takes_killing: bool,
}

/// What became of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Change {
    /// Nothing that its owner need know.
    None,
    /// It is time to [`Link::subscribe`].
    Due,
    /// There is none for now.
    Away,
    /// There will be none any more.
    GivenUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two attempts.
    Away,
    Subscribing,
    Subscribed,
    /// For good.
    GivenUp,
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
}

impl Link {
    pub(super) fn new(identity: Identity, entropy: Entropy) -> Self {
        Self {
            updates: Updates::new(identity.executor_id.clone()),
            identity,
            timers: Timers::default(),
            entropy,
            state: State::Away,
            backoff: FIRST_BACKOFF,
            takes_killing: false,
        }
    }

    pub(super) fn next_wake(&self) -> Option<Duration> {
        self.timers.next_due()
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.state == State::Subscribed
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.state == State::GivenUp
    }

    /// Whether the framework wants to know of kills before they have worked.
    pub(super) fn takes_killing(&self) -> bool {
        self.takes_killing
    }

    pub(super) fn uuid(&mut self) -> String {
        self.entropy.uuid()
    }

    /// Deals with the timers that are due; to be repeated until nothing changes.
    pub(super) fn wake(&mut self, now: Now, actions: &mut Vec<Action>) -> Change {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Answer => {
                    let reason = format!("no answer to the subscription within {ANSWER_TIMEOUT:?}");
                    return self.on_disconnected(now, &reason, actions);
                }
                Timer::Reconnect => return Change::Due,
                Timer::Recovery => {
                    return self.give_up("it did not come back in time", actions);
                }
                Timer::Heartbeat => {
                    let heartbeat = self.call(call::Type::Heartbeat);
                    actions.push(Action::Send(heartbeat));
                    self.timers
                        .set(Timer::Heartbeat, now.monotonic + HEARTBEAT_INTERVAL);
                }
            }
        }
        Change::None
    }

    /// Subscribes, with the tasks that the agent may not have on record.
    pub(super) fn subscribe(&mut self, now: Now, tasks: Vec<TaskInfo>, actions: &mut Vec<Action>) {
        let mut subscribe = self.call(call::Type::Subscribe);
        subscribe.subscribe = Some(call::Subscribe {
            unacknowledged_tasks: tasks,
            unacknowledged_updates: self.updates.take_all(),
        });
        self.state = State::Subscribing;
        self.timers
            .set(Timer::Answer, now.monotonic + ANSWER_TIMEOUT);
        actions.push(Action::Subscribe(subscribe));
    }

    pub(super) fn on_subscribed(
        &mut self,
        now: Now,
        subscribed: &event::Subscribed,
        actions: &mut Vec<Action>,
    ) {
        self.state = State::Subscribed;
        self.backoff = FIRST_BACKOFF;
        self.timers.cancel(&Timer::Answer);
        self.timers.cancel(&Timer::Recovery);
        self.timers
            .set(Timer::Heartbeat, now.monotonic + HEARTBEAT_INTERVAL);
        self.takes_killing = subscribed
            .framework_info
            .capabilities
            .iter()
            .any(|c| c.r#type() == capability::Type::TaskKillingState);
        self.send_updates(actions);
    }

    pub(super) fn on_refused(
        &mut self,
        now: Now,
        status: u16,
        sentence: &str,
        actions: &mut Vec<Action>,
    ) -> Change {
        actions.push(Action::Disconnect);
        // Agents that are recovering answer 503, those that have only begun to listen 404. Any
        // other refusal will not change: the agent knows nothing of this executor.
        if matches!(status, 404 | 503) {
            self.wait_for_agent(now, NOT_READY_RETRY)
        } else {
            let reason = format!("it refused the subscription with status {status}: {sentence}");
            self.give_up(&reason, actions)
        }
    }

    pub(super) fn on_disconnected(
        &mut self,
        now: Now,
        reason: &str,
        actions: &mut Vec<Action>,
    ) -> Change {
        actions.push(Action::Disconnect);
        let Some(backoff_max) = self.identity.recovery.as_ref().map(|r| r.backoff_max) else {
            return self.give_up(reason, actions);
        };
        if self.state == State::GivenUp {
            return Change::None;
        }
        if self.state == State::Subscribed {
            actions.push(Action::Log(format!(
                "Disconnected from the agent: {reason}"
            )));
        }
        let pause = random_below(&mut self.entropy, self.backoff.min(backoff_max));
        self.backoff = self.backoff.saturating_mul(2).min(backoff_max);
        self.wait_for_agent(now, pause)
    }

    fn wait_for_agent(&mut self, now: Now, pause: Duration) -> Change {
        self.state = State::Away;
        self.timers.cancel(&Timer::Answer);
        self.timers.cancel(&Timer::Heartbeat);
        self.timers.set(Timer::Reconnect, now.monotonic + pause);
        if let Some(recovery) = &self.identity.recovery {
            self.timers
                .set_earlier(Timer::Recovery, now.monotonic + recovery.timeout);
        }
        Change::Away
    }

    /// Nobody will be told any more.
    fn give_up(&mut self, reason: &str, actions: &mut Vec<Action>) -> Change {
        if self.state == State::GivenUp {
            return Change::None;
        }
        self.state = State::GivenUp;
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
        Change::GivenUp
    }

    /// Makes an update of the status, and sends it if there is a connection.
    pub(super) fn tell(&mut self, now: Now, status: TaskStatus, actions: &mut Vec<Action>) {
        self.updates.push(status, now, &mut self.entropy);
        self.send_updates(actions);
    }

    fn send_updates(&mut self, actions: &mut Vec<Action>) {
        if self.state != State::Subscribed {
            return;
        }
        for update in self.updates.take_unsent() {
            let mut call = self.call(call::Type::Update);
            call.update = Some(update);
            actions.push(Action::Send(call));
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
}

fn random_below(entropy: &mut Entropy, max: Duration) -> Duration {
    let max = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(entropy.next_u64().checked_rem(max).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Recovery;

    #[test]
    fn an_agent_that_is_away_is_looked_for_soon_and_then_less_often() {
        let limit = Duration::from_secs(2);
        let identity = Identity {
            framework_id: "F".into(),
            executor_id: "e".into(),
            shutdown_grace: Duration::from_secs(5),
            recovery: Some(Recovery {
                timeout: Duration::from_mins(15),
                backoff_max: limit,
            }),
        };
        let mut link = Link::new(identity, Entropy::new(1));
        let mut now = Now {
            monotonic: Duration::ZERO,
            wall: Duration::ZERO,
        };
        let mut bound = FIRST_BACKOFF;
        for _ in 0..10 {
            assert_eq!(
                link.on_disconnected(now, "a test", &mut Vec::new()),
                Change::Away
            );
            let wait = link.next_wake().unwrap().saturating_sub(now.monotonic);
            assert!(wait < bound, "{wait:?} of {bound:?}");
            now.monotonic += wait;
            assert_eq!(link.wake(now, &mut Vec::new()), Change::Due);
            bound = (bound * 2).min(limit);
        }
        assert_eq!(bound, limit);
    }
}
