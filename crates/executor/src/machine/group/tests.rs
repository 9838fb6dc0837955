//! The default executor's machine against an agent of the tests' making.

mod checks;
mod histories;
mod stories;

use std::time::Duration;

use meseta_machine::{Entropy, Now};
use meseta_proto::v1::agent::{Call, Response, call, response};
use meseta_proto::v1::executor::{Event, event};
use meseta_proto::v1::framework_info::{Capability, capability};
use meseta_proto::v1::{
    CommandInfo, ContainerId, DurationInfo, FrameworkInfo, KillPolicy, TaskGroupInfo, TaskInfo,
    TaskState, TaskStatus,
};
use prost::Message as _;

use super::super::Recovery;
use super::*;

fn at(seconds: u64) -> Now {
    let monotonic = Duration::from_secs(seconds);
    Now {
        monotonic,
        wall: Duration::from_secs(1_700_000_000) + monotonic,
    }
}

/// A machine with the requests that it has made and nobody has answered.
struct Run {
    machine: Group,
    open: Vec<(RequestId, Call)>,
    capabilities: Vec<Capability>,
}

impl Run {
    fn new(recovery: Option<Recovery>) -> Self {
        let identity = Identity {
            framework_id: "f".into(),
            executor_id: "e".into(),
            shutdown_grace: Duration::from_secs(5),
            recovery,
        };
        let mut run = Self {
            machine: Group::new(
                identity,
                "10.0.0.1".into(),
                Some("/sandbox".into()),
                Entropy::new(1),
            ),
            open: Vec::new(),
            capabilities: Vec::new(),
        };
        run.step(0, Input::Start);
        run
    }

    /// One that is subscribed and may outlive its agent.
    fn subscribed() -> Self {
        let mut run = Self::new(Some(Recovery {
            timeout: Duration::from_mins(15),
            backoff_max: Duration::from_secs(2),
        }));
        run.subscribe(0);
        run
    }

    /// One whose tasks all run.
    fn running(tasks: Vec<TaskInfo>) -> Self {
        let mut run = Self::subscribed();
        run.launch(0, tasks);
        run.confirm(0);
        run
    }

    fn step(&mut self, seconds: u64, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.machine.step(at(seconds), input, &mut actions);
        for action in &actions {
            match action {
                Action::Request(id, call) => self.open.push((*id, (**call).clone())),
                Action::Abandon(id) => self.open.retain(|(open, _)| open != id),
                _ => {}
            }
        }
        actions
    }

    fn wake(&mut self, seconds: u64) -> Vec<Action> {
        self.step(seconds, Input::Wake)
    }

    fn event(&mut self, seconds: u64, kind: event::Type, event: Event) -> Vec<Action> {
        let event = Event {
            r#type: Some(kind.into()),
            ..event
        };
        self.step(seconds, Input::Event(Box::new(event)))
    }

    fn subscribe(&mut self, seconds: u64) -> Vec<Action> {
        let subscribed = event::Subscribed {
            container_id: Some(executor_container()),
            framework_info: FrameworkInfo {
                capabilities: self.capabilities.clone(),
                ..FrameworkInfo::default()
            },
            ..event::Subscribed::default()
        };
        let event = Event {
            subscribed: Some(subscribed),
            ..Event::default()
        };
        self.event(seconds, event::Type::Subscribed, event)
    }

    fn launch(&mut self, seconds: u64, tasks: Vec<TaskInfo>) -> Vec<Action> {
        let task_group = TaskGroupInfo { tasks };
        let event = Event {
            launch_group: Some(event::LaunchGroup { task_group }),
            ..Event::default()
        };
        self.event(seconds, event::Type::LaunchGroup, event)
    }

    fn kill(&mut self, seconds: u64, task: &str, grace: Option<i64>) -> Vec<Action> {
        let kill = event::Kill {
            task_id: task.into(),
            kill_policy: grace.map(|seconds| KillPolicy {
                grace_period: Some(duration(seconds)),
            }),
        };
        let event = Event {
            kill: Some(kill),
            ..Event::default()
        };
        self.event(seconds, event::Type::Kill, event)
    }

    fn acknowledge(&mut self, seconds: u64, status: &TaskStatus) -> Vec<Action> {
        let event = Event {
            acknowledged: Some(event::Acknowledged {
                task_id: status.task_id.clone(),
                uuid: status.uuid.clone().unwrap(),
            }),
            ..Event::default()
        };
        self.event(seconds, event::Type::Acknowledged, event)
    }

