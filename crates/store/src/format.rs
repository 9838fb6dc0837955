//! How facts lie in a file.
//!
//! ```text
//! file   = "meseta facts 1\r\n"  salt crc  salt crc  frame*
//! frame  = mark  length  sequence  crc of the payload  crc of this header   payload
//! payload = record*                                                  what one commit changed
//! record = length of the key  of the value  crc of these and the key  crc of the value   key value
//! ```
//!
//! Numbers are little-endian. A frame is one commit: it counts as a whole or, when it is the last and a
//! crash has cut it short, not at all. The header of a frame has a checksum of its own, so that a
//! damaged frame can be skipped, and so has every record, so that damage costs the facts that it has
//! met and no others. Every checksum begins with the file's salt: bytes that a user gave his task cannot
//! be taken for a frame when the next one is looked for.

use crate::Change;

pub(crate) const MAGIC: [u8; 16] = *b"meseta facts 1\r\n";

/// What the header of every version begins with.
const FAMILY: &[u8] = b"meseta facts ";

const SALT: usize = 8;
const CRC: usize = 4;

/// The file's own header.
pub(crate) const PREAMBLE: usize = MAGIC.len() + 2 * (SALT + CRC);

const MARK: [u8; 4] = [0xf7, b'F', b'C', b'T'];
const FRAME_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// What a disk writes as a whole, at least.
const SECTOR: usize = 512;

/// What begins every checksum of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) u64);

impl Salt {
    fn crc(self, parts: &[&[u8]]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

/// The beginning of a file.
pub(crate) fn preamble(salt: Salt) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for _ in 0..2 {
        bytes.extend(salt.0.to_le_bytes());
        bytes.extend(salt.crc(&[]).to_le_bytes());
    }
    bytes
}

/// What the beginning of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preamble {
    /// The file ends before it does: nothing was ever promised on it.
    CutShort,
    Read {
        salt: Salt,
        is_intact: bool,
    },
    /// Another version has written the file.
    Version,
    Damaged,
}

pub(crate) fn read_preamble(bytes: &[u8]) -> Preamble {
    let Some(head) = bytes.get(..PREAMBLE) else {
        let whole = bytes.len().min(MAGIC.len());
        return if bytes.get(..whole) == MAGIC.get(..whole) {
            Preamble::CutShort
        } else {
            Preamble::Damaged
        };
    };
    let (magic, salts) = head.split_at(MAGIC.len());
    let mut copies = salts.chunks_exact(SALT + CRC).map(|copy| {
        let salt = Salt(number(copy, 0)?);
        (u32_at(copy, SALT)? == salt.crc(&[])).then_some(salt)
    });
    let (first, second) = (copies.next().flatten(), copies.next().flatten());
    match first.or(second) {
        Some(salt) => Preamble::Read {
            salt,
            is_intact: magic == MAGIC && first == second,
        },
        None if magic.starts_with(FAMILY) && magic != MAGIC => Preamble::Version,
        None => Preamble::Damaged,
    }
}

/// Changes as one frame; `None` if they are more than a frame can hold.
pub(crate) fn frame<'a>(
    salt: Salt,
    sequence: u64,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; FRAME_HEADER];
    for (key, value) in changes {
        let key = key.as_bytes();
        // Zero says that there is no value.
        let value_length = value
            .as_ref()
            .map_or(Some(0), |value| value.len().checked_add(1))?;
        let value = value.as_deref().unwrap_or_default();
        let key_length = u32::try_from(key.len()).ok()?.to_le_bytes();
        let value_length = u32::try_from(value_length).ok()?.to_le_bytes();
        bytes.extend(key_length);
        bytes.extend(value_length);
        bytes.extend(salt.crc(&[&key_length, &value_length, key]).to_le_bytes());
        bytes.extend(salt.crc(&[value]).to_le_bytes());
        bytes.extend(key);
        bytes.extend(value);
    }
    let payload = bytes.get(FRAME_HEADER..)?;
    let mut header = Vec::with_capacity(FRAME_HEADER);
    header.extend(MARK);
    header.extend(u32::try_from(payload.len()).ok()?.to_le_bytes());
    header.extend(sequence.to_le_bytes());
    header.extend(salt.crc(&[payload]).to_le_bytes());
    header.extend(salt.crc(&[&header]).to_le_bytes());
    bytes.get_mut(..FRAME_HEADER)?.copy_from_slice(&header);
    Some(bytes)
}

