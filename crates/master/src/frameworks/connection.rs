//! Whether schedulers are there, and what happens when they are not.

use std::sync::Arc;
use std::time::Duration;

use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::internal::ShutdownFrameworkMessage;
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::{FrameworkId, TaskState, task_status};

use crate::CompletedTask;
use crate::events::Notice;
use crate::limits::TIMER_SLACK;
use crate::master::Master;
use crate::offers::Rescinding;
use crate::records::Endpoint;
use crate::step::Step;
use crate::tasks::{Leaving, note_end};
use crate::timers::Timer;
use crate::updates::{MasterStatus, master_update};
use crate::watchers::News;

impl Master {
    /// Makes this the way to the framework's scheduler.
    pub(super) fn connect(&mut self, step: &mut Step<'_>, id: &FrameworkId, endpoint: Endpoint) {
        self.former_drivers.remove(id);
        match &endpoint {
            Endpoint::Http(stream) => self.peers.add_stream(stream, id),
            Endpoint::Driver(pid) => {
                self.peers.add_driver(pid, id);
                step.link(pid.address);
            }
            Endpoint::None => {}
        }
        self.count_of(id, |counts| {
            *counts.calls.entry(call::Type::Subscribe).or_default() += 1;
        });
        if let Some(framework) = self.framework_mut(id) {
            framework.endpoint = endpoint;
            self.watchers.note(|| News::FrameworkUpdated(id.clone()));
        }
    }

    /// Gives up the way to the framework's scheduler, after what was said on it.
    pub(super) fn disconnect_endpoint(&mut self, step: &mut Step<'_>, id: &FrameworkId) {
        self.timers.cancel(&Timer::Heartbeat(id.clone()));
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        match std::mem::replace(&mut framework.endpoint, Endpoint::None) {
            Endpoint::Http(stream) => {
                self.peers.remove_stream(&stream);
                step.close_stream(stream);
            }
            Endpoint::Driver(pid) => {
                self.peers.remove_driver(&pid);
                // It authenticates again before it comes back.
                self.forget_authentication(&pid);
            }
            Endpoint::None => {}
        }
    }

    /// Sends a heartbeat now, because some clients read an event only when the next one begins, and
    /// from then on at regular times.
    pub(super) fn start_heartbeat(&mut self, step: &mut Step<'_>, id: &FrameworkId) {
        if self
            .framework(id)
            .is_some_and(|f| f.endpoint.stream().is_some())
        {
            self.notify(step, id, Notice::Heartbeat);
            let due = step.now.monotonic + self.state.config.policy.heartbeat_interval;
            self.timers
                .set_about(Timer::Heartbeat(id.clone()), due, TIMER_SLACK);
        }
    }

    pub(crate) fn on_heartbeat_due(&mut self, step: &mut Step<'_>, id: &FrameworkId) {
        self.start_heartbeat(step, id);
    }

    /// A subscriber's connection ended.
    pub(crate) fn on_stream_closed(&mut self, step: &mut Step<'_>, stream: &StreamId) {
        let Some(id) = self.peers.stream(stream).cloned() else {
            return;
        };
        self.peers.remove_stream(stream);
        if let Some(framework) = self.framework_mut(&id) {
            framework.endpoint = Endpoint::None;
        }
        self.await_return(step, &id);
    }

    /// The link to a driver broke.
    pub(crate) fn on_driver_exited(&mut self, step: &mut Step<'_>, id: &FrameworkId) {
        // It may be there after all: then this tells it that it is not subscribed any more.
        let sentence = "Framework disconnected".to_owned();
        self.notify(step, id, Notice::Error(sentence));
        let pid = self.framework(id).and_then(|f| f.endpoint.pid().cloned());
        self.disconnect_endpoint(step, id);
        if let Some(pid) = pid {
            self.former_drivers.insert(id.clone(), pid);
        }
        self.await_return(step, id);
    }

