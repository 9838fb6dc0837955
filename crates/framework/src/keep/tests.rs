//! Stories of the machine, in time of their own making.

use std::collections::BTreeMap;
use std::time::Duration;

use meseta_proto::v1::scheduler::{Call, Event, call, event};
use meseta_proto::v1::value::{Text, Type};
use meseta_proto::v1::{Attribute, Offer, TaskState, TaskStatus};
use meseta_resources::Resources;

use super::machine::{Action, Input, Machine};
use super::{Constraint, Restart, Task};
use crate::limits::{
    FIRST_RESTART, LONGEST_RESTART, OFFERS_EXPECTED_WITHIN, RECONCILE_EVERY, REPEAT_AFTER,
};

/// A keeper, its store, and what it did last.
#[derive(Default)]
struct Story {
    machine: Machine,
    now: Duration,
    saved: BTreeMap<String, Vec<u8>>,
    told: Vec<TaskStatus>,
}

impl Story {
    /// One that has subscribed as `f`.
    fn subscribed() -> Self {
        let mut story = Self::default();
        story.event(subscribed());
        story
    }

    /// Steps; the calls that were made, after everything was saved that came before them.
    fn step(&mut self, input: Input) -> Vec<Call> {
        let mut actions = Vec::new();
        self.machine.step(self.now, input, &mut actions);
        let mut calls = Vec::new();
        for action in actions {
            match action {
                Action::Save(key, Some(value)) => drop(self.saved.insert(key, value)),
                Action::Save(key, None) => drop(self.saved.remove(&key)),
                Action::Tell(status) => self.told.push(*status),
                Action::Call(call) => {
                    for task in launched(&call) {
                        let saved = &self.saved[&format!("task/{}", task.0)];
                        let saved = String::from_utf8_lossy(saved).into_owned();
                        assert!(
                            saved.contains(&task.1),
                            "saved before it is launched: {saved}"
                        );
                    }
                    calls.push(*call);
                }
            }
        }
        calls
    }

    fn event(&mut self, event: Event) -> Vec<Call> {
        self.step(Input::Event(Box::new(event)))
    }

    fn declare(&mut self, task: Task) -> Vec<Call> {
        self.step(Input::Declare(Box::new(task)))
    }

    fn offer(&mut self, resources: &str) -> Vec<Call> {
        self.event(offers(offer(resources)))
    }

    fn update(&mut self, id: &str, state: TaskState) -> Vec<Call> {
        let status = TaskStatus {
            task_id: id.into(),
            state: state.into(),
            agent_id: Some("a".into()),
            uuid: Some(format!("{id} {}", state.as_str_name()).into_bytes()),
            ..TaskStatus::default()
        };
        self.event(Event {
            update: Some(event::Update { status }),
            ..of(event::Type::Update)
        })
    }

    fn pass(&mut self, time: Duration) -> Vec<Call> {
        self.now += time;
        self.step(Input::Wake)
    }

    /// The keeper that comes after a crash.
    fn restart(self) -> Self {
        let saved = self.saved.clone().into_iter().collect();
        Self {
            machine: Machine::restore(saved).unwrap(),
            saved: self.saved,
            ..Self::default()
        }
    }
}

fn of(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind.into()),
        ..Event::default()
    }
}

fn subscribed() -> Event {
    Event {
        subscribed: Some(event::Subscribed {
            framework_id: "f".into(),
            heartbeat_interval_seconds: None,
            master_info: None,
        }),
        ..of(event::Type::Subscribed)
    }
}

fn offer(resources: &str) -> Offer {
    Offer {
        id: "o".into(),
        agent_id: "a".into(),
        hostname: "host".into(),
        resources: Resources::parse(resources, "*").unwrap().to_v1(),
        attributes: vec![Attribute {
            name: "rack".into(),
            r#type: Type::Text.into(),
            text: Some(Text { value: "r1".into() }),
            ..Attribute::default()
        }],
        ..Offer::default()
    }
}

fn offers(offer: Offer) -> Event {
    Event {
        offers: Some(event::Offers {
            offers: vec![offer],
        }),
        ..of(event::Type::Offers)
    }
}

fn web() -> Task {
    Task::command("web", "serve")
}

/// Names and ids of the tasks that a call launches.
fn launched(call: &Call) -> Vec<(String, String)> {
    let operations = call.accept.iter().flat_map(|accept| &accept.operations);
    let launches = operations.filter_map(|operation| operation.launch.as_ref());
    let tasks = launches.flat_map(|launch| &launch.task_infos);
    let both = tasks.map(|task| (task.name.clone(), task.task_id.to_string()));
    both.collect()
}

