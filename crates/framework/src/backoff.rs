use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use crate::limits::{FIRST_PAUSE, LONGEST_PAUSE};

/// Pauses that double, each shortened at random so that frameworks that lost the same master do
/// not return at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(LONGEST_PAUSE)
    }
}

impl Backoff {
    pub(crate) fn up_to(longest: Duration) -> Self {
        let next = FIRST_PAUSE;
        Self { next, longest }
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::up_to(self.longest);
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let full = self.next.min(self.longest);
        self.next = full * 2;
        // The standard library keys its hashers from the kernel's randomness.
        let random = RandomState::new().build_hasher().finish();
        let half = full / 2;
        half + Duration::from_nanos(
            random % u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let mut full = FIRST_PAUSE;
        for _ in 0..20 {
            let pause = backoff.pause();
            assert!(pause >= full / 2 && pause < full, "{pause:?} of {full:?}");
            full = (full * 2).min(LONGEST_PAUSE);
        }
        backoff.reset();
        assert!(backoff.pause() < FIRST_PAUSE);
    }
}
