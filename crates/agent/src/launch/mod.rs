//! From a master's order to run a task to a task in an executor's queue, and a container on its
//! way if the executor is new.

mod admission;
mod again;
mod command;
mod container;
mod default;
mod environment;

pub(crate) use container::{command_line, refuse_unserved};
pub(crate) use environment::PATH as DEFAULT_PATH;

use std::sync::Arc;

use imbl::OrdMap;
use imbl::Vector;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    ExecutorInfo, FrameworkInfo, Resource, TaskInfo, TaskState, framework_info::capability,
    resource,
};
use meseta_proto::{Upid, internal};

use crate::agent::{Agent, Phase, Timer, Turn};
use crate::executors::{Queued, Run, RunKey};
use crate::records::{Executor, ExecutorState, Framework, has_capability};
use crate::recovery::facts::{Change, FrameworkFact, TaskFact, task_key};
use crate::sandbox;
use crate::task::{self, Verdict};

/// What a master wants to be run, tasks and task groups alike.
struct Order {
    framework: FrameworkInfo,
    /// The old driver's process.
    pid: Option<Upid>,
    executor: ExecutorInfo,
    is_command: bool,
    tasks: Vec<TaskInfo>,
    in_group: bool,
    versions: Vec<internal::ResourceVersionUuid>,
    /// Whether the master takes the executor to be new; older ones do not say.
    launch_executor: Option<bool>,
}

impl Order {
    fn key(&self) -> RunKey {
        let framework = self.framework.id.clone().unwrap_or_default();
        (framework, self.executor.executor_id.clone())
    }

    /// What the tasks and their executor use.
    fn resources(&self) -> impl Iterator<Item = &Resource> {
        let of_tasks = self.tasks.iter().flat_map(|task| &task.resources);
        self.executor.resources.iter().chain(of_tasks)
    }
}

/// Why an order is not followed.
struct Refusal {
    verdict: Verdict,
    /// Whether the executor that is there shall end: the master and the agent disagree about it.
    ends_executor: bool,
}

impl Agent {
    pub(crate) fn on_run_task(&mut self, turn: &mut Turn<'_>, message: internal::RunTaskMessage) {
        let mut framework = message.framework;
        #[allow(deprecated, reason = "where old masters put the id")]
        let id = message.framework_id;
        framework.id = framework.id.or(id);
        let task = message.task;
        let is_command = task.executor.is_none();
        let executor = match &task.executor {
            Some(executor) => executor.clone(),
            None => command::executor(&self.config, &framework, &task),
        };
        let order = Order {
            pid: Upid::from_field(message.pid.as_deref()),
            framework,
            executor,
            is_command,
            tasks: vec![task],
            in_group: false,
            versions: message.resource_version_uuids,
            launch_executor: message.launch_executor,
        };
        self.on_order(turn, order);
    }

    pub(crate) fn on_run_task_group(
        &mut self,
        turn: &mut Turn<'_>,
        message: internal::RunTaskGroupMessage,
    ) {
        let order = Order {
            pid: None,
            framework: message.framework,
            executor: message.executor,
            is_command: false,
            tasks: message.task_group.tasks,
            in_group: true,
            versions: message.resource_version_uuids,
            launch_executor: message.launch_executor,
        };
        self.on_order(turn, order);
    }

    fn on_order(&mut self, turn: &mut Turn<'_>, mut order: Order) {
        if !matches!(self.phase, Phase::Disconnected | Phase::Running) || !self.is_for_us(&order) {
            return;
        }
        order.executor.framework_id.clone_from(&order.framework.id);
        normalise(&mut order);
        let key = order.key();
        if self.frameworks.get(&key.0).is_some_and(|f| f.terminating) {
            // The framework is gone: nobody waits for its task, but the master for the executor.
            self.answer_awaited_exit(turn, &order);
            return;
        }
        self.admit_framework(turn, &order);
        match self.admit(&order) {
            Ok(()) => self.run(turn, &order),
            Err(refusal) => self.refuse(turn, &order, &refusal),
        }
    }

