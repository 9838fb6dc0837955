//! The connection to the agent: made, kept, lost, and made again.

use std::time::Duration;

use meseta_machine::{Entropy, Now};
use meseta_proto::v1::FrameworkInfo;
use meseta_proto::v1::executor::{Call, call};
use meseta_proto::v1::framework_info::capability;

use super::{Action, Link, Machine, Outcome, Phase, Timer};
use crate::limits::{ANSWER_TIMEOUT, HEARTBEAT_INTERVAL, NOT_READY_RETRY};

impl Machine {
    pub(super) fn subscribe(&mut self, now: Now, actions: &mut Vec<Action>) {
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

    pub(super) fn on_subscribed(
        &mut self,
        now: Now,
        framework: &FrameworkInfo,
        actions: &mut Vec<Action>,
    ) {
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

    pub(super) fn on_refused(
        &mut self,
        now: Now,
        status: u16,
        sentence: &str,
        actions: &mut Vec<Action>,
    ) {
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

    pub(super) fn on_disconnected(&mut self, now: Now, reason: &str, actions: &mut Vec<Action>) {
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
    pub(super) fn give_up(&mut self, now: Now, reason: &str, actions: &mut Vec<Action>) {
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

    pub(super) fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.identity.executor_id.clone(),
            framework_id: self.identity.framework_id.clone(),
            r#type: Some(kind.into()),
            ..Call::default()
        }
    }

    pub(super) fn send_updates(&mut self, actions: &mut Vec<Action>) {
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

fn random_below(entropy: &mut Entropy, max: Duration) -> Duration {
    let max = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(entropy.next_u64().checked_rem(max).unwrap_or_default())
}
