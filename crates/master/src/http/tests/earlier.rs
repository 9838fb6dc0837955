use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::records::Deactivation;

const TARGETS: [&str; 7] = [
    "/state",
    "/slaves",
    "/slaves?slave_id=M-S0",
    "/frameworks",
    "/state?jsonp=show",
    "/frameworks?framework_id=M-0000",
    "/master/state.json",
];

fn reply_with(snapshot: &Snapshot, target: &str, earlier: &Earlier) -> Reply {
    match ask_with(snapshot, "GET", target, "", earlier) {
        Answer::Reply(reply) => reply,
        other => panic!("{target}: {other:?}"),
    }
}

#[derive(Debug, Clone)]
enum Change {
    Launch(u8, bool),
    Update(Index),
    Complete(Index),
    Lose(Index),
    Return(Index),
    ForgetCompleted,
    AddAgent(u8),
    OfferOf(Index),
    RemoveAgent(Index),
    Drain(Index, bool),
    AddFramework(u8),
    EndFramework(Index),
    Ask(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<Index>();
    prop_oneof![
        4 => (any::<u8>(), any::<bool>()).prop_map(|(id, first)| Change::Launch(id, first)),
        2 => at().prop_map(Change::Update),
        2 => at().prop_map(Change::Complete),
        1 => at().prop_map(Change::Lose),
        1 => at().prop_map(Change::Return),
        1 => Just(Change::ForgetCompleted),
        2 => any::<u8>().prop_map(Change::AddAgent),
        1 => at().prop_map(Change::OfferOf),
        1 => at().prop_map(Change::RemoveAgent),
        1 => (at(), any::<bool>()).prop_map(|(agent, on)| Change::Drain(agent, on)),
        1 => any::<u8>().prop_map(Change::AddFramework),
        1 => at().prop_map(Change::EndFramework),
        6 => (0..TARGETS.len()).prop_map(Change::Ask),
    ]
}

/// Changes a framework as the machine does: in place if no reader has it.
fn with_framework(snapshot: &mut Snapshot, first: bool, change: impl FnOnce(&mut FrameworkRecord)) {
    let mut ids = snapshot.frameworks.keys();
    let id = if first { ids.next() } else { ids.next_back() };
    let Some(id) = id.cloned() else {
        return;
    };
    change(Arc::make_mut(snapshot.frameworks.get_mut(&id).unwrap()));
}

fn some<K: Clone>(keys: impl Iterator<Item = K>, at: Index) -> Option<K> {
    let keys: Vec<K> = keys.collect();
    (!keys.is_empty()).then(|| at.get(&keys).clone())
}

fn make(change: &Change, snapshot: &mut Snapshot, number: u64) {
    match change {
        Change::Launch(id, first) => with_framework(snapshot, *first, |framework| {
            let id = format!("task{id}");
            let launched = task(&id, "TASK_STAGING", number);
            framework.tasks.insert(id.as_str().into(), launched);
        }),
        Change::Update(at) => with_framework(snapshot, true, |framework| {
            if let Some(id) = some(framework.tasks.keys().cloned(), *at) {
                let task = Arc::make_mut(framework.tasks.get_mut(&id).unwrap());
                task.set_state(TaskState::TaskRunning);
                task.name = format!("n{number}");
            }
        }),
        Change::Complete(at) => with_framework(snapshot, true, |framework| {
            if let Some(id) = some(framework.tasks.keys().cloned(), *at) {
                let task = framework.tasks.remove(&id).unwrap();
                framework
                    .completed_tasks
                    .push_back(CompletedTask::new(&task));
            }
        }),
        Change::Lose(at) => with_framework(snapshot, true, |framework| {
            if let Some(id) = some(framework.tasks.keys().cloned(), *at) {
                let task = framework.tasks.remove(&id).unwrap();
                framework.unreachable_tasks.push_back(task);
            }
        }),
        Change::Return(at) => with_framework(snapshot, true, |framework| {
            if let Some(place) = some(0..framework.unreachable_tasks.len(), *at) {
                let task = framework.unreachable_tasks.remove(place);
                framework.tasks.insert(task.task_id.clone(), task);
            }
        }),
        Change::ForgetCompleted => with_framework(snapshot, true, |framework| {
            framework.completed_tasks.pop_front();
        }),
        Change::AddAgent(id) => {
            let mut agent = AgentRecord::clone(&snapshot_agent());
            agent.id = format!("M-S{id}").as_str().into();
            agent.registered_time = Duration::from_secs(number);
            snapshot.agents.insert(agent.id.clone(), agent.into());
        }
        Change::OfferOf(at) => {
            if let Some(id) = some(snapshot.agents.keys().cloned(), *at) {
                let agent = Arc::make_mut(snapshot.agents.get_mut(&id).unwrap());
                agent.offered = Resources::parse(&format!("cpus:{number}"), "*").unwrap();
            }
        }
        Change::RemoveAgent(at) => {
            if let Some(id) = some(snapshot.agents.keys().cloned(), *at) {
                snapshot.agents.remove(&id);
            }
        }
        Change::Drain(at, on) => {
            if let Some(id) = some(snapshot.agents.keys().cloned(), *at) {
                if *on {
                    snapshot.deactivations.insert(id, Deactivation::default());
                } else {
                    snapshot.deactivations.remove(&id);
                }
            }
        }
        Change::AddFramework(id) => {
            let id = format!("M-{id}");
            let record = framework(&id, Endpoint::None, r#"{"user":"u","name":"added"}"#);
            snapshot.frameworks.insert(record.id.clone(), record.into());
        }
        Change::EndFramework(at) => {
            if let Some(id) = some(snapshot.frameworks.keys().cloned(), *at) {
                let mut ended = snapshot.frameworks.remove(&id).unwrap();
                Arc::make_mut(&mut ended).unregistered_time = Some(Duration::from_secs(number));
                snapshot.completed_frameworks.push_back(ended);
            }
        }
        Change::Ask(_) => {}
    }
}

fn snapshot_agent() -> Arc<AgentRecord> {
    Arc::clone(&busy().agents[&AgentId::from(AGENT)])
}

proptest! {
    #[test]
    fn nobody_can_tell_what_was_copied_from_earlier_answers(
        changes in prop::collection::vec(change(), 1..60),
    ) {
        let earlier = Earlier::default();
        let mut snapshot = busy();
        let mut readers = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            make(change, &mut snapshot, number as u64 + 1);
            if let Change::Ask(target) = change {
                // Whoever looks at records holds them: the machine makes others from then on.
                readers = vec![snapshot.clone()];
                let target = TARGETS[*target];
                let copied = reply_with(&snapshot, target, &earlier);
                prop_assert_eq!(copied, reply(&snapshot, target));
            }
        }
        drop(readers);
        for target in TARGETS {
            prop_assert_eq!(reply_with(&snapshot, target, &earlier), reply(&snapshot, target));
        }
    }
}

/// Whether the next `/state` after a change says again what the answer before it is made to say.
fn is_copied(word: &str, other: &str, change: impl FnOnce(&mut Snapshot)) -> bool {
    assert_eq!(word.len(), other.len());
    let mut snapshot = busy();
    let earlier = Earlier::default();
    reply_with(&snapshot, "/state", &earlier);
    earlier.state.alter(word, other);
    change(&mut snapshot);
    let state = reply_with(&snapshot, "/state", &earlier);
    String::from_utf8_lossy(&state.body).contains(other)
}

#[test]
fn what_is_the_same_is_not_rendered_again() {
    let deactivate = |snapshot: &mut Snapshot| {
        with_framework(snapshot, true, |framework| framework.active = false);
    };
    for id in ["t1", "t2", "t3"] {
        let (word, other) = (format!(r#"{{"id":"{id}""#), r#"{"id":"xx""#);
        assert!(
            is_copied(&word, other, |_| {}),
            "{id}: all of its framework"
        );
        assert!(is_copied(&word, other, deactivate), "{id}: the task alone");
    }
    let (word, other) = (r#""hostname":"h""#, r#""hostname":"x""#);
    assert!(is_copied(word, other, deactivate), "the agent");
    assert!(!is_copied(word, other, |snapshot| {
        snapshot
            .deactivations
            .insert(AGENT.into(), Deactivation::default());
    }));
}

#[test]
fn what_is_forgotten_is_rendered_again() {
    let snapshot = busy();
    let earlier = Earlier::default();
    reply_with(&snapshot, "/state", &earlier);
    earlier.state.alter("\"t1\"", "\"xx\"");
    earlier.forget();
    let state = reply_with(&snapshot, "/state", &earlier);
    assert_eq!(state, reply(&snapshot, "/state"));
}
