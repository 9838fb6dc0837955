use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::daemon::limits::MAX_PENDING_SPANS;

/// What has begun and is to end. The oldest gives way: much never ends, because its framework or its
/// master went away.
#[derive(Debug)]
pub(super) struct Pending<K, V> {
    begun: HashMap<K, (u64, V)>,
    /// In order; some are over.
    order: VecDeque<(u64, K)>,
    next: u64,
}

impl<K, V> Default for Pending<K, V> {
    fn default() -> Self {
        Self {
            begun: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
        }
    }
}

impl<K: Hash + Eq + Clone, V> Pending<K, V> {
    pub(super) fn begin(&mut self, key: K, value: V) {
        self.next += 1;
        self.order.push_back((self.next, key.clone()));
        self.begun.insert(key, (self.next, value));
        while self.order.len() > MAX_PENDING_SPANS {
            let Some((number, key)) = self.order.pop_front() else {
                return;
            };
            if self.begun.get(&key).is_some_and(|(it, _)| *it == number) {
                self.begun.remove(&key);
            }
        }
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.begun.get(key).map(|(_, value)| value)
    }

    pub(super) fn end<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.begun.remove(key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_when_nothing_ends() {
        let mut pending = Pending::default();
        for n in 0..2 * MAX_PENDING_SPANS {
            pending.begin(n, n);
        }
        assert_eq!(pending.begun.len(), MAX_PENDING_SPANS);
        assert_eq!(pending.order.len(), MAX_PENDING_SPANS);
        assert_eq!(pending.end(&0), None);
        let last = 2 * MAX_PENDING_SPANS - 1;
        assert_eq!(pending.get(&last), Some(&last));
        assert_eq!(pending.end(&last), Some(last));
        assert_eq!(pending.end(&last), None);
    }
}
