//! Which images wait, which are at work and which are done: decisions of the scheduler that need no
//! network.

use std::collections::{BTreeMap, VecDeque};

use meseta_framework::is_terminal;
use meseta_framework::resource::Remainder;
use meseta_framework::v1::{
    AgentId, CommandInfo, ExecutorInfo, Offer, Resource, TaskId, TaskInfo, TaskState, TaskStatus,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::UNREADABLE;

/// What every task has in common.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How agents get and start the executor.
    pub executor: CommandInfo,
    /// What the executor takes of an agent beside its tasks.
    pub executor_share: Vec<Resource>,
    /// What a task takes of an agent.
    pub share: Vec<Resource>,
    /// The address of the folder of images.
    pub images: String,
    /// So many times an image is tried.
    pub tries: u32,
}

/// What there is to tell of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Its result is there.
    Done {
        /// The image's name.
        name: String,
    },
    /// A try failed and another follows.
    Again {
        /// The image's name.
        name: String,
        /// What was wrong.
        reason: String,
    },
    /// There will be no result.
    GivenUp {
        /// The image's name.
        name: String,
        /// What was wrong in the end.
        reason: String,
    },
}

/// All images of a run.
#[derive(Debug)]
pub struct Work {
    plan: Plan,
    waiting: VecDeque<Image>,
    running: BTreeMap<TaskId, (Image, AgentId)>,
    /// Who runs on which agents already, and needs no room there.
    executors: BTreeMap<AgentId, ExecutorInfo>,
}

#[derive(Debug, Clone)]
struct Image {
    /// Counts from 1: names may hold what ids of tasks may not.
    number: usize,
    name: String,
    /// How often it was launched.
    tries: u32,
}

impl Work {
    /// Images by their names, all of them waiting.
    pub fn new(plan: Plan, names: impl IntoIterator<Item = String>) -> Self {
        let images = (1..).zip(names).map(|(number, name)| Image {
            number,
            name,
            tries: 0,
        });
        Self {
            plan,
            waiting: images.collect(),
            running: BTreeMap::new(),
            executors: BTreeMap::new(),
        }
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// The tasks that are at work, and where.
    pub fn running(&self) -> impl Iterator<Item = (TaskId, Option<AgentId>)> {
        let running = self.running.iter();
        running.map(|(task_id, (_, agent_id))| (task_id.clone(), Some(agent_id.clone())))
    }

    /// As many tasks as fit into an offer. From now on they count as running.
    pub fn fit(&mut self, offer: &Offer) -> Vec<TaskInfo> {
        let mut left = Remainder::of(offer);
        let mut tasks = Vec::new();
        while let Some(task) = self.fit_one(offer, &mut left) {
            tasks.push(task);
        }
        tasks
    }

    fn fit_one(&mut self, offer: &Offer, left: &mut Remainder) -> Option<TaskInfo> {
        self.waiting.front()?;
        let mut rest = left.clone();
        let executor = match self.executors.get(&offer.agent_id) {
            Some(executor) => executor.clone(),
            None => self.plan.executor(rest.take(&self.plan.executor_share)?),
        };
        let resources = rest.take(&self.plan.share)?;
        *left = rest;
        let mut image = self.waiting.pop_front()?;
        image.tries += 1;
        self.executors
            .insert(offer.agent_id.clone(), executor.clone());
        let task = self.plan.task(&image, offer, executor, resources);
        let place = (image, offer.agent_id.clone());
        self.running.insert(task.task_id.clone(), place);
        Some(task)
    }

    /// The master has not taken these tasks: the try does not count.
    pub fn on_not_launched(&mut self, tasks: Vec<TaskInfo>) {
        for task in tasks.into_iter().rev() {
            self.executors.remove(&task.agent_id);
            if let Some((mut image, _)) = self.running.remove(&task.task_id) {
                image.tries -= 1;
                self.waiting.push_front(image);
            }
        }
    }

    /// Takes note of what became of a task. Updates come again, and late ones of earlier tries do too:
    /// what is known already is no news.
    pub fn on_update(&mut self, status: &TaskStatus) -> Option<News> {
        if !is_terminal(status.state()) {
            return None;
        }
        let (image, _) = self.running.remove(&status.task_id)?;
        let name = image.name.clone();
        if status.state() == TaskState::TaskFinished {
            return Some(News::Done { name });
        }
        let reason = match status.message() {
            "" => status.state().as_str_name().to_owned(),
            message => message.to_owned(),
        };
        if status.data() == UNREADABLE {
            return Some(News::GivenUp { name, reason });
        }
        if image.tries >= self.plan.tries {
            let reason = format!("{reason} (tried {} times)", image.tries);
            return Some(News::GivenUp { name, reason });
        }
        self.waiting.push_back(image);
        Some(News::Again { name, reason })
    }

    /// An agent's executor, or the agent itself, is gone; each of its tasks gets an update.
    pub fn on_executor_ended(&mut self, agent_id: &AgentId) {
        self.executors.remove(agent_id);
    }

    /// While there was no master, executors may have ended without word of it.
    pub fn on_disconnected(&mut self) {
        self.executors.clear();
    }
}

impl Plan {
    fn executor(&self, resources: Vec<Resource>) -> ExecutorInfo {
        ExecutorInfo {
            executor_id: "inverter".into(),
            name: Some("inverts colours".into()),
            command: Some(self.executor.clone()),
            resources,
            ..ExecutorInfo::default()
        }
    }

