//! Tasks and executors: how they enter, change and leave the books.
//!
//! A task is in the books of its framework and its agent at once, and charged to both until it is
//! over. It leaves when its end is acknowledged, when its agent is given up, or with its framework.
//!
//! ```text
//! add_task ─▶ active ──update_task──▶ over, unacknowledged ──remove_task──▶ completed
//!                │
//!                └──update_task (agent given up)──remove_task──▶ unreachable
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use meseta_proto::v1::master::event::TaskUpdated;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    AgentId, ExecutorId, ExecutorInfo, FrameworkId, Task, TaskId, TaskInfo, TaskState, TaskStatus,
};
use meseta_resources::Resources;

use crate::CompletedTask;
use crate::limits::{MAX_GIVEN_UP, MAX_STATUSES_PER_TASK};
use crate::master::Master;
use crate::records::FrameworkRecord;
use crate::watchers::News;

/// Whether a task in this state takes no resources.
pub(crate) fn is_over(state: TaskState) -> bool {
    state.is_terminal() || state == TaskState::TaskUnreachable
}

/// What is known of a task that is about to be launched.
pub(crate) fn staging(task: &TaskInfo, framework: &FrameworkId) -> Task {
    let command_user = task.command.as_ref().and_then(|c| c.user.clone());
    let executor_user = task
        .executor
        .as_ref()
        .and_then(|executor| executor.command.as_ref()?.user.clone());
    Task {
        name: task.name.clone(),
        task_id: task.task_id.clone(),
        framework_id: framework.clone(),
        executor_id: task.executor.as_ref().map(|e| e.executor_id.clone()),
        agent_id: task.agent_id.clone(),
        state: TaskState::TaskStaging.into(),
        resources: task.resources.clone(),
        limits: task.limits.clone(),
        labels: task.labels.clone().map(Box::new),
        discovery: task.discovery.clone().map(Box::new),
        container: task.container.clone().map(Box::new),
        health_check: task.health_check.clone().map(Box::new),
        kill_policy: task.kill_policy,
        user: command_user.or(executor_user),
        ..Default::default()
    }
}

/// Resources of a task or an executor. They were checked when they came in.
pub(crate) fn resources_of(messages: &[meseta_proto::v1::Resource]) -> Resources {
    Resources::from_v1(messages).unwrap_or_default()
}

/// The state that schedulers have been told, or the latest if they have been told none.
pub(crate) fn told_state(task: &Task) -> TaskState {
    task.status_update_state
        .and_then(|state| TaskState::try_from(state).ok())
        .unwrap_or(task.state())
}

/// What one framework has among the tasks of an agent that are entered together.
#[derive(Debug, Default)]
struct Arrivals {
    /// Its id as it is in the books.
    framework: Option<FrameworkId>,
    tasks: Vec<Arc<Task>>,
    /// Those of the tasks that are not over.
    resources: Vec<Resources>,
}

impl Arrivals {
    fn of(framework: Option<&FrameworkRecord>) -> Self {
        Self {
            framework: framework.map(|framework| framework.id.clone()),
            ..Self::default()
        }
    }
}

/// Where a task goes that leaves the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// To the completed tasks of its framework.
    Completed,
    /// To the unreachable tasks of its framework.
    Unreachable,
}

