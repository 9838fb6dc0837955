//! Executors: how they come, what they are told, and how they go.
//!
//! [`calls`] is the HTTP API, [`driver`] the libprocess messages of old executors, [`lifecycle`] what
//! happens to their containers, and [`lost`] what becomes of tasks that did not reach them.

mod calls;
mod driver;
mod lifecycle;
mod lost;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use meseta_proto::v1::{
    ExecutorId, FrameworkId, KillPolicy, TaskGroupInfo, TaskId, TaskInfo, executor,
};
use meseta_proto::{Upid, internal};

use crate::Action;
use crate::agent::{Agent, Timer, Turn};
use crate::nested::NestedRuns;
use crate::records::{Executor, ExecutorState};
use crate::recovery::facts::{Change, ExecutorFact, ProcessFact, TaskFact, pid_text};
use crate::recovery::facts::{executor_key, task_key};
use crate::task::{self, Verdict};

/// Which executor.
pub(crate) type RunKey = (FrameworkId, ExecutorId);

/// What the machine keeps of a run beside the record that readers see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// The process of an executor on the old driver.
    pub(crate) pid: Option<Upid>,
    /// Tasks to deliver, in order.
    pub(crate) queue: BTreeMap<u64, Queued>,
    /// Kills that came while the executor was out of reach.
    pub(crate) kills: BTreeMap<TaskId, Option<KillPolicy>>,
    /// Why it ends, if the agent knows better than its exit status.
    pub(crate) end: Option<Verdict>,
    /// It has reported of a task that is over and acknowledged.
    pub(crate) has_served: bool,
    /// The master waits to hear of its end even if it never started.
    pub(crate) exit_is_awaited: bool,
    /// Tasks that the executor was given and has not reported of.
    pub(crate) unconfirmed: BTreeMap<TaskId, Unconfirmed>,
    /// Its container was asked for by a former life of the agent, which died before that started it.
    pub(crate) is_unstarted: bool,
    /// The containers inside of its own.
    pub(crate) nested: NestedRuns,
}

/// A task that may not have arrived.
#[derive(Debug, Clone)]
pub(crate) struct Unconfirmed {
    pub(crate) info: Arc<TaskInfo>,
    /// Its place in the queue, which the tasks of a group share.
    pub(crate) position: u64,
    pub(crate) in_group: bool,
}

impl Run {
    /// The executor has a task, or will never have it. A group arrives as a whole.
    pub(crate) fn confirm(&mut self, id: &TaskId) {
        let confirmed = self.unconfirmed.remove(id);
        if let Some(group) = confirmed.filter(|task| task.in_group) {
            let others = |task: &Unconfirmed| task.position != group.position;
            self.unconfirmed.retain(|_, task| others(task));
        }
    }
}

/// What is delivered at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) in_group: bool,
}

/// What an agent tells an executor.
#[derive(Debug, Clone)]
pub(crate) enum ToExecutor {
    Launch(Box<TaskInfo>),
    LaunchGroup(Vec<TaskInfo>),
    Kill(TaskId, Option<KillPolicy>),
    Acknowledged(TaskId, Vec<u8>),
    Message(Vec<u8>),
    Shutdown,
}

impl ToExecutor {
    fn into_event(self) -> executor::Event {
        use executor::event::{self, Type};
        let of = |kind: Type| executor::Event {
            r#type: Some(kind.into()),
            ..executor::Event::default()
        };
        match self {
            Self::Launch(task) => executor::Event {
                launch: Some(event::Launch { task: *task }),
                ..of(Type::Launch)
            },
            Self::LaunchGroup(tasks) => executor::Event {
                launch_group: Some(event::LaunchGroup {
                    task_group: TaskGroupInfo { tasks },
                }),
                ..of(Type::LaunchGroup)
            },
            Self::Kill(task_id, kill_policy) => executor::Event {
                kill: Some(event::Kill {
                    task_id,
                    kill_policy,
                }),
                ..of(Type::Kill)
            },
            Self::Acknowledged(task_id, uuid) => executor::Event {
                acknowledged: Some(event::Acknowledged { task_id, uuid }),
                ..of(Type::Acknowledged)
            },
            Self::Message(data) => executor::Event {
                message: Some(event::Message { data }),
                ..of(Type::Message)
            },
            Self::Shutdown => of(Type::Shutdown),
        }
    }
}

