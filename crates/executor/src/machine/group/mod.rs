//! The default executor: task groups, each task in a container of its own that the agent makes
//! below the executor's.
//!
//! ```text
//! LAUNCH_GROUP ──▶ launching ──launched──▶ running ──┐
//!                      │ refused                     ├─WAIT answered──▶ told its end, forgotten
//!                      └────────────────▶ refused ───┘
//!                                   KILL, SHUTDOWN, time is up, unhealthy, another of the group
//!                                   failed: TERM, after the grace KILL
//! ```
//!
//! A task that fails or is killed ends its group; one that finishes does not. The executor ends when
//! no task is left and the agent has acknowledged every update.
//!
//! While the agent is away its answers are lost, though not what it did. Once it is back, every
//! container is waited for anew, and signals are sent again. A launch that it had not confirmed is
//! repeated only if the agent knows nothing of the container, so that nothing runs twice.

mod calls;
mod checks;
mod end;
mod kill;
mod launch;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_machine::{Entropy, Now, Timers};
use meseta_proto::v1::executor::{Event, event};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    ContainerId, ContainerStatus, TaskId, TaskInfo, TaskState, TaskStatus, agent,
};

use super::checks::{Checks, Which};
use super::link::{Change, Link};
use super::{Action, Answer, Cause, Identity, Input, Machine, Outcome, RequestId, Signal};
use crate::limits::LAST_ACKNOWLEDGEMENT_TIMEOUT;
use checks::NestedCheck;

/// The number of a task, in the order of their launches.
type Number = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// What the agent did not answer is asked again: a launch, or how a container ended.
    Ask(Number),
    /// A container whose launch was not answered would be known to be none by now.
    Confirm(Number),
    /// The task has run for as long as it may.
    Completion(Number),
    /// The grace of a kill is over.
    Escalation(Number),
    /// A signal that did not reach the container is sent again.
    Signal(Number),
    /// The last update should have been acknowledged.
    LastAcknowledgement,
}

/// A task and its container.
#[derive(Debug)]
struct Member {
    info: TaskInfo,
    /// The number of the first task of its group.
    group: Number,
    container: ContainerId,
    state: State,
    /// Whether the agent has acknowledged any update of it.
    is_acknowledged: bool,
    kill: Option<Kill>,
    checks: Checks,
    nested: BTreeMap<Which, NestedCheck>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The agent has been asked to launch the container.
    Launching,
    /// It has not answered, so the container may run or not.
    Unconfirmed,
    Running,
    /// The agent did not launch it, for this reason.
    Refused(String),
}

#[derive(Debug, Clone, Copy)]
struct Kill {
    cause: Cause,
    since: Duration,
    grace: Duration,
    /// What is to be sent, or was sent last.
    signal: Signal,
}

/// What an answer of the agent is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Launch(Number),
    Wait(Number),
    Signal(Number, Signal),
    /// A step of a command check.
    Check(Number, Which),
    /// To be done, whatever comes of it.
    Nothing,
}

/// The default executor's state.
#[derive(Debug)]
pub(crate) struct Group {
    link: Link,
    timers: Timers<Timer>,
    /// Where the tasks can be reached.
    container_ip: String,
    /// The path of the executor's sandbox.
    sandbox: Option<String>,
    /// The executor's own container, once the agent has told it.
    container: Option<ContainerId>,
    members: BTreeMap<Number, Member>,
    /// Groups that end because a task of theirs was unhealthy.
    unhealthy: BTreeSet<Number>,
    requests: BTreeMap<RequestId, Purpose>,
    next_number: Number,
    /// Whether the agent launches containers whose output is the answer, as far as is known.
    has_sessions: bool,
    has_launched: bool,
    is_shutting_down: bool,
}

