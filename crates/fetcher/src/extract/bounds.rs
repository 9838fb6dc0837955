//! What an archive may come to.

use std::cell::Cell;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write as _};

use super::ExtractError;
use crate::limits::{ALWAYS_EXTRACTED, CHUNK, MAX_ENTRIES, MAX_EXTRACTED, MAX_RATIO};

/// What is left of what an archive may come to.
#[derive(Debug)]
pub(super) struct Bounds {
    bytes: u64,
    left: Cell<u64>,
    entries: Cell<u64>,
    exceeded: Cell<Option<Exceeded>>,
}

/// An archive comes to more than it may.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("it comes to more than the {0} bytes that one of its size may")]
    Bytes(u64),
    #[error("it has more than {MAX_ENTRIES} entries")]
    Entries,
}

impl Bounds {
    pub(super) fn for_archive_of(size: u64) -> Self {
        let bytes = size
            .saturating_mul(MAX_RATIO)
            .clamp(ALWAYS_EXTRACTED, MAX_EXTRACTED);
        Self {
            bytes,
            left: Cell::new(bytes),
            entries: Cell::new(MAX_ENTRIES),
            exceeded: Cell::new(None),
        }
    }

    /// Counts one more entry.
    pub(super) fn entry(&self) -> std::result::Result<(), Exceeded> {
        let left = self.entries.get().checked_sub(1).ok_or(Exceeded::Entries)?;
        self.entries.set(left);
        Ok(())
    }

    /// Counts bytes.
    fn take(&self, bytes: u64) -> Result<()> {
        if let Some(left) = self.left.get().checked_sub(bytes) {
            self.left.set(left);
            return Ok(());
        }
        let exceeded = Exceeded::Bytes(self.bytes);
        self.exceeded.set(Some(exceeded));
        Err(Error::other(exceeded))
    }

    /// The bound that was reached, if that is what is behind an error.
    pub(super) fn explain(&self, error: impl FnOnce() -> ExtractError) -> ExtractError {
        self.exceeded.get().map_or_else(error, ExtractError::Bounds)
    }
}

/// Counts what is read.
pub(super) struct Counted<'a, R> {
    content: R,
    bounds: &'a Bounds,
}

impl<'a, R> Counted<'a, R> {
    pub(super) fn new(content: R, bounds: &'a Bounds) -> Self {
        Self { content, bounds }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.content.read(buffer)?;
        self.bounds.take(count as u64)?;
        Ok(count)
    }
}

/// Copies content of a known size, or all there is.
pub(super) fn copy(mut from: impl Read, mut to: &File, size: Option<u64>) -> Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(chunk.get(..count).unwrap_or_default())?;
        total += count as u64;
    }
    match size {
        Some(size) if size != total => Err(Error::new(
            ErrorKind::UnexpectedEof,
            format!("the archive ends after {total} of its {size} bytes"),
        )),
        _ => Ok(total),
    }
}
