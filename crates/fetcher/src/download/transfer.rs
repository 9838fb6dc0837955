//! Content on its way: bounded, counted, and told of.

use std::fs::File;
use std::io::{Read, Write};

use super::DownloadError;
use crate::limits::{CHUNK, TOLD_FROM};

/// One URI's way into a file.
pub(super) struct Transfer<'a> {
    max_bytes: Option<u64>,
    uri: &'a str,
    log: &'a mut dyn Write,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(max_bytes: Option<u64>, uri: &'a str, log: &'a mut dyn Write) -> Self {
        Self {
            max_bytes,
            uri,
            log,
        }
    }

    pub(super) fn check_size(&self, size: u64) -> Result<(), DownloadError> {
        match self.max_bytes {
            Some(limit) if size > limit => Err(DownloadError::DoesNotFit { limit }),
            _ => Ok(()),
        }
    }

    /// Copies all there is, and sees whether it is what was to be expected.
    pub(super) fn copy(
        &mut self,
        mut from: impl Read,
        to: &mut File,
        expected: Option<u64>,
    ) -> Result<(), DownloadError> {
        self.check_size(expected.unwrap_or_default())?;
        let mut chunk = vec![0; CHUNK];
        let mut total = 0;
        let mut milestone = next_milestone(0, expected);
        loop {
            let count = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(DownloadError::Read(error)),
            };
            total += count as u64;
            self.check_size(total)?;
            let read = chunk.get(..count).unwrap_or_default();
            to.write_all(read).map_err(DownloadError::Write)?;
            if total >= milestone {
                self.tell(total, expected);
                milestone = next_milestone(total, expected);
            }
        }
        match expected {
            Some(expected) if expected != total => Err(DownloadError::Truncated {
                found: total,
                expected,
            }),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, total: u64, expected: Option<u64>) {
        let of = expected.map_or_else(String::new, |expected| format!(" of {expected}"));
        // Nobody need be there to read it.
        let _ = writeln!(
            self.log,
            "Fetched {total}{of} bytes of '{}' so far",
            self.uri
        );
    }
}

/// When to tell next: at each quarter of what is large; without a known size, whenever it has
/// doubled. Either way lines are few.
fn next_milestone(total: u64, expected: Option<u64>) -> u64 {
    match expected {
        Some(expected) if expected < TOLD_FROM => u64::MAX,
        Some(expected) => (1..4)
            .map(|quarter| expected / 4 * quarter)
            .find(|milestone| *milestone > total)
            .unwrap_or(u64::MAX),
        None => (total * 2).max(TOLD_FROM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(size: u64, expected: Option<u64>) -> Vec<String> {
        let mut log = Vec::new();
        let mut file = tempfile::tempfile().unwrap();
        let content = std::io::repeat(b'x').take(size);
        Transfer::new(None, "u", &mut log)
            .copy(content, &mut file, expected)
            .unwrap();
        let log = String::from_utf8(log).unwrap();
        log.lines().map(str::to_owned).collect()
    }

    #[test]
    fn large_content_is_told_of_in_a_few_lines() {
        let (chunk, size) = (CHUNK as u64, TOLD_FROM * 4);
        let expected: Vec<String> = (1..4)
            .map(|quarter| {
                format!(
                    "Fetched {} of {size} bytes of 'u' so far",
                    TOLD_FROM * quarter
                )
            })
            .collect();
        assert_eq!(told(size, Some(size)), expected);
        assert_eq!(TOLD_FROM % chunk, 0);
        let unknown = [TOLD_FROM, TOLD_FROM * 2, TOLD_FROM * 4]
            .map(|total| format!("Fetched {total} bytes of 'u' so far"));
        assert_eq!(told(size, None), unknown);
        assert!(told(TOLD_FROM - 1, Some(TOLD_FROM - 1)).is_empty());
    }
}
