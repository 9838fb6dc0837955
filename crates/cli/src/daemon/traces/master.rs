//! What a master does for tasks, as it is seen from outside.

use std::sync::Arc;
use std::time::Duration;

use meseta_master::{Action, Input};
use meseta_proto::internal::{RunTaskGroupMessage, RunTaskMessage};
use meseta_proto::v1::scheduler::{Event, call, event};
use meseta_proto::v1::{FrameworkId, TaskId};

use super::pending::Pending;
use super::updates::{Updates, Word, read};
use super::{ACCEPT, Counts, TASK, TaskKey, Traces};

/// Makes spans of what a master does.
#[derive(Debug)]
pub(crate) struct MasterTraces {
    traces: Traces,
    /// When tasks were accepted.
    tasks: Pending<TaskKey, Duration>,
    updates: Updates,
}

/// What goes into a master, as far as it is traced.
#[derive(Debug)]
pub(crate) enum Cause {
    /// A scheduler uses offers.
    Accept(Vec<TaskKey>),
    /// An agent tells of a task, or a scheduler has taken note of it.
    Update(Word),
    /// Anything else.
    Other,
}

impl MasterTraces {
    pub(crate) fn new(traces: Traces) -> Self {
        Self {
            traces,
            tasks: Pending::default(),
            updates: Updates::new("master.update", "scheduler.acknowledge"),
        }
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        self.traces.counts()
    }

    /// What an input is, before the master has it.
    pub(crate) fn cause(input: &Input) -> Cause {
        match input {
            Input::SchedulerCall { call, .. } => {
                let Some(framework) = &call.framework_id else {
                    return Cause::Other;
                };
                match call.r#type() {
                    call::Type::Accept => {
                        let accept = call.accept.as_ref();
                        let tasks = accept.map(|it| accepted(framework, it));
                        Cause::Accept(tasks.unwrap_or_default())
                    }
                    call::Type::Acknowledge => match &call.acknowledge {
                        Some(it) => {
                            let key = TaskKey::new(framework, &it.task_id);
                            Cause::Update(Word::Acknowledged((key, it.uuid.clone())))
                        }
                        None => Cause::Other,
                    },
                    _ => Cause::Other,
                }
            }
            Input::Message { name, body, .. } => {
                Word::of_message(name, body).map_or(Cause::Other, Cause::Update)
            }
            _ => Cause::Other,
        }
    }

    /// What the master has made of it, in a step that began and ended at these times.
    pub(crate) fn saw(
        &mut self,
        cause: Cause,
        (start, end): (Duration, Duration),
        actions: &[Action],
    ) {
        let launched = self.launched(start, end, actions);
        match cause {
            Cause::Accept(tasks) => {
                for key in tasks.iter().filter(|key| !launched.contains(key)) {
                    let reason = refusal(key, actions);
                    let span = key.span(ACCEPT, TASK, start, end);
                    self.traces.send(span.failed(reason));
                    self.end_task(key, start, end);
                }
            }
            Cause::Update(word) => {
                if let Some((key, state)) = self.updates.on_word(word, (start, end), &self.traces)
                    && state.is_terminal()
                    && let Some(start) = self.tasks.end(&key)
                {
                    self.end_task(&key, start, end);
                }
            }
            Cause::Other => {}
        }
    }

    /// The tasks that agents were told to run.
    fn launched(&mut self, start: Duration, end: Duration, actions: &[Action]) -> Vec<TaskKey> {
        let mut launched = Vec::new();
        for action in actions {
            let Action::Send { name, body, to, .. } = action else {
                continue;
            };
            let keys = ordered(name, body);
            for key in &keys {
                let span = key.span(ACCEPT, TASK, start, end);
                self.traces
                    .send(span.with("mesos.agent.pid", to.to_string()));
                self.tasks.begin(key.clone(), start);
            }
            launched.extend(keys);
        }
        launched
    }

    /// The whole of it.
    fn end_task(&self, key: &TaskKey, start: Duration, end: Duration) {
        let mut span = key.span(TASK, TASK, start, end);
        span.parent = None;
        self.traces.send(span);
    }
}

/// The tasks of an order to an agent; none if it is something else.
pub(super) fn ordered(name: &str, body: &[u8]) -> Vec<TaskKey> {
    let of = |framework: Option<FrameworkId>, tasks: Vec<TaskId>| match framework {
        Some(framework) => tasks
            .iter()
            .map(|task| TaskKey::new(&framework, task))
            .collect(),
        None => Vec::new(),
    };
    if let Some(RunTaskMessage {
        framework, task, ..
    }) = read(name, body)
    {
        return of(framework.id, vec![task.task_id]);
    }
    match read(name, body) {
        Some(RunTaskGroupMessage {
            framework,
            task_group,
            ..
        }) => {
            let tasks = task_group.tasks.into_iter().map(|task| task.task_id);
            of(framework.id, tasks.collect())
        }
        None => Vec::new(),
    }
}

fn accepted(framework: &FrameworkId, accept: &call::Accept) -> Vec<TaskKey> {
    let operations = accept.operations.iter();
    let tasks = operations.flat_map(|operation| {
        let alone = operation.launch.iter().flat_map(|it| &it.task_infos);
        let groups = operation.launch_group.iter();
        alone.chain(groups.flat_map(|it| &it.task_group.tasks))
    });
    tasks
        .map(|task| TaskKey::new(framework, &task.task_id))
        .collect()
}

/// Why a task was not launched, as its scheduler was told.
fn refusal(key: &TaskKey, actions: &[Action]) -> String {
    let told = actions.iter().find_map(|action| match action {
        Action::Event { event, .. } => update(event, &key.task),
        _ => None,
    });
    told.unwrap_or_else(|| "it was not launched".to_owned())
}

fn update(event: &Event, task: &TaskId) -> Option<String> {
    let event::Update { status } = event.update.as_ref()?;
    let state = status.state().as_str_name();
    (status.task_id == *task).then(|| format!("{state}: {}", status.message()))
}
