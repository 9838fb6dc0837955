//! Containers that were asked for and never started, because the agent died between the two: they are
//! started by its next life, in sandboxes of their own. What was prepared of the first ones may be
//! half done.

use std::collections::BTreeSet;
use std::sync::Arc;

use meseta_proto::v1::{ContainerId, TaskInfo};

use super::{Order, command, normalise};
use crate::Action;
use crate::agent::{Agent, Turn};
use crate::executors::RunKey;
use crate::sandbox;

impl Agent {
    /// Remembers which executors to start when recovery is over.
    pub(crate) fn keep_unstarted(&mut self, unstarted: &BTreeSet<ContainerId>) {
        for container in unstarted {
            let Some(key) = self.containers.get(container) else {
                continue;
            };
            let has_tasks = self
                .executor(key)
                .is_some_and(|e| !e.queued_tasks.is_empty());
            if let Some(run) = self.runs.get_mut(key) {
                run.is_unstarted = has_tasks;
            }
        }
    }

    pub(crate) fn is_unstarted(&self, key: &RunKey) -> bool {
        self.runs.get(key).is_some_and(|run| run.is_unstarted)
    }

    pub(crate) fn start_unstarted(&mut self, turn: &mut Turn<'_>) {
        let unstarted = self.runs.iter().filter(|(_, run)| run.is_unstarted);
        let keys: Vec<RunKey> = unstarted.map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(order) = self.former_order(&key) {
                self.start_again(turn, &key, &order);
            }
        }
    }

    /// The order as it was, as far as it counts for a container.
    fn former_order(&self, key: &RunKey) -> Option<Order> {
        let framework = self.frameworks.get(&key.0)?;
        let executor = framework.executors.get(&key.1)?;
        let queue = &self.runs.get(key)?.queue;
        // The container is made for its first tasks; those that came later are not counted in.
        let (_, first) = queue.first_key_value()?;
        let tasks = first
            .tasks
            .iter()
            .filter_map(|id| executor.queued_tasks.get(id));
        let tasks: Vec<TaskInfo> = tasks.map(|task| (**task).clone()).collect();
        let info = match tasks.first() {
            // This program may lie elsewhere by now.
            Some(task) if executor.is_command_executor => {
                let mut info = command::executor(&self.config, &framework.info, task);
                info.framework_id = Some(key.0.clone());
                info
            }
            Some(_) | None => (*executor.info).clone(),
        };
        let mut order = Order {
            framework: (*framework.info).clone(),
            pid: framework.pid.clone(),
            executor: info,
            is_command: executor.is_command_executor,
            tasks,
            in_group: first.in_group,
            versions: Vec::new(),
            launch_executor: None,
        };
        normalise(&mut order);
        Some(order)
    }

    fn start_again(&mut self, turn: &mut Turn<'_>, key: &RunKey, order: &Order) {
        let container: ContainerId = self.entropy.uuid().as_str().into();
        let agent = self.id().cloned().unwrap_or_default();
        let work_dir = &self.config.work_dir;
        let (directory, _) = sandbox::sandbox(work_dir, &agent, &key.0, &key.1, &container);
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let former = std::mem::replace(&mut executor.container_id, container.clone());
        executor.directory = directory;
        executor.info = Arc::new(order.executor.clone());
        self.containers.remove(&former);
        self.containers.insert(container, key.clone());
        if let Some(run) = self.runs.get_mut(key) {
            run.is_unstarted = false;
        }
        self.discard_run(turn, key, former.clone());
        self.persist_executor(turn, key);
        turn.act(Action::ForgetStarted {
            container_id: former,
        });
        self.launch_container(turn, key, order);
    }
}