impl Agent {
    /// Tells an executor something, by its stream or its driver's process. What is told to an
    /// executor that is out of reach is lost, unless the caller keeps it.
    pub(crate) fn tell_executor(&self, turn: &mut Turn<'_>, key: &RunKey, what: ToExecutor) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        if let Some(stream) = &executor.stream {
            turn.act(Action::Event {
                stream: stream.clone(),
                event: Arc::new(what.into_event()),
            });
        } else if let Some(pid) = self.runs.get(key).and_then(|run| run.pid.clone()) {
            self.tell_driver(turn, key, pid, what);
        }
    }

    /// Whether what the executor is told reaches it, as far as the agent knows.
    pub(crate) fn is_reachable(&self, key: &RunKey) -> bool {
        self.executor(key).is_some_and(|e| {
            e.state == ExecutorState::Running
                && (e.stream.is_some() || self.runs.get(key).is_some_and(|run| run.pid.is_some()))
        })
    }

    /// Gives a running executor the tasks that wait for it, and the kills.
    pub(crate) fn deliver(&mut self, turn: &mut Turn<'_>, key: &RunKey) {
        if !self.is_reachable(key) {
            return;
        }
        let Some(run) = self.runs.get_mut(key) else {
            return;
        };
        let queue = std::mem::take(&mut run.queue);
        let kills = std::mem::take(&mut run.kills);
        for (position, entry) in queue {
            let tasks = self.take_queued(turn, key, position, &entry);
            if entry.in_group && !tasks.is_empty() {
                self.tell_executor(turn, key, ToExecutor::LaunchGroup(tasks));
            } else {
                for task in tasks {
                    self.tell_executor(turn, key, ToExecutor::Launch(Box::new(task)));
                }
            }
        }
        for (task, policy) in kills {
            self.tell_executor(turn, key, ToExecutor::Kill(task, policy));
        }
    }

    /// Moves tasks from the queue into the executor's hands: first on disk, then in fact.
    fn take_queued(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        position: u64,
        entry: &Queued,
    ) -> Vec<TaskInfo> {
        let Some(executor) = self.executor_mut(key) else {
            return Vec::new();
        };
        let mut infos = Vec::new();
        let mut unconfirmed = Vec::new();
        let mut changes = Vec::new();
        for id in &entry.tasks {
            // Killed ones are no longer there.
            let Some(info) = executor.queued_tasks.remove(id) else {
                continue;
            };
            let task = task::staging(&info, &key.0);
            let given = Unconfirmed {
                info: Arc::clone(&info),
                position,
                in_group: entry.in_group,
            };
            let fact = TaskFact {
                task: Some(task.clone()),
                ..TaskFact::waiting(key, &given)
            };
            changes.push(Change::put(task_key(&key.0, &key.1, id), &fact));
            executor.launched_tasks.insert(id.clone(), Arc::new(task));
            infos.push((*info).clone());
            unconfirmed.push((id.clone(), given));
        }
        if let Some(run) = self.runs.get_mut(key) {
            run.unconfirmed.extend(unconfirmed);
        }
        turn.persist(changes);
        infos
    }

    /// Asks an executor to end, and ends it if it does not.
    pub(crate) fn shut_down_executor(&mut self, turn: &mut Turn<'_>, key: &RunKey) {
        let default_grace = self.config.executor_shutdown_grace_period;
        let Some(executor) = self.executor(key) else {
            return;
        };
        match executor.state {
            ExecutorState::Registering | ExecutorState::Running => {}
            ExecutorState::Terminating | ExecutorState::Terminated => return,
        }
        let container = executor.container_id.clone();
        let grace = executor
            .info
            .shutdown_grace_period
            .map_or(default_grace, Duration::from);
        self.tell_executor(turn, key, ToExecutor::Shutdown);
        if let Some(executor) = self.executor_mut(key) {
            executor.state = ExecutorState::Terminating;
        }
        self.timers
            .cancel(&Timer::ExecutorRegistration(container.clone()));
        let at = turn.after(grace);
        self.timers.set(Timer::ExecutorShutdown(container), at);
    }

    /// Whether the executor was ever given a task. One that was not, and has none waiting, has
    /// nothing to live for.
    pub(crate) fn has_purpose(&self, key: &RunKey) -> bool {
        self.executor(key).is_some_and(|e| {
            !e.queued_tasks.is_empty()
                || !e.launched_tasks.is_empty()
                || e.terminated_tasks.values().any(|t| task::was_reported(t))
                || self.runs.get(key).is_some_and(|run| run.has_served)
        })
    }

    /// The change that makes an executor's present state durable.
    pub(crate) fn executor_change(&self, key: &RunKey) -> Option<Change> {
        let executor = self.executor(key)?;
        let fact = ExecutorFact {
            info: (*executor.info).clone(),
            is_command_executor: executor.is_command_executor,
            container_id: executor.container_id.clone(),
            user: executor.user.clone(),
            process: executor
                .process
                .map(|process| ProcessFact::new(process, &self.config.boot_id)),
            pid: pid_text(self.runs.get(key)?.pid.as_ref()),
            terminated: executor.state == ExecutorState::Terminated,
            has_served: self.runs.get(key)?.has_served,
            boot_id: self.config.boot_id.clone(),
        };
        Some(Change::put(executor_key(&key.0, &key.1), &fact))
    }

    pub(crate) fn persist_executor(&self, turn: &mut Turn<'_>, key: &RunKey) {
        turn.persist(self.executor_change(key).into_iter().collect());
    }

    pub(crate) fn on_shutdown_executor(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::ShutdownExecutorMessage,
    ) {
        if let (Some(framework), Some(executor)) = (message.framework_id, message.executor_id) {
            self.shut_down_executor(turn, &(framework, executor));
        }
    }

    /// A message of a scheduler for its executor.
    pub(crate) fn on_framework_message(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::FrameworkToExecutorMessage,
    ) {
        let key = (message.framework_id, message.executor_id);
        let known = self.frameworks.get(&key.0).is_some_and(|f| !f.terminating);
        if known && self.is_registered() && self.is_reachable(&key) {
            self.counters.valid_framework_messages += 1;
            self.tell_executor(turn, &key, ToExecutor::Message(message.data));
        } else {
            self.counters.invalid_framework_messages += 1;
        }
    }

    /// A message of an executor for its scheduler: straight to an old driver, else by the master.
    pub(crate) fn send_executor_message(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        data: Vec<u8>,
    ) {
        let framework = self.frameworks.get(&key.0).filter(|f| !f.terminating);
        let (Some(framework), true) = (framework, self.is_registered()) else {
            self.counters.invalid_framework_messages += 1;
            return;
        };
        let scheduler = framework.pid.clone();
        self.counters.valid_framework_messages += 1;
        let message = internal::ExecutorToFrameworkMessage {
            slave_id: self.id().cloned().unwrap_or_default(),
            framework_id: key.0.clone(),
            executor_id: key.1.clone(),
            data,
        };
        match scheduler {
            Some(pid) => self.send(turn, pid, &message),
            None => self.send_to_master(turn, &message),
        }
    }

    /// Whether every task of the executor is over and acknowledged.
    pub(crate) fn is_complete(executor: &Executor) -> bool {
        executor.queued_tasks.is_empty()
            && executor.launched_tasks.is_empty()
            && executor.terminated_tasks.is_empty()
    }
}

impl TaskFact {
    /// A task that the executor is to be given.
    pub(crate) fn waiting(key: &RunKey, task: &Unconfirmed) -> Self {
        Self {
            framework_id: key.0.to_string(),
            executor_id: key.1.to_string(),
            queued: Some((*task.info).clone()),
            position: task.position,
            in_group: task.in_group,
            task: None,
        }
    }

    /// A task in an executor's hands, or past them.
    pub(crate) fn launched(key: &RunKey, task: &meseta_proto::v1::Task) -> Self {
        Self {
            framework_id: key.0.to_string(),
            executor_id: key.1.to_string(),
            task: Some(task.clone()),
            ..Self::default()
        }
    }
}
