//! What was refused is offered to others at a bounded pace.
//!
//! What becomes free because something ended is offered at once. What was declined goes from one
//! client to the next, and so does what is offered anew because a filter ran out: with thousands of
//! agents and a hundred frameworks that want nothing, offers would go round and round as fast as the
//! master can make them, and whatever else it has to do would stand in the same line.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::AgentKey;
use crate::limits::{LONGEST_WAIT_EVERY, MAX_REPEATED_AT_ONCE, REPEATED_PER_MILLISECOND};
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
/// would then never be. Some turns go to whoever has waited longest: filters may be so short that the
/// same agents are declined for ever.
#[derive(Debug)]
pub(crate) struct Repeated {
    waiting: BTreeMap<AgentKey, Waiting>,
    /// By place; the latest is next. Everyone may want these.
    declined: BTreeMap<u64, AgentKey>,
    /// Those of which filters ran out. The first is next.
    unfiltered: BTreeMap<u64, AgentKey>,
    next_place: u64,
    /// How many turns there have been.
    turns: u64,
    /// How many agents may be looked at again now.
    allowed: u64,
    /// Until when `allowed` is counted, in whole milliseconds of monotonic time.
    counted_until: u64,
}

#[derive(Debug)]
struct Waiting {
    place: u64,
    candidates: Candidates,
}

impl Default for Repeated {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            declined: BTreeMap::new(),
            unfiltered: BTreeMap::new(),
            next_place: 0,
            turns: 0,
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
        match self.waiting.get(&agent).map(|waiting| &waiting.candidates) {
            // It keeps its place, or it would never be the one that has waited longest.
            Some(Candidates::All) => return,
            Some(Candidates::Only(_)) => self.forget(agent),
            None => {}
        }
        let place = self.wait(agent, Candidates::All);
        self.declined.insert(place, agent);
    }

    /// A filter of the client for the agent ran out.
    pub(crate) fn unfiltered(&mut self, agent: AgentKey, client: ClientKey) {
        if let Some(already) = self.waiting.get_mut(&agent) {
            already.candidates.join(client);
        } else {
            let place = self.wait(agent, Candidates::Only([client].into()));
            self.unfiltered.insert(place, agent);
        }
    }

    /// Forgets an agent: it is gone, or is looked at for a better reason.
    pub(crate) fn forget(&mut self, agent: AgentKey) {
        self.remove(agent);
    }

    fn wait(&mut self, agent: AgentKey, candidates: Candidates) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        self.waiting.insert(agent, Waiting { place, candidates });
        place
    }

    fn remove(&mut self, agent: AgentKey) -> Option<Candidates> {
        let Waiting { place, candidates } = self.waiting.remove(&agent)?;
        match candidates {
            Candidates::All => self.declined.remove(&place),
            Candidates::Only(_) => self.unfiltered.remove(&place),
        };
        Some(candidates)
    }

    /// Takes out the agent whose turn it is.
    fn next(&mut self) -> Option<(AgentKey, Candidates)> {
        self.turns = self.turns.wrapping_add(1);
        let first = self.unfiltered.first_key_value();
        let next = if self.turns.is_multiple_of(LONGEST_WAIT_EVERY) {
            self.declined
                .first_key_value()
                .into_iter()
                .chain(first)
                .min()
        } else {
            self.declined.last_key_value().or(first)
        };
        let agent = *next?.1;
        Some((agent, self.remove(agent)?))
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
            let Some((agent, candidates)) = self.next() else {
                break;
            };
            if wanted(agent) {
                self.allowed -= 1;
                taken.push((agent, candidates));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
    fn nobody_waits_for_ever_behind_what_is_declined_again_and_again() {
        let (client, mut repeated) = (ClientKey(1), Repeated::default());
        let mut waiting: BTreeSet<AgentKey> = (0..AGENTS).map(AgentKey).collect();
        for agent in &waiting {
            if agent.0 % 2 == 0 {
                repeated.declined(*agent);
            } else {
                repeated.unfiltered(*agent, client);
            }
        }
        let mut now = Duration::ZERO;
        let most = AGENTS * LONGEST_WAIT_EVERY / REPEATED_PER_MILLISECOND;
        while !waiting.is_empty() {
            assert!(now <= Duration::from_millis(most), "{waiting:?}");
            for (agent, _) in repeated.take(now, |_| true) {
                waiting.remove(&agent);
                repeated.declined(agent);
            }
            now += REST;
        }
    }

    #[test]
    fn nothing_is_kept_of_what_is_forgotten_or_comes_again() {
        let mut repeated = Repeated::default();
        for n in 0..AGENTS {
            repeated.unfiltered(AgentKey(n), ClientKey(1));
            repeated.declined(AgentKey(n));
            repeated.declined(AgentKey(n));
        }
        let places = repeated.declined.len() + repeated.unfiltered.len();
        assert_eq!(places as u64, AGENTS);
        for n in 0..AGENTS {
            repeated.forget(AgentKey(n));
        }
        assert!(repeated.declined.is_empty() && repeated.unfiltered.is_empty());
    }
}