impl Machine for Group {
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
            Input::Probed { probe, outcome } => {
                let mut deeds = Vec::new();
                if let Some(member) = self.members.get_mut(&probe.task) {
                    member
                        .checks
                        .on_probed(now, probe.which, outcome, &mut deeds);
                }
                self.carry_out(now, probe.task, deeds, actions);
            }
            Input::Answered { request, answer } => self.on_answered(now, request, answer, actions),
            Input::Terminate => self.shutdown(now, actions),
            // The tasks are not processes of this executor: none of its own matters.
            Input::Ended(_) | Input::Swept => {}
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        let checks = self.members.values().map(|m| m.checks.next_wake());
        [self.link.next_wake(), self.timers.next_due()]
            .into_iter()
            .chain(checks)
            .flatten()
            .min()
    }
}

impl Group {
    pub(crate) fn new(
        identity: Identity,
        container_ip: String,
        sandbox: Option<String>,
        entropy: Entropy,
    ) -> Self {
        Self {
            link: Link::new(identity, entropy),
            timers: Timers::default(),
            container_ip,
            sandbox,
            container: None,
            members: BTreeMap::new(),
            unhealthy: BTreeSet::new(),
            requests: BTreeMap::new(),
            next_number: 0,
            has_sessions: true,
            has_launched: false,
            is_shutting_down: false,
        }
    }

    fn number(&mut self) -> Number {
        self.next_number += 1;
        self.next_number
    }

    fn find(&self, id: &TaskId) -> Option<Number> {
        self.members
            .iter()
            .find(|(_, member)| member.info.task_id == *id)
            .map(|(number, _)| *number)
    }

    /// Tells the agent of the tasks whose launch it could have lost; it has not begun to keep those
    /// that are still launching.
    fn subscribe(&mut self, now: Now, actions: &mut Vec<Action>) {
        let tasks = self
            .members
            .values()
            .filter(|member| member.state == State::Running && !member.is_acknowledged)
            .map(|member| member.info.clone())
            .collect();
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
        for number in self.numbers() {
            let mut deeds = Vec::new();
            if let Some(member) = self.members.get_mut(&number) {
                member.checks.wake(now, &self.link.updates, &mut deeds);
            }
            self.carry_out(now, number, deeds, actions);
        }
    }

    fn numbers(&self) -> Vec<Number> {
        self.members.keys().copied().collect()
    }

    fn on_change(&mut self, now: Now, change: Change, actions: &mut Vec<Action>) {
        match change {
            Change::None => {}
            Change::Due => self.subscribe(now, actions),
            Change::Away => self.on_away(now, actions),
            // Without the agent there is no way to the containers: it ends them when it is back.
            Change::GivenUp => actions.push(Action::Exit(Outcome::Failure)),
        }
    }

    /// Everything that only the agent can answer waits for it.
    fn on_away(&mut self, now: Now, actions: &mut Vec<Action>) {
        for number in self.numbers() {
            self.stop_checks(now, number, actions);
            for timer in [
                Timer::Ask(number),
                Timer::Confirm(number),
                Timer::Signal(number),
            ] {
                self.timers.cancel(&timer);
            }
            if let Some(member) = self.members.get_mut(&number)
                && member.state == State::Launching
            {
                member.state = State::Unconfirmed;
            }
        }
        self.timers.cancel(&Timer::LastAcknowledgement);
        for request in std::mem::take(&mut self.requests).into_keys() {
            actions.push(Action::Abandon(request));
        }
    }

    fn on_subscribed(
        &mut self,
        now: Now,
        subscribed: &event::Subscribed,
        actions: &mut Vec<Action>,
    ) {
        let Some(container) = &subscribed.container_id else {
            actions.push(Action::Log(
                "The agent did not tell the executor's container id: ending".into(),
            ));
            return actions.push(Action::Exit(Outcome::Failure));
        };
        self.container = Some(container.clone());
        self.link.on_subscribed(now, subscribed, actions);
        for number in self.numbers() {
            self.ask(now, number, actions);
            self.signal(number, actions);
            if let Some(member) = self.members.get_mut(&number)
                && member.kill.is_none()
            {
                member.checks.resume(now);
            }
        }
        self.end_if_done(now, actions);
    }

