use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use meseta_store::{Forgetful, Store};

use super::*;

/// Says each number, after keeping it.
struct Echo {
    wake_at: Option<Duration>,
}

enum Action {
    Keep(u64),
    Note(u64),
    Say(u64),
}

fn fact(n: u64) -> Change {
    (n.to_string(), Some(Vec::new()))
}

impl Machine for Echo {
    type Input = Option<u64>;
    type Action = Action;
    type Snapshot = ();

    fn wake() -> Option<u64> {
        None
    }

    fn step(&mut self, _: Now, input: Option<u64>, actions: &mut Vec<Action>) {
        if let Some(n) = input {
            actions.extend([Action::Keep(n), Action::Say(n)]);
        } else {
            self.wake_at = None;
            actions.push(Action::Say(0));
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        self.wake_at
    }

    fn snapshot(&self) {}

    fn into_changes(action: Action) -> Result<Changes, Action> {
        match action {
            Action::Keep(n) => Ok(Changes::Persist(vec![fact(n)])),
            Action::Note(n) => Ok(Changes::Note(vec![fact(n)])),
            say @ Action::Say(_) => Err(say),
        }
    }
}

struct Say(mpsc::Sender<u64>);

impl Effects<Action> for Say {
    fn apply(&mut self, action: Action) {
        if let Action::Say(n) = action {
            self.0.send(n).unwrap();
        }
    }

    fn store_failed(&mut self, error: &meseta_store::Error) {
        panic!("{error}");
    }

    fn machine_ended(&mut self) {
        let _ = self.0.send(u64::MAX);
    }
}

/// Runs a machine that keeps nothing.
fn start(machine: Echo, inputs: Queue<Option<u64>>, said: mpsc::Sender<u64>) {
    run(
        machine,
        Clock::start(),
        inputs,
        Box::new(Forgetful),
        Say(said),
    )
    .unwrap();
}

#[test]
fn what_is_promised_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("facts");
    let (inputs, receiver) = queue(|_| Sort::Dispatch);
    let (said, hear) = mpsc::channel();
    let store = Box::new(Store::open(&path).unwrap());
    run(
        Echo { wake_at: None },
        Clock::start(),
        receiver,
        store,
        Say(said),
    )
    .unwrap();
    for n in 1..=500 {
        inputs.send(Some(n));
    }
    assert!(hear.iter().take(500).eq(1..=500));
    drop(inputs);
    // The store is closed by then, which opening it again needs.
    assert_eq!(hear.recv(), Ok(u64::MAX));
    assert!(hear.recv().is_err());
    assert_eq!(Store::open(&path).unwrap().load().unwrap().len(), 500);
}

#[test]
fn a_machine_is_woken_when_it_asked_for_it() {
    let (inputs, receiver) = queue(|_| Sort::Dispatch);
    let (said, hear) = mpsc::channel();
    let machine = Echo {
        wake_at: Some(Duration::from_millis(5)),
    };
    start(machine, receiver, said);
    assert_eq!(hear.recv().unwrap(), 0);
    drop(inputs);
}

#[test]
fn what_is_left_for_the_next_turn_brings_none_about_and_comes_before_what_does() {
    let (inputs, receiver) = queue(|_| Sort::Dispatch);
    let (said, hear) = mpsc::channel();
    start(Echo { wake_at: None }, receiver, said);
    // Whatever turn the first one comes by, those that are left are said before it.
    for n in [2, 3] {
        inputs.leave(Some(n)).unwrap();
    }
    inputs.send(Some(1));
    assert!(hear.iter().take(3).eq([2, 3, 1]));
    drop(inputs);
}

#[test]
fn what_is_left_is_known_when_a_time_has_come_and_bounded() {
    let (inputs, receiver) = queue(|_| Sort::Dispatch);
    let (said, hear) = mpsc::channel();
    for n in 1..=MAX_LEFT_INPUTS as u64 {
        inputs.leave(Some(n)).unwrap();
    }
    assert_eq!(inputs.leave(Some(7)), Err(Some(7)));
    let machine = Echo {
        wake_at: Some(Duration::from_millis(1)),
    };
    start(machine, receiver, said);
    let all = MAX_LEFT_INPUTS as u64;
    assert!(
        hear.iter()
            .take(MAX_LEFT_INPUTS + 1)
            .eq((1..=all).chain([0]))
    );
    inputs.leave(Some(7)).unwrap();
    drop(inputs);
}

/// Carries batches out, with a store; gives what was said, and the store's facts after that.
fn carried_out(
    batches: impl FnOnce(&SyncSender<Vec<Action>>, &mpsc::Receiver<u64>),
) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("facts");
    let store = Store::open(&path).unwrap();
    let (sender, waiting) = sync_channel(MAX_WAITING_BATCHES);
    let (said, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || carry_out::<Echo, _>(&waiting, Say(said), Box::new(store)));
        batches(&sender, &hear);
        drop(sender);
        assert_eq!(hear.iter().last(), Some(u64::MAX));
    });
    let facts = Store::open(&path).unwrap().load().unwrap();
    facts.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn nothing_waits_for_what_is_noted_and_all_of_it_is_on_disk_in_the_end() {
    let facts = carried_out(|batches, hear| {
        let batch = vec![Action::Note(1), Action::Say(10), Action::Note(2)];
        batches.send(batch).unwrap();
        assert_eq!(hear.recv(), Ok(10));
    });
    assert_eq!(facts, ["1", "2"]);
}

