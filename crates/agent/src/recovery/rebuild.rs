use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use meseta_proto::internal::StatusUpdate;
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{AgentId, AgentInfo, ContainerId, DrainConfig};
use meseta_proto::{Upid, duration};
use meseta_resources::{Resource, Resources};
use prost::Message;

use super::damage::Fact;
use super::facts::{
    AGENT, Change, DRAIN, EXECUTOR, ExecutorFact, FRAMEWORK, FrameworkFact, NESTED, OPERATION,
    OperationFact, RESOURCES, ResourcesFact, STREAM, StreamFact, TASK, TaskFact, UPDATE,
    update_number,
};
use super::{compatibility, damage};
use crate::agent::{Agent, Phase, Timer, Turn};
use crate::config::{ReconfigurationPolicy, Recover};
use crate::executors::{Queued, Run, RunKey, Unconfirmed};
use crate::records::{Executor, ExecutorState, Framework};
use crate::task::{self, Verdict};
use crate::{Action, ExitReason, sandbox};

impl Agent {
    /// Puts the agent's former life together and waits for its executors to come back.
    pub(crate) fn on_recovered(
        &mut self,
        turn: &mut Turn<'_>,
        facts: &[(String, Vec<u8>)],
        alive: &BTreeSet<ContainerId>,
        unstarted: &BTreeSet<ContainerId>,
        damaged: &BTreeSet<String>,
    ) {
        if self.phase != Phase::Recovering {
            return;
        }
        let unreadable = match self.rebuild(facts) {
            Ok(unreadable) => unreadable,
            Err(reason) => return self.refuse_to_recover(turn, reason),
        };
        self.counters.recovery_errors += (unreadable.len() + damaged.len()) as u64;
        if self.config.strict && !(unreadable.is_empty() && damaged.is_empty()) {
            return self.refuse_to_recover(turn, damage::sentence(&unreadable, damaged));
        }
        let kept = self.total.filter(Resource::needs_checkpoint);
        self.set_checkpointed(turn, kept);
        Self::set_aside(turn, unreadable);
        self.make_up_for_damage(turn, damaged);
        self.end_strangers(turn, alive);
        self.timers.set(
            Timer::DiskWatch,
            turn.after(self.config.disk_watch_interval),
        );
        self.redo_operations(turn);
        self.end_lost_frameworks(turn);
        if self.config.recover == Recover::Reconnect {
            self.keep_unstarted(unstarted);
        }
        self.bury_the_dead(turn, alive);
        self.end_misfits(turn);
        match self.config.recover {
            Recover::Reconnect => self.await_executors(turn),
            Recover::Cleanup => self.clean_up(turn),
        }
        self.end_recovery_when_complete(turn);
    }

    fn refuse_to_recover(&mut self, turn: &mut Turn<'_>, reason: String) {
        self.counters.recovery_errors += 1;
        self.has_refused = true;
        turn.act(Action::Exit {
            reason: ExitReason::Conflict(reason),
        });
    }

    /// Reads every fact. Those that cannot be read are left out, and given: the rest is worth more
    /// than none.
    fn rebuild(&mut self, facts: &[Fact]) -> Result<Vec<Fact>, String> {
        // Sorted, so that what belongs to something comes after it: agent before executor,
        // executor before task, framework before everything of it but its executors.
        let mut sorted = damage::without_copies(facts);
        let mut unreadable = Vec::new();
        sorted.sort_by_key(|(key, _)| (rank(key), *key));
        for (key, bytes) in sorted {
            let read = match rank(key) {
                0 => self.rebuild_agent(bytes)?,
                1 => self.rebuild_resources(bytes)?,
                2 => self.rebuild_framework(bytes),
                3 => self.rebuild_executor(bytes),
                4 => self.rebuild_task(bytes),
                5 => self.rebuild_stream(bytes),
                6 => self.rebuild_update(key, bytes),
                7 => self.rebuild_operation(bytes),
                8 => self.rebuild_drain(bytes),
                9 => self.rebuild_nested(bytes),
                _ => None,
            };
            if read.is_none() {
                unreadable.push((key.to_owned(), bytes.to_vec()));
            }
        }
        Ok(unreadable)
    }

