//! Which images wait, which are at work and which are done: decisions of the scheduler that need no
//! network.

use std::collections::{BTreeMap, VecDeque};

use meseta_framework::resource::Remainder;
use meseta_framework::v1::task_status::Source;
use meseta_framework::v1::{
    AgentId, CommandInfo, ExecutorId, ExecutorInfo, Offer, Resource, TaskId, TaskInfo, TaskState,
    TaskStatus,
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
    running: BTreeMap<TaskId, Running>,
    /// Who runs on which agents already, and needs no room there.
    executors: BTreeMap<AgentId, ExecutorInfo>,
    /// Each executor has an id of its own: agents still know an ended one for as long as updates of its
    /// tasks wait for acknowledgement, and take no tasks for it.
    last_executor: u32,
}

#[derive(Debug)]
struct Running {
    image: Image,
    agent_id: AgentId,
    executor_id: ExecutorId,
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
            last_executor: 0,
        }
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// The tasks that are at work, and where.
    pub fn running(&self) -> impl Iterator<Item = (TaskId, Option<AgentId>)> {
        let running = self.running.iter();
        running.map(|(task_id, it)| (task_id.clone(), Some(it.agent_id.clone())))
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
        let executor = if let Some(running) = self.executors.get(&offer.agent_id) {
            running.clone()
        } else {
            let resources = rest.take(&self.plan.executor_share)?;
            self.plan.executor(self.last_executor + 1, resources)
        };
        let resources = rest.take(&self.plan.share)?;
        *left = rest;
        let mut image = self.waiting.pop_front()?;
        image.tries += 1;
        let agent_id = offer.agent_id.clone();
        let started = self.executors.insert(agent_id.clone(), executor.clone());
        self.last_executor += u32::from(started.is_none());
        let running = Running {
            image: image.clone(),
            agent_id,
            executor_id: executor.executor_id.clone(),
        };
        let task = self.plan.task(&image, offer, executor, resources);
        self.running.insert(task.task_id.clone(), running);
        Some(task)
    }

    /// The master has not taken these tasks: the try does not count.
    pub fn on_not_launched(&mut self, tasks: Vec<TaskInfo>) {
        for task in tasks.into_iter().rev() {
            if let Some(mut running) = self.running.remove(&task.task_id) {
                // It may have been about to be started for them.
                self.on_executor_ended(&running.agent_id, Some(&running.executor_id));
                running.image.tries -= 1;
                self.waiting.push_front(running.image);
            }
        }
    }

    /// Takes note of what became of a task. Updates come again, and late ones of earlier tries do too:
    /// what is known already is no news.
    pub fn on_update(&mut self, status: &TaskStatus) -> Option<News> {
        if !status.state().is_terminal() {
            return None;
        }
        let running = self.running.remove(&status.task_id)?;
        if status.source() != Source::Executor {
            // Who cannot speak for its tasks any more is not given others.
            self.on_executor_ended(&running.agent_id, Some(&running.executor_id));
        }
        let image = running.image;
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

    /// An executor is gone, or a whole agent; each of its tasks gets an update.
    pub fn on_executor_ended(&mut self, agent_id: &AgentId, executor_id: Option<&ExecutorId>) {
        let known = self.executors.get(agent_id);
        if known.is_some_and(|it| executor_id.is_none_or(|id| it.executor_id == *id)) {
            self.executors.remove(agent_id);
        }
    }
}

impl Plan {
    fn executor(&self, number: u32, resources: Vec<Resource>) -> ExecutorInfo {
        ExecutorInfo {
            executor_id: format!("inverter-{number}").into(),
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
            source: Some(Source::Executor.into()),
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
        work.on_executor_ended(&"a".into(), Some(&"inverter-1".into()));
        assert_eq!(work.fit(&offer("a", "cpus:1;mem:64")), []);
    }

    #[test]
    fn tasks_of_an_executor_that_died_go_to_another_and_late_words_of_it_change_nothing() {
        let mut work = work(3);
        let executors = |tasks: &[TaskInfo]| {
            let id = |task: &TaskInfo| task.executor.clone().unwrap().executor_id;
            tasks.iter().map(id).collect::<Vec<_>>()
        };
        let tasks = work.fit(&offer("a", "cpus:2.5;mem:4096"));
        assert_eq!(
            executors(&tasks),
            ["inverter-1".into(), "inverter-1".into()]
        );
        let died = |task_id| TaskStatus {
            source: Some(Source::Agent.into()),
            ..ended(task_id, TaskState::TaskFailed)
        };
        work.on_update(&died("1.1"));
        let more = work.fit(&offer("a", "cpus:1.5;mem:4096"));
        assert_eq!(executors(&more), ["inverter-2".into()]);
        work.on_update(&died("2.1"));
        work.on_executor_ended(&"a".into(), Some(&"inverter-1".into()));
        let more = work.fit(&offer("a", "cpus:1;mem:4096"));
        assert_eq!(executors(&more), ["inverter-2".into()]);
        // The whole agent, whoever runs there.
        work.on_executor_ended(&"a".into(), None);
        let more = work.fit(&offer("a", "cpus:1.5;mem:4096"));
        assert_eq!(executors(&more), ["inverter-3".into()]);
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
