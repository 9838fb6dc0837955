//! Task groups, from their arrival to containers that run.

use std::collections::BTreeMap;

use meseta_machine::Now;
use meseta_proto::v1::{ContainerId, TaskInfo, TaskState};

use super::super::checks::Checks;
use super::super::time_limit;
use super::{Action, Answer, Group, Member, Number, Purpose, State, Timer, calls};
use crate::limits::{CONFIRMATION, MAX_TASKS, REQUEST_RETRY};

impl Group {
    pub(super) fn on_launch_group(
        &mut self,
        now: Now,
        tasks: Vec<TaskInfo>,
        actions: &mut Vec<Action>,
    ) {
        let Some(parent) = self.container.clone() else {
            return;
        };
        if self.is_shutting_down {
            return actions.push(Action::Log(
                "Ignoring a task group: the executor is shutting down".into(),
            ));
        }
        if let Some(task) = tasks.iter().find(|t| self.find(&t.task_id).is_some()) {
            return actions.push(Action::Log(format!(
                "Ignoring a task group: its task '{}' runs already",
                task.task_id
            )));
        }
        self.has_launched = true;
        if self.members.len() + tasks.len() > MAX_TASKS {
            let message = format!("An executor runs at most {MAX_TASKS} tasks at a time");
            for task in &tasks {
                let updates = &self.link.updates;
                let status = updates.status(task, TaskState::TaskFailed, None, Some(&message));
                self.link.tell(now, status, actions);
            }
            return;
        }

        self.timers.cancel(&Timer::LastAcknowledgement);
        let mut group = None;
        for info in tasks {
            let number = self.number();
            let container = ContainerId {
                value: self.link.uuid(),
                parent: Some(Box::new(parent.clone())),
            };
            let member = Member {
                info,
                group: *group.get_or_insert(number),
                container,
                state: State::Launching,
                is_acknowledged: false,
                kill: None,
                checks: Checks::default(),
                nested: BTreeMap::new(),
            };
            self.members.insert(number, member);
            self.tell(now, number, TaskState::TaskStarting, actions);
            self.ask(now, number, actions);
        }
    }

    /// Asks the agent for what is next for a task: its launch, or how its container ended.
    pub(super) fn ask(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        if member.state == State::Unconfirmed {
            let at = now.monotonic + CONFIRMATION;
            self.timers.set(Timer::Confirm(number), at);
        }
        let (purpose, call) = if member.state == State::Launching {
            let call = calls::launch(&member.info, &member.container, &self.container_ip);
            (Purpose::Launch(number), call)
        } else {
            (Purpose::Wait(number), calls::wait(&member.container))
        };
        self.request(purpose, call, actions);
    }

    /// The agent knows nothing of a container whose launch it did not answer.
    pub(super) fn launch_again(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        self.timers.cancel(&Timer::Confirm(number));
        if let Some(member) = self.members.get_mut(&number) {
            member.state = State::Launching;
            self.ask(now, number, actions);
        }
    }

    /// It is being waited for, so it runs.
    pub(super) fn on_confirmed(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        if let Some(member) = self.members.get_mut(&number)
            && member.state == State::Unconfirmed
        {
            member.state = State::Running;
            self.on_launched(now, number, actions);
        }
    }

    /// Asks again after a while, for the agent had no answer.
    pub(super) fn ask_later(&mut self, now: Now, number: Number) {
        let at = now.monotonic + REQUEST_RETRY;
        self.timers.set(Timer::Ask(number), at);
    }

    pub(super) fn on_launch_answered(
        &mut self,
        now: Now,
        number: Number,
        answer: Result<Answer, String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let id = &member.info.task_id;
        match answer {
            // 202: it runs already.
            Ok(Answer {
                status: 200 | 202, ..
            }) => {
                member.state = State::Running;
                self.on_launched(now, number, actions);
                self.ask(now, number, actions);
            }
            Err(reason) => {
                actions.push(Action::Log(format!(
                    "The launch of task '{id}' was not answered: {reason}"
                )));
                member.state = State::Unconfirmed;
                self.ask_later(now, number);
            }
            Ok(Answer { status: 503, .. }) => {
                member.state = State::Unconfirmed;
                self.ask_later(now, number);
            }
            Ok(Answer { status, body }) => {
                let sentence = String::from_utf8_lossy(&body).into_owned();
                actions.push(Action::Log(format!(
                    "The agent refused to launch task '{id}' with status {status}: {sentence}"
                )));
                member.state = State::Refused(sentence);
                // Whether the container was given up half-way is known when it is waited for.
                self.ask(now, number, actions);
            }
        }
    }

    fn on_launched(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        self.show(now, number, actions);
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        if member.kill.is_some() {
            return self.begin_kill(now, number, actions);
        }
        if let Some(limit) = time_limit(&member.info) {
            self.timers
                .set(Timer::Completion(number), now.monotonic + limit);
        }
        let mut deeds = Vec::new();
        member.checks = Checks::start(now, &member.info, &mut deeds);
        self.carry_out(now, number, deeds, actions);
    }

    /// Lets everybody know that a task runs.
    pub(super) fn show(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        if let Some(member) = self.members.get(&number) {
            actions.push(Action::LinkSandbox {
                task_id: member.info.task_id.to_string(),
                container_id: member.container.clone(),
            });
            self.tell(now, number, TaskState::TaskRunning, actions);
        }
    }
}