    /// Takes over the id, unless this is too different an agent to be known by it.
    fn rebuild_agent(&mut self, bytes: &[u8]) -> Result<Option<()>, String> {
        let Ok(former) = AgentInfo::decode(bytes) else {
            return Err("What the agent kept of itself in its work directory is damaged".into());
        };
        let info = Arc::make_mut(&mut self.info);
        info.id.clone_from(&former.id);
        compatibility::check(self.config.reconfiguration_policy, &former, info)?;
        self.registration.changed = former != *info;
        Ok(Some(()))
    }

    fn rebuild_resources(&mut self, bytes: &[u8]) -> Result<Option<()>, String> {
        let damaged =
            |e: &dyn std::fmt::Display| format!("The agent's reservations are damaged: {e}");
        let fact = ResourcesFact::decode(bytes).map_err(|e| damaged(&e))?;
        let checkpointed = Resources::from_v1(&fact.resources).map_err(|e| damaged(&e))?;
        let fitting = match self.config.reconfiguration_policy {
            ReconfigurationPolicy::Any => self.fitting(&checkpointed),
            ReconfigurationPolicy::Equal | ReconfigurationPolicy::Additive => checkpointed.clone(),
        };
        self.total = self.with_checkpointed(&fitting).map_err(|reason| {
            format!("The agent's resources do not hold its reservations and volumes: {reason}")
        })?;
        self.total_resources = Arc::new(self.total.to_v1());
        self.checkpointed_resources = Arc::new(checkpointed.to_v1());
        self.checkpointed = checkpointed;
        Ok(Some(()))
    }

    fn rebuild_framework(&mut self, bytes: &[u8]) -> Option<()> {
        let fact = FrameworkFact::decode(bytes).ok()?;
        let id = fact.info.id.clone()?;
        let framework = Framework {
            pid: Upid::from_field(fact.pid.as_deref()),
            info: Arc::new(fact.info),
            terminating: fact.terminating,
            executors: OrdMap::new(),
            completed_executors: Vector::new(),
        };
        self.frameworks.insert(id, Arc::new(framework));
        Some(())
    }

    fn rebuild_executor(&mut self, bytes: &[u8]) -> Option<()> {
        let fact = ExecutorFact::decode(bytes).ok()?;
        let key: RunKey = (
            fact.info.framework_id.clone()?,
            fact.info.executor_id.clone(),
        );
        let nobody = AgentId::default();
        let agent = self.info.id.as_ref().unwrap_or(&nobody);
        let work_dir = &self.config.work_dir;
        let (directory, _) = sandbox::sandbox(work_dir, agent, &key.0, &key.1, &fact.container_id);
        let executor = Executor {
            info: Arc::new(fact.info),
            is_command_executor: fact.is_command_executor,
            container_id: fact.container_id.clone(),
            directory,
            user: fact.user,
            state: if fact.terminated {
                ExecutorState::Terminated
            } else {
                ExecutorState::Registering
            },
            process: fact
                .process
                .and_then(|process| process.process(&self.config.boot_id)),
            stream: None,
            containers: OrdMap::new(),
            queued_tasks: OrdMap::new(),
            launched_tasks: OrdMap::new(),
            terminated_tasks: OrdMap::new(),
            completed_tasks: Vector::new(),
        };
        let framework = self.framework_mut(&key.0)?;
        framework
            .executors
            .insert(key.1.clone(), Arc::new(executor));
        let run = Run {
            pid: Upid::from_field(fact.pid.as_deref()),
            has_served: fact.has_served,
            ..Run::default()
        };
        self.containers.insert(fact.container_id, key.clone());
        self.runs.insert(key, run);
        Some(())
    }

