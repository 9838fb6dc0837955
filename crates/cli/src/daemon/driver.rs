//! Runs a state machine: one way in, one way out.
//!
//! Two threads do the work. The *machine thread* takes inputs from a bounded queue, lets the
//! machine step through all that have arrived, publishes a snapshot, and hands the actions on. The
//! *effects thread* carries them out in order; changes that must be durable are gathered from all
//! batches that wait, synced once, and only then is anything behind them let out. So the machine
//! goes on while the disk works (until a bound of batches waits), and a promise never overtakes its
//! fact. Changes that nothing waits for go with the next that something does, or alone after
//! [`NOTE_PATIENCE`]; the order of all changes is that of the actions. Only what must outlive the
//! machine's power is synced, and all that was written before with it.
//!
//! What a machine need not know before its next turn ([`Inputs::leave`]) wakes nobody: it is taken
//! along with whatever comes next, and before the machine looks at its timers. Nor is the effects
//! thread woken for nothing.

#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meseta_machine::Now;
use meseta_store::{Change, Registry};

use super::limits::{
    MAX_BATCH, MAX_LEFT_INPUTS, MAX_WAITING_BATCHES, MAX_WAITING_INPUTS, NOTE_PATIENCE,
    ROOM_PATIENCE,
};
use super::waiting::{Depths, Place, Sort};

/// A state machine as the driver sees it.
pub(crate) trait Machine: Send + 'static {
    type Input: Send + 'static;
    type Action: Send + 'static;
    type Snapshot: Send + Sync + 'static;

    fn wake() -> Self::Input;
    fn step(&mut self, now: Now, input: Self::Input, actions: &mut Vec<Self::Action>);
    fn next_wake(&self) -> Option<Duration>;
    fn snapshot(&self) -> Self::Snapshot;
    /// How long an input has waited for its turn.
    fn waited(&mut self, _: Duration) {}
    /// What an action asks of the store, or the action itself when it asks nothing of it.
    fn into_changes(action: Self::Action) -> Result<Changes, Self::Action>;
    /// Whether an action must wait for what was noted before it, too.
    fn follows_notes(_: &Self::Action) -> bool {
        false
    }
}

/// What an action asks of the store.
#[derive(Debug)]
pub(crate) enum Changes {
    /// These must be durable before anything that follows.
    Persist(Vec<Change>),
    /// These must outlive the process before anything that follows, and the machine's power some time.
    Record(Vec<Change>),
    /// These must be written soon, and not after changes that follow.
    Note(Vec<Change>),
}

/// Carries actions out.
pub(crate) trait Effects<A>: Send + 'static {
    fn apply(&mut self, action: A);

    /// Called before changes are made durable, with their number.
    fn storing(&mut self, _: usize) {}

    /// Called after that, with the time that it took and the bytes that the store has now.
    fn stored(&mut self, _: Duration, _: u64) {}

    /// Called when the store has no room for anything new, and when it has again. False if that could not be
    /// passed on: then it is called again. It must not wait.
    fn room(&mut self, _has_room: bool) -> bool {
        true
    }

    /// Called when the store cannot be written: nothing more may be promised.
    fn store_failed(&mut self, error: &meseta_store::Error);

    /// Called when no more actions will come: the machine has no way in left, or a fault in it has
    /// ended its thread. Without it the daemon is of no use.
    fn machine_ended(&mut self);
}

/// The way into a running machine.
#[derive(Debug)]
pub(crate) struct Inputs<I> {
    sender: SyncSender<Queued<I>>,
    /// What sort of input one is.
    sort: fn(&I) -> Sort,
    depths: Arc<Depths>,
    left: Left<I>,
}

/// The way out of the queue, to its machine.
#[derive(Debug)]
pub(crate) struct Queue<I> {
    pub(super) receiver: Receiver<Queued<I>>,
    left: Left<I>,
}

/// Inputs that wait for the machine's next turn and do not bring it about.
#[derive(Debug)]
struct Left<I>(Arc<Mutex<Vec<I>>>);

impl<I> Clone for Left<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I> Left<I> {
    /// It is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Vec<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<I> {
        std::mem::take(&mut self.lock())
    }
}

/// An input that waits for its turn.
#[derive(Debug)]
pub(crate) struct Queued<I> {
    pub(super) input: I,
    since: Instant,
    _place: Place,
}

impl<I> Clone for Inputs<I> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            sort: self.sort,
            depths: Arc::clone(&self.depths),
            left: self.left.clone(),
        }
    }
}