impl Master {
    /// The task, if it is in the books.
    pub(crate) fn task(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Arc<Task>> {
        self.state.frameworks.get(framework)?.tasks.get(task)
    }

    pub(crate) fn task_mut(&mut self, framework: &FrameworkId, task: &TaskId) -> Option<&mut Task> {
        let framework = self.framework_mut(framework)?;
        framework.tasks.get_mut(task).map(Arc::make_mut)
    }

    /// Enters a task, and charges it to its framework and agent unless it is over.
    pub(crate) fn add_task(&mut self, task: Task) {
        let agent_id = task.agent_id.clone();
        let resources = resources_of(&task.resources);
        self.add_tasks(&agent_id, vec![(task, resources)]);
    }

    /// Enters tasks of one agent, each with its resources. An agent may come back with many: what
    /// they have in common is looked up, charged and kept once.
    pub(crate) fn add_tasks(&mut self, agent_id: &AgentId, tasks: Vec<(Task, Resources)>) {
        let agent = self.state.agents.get(agent_id);
        let agent_id = agent.map_or(agent_id, |agent| &agent.id).clone();
        let mut arrivals: BTreeMap<FrameworkId, Arrivals> = BTreeMap::new();
        for (mut task, resources) in tasks {
            let arrivals = arrivals
                .entry(task.framework_id.clone())
                .or_insert_with(|| Arrivals::of(self.framework(&task.framework_id)));
            if let Some(id) = &arrivals.framework {
                task.framework_id.clone_from(id);
            }
            task.agent_id.clone_from(&agent_id);
            compact(&mut task);
            let state = task.state();
            if !is_over(state) {
                arrivals.resources.push(resources);
                self.count_active(state, 1);
            }
            let task = Arc::new(task);
            self.watchers.note(|| News::TaskAdded(Arc::clone(&task)));
            arrivals.tasks.push(task);
        }
        for (framework_id, arrivals) in arrivals {
            let framework_id = arrivals.framework.unwrap_or(framework_id);
            self.charge(&framework_id, &agent_id, &arrivals.resources.iter().sum());
            if let Some(agent) = self.agent_mut(&agent_id) {
                let ids = arrivals.tasks.iter().map(|task| task.task_id.clone());
                agent.tasks.extend(ids.map(|id| (framework_id.clone(), id)));
            }
            if let Some(framework) = self.framework_mut(&framework_id) {
                let by_id = arrivals.tasks.into_iter();
                let by_id = by_id.map(|task| (task.task_id.clone(), task));
                framework.tasks.extend(by_id);
            }
        }
    }

    /// Enters what became of a task. `latest` is where the task is by now, if that is further than
    /// what the status says.
    pub(crate) fn update_task(
        &mut self,
        framework_id: &FrameworkId,
        status: &TaskStatus,
        latest: Option<TaskState>,
    ) {
        let new = latest.unwrap_or(status.state());
        let Some(task) = self.task_mut(framework_id, &status.task_id) else {
            return;
        };
        let old = task.state();
        // What has been given back is not taken again: it may be another's by now.
        if !is_over(old) || new.is_terminal() && !old.is_terminal() {
            task.state = new.into();
        }
        let is_news = note_status(task, status) || is_about_checks(status);
        let state = task.state;
        let agent_id = task.agent_id.clone();
        let resources = is_over(new).then(|| resources_of(&task.resources));
        if is_news {
            self.watchers.note(|| {
                News::TaskUpdated(Box::new(TaskUpdated {
                    framework_id: framework_id.clone(),
                    status: without_data(status),
                    state,
                }))
            });
        }
        if is_over(old) {
            return;
        }
        self.count_active(old, -1);
        let Some(resources) = resources else {
            self.count_active(new, 1);
            return;
        };
        self.release(framework_id, &agent_id, &resources);
        self.recover(framework_id, &agent_id, &resources);
        if new.is_terminal() {
            self.count_of(framework_id, |counts| {
                *counts.terminal_tasks.entry(new).or_default() += 1;
            });
            let reason = status.reason.is_some() && status.state() == new;
            self.count_ended(status, new, reason);
        }
    }

    /// Removes a task from the books; one that is not over is released first.
    pub(crate) fn remove_task(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        leaving: Leaving,
    ) {
        let policy = &self.state.config.policy;
        let bound = match leaving {
            Leaving::Completed => policy.max_completed_tasks_per_framework,
            Leaving::Unreachable => policy.max_unreachable_tasks_per_framework,
        };
        let Some(framework) = self.framework_mut(framework_id) else {
            return;
        };
        let Some(task) = framework.tasks.remove(task_id) else {
            return;
        };
        match leaving {
            Leaving::Completed => {
                let completed = &mut framework.completed_tasks;
                completed.push_back(CompletedTask::new(&task));
                if completed.len() > bound {
                    completed.pop_front();
                }
            }
            Leaving::Unreachable => {
                let unreachable = &mut framework.unreachable_tasks;
                unreachable.push_back(Arc::clone(&task));
                let dropped = if unreachable.len() > bound {
                    unreachable.pop_front()
                } else {
                    None
                };
                self.note_unreachable(framework_id, &task, dropped.as_deref());
            }
        }
        if !is_over(task.state()) {
            let resources = resources_of(&task.resources);
            self.count_active(task.state(), -1);
            self.release(framework_id, &task.agent_id, &resources);
            self.recover(framework_id, &task.agent_id, &resources);
        }
        if let Some(agent) = self.agent_mut(&task.agent_id) {
            let key = (framework_id.clone(), task_id.clone());
            agent.tasks.remove(&key);
            agent.kills.remove(&key);
        }
        self.note_less_on(&task.agent_id);
    }

    fn note_unreachable(&mut self, framework: &FrameworkId, task: &Task, dropped: Option<&Task>) {
        let counts = |task: &Task| u64::from(task.state() == TaskState::TaskUnreachable);
        let count = &mut self.state.metrics.tasks_unreachable;
        *count = (*count + counts(task)).saturating_sub(dropped.map_or(0, counts));
        self.unreachable_frameworks
            .entry(task.agent_id.clone())
            .or_default()
            .insert(framework.clone());
    }

    /// A task is taken for over without word of its agent.
    pub(crate) fn note_given_up(&mut self, framework: &FrameworkId, agent: AgentId) {
        if self.given_up.len() >= MAX_GIVEN_UP && !self.given_up.contains_key(&agent) {
            self.given_up.pop_first();
        }
        let frameworks = self.given_up.entry(agent).or_default();
        if !frameworks.contains(framework) {
            frameworks.insert(framework.clone());
        }
    }

    /// Forgets that tasks are unreachable whose agent is back.
    pub(crate) fn forget_unreachable_tasks(&mut self, agent_id: &AgentId) {
        let frameworks = self.unreachable_frameworks.remove(agent_id);
        let mut forgotten = 0;
        for id in frameworks.into_iter().flatten() {
            if let Some(framework) = self.framework_mut(&id) {
                framework.unreachable_tasks.retain(|task| {
                    let back = task.agent_id == *agent_id;
                    forgotten += u64::from(back && task.state() == TaskState::TaskUnreachable);
                    !back
                });
            }
        }
        let count = &mut self.state.metrics.tasks_unreachable;
        *count = count.saturating_sub(forgotten);
    }

    /// Enters an executor and charges it.
    pub(crate) fn add_executor(
        &mut self,
        framework_id: &FrameworkId,
        agent_id: &AgentId,
        executor: &ExecutorInfo,
    ) {
        let id = executor.executor_id.clone();
        let info = Arc::new(executor.clone());
        let Some(agent) = self.agent_mut(agent_id) else {
            return;
        };
        agent
            .executors
            .insert((framework_id.clone(), id.clone()), Arc::clone(&info));
        if let Some(framework) = self.framework_mut(framework_id) {
            let there = framework.executors.entry(agent_id.clone()).or_default();
            there.insert(id, info);
        }
        self.charge(framework_id, agent_id, &resources_of(&executor.resources));
    }

    /// Removes an executor from the books and gives its resources back. Says whether it was there.
    pub(crate) fn remove_executor(
        &mut self,
        framework_id: &FrameworkId,
        agent_id: &AgentId,
        executor_id: &ExecutorId,
    ) -> bool {
        let Some(agent) = self.agent_mut(agent_id) else {
            return false;
        };
        let key = (framework_id.clone(), executor_id.clone());
        let Some(info) = agent.executors.remove(&key) else {
            return false;
        };
        if let Some(framework) = self.framework_mut(framework_id)
            && let Some(there) = framework.executors.get_mut(agent_id)
        {
            there.remove(executor_id);
            if there.is_empty() {
                framework.executors.remove(agent_id);
            }
        }
        let resources = resources_of(&info.resources);
        self.release(framework_id, agent_id, &resources);
        self.recover(framework_id, agent_id, &resources);
        true
    }

    fn charge(&mut self, framework_id: &FrameworkId, agent_id: &AgentId, resources: &Resources) {
        if resources.is_empty() {
            return;
        }
        let mut used_there = None;
        if let Some(agent) = self.agent_mut(agent_id) {
            let used = agent.used.entry(framework_id.clone()).or_default();
            *used += resources;
            used_there = Some(used.clone());
            self.consumption.take(agent_id, resources);
        }
        if let Some(framework) = self.framework_mut(framework_id) {
            match used_there {
                // What it uses on the agent is what is used there of it: the same memory.
                Some(used) => {
                    framework.used.insert(agent_id.clone(), used);
                }
                None => *framework.used.entry(agent_id.clone()).or_default() += resources,
            }
            self.consumption.allocate(resources);
        }
    }

    fn release(&mut self, framework_id: &FrameworkId, agent_id: &AgentId, resources: &Resources) {
        if let Some(agent) = self.agent_mut(agent_id)
            && let Some(used) = agent.used.get_mut(framework_id)
        {
            *used -= resources;
            if used.is_empty() {
                agent.used.remove(framework_id);
            }
            self.consumption.give_back(resources);
        }
        if let Some(framework) = self.framework_mut(framework_id)
            && let Some(used) = framework.used.get_mut(agent_id)
        {
            debug_assert!(used.contains(resources), "{used} lacks {resources}");
            *used -= resources;
            if used.is_empty() {
                framework.used.remove(agent_id);
            }
            self.consumption.free(resources);
        }
    }

    fn count_active(&mut self, state: TaskState, change: i64) {
        let count = self.state.metrics.active_tasks.entry(state).or_default();
        *count = count.saturating_add_signed(change);
    }

    /// Counts a task that ended in `state`, with the reason if the status is about that state.
    fn count_ended(&mut self, status: &TaskStatus, state: TaskState, with_reason: bool) {
        let metrics = &mut self.state.metrics;
        *metrics.terminal_tasks.entry(state).or_default() += 1;
        if with_reason {
            let key = (state, status.source(), status.reason());
            *metrics.reasons.entry(key).or_default() += 1;
        }
    }

    /// Counts a task that ended before it was in the books.
    pub(crate) fn count_refused(&mut self, status: &TaskStatus) {
        self.count_ended(status, status.state(), true);
    }
}

/// Keeps the latest status of each change of state, without the executor's data. Says whether the
/// state is another than before.
fn note_status(task: &mut Task, status: &TaskStatus) -> bool {
    let mut is_other = true;
    if task
        .statuses
        .last()
        .is_some_and(|last| last.state == status.state)
    {
        task.statuses.pop();
        is_other = false;
    } else if task.statuses.len() >= MAX_STATUSES_PER_TASK {
        task.statuses.remove(0);
    }
    push_status(task, without_data(status));
    is_other
}

/// Has a task take no more memory than it needs, which it keeps for long. Lists are decoded into more
/// room than they fill, and its parts repeat its ids and its role.
fn compact(task: &mut Task) {
    fit(&mut task.resources);
    let ranges = task.resources.iter_mut();
    for ranges in ranges.filter_map(|it| it.ranges.as_deref_mut()) {
        fit(&mut ranges.range);
    }
    let allocations = task.resources.iter_mut();
    let mut allocations = allocations.filter_map(|it| it.allocation_info.as_mut());
    if let Some(first) = allocations.next() {
        allocations.for_each(|other| other.share_with(first));
    }
    let statuses = std::mem::take(&mut task.statuses);
    task.statuses.reserve_exact(statuses.len());
    for status in statuses {
        push_status(task, status);
    }
}

/// Appends a status. There will hardly be more, so that no room is kept for them.
fn push_status(task: &mut Task, mut status: TaskStatus) {
    status.task_id.share_with(&task.task_id);
    if let Some(id) = &mut status.agent_id {
        id.share_with(&task.agent_id);
    }
    let of_former = task.statuses.last().and_then(|it| it.executor_id.as_ref());
    let known = task.executor_id.as_ref().or(of_former);
    if let (Some(id), Some(known)) = (&mut status.executor_id, known) {
        id.share_with(known);
    }
    let container = status.container_status.as_mut();
    if let Some(networks) = container.map(|container| &mut container.network_infos) {
        fit(networks);
        for network in networks {
            fit(&mut network.ip_addresses);
        }
    }
    task.statuses.reserve_exact(1);
    task.statuses.push(status);
}

/// Moves a list into as much memory as it fills. To shrink it would not do: allocators leave what
/// fills half of its place where it is.
fn fit<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() {
        let mut fitting = Vec::with_capacity(list.len());
        fitting.append(list);
        *list = fitting;
    }
}