    /// Whether the order makes sense here at all. Masters have checked all of this; an order that
    /// fails is another agent's, a repetition, or not from a master in its right mind.
    fn is_for_us(&self, order: &Order) -> bool {
        let (framework, executor) = order.key();
        let ids = [framework.as_str(), executor.as_str()];
        let tasks = order.tasks.iter();
        !order.tasks.is_empty()
            && ids.into_iter().all(sandbox::is_valid_id)
            && tasks.clone().all(|task| {
                Some(&task.agent_id) == self.id() && sandbox::is_valid_id(task.task_id.as_str())
            })
            && !tasks
                .map(|task| (framework.clone(), task.task_id.clone()))
                .any(|key| self.tasks.contains_key(&key))
    }

    /// Makes the framework known, with what is remembered of it.
    fn admit_framework(&mut self, turn: &mut Turn<'_>, order: &Order) {
        let (id, _) = order.key();
        if self.frameworks.contains_key(&id) {
            return;
        }
        let remembered = self.completed_frameworks.iter().position(|f| f.id() == id);
        let completed_executors = remembered
            .map(|index| self.completed_frameworks.remove(index))
            .map_or_else(Vector::new, |f| f.completed_executors.clone());
        let framework = Framework {
            info: Arc::new(order.framework.clone()),
            pid: order.pid.clone(),
            terminating: false,
            executors: OrdMap::new(),
            completed_executors,
        };
        turn.persist(vec![FrameworkFact::change(&framework)]);
        self.frameworks.insert(id, Arc::new(framework));
    }

    fn refuse(&mut self, turn: &mut Turn<'_>, order: &Order, refusal: &Refusal) {
        let key = order.key();
        for task in &order.tasks {
            let id = (key.0.clone(), task.task_id.clone());
            self.report(turn, &id, Some(&key.1), &refusal.verdict);
        }
        match self.executor(&key).map(|e| e.state) {
            None => self.answer_awaited_exit(turn, order),
            Some(ExecutorState::Terminated) if refusal.ends_executor => {
                self.send_exited_executor(turn, &key, None);
            }
            Some(_) if refusal.ends_executor => self.shut_down_executor(turn, &key),
            Some(_) => {}
        }
        self.remove_framework_when_idle(turn, &key.0);
    }

