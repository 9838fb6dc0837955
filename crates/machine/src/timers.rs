use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Now;

/// The timers of one machine, at most one for each key.
#[derive(Debug, Clone)]
pub struct Timers<K> {
    by_key: BTreeMap<K, Duration>,
    by_time: BTreeSet<(Duration, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets the key's timer to a point in monotonic time, in place of an earlier setting.
    pub fn set(&mut self, key: K, at: Duration) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// Sets the key's timer to the first multiple of `slack` at or after a point in monotonic time, in
    /// place of an earlier setting. What need not happen to the millisecond then happens together, so
    /// that thousands of timers wake their machine some times a second.
    pub fn set_about(&mut self, key: K, at: Duration, slack: Duration) {
        self.set(key, next_multiple(at, slack));
    }

    /// Sets the key's timer unless it is already set to an earlier point.
    pub fn set_earlier(&mut self, key: K, at: Duration) {
        if self.by_key.get(&key).is_none_or(|old| *old > at) {
            self.set(key, at);
        }
    }

    /// Forgets the key's timer.
    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// Whether the key has a timer.
    pub fn is_set(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// When the machine next wants to be woken, in monotonic time.
    pub fn next_due(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer if its time has come.
    pub fn pop_due(&mut self, now: Now) -> Option<K> {
        if self.next_due()? > now.monotonic {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

/// The first multiple of `step` that is not before `at`; `at` itself when there is none.
fn next_multiple(at: Duration, step: Duration) -> Duration {
    let multiple = at
        .as_nanos()
        .div_ceil(step.as_nanos().max(1))
        .saturating_mul(step.as_nanos().max(1));
    u64::try_from(multiple).map_or(at, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            monotonic: Duration::from_secs(seconds),
            wall: Duration::ZERO,
        }
    }

    #[test]
    fn timers_fire_in_order_of_time_and_once() {
        let mut timers = Timers::default();
        timers.set('b', Duration::from_secs(2));
        timers.set('a', Duration::from_secs(3));
        timers.set('a', Duration::from_secs(1));
        timers.set('c', Duration::from_secs(9));
        timers.cancel(&'c');
        assert_eq!(timers.pop_due(at(0)), None);
        assert_eq!(timers.pop_due(at(5)), Some('a'));
        assert_eq!(timers.pop_due(at(5)), Some('b'));
        assert_eq!(timers.pop_due(at(50)), None);
    }

    #[test]
    fn an_earlier_setting_stays() {
        let mut timers = Timers::default();
        timers.set_earlier('a', Duration::from_secs(2));
        timers.set_earlier('a', Duration::from_secs(5));
        assert_eq!(timers.next_due(), Some(Duration::from_secs(2)));
        timers.set_earlier('a', Duration::from_secs(1));
        assert_eq!(timers.next_due(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn what_may_be_a_little_late_falls_due_together_and_never_early() {
        let slack = Duration::from_millis(50);
        let mut timers = Timers::default();
        for (key, at) in [(1, 10_001), (2, 10_049), (3, 10_050), (4, 10_051)] {
            timers.set_about(key, Duration::from_millis(at), slack);
        }
        let now = |milliseconds| Now {
            monotonic: Duration::from_millis(milliseconds),
            ..at(0)
        };
        assert_eq!(timers.pop_due(now(10_049)), None);
        let mut together = std::iter::from_fn(|| timers.pop_due(now(10_050)));
        assert!(together.by_ref().eq([1, 2, 3]));
        assert_eq!(timers.next_due(), Some(Duration::from_millis(10_100)));
    }

    #[test]
    fn a_point_beyond_all_times_stays_where_it_is() {
        for slack in [Duration::ZERO, Duration::from_millis(50)] {
            let mut timers = Timers::default();
            timers.set_about('a', Duration::MAX, slack);
            assert_eq!(timers.next_due(), Some(Duration::MAX));
        }
    }
}
