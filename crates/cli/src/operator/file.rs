//! Files that masters and agents show: whole, their last lines, and as they grow.

use std::thread;

use meseta_proto::v1::{agent, master};

use super::client::{Client, to_agent, to_master};
use super::error::Error;
use super::limits::{FOLLOW_EVERY, READ_LENGTH};
use super::output::Output;

/// Who shows a file.
#[derive(Debug)]
pub(super) enum Holder {
    /// The leading master.
    Master,
    /// An agent, by the address and path of its process.
    Agent(String),
}

/// A file, by the path that its holder gives it.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) client: &'a Client,
    pub(super) holder: Holder,
    pub(super) path: String,
    /// For errors.
    pub(super) attempt: String,
}

/// A part of a file, and how long all of it is.
struct Piece {
    size: u64,
    data: Vec<u8>,
}

impl File<'_> {
    /// Prints what stands in the file now, or its last lines; gives how far that was.
    pub(super) fn print(&self, tail: Option<u64>, output: &Output) -> Result<u64, Error> {
        let from = match tail {
            Some(lines) => self.beginning_of_last(lines)?,
            None => 0,
        };
        self.print_from(from, output)
    }

    /// Prints what stands in the file, or its last lines, and what comes, without end.
    pub(super) fn follow(&self, tail: Option<u64>, output: &Output) -> Result<(), Error> {
        let mut printed = self.print(tail, output)?;
        loop {
            thread::sleep(FOLLOW_EVERY);
            printed = self.print_from(printed, output)?;
        }
    }

    /// Prints what comes after so many bytes; gives how many there are now.
    pub(super) fn print_from(&self, from: u64, output: &Output) -> Result<u64, Error> {
        let mut offset = from;
        loop {
            let piece = self.piece(offset, READ_LENGTH)?;
            if piece.size < offset {
                // The file was rotated: the new one begins anew.
                offset = 0;
                continue;
            }
            if piece.data.is_empty() {
                return Ok(offset);
            }
            output.bytes(&piece.data)?;
            offset = offset.saturating_add(length(&piece.data));
        }
    }

    /// Where the last lines begin; what stands after the last end of a line is one as well.
    fn beginning_of_last(&self, lines: u64) -> Result<u64, Error> {
        // Holders give the size alone when no byte is asked for.
        let size = self.piece(0, 0)?.size;
        if lines == 0 {
            return Ok(size);
        }
        let mut left = lines;
        let mut end = size;
        while end > 0 {
            let start = end.saturating_sub(READ_LENGTH);
            let data = self.between(start, end)?;
            for (place, byte) in data.iter().enumerate().rev() {
                let after = start.saturating_add(length(data.get(..=place).unwrap_or_default()));
                if *byte != b'\n' || after == size {
                    continue;
                }
                left -= 1;
                if left == 0 {
                    return Ok(after);
                }
            }
            end = start;
        }
        Ok(0)
    }

    /// The bytes between two places, or fewer where the file has become shorter.
    fn between(&self, start: u64, end: u64) -> Result<Vec<u8>, Error> {
        let mut data = Vec::new();
        let mut offset = start;
        // A holder may give less than it is asked for.
        while offset < end {
            let piece = self.piece(offset, end - offset)?;
            if piece.data.is_empty() {
                break;
            }
            offset = offset.saturating_add(length(&piece.data));
            data.extend(piece.data);
        }
        Ok(data)
    }

    fn piece(&self, offset: u64, length: u64) -> Result<Piece, Error> {
        let piece = match &self.holder {
            Holder::Master => self.piece_of_master(offset, length),
            Holder::Agent(address) => self.piece_of_agent(address, offset, length),
        };
        piece.map_err(|error| match error {
            Error::Refused {
                attempt,
                address,
                status: 404,
                ..
            } => Error::NoFile {
                attempt,
                address,
                path: self.path.clone(),
            },
            error => error,
        })
    }

    fn piece_of_master(&self, offset: u64, length: u64) -> Result<Piece, Error> {
        let call = master::Call {
            read_file: Some(master::call::ReadFile {
                path: self.path.clone(),
                offset,
                length: Some(length),
            }),
            ..to_master(master::call::Type::ReadFile)
        };
        let answer = self.client.ask_for(&call, &self.attempt)?;
        let read = answer.read_file.unwrap_or_default();
        Ok(Piece {
            size: read.size,
            data: read.data,
        })
    }

    fn piece_of_agent(&self, address: &str, offset: u64, length: u64) -> Result<Piece, Error> {
        let call = agent::Call {
            read_file: Some(agent::call::ReadFile {
                path: self.path.clone(),
                offset,
                length: Some(length),
            }),
            ..to_agent(agent::call::Type::ReadFile)
        };
        let answer = self.client.ask_agent(address, &call, &self.attempt)?;
        let read = answer.read_file.unwrap_or_default();
        Ok(Piece {
            size: read.size,
            data: read.data,
        })
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
