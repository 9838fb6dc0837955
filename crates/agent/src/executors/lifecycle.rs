//! What happens to executors' containers, and to the tasks in them.

use std::sync::Arc;

use meseta_proto::duration;
use meseta_proto::internal;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{ContainerId, FrameworkId, TaskId, TaskState};

use crate::agent::{Agent, Timer, Turn};
use crate::executors::RunKey;
use crate::limits::MAX_COMPLETED_FRAMEWORKS;
use crate::records::{ExecutorState, Process};
use crate::recovery::facts::{Change, executor_key, framework_key, nested_key, task_key};
use crate::task::{self, Verdict};
use crate::{Action, LaunchFailure};

impl Agent {
    pub(crate) fn on_container_launched(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
        pid: u32,
        start_time: u64,
    ) {
        if container.parent.is_some() {
            return self.on_nested_launched(turn, container, Process { pid, start_time });
        }
        let Some(key) = self.containers.get(container).cloned() else {
            // Forgotten meanwhile: nothing of it must stay.
            turn.act(Action::Destroy {
                container_id: container.clone(),
            });
            return;
        };
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        executor.process = Some(Process { pid, start_time });
        // If a crash loses it, the container goes as one that the crash kept from being started:
        // its executor can't have been given a task yet, because that is persisted.
        turn.note(self.executor_change(&key).into_iter().collect());
    }

    pub(crate) fn on_container_launch_failed(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
        failure: LaunchFailure,
    ) {
        if container.parent.is_some() {
            return self.on_nested_launch_failed(turn, container, failure);
        }
        let Some(key) = self.containers.get(container).cloned() else {
            return;
        };
        let framework = self.frameworks.get(&key.0).map(|f| Arc::clone(&f.info));
        self.counters.container_launch_errors += 1;
        let verdict = match failure {
            LaunchFailure::Sandbox(message) => Verdict::new(
                task::dropped_for(framework.as_deref()),
                Reason::ExecutorTerminated,
                message,
            ),
            LaunchFailure::Container(reason) => Verdict::new(
                TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                format!("Failed to launch container: {reason}"),
            ),
        };
        if let Some(run) = self.runs.get_mut(&key) {
            run.end = Some(verdict);
        }
        self.on_executor_ended(turn, &key, None);
    }

    pub(crate) fn on_container_exited(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
        status: Option<i32>,
    ) {
        if container.parent.is_some() {
            return self.on_nested_exited(turn, container, status);
        }
        match self.containers.get(container).cloned() {
            Some(key) => self.on_executor_ended(turn, &key, status),
            // Forgotten before it was started.
            None => turn.act(Action::ForgetStarted {
                container_id: container.clone(),
            }),
        }
    }

    /// Nothing of the executor runs any more.
    pub(crate) fn on_executor_ended(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        status: Option<i32>,
    ) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if executor.state == ExecutorState::Terminated {
            return;
        }
        let never_ran = executor.process.is_none();
        executor.state = ExecutorState::Terminated;
        executor.process = None;
        let stream = executor.stream.take();
        let container = executor.container_id.clone();
        let is_command_executor = executor.is_command_executor;
        self.counters.executors_terminated += 1;
        if let Some(stream) = stream {
            self.event_streams.remove(&stream);
            turn.act(Action::CloseStream { stream });
        }
        self.cancel_executor_timers(&container);
        self.end_containers_of(turn, key, status);
        // The next life would find the process gone as well.
        turn.note(self.executor_change(key).into_iter().collect());
        self.end_tasks(turn, key);

