//! What a keeper decides: a machine without a world, stepped by `keeper.rs`.
//!
//! ```text
//!            declared            offer fits              ended, to run again
//!   (none) ──────────▶ waiting ─────────────▶ running ─────────────────────▶ waiting
//!                                                └── ended, for good ──▶ done
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use meseta_proto::v1::{AgentId, Filters, FrameworkId, Offer, TaskId, TaskState, TaskStatus};
use serde::{Deserialize, Serialize};

use super::constraint::Place;
use super::task::{Record, Restart, Task};
use crate::limits::{
    FIRST_RESTART, LONGEST_RESTART, OFFERS_EXPECTED_WITHIN, RECONCILE_EVERY, REFUSE_SECONDS,
    REPEAT_AFTER,
};
use crate::resource::Remainder;

/// Key of the framework's id in the store; tasks are `task/NAME`.
const FRAMEWORK: &str = "framework";

#[derive(Debug)]
pub(super) enum Input {
    Declare(Box<Task>),
    Withdraw(String),
    Event(Box<Event>),
    Disconnected,
    /// The user has dealt with an update that was told.
    Dealt(Box<TaskStatus>),
    /// A call of this kind was refused, or it is unknown whether the master took it.
    Failed(call::Type),
    Wake,
}

/// What is to be done, in this order: nothing before the saves that come ahead of it.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Save(String, Option<Vec<u8>>),
    Call(Box<Call>),
    Tell(Box<TaskStatus>),
}

#[derive(Debug, Default)]
pub(super) struct Machine {
    framework_id: Option<FrameworkId>,
    tasks: BTreeMap<String, Kept>,
    is_subscribed: bool,
    /// Whether the master has been told that no offers are wanted.
    is_suppressed: bool,
    /// When to tell the master again whether offers are wanted: what it was told is lost, or has
    /// brought none.
    tell_again_at: Option<Duration>,
    /// Whether offers were declined that the next task might take: the master keeps them back.
    has_declined: bool,
    reconcile_at: Duration,
    /// Ids of the updates that have been told and not dealt with: agents repeat them meanwhile.
    told: BTreeSet<Vec<u8>>,
}

#[derive(Debug)]
struct Kept {
    task: Task,
    /// How many runs there were: names the next.
    runs: u64,
    phase: Phase,
    /// Failures in a row, each of which doubles the pause before the next run.
    failures: u32,
    /// What was last heard of the run.
    state: Option<TaskState>,
    wish: Wish,
}

/// What is wanted of the present run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    #[default]
    Goes,
    /// It ends, and another declaration takes its place.
    Replaced,
    /// It ends, and the task is forgotten.
    Withdrawn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// For an offer, from that time on.
    #[serde(skip)]
    Waiting(Duration),
    Running {
        task_id: String,
        agent_id: String,
        /// What is known of the agent, for those that keep apart from this task.
        #[serde(default)]
        place: Place,
    },
    Done,
}

/// How a kept task is remembered.
#[derive(Serialize, Deserialize)]
struct KeptRecord {
    task: Record,
    runs: u64,
    /// None while it waits.
    phase: Option<Phase>,
    wish: Wish,
}

/// How a kept task is doing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KeptTask {
    /// By which it was declared.
    pub name: String,
    /// Of the run that goes on; none while it waits for an offer and after its end.
    pub task_id: Option<TaskId>,
    /// Where that is.
    pub agent_id: Option<AgentId>,
    /// What was last heard, in this life of the keeper.
    pub state: Option<TaskState>,
    /// How many runs there were, with the present one.
    pub runs: u64,
    /// It has ended and does not run again.
    pub is_done: bool,
}

impl Machine {
    /// Takes up what a store remembers. An error is a sentence, with the key.
    pub(super) fn restore(values: Vec<(String, Vec<u8>)>) -> Result<Self, (String, String)> {
        let mut machine = Self::default();
        for (key, value) in values {
            let wrong = |reason: String| (key.clone(), reason);
            if key == FRAMEWORK {
                let id: String =
                    serde_json::from_slice(&value).map_err(|e| wrong(e.to_string()))?;
                machine.framework_id = Some(id.into());
            } else if let Some(name) = key.strip_prefix("task/") {
                let record: KeptRecord =
                    serde_json::from_slice(&value).map_err(|e| wrong(e.to_string()))?;
                let kept = Kept {
                    task: Task::from_record(record.task).map_err(wrong)?,
                    runs: record.runs,
                    phase: record.phase.unwrap_or(Phase::Waiting(Duration::ZERO)),
                    failures: 0,
                    state: None,
                    wish: record.wish,
                };
                machine.tasks.insert(name.to_owned(), kept);
            }
        }
        Ok(machine)
    }

    pub(super) fn framework_id(&self) -> Option<&FrameworkId> {
        self.framework_id.as_ref()
    }

