//! What operators who watch were told last, so that who comes back has missed nothing.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use meseta_proto::v1::master::Event;
use prost::Message as _;

use crate::limits::{MAX_RECENT_BYTES, MAX_RECENT_EVENTS};

/// The place of an event among all that a master has told those who watch it, heartbeats left out.
/// Events do not carry it, because clients stumble over what they do not know: an answer says where
/// its stream begins, and its reader counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId {
    /// The run of the master that told it.
    pub run: String,
    /// Its number in that run.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run, self.number)
    }
}

/// The text is not an [`EventId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the run of a master, a colon and a number, but received '{0}'")]
pub struct NoEventId(String);

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let parts = text.rsplit_once(':').filter(|(run, _)| !run.is_empty());
        let parsed = parts.and_then(|(run, number)| Some((run, number.parse().ok()?)));
        let (run, number) = parsed.ok_or_else(|| NoEventId(text.to_owned()))?;
        Ok(Self {
            run: run.to_owned(),
            number,
        })
    }
}

/// The latest events, within bounds.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// With their sizes; the oldest come first.
    events: VecDeque<(Arc<Event>, usize)>,
    bytes: usize,
    /// The number of the last one.
    pub(crate) last: u64,
}

impl Recent {
    pub(crate) fn add(&mut self, event: Arc<Event>) {
        let size = event.encoded_len();
        self.last += 1;
        self.bytes += size;
        self.events.push_back((event, size));
        while self.bytes > MAX_RECENT_BYTES || self.events.len() > MAX_RECENT_EVENTS {
            let Some((_, size)) = self.events.pop_front() else {
                return;
            };
            self.bytes -= size;
        }
    }

    /// What came after an event; `None` if not all of that is remembered.
    pub(crate) fn after(&self, number: u64) -> Option<Vec<Arc<Event>>> {
        let missed = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let known = self.events.len().checked_sub(missed)?;
        let missed = self.events.iter().skip(known);
        Some(missed.map(|(event, _)| Arc::clone(event)).collect())
    }

    /// Forgets all of it. From here on something may happen that is not counted.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            last: self.last + 1,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(recent: &Recent, after: u64) -> Option<usize> {
        recent.after(after).map(|events| events.len())
    }

    #[test]
    fn what_came_after_an_event_is_known_as_long_as_it_is_remembered() {
        let mut recent = Recent::default();
        assert_eq!(number(&recent, 0), Some(0));
        for _ in 0..MAX_RECENT_EVENTS {
            recent.add(Arc::default());
        }
        assert_eq!(number(&recent, 0), Some(MAX_RECENT_EVENTS));
        recent.add(Arc::default());
        assert_eq!(number(&recent, 0), None);
        assert_eq!(number(&recent, 1), Some(MAX_RECENT_EVENTS));
        assert_eq!(number(&recent, recent.last), Some(0));
        assert_eq!(number(&recent, recent.last + 1), None);
        let last = recent.last;
        recent.forget();
        assert_eq!(number(&recent, last), None);
        assert_eq!(number(&recent, recent.last), Some(0));
    }

    #[test]
    fn large_events_are_remembered_for_less_long() {
        let mut large = Event::default();
        let info = meseta_proto::v1::FrameworkInfo {
            name: "n".repeat(MAX_RECENT_BYTES / 2 - 100),
            ..Default::default()
        };
        large.framework_removed = Some(meseta_proto::v1::master::event::FrameworkRemoved {
            framework_info: info,
        });
        let large = Arc::new(large);
        let mut recent = Recent::default();
        for _ in 0..3 {
            recent.add(Arc::clone(&large));
        }
        assert_eq!(number(&recent, 1), Some(2));
        assert_eq!(number(&recent, 0), None);
        assert!(recent.bytes <= MAX_RECENT_BYTES);
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        let id: EventId = "6f1c-88:42".parse().unwrap();
        assert_eq!((&*id.run, id.number), ("6f1c-88", 42));
        assert_eq!(id.to_string(), "6f1c-88:42");
        for text in ["", "42", ":42", "a:", "a:-1", "a:1x"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}