    fn rebuild_task(&mut self, bytes: &[u8]) -> Option<()> {
        let fact = TaskFact::decode(bytes).ok()?;
        let key: RunKey = (fact.framework_id.into(), fact.executor_id.into());
        let executor = self.executor_mut(&key)?;
        let id = if let Some(task) = fact.task {
            let id = task.task_id.clone();
            let unconfirmed = fact.queued.map(|info| Unconfirmed {
                info: Arc::new(info),
                position: fact.position,
                in_group: fact.in_group,
            });
            let tasks = if task.state().is_terminal() {
                &mut executor.terminated_tasks
            } else {
                &mut executor.launched_tasks
            };
            tasks.insert(id.clone(), Arc::new(task));
            self.next_position = self.next_position.max(fact.position + 1);
            if let Some(unconfirmed) = unconfirmed {
                let run = self.runs.get_mut(&key)?;
                run.unconfirmed.insert(id.clone(), unconfirmed);
            }
            id
        } else {
            let info = fact.queued?;
            let id = info.task_id.clone();
            executor.queued_tasks.insert(id.clone(), Arc::new(info));
            self.next_position = self.next_position.max(fact.position + 1);
            let entry = self.runs.get_mut(&key)?.queue.entry(fact.position);
            let entry = entry.or_insert_with(|| Queued {
                tasks: Vec::new(),
                in_group: fact.in_group,
            });
            entry.tasks.push(id.clone());
            id
        };
        self.tasks.insert((key.0, id), key.1);
        Some(())
    }

    fn rebuild_stream(&mut self, bytes: &[u8]) -> Option<()> {
        let fact = StreamFact::decode(bytes).ok()?;
        self.updates.recover_acknowledged(fact);
        Some(())
    }

    fn rebuild_update(&mut self, key: &str, bytes: &[u8]) -> Option<()> {
        let update = StatusUpdate::decode(bytes).ok()?;
        self.updates.recover_pending(update_number(key)?, update);
        Some(())
    }

    fn rebuild_operation(&mut self, bytes: &[u8]) -> Option<()> {
        let fact = OperationFact::decode(bytes).ok()?;
        self.operations.insert(fact.operation, fact.update);
        Some(())
    }

    fn rebuild_drain(&mut self, bytes: &[u8]) -> Option<()> {
        self.drain = Some(Arc::new(DrainConfig::decode(bytes).ok()?));
        Some(())
    }

    /// Ends what belongs to frameworks that are over, or do not checkpoint: masters have written
    /// their tasks off while the agent was away, and their executors do not live without it.
    fn end_lost_frameworks(&mut self, turn: &mut Turn<'_>) {
        let frameworks: Vec<_> = self
            .frameworks
            .values()
            .filter(|framework| framework.terminating || !framework.info.checkpoint())
            .map(|framework| (framework.id(), framework.executors.clone()))
            .collect();
        for (id, executors) in frameworks {
            for (executor, record) in executors {
                turn.act(Action::Destroy {
                    container_id: record.container_id.clone(),
                });
                self.remove_executor(turn, &(id.clone(), executor));
            }
            self.shutdown_framework(turn, &id);
        }
    }

