//! Archives, taken apart below a folder.

mod bounds;
mod frames;
mod tar;
mod zip;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::beneath::Folder;
use crate::limits::EXTRACTION_MEMORY;
use bounds::{Bounds, Counted};
use frames::Frames;

/// Why an archive was not extracted. What of it came first is left, below the folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtractError {
    /// The archive itself can't be read.
    #[error("Failed to extract archive: {0}")]
    Archive(String),
    /// Something in it can't be made, or must not.
    #[error("Failed to extract '{name}' from the archive: {reason}")]
    Entry { name: String, reason: String },
    /// It comes to more than it may.
    #[error("Failed to extract archive: {0}")]
    Bounds(#[from] bounds::Exceeded),
}

impl ExtractError {
    fn entry(path: &std::path::Path, reason: impl std::fmt::Display) -> Self {
        Self::Entry {
            name: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// The kinds of archive, as names tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Archive {
    Tar(Compression),
    Zip,
    /// One compressed file, and what it is called without.
    Single(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

const TARS: [(&str, Compression); 9] = [
    (".tar", Compression::None),
    (".tgz", Compression::Gzip),
    (".tar.gz", Compression::Gzip),
    (".tbz2", Compression::Bzip2),
    (".tar.bz2", Compression::Bzip2),
    (".txz", Compression::Xz),
    (".tar.xz", Compression::Xz),
    (".tzst", Compression::Zstd),
    (".tar.zst", Compression::Zstd),
];

impl Archive {
    /// The kind that a file of this name is, if any.
    pub(crate) fn of(name: &str) -> Option<Self> {
        if let Some((_, compression)) = TARS.iter().find(|(end, _)| name.ends_with(end)) {
            return Some(Self::Tar(*compression));
        }
        if name.strip_suffix(".zip").is_some() {
            return Some(Self::Zip);
        }
        let plain = name.strip_suffix(".gz")?;
        (!plain.is_empty()).then(|| Self::Single(plain.into()))
    }
}

/// Takes an archive apart. `size` is its own size, which says how large its content may be.
pub(crate) fn extract(
    archive: &Archive,
    file: File,
    size: u64,
    folder: &Folder,
) -> Result<(), ExtractError> {
    let _bounded = BoundedMemory::begin();
    let bounds = Bounds::for_archive_of(size);
    match archive {
        Archive::Zip => zip::extract(file, &bounds, folder),
        Archive::Tar(compression) => tar::extract(open(*compression, file), &bounds, folder),
        Archive::Single(name) => {
            let content = Counted::new(open(Compression::Gzip, file), &bounds);
            let made = folder
                .create(name)
                .map_err(|e| ExtractError::entry(name, e))?;
            bounds::copy(content, &made, None)
                .map(|_| ())
                .map_err(|error| bounds.explain(|| ExtractError::entry(name, error)))
        }
    }
}

fn open(compression: Compression, file: File) -> Box<dyn Read> {
    let file = BufReader::new(file);
    match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new(file, true)),
        Compression::Zstd => Box::new(Frames::new(file)),
    }
}

/// Bounds the memory of this process for as long as it lives.
///
/// Beyond the bound the process ends, which is what is to become of a fetch that would take the
/// machine's memory.
struct BoundedMemory {
    before: Rlimit,
}

impl BoundedMemory {
    fn begin() -> Self {
        let before = getrlimit(Resource::As);
        let bound = before
            .current
            .map_or(EXTRACTION_MEMORY, |it| it.min(EXTRACTION_MEMORY));
        let bounded = Rlimit {
            current: Some(bound),
            maximum: before.maximum,
        };
        // A lower soft limit is everybody's to set.
        let _ = setrlimit(Resource::As, bounded);
        Self { before }
    }
}

impl Drop for BoundedMemory {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::As, self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_kind_of_archive() {
        for (name, kind) in [
            ("a.tar", Some(Archive::Tar(Compression::None))),
            ("a.tar.gz", Some(Archive::Tar(Compression::Gzip))),
            ("a.tbz2", Some(Archive::Tar(Compression::Bzip2))),
            ("a.zip", Some(Archive::Zip)),
            ("a.txt.gz", Some(Archive::Single("a.txt".into()))),
            (".gz", None),
            ("a", None),
        ] {
            assert_eq!(Archive::of(name), kind, "{name}");
        }
    }
}
