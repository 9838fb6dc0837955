//! Agents that come back: after their own restart, after the master's, or from behind a partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meseta_allocator::AgentView;
use meseta_proto::internal::{
    CheckpointResourcesMessage, KillTaskMessage, ReconcileTasksMessage, ReregisterSlaveMessage,
    ShutdownFrameworkMessage, ShutdownMessage, SlaveReregisteredMessage, archive,
};
use meseta_proto::v1::agent_info::capability::Type as Capability;
use meseta_proto::v1::{
    AgentId, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, Task, TaskId, TaskState,
    TaskStatus, task_status,
};
use meseta_proto::{Upid, v1};
use meseta_resources::Resources;

use super::loss::Removal;
use super::register::Introduction;
use super::{Unfit, downgrade, resources, upgrade};
use crate::CompletedTask;
use crate::allocation;
use crate::events::NO_PID;
use crate::master::Master;
use crate::offers::Rescinding;
use crate::records::AgentRecord;
use crate::registry;
use crate::step::Step;
use crate::tasks::told_state;
use crate::timers::Timer;
use crate::updates::update_of_known_task;
use crate::validation;

/// What an agent tells about what runs on it.
#[derive(Debug)]
struct Report {
    tasks: Vec<Task>,
    /// Those of each task.
    resources: Vec<Resources>,
    executors: Vec<ExecutorInfo>,
    frameworks: Vec<FrameworkInfo>,
    completed: Vec<archive::Framework>,
}

impl Master {
    /// An agent that some master gave an id is back.
    pub(crate) fn on_reregister_agent(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: ReregisterSlaveMessage,
    ) {
        self.state.metrics.messages.reregister_slave += 1;
        if !self.may_agent_register(from) {
            self.drop_message();
            return;
        }
        let Some(id) = message.slave.id.clone() else {
            self.drop_message();
            return;
        };
        if self.state.gone_agents.contains_key(&id) {
            shut_down(step, from, "Agent has been marked gone");
            return;
        }
        let introduction = Introduction {
            info: message.slave.into(),
            version: message.version.unwrap_or_default(),
            capabilities: message.agent_capabilities,
            checkpointed: message.checkpointed_resources,
            resource_version: message.resource_version_uuid.map(|uuid| uuid.value),
        };
        let report = Report {
            tasks: message.tasks,
            resources: Vec::new(),
            executors: message.executor_infos,
            frameworks: message.frameworks,
            completed: message.completed_frameworks,
        };
        let introduction = introduction.check(&self.state.config);
        let (Ok(introduction), Ok(report)) = (introduction, report.check(&id)) else {
            self.drop_message();
            return;
        };
        if self.refuse_on_down_machine(step, from, &introduction.info) {
            return;
        }
        match self.state.agents.get(&id) {
            Some(agent)
                if agent.pid.address.ip() != from.address.ip()
                    || agent.info.hostname != introduction.info.hostname =>
            {
                let sentence = "Agent attempted to reregister with different IP / hostname";
                shut_down(step, from, sentence);
            }
            Some(_) => self.reregister_known_agent(step, &id, from, introduction, report),
            None => self.readmit_agent(step, &id, from, introduction, report),
        }
    }

