//! What is to happen later, soonest first: one heap for all agents, whatever their number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Things that are due at times.
#[derive(Debug)]
pub(crate) struct Timetable<T> {
    heap: BinaryHeap<Reverse<(Duration, u64, T)>>,
    /// Keeps what is due at the same time in the order in which it was entered.
    entered: u64,
}

impl<T: Ord> Default for Timetable<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            entered: 0,
        }
    }
}

impl<T: Ord> Timetable<T> {
    pub(crate) fn enter(&mut self, at: Duration, what: T) {
        self.entered += 1;
        self.heap.push(Reverse((at, self.entered, what)));
    }

    /// When the next thing is due.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next thing that is due by now.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<T> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, what))| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_the_order_of_their_times_and_then_of_their_entry() {
        let mut timetable = Timetable::default();
        let at = Duration::from_secs;
        timetable.enter(at(2), "c");
        timetable.enter(at(1), "b");
        timetable.enter(at(1), "a");
        assert_eq!(timetable.next_at(), Some(at(1)));
        let due: Vec<_> = std::iter::from_fn(|| timetable.pop_due(at(1))).collect();
        assert_eq!(due, ["b", "a"]);
        assert_eq!(timetable.pop_due(at(3)), Some("c"));
    }
}