fn kinds(calls: &[Call]) -> Vec<call::Type> {
    calls.iter().map(Call::r#type).collect()
}

fn ids(calls: &[Call]) -> Vec<String> {
    let both = calls.iter().flat_map(launched);
    both.map(|(_, id)| id).collect()
}

#[test]
fn offers_are_wanted_only_while_a_task_waits_for_one() {
    let mut story = Story::default();
    assert_eq!(kinds(&story.event(subscribed())), [call::Type::Suppress]);
    assert_eq!(kinds(&story.declare(web())), [call::Type::Revive]);
    assert_eq!(kinds(&story.declare(web())), []);
    let calls = story.offer("cpus:4;mem:4096");
    assert_eq!(kinds(&calls), [call::Type::Accept, call::Type::Suppress]);
    assert_eq!(ids(&calls), ["web.1"]);
    assert_eq!(
        kinds(&story.offer("cpus:4;mem:4096")),
        [call::Type::Decline]
    );
}

#[test]
fn as_many_tasks_as_fit_share_an_offer() {
    let mut story = Story::subscribed();
    for name in ["a", "b", "c"] {
        story.declare(Task::command(name, "true").cpus(2.0));
    }
    assert_eq!(ids(&story.offer("cpus:4;mem:4096")), ["a.1", "b.1"]);
    assert_eq!(ids(&story.offer("cpus:1;mem:4096")), [""; 0]);
    assert_eq!(ids(&story.offer("cpus:2;mem:32")), ["c.1"]);
}

#[test]
fn what_an_offer_has_reserved_is_used_and_allocated_to_its_role() {
    let mut story = Story::subscribed();
    story.declare(web());
    let mut offer = offer("cpus(science):1;cpus:1;mem:64");
    let role = meseta_proto::v1::resource::AllocationInfo {
        role: Some("science".into()),
    };
    offer.allocation_info = Some(role);
    let calls = story.event(offers(offer));
    let accept = calls[0].accept.clone().unwrap();
    let task = accept.operations[0].launch.clone().unwrap().task_infos;
    let resources = Resources::from_v1(&task[0].resources).unwrap();
    let allocated = resources.allocations();
    assert_eq!(allocated.keys().collect::<Vec<_>>(), ["science"]);
    assert_eq!(
        resources.unallocate().reserved_to("science").cpus(),
        Some(0.1)
    );
}

#[test]
fn tasks_go_only_where_their_constraints_are_met() {
    let (rack, r1, r2) = ("rack".to_owned(), "r1".to_owned(), "r2".to_owned());
    let host = |name: &str| Constraint::Is("hostname".into(), name.into());
    for (constraint, is_met) in [
        (Constraint::Has(rack.clone()), true),
        (Constraint::Has("pod".into()), false),
        (Constraint::Is(rack.clone(), r1.clone()), true),
        (Constraint::Is(rack.clone(), r2.clone()), false),
        (Constraint::IsNot(rack.clone(), r1), false),
        (Constraint::IsNot(rack, r2), true),
        (host("host"), true),
        (host("other"), false),
    ] {
        let mut story = Story::subscribed();
        story.declare(web().only_where(constraint.clone()));
        let is_launched = !ids(&story.offer("cpus:4;mem:4096")).is_empty();
        assert_eq!(is_launched, is_met, "{constraint:?}");
    }
}

#[test]
fn what_fails_runs_again_after_pauses_that_grow_to_a_bound() {
    let mut story = Story::subscribed();
    story.declare(web());
    let mut pause = FIRST_RESTART;
    for run in 1..12 {
        assert_eq!(ids(&story.offer("cpus:4;mem:4096")), [format!("web.{run}")]);
        story.update(&format!("web.{run}"), TaskState::TaskFailed);
        let early = pause.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(
            ids(&story.offer("cpus:4;mem:4096")),
            [""; 0],
            "in the pause"
        );
        assert!(!kinds(&story.pass(early)).contains(&call::Type::Revive));
        let woken = story.pass(Duration::from_millis(1));
        assert!(kinds(&woken).contains(&call::Type::Revive), "{pause:?}");
        pause = (pause * 2).min(LONGEST_RESTART);
    }
}

#[test]
fn who_ends_for_good_is_the_tasks_own_rule() {
    let (good, bad) = (TaskState::TaskFinished, TaskState::TaskFailed);
    for (restart, state, runs_again) in [
        (Restart::Always, good, true),
        (Restart::Always, bad, true),
        (Restart::OnFailure, good, false),
        (Restart::OnFailure, bad, true),
        (Restart::Never, good, false),
        (Restart::Never, bad, false),
    ] {
        let mut story = Story::subscribed();
        story.declare(web().restart(restart));
        story.offer("cpus:4;mem:4096");
        story.update("web.1", state);
        story.pass(LONGEST_RESTART);
        let again = !ids(&story.offer("cpus:4;mem:4096")).is_empty();
        assert_eq!(again, runs_again, "{restart:?} after {state:?}");
        // A program that starts again and declares the same does not run it again either.
        assert_eq!(ids(&story.declare(web().restart(restart))), [""; 0]);
    }
}

#[test]
fn an_update_is_acknowledged_only_when_it_has_been_dealt_with() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    assert_eq!(kinds(&story.update("web.1", TaskState::TaskRunning)), []);
    let told = story.told.pop().unwrap();
    let calls = story.step(Input::Dealt(Box::new(told.clone())));
    assert_eq!(kinds(&calls), [call::Type::Acknowledge]);
    // An answer to reconciliation has nothing to acknowledge.
    let status = TaskStatus { uuid: None, ..told };
    assert_eq!(story.step(Input::Dealt(Box::new(status))), []);
}

