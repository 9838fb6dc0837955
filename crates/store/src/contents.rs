//! What a file of facts holds, as far as it can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::format::{self, FrameHeader, Preamble, Record, Records, Salt};

/// The facts of a file, and what is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) facts: BTreeMap<String, Vec<u8>>,
    /// Of the last commit.
    pub(crate) sequence: u64,
    pub(crate) salt: Option<Salt>,
    /// The bytes after the last whole commit: a crash has cut short what came next.
    pub(crate) cut_short: usize,
    pub(crate) damage: Damage,
}

/// What of a store could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// The facts whose last change is known to be lost, by their keys. The store has them no more.
    pub facts: BTreeSet<String>,
    /// Bytes that could not be read, of which it is not known what they were.
    pub unknown_bytes: usize,
    /// Commits of which nothing could be read.
    pub lost_commits: u64,
    /// The header of the file is not as it was written. No fact is lost by that.
    pub is_header_damaged: bool,
}

impl Damage {
    /// Whether everything could be read.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As many are named as fit into a line of a log.
        const NAMED: usize = 16;
        let mut parts = Vec::new();
        if !self.facts.is_empty() {
            let mut names: Vec<&str> = self.facts.iter().map(String::as_str).take(NAMED).collect();
            let more = format!("{} more", self.facts.len() - names.len());
            if self.facts.len() > names.len() {
                names.push(&more);
            }
            parts.push(format!("the facts {}", names.join(", ")));
        }
        if self.unknown_bytes > 0 {
            parts.push(format!("{} bytes of unknown facts", self.unknown_bytes));
        }
        if self.lost_commits > 0 {
            parts.push(format!("{} whole commits", self.lost_commits));
        }
        if self.is_header_damaged {
            parts.push("the header of the file".into());
        }
        f.write_str(&parts.join(", "))
    }
}

/// Reads a file; `Err` if another version has written it.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, ()> {
    let mut contents = Contents::default();
    match format::read_preamble(bytes) {
        Preamble::CutShort => contents.cut_short = bytes.len(),
        Preamble::Version => return Err(()),
        Preamble::Damaged => {
            contents.damage.is_header_damaged = true;
            contents.damage.unknown_bytes = bytes.len();
        }
        Preamble::Read { salt, is_intact } => {
            contents.salt = Some(salt);
            contents.damage.is_header_damaged = !is_intact;
            contents.read_frames(salt, bytes);
        }
    }
    Ok(contents)
}

/// Whether a crash can have left what begins here and is no header: half of one, or nothing but zeros.
fn never_written(bytes: &[u8], at: usize) -> bool {
    let is_zero = |rest: &[u8]| rest.iter().all(|byte| *byte == 0);
    bytes.get(at..).is_some_and(is_zero)
        || bytes
            .get(at..format::end_of_written(bytes))
            .is_some_and(format::may_be_cut_header)
}

impl Contents {
    fn read_frames(&mut self, salt: Salt, bytes: &[u8]) {
        let mut at = format::PREAMBLE;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(header) = FrameHeader::read(salt, rest) else {
                match format::next_frame(salt, bytes, at, self.sequence) {
                    Some(next) => {
                        self.damage.unknown_bytes += next - at;
                        at = next;
                        continue;
                    }
                    None if never_written(bytes, at) => self.cut_short = rest.len(),
                    None => self.damage.unknown_bytes += rest.len(),
                }
                return;
            };
            let Some(payload) = header.payload(bytes, at) else {
                self.cut_short = rest.len();
                return;
            };
            let end = header.end(at);
            if header.is_intact(salt, payload) {
                self.begin(header);
                self.apply(salt, payload);
            } else if format::end_of_written(bytes) < end {
                // Power failed before its last sectors were written, and whatever came after it.
                self.cut_short = rest.len();
                return;
            } else if end == bytes.len() {
                // Power failed before others of it were written, or it was damaged later; that cannot
                // be told apart, and half a commit is worse than none.
                self.damage.lost_commits += 1;
                self.damage.unknown_bytes += payload.len();
            } else {
                self.begin(header);
                self.apply(salt, payload);
            }
            at = end;
        }
    }

    fn begin(&mut self, header: FrameHeader) {
        let missing = header.sequence.saturating_sub(self.sequence + 1);
        // A file begins with whatever commit it was last written anew with.
        if self.sequence > 0 {
            self.damage.lost_commits += missing;
        }
        self.sequence = header.sequence;
    }

    fn apply(&mut self, salt: Salt, payload: &[u8]) {
        for record in Records::new(salt, payload) {
            match record {
                Record::Change(key, value) => {
                    // Whatever was wrong with it before: this is what holds now.
                    self.damage.facts.remove(key);
                    match value {
                        Some(value) => self.facts.insert(key.to_owned(), value.to_vec()),
                        None => self.facts.remove(key),
                    };
                }
                Record::Damaged(key) => {
                    self.facts.remove(key);
                    self.damage.facts.insert(key.to_owned());
                }
                Record::Lost(bytes) => self.damage.unknown_bytes += bytes,
            }
        }
    }
}
