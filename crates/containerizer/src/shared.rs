//! A look that serves everybody who waits for one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Lets those who ask for a look at the same time share one. Each gets what was seen by a look that began
/// after he asked: one that is under way may have passed over what he has just changed.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    looks: Mutex<Looks<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Looks<T> {
    /// How many have begun.
    begun: u64,
    is_under_way: bool,
    /// The last one, by its number, for as long as somebody waits who may take it.
    seen: Option<(u64, Arc<T>)>,
    waiting: usize,
}

impl<T> Shared<T> {
    pub(crate) const fn new() -> Self {
        Self {
            looks: Mutex::new(Looks {
                begun: 0,
                is_under_way: false,
                seen: None,
                waiting: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// What `look` sees, called by this caller or by another.
    pub(crate) fn look(
        &self,
        look: impl FnOnce() -> std::io::Result<T>,
    ) -> std::io::Result<Arc<T>> {
        let mut looks = self.lock();
        let wanted = looks.begun + 1;
        loop {
            if let Some((number, seen)) = &looks.seen
                && *number >= wanted
            {
                let seen = Arc::clone(seen);
                if looks.waiting == 0 {
                    looks.seen = None;
                }
                return Ok(seen);
            }
            if !looks.is_under_way {
                break;
            }
            looks.waiting += 1;
            looks = self
                .changed
                .wait(looks)
                .unwrap_or_else(PoisonError::into_inner);
            looks.waiting -= 1;
        }
        looks.begun += 1;
        looks.is_under_way = true;
        let mut turn = Turn {
            shared: self,
            number: looks.begun,
            seen: None,
        };
        drop(looks);
        let seen = Arc::new(look()?);
        turn.seen = Some(Arc::clone(&seen));
        Ok(seen)
    }

    fn lock(&self) -> MutexGuard<'_, Looks<T>> {
        // Nothing that holds the lock leaves it half done.
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look under way. However it ends, the next may begin.
struct Turn<'a, T> {
    shared: &'a Shared<T>,
    number: u64,
    seen: Option<Arc<T>>,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut looks = self.shared.lock();
        looks.is_under_way = false;
        let seen = self.seen.take().map(|seen| (self.number, seen));
        looks.seen = seen.filter(|_| looks.waiting > 0);
        drop(looks);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    /// Returns when so many wait.
    fn await_waiting(shared: &Shared<u64>, count: usize) {
        while shared.lock().waiting < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn all_who_ask_while_somebody_looks_share_the_next_look_and_none_gets_an_older_one() {
        const ASKING: usize = 50;
        let shared = Shared::new();
        let looks = AtomicU64::new(0);
        let look = || Ok(looks.fetch_add(1, Ordering::SeqCst) + 1);
        std::thread::scope(|scope| {
            let (has_begun, begun) = channel();
            let (go_on, may_go_on) = channel::<()>();
            let (shared, look) = (&shared, &look);
            let first = scope.spawn(move || {
                shared.look(|| {
                    has_begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    look()
                })
            });
            begun.recv().unwrap();
            let asking: Vec<_> = (0..ASKING)
                .map(|_| scope.spawn(move || shared.look(look)))
                .collect();
            await_waiting(shared, ASKING);
            go_on.send(()).unwrap();
            assert_eq!(*first.join().unwrap().unwrap(), 1);
            for asked in asking {
                assert_eq!(*asked.join().unwrap().unwrap(), 2);
            }
        });
        assert_eq!(looks.into_inner(), 2);
        assert!(shared.lock().seen.is_none(), "nothing is kept for nobody");
    }

    #[test]
    fn one_who_asks_alone_looks_and_a_look_that_fails_is_made_by_the_next() {
        let shared = Shared::new();
        assert!(
            shared
                .look(|| Err(std::io::ErrorKind::Other.into()))
                .is_err()
        );
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            shared.look(|| panic!("a fault"))
        }));
        assert!(panicked.is_err());
        assert_eq!(*shared.look(|| Ok(1)).unwrap(), 1);
        assert_eq!(*shared.look(|| Ok(2)).unwrap(), 2);
    }
}