impl<I> Inputs<I> {
    fn queued(&self, input: I) -> Queued<I> {
        Queued {
            _place: Place::take(&self.depths, (self.sort)(&input)),
            since: Instant::now(),
            input,
        }
    }

    /// How much waits in the queue.
    pub(crate) fn depths(&self) -> Arc<Depths> {
        Arc::clone(&self.depths)
    }

    /// Queues an input. Blocks while the queue is full, which holds back whoever sends; the
    /// machine's own two threads never send, so that it always drains. Inputs to a machine that has
    /// ended are lost, as with a process that has ended.
    pub(crate) fn send(&self, input: I) {
        let _ = self.sender.send(self.queued(input));
    }

    /// Queues an input unless that would block; gives it back then.
    pub(crate) fn try_send(&self, input: I) -> Result<(), I> {
        match self.sender.try_send(self.queued(input)) {
            Err(TrySendError::Full(queued)) => Err(queued.input),
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Leaves an input for the machine's next turn, without waking it. Never blocks; gives the input
    /// back when too many are left already.
    pub(crate) fn leave(&self, input: I) -> Result<(), I> {
        let mut left = self.left.lock();
        if left.len() >= MAX_LEFT_INPUTS {
            return Err(input);
        }
        left.push(input);
        Ok(())
    }
}

/// The latest state of a running machine, to read from any thread.
#[derive(Debug)]
pub(crate) struct Latest<S>(Arc<RwLock<Arc<S>>>);

impl<S> Clone for Latest<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Latest<S> {
    /// The snapshot after the last batch. The lock is held for the copy of one pointer.
    pub(crate) fn get(&self) -> Arc<S> {
        Arc::clone(
            &self
                .0
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    fn publish(&self, snapshot: S) {
        *self
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(snapshot);
    }
}

/// The queue of a machine that is about to run: made first, because effects feed it.
pub(crate) fn queue<I>(sort: fn(&I) -> Sort) -> (Inputs<I>, Queue<I>) {
    let (sender, receiver) = sync_channel(MAX_WAITING_INPUTS);
    let left = Left(Arc::default());
    let inputs = Inputs {
        sender,
        sort,
        depths: Arc::default(),
        left: left.clone(),
    };
    (inputs, Queue { receiver, left })
}

/// Time as the machines see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Now {
        Now {
            monotonic: self.0.elapsed(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

/// Starts the threads of `machine`; they end when every [`Inputs`] is gone.
///
/// # Errors
/// When the operating system refuses a thread.
pub(crate) fn run<M: Machine>(
    mut machine: M,
    clock: Clock,
    inputs: Queue<M::Input>,
    store: Box<dyn Registry>,
    effects: impl Effects<M::Action>,
) -> std::io::Result<Latest<M::Snapshot>> {
    let latest = Latest(Arc::new(RwLock::new(Arc::new(machine.snapshot()))));
    let (batches, waiting) = sync_channel(MAX_WAITING_BATCHES);
    let published = latest.clone();
    let machine_thread = std::thread::Builder::new().name("machine".into());
    machine_thread.spawn(move || drive(&mut machine, clock, &inputs, &batches, &published))?;
    let effects_thread = std::thread::Builder::new().name("effects".into());
    effects_thread.spawn(move || carry_out::<M, _>(&waiting, effects, store))?;
    Ok(latest)
}

fn drive<M: Machine>(
    machine: &mut M,
    clock: Clock,
    Queue {
        receiver: inputs,
        left,
    }: &Queue<M::Input>,
    batches: &SyncSender<Vec<M::Action>>,
    published: &Latest<M::Snapshot>,
) {
    let take_left = |machine: &mut M, actions: &mut Vec<M::Action>| {
        for input in left.take() {
            machine.step(clock.now(), input, actions);
        }
    };
    loop {
        let first = match machine.next_wake() {
            None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inputs.recv_timeout(at.saturating_sub(clock.now().monotonic)),
        };
        let mut actions = Vec::new();
        // What has come before a time is known when the time has come.
        take_left(machine, &mut actions);
        let first = match first {
            Ok(queued) => {
                machine.waited(queued.since.elapsed());
                queued.input
            }
            Err(RecvTimeoutError::Timeout) => M::wake(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        machine.step(clock.now(), first, &mut actions);
        for queued in inputs.try_iter().take(MAX_BATCH) {
            machine.waited(queued.since.elapsed());
            machine.step(clock.now(), queued.input, &mut actions);
        }
        let due = machine.next_wake();
        if due.is_some_and(|at| at <= clock.now().monotonic) {
            take_left(machine, &mut actions);
            machine.step(clock.now(), M::wake(), &mut actions);
        }
        published.publish(machine.snapshot());
        if !actions.is_empty() && batches.send(actions).is_err() {
            return;
        }
    }
}

fn carry_out<M: Machine, E: Effects<M::Action>>(
    waiting: &Receiver<Vec<M::Action>>,
    mut effects: E,
    store: Box<dyn Registry>,
) {
    let mut pending = Pending::new(store);
    let mut after_notes = Vec::new();
    loop {
        let batch = match pending.wake() {
            None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => waiting.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        let has_ended = matches!(batch, Err(RecvTimeoutError::Disconnected));
        let more = waiting.try_iter().take(MAX_WAITING_BATCHES);
        let mut held = Vec::new();
        for action in batch.into_iter().chain(more).flatten() {
            match M::into_changes(action) {
                Ok(changes) => pending.add(changes),
                Err(action) if M::follows_notes(&action) && !pending.changes.is_empty() => {
                    after_notes.push(action);
                }
                Err(action) if !pending.is_awaited => effects.apply(action),
                Err(action) => held.push(action),
            }
        }
        if let Some(has_room) = pending.news_of_room() {
            pending.has_told_room(has_room, effects.room(has_room));
        }
        if has_ended || pending.must_be_written() {
            let changes = pending.changes.len();
            if changes > 0 {
                effects.storing(changes);
            }
            let begin = Instant::now();
            if let Err(error) = pending.write() {
                effects.store_failed(&error);
                return;
            }
            if changes > 0 {
                effects.stored(begin.elapsed(), pending.bytes());
            }
        }
        for action in held {
            effects.apply(action);
        }
        if pending.changes.is_empty() {
            after_notes
                .drain(..)
                .for_each(|action| effects.apply(action));
        }
        if has_ended {
            break;
        }
    }
    // Whoever is told that the machine has ended may open the store.
    drop(pending);
    effects.machine_ended();
}

/// Changes that are not on disk yet, in order.
struct Pending {
    store: Box<dyn Registry>,
    changes: Vec<Change>,
    /// When the oldest of them has waited long enough.
    due: Option<Instant>,
    /// Whether something waits for them.
    is_awaited: bool,
    /// Whether one of them must outlive the machine's power.
    must_be_synced: bool,
    /// What was last passed on of the store's room.
    has_room: bool,
    /// When to look for room again.
    room_due: Option<Instant>,
}

impl Pending {
    fn new(store: Box<dyn Registry>) -> Self {
        Self {
            store,
            changes: Vec::new(),
            due: None,
            is_awaited: false,
            must_be_synced: false,
            has_room: true,
            room_due: None,
        }
    }

    /// When something is to be done though nothing comes.
    fn wake(&self) -> Option<Instant> {
        [self.due, self.room_due].into_iter().flatten().min()
    }

    /// Whether the store has room, if that is not what was passed on.
    fn news_of_room(&mut self) -> Option<bool> {
        if self.room_due.is_some_and(|due| due > Instant::now()) {
            return None;
        }
        let has_room = self.store.has_room();
        self.room_due = (!has_room).then(|| Instant::now() + ROOM_PATIENCE);
        (has_room != self.has_room).then_some(has_room)
    }

    fn has_told_room(&mut self, has_room: bool, is_told: bool) {
        if is_told {
            self.has_room = has_room;
        } else {
            self.room_due = Some(Instant::now() + ROOM_PATIENCE);
        }
    }

    fn add(&mut self, changes: Changes) {
        let changes = match changes {
            Changes::Persist(changes) => {
                self.is_awaited = true;
                self.must_be_synced = true;
                changes
            }
            Changes::Record(changes) => {
                self.is_awaited = true;
                changes
            }
            Changes::Note(changes) => {
                self.due
                    .get_or_insert_with(|| Instant::now() + NOTE_PATIENCE);
                changes
            }
        };
        self.changes.extend(changes);
    }

    /// What the store has on disk.
    fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    fn must_be_written(&self) -> bool {
        self.is_awaited || self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Makes all of them durable as one; where nothing that was promised is among them, without waiting for
    /// the disk.
    fn write(&mut self) -> Result<(), meseta_store::Error> {
        let changes = std::mem::take(&mut self.changes);
        self.due = None;
        self.is_awaited = false;
        let must_be_synced = std::mem::take(&mut self.must_be_synced);
        if changes.is_empty() {
            Ok(())
        } else if must_be_synced {
            self.store.commit(&changes)
        } else {
            self.store.write(&changes)
        }
    }
}
