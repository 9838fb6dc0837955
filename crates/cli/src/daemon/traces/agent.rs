//! What an agent does for tasks, as it is seen from outside.

use std::sync::Arc;
use std::time::Duration;

use meseta_agent::{Action, Input, LaunchFailure};
use meseta_machine::StreamId;
use meseta_proto::v1::executor::call;
use meseta_proto::v1::{ContainerId, FrameworkId};

use super::master::ordered;
use super::pending::Pending;
use super::updates::{Updates, Word};
use super::{ACCEPT, Counts, RUN_TASK, TaskKey, Traces};

/// Makes spans of what an agent does.
#[derive(Debug)]
pub(crate) struct AgentTraces {
    traces: Traces,
    /// When tasks were ordered that no executor has yet.
    ordered: Pending<TaskKey, Duration>,
    /// Containers that are being launched, since when, and for which tasks.
    launching: Pending<ContainerId, (Duration, Vec<TaskKey>)>,
    /// Of which frameworks the executors are that listen.
    streams: Pending<StreamId, FrameworkId>,
    updates: Updates,
}

/// What goes into an agent, as far as it is traced.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The master orders tasks.
    Run(Vec<TaskKey>),
    /// An executor of the framework listens.
    Subscribe(StreamId, FrameworkId),
    /// A container has been launched, or not.
    Launched(ContainerId, Option<String>),
    /// An executor tells of a task, or the scheduler has taken note of it.
    Update(Word),
    /// Anything else.
    Other,
}

impl AgentTraces {
    pub(crate) fn new(traces: Traces) -> Self {
        Self {
            traces,
            ordered: Pending::default(),
            launching: Pending::default(),
            streams: Pending::default(),
            updates: Updates::new("agent.update", "agent.acknowledge"),
        }
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        self.traces.counts()
    }

    /// What an input is, before the agent has it.
    pub(crate) fn cause(input: &Input) -> Cause {
        match input {
            Input::Message { name, body, .. } => of_message(name, body),
            Input::ExecutorCall {
                call, new_stream, ..
            } => match (call.r#type(), &call.update) {
                (call::Type::Subscribe, _) => {
                    Cause::Subscribe(new_stream.clone(), call.framework_id.clone())
                }
                (call::Type::Update, Some(update)) => {
                    Cause::Update(Word::comes(&call.framework_id, &update.status, None))
                }
                _ => Cause::Other,
            },
            Input::ContainerLaunched { container_id, .. } => {
                Cause::Launched(container_id.clone(), None)
            }
            Input::ContainerLaunchFailed {
                container_id,
                failure: LaunchFailure::Sandbox(reason) | LaunchFailure::Container(reason),
            } => Cause::Launched(container_id.clone(), Some(reason.clone())),
            _ => Cause::Other,
        }
    }

    /// What the agent has made of it, in a step that began and ended at these times.
    pub(crate) fn saw(
        &mut self,
        cause: Cause,
        (start, end): (Duration, Duration),
        actions: &[Action],
    ) {
        match cause {
            Cause::Run(tasks) => {
                for key in &tasks {
                    self.traces.send(key.span(RUN_TASK, ACCEPT, start, end));
                    self.ordered.begin(key.clone(), start);
                }
                let launch = actions.iter().find_map(|action| match action {
                    Action::Launch(launch) => Some(launch.container_id.clone()),
                    _ => None,
                });
                if let Some(container) = launch {
                    self.launching.begin(container, (end, tasks));
                }
            }
            Cause::Subscribe(stream, framework) => self.streams.begin(stream, framework),
            Cause::Launched(container, failure) => {
                let (start, tasks) = self.launching.end(&container).unwrap_or_default();
                for key in &tasks {
                    let span = key.span("agent.launch", RUN_TASK, start, end);
                    let id = container.value.clone();
                    let span = span.with("mesos.container.id", id);
                    self.traces.send(match &failure {
                        Some(reason) => span.failed(reason),
                        None => span,
                    });
                }
            }
            Cause::Update(word) => {
                self.updates.on_word(word, (start, end), &self.traces);
            }
            Cause::Other => {}
        }
        let given: Vec<TaskKey> = actions.iter().flat_map(|it| self.given(it)).collect();
        for key in given {
            if let Some(start) = self.ordered.end(&key) {
                let span = key.span("executor.subscribe", RUN_TASK, start, end);
                self.traces.send(span);
            }
        }
    }

    /// The tasks that an executor is given.
    fn given(&self, action: &Action) -> Vec<TaskKey> {
        match action {
            Action::Event { stream, event } => {
                let Some(framework) = self.streams.get(stream) else {
                    return Vec::new();
                };
                let alone = event.launch.iter().map(|it| &it.task);
                let groups = event.launch_group.iter();
                let tasks = alone.chain(groups.flat_map(|it| &it.task_group.tasks));
                let keys = tasks.map(|task| TaskKey::new(framework, &task.task_id));
                keys.collect()
            }
            // To one on the old driver.
            Action::Send { name, body, .. } => ordered(name, body),
            _ => Vec::new(),
        }
    }
}

fn of_message(name: &str, body: &[u8]) -> Cause {
    let tasks = ordered(name, body);
    if !tasks.is_empty() {
        return Cause::Run(tasks);
    }
    Word::of_message(name, body).map_or(Cause::Other, Cause::Update)
}
