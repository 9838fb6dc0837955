//! What earlier answers said of records that are the same still.
//!
//! In the state of a large cluster nearly everything is as it was a second ago. A record is never
//! changed once readers have seen it, so that what is said of one that is there again is copied from
//! the answer before. The record itself is not even looked at: a task is a dozen pieces of memory.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use imbl::{OrdMap, Vector};
use meseta_proto::v1::{AgentId, FrameworkId};
use serde_json::Error;

use crate::records::{AgentRecord, Deactivation, FrameworkRecord};

/// The latest of each kind of large answers, with the records that they show. They are held until
/// the next takes their place or they are forgotten.
#[derive(Debug, Default)]
pub struct Earlier {
    pub(super) state: Latest,
    pub(super) agents: Latest,
    pub(super) frameworks: Latest,
}

impl Earlier {
    /// Lets go of everything.
    pub fn forget(&self) {
        for latest in [&self.state, &self.agents, &self.frameworks] {
            latest.replace(None);
        }
    }
}

/// The latest answer of one kind.
#[derive(Debug, Default)]
pub(super) struct Latest(Mutex<Option<Arc<Shown>>>);

impl Latest {
    pub(super) fn get(&self) -> Option<Arc<Shown>> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone()
    }

    pub(super) fn replace(&self, shown: Option<Shown>) {
        let shown = shown.map(Arc::new);
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *latest, shown);
        drop(latest);
        // It takes its time to free a whole state: nobody waits for it.
        drop(before);
    }
}

#[cfg(test)]
impl Latest {
    /// Has the latest answer say something else of the same length.
    pub(super) fn alter(&self, word: &str, other: &str) {
        let latest = self.0.lock().unwrap().take().unwrap();
        let mut shown = Arc::into_inner(latest).unwrap();
        let text = std::str::from_utf8(&shown.body).unwrap();
        assert!(text.contains(word), "{word}");
        shown.body = text.replace(word, other).into();
        self.replace(Some(shown));
    }
}

/// An answer, and what is where in it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) body: Bytes,
    pub(super) agents: ShownAgents,
    pub(super) frameworks: BTreeMap<FrameworkId, ShownFramework>,
}

/// The agents of an answer.
#[derive(Debug, Default)]
pub(super) struct ShownAgents {
    pub(super) records: OrdMap<AgentId, Arc<AgentRecord>>,
    pub(super) deactivations: OrdMap<AgentId, Deactivation>,
    pub(super) elements: Elements,
}

/// A framework in an answer.
#[derive(Debug)]
pub(super) struct ShownFramework {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) parts: Arc<Parts>,
}

/// The long parts of a framework, by where they are in its text.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) record: Arc<FrameworkRecord>,
    pub(super) tasks: Elements,
    pub(super) unreachable_tasks: Elements,
    pub(super) completed_tasks: Elements,
}

impl Parts {
    /// Those of a framework that is to be shown.
    pub(super) fn of(record: &Arc<FrameworkRecord>) -> Self {
        Self {
            record: Arc::clone(record),
            tasks: Elements::default(),
            unreachable_tasks: Elements::default(),
            completed_tasks: Elements::default(),
        }
    }
}

impl Shown {
    /// What was said of a framework.
    pub(super) fn framework(&self, id: &FrameworkId) -> Option<(&[u8], &Arc<Parts>)> {
        let ShownFramework {
            start,
            length,
            parts,
        } = self.frameworks.get(id)?;
        let text = self.body.get(*start..start.checked_add(*length)?)?;
        Some((text, parts))
    }
}

/// The elements of an array within a text: where the first begins and how long each is. One byte, a
/// comma, is between any two.
#[derive(Debug, Default)]
pub(super) struct Elements {
    start: usize,
    lengths: Vec<usize>,
}

impl Elements {
    /// Appends elements to `out`, in which their text begins at `base`: as they were where that is
    /// known, and as `show` writes them elsewhere.
    pub(super) fn write<'a, T>(
        out: &mut Vec<u8>,
        base: usize,
        elements: impl Iterator<Item = (T, Option<&'a [u8]>)>,
        mut show: impl FnMut(T, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let start = out.len() - base;
        let mut lengths = Vec::with_capacity(elements.size_hint().0);
        for (element, earlier) in elements {
            if !lengths.is_empty() {
                out.push(b',');
            }
            let begin = out.len();
            match earlier {
                Some(text) => out.extend_from_slice(text),
                None => show(element, out)?,
            }
            lengths.push(out.len() - begin);
        }
        Ok(Self { start, lengths })
    }

    /// What was said of each.
    pub(super) fn within<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = text.get(self.start..).unwrap_or_default();
        self.lengths.iter().map_while(move |length| {
            let (element, after) = rest.split_at_checked(*length)?;
            rest = after.get(1..).unwrap_or_default();
            Some(element)
        })
    }
}

/// Finds what was said of records of a map; to be asked in the order of keys.
pub(super) fn by_key<'a, K: Ord, V>(
    records: &'a OrdMap<K, Arc<V>>,
    texts: impl Iterator<Item = &'a [u8]>,
) -> impl FnMut(&K, &Arc<V>) -> Option<&'a [u8]> {
    let mut earlier = records.iter().zip(texts).peekable();
    move |key, record| loop {
        let &((earlier_key, earlier_record), text) = earlier.peek()?;
        if Arc::ptr_eq(earlier_record, record) {
            earlier.next();
            return Some(text);
        }
        if earlier_key.cmp(key) != Ordering::Less {
            return None;
        }
        // It is gone, or has changed and was just asked for.
        earlier.next();
    }
}

/// Finds what was said of records of a list to the end of which new ones come; to be asked in its
/// order.
pub(super) fn by_age<'a, V>(
    records: &'a Vector<Arc<V>>,
    texts: impl Iterator<Item = &'a [u8]>,
) -> impl FnMut(&Arc<V>) -> Option<&'a [u8]> {
    let mut earlier = records.iter().zip(texts);
    move |record| {
        let (_, text) = earlier.find(|(earlier, _)| Arc::ptr_eq(earlier, record))?;
        Some(text)
    }
}