#[test]
fn what_is_noted_is_written_with_the_next_promise_or_when_its_time_has_come() {
    let mut pending = Pending::new(Box::new(Forgetful));
    pending.add(Changes::Note(vec![fact(1)]));
    let due = pending.due.unwrap();
    assert!(due <= Instant::now() + NOTE_PATIENCE);
    pending.add(Changes::Note(vec![fact(2)]));
    assert_eq!(pending.due, Some(due), "later notes do not put it off");
    pending.due = Some(Instant::now());
    assert!(pending.must_be_written());
    pending.due = Some(due + Duration::from_hours(1));
    assert!(!pending.must_be_written());
    pending.add(Changes::Persist(vec![fact(3)]));
    assert!(pending.must_be_written());
    assert_eq!(pending.changes, [fact(1), fact(2), fact(3)], "in order");
    pending.write().unwrap();
    assert!(!pending.must_be_written() && pending.due.is_none());
    assert!(pending.changes.is_empty());
}

/// A store that tells how it was asked to keep changes.
#[derive(Debug)]
struct Asked(mpsc::Sender<(&'static str, usize)>);

impl Registry for Asked {
    fn load(&self) -> Result<Vec<meseta_store::Fact>, meseta_store::Error> {
        Ok(Vec::new())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), meseta_store::Error> {
        self.0.send(("synced", changes.len())).unwrap();
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), meseta_store::Error> {
        self.0.send(("written", changes.len())).unwrap();
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }
}

#[test]
fn only_promises_wait_for_the_disk_and_take_what_came_before_along() {
    let (asked, hear) = mpsc::channel();
    let mut pending = Pending::new(Box::new(Asked(asked)));
    let mut write = |changes: Vec<Changes>| {
        let is_awaited = changes.iter().any(|it| !matches!(it, Changes::Note(_)));
        for change in changes {
            pending.add(change);
        }
        assert_eq!(pending.must_be_written(), is_awaited);
        pending.write().unwrap();
        hear.try_iter().collect::<Vec<_>>()
    };
    let (note, record) = (
        || Changes::Note(vec![fact(1)]),
        || Changes::Record(vec![fact(2)]),
    );
    let promise = || Changes::Persist(vec![fact(3)]);
    assert_eq!(write(vec![note()]), [("written", 1)]);
    assert_eq!(write(vec![note(), record()]), [("written", 2)]);
    assert_eq!(write(vec![record(), promise(), record()]), [("synced", 3)]);
    assert_eq!(write(vec![record()]), [("written", 1)], "once is enough");
    assert_eq!(write(vec![]), []);
}

/// A store with room while the flag says so.
#[derive(Debug)]
struct Small(Arc<AtomicBool>);

impl Registry for Small {
    fn load(&self) -> Result<Vec<meseta_store::Fact>, meseta_store::Error> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: &[Change]) -> Result<(), meseta_store::Error> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn has_room(&mut self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_full_disk_is_told_of_once_and_looked_at_again_until_it_is_not() {
    let has_room = Arc::new(AtomicBool::new(false));
    let mut pending = Pending::new(Box::new(Small(Arc::clone(&has_room))));
    assert_eq!(pending.news_of_room(), Some(false));
    pending.has_told_room(false, false);
    assert_eq!(pending.news_of_room(), None, "not again at once");
    let later = |pending: &mut Pending| {
        assert!(pending.wake().is_some(), "though nothing comes");
        pending.room_due = Some(Instant::now());
        pending.news_of_room()
    };
    assert_eq!(later(&mut pending), Some(false), "nobody could be told");
    pending.has_told_room(false, true);
    assert_eq!(later(&mut pending), None);
    has_room.store(true, Ordering::SeqCst);
    assert_eq!(later(&mut pending), Some(true));
    pending.has_told_room(true, true);
    assert_eq!(pending.news_of_room(), None);
    assert_eq!(pending.wake(), None, "nothing is to be looked for");
}

#[test]
fn what_is_noted_is_written_though_nothing_follows() {
    const NOTED: u64 = 7_777_777_777_777;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("facts");
    let store = Store::open(&path).unwrap();
    let (sender, waiting) = sync_channel(MAX_WAITING_BATCHES);
    let (said, _hear) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || carry_out::<Echo, _>(&waiting, Say(said), Box::new(store)));
        sender.send(vec![Action::Note(NOTED)]).unwrap();
        let wanted = NOTED.to_string();
        let is_written = || {
            let file = std::fs::read(&path).unwrap();
            file.windows(wanted.len())
                .any(|part| part == wanted.as_bytes())
        };
        let give_up = Instant::now() + Duration::from_secs(30);
        while !is_written() {
            assert!(Instant::now() < give_up, "it is never written");
            std::thread::yield_now();
        }
        drop(sender);
    });
}