    fn on_timer(&mut self, now: Now, timer: Timer, actions: &mut Vec<Action>) {
        match timer {
            Timer::Ask(number) => self.ask(now, number, actions),
            Timer::Confirm(number) => self.on_confirmed(now, number, actions),
            Timer::Completion(number) => self.on_time_is_up(now, number, actions),
            Timer::Escalation(number) => self.escalate(number, actions),
            Timer::Signal(number) => self.signal(number, actions),
            Timer::LastAcknowledgement => {
                actions.push(Action::Log(
                    "Did not receive ACK for every status update from the agent".into(),
                ));
                actions.push(Action::Exit(Outcome::Failure));
            }
        }
    }

    fn on_event(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        match event.r#type() {
            event::Type::Subscribed => {
                if let Some(subscribed) = event.subscribed {
                    self.on_subscribed(now, &subscribed, actions);
                }
            }
            event::Type::LaunchGroup => {
                if let Some(launch) = event.launch_group {
                    self.on_launch_group(now, launch.task_group.tasks, actions);
                }
            }
            event::Type::Kill => {
                if let Some(kill) = event.kill {
                    self.on_kill(now, &kill, actions);
                }
            }
            event::Type::Acknowledged => {
                if let Some(acknowledged) = event.acknowledged {
                    self.on_acknowledged(now, &acknowledged, actions);
                }
            }
            event::Type::Launch => {
                actions.push(Action::Log(
                    "LAUNCH event is not supported by the default executor: shutting down".into(),
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

    fn on_acknowledged(
        &mut self,
        now: Now,
        acknowledged: &event::Acknowledged,
        actions: &mut Vec<Action>,
    ) {
        self.link.updates.acknowledge(&acknowledged.uuid);
        // The task may have ended and be forgotten.
        if let Some(number) = self.find(&acknowledged.task_id)
            && let Some(member) = self.members.get_mut(&number)
        {
            member.is_acknowledged = true;
        }
        self.end_if_done(now, actions);
    }

    /// Ends the executor when no task is left and all is told. Only an agent that is there can
    /// acknowledge: while it is away, the recovery timeout counts.
    fn end_if_done(&mut self, now: Now, actions: &mut Vec<Action>) {
        let may_end = self.has_launched || self.is_shutting_down;
        if !may_end || !self.members.is_empty() {
            return;
        }
        if self.link.updates.is_empty() {
            actions.push(Action::Exit(Outcome::Success));
        } else if self.link.is_subscribed() {
            let at = now.monotonic + LAST_ACKNOWLEDGEMENT_TIMEOUT;
            self.timers.set_earlier(Timer::LastAcknowledgement, at);
        }
    }

    /// Posts a call to the agent's own API.
    fn request(
        &mut self,
        purpose: Purpose,
        call: agent::Call,
        actions: &mut Vec<Action>,
    ) -> RequestId {
        let id = RequestId(self.number());
        self.requests.insert(id, purpose);
        actions.push(Action::Request(id, Box::new(call)));
        id
    }

    fn on_answered(
        &mut self,
        now: Now,
        request: RequestId,
        answer: Result<Answer, String>,
        actions: &mut Vec<Action>,
    ) {
        match self.requests.remove(&request) {
            Some(Purpose::Launch(number)) => self.on_launch_answered(now, number, answer, actions),
            Some(Purpose::Wait(number)) => self.on_waited(now, number, answer, actions),
            Some(Purpose::Signal(number, signal)) => {
                self.on_signaled(now, number, signal, answer, actions);
            }
            Some(Purpose::Check(number, which)) => {
                self.on_check_answered(now, number, which, answer, actions);
            }
            Some(Purpose::Nothing) | None => {}
        }
    }

    fn status(
        &self,
        member: &Member,
        state: TaskState,
        reason: Option<Reason>,
        message: Option<&str>,
    ) -> TaskStatus {
        TaskStatus {
            container_status: Some(Box::new(ContainerStatus {
                container_id: Some(member.container.clone()),
                ..ContainerStatus::default()
            })),
            ..self
                .link
                .updates
                .status(&member.info, state, reason, message)
        }
    }

    /// Tells a state that has nothing to be added.
    fn tell(&mut self, now: Now, number: Number, state: TaskState, actions: &mut Vec<Action>) {
        if let Some(member) = self.members.get(&number) {
            let status = self.status(member, state, None, None);
            self.link.tell(now, status, actions);
        }
    }
}
