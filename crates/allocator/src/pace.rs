//! What was refused is offered to others at a bounded pace.
//!
//! What becomes free because something ended is offered at once. What was declined goes from one
//! client to the next, and so does what is offered anew because a filter ran out: with thousands of
//! agents and a hundred frameworks that want nothing, offers would go round and round as fast as the
//! master can make them, and whatever else it has to do would stand in the same line.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::agent::AgentKey;
use crate::limits::{MAX_REPEATED_AT_ONCE, REPEATED_PER_MILLISECOND};
use crate::round::Candidates;
use crate::tree::ClientKey;

/// How long to wait for more when nothing may be offered again just now: a part of what a fresh
/// allocation takes at most, so that few allocations are made of many agents.
const REST: Duration = Duration::from_millis(10);

/// Agents of which something is to be offered again.
///
/// An agent that was just declined comes first: it goes from one client to the next until one takes it
/// or all have declined it, while other agents wait for their turn. Were all of them to take one step
/// after the other, the first clients' filters would run out before the last are asked at all, who
/// would then never be.
#[derive(Debug)]
pub(crate) struct Repeated {
    /// The latest comes last, and is next.
    declined: Vec<AgentKey>,
    /// Those of which filters ran out. The first comes first.
    unfiltered: VecDeque<AgentKey>,
    /// An agent without an entry is passed over above.
    waiting: BTreeMap<AgentKey, Candidates>,
    /// How many agents may be looked at again now.
    allowed: u64,
    /// Until when `allowed` is counted, in whole milliseconds of monotonic time.
    counted_until: u64,
}

impl Default for Repeated {
    fn default() -> Self {
        Self {
            declined: Vec::new(),
            unfiltered: VecDeque::new(),
            waiting: BTreeMap::new(),
            allowed: MAX_REPEATED_AT_ONCE,
            counted_until: 0,
        }
    }
}

impl Repeated {
    /// Whether there is an agent that may be looked at now.
    pub(crate) fn is_due(&self) -> bool {
        self.allowed > 0 && !self.waiting.is_empty()
    }

    /// When the next agent may be looked at, if one waits for that.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let waits = self.allowed == 0 && !self.waiting.is_empty();
        waits.then(|| Duration::from_millis(self.counted_until).saturating_add(REST))
    }

    /// A client declined what it was offered of the agent: others may want it.
    pub(crate) fn declined(&mut self, agent: AgentKey) {
        self.waiting.insert(agent, Candidates::All);
        self.declined.push(agent);
    }

    /// A filter of the client for the agent ran out.
    pub(crate) fn unfiltered(&mut self, agent: AgentKey, client: ClientKey) {
        if let Some(already) = self.waiting.get_mut(&agent) {
            already.join(client);
        } else {
            self.waiting
                .insert(agent, Candidates::Only([client].into()));
            self.unfiltered.push_back(agent);
        }
    }

    /// Forgets an agent: it is gone, or is looked at for a better reason.
    pub(crate) fn forget(&mut self, agent: AgentKey) {
        if self.waiting.remove(&agent).is_none() {
            return;
        }
        let names = self.declined.len() + self.unfiltered.len();
        if names > 2 * self.waiting.len() + 1024 {
            let waiting = &self.waiting;
            self.declined.retain(|agent| waiting.contains_key(agent));
            self.unfiltered.retain(|agent| waiting.contains_key(agent));
        }
    }

    /// The agents whose turn has come, of those that are `wanted`; others are forgotten.
    pub(crate) fn take(
        &mut self,
        monotonic: Duration,
        wanted: impl Fn(AgentKey) -> bool,
    ) -> Vec<(AgentKey, Candidates)> {
        let now = u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX);
        let passed = now.saturating_sub(self.counted_until);
        let earned = passed.saturating_mul(REPEATED_PER_MILLISECOND);
        self.allowed = self
            .allowed
            .saturating_add(earned)
            .min(MAX_REPEATED_AT_ONCE);
        self.counted_until = self.counted_until.max(now);
        let mut taken = Vec::new();
        while self.allowed > 0 {
            let next = self.declined.pop();
            let Some(agent) = next.or_else(|| self.unfiltered.pop_front()) else {
                break;
            };
            if let Some(candidates) = self.waiting.remove(&agent)
                && wanted(agent)
            {
                self.allowed -= 1;
                taken.push((agent, candidates));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENTS: u64 = 10 * MAX_REPEATED_AT_ONCE;

    #[test]
    fn as_many_agents_are_looked_at_as_time_has_passed() {
        let mut repeated = Repeated::default();
        for n in 0..AGENTS {
            repeated.declined(AgentKey(n));
        }
        assert!(repeated.is_due() && repeated.next_due().is_none());
        let first = repeated.take(Duration::ZERO, |_| true);
        assert_eq!(first.len() as u64, MAX_REPEATED_AT_ONCE);
        assert!(!repeated.is_due());
        let due = repeated.next_due().unwrap();
        let more = repeated.take(due, |_| true);
        assert_eq!(more.len() as u64, REPEATED_PER_MILLISECOND * 10);
        let later = repeated.take(due + Duration::from_hours(1), |_| true);
        let bound = MAX_REPEATED_AT_ONCE;
        assert_eq!(later.len() as u64, bound, "time is not saved up");
    }

    #[test]
    fn what_was_declined_goes_on_before_something_else_begins() {
        let (client, mut repeated) = (ClientKey(1), Repeated::default());
        for n in 0..AGENTS {
            repeated.unfiltered(AgentKey(n), client);
        }
        repeated.take(Duration::ZERO, |_| true);
        repeated.declined(AgentKey(7));
        let next = repeated.take(Duration::from_millis(1), |_| true);
        let next: Vec<u64> = next.iter().map(|(agent, _)| agent.0).collect();
        assert_eq!(next.first(), Some(&7));
        assert_eq!(
            next.get(1),
            Some(&MAX_REPEATED_AT_ONCE),
            "first come first served"
        );
    }

    #[test]
    fn an_agent_comes_once_for_all_who_may_want_it_and_not_when_forgotten() {
        let mut repeated = Repeated::default();
        repeated.unfiltered(AgentKey(1), ClientKey(1));
        repeated.unfiltered(AgentKey(1), ClientKey(2));
        repeated.declined(AgentKey(2));
        repeated.unfiltered(AgentKey(3), ClientKey(1));
        repeated.forget(AgentKey(2));
        let taken = repeated.take(Duration::ZERO, |agent| agent != AgentKey(3));
        let [(AgentKey(1), Candidates::Only(some))] = &taken[..] else {
            panic!("{taken:?}");
        };
        assert_eq!(some.len(), 2);
        assert!(!repeated.is_due(), "what nobody wanted is forgotten");
        assert_eq!(
            repeated.allowed,
            MAX_REPEATED_AT_ONCE - 1,
            "and costs nothing"
        );
    }

    #[test]
    fn names_of_forgotten_agents_do_not_pile_up() {
        let mut repeated = Repeated::default();
        for _ in 0..10 {
            for n in 0..AGENTS {
                repeated.declined(AgentKey(n));
                repeated.forget(AgentKey(n));
            }
        }
        assert!(repeated.declined.len() <= 1025);
    }
}