    /// What is kept, for people.
    pub(super) fn kept(&self) -> Vec<KeptTask> {
        let tasks = self.tasks.iter();
        tasks
            .map(|(name, kept)| {
                let (task_id, agent_id) = match &kept.phase {
                    Phase::Running {
                        task_id, agent_id, ..
                    } => (
                        Some(task_id.as_str().into()),
                        Some(agent_id.as_str().into()),
                    ),
                    Phase::Waiting(_) | Phase::Done => (None, None),
                };
                KeptTask {
                    name: name.clone(),
                    task_id,
                    agent_id,
                    state: kept.state,
                    runs: kept.runs,
                    is_done: kept.phase == Phase::Done,
                }
            })
            .collect()
    }

    /// When to step with [`Input::Wake`] at the latest.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        // While offers are wanted anyway, the end of a pause changes nothing.
        let pauses = self.tasks.values().filter_map(|kept| match kept.phase {
            Phase::Waiting(from) if self.is_subscribed && self.is_suppressed => Some(from),
            _ => None,
        });
        let reconcile = self.is_subscribed.then_some(self.reconcile_at);
        let tell_again = self.tell_again_at.filter(|_| self.is_subscribed);
        pauses.chain(reconcile).chain(tell_again).min()
    }

    pub(super) fn step(&mut self, now: Duration, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Declare(task) => self.on_declared(now, *task, actions),
            Input::Withdraw(name) => self.on_withdrawn(&name, actions),
            Input::Event(event) => self.on_event(now, *event, actions),
            Input::Disconnected => self.is_subscribed = false,
            Input::Dealt(status) => {
                self.told.remove(status.uuid());
                acknowledge(&status, actions);
            }
            Input::Failed(kind) => self.on_failed(now, kind),
            Input::Wake => {
                if self.is_subscribed && now >= self.reconcile_at {
                    self.reconcile(now, actions);
                }
            }
        }
        self.ask_for_offers(now, actions);
    }

    fn on_declared(&mut self, now: Duration, task: Task, actions: &mut Vec<Action>) {
        let name = task.name().to_owned();
        match self.tasks.get_mut(&name) {
            // As they are remembered: defaults that are spelt out make no other task.
            Some(kept)
                if kept.task.to_record() == task.to_record() && kept.wish != Wish::Withdrawn =>
            {
                return;
            }
            Some(kept) => {
                kept.task = task;
                kept.failures = 0;
                if let Phase::Running {
                    task_id, agent_id, ..
                } = &kept.phase
                {
                    kept.wish = Wish::Replaced;
                    actions.push(kill(task_id, agent_id));
                } else {
                    kept.phase = Phase::Waiting(Duration::ZERO);
                }
            }
            None => {
                let kept = Kept {
                    task,
                    runs: 0,
                    phase: Phase::Waiting(Duration::ZERO),
                    failures: 0,
                    state: None,
                    wish: Wish::Goes,
                };
                self.tasks.insert(name.clone(), kept);
            }
        }
        self.save_before(&name, actions);
        if self.has_declined {
            // What did not fit the others may fit this one: it is not to wait for the filters' end.
            self.tell_again_at = Some(now);
        }
    }

    fn on_withdrawn(&mut self, name: &str, actions: &mut Vec<Action>) {
        let Some(kept) = self.tasks.get_mut(name) else {
            return;
        };
        kept.wish = Wish::Withdrawn;
        if let Phase::Running {
            task_id, agent_id, ..
        } = &kept.phase
        {
            actions.push(kill(task_id, agent_id));
        } else {
            self.tasks.remove(name);
        }
        self.save_before(name, actions);
    }

    fn on_event(&mut self, now: Duration, event: Event, actions: &mut Vec<Action>) {
        match event.r#type() {
            event::Type::Subscribed => {
                let id = event.subscribed.map(|s| s.framework_id);
                let is_known = id.is_some() && id == self.framework_id;
                if !is_known {
                    self.framework_id = id;
                    let id = self.framework_id.as_ref().map_or("", FrameworkId::as_str);
                    let value = serde_json::to_vec(id).unwrap_or_default();
                    actions.push(Action::Save(FRAMEWORK.to_owned(), Some(value)));
                }
                self.is_subscribed = true;
                self.is_suppressed = false;
                self.has_declined = false;
                self.tell_again_at = Some(now + OFFERS_EXPECTED_WITHIN);
                self.reconcile(now, actions);
                if is_known {
                    // Tasks that this keeper has forgotten, or never knew.
                    let all = Call {
                        reconcile: Some(call::Reconcile::default()),
                        ..of(call::Type::Reconcile)
                    };
                    actions.push(Action::Call(Box::new(all)));
                }
            }
            event::Type::Offers => {
                // They come, so the master knows that they are wanted.
                if let Some(at) = &mut self.tell_again_at {
                    *at = (*at).max(now + OFFERS_EXPECTED_WITHIN);
                }
                for offer in event.offers.into_iter().flat_map(|o| o.offers) {
                    self.on_offer(now, offer, actions);
                }
            }
            event::Type::Update => {
                if let Some(update) = event.update {
                    self.on_update(now, update.status, actions);
                }
            }
            _ => {}
        }
    }

    fn on_offer(&mut self, now: Duration, offer: Offer, actions: &mut Vec<Action>) {
        let mut left = Remainder::of(&offer);
        let place = Place::of(&offer);
        let due = self.tasks.iter().filter(|(_, kept)| kept.is_due(now));
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        let mut task_infos = Vec::new();
        for name in due {
            if !self.may_run_at(&name, &place) {
                continue;
            }
            let Some(kept) = self.tasks.get_mut(&name) else {
                continue;
            };
            let Some(resources) = left.take(&kept.task.info.resources) else {
                continue;
            };
            kept.runs += 1;
            kept.state = None;
            let mut info = kept.task.info.clone();
            info.task_id = format!("{name}.{}", kept.runs).into();
            info.agent_id = offer.agent_id.clone();
            info.resources = resources;
            if let Some(executor) = &mut info.executor {
                // Agents want to know whose it is.
                executor.framework_id.clone_from(&self.framework_id);
            }
            kept.phase = Phase::Running {
                task_id: info.task_id.as_str().to_owned(),
                agent_id: info.agent_id.as_str().to_owned(),
                place: place.clone(),
            };
            // Remembered before it can run: a crash must leave no task that nobody knows of.
            actions.push(kept.save(&name));
            task_infos.push(info);
        }
        let offer_ids = vec![offer.id];
        let call = if task_infos.is_empty() {
            self.has_declined = true;
            let filters = Some(Filters {
                refuse_seconds: Some(REFUSE_SECONDS),
            });
            Call {
                decline: Some(call::Decline { offer_ids, filters }),
                ..of(call::Type::Decline)
            }
        } else {
            let launch = Operation {
                r#type: Some(operation::Type::Launch.into()),
                launch: Some(operation::Launch { task_infos }),
                ..Operation::default()
            };
            let accept = call::Accept {
                offer_ids,
                operations: vec![launch],
                filters: None,
            };
            Call {
                accept: Some(accept),
                ..of(call::Type::Accept)
            }
        };
        actions.push(Action::Call(Box::new(call)));
    }

    /// Whether a task's constraints let it run there, given where the others of its group are.
    fn may_run_at(&self, name: &str, place: &Place) -> bool {
        let Some(kept) = self.tasks.get(name) else {
            return false;
        };
        let group = kept.task.group();
        let of_group = self.tasks.values().filter(|it| it.task.group() == group);
        let others = || {
            of_group.clone().filter_map(|it| match &it.phase {
                Phase::Running { place, .. } => Some(place),
                Phase::Waiting(_) | Phase::Done => None,
            })
        };
        let mut constraints = kept.task.constraints.iter();
        constraints.all(|constraint| constraint.is_met_at(place, others))
    }

    fn on_failed(&mut self, now: Duration, kind: call::Type) {
        match kind {
            call::Type::Revive | call::Type::Suppress => {
                self.tell_again_at = Some(now + REPEAT_AFTER);
            }
            // What became of the tasks is found out soon; what an agent is told meanwhile, it is told
            // again when it says that they still run.
            call::Type::Accept | call::Type::Kill | call::Type::Reconcile => {
                self.reconcile_at = self.reconcile_at.min(now + REPEAT_AFTER);
            }
            // Agents repeat what is not acknowledged, and masters take offers back.
            _ => {}
        }
    }

    fn on_update(&mut self, now: Duration, status: TaskStatus, actions: &mut Vec<Action>) {
        let id = status.task_id.as_str();
        let name = id.rsplit_once('.').map_or(id, |(name, _)| name).to_owned();
        let state = status.state();
        let mut is_news = false;
        let kept = self.tasks.get_mut(&name);
        if let Some(kept) = kept.filter(|kept| kept.is_running(id)) {
            is_news = kept.state.replace(state) != Some(state);
            if state.is_terminal() {
                kept.on_ended(now, state);
                if kept.wish == Wish::Withdrawn {
                    self.tasks.remove(&name);
                } else {
                    kept.wish = Wish::Goes;
                }
                let value = self.tasks.get(&name).map(Kept::to_value);
                actions.push(Action::Save(key(&name), value));
            } else if kept.wish != Wish::Goes && state != TaskState::TaskKilling {
                // A kill is confirmed by nothing but the end.
                let agent = status.agent_id.as_ref().map_or("", AgentId::as_str);
                actions.push(kill(id, agent));
            }
        } else if is_alive(state) {
            // A former run that was given up too early, or one that nobody remembers: it would run for
            // ever beside the one that counts.
            is_news = true;
            let agent = status.agent_id.as_ref().map_or("", AgentId::as_str);
            actions.push(kill(id, agent));
        }
        // Those without an id are answers to reconciliation, which mostly bring nothing new.
        let is_to_tell = match &status.uuid {
            Some(uuid) => self.told.insert(uuid.clone()),
            None => is_news,
        };
        if is_to_tell {
            actions.push(Action::Tell(Box::new(status)));
        }
    }

    fn reconcile(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.reconcile_at = now + RECONCILE_EVERY;
        let tasks = self.tasks.values().filter_map(|kept| match &kept.phase {
            Phase::Running {
                task_id, agent_id, ..
            } => Some(call::reconcile::Task {
                task_id: task_id.as_str().into(),
                agent_id: Some(agent_id.as_str().into()),
            }),
            Phase::Waiting(_) | Phase::Done => None,
        });
        let tasks: Vec<_> = tasks.collect();
        // An empty list would ask for everything.
        if !tasks.is_empty() {
            actions.push(Action::Call(Box::new(Call {
                reconcile: Some(call::Reconcile { tasks }),
                ..of(call::Type::Reconcile)
            })));
        }
    }

    /// Wants offers while a task is due, and none otherwise.
    fn ask_for_offers(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let wants_none = !self.tasks.values().any(|kept| kept.is_due(now));
        let is_again = self.tell_again_at.is_some_and(|at| at <= now);
        if !self.is_subscribed || (self.is_suppressed == wants_none && !is_again) {
            return;
        }
        self.is_suppressed = wants_none;
        self.has_declined = false;
        self.tell_again_at = (!wants_none).then(|| now + OFFERS_EXPECTED_WITHIN);
        let kind = if wants_none {
            call::Type::Suppress
        } else {
            call::Type::Revive
        };
        actions.push(Action::Call(Box::new(of(kind))));
    }

    /// Saves a task ahead of what this step has it do.
    fn save_before(&self, name: &str, actions: &mut Vec<Action>) {
        let value = self.tasks.get(name).map(Kept::to_value);
        actions.insert(0, Action::Save(key(name), value));
    }
}

