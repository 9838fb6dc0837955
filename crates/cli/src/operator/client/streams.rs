//! The input and output of containers, as agents stream them.

use std::collections::VecDeque;
use std::io::Read;

use bytes::Bytes;
use meseta_proto::v1::agent::{self, ProcessIo};
use meseta_proto::{decode, recordio};
use prost::Message as _;
use ureq::http::Request;
use ureq::http::header::{ACCEPT, CONTENT_TYPE};
use ureq::{BodyReader, SendBody};

use super::{Client, Error, PROTOBUF, Response, accepted, reason};
use crate::operator::limits::MAX_OUTPUT_RECORD;

const RECORDIO: &str = "application/recordio";

/// What a container prints.
pub(in crate::operator) struct ContainerOutput {
    address: String,
    attempt: String,
    reader: BodyReader<'static>,
    decoder: recordio::Decoder,
}

impl std::fmt::Debug for ContainerOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerOutput")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a call of an agent's API that is answered with what a container prints.
    pub(in crate::operator) fn output_of(
        &self,
        address: &str,
        call: &agent::Call,
        attempt: &str,
    ) -> Result<ContainerOutput, Error> {
        let request = self
            .to_agent(address)
            .header(CONTENT_TYPE, PROTOBUF)
            .header(ACCEPT, RECORDIO)
            .header("Message-Accept", PROTOBUF)
            .body(call.encode_to_vec());
        let sent = request.map_err(ureq::Error::from);
        let answer = sent.and_then(|request| self.agent.run(request));
        let (address, answer) = self.streamed(address, answer, attempt)?;
        Ok(ContainerOutput {
            address,
            attempt: attempt.to_owned(),
            reader: answer
                .into_body()
                .into_with_config()
                .limit(u64::MAX)
                .reader(),
            decoder: recordio::Decoder::new(MAX_OUTPUT_RECORD),
        })
    }

    /// Sends a container its input, for as long as there is more of it.
    pub(in crate::operator) fn send_input(
        &self,
        address: &str,
        mut records: impl Read,
        attempt: &str,
    ) -> Result<(), Error> {
        let request = self
            .to_agent(address)
            .header(CONTENT_TYPE, RECORDIO)
            .header("Message-Content-Type", PROTOBUF)
            .header(ACCEPT, PROTOBUF)
            .body(SendBody::from_reader(&mut records));
        let sent = request.map_err(ureq::Error::from);
        let answer = sent.and_then(|request| self.agent.run(request));
        self.streamed(address, answer, attempt).map(drop)
    }

    fn to_agent(&self, address: &str) -> ureq::http::request::Builder {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}{address}/api/v1", self.access.agents));
        self.authorized(request)
    }

    fn streamed(
        &self,
        address: &str,
        answer: Result<Response<ureq::Body>, ureq::Error>,
        attempt: &str,
    ) -> Result<(String, Response<ureq::Body>), Error> {
        let base = format!("{}{address}", self.access.agents);
        let answer = answer.map_err(|error| Error::AgentUnreachable {
            attempt: attempt.to_owned(),
            agent: base.clone(),
            reason: reason(&error),
            advice: "",
        })?;
        accepted(base, answer, attempt)
    }
}

impl ContainerOutput {
    /// Waits for what comes next; `None` when that is all.
    pub(in crate::operator) fn next(&mut self) -> Result<Option<ProcessIo>, Error> {
        let mut piece = [0; 16 * 1024];
        loop {
            let record = self.decoder.next_record();
            if let Some(record) = record.map_err(|e| self.unreadable(e.to_string()))? {
                let message = decode(&record).map_err(|e| self.unreadable(e.to_string()))?;
                return Ok(Some(message));
            }
            match self.reader.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(length) => {
                    let bytes = piece.get(..length).unwrap_or_default();
                    self.decoder.extend(bytes);
                }
                Err(error) => {
                    return Err(Error::Broken {
                        attempt: self.attempt.clone(),
                        address: self.address.clone(),
                        reason: error.to_string(),
                        advice: "",
                    });
                }
            }
        }
    }

    fn unreadable(&self, reason: String) -> Error {
        Error::Unreadable {
            attempt: self.attempt.clone(),
            address: self.address.clone(),
            reason,
        }
    }
}

/// Records as the body of a request: read as they come, until their sender is gone.
#[derive(Debug)]
pub(in crate::operator) struct RecordReader {
    records: std::sync::mpsc::Receiver<Bytes>,
    rest: VecDeque<u8>,
}

impl RecordReader {
    pub(in crate::operator) fn new(records: std::sync::mpsc::Receiver<Bytes>) -> Self {
        Self {
            records,
            rest: VecDeque::new(),
        }
    }
}

impl Read for RecordReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
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