/// A status without the executor's data: that may be large, and is the scheduler's alone.
fn without_data(status: &TaskStatus) -> TaskStatus {
    TaskStatus {
        data: None,
        ..status.clone()
    }
}

fn is_about_checks(status: &TaskStatus) -> bool {
    matches!(
        status.reason(),
        Reason::TaskCheckStatusUpdated | Reason::TaskHealthCheckStatusUpdated
    )
}

/// Enters the end of a task that is in nobody's charge any more. What has ended stays as it did.
pub(crate) fn note_end(task: &mut Task, status: &TaskStatus) {
    if !task.state().is_terminal() {
        task.state = status.state;
    }
    note_status(task, status);
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;
    use prost::Message as _;

    use super::*;

    /// As it comes from an agent.
    fn told() -> Task {
        let status = |state: &str| {
            format!(
                r#"{{"task_id":{{"value":"t"}},"state":"{state}","agent_id":{{"value":"S"}},
                "executor_id":{{"value":"t"}},"container_status":{{"network_infos":[
                    {{"ip_addresses":[{{"ip_address":"192.0.2.1"}}]}}]}}}}"#
            )
        };
        let resource = |value: &str| format!(r#"{{{value},"allocation_info":{{"role":"r"}}}}"#);
        let text = format!(
            r#"{{"name":"n","task_id":{{"value":"t"}},"framework_id":{{"value":"f"}},
            "agent_id":{{"value":"S"}},"state":"TASK_RUNNING","resources":[{},{}],"statuses":[{},{}]}}"#,
            resource(r#""name":"cpus","type":"SCALAR","scalar":{"value":1}"#),
            resource(r#""name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2}]}"#),
            status("TASK_STARTING"),
            status("TASK_RUNNING"),
        );
        let task: Task = json::from_slice(text.as_bytes()).unwrap();
        Task::decode(&*task.encode_to_vec()).unwrap()
    }

    #[test]
    fn a_record_says_what_was_told_without_room_for_more() {
        let mut task = told();
        assert!(task.resources.capacity() > task.resources.len());
        compact(&mut task);
        assert_eq!(task, told());
        assert_eq!(task.resources.capacity(), 2);
        assert_eq!(task.statuses.capacity(), 2);
        assert_eq!(
            task.resources[1].ranges.as_ref().unwrap().range.capacity(),
            1
        );
        let container = task.statuses[1].container_status.as_ref().unwrap();
        assert_eq!(container.network_infos.capacity(), 1);
        assert_eq!(container.network_infos[0].ip_addresses.capacity(), 1);
    }

    #[test]
    fn a_record_has_its_ids_and_its_role_once() {
        let mut task = told();
        compact(&mut task);
        let text = |id: &str| id.as_ptr();
        for status in &task.statuses {
            assert_eq!(text(status.task_id.as_str()), text(task.task_id.as_str()));
            let agent = status.agent_id.as_ref().unwrap();
            assert_eq!(text(agent.as_str()), text(task.agent_id.as_str()));
        }
        let executors = task.statuses.iter().map(|it| it.executor_id.as_ref());
        let executors: Vec<_> = executors.map(|it| text(it.unwrap().as_str())).collect();
        assert_eq!(executors[0], executors[1]);
        let roles = task.resources.iter().map(|it| it.allocation_info.as_ref());
        let roles: Vec<_> = roles.map(|it| text(it.unwrap().role())).collect();
        assert_eq!(roles[0], roles[1]);
    }

    #[test]
    fn one_more_status_takes_room_for_itself_alone() {
        let mut task = told();
        compact(&mut task);
        let killing = TaskStatus {
            state: TaskState::TaskKilling.into(),
            data: Some(vec![1]),
            ..task.statuses[1].clone()
        };
        assert!(note_status(&mut task, &killing));
        assert_eq!(task.statuses.capacity(), 3);
        assert_eq!(task.statuses[2], without_data(&killing));
    }
}
