//! Checks of tasks. Those over the network are made from here, for tasks share the executor's
//! network; commands run in containers below the task's:
//!
//! ```text
//! idle ──due──▶ removing the former one ──▶ launching, with its output ──▶ waiting ──▶ outcome
//! ```
//!
//! A step that fails says nothing about the task, but for a command that takes too long.
//!
//! A session, whose output comes as the answer and which sees what the task sees, is what suits a
//! check. Agents that have none launch a container like any other, which is then led to the task's
//! sandbox.

use meseta_machine::Now;
use meseta_proto::v1::agent::Response;
use meseta_proto::v1::{CommandInfo, ContainerId};

use super::super::checks::{Deed, Observation, Outcome, Probe, Which};
use super::super::{ProbeId, Signal};
use super::{Action, Answer, Cause, Group, Number, Purpose, RequestId, calls};
use crate::status::Ending;

/// A check by a command, between two probes or in one.
#[derive(Debug, Default)]
pub(super) struct NestedCheck {
    /// The container of the last probe, which the agent keeps until it is removed.
    container: Option<ContainerId>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    request: RequestId,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Removing(CommandInfo),
    Launching(CommandInfo),
    Waiting,
    /// For the end of one that the agent could not launch properly.
    WaitingInVain,
}

/// What a probe came to.
enum Came {
    To(Outcome),
    /// To nothing that says anything about the task.
    Nothing(String),
}

impl Group {
    /// Does what the checks of a task want.
    pub(super) fn carry_out(
        &mut self,
        now: Now,
        number: Number,
        deeds: Vec<Deed>,
        actions: &mut Vec<Action>,
    ) {
        for deed in deeds {
            match deed {
                Deed::Probe(which, Probe::Command(launch)) => {
                    self.start_command(number, which, launch.command, actions);
                }
                Deed::Probe(which, probe) => {
                    let id = ProbeId {
                        task: number,
                        which,
                    };
                    actions.push(Action::Probe(id, probe));
                }
                Deed::Stop(which) => self.stop_probe(number, which, actions),
                Deed::Log(line) => actions.push(Action::Log(line)),
                Deed::Tell(reason) => {
                    if let Some(member) = self.members.get(&number) {
                        let running = meseta_proto::v1::TaskState::TaskRunning;
                        let mut status = self.status(member, running, Some(reason), None);
                        member.checks.fill(&mut status);
                        self.link.tell(now, status, actions);
                    }
                }
                Deed::Kill => self.kill(now, number, Cause::Unhealthy, None, actions),
            }
        }
    }

    pub(super) fn stop_checks(&mut self, now: Now, number: Number, actions: &mut Vec<Action>) {
        let mut deeds = Vec::new();
        if let Some(member) = self.members.get_mut(&number) {
            member.checks.stop(&mut deeds);
        }
        self.carry_out(now, number, deeds, actions);
    }

    fn stop_probe(&mut self, number: Number, which: Which, actions: &mut Vec<Action>) {
        let nested = self
            .members
            .get_mut(&number)
            .and_then(|member| member.nested.get_mut(&which));
        let Some(NestedCheck { container, running }) = nested else {
            return actions.push(Action::StopProbe(ProbeId {
                task: number,
                which,
            }));
        };
        if let Some(Running { request, step }) = running.take() {
            let container = container.clone();
            self.requests.remove(&request);
            // An agent ends the command with the request; this is for those that do not notice.
            actions.push(Action::Abandon(request));
            if !matches!(step, Step::Removing(_))
                && self.link.is_subscribed()
                && let Some(container) = container
            {
                let call = calls::kill(&container, Signal::Kill);
                self.request(Purpose::Nothing, call, actions);
            }
        }
    }

    fn start_command(
        &mut self,
        number: Number,
        which: Which,
        command: CommandInfo,
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let former = member.nested.entry(which).or_default().container.clone();
        match former {
            Some(former) => {
                let call = calls::remove(&former);
                let step = Step::Removing(command);
                self.check_request(number, which, call, step, actions);
            }
            None => self.launch_command(number, which, command, actions),
        }
    }