/// The header of a frame, intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: usize,
    pub(crate) sequence: u64,
    payload_crc: u32,
}

impl FrameHeader {
    /// The header at the beginning of `bytes`, if there is one.
    pub(crate) fn read(salt: Salt, bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER)?;
        let (said, crc) = header.split_at(FRAME_HEADER - CRC);
        if !said.starts_with(&MARK) || u32_at(crc, 0)? != salt.crc(&[said]) {
            return None;
        }
        Some(Self {
            length: usize::try_from(u32_at(said, 4)?).ok()?,
            sequence: number(said, 8)?,
            payload_crc: u32_at(said, 16)?,
        })
    }

    /// Where the frame ends that begins at `start`.
    pub(crate) fn end(&self, start: usize) -> usize {
        start
            .saturating_add(FRAME_HEADER)
            .saturating_add(self.length)
    }

    /// The payload of the frame at `start`, if the file goes on for so long.
    pub(crate) fn payload<'a>(&self, bytes: &'a [u8], start: usize) -> Option<&'a [u8]> {
        bytes.get(start + FRAME_HEADER..self.end(start))
    }

    pub(crate) fn is_intact(&self, salt: Salt, payload: &[u8]) -> bool {
        salt.crc(&[payload]) == self.payload_crc
    }
}

/// Whether these last bytes of a file can be the beginning of a frame's header.
pub(crate) fn may_be_cut_header(bytes: &[u8]) -> bool {
    let whole = bytes.len().min(MARK.len());
    bytes.len() < FRAME_HEADER && bytes.get(..whole) == MARK.get(..whole)
}

/// Where the file ends but for its last sectors, if these never reached the disk: a file system may have given
/// the file its length before its bytes, and those are zero then.
pub(crate) fn end_of_written(bytes: &[u8]) -> usize {
    let last = bytes.iter().rposition(|byte| *byte != 0);
    let end = last.map_or(0, |last| last + 1);
    end.next_multiple_of(SECTOR).min(bytes.len())
}

/// Where the next intact header of a frame is, from `start` on, of a commit after `sequence`.
pub(crate) fn next_frame(salt: Salt, bytes: &[u8], start: usize, sequence: u64) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let marks = rest.windows(MARK.len()).enumerate();
    let mut places = marks
        .filter(|(_, mark)| *mark == MARK)
        .map(|(at, _)| start + at);
    places.find(|at| {
        let header = bytes
            .get(*at..)
            .and_then(|rest| FrameHeader::read(salt, rest));
        header.is_some_and(|header| header.sequence > sequence)
    })
}

/// A record of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Change(&'a str, Option<&'a [u8]>),
    /// The value is not what was written.
    Damaged(&'a str),
    /// Nothing can be read from here to the end of the frame.
    Lost(usize),
}

/// The records of a frame's payload.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    salt: Salt,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn new(salt: Salt, payload: &'a [u8]) -> Self {
        Self {
            salt,
            rest: payload,
        }
    }

    fn record(&self) -> Option<(Record<'a>, &'a [u8])> {
        let lengths = self.rest.get(..8)?;
        let key_length = usize::try_from(u32_at(lengths, 0)?).ok()?;
        let value_length = usize::try_from(u32_at(lengths, 4)?).ok()?;
        let (key_crc, value_crc) = (u32_at(self.rest, 8)?, u32_at(self.rest, 12)?);
        let rest = self.rest.get(RECORD_HEADER..)?;
        let (key, rest) = rest.split_at_checked(key_length)?;
        if self.salt.crc(&[lengths, key]) != key_crc {
            return None;
        }
        let key = std::str::from_utf8(key).ok()?;
        let Some(value_length) = value_length.checked_sub(1) else {
            return Some((Record::Change(key, None), rest));
        };
        let (value, rest) = rest.split_at_checked(value_length)?;
        let record = if self.salt.crc(&[value]) == value_crc {
            Record::Change(key, Some(value))
        } else {
            Record::Damaged(key)
        };
        Some((record, rest))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((record, rest)) = self.record() else {
            let lost = self.rest.len();
            self.rest = &[];
            return Some(Record::Lost(lost));
        };
        self.rest = rest;
        Some(record)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
