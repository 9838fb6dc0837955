//! The framing of event streams: each record is its length in decimal, a newline, and the bytes.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{MAX_RECORD, MAX_RECORD_LENGTH_DIGITS};

/// One record, framed. Mesos sends each as one HTTP chunk, and some clients rely on that.
pub fn encode(record: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(record.len() + 12);
    out.extend_from_slice(record.len().to_string().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(record);
    out.into()
}

/// Why a stream of records cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The length line holds something other than a number.
    #[error("failed to decode the length of a record: {0:?}")]
    Length(String),
    /// A record longer than the reader takes.
    #[error("a record of {length} bytes, where at most {limit} are taken")]
    TooLong {
        /// Announced length in bytes.
        length: u64,
        /// The reader's limit in bytes.
        limit: usize,
    },
}

/// Takes a stream apart into records, however it arrives.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
    expected: Option<usize>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_RECORD)
    }
}

impl Decoder {
    /// A decoder that refuses records longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
            expected: None,
        }
    }

    /// Adds what was read from the stream.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole record, if it has arrived. After an error the stream is useless.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, Error> {
        let expected = match self.expected {
            Some(expected) => expected,
            None => match self.read_length()? {
                Some(length) => *self.expected.insert(length),
                None => return Ok(None),
            },
        };
        if self.buffer.len() < expected {
            return Ok(None);
        }
        self.expected = None;
        Ok(Some(self.buffer.split_to(expected).freeze()))
    }

    fn read_length(&mut self) -> Result<Option<usize>, Error> {
        let window = self
            .buffer
            .get(..self.buffer.len().min(MAX_RECORD_LENGTH_DIGITS + 1));
        let window = window.unwrap_or_default();
        let Some(end) = window.iter().position(|b| *b == b'\n') else {
            if window.len() > MAX_RECORD_LENGTH_DIGITS {
                return Err(Error::Length(String::from_utf8_lossy(window).into_owned()));
            }
            return Ok(None);
        };
        let line = window.get(..end).unwrap_or_default();
        let length = std::str::from_utf8(line)
            .ok()
            .filter(|l| l.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|l| l.parse::<u64>().ok())
            .ok_or_else(|| Error::Length(String::from_utf8_lossy(line).into_owned()))?;
        self.buffer.advance(end + 1);
        match usize::try_from(length) {
            Ok(length) if length <= self.limit => Ok(Some(length)),
            _ => Err(Error::TooLong {
                length,
                limit: self.limit,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_survive_any_fragmentation(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            cut in 1usize..7,
        ) {
            let stream: Vec<u8> = records.iter().flat_map(|r| encode(r).to_vec()).collect();
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                decoder.extend(piece);
                while let Some(record) = decoder.next_record().unwrap() {
                    seen.push(record.to_vec());
                }
            }
            prop_assert_eq!(seen, records);
        }
    }

    #[test]
    fn lengths_that_are_no_numbers_and_records_beyond_the_limit_are_refused() {
        for (bytes, limit) in [
            (&b"+5\nhello"[..], 100),
            (b"\n", 100),
            (b"123456789012345678901234", 100),
            (b"11\n", 10),
        ] {
            let mut decoder = Decoder::new(limit);
            decoder.extend(bytes);
            assert!(decoder.next_record().is_err(), "{bytes:?}");
        }
    }
}