    /// Ends the executors whose process did not outlive the agent's former life, and lets those
    /// go that had ended before.
    fn bury_the_dead(&mut self, turn: &mut Turn<'_>, alive: &BTreeSet<ContainerId>) {
        let keys: Vec<RunKey> = self.runs.keys().cloned().collect();
        for key in keys {
            let Some(executor) = self.executor(&key) else {
                continue;
            };
            let container = executor.container_id.clone();
            if executor.state == ExecutorState::Terminated {
                if Self::is_complete(executor) {
                    self.remove_executor(turn, &key);
                }
            } else if !alive.contains(&container) && !self.is_unstarted(&key) {
                // What was forked in the moment of the crash is not known by its process.
                turn.act(Action::Destroy {
                    container_id: container,
                });
                self.on_executor_ended(turn, &key, None);
            }
        }
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            self.remove_framework_when_idle(turn, &framework);
        }
    }

    fn await_executors(&mut self, turn: &mut Turn<'_>) {
        let keys: Vec<RunKey> = self.runs.keys().cloned().collect();
        for key in keys {
            self.reconnect_driver(turn, &key);
        }
        let at = turn.after(self.config.executor_reregistration_timeout);
        self.timers.set(Timer::ExecutorReregistration, at);
        if let Some(interval) = self.config.executor_reregistration_retry_interval {
            self.timers
                .set(Timer::ExecutorReconnect, turn.after(interval));
        }
    }

    fn clean_up(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Terminating("cleaned up after its former life".into());
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            self.shutdown_framework(turn, &framework);
        }
        self.exit_when_idle(turn);
    }

    /// Goes on as soon as every executor is back or gone, without waiting for the rest of the
    /// time that they have.
    pub(crate) fn end_recovery_when_complete(&mut self, turn: &mut Turn<'_>) {
        let waits = self
            .frameworks
            .values()
            .flat_map(|f| f.executors.values())
            .any(|e| {
                let key = (e.framework_id(), e.id().clone());
                e.state == ExecutorState::Registering && !self.is_unstarted(&key)
            });
        if self.phase == Phase::Recovering
            && self.timers.is_set(&Timer::ExecutorReregistration)
            && !waits
        {
            self.timers.cancel(&Timer::ExecutorReregistration);
            self.end_recovery(turn);
        }
    }

    pub(crate) fn on_executor_reregistration_timeout(&mut self, turn: &mut Turn<'_>) {
        let waited = duration::format(self.config.executor_reregistration_timeout);
        let runs = self.runs.iter();
        let keys = runs.filter(|(_, run)| !run.is_unstarted);
        let keys: Vec<RunKey> = keys.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let framework = self.frameworks.get(&key.0).map(|f| Arc::clone(&f.info));
            let verdict = Verdict::new(
                task::gone_for(framework.as_deref()),
                Reason::ExecutorReregistrationTimeout,
                format!("Executor did not reregister within {waited}"),
            );
            self.give_up_on_executor(turn, &key, verdict);
        }
        self.end_recovery(turn);
    }

    fn end_recovery(&mut self, turn: &mut Turn<'_>) {
        if self.phase != Phase::Recovering {
            return;
        }
        self.phase = Phase::Disconnected;
        self.recovery_time = Some(turn.now.wall.saturating_sub(self.start_time));
        self.schedule_registration(turn);
        self.start_unstarted(turn);
        self.drain_tasks(turn);
        self.begin_to_lend(turn);
    }

    /// The agent will be a new one when it starts again.
    pub(crate) fn forget_everything(&mut self, turn: &mut Turn<'_>) {
        let mut changes = Change::forget_twice(AGENT);
        changes.push(Change::forget(DRAIN.into()));
        for key in self.updates.all() {
            self.updates.remove(&key, &mut changes);
            self.forget_retry(&key);
        }
        turn.persist(changes);
    }
}

/// The order in which facts can be read: what others belong to comes first.
fn rank(key: &str) -> u8 {
    match key {
        AGENT => 0,
        RESOURCES => 1,
        DRAIN => 8,
        _ if key.starts_with(FRAMEWORK) => 2,
        _ if key.starts_with(EXECUTOR) => 3,
        _ if key.starts_with(TASK) => 4,
        _ if key.starts_with(STREAM) => 5,
        _ if key.starts_with(UPDATE) => 6,
        _ if key.starts_with(OPERATION) => 7,
        _ if key.starts_with(NESTED) => 9,
        _ => u8::MAX,
    }
}