        let awaited = self.runs.get(key).is_some_and(|run| run.exit_is_awaited);
        if !is_command_executor || (awaited && never_ran) {
            self.send_exited_executor(turn, key, status);
        }
        let framework_ends = self.frameworks.get(&key.0).is_some_and(|f| f.terminating);
        if framework_ends || self.executor(key).is_some_and(|e| Self::is_complete(e)) {
            self.remove_executor(turn, key);
        }
        self.remove_framework_when_idle(turn, &key.0);
        self.end_recovery_when_complete(turn);
    }

    /// Says of each task of an ended executor how it ended.
    fn end_tasks(&mut self, turn: &mut Turn<'_>, key: &RunKey) {
        let framework_ends = self.frameworks.get(&key.0).is_some_and(|f| f.terminating);
        let end = self.runs.get(key).and_then(|run| run.end.clone());
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if framework_ends {
            // Nobody is there to be told.
            let tasks = std::mem::take(&mut executor.launched_tasks);
            executor.terminated_tasks.extend(tasks);
            return;
        }
        let tasks: Vec<TaskId> = executor
            .launched_tasks
            .keys()
            .chain(executor.queued_tasks.keys())
            .cloned()
            .collect();
        let verdict = end.unwrap_or_else(|| {
            Verdict::new(
                TaskState::TaskFailed,
                Reason::ExecutorTerminated,
                "Executor terminated",
            )
        });
        for id in tasks {
            self.report(turn, &(key.0.clone(), id), Some(&key.1), &verdict);
        }
    }

    pub(crate) fn send_exited_executor(
        &self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        status: Option<i32>,
    ) {
        let message = internal::ExitedExecutorMessage {
            slave_id: self.id().cloned().unwrap_or_default(),
            framework_id: key.0.clone(),
            executor_id: key.1.clone(),
            status: status.unwrap_or(-1),
        };
        self.send_to_master(turn, &message);
    }

    fn cancel_executor_timers(&mut self, container: &ContainerId) {
        for timer in [
            Timer::ExecutorRegistration(container.clone()),
            Timer::ExecutorShutdown(container.clone()),
            Timer::ExecutorHeartbeat(container.clone()),
        ] {
            self.timers.cancel(&timer);
        }
    }

    pub(crate) fn on_executor_registration_timeout(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
    ) {
        let Some(key) = self.containers.get(container).cloned() else {
            return;
        };
        let waited = duration::format(self.config.executor_registration_timeout);
        let verdict = Verdict::new(
            TaskState::TaskFailed,
            Reason::ExecutorRegistrationTimeout,
            format!("Executor did not register within {waited}"),
        );
        self.give_up_on_executor(turn, &key, verdict);
    }

    pub(crate) fn on_executor_shutdown_timeout(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
    ) {
        if self.containers.contains_key(container) {
            turn.act(Action::Destroy {
                container_id: container.clone(),
            });
        }
    }

    /// An executor lacks volumes that tasks of its are to use.
    pub(crate) fn on_volumes_not_linked(
        &mut self,
        turn: &mut Turn<'_>,
        container: &ContainerId,
        reason: &str,
    ) {
        let Some(key) = self.containers.get(container).cloned() else {
            return;
        };
        match self.executor_mut(&key) {
            Some(executor) if executor.state != ExecutorState::Terminated => {
                executor.state = ExecutorState::Terminating;
            }
            Some(_) | None => return,
        }
        if let Some(run) = self.runs.get_mut(&key) {
            run.end = Some(Verdict::new(
                TaskState::TaskFailed,
                Reason::ContainerUpdateFailed,
                format!("Failed to update resources for container: {reason}"),
            ));
        }
        turn.act(Action::Destroy {
            container_id: container.clone(),
        });
    }

    /// Destroys the container of an executor that has not subscribed.
    pub(crate) fn give_up_on_executor(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        verdict: Verdict,
    ) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if executor.state != ExecutorState::Registering {
            return;
        }
        executor.state = ExecutorState::Terminating;
        let container_id = executor.container_id.clone();
        if let Some(run) = self.runs.get_mut(key) {
            run.end = Some(verdict);
        }
        turn.act(Action::Destroy { container_id });
    }

    /// Lets an ended executor go, into the memory of its framework.
    pub(crate) fn remove_executor(&mut self, turn: &mut Turn<'_>, key: &RunKey) {
        let remembered = self.config.max_completed_executors_per_framework;
        let Some(framework) = self.framework_mut(&key.0) else {
            return;
        };
        let Some(executor) = framework.executors.remove(&key.1) else {
            return;
        };
        framework
            .completed_executors
            .push_back(Arc::clone(&executor));
        while framework.completed_executors.len() > remembered {
            framework.completed_executors.pop_front();
        }
        let mut changes = vec![Change::forget(executor_key(&key.0, &key.1))];
        let tasks = executor
            .queued_tasks
            .keys()
            .chain(executor.launched_tasks.keys())
            .chain(executor.terminated_tasks.keys());
        for task in tasks {
            self.tasks.remove(&(key.0.clone(), task.clone()));
            changes.push(Change::forget(task_key(&key.0, &key.1, task)));
        }
        let nested = executor.containers.keys();
        changes.extend(nested.map(|id| Change::forget(nested_key(&key.0, &key.1, id))));
        self.runs.remove(key);
        self.containers.remove(&executor.container_id);
        self.cancel_executor_timers(&executor.container_id);
        self.discard_executor(turn, key, executor.container_id.clone());
        turn.note(changes);
        turn.act(Action::ForgetStarted {
            container_id: executor.container_id.clone(),
        });
    }

    /// Lets a framework go that has nothing on the agent any more. Its updates that are not yet
    /// acknowledged stay until they are.
    pub(crate) fn remove_framework_when_idle(&mut self, turn: &mut Turn<'_>, id: &FrameworkId) {
        if self
            .frameworks
            .get(id)
            .is_none_or(|f| !f.executors.is_empty())
        {
            return;
        }
        if let Some(framework) = self.frameworks.remove(id) {
            self.completed_frameworks.retain(|f| f.id() != *id);
            self.completed_frameworks.push_back(framework);
            while self.completed_frameworks.len() > MAX_COMPLETED_FRAMEWORKS {
                self.completed_frameworks.pop_front();
            }
            self.discard_framework(turn, id);
        }
        turn.note(vec![Change::forget(framework_key(id))]);
        self.exit_when_idle(turn);
    }
}