    /// The agent is in the books: what it tells is compared with what they say.
    fn reregister_known_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        pid: &Upid,
        mut introduction: Introduction,
        mut report: Report,
    ) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let provides = |c: &v1::agent_info::Capability| c.r#type() == Capability::ResourceProvider;
        if !introduction.capabilities.iter().any(provides) {
            // Such agents keep on disk what the master tells them to.
            introduction.checkpointed = agent.checkpointed.to_v1();
        }
        let total = resources::total(&introduction.info.resources, &introduction.checkpointed);
        let Ok(total) = total else {
            let sentence = "Agent lacks resources that are reserved or used for volumes";
            shut_down(step, pid, sentence);
            return;
        };
        let total = &total + &agent.total.revocable();
        let differs = *agent.info != introduction.info;
        let replaced = differs || agent.capabilities != introduction.capabilities;
        if differs {
            step.persist(vec![registry::admit(id, &introduction.info)]);
        }
        self.move_agent(step, id, pid);
        if let Some(agent) = self.agent_mut(id) {
            agent.info = Arc::new(introduction.info);
            agent.version = introduction.version;
            agent.capabilities = introduction.capabilities;
            agent.checkpointed = Resources::from_v1(&introduction.checkpointed).unwrap_or_default();
            agent.resource_version = introduction.resource_version;
            agent.reregistered_time = Some(step.now.wall);
        }
        self.set_total(id, total.clone());
        if replaced {
            self.remove_offers_of_agent(step, id, Rescinding::Told);
        }

        self.reconcile_known_agent(step, id, pid, &report);
        self.restore_unknown(step, id, pid, &mut report);
        if let Some(agent) = self.agent_mut(id) {
            agent.connected = true;
        }
        self.timers.cancel(&Timer::AgentReregistration(id.clone()));
        self.allocator.update_agent(id, total);
        if let Some(agent) = self.state.agents.get(id).filter(|_| replaced) {
            let AgentView {
                info, capabilities, ..
            } = allocation::agent_view(agent);
            self.allocator.describe_agent(id, info, capabilities);
        }
        self.activate(step, id);
        self.state.metrics.slave_reregistrations += 1;
        self.settle_frameworks(step, pid, &report.frameworks);
        self.send_checkpointed_resources(step, id);
    }

    /// Whatever other agent was at this address is gone, or this one would not be there.
    fn clear_address(&mut self, step: &mut Step<'_>, pid: &Upid, id: &AgentId) {
        if let Some(other) = self.peers.agent(pid).filter(|other| *other != id).cloned() {
            let cause = "a new agent registered at the same address";
            self.remove_agent(step, &other, cause, Removal::Replaced);
        }
    }

    /// The agent may have another pid than before, and has a new connection in any case.
    fn move_agent(&mut self, step: &mut Step<'_>, id: &AgentId, pid: &Upid) {
        self.clear_address(step, pid, id);
        step.link(pid.address);
        let Some(agent) = self.agent_mut(id) else {
            return;
        };
        let old = std::mem::replace(&mut agent.pid, pid.clone());
        let observer = agent.observer;
        self.peers.remove_agent(&old, observer);
        self.peers.add_agent(pid, observer, id);
    }

    /// Tells the agent which tasks it should have and does not tell of, forgets executors that it
    /// does not tell of, and repeats what it may have missed.
    fn reconcile_known_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        pid: &Upid,
        report: &Report,
    ) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let message = SlaveReregisteredMessage {
            slave_id: id.clone(),
            reconciliations: self.tasks_not_told_of(step, agent, report),
            connection: Some(self.connection()),
        };
        step.send(pid, &message);
        let alive = report.tasks.iter().filter(|t| !t.state().is_terminal());
        for task in alive {
            let key = (task.framework_id.clone(), task.task_id.clone());
            if agent.kills.contains(&key) {
                send_kill(step, pid, &key.0, &key.1);
            }
        }
        self.forget_executors_not_told_of(id, report);
    }

    /// The tasks in the books that the agent does not tell of, as a question for each framework.
    fn tasks_not_told_of(
        &self,
        step: &Step<'_>,
        agent: &AgentRecord,
        report: &Report,
    ) -> Vec<ReconcileTasksMessage> {
        let told: BTreeSet<_> = report
            .tasks
            .iter()
            .map(|task| (&task.framework_id, &task.task_id))
            .collect();
        let is_told = |(framework, task): &(FrameworkId, TaskId)| told.contains(&(framework, task));
        let missing = agent.tasks.iter().filter(|key| !is_told(key));
        let mut reconciliations: BTreeMap<&FrameworkId, ReconcileTasksMessage> = BTreeMap::new();
        for (framework, task) in missing {
            let record = self.state.frameworks.get(framework);
            let Some((record, task)) = record.and_then(|r| Some((r, r.tasks.get(task)?))) else {
                continue;
            };
            let question = || ReconcileTasksMessage {
                framework_id: framework.clone(),
                statuses: Vec::new(),
                framework: Some(FrameworkInfo::clone(&record.info)),
            };
            let reconciliation = reconciliations.entry(framework).or_insert_with(question);
            reconciliation.statuses.push(TaskStatus {
                task_id: task.task_id.clone(),
                agent_id: Some(agent.id.clone()),
                state: told_state(task).into(),
                source: Some(task_status::Source::Master.into()),
                message: Some("Reconciliation request".to_owned()),
                reason: Some(task_status::Reason::Reconciliation.into()),
                timestamp: Some(step.now.unix_seconds()),
                ..Default::default()
            });
        }
        reconciliations.into_values().collect()
    }

    fn forget_executors_not_told_of(&mut self, id: &AgentId, report: &Report) {
        let told: BTreeSet<(&FrameworkId, &ExecutorId)> = report
            .executors
            .iter()
            .filter_map(|e| Some((e.framework_id.as_ref()?, &e.executor_id)))
            .collect();
        let agent = self.state.agents.get(id);
        let executors = agent.into_iter().flat_map(|agent| agent.executors.keys());
        let missing: Vec<_> = executors
            .filter(|(framework, executor)| !told.contains(&(framework, executor)))
            .cloned()
            .collect();
        for (framework, executor) in missing {
            self.remove_executor(&framework, id, &executor);
        }
    }

    /// The agent is not in the books: it is admitted again, with all that runs on it.
    fn readmit_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        pid: &Upid,
        introduction: Introduction,
        mut report: Report,
    ) {
        let recovered = self.state.recovered_agents.remove(id);
        let unreachable = self.state.unreachable_agents.remove(id);
        let mut changes = Vec::new();
        if recovered
            .as_ref()
            .is_none_or(|agent| *agent.info != introduction.info)
        {
            changes.push(registry::admit(id, &introduction.info));
        }
        if unreachable.is_some() {
            changes.push(registry::mark_reachable(id));
        }
        if !changes.is_empty() {
            step.persist(changes);
        }
        self.forget_unreachable_tasks(id);
        self.clear_address(step, pid, id);
        for info in &report.frameworks {
            self.recover_framework(step, info);
        }
        let observer = self.next_observer();
        let mut record = introduction.into_record(step, id.clone(), pid.clone(), observer);
        record.reregistered_time = Some(step.now.wall);
        self.enter_agent(record);
        let message = match (&recovered, &unreachable) {
            (Some(_), _) => None,
            (None, Some(_)) => Some("Unreachable agent re-reregistered"),
            (None, None) => Some("Unknown agent reregistered"),
        };
        self.restore_executors(id, &report);
        let tasks = report.take_tasks().collect();
        self.restore_tasks(step, id, pid, tasks, message);
        self.open_agent(step, id);
        self.restore_completed_tasks(&report.completed);
        self.state.metrics.slave_reregistrations += 1;

        let message = SlaveReregisteredMessage {
            slave_id: id.clone(),
            reconciliations: Vec::new(),
            connection: Some(self.connection()),
        };
        step.send(pid, &message);
        self.settle_frameworks(step, pid, &report.frameworks);
    }

    /// Enters what runs on an agent that is in the books, but without it: what its frameworks had
    /// there was given up when the link to it broke, and yet it lives. It takes resources, which
    /// must not be offered to others.
    fn restore_unknown(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        pid: &Upid,
        report: &mut Report,
    ) {
        for info in &report.frameworks {
            self.recover_framework(step, info);
        }
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let is_known = |task: &Task| {
            let key = (task.framework_id.clone(), task.task_id.clone());
            agent.tasks.contains(&key)
        };
        let tasks = report.take_tasks();
        let unknown = tasks.filter(|(task, _)| !task.state().is_terminal() && !is_known(task));
        let unknown: Vec<_> = unknown.collect();
        let before = agent.used.clone();
        self.restore_executors(id, report);
        let message = "Disconnected agent reregistered";
        self.restore_tasks(step, id, pid, unknown, Some(message));
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        let gained = agent.used.iter().map(|(framework, used)| {
            let mut gained = used.clone();
            if let Some(before) = before.get(framework) {
                gained -= before;
            }
            (framework.clone(), gained)
        });
        let gained: Vec<_> = gained.filter(|(_, gained)| !gained.is_empty()).collect();
        if gained.is_empty() {
            return;
        }
        // A part of it may have been offered meanwhile.
        self.remove_offers_of_agent(step, id, Rescinding::Told);
        for (framework, gained) in &gained {
            self.allocator.take(framework, id, gained);
        }
    }

    fn restore_executors(&mut self, id: &AgentId, report: &Report) {
        for executor in &report.executors {
            if let Some(framework) = executor.framework_id.as_ref()
                && self.state.frameworks.contains_key(framework)
                && !self.has_executor(framework, id, &executor.executor_id)
            {
                self.add_executor(framework, id, executor);
            }
        }
    }

    /// Enters tasks on an agent. Where they had been given up, their frameworks are told with the
    /// `message` that they are not.
    fn restore_tasks(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        pid: &Upid,
        mut tasks: Vec<(Task, Resources)>,
        message: Option<&str>,
    ) {
        if !tasks.is_empty() {
            self.forget_completed_tasks(id, &tasks);
        }
        tasks.retain(|(task, _)| {
            let Some(framework) = self.state.frameworks.get(&task.framework_id) else {
                return false;
            };
            if framework.tasks.contains_key(&task.task_id) {
                // Its framework launched another one of this id on another agent meanwhile. Both
                // cannot be in the books: the one that is there stays.
                send_kill(step, pid, &task.framework_id, &task.task_id);
                return false;
            }
            if let Some(message) = message.filter(|_| framework.connected()) {
                let reason = task_status::Reason::AgentReregistered;
                let update = update_of_known_task(step, task, task.state(), message, reason);
                self.forward(step, update, Some(NO_PID.to_owned()));
            }
            true
        });
        self.add_tasks(id, tasks);
    }

    /// Ends completed frameworks on the agent, and tells it where the others' schedulers are.
    fn settle_frameworks(&self, step: &mut Step<'_>, pid: &Upid, told: &[FrameworkInfo]) {
        for info in told {
            let Some(id) = &info.id else {
                continue;
            };
            if self.is_completed(id) {
                let message = ShutdownFrameworkMessage {
                    framework_id: id.clone(),
                };
                step.send(pid, &message);
                continue;
            }
            if let Some(framework) = self.state.frameworks.get(id) {
                Self::send_framework(step, pid, framework);
            }
        }
    }

    /// Tasks that are told of are not completed, though they may have been given up.
    fn forget_completed_tasks(&mut self, agent: &AgentId, told: &[(Task, Resources)]) {
        let Some(given_up) = self.given_up.remove(agent) else {
            return;
        };
        let mut by_framework: BTreeMap<&FrameworkId, BTreeSet<&TaskId>> = BTreeMap::new();
        for (task, _) in told {
            if !given_up.contains(&task.framework_id) {
                continue;
            }
            let ids = by_framework.entry(&task.framework_id).or_default();
            ids.insert(&task.task_id);
        }
        for (framework, told) in by_framework {
            if let Some(framework) = self.framework_mut(framework) {
                let is_told = |task: &Arc<CompletedTask>| told.contains(task.task_id());
                if framework.completed_tasks.iter().any(is_told) {
                    framework.completed_tasks.retain(|task| !is_told(task));
                }
            }
        }
    }

    fn restore_completed_tasks(&mut self, archives: &[archive::Framework]) {
        let bound = self.state.config.policy.max_completed_tasks_per_framework;
        for archive in archives {
            let id = archive.framework_info.id.as_ref();
            if let Some(framework) = id.and_then(|id| self.framework_mut(id)) {
                for task in &archive.tasks {
                    framework
                        .completed_tasks
                        .push_back(CompletedTask::new(task));
                    if framework.completed_tasks.len() > bound {
                        framework.completed_tasks.pop_front();
                    }
                }
            }
        }
    }

    /// Agents that keep their reservations and volumes as the master tells them are told now.
    pub(crate) fn send_checkpointed_resources(&self, step: &mut Step<'_>, id: &AgentId) {
        let Some(agent) = self.state.agents.get(id) else {
            return;
        };
        if agent.is_capable_of(Capability::ResourceProvider) {
            return;
        }
        let mut resources = agent.checkpointed.to_v1();
        if !agent.is_capable_of(Capability::ReservationRefinement) {
            downgrade(&mut resources);
        }
        step.send(&agent.pid, &CheckpointResourcesMessage { resources });
    }
}

