//! Bounds of fetching.

use std::time::Duration;

/// Bytes that an archive may come to whatever its own size: small text compresses well.
pub(crate) const ALWAYS_EXTRACTED: u64 = 64 * 1024 * 1024;

/// How many times its own size a larger one may come to. Real ones stay far below.
pub(crate) const MAX_RATIO: u64 = 1_000;

/// Bytes that any archive may come to.
pub(crate) const MAX_EXTRACTED: u64 = 256 * 1024 * 1024 * 1024;

/// Files, folders and links that an archive may hold: more than any distribution of software, less
/// than what exhausts a file system.
pub(crate) const MAX_ENTRIES: u64 = 500_000;

/// Folders that a path may lead through.
pub(crate) const MAX_DEPTH: usize = 128;

/// Bytes of a link's target, as Linux has it.
pub(crate) const MAX_TARGET: u64 = 4_096;

/// Address space while an archive is read: dictionaries, tables of contents and extended headers
/// are as large as the archive says.
pub(crate) const EXTRACTION_MEMORY: u64 = 1024 * 1024 * 1024;

/// How long nothing may arrive, unless `--fetcher_stall_timeout` says otherwise.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// What is read at once.
pub(crate) const CHUNK: usize = 64 * 1024;

/// From how many bytes on a download tells how far it is.
pub(crate) const TOLD_FROM: u64 = 32 * 1024 * 1024;

/// What is read of the reasons that a server gives.
pub(crate) const MAX_REASON: u64 = 16 * 1024;

/// What an answer with credentials may come to.
pub(crate) const MAX_CREDENTIALS: u64 = 1024 * 1024;

/// How long a metadata service, which is on the same machine, may take.
pub(crate) const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