impl Kept {
    fn is_due(&self, now: Duration) -> bool {
        matches!(self.phase, Phase::Waiting(from) if from <= now)
    }

    fn is_running(&self, id: &str) -> bool {
        matches!(&self.phase, Phase::Running { task_id, .. } if task_id == id)
    }

    fn on_ended(&mut self, now: Duration, state: TaskState) {
        let has_finished = state == TaskState::TaskFinished;
        self.failures = if has_finished { 0 } else { self.failures + 1 };
        let runs_again = match self.task.restart {
            Restart::Always => true,
            Restart::OnFailure => !has_finished,
            Restart::Never => false,
        };
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = (FIRST_RESTART * (1 << doublings)).min(LONGEST_RESTART);
        self.phase = if self.wish == Wish::Replaced {
            Phase::Waiting(now)
        } else if runs_again {
            Phase::Waiting(now + pause)
        } else {
            Phase::Done
        };
    }

    fn to_value(&self) -> Vec<u8> {
        let is_waiting = matches!(self.phase, Phase::Waiting(_));
        let record = KeptRecord {
            task: self.task.to_record(),
            runs: self.runs,
            phase: (!is_waiting).then(|| self.phase.clone()),
            wish: self.wish,
        };
        serde_json::to_vec(&record).unwrap_or_default()
    }

    fn save(&self, name: &str) -> Action {
        Action::Save(key(name), Some(self.to_value()))
    }
}

/// Whether a process runs, or is about to.
fn is_alive(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskRunning
    )
}

fn key(name: &str) -> String {
    format!("task/{name}")
}

fn acknowledge(status: &TaskStatus, actions: &mut Vec<Action>) {
    // Answers to reconciliation, and what the master says of itself, are not acknowledged.
    let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id) else {
        return;
    };
    let acknowledge = call::Acknowledge {
        agent_id: agent_id.clone(),
        task_id: status.task_id.clone(),
        uuid: uuid.clone(),
    };
    actions.push(Action::Call(Box::new(Call {
        acknowledge: Some(acknowledge),
        ..of(call::Type::Acknowledge)
    })));
}

fn kill(task_id: &str, agent_id: &str) -> Action {
    let kill = call::Kill {
        task_id: task_id.into(),
        agent_id: Some(agent_id.into()),
        kill_policy: None,
    };
    Action::Call(Box::new(Call {
        kill: Some(kill),
        ..of(call::Type::Kill)
    }))
}

fn of(kind: call::Type) -> Call {
    Call {
        r#type: Some(kind.into()),
        ..Call::default()
    }
}