#[test]
fn an_update_is_told_once_however_often_the_agent_repeats_it() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    for _ in 0..3 {
        story.update("web.1", TaskState::TaskRunning);
    }
    assert_eq!(story.told.len(), 1);
    // Nor is an answer to reconciliation told that brings nothing new.
    let status = TaskStatus {
        uuid: None,
        ..story.told[0].clone()
    };
    story.event(Event {
        update: Some(event::Update { status }),
        ..of(event::Type::Update)
    });
    assert_eq!(story.told.len(), 1);
    // An acknowledgement that was lost has the agent repeat it, and the user deal with it again.
    let status = story.told[0].clone();
    story.step(Input::Dealt(Box::new(status)));
    story.update("web.1", TaskState::TaskRunning);
    assert_eq!(story.told.len(), 2);
}

#[test]
fn a_keeper_without_a_master_has_nothing_to_wake_for() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    story.update("web.1", TaskState::TaskFailed);
    assert_eq!(story.machine.next_wake(), Some(FIRST_RESTART));
    story.step(Input::Disconnected);
    assert_eq!(story.machine.next_wake(), None);
}

#[test]
fn the_next_life_is_the_same_framework_and_reconciles_its_tasks() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.declare(Task::command("waits", "true").cpus(100.0));
    story.offer("cpus:4;mem:4096");
    let mut story = story.restart();
    assert_eq!(story.machine.framework_id(), Some(&"f".into()));
    let calls = story.event(subscribed());
    // For what is remembered, and for what is not.
    let reconcile = call::Type::Reconcile;
    assert_eq!(kinds(&calls), [reconcile, reconcile]);
    assert_eq!(calls[1].reconcile, Some(call::Reconcile::default()));
    let asked = calls[0].reconcile.clone().unwrap().tasks;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].task_id, "web.1".into());
    assert_eq!(asked[0].agent_id, Some("a".into()));
    assert_eq!(story.declare(web()), [], "it runs already");

    // The crash came before the launch: it is lost, and runs under a new id.
    story.update("web.1", TaskState::TaskLost);
    story.pass(FIRST_RESTART);
    assert_eq!(ids(&story.offer("cpus:4;mem:4096")), ["web.2"]);
}

#[test]
fn a_call_that_was_lost_is_noticed_by_asking_again() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    assert_eq!(story.machine.next_wake(), Some(RECONCILE_EVERY));
    assert_eq!(kinds(&story.pass(RECONCILE_EVERY)), [call::Type::Reconcile]);
    story.step(Input::Disconnected);
    assert_eq!(story.pass(RECONCILE_EVERY), [], "there is nobody to ask");
}

#[test]
fn a_lost_revive_or_suppress_is_repeated() {
    let mut story = Story::subscribed();
    assert_eq!(kinds(&story.declare(web())), [call::Type::Revive]);
    assert_eq!(story.step(Input::Failed(call::Type::Revive)), []);
    let woken = story.machine.next_wake().unwrap();
    assert_eq!(woken, story.now + REPEAT_AFTER);
    assert_eq!(kinds(&story.pass(REPEAT_AFTER)), [call::Type::Revive]);
    story.offer("cpus:4;mem:4096");
    story.step(Input::Failed(call::Type::Suppress));
    assert_eq!(kinds(&story.pass(REPEAT_AFTER)), [call::Type::Suppress]);
    assert_eq!(kinds(&story.pass(REPEAT_AFTER)), []);
}

#[test]
fn a_master_that_brings_no_offers_is_asked_again_and_one_that_does_is_not() {
    let mut story = Story::subscribed();
    story.declare(web().cpus(100.0));
    let half = OFFERS_EXPECTED_WITHIN / 2;
    story.pass(half);
    assert_eq!(
        kinds(&story.offer("cpus:4;mem:4096")),
        [call::Type::Decline]
    );
    assert!(!kinds(&story.pass(half)).contains(&call::Type::Revive));
    assert!(kinds(&story.pass(half)).contains(&call::Type::Revive));
}