    /// The framework's scheduler is away. It gets no offers, and has some time to come back.
    fn await_return(&mut self, step: &mut Step<'_>, id: &FrameworkId) {
        self.timers.cancel(&Timer::Heartbeat(id.clone()));
        self.deactivate_framework(step, id);
        self.watchers.note(|| News::FrameworkUpdated(id.clone()));
        let Some(framework) = self.framework(id) else {
            return;
        };
        // What is longer than time itself needs no timer.
        let seconds = framework.info.failover_timeout().max(0.0);
        let due = Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|timeout| step.now.monotonic.checked_add(timeout));
        if let Some(due) = due {
            self.timers.set(Timer::FrameworkFailover(id.clone()), due);
        }
    }

    /// Offers nothing to the framework, and takes back what it was offered.
    pub(super) fn deactivate_framework(&mut self, step: &mut Step<'_>, id: &FrameworkId) {
        if let Some(framework) = self.framework_mut(id) {
            framework.active = false;
            self.allocator.deactivate_framework(id);
            self.remove_offers_of_framework(step, id, Rescinding::Told);
        }
    }

    /// Ends a framework: its executors are shut down, its tasks are over.
    pub(crate) fn remove_framework(&mut self, step: &mut Step<'_>, id: &FrameworkId) {
        if self.framework(id).is_none() {
            return;
        }
        self.remove_offers_of_framework(step, id, Rescinding::Silent);
        self.disconnect_endpoint(step, id);
        let message = ShutdownFrameworkMessage {
            framework_id: id.clone(),
        };
        let agents = self.state.agents.values().map(|agent| &agent.pid);
        step.send_to_all(agents, &message);
        self.end_all_tasks(step, id);
        self.allocator.remove_framework(id);
        self.forget_inverse_answers(id);
        self.former_drivers.remove(id);
        self.timers.cancel(&Timer::FrameworkFailover(id.clone()));
        self.orphan_operations(id);

        let Some(mut record) = self.state.frameworks.remove(id) else {
            return;
        };
        let framework = Arc::make_mut(&mut record);
        for used in framework.used.values() {
            self.consumption.free(used);
        }
        self.state.metrics.frameworks.remove(id);
        self.watchers
            .note(|| News::FrameworkRemoved(Arc::clone(&framework.info)));
        framework.active = false;
        framework.operations.clear();
        framework.operation_ids.clear();
        framework.unregistered_time = Some(step.now.wall);
        let completed = &mut self.state.completed_frameworks;
        completed.push_back(record);
        if completed.len() > self.state.config.policy.max_completed_frameworks {
            completed.pop_front();
        }
    }

    /// Nobody is told: the scheduler is gone, or wanted it so.
    fn end_all_tasks(&mut self, step: &Step<'_>, id: &FrameworkId) {
        let status = MasterStatus {
            state: TaskState::TaskKilled,
            reason: task_status::Reason::FrameworkRemoved,
            message: format!("Framework {id} removed"),
            unreachable_time: None,
        };
        let Some(framework) = self.framework(id) else {
            return;
        };
        let (tasks, executors) = (framework.tasks.clone(), framework.executors.clone());
        for (task_id, task) in &tasks {
            let (agent, executor) = (Some(&task.agent_id), task.executor_id.as_ref());
            let update = master_update(step, id, agent, task_id, executor, &status);
            self.update_task(id, &update.status, None);
            self.remove_task(id, task_id, Leaving::Completed);
        }
        for (agent, executors) in &executors {
            for executor in executors.keys() {
                self.remove_executor(id, agent, executor);
            }
        }
        let bound = self.state.config.policy.max_completed_tasks_per_framework;
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        let unreachable = std::mem::take(&mut framework.unreachable_tasks);
        let mut counted = 0;
        for mut task in unreachable {
            counted += u64::from(task.state() == TaskState::TaskUnreachable);
            let agent = Some(&task.agent_id);
            let executor = task.executor_id.as_ref();
            let update = master_update(step, id, agent, &task.task_id, executor, &status);
            note_end(Arc::make_mut(&mut task), &update.status);
            framework
                .completed_tasks
                .push_back(CompletedTask::new(&task));
            if framework.completed_tasks.len() > bound {
                framework.completed_tasks.pop_front();
            }
        }
        let count = &mut self.state.metrics.tasks_unreachable;
        *count = count.saturating_sub(counted);
    }

    /// An operator asks for the end of a framework.
    pub(crate) fn on_operator_teardown(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        id: &FrameworkId,
    ) {
        let reply = if self.framework(id).is_some() {
            self.state.metrics.messages.unregister_framework += 1;
            self.remove_framework(step, id);
            Reply::ok()
        } else {
            Reply::bad_request("No framework found with specified ID")
        };
        step.reply(request, reply);
    }
}