    fn task(
        &self,
        image: &Image,
        offer: &Offer,
        executor: ExecutorInfo,
        resources: Vec<Resource>,
    ) -> TaskInfo {
        let address = format!(
            "{}/{}",
            self.images,
            utf8_percent_encode(&image.name, NON_ALPHANUMERIC)
        );
        // Each try has an id of its own: what is still said of an earlier one cannot be mistaken.
        let task_id = format!("{}.{}", image.number, image.tries);
        TaskInfo {
            name: image.name.clone(),
            task_id: task_id.into(),
            agent_id: offer.agent_id.clone(),
            data: Some(address.into_bytes()),
            executor: Some(executor),
            resources,
            ..TaskInfo::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use meseta_framework::resource::{cpus, mem, parse};

    use super::*;

    fn work(images: usize) -> Work {
        let plan = Plan {
            executor: CommandInfo::default(),
            executor_share: vec![cpus(0.5), mem(32.0)],
            share: vec![cpus(1.0), mem(64.0)],
            images: "http://files/images".into(),
            tries: 2,
        };
        Work::new(plan, (1..=images).map(|number| format!("{number} ü.png")))
    }

    fn offer(agent: &str, resources: &str) -> Offer {
        Offer {
            agent_id: agent.into(),
            resources: parse(resources).unwrap(),
            ..Offer::default()
        }
    }

    fn ended(task_id: &str, state: TaskState) -> TaskStatus {
        TaskStatus {
            task_id: task_id.into(),
            state: state.into(),
            message: Some("because".into()),
            ..TaskStatus::default()
        }
    }

    fn ids(tasks: &[TaskInfo]) -> Vec<&str> {
        tasks.iter().map(|task| task.task_id.as_str()).collect()
    }

    #[test]
    fn an_offer_is_filled_and_the_executor_takes_its_share_once() {
        let mut work = work(5);
        let tasks = work.fit(&offer("a", "cpus:2.5;mem:4096"));
        assert_eq!(ids(&tasks), ["1.1", "2.1"]);
        assert_eq!(tasks[0].data(), b"http://files/images/1%20%C3%BC%2Epng");
        assert_eq!(tasks[0].executor, tasks[1].executor);
        // It runs there now, so that all of the next offer is for tasks; elsewhere it does not.
        let more = work.fit(&offer("a", "cpus:1;mem:64"));
        assert_eq!(ids(&more), ["3.1"]);
        assert_eq!(more[0].executor, tasks[0].executor);
        assert_eq!(work.fit(&offer("b", "cpus:1;mem:64")), []);
        work.on_executor_ended(&"a".into());
        assert_eq!(work.fit(&offer("a", "cpus:1;mem:64")), []);
    }

    #[test]
    fn every_image_is_done_once() {
        let mut work = work(2);
        assert_eq!(work.fit(&offer("a", "cpus:8;mem:4096")).len(), 2);
        assert_eq!(work.fit(&offer("a", "cpus:8;mem:4096")), []);
        let name = "1 ü.png".to_owned();
        let finished = ended("1.1", TaskState::TaskFinished);
        assert_eq!(work.on_update(&ended("1.1", TaskState::TaskRunning)), None);
        assert_eq!(work.on_update(&finished), Some(News::Done { name }));
        assert_eq!(work.on_update(&finished), None);
        assert!(!work.is_over());
        work.on_update(&ended("2.1", TaskState::TaskFinished));
        assert!(work.is_over());
    }

    #[test]
    fn what_fails_is_tried_again_until_it_has_failed_often_enough() {
        let mut work = work(1);
        let (name, reason) = ("1 ü.png".to_owned(), "because".to_owned());
        work.fit(&offer("a", "cpus:8;mem:4096"));
        let again = work.on_update(&ended("1.1", TaskState::TaskLost));
        assert_eq!(again, Some(News::Again { name, reason }));
        assert_eq!(ids(&work.fit(&offer("a", "cpus:8;mem:4096"))), ["1.2"]);
        // The agent of the first try is back and says how that ended.
        let late = ended("1.1", TaskState::TaskFailed);
        assert_eq!(work.on_update(&late), None);
        let name = "1 ü.png".to_owned();
        let reason = "because (tried 2 times)".to_owned();
        let given_up = work.on_update(&ended("1.2", TaskState::TaskFailed));
        assert_eq!(given_up, Some(News::GivenUp { name, reason }));
        assert!(work.is_over());
    }

    #[test]
    fn what_is_unreadable_is_not_tried_again() {
        let mut work = work(1);
        work.fit(&offer("a", "cpus:8;mem:4096"));
        let status = TaskStatus {
            data: Some(UNREADABLE.to_vec()),
            ..ended("1.1", TaskState::TaskFailed)
        };
        let given_up = work.on_update(&status);
        assert!(
            matches!(given_up, Some(News::GivenUp { .. })),
            "{given_up:?}"
        );
        assert!(work.is_over());
    }

    #[test]
    fn a_launch_that_the_master_has_not_taken_is_no_try() {
        let mut work = work(3);
        let tasks = work.fit(&offer("a", "cpus:2.5;mem:4096"));
        work.on_not_launched(tasks);
        assert_eq!(work.running().count(), 0);
        // With room for the executor again, and in the same order.
        assert_eq!(work.fit(&offer("a", "cpus:1;mem:64")), []);
        let tasks = work.fit(&offer("a", "cpus:8;mem:4096"));
        assert_eq!(ids(&tasks), ["1.1", "2.1", "3.1"]);
    }
}