#[test]
fn what_was_declined_is_asked_for_when_another_task_may_take_it() {
    let mut story = Story::subscribed();
    story.declare(web().cpus(100.0));
    assert_eq!(kinds(&story.declare(Task::command("b", "true"))), []);
    story.offer("cpus:0.1;mem:32");
    story.offer("cpus:4;mem:4096");
    let another = Task::command("c", "true");
    assert_eq!(kinds(&story.declare(another)), [call::Type::Revive]);
}

#[test]
fn after_a_lost_launch_the_tasks_fate_is_asked_for_soon() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    story.step(Input::Failed(call::Type::Accept));
    let calls = story.pass(REPEAT_AFTER);
    assert_eq!(kinds(&calls), [call::Type::Reconcile]);
}

#[test]
fn what_nobody_remembers_is_killed() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    for id in ["web.0", "stranger.7"] {
        let calls = story.update(id, TaskState::TaskRunning);
        assert_eq!(kinds(&calls), [call::Type::Kill], "{id}");
        assert_eq!(calls[0].kill.clone().unwrap().task_id, id.into());
    }
    assert_eq!(kinds(&story.update("web.1", TaskState::TaskRunning)), []);
}

#[test]
fn tasks_of_a_group_keep_apart_also_after_a_crash() {
    let mut story = Story::subscribed();
    for name in ["web-0", "web-1"] {
        let task = Task::command(name, "serve").in_group("web");
        story.declare(task.only_where(Constraint::Unique("hostname".into())));
    }
    assert_eq!(ids(&story.offer("cpus:4;mem:4096")), ["web-0.1"]);
    let mut story = story.restart();
    story.event(subscribed());
    assert_eq!(ids(&story.offer("cpus:4;mem:4096")), [""; 0]);
    let mut elsewhere = offer("cpus:4;mem:4096");
    elsewhere.hostname = "another".into();
    assert_eq!(ids(&story.event(offers(elsewhere))), ["web-1.1"]);
}

#[test]
fn people_can_see_how_tasks_are_doing() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.declare(Task::command("waits", "true").cpus(100.0));
    story.offer("cpus:4;mem:4096");
    story.update("web.1", TaskState::TaskRunning);
    let kept = story.machine.kept();
    let [waits, web] = &kept[..] else {
        panic!("{kept:?}")
    };
    assert_eq!((waits.name.as_str(), &waits.task_id), ("waits", &None));
    assert_eq!(web.task_id, Some("web.1".into()));
    assert_eq!(web.agent_id, Some("a".into()));
    assert_eq!(web.state, Some(TaskState::TaskRunning));
    assert!(!web.is_done);
}

#[test]
fn what_is_withdrawn_is_killed_and_forgotten_with_its_end() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    let calls = story.step(Input::Withdraw("web".into()));
    assert_eq!(kinds(&calls), [call::Type::Kill]);
    // The kill was lost with a crash: it is asked for again.
    let mut story = story.restart();
    story.event(subscribed());
    let calls = story.update("web.1", TaskState::TaskRunning);
    assert_eq!(kinds(&calls), [call::Type::Kill]);
    story.update("web.1", TaskState::TaskKilled);
    assert_eq!(story.saved.keys().collect::<Vec<_>>(), ["framework"]);
}

#[test]
fn another_task_of_the_same_name_takes_the_place_of_the_first() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    let other = Task::command("web", "serve better").restart(Restart::Never);
    assert_eq!(kinds(&story.declare(other)), [call::Type::Kill]);
    story.update("web.1", TaskState::TaskKilled);
    let calls = story.offer("cpus:4;mem:4096");
    let accept = calls[0].accept.clone().unwrap();
    let task = &accept.operations[0].launch.clone().unwrap().task_infos[0];
    assert_eq!(task.command.clone().unwrap().value(), "serve better");
}

#[test]
fn updates_of_former_runs_and_of_strangers_change_nothing() {
    let mut story = Story::subscribed();
    story.declare(web());
    story.offer("cpus:4;mem:4096");
    let before = story.saved.clone();
    for id in ["web.0", "web", "stranger.1", "", "."] {
        story.update(id, TaskState::TaskFailed);
    }
    assert_eq!(story.saved, before);
    assert_eq!(story.told.len(), 5, "they are told all the same");
}

#[test]
fn what_is_no_keepers_store_is_refused_with_the_key() {
    let values = vec![("task/web".to_owned(), b"{}".to_vec())];
    let (key, reason) = Machine::restore(values).unwrap_err();
    assert_eq!(key, "task/web");
    assert!(reason.contains("missing field"), "{reason}");
}
