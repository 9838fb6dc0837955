//! How tasks end, and their groups with them.

use meseta_machine::Now;
use meseta_proto::v1::agent::{Response, response::WaitContainer};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{TaskResourceLimitation, TaskState};

use super::super::verdict;
use super::{Action, Answer, Cause, Group, Member, Number, Outcome, State, Timer};
use crate::status::Ending;

/// The end of a task, as it is told.
#[derive(Debug)]
struct End {
    /// Whether its container is known to have been there.
    has_run: bool,
    state: TaskState,
    reason: Option<Reason>,
    message: Option<String>,
    limitation: Option<TaskResourceLimitation>,
}

impl Group {
    pub(super) fn on_waited(
        &mut self,
        now: Now,
        number: Number,
        answer: Result<Answer, String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get(&number) else {
            return;
        };
        let id = &member.info.task_id;
        let end = match answer {
            // The agent may be recovering, or the connection alone may have been lost.
            Err(_)
            | Ok(Answer {
                status: 500..600, ..
            }) => {
                self.timers.cancel(&Timer::Confirm(number));
                return self.ask_later(now, number);
            }
            Ok(Answer { status: 404, .. })
                if member.state == State::Unconfirmed && member.kill.is_none() =>
            {
                return self.launch_again(now, number, actions);
            }
            Ok(Answer { status: 404, .. }) => end_of_unknown(member),
            Ok(Answer { status: 200, body }) => {
                let response = meseta_proto::decode::<Response>(&body).ok();
                if let Some(termination) = response.and_then(|r| r.wait_container) {
                    end_of(member, termination)
                } else {
                    actions.push(Action::Log(format!(
                        "The agent told the end of task '{id}' in a form that is unknown"
                    )));
                    end_of_unknown(member)
                }
            }
            Ok(Answer { status, body }) => {
                // It will not answer otherwise the next time, and a task that nobody watches must
                // not go on: the agent ends it with the executor.
                actions.push(Action::Log(format!(
                    "The agent refused to wait for task '{id}' with status {status}: {}",
                    String::from_utf8_lossy(&body)
                )));
                return actions.push(Action::Exit(Outcome::Failure));
            }
        };
        self.on_ended(now, number, end, actions);
    }

    fn on_ended(&mut self, now: Now, number: Number, end: End, actions: &mut Vec<Action>) {
        // It ran, though its end alone tells so.
        if end.has_run {
            self.show(now, number, actions);
        }
        self.stop_checks(now, number, actions);
        for timer in [
            Timer::Ask(number),
            Timer::Confirm(number),
            Timer::Completion(number),
            Timer::Escalation(number),
            Timer::Signal(number),
        ] {
            self.timers.cancel(&timer);
        }
        let Some(member) = self.members.remove(&number) else {
            return;
        };
        let group = member.group;
        if member.kill.is_some_and(|k| k.cause == Cause::Unhealthy) {
            self.unhealthy.insert(group);
        }

        let mut status = self.status(&member, end.state, end.reason, end.message.as_deref());
        status.limitation = end.limitation.map(Box::new);
        if self.unhealthy.contains(&group) {
            status.healthy = Some(false);
        }
        self.link.tell(now, status, actions);

        let others = self
            .members
            .iter()
            .filter(|(_, other)| other.group == group);
        let others: Vec<Number> = others.map(|(number, _)| *number).collect();
        if others.is_empty() {
            self.unhealthy.remove(&group);
        }
        if matches!(end.state, TaskState::TaskFailed | TaskState::TaskKilled) {
            for other in others {
                // One that is being killed keeps its grace.
                if self.members.get(&other).is_some_and(|m| m.kill.is_none()) {
                    self.kill(now, other, Cause::Group, None, actions);
                }
            }
        }
        self.end_if_done(now, actions);
    }
}

/// The agent knows nothing of the container: it was never launched, or was lost with an agent.
fn end_of_unknown(member: &Member) -> End {
    let (state, message) = match (&member.state, member.kill) {
        (State::Refused(sentence), _) => (TaskState::TaskFailed, Some(sentence.clone())),
        (_, Some(_)) => (TaskState::TaskKilled, None),
        (_, None) => {
            let message = "Unable to retrieve command's termination information";
            (TaskState::TaskFailed, Some(message.to_owned()))
        }
    };
    End {
        has_run: false,
        state,
        reason: None,
        message,
        limitation: None,
    }
}

/// What the agent says comes before what the status of the process lets one think: it knows more.
fn end_of(member: &Member, termination: WaitContainer) -> End {
    let ending = termination.exit_status.and_then(Ending::from_wait_status);
    let (state, reason, message) = match ending {
        None => {
            let message = match &member.state {
                State::Refused(sentence) => sentence.clone(),
                _ => "Command terminated with unknown status".to_owned(),
            };
            (TaskState::TaskFailed, None, message)
        }
        Some(ending) => {
            let (state, reason) = verdict(member.kill.map(|kill| kill.cause), ending);
            (state, reason, format!("Command {ending}"))
        }
    };
    let message = match &termination.message {
        Some(more) => format!("{message}: {more}"),
        None => message,
    };
    End {
        has_run: member.state == State::Unconfirmed && ending.is_some(),
        state: termination
            .state
            .and_then(|state| TaskState::try_from(state).ok())
            .unwrap_or(state),
        reason: termination
            .reason
            .and_then(|reason| Reason::try_from(reason).ok())
            .or(reason),
        message: Some(message),
        limitation: termination.limitation,
    }
}