impl Report {
    /// The tasks with their resources, which it has no longer then.
    fn take_tasks(&mut self) -> impl Iterator<Item = (Task, Resources)> + use<> {
        let tasks = std::mem::take(&mut self.tasks).into_iter();
        tasks.zip(std::mem::take(&mut self.resources))
    }

    /// Checks that the parts fit together, and brings resources into post-refinement form with the
    /// roles that they are allocated to.
    fn check(mut self, agent: &AgentId) -> Result<Self, Unfit> {
        let rules = validation::FrameworkRules {
            roles: None,
            root_submissions: true,
        };
        let mut frameworks: BTreeMap<&FrameworkId, &FrameworkInfo> = BTreeMap::new();
        for info in &self.frameworks {
            validation::framework(info, rules).map_err(|_| Unfit)?;
            if frameworks
                .insert(info.id.as_ref().ok_or(Unfit)?, info)
                .is_some()
            {
                return Err(Unfit);
            }
        }
        let mut executors = BTreeSet::new();
        for executor in &mut self.executors {
            let id = executor.framework_id.clone().ok_or(Unfit)?;
            let framework = frameworks.get(&id).ok_or(Unfit)?;
            settle(&mut executor.resources, framework)?;
            if !executors.insert((id, executor.executor_id.clone())) {
                return Err(Unfit);
            }
        }
        self.resources.reserve_exact(self.tasks.len());
        for task in &mut self.tasks {
            validation::id(task.task_id.as_str()).map_err(|_| Unfit)?;
            let framework = frameworks.get(&task.framework_id).ok_or(Unfit)?;
            let executor = task.executor_id.clone();
            let executor = executor.map(|executor| (task.framework_id.clone(), executor));
            let executor_is_told = executor.is_none_or(|key| executors.contains(&key));
            if task.agent_id != *agent
                || (!executor_is_told && task.state() == TaskState::TaskRunning)
            {
                return Err(Unfit);
            }
            self.resources.push(settle(&mut task.resources, framework)?);
        }
        let mut tasks = BTreeSet::new();
        let mut keys = self
            .tasks
            .iter()
            .map(|task| (&task.framework_id, &task.task_id));
        if !keys.all(|key| tasks.insert(key)) {
            return Err(Unfit);
        }
        for task in self.completed.iter_mut().flat_map(|f| &mut f.tasks) {
            upgrade(&mut task.resources)?;
        }
        Ok(self)
    }
}

/// Upgrades resources of a framework, and says what they come to. Old agents do not say to which role
/// they are allocated, which is clear only when the framework has one.
fn settle(resources: &mut [v1::Resource], framework: &FrameworkInfo) -> Result<Resources, Unfit> {
    upgrade(resources)?;
    for resource in resources.iter_mut() {
        if resource.allocation_info.is_none() {
            let role = crate::frameworks::only_role(framework).ok_or(Unfit)?;
            resource.allocation_info = Some(v1::resource::AllocationInfo {
                role: Some(role.into()),
            });
        }
    }
    Resources::from_v1(resources).map_err(|_| Unfit)
}

fn send_kill(step: &mut Step<'_>, agent: &Upid, framework: &FrameworkId, task: &TaskId) {
    let message = KillTaskMessage {
        framework_id: framework.clone(),
        task_id: task.clone(),
        kill_policy: None,
    };
    step.send(agent, &message);
}

fn shut_down(step: &mut Step<'_>, agent: &Upid, sentence: &str) {
    let message = ShutdownMessage {
        message: Some(sentence.to_owned()),
    };
    step.send(agent, &message);
}