    fn launch_command(
        &mut self,
        number: Number,
        which: Which,
        command: CommandInfo,
        actions: &mut Vec<Action>,
    ) {
        let uuid = self.link.uuid();
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let container = ContainerId {
            value: format!("check-{uuid}"),
            parent: Some(Box::new(member.container.clone())),
        };
        let call = if self.has_sessions {
            calls::launch_session(&command, &container)
        } else {
            let sandbox = self.sandbox.as_ref();
            let sandbox = sandbox.map(|of_all| calls::sandbox_of(of_all, &member.container));
            calls::launch_beside(&command, &container, sandbox.as_deref())
        };
        member.nested.entry(which).or_default().container = Some(container);
        let step = Step::Launching(command);
        self.check_request(number, which, call, step, actions);
    }

    fn check_request(
        &mut self,
        number: Number,
        which: Which,
        call: meseta_proto::v1::agent::Call,
        step: Step,
        actions: &mut Vec<Action>,
    ) {
        let request = self.request(Purpose::Check(number, which), call, actions);
        if let Some(member) = self.members.get_mut(&number) {
            let nested = member.nested.entry(which).or_default();
            nested.running = Some(Running { request, step });
        }
    }

    pub(super) fn on_check_answered(
        &mut self,
        now: Now,
        number: Number,
        which: Which,
        answer: Result<Answer, String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let Some(nested) = member.nested.get_mut(&which) else {
            return;
        };
        let (Some(Running { step, .. }), Some(container)) =
            (nested.running.take(), nested.container.clone())
        else {
            return;
        };
        let came = match (step, answer) {
            (
                Step::Removing(command),
                Ok(Answer {
                    status: 200 | 404, ..
                }),
            ) => {
                nested.container = None;
                return self.launch_command(number, which, command, actions);
            }
            (
                Step::Launching(command),
                Ok(Answer {
                    status: 406 | 501, ..
                }),
            ) if self.has_sessions => {
                self.has_sessions = false;
                nested.container = None;
                return self.launch_command(number, which, command, actions);
            }
            (Step::Launching(_), Ok(answer)) => {
                let step = if answer.status == 200 {
                    Step::Waiting
                } else {
                    actions.push(Action::Log(refusal("launch a check", &answer)));
                    Step::WaitingInVain
                };
                return self.check_request(number, which, calls::wait(&container), step, actions);
            }
            (Step::Waiting, answer) => outcome(answer),
            (Step::Removing(_), Ok(answer)) => Came::Nothing(refusal("remove a check", &answer)),
            (Step::WaitingInVain, _) => Came::Nothing("it could not be launched".into()),
            (Step::Removing(_) | Step::Launching(_), Err(reason)) => Came::Nothing(reason),
        };
        let mut deeds = Vec::new();
        match came {
            Came::To(outcome) => member.checks.on_probed(now, which, outcome, &mut deeds),
            Came::Nothing(reason) => {
                deeds.push(Deed::Log(format!(
                    "A check of task '{}' could not be made: {reason}",
                    member.info.task_id
                )));
                member.checks.on_not_probed(now, which);
            }
        }
        self.carry_out(now, number, deeds, actions);
    }
}

fn outcome(answer: Result<Answer, String>) -> Came {
    let failed = |reason: String| Came::To(Err(format!("Unable to get the exit code: {reason}")));
    let answer = match answer {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => return failed(refusal("wait for it", &answer)),
        Err(reason) => return failed(reason),
    };
    let ending = meseta_proto::decode::<Response>(&answer.body)
        .ok()
        .and_then(|response| response.wait_container?.exit_status)
        .and_then(Ending::from_wait_status);
    match ending {
        Some(Ending::Exited(status)) => Came::To(Ok(Observation::Exited(status))),
        // Most likely with the task.
        Some(Ending::Signaled { signal: 9, .. }) => Came::Nothing("it was killed".into()),
        Some(ending) => Came::To(Err(format!("Command {ending}"))),
        None => Came::To(Err("Unable to get the exit code".into())),
    }
}

fn refusal(attempt: &str, answer: &Answer) -> String {
    format!(
        "the agent refused to {attempt} with status {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    )
}