    /// Takes the oldest open request of a kind out, for a test to answer.
    fn take(&mut self, wanted: impl Fn(&Call) -> bool) -> (RequestId, Call) {
        let found = self.open.iter().position(|(_, call)| wanted(call));
        let found = found.unwrap_or_else(|| panic!("no such request in {:#?}", self.open));
        self.open.remove(found)
    }

    fn answer(&mut self, seconds: u64, request: RequestId, answer: Answer) -> Vec<Action> {
        let answer = Ok(answer);
        self.step(seconds, Input::Answered { request, answer })
    }

    /// Answers every launch that is open with success.
    fn confirm(&mut self, seconds: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.open.iter().any(|(_, call)| is_launch(call)) {
            let (request, _) = self.take(is_launch);
            actions.extend(self.answer(seconds, request, ok()));
        }
        actions
    }

    /// The container of a task, from the launch or the present wait for it.
    fn container(&self, task: &str) -> ContainerId {
        let number = self.machine.find(&task.into()).expect("it is there");
        self.machine.members[&number].container.clone()
    }

    /// The container of a task has ended with this wait status.
    fn ended(&mut self, seconds: u64, task: &str, exit_status: i32) -> Vec<Action> {
        self.waited(seconds, task, terminated(Some(exit_status)))
    }

    fn waited(&mut self, seconds: u64, task: &str, answer: Answer) -> Vec<Action> {
        let container = self.container(task);
        let (request, _) = self.take(|call| is_wait_for(call, &container));
        self.answer(seconds, request, answer)
    }

    /// The signals that were asked for and not answered yet; they are answered as done.
    fn signals(&mut self, seconds: u64) -> Vec<(ContainerId, i32)> {
        let mut signals = Vec::new();
        while self.open.iter().any(|(_, c)| c.kill_container.is_some()) {
            let (request, call) = self.take(|call| call.kill_container.is_some());
            let kill = call.kill_container.unwrap();
            signals.push((kill.container_id, kill.signal.unwrap()));
            self.answer(seconds, request, ok());
        }
        signals
    }

    fn lose(&mut self, seconds: u64) -> Vec<Action> {
        let reason = "gone".to_owned();
        self.step(seconds, Input::Disconnected { reason })
    }
}

fn executor_container() -> ContainerId {
    ContainerId {
        value: "executor".into(),
        parent: None,
    }
}

fn is_launch(call: &Call) -> bool {
    call.r#type() == call::Type::LaunchContainer
}

fn is_wait_for(call: &Call, container: &ContainerId) -> bool {
    call.wait_container
        .as_ref()
        .is_some_and(|wait| wait.container_id == *container)
}

fn refusal(status: u16, sentence: &str) -> Answer {
    Answer {
        status,
        body: sentence.into(),
    }
}

fn ok() -> Answer {
    refusal(200, "")
}

fn terminated(exit_status: Option<i32>) -> Answer {
    termination(response::WaitContainer {
        exit_status,
        ..response::WaitContainer::default()
    })
}

fn termination(wait: response::WaitContainer) -> Answer {
    let response = Response {
        r#type: Some(response::Type::WaitContainer.into()),
        wait_container: Some(wait),
        ..Response::default()
    };
    Answer {
        status: 200,
        body: response.encode_to_vec(),
    }
}

fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: id.into(),
        command: Some(command("x")),
        ..TaskInfo::default()
    }
}

fn command(value: &str) -> CommandInfo {
    CommandInfo {
        value: Some(value.into()),
        ..CommandInfo::default()
    }
}

fn duration(seconds: i64) -> DurationInfo {
    DurationInfo {
        nanoseconds: seconds * 1_000_000_000,
    }
}

fn killing() -> Vec<Capability> {
    vec![Capability {
        r#type: Some(capability::Type::TaskKillingState.into()),
    }]
}

fn statuses(actions: &[Action]) -> Vec<&TaskStatus> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(call) => Some(&call.update.as_ref()?.status),
            _ => None,
        })
        .collect()
}

/// Who is told to be in what state.
fn told(actions: &[Action]) -> Vec<(&str, TaskState)> {
    statuses(actions)
        .into_iter()
        .map(|status| (status.task_id.as_str(), status.state()))
        .collect()
}

const EXIT_0: i32 = 0;
const EXIT_1: i32 = 1 << 8;
const TERM: i32 = 15;
const KILL: i32 = 9;