    /// The master counts an executor as started with the order; it has to learn that it is not.
    fn answer_awaited_exit(&self, turn: &mut Turn<'_>, order: &Order) {
        if order.launch_executor == Some(true) {
            self.send_exited_executor(turn, &order.key(), None);
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>, order: &Order) {
        let key = order.key();
        let is_new = self.executor(&key).is_none();
        if is_new {
            self.add_executor(order);
            self.persist_executor(turn, &key);
        }
        let tasks = order.tasks.clone();
        self.enqueue(turn, &key, tasks, order.in_group);
        if is_new {
            self.launch_container(turn, &key, order);
        } else {
            self.link_volumes(turn, &key, order);
            self.deliver(turn, &key);
        }
    }

    /// Puts the volumes of further tasks into the sandbox of their executor.
    fn link_volumes(&self, turn: &mut Turn<'_>, key: &RunKey, order: &Order) {
        let resources = order.tasks.iter().flat_map(|task| task.resources.clone());
        let resources: Vec<Resource> = resources.collect();
        // Admission has seen that they have their places.
        let volumes = self.volume_links(key, &resources).unwrap_or_default();
        if let Some(executor) = self.executor(key).filter(|_| !volumes.is_empty()) {
            turn.act(crate::Action::LinkVolumes {
                container_id: executor.container_id.clone(),
                directory: executor.directory.clone(),
                user: executor.user.clone(),
                volumes,
            });
        }
    }

    fn add_executor(&mut self, order: &Order) {
        let key = order.key();
        self.keep_folders_of(&key);
        let container_id = self.entropy.uuid().as_str().into();
        let (directory, _) = sandbox::sandbox(
            &self.config.work_dir,
            self.info.id.as_ref().unwrap_or(&"".into()),
            &key.0,
            &key.1,
            &container_id,
        );
        let user = self.config.switch_user.then(|| {
            let command = order.executor.command.as_ref();
            command
                .and_then(|c| c.user.clone())
                .unwrap_or_else(|| order.framework.user.clone())
        });
        let executor = Executor {
            info: Arc::new(order.executor.clone()),
            is_command_executor: order.is_command,
            container_id: container_id.clone(),
            directory,
            user,
            state: ExecutorState::Registering,
            process: None,
            stream: None,
            containers: OrdMap::new(),
            queued_tasks: OrdMap::new(),
            launched_tasks: OrdMap::new(),
            terminated_tasks: OrdMap::new(),
            completed_tasks: Vector::new(),
        };
        if let Some(framework) = self.framework_mut(&key.0) {
            framework
                .executors
                .insert(key.1.clone(), Arc::new(executor));
        }
        let run = Run {
            exit_is_awaited: order.launch_executor == Some(true),
            ..Run::default()
        };
        self.runs.insert(key.clone(), run);
        self.containers.insert(container_id, key);
    }

    fn enqueue(&mut self, turn: &mut Turn<'_>, key: &RunKey, tasks: Vec<TaskInfo>, in_group: bool) {
        let position = self.next_position;
        self.next_position += 1;
        let entry = Queued {
            tasks: tasks.iter().map(|task| task.task_id.clone()).collect(),
            in_group,
        };
        let mut changes = Vec::new();
        for task in &tasks {
            let fact = TaskFact {
                framework_id: key.0.to_string(),
                executor_id: key.1.to_string(),
                queued: Some(task.clone()),
                position,
                in_group,
                task: None,
            };
            changes.push(Change::put(task_key(&key.0, &key.1, &task.task_id), &fact));
            self.tasks
                .insert((key.0.clone(), task.task_id.clone()), key.1.clone());
        }
        turn.persist(changes);
        if let Some(run) = self.runs.get_mut(key) {
            run.queue.insert(position, entry);
        }
        if let Some(executor) = self.executor_mut(key) {
            for task in tasks {
                executor
                    .queued_tasks
                    .insert(task.task_id.clone(), Arc::new(task));
            }
        }
    }

    fn launch_container(&mut self, turn: &mut Turn<'_>, key: &RunKey, order: &Order) {
        let Some(executor) = self.executor(key).cloned() else {
            return;
        };
        match self.container(&executor, order) {
            Ok(launch) => {
                let at = turn.after(self.config.executor_registration_timeout);
                let timer = Timer::ExecutorRegistration(executor.container_id.clone());
                self.timers.set(timer, at);
                turn.act(crate::Action::Launch(Box::new(launch)));
            }
            Err(message) => {
                self.counters.container_launch_errors += 1;
                if let Some(run) = self.runs.get_mut(key) {
                    run.end = Some(Verdict::new(
                        TaskState::TaskFailed,
                        Reason::ContainerLaunchFailed,
                        format!("Failed to launch container: {message}"),
                    ));
                }
                self.on_executor_ended(turn, key, None);
            }
        }
    }
}

/// Brings what old masters and frameworks send into today's form: every resource is allocated to
/// a role and says in the new form whom it is reserved to.
fn normalise(order: &mut Order) {
    let framework = &order.framework;
    #[allow(deprecated, reason = "how frameworks of one role name it")]
    let role = if has_capability(framework, capability::Type::MultiRole) {
        framework.roles.first().cloned()
    } else {
        framework.role.clone()
    };
    let role: Arc<str> = role.map_or_else(|| "*".into(), Into::into);
    let normalise = |resources: &mut Vec<Resource>| {
        for resource in resources {
            resource
                .allocation_info
                .get_or_insert_with(|| resource::AllocationInfo {
                    role: Some(role.clone()),
                });
            // What cannot be upgraded is refused with the rest of what is invalid.
            let _ = meseta_resources::upgrade(resource);
        }
    };
    normalise(&mut order.executor.resources);
    for task in &mut order.tasks {
        normalise(&mut task.resources);
        if let Some(executor) = &mut task.executor {
            normalise(&mut executor.resources);
        }
    }
}

impl Refusal {
    fn dropped(order: &Order, reason: Reason, message: impl Into<String>) -> Self {
        let state = task::dropped_for(Some(&order.framework));
        Self {
            verdict: Verdict::new(state, reason, message),
            ends_executor: false,
        }
    }
}
