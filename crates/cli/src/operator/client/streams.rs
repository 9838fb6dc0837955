//! Bodies that go on for as long as somebody has something to say: messages in RecordIO.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use meseta_proto::{Wire, decode, recordio};
use ureq::http::Response;
use ureq::{Body, BodyReader};

use crate::operator::error::Error;

/// What is read at once of an answer.
const STEP_BYTES: usize = 16 * 1024;

/// The messages of an answer, one after the other.
pub(in crate::operator) struct Messages<M> {
    address: String,
    attempt: String,
    reader: BodyReader<'static>,
    decoder: recordio::Decoder,
    of: PhantomData<M>,
}

impl<M> fmt::Debug for Messages<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl<M: Wire> Messages<M> {
    /// Of an answer, and where it came from. No message may be longer than `longest`.
    pub(super) fn of(
        (address, answer): (String, Response<Body>),
        longest: usize,
        attempt: &str,
    ) -> Self {
        let body = answer.into_body().into_with_config();
        Self {
            address,
            attempt: attempt.to_owned(),
            reader: body.limit(u64::MAX).reader(),
            decoder: recordio::Decoder::new(longest),
            of: PhantomData,
        }
    }

    /// Waits for the next message; `None` when that was all.
    pub(in crate::operator) fn next(&mut self) -> Result<Option<M>, Error> {
        let mut piece = [0; STEP_BYTES];
        loop {
            let record = self.decoder.next_record();
            if let Some(record) = record.map_err(|e| self.unreadable(&e))? {
                return decode(&record).map(Some).map_err(|e| self.unreadable(&e));
            }
            match self.reader.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(length) => self.decoder.extend(piece.get(..length).unwrap_or_default()),
                Err(error) => return Err(self.broken(&error.to_string())),
            }
        }
    }

    fn unreadable(&self, error: &impl fmt::Display) -> Error {
        Error::Unreadable {
            attempt: self.attempt.clone(),
            address: self.address.clone(),
            reason: error.to_string(),
        }
    }

    /// The error of a stream that is over too early.
    pub(super) fn broken(&self, reason: &str) -> Error {
        Error::Broken {
            attempt: self.attempt.clone(),
            address: self.address.clone(),
            reason: reason.to_owned(),
            advice: "",
        }
    }
}

/// Records as the body of a request: read as they come, until their sender is gone.
#[derive(Debug)]
pub(in crate::operator) struct RecordReader {
    records: Receiver<Bytes>,
    rest: VecDeque<u8>,
}

impl RecordReader {
    pub(in crate::operator) fn new(records: Receiver<Bytes>) -> Self {
        Self {
            records,
            rest: VecDeque::new(),
        }
    }
}

impl Read for RecordReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.records.recv() {
                // An empty one is the last: others who send may not know of that.
                Ok(record) if !record.is_empty() => self.rest.extend(record),
                _ => return Ok(0),
            }
        }
        self.rest.read(buffer)
    }
}
