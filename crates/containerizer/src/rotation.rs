//! Keeps what a container prints within bounds.
//!
//! Programs append to plain files (`stdout`, `stderr`): nothing stands between them and the disk
//! that could end, block or break. When a file has grown too large, its head is copied to
//! `stdout.1` (what was there moves on to `stdout.2`, and so on) and then cut off. File systems that
//! can collapse a range (ext4, xfs) cut in one step with regard to writers, so that nothing is lost:
//! `stdout.2`, `stdout.1` and `stdout` in a row are what was printed. On others the file is copied to its
//! end and truncated, and what is written between those two steps is lost.
//!
//! Heads end where blocks of the file system do, not where lines do.
//!
//! The folder belongs to the container's user, who may put anything under these names at any
//! time. So nothing is reached through a link, only plain files with no other name and of the
//! folder's own owner are touched, and what must give way is renamed or unlinked as a name,
//! whatever it leads to.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Uid, fallocate,
    fchmod, fchown, fstat, fstatvfs, ftruncate, openat, renameat, seek, statat, unlinkat,
};
use rustix::io::Errno;

use crate::beneath::{descend, open};
use crate::limits::{HEADS_AT_ONCE, MAX_HOLES};

/// How much is kept of one of a container's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputBounds {
    /// The size of a file. One may be larger until its rotation.
    pub max_bytes: u64,
    /// How many files of that size are kept beside the one that is written.
    pub rotated: u32,
}

/// Why an output could not be kept within its bounds.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The folder or the file could not be looked at or changed.
    #[error("failed to rotate '{name}': {source}")]
    File {
        /// The file.
        name: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is within its bounds, but what was cut off could not be kept.
    #[error("the head of '{name}' is lost: it could not be moved to '{name}.1': {source}")]
    Lost {
        /// The file.
        name: String,
        /// The reason.
        source: std::io::Error,
    },
}

/// The folder that a container's output is in.
#[derive(Debug)]
pub struct OutputFolder {
    folder: OwnedFd,
    owner: u32,
}

impl OutputFolder {
    /// Opens `below` in a sandbox. The path of the sandbox is this process's own; what is below may
    /// be its user's, and is reached without following a link.
    ///
    /// # Errors
    /// When it is not there, or a link is on the way.
    pub fn open(sandbox: &Path, below: &Path) -> std::io::Result<Self> {
        let folder = descend(open(CWD, sandbox.as_os_str())?, below)?;
        let owner = fstat(&folder)?.st_uid;
        Ok(Self { folder, owner })
    }

    /// What a file takes on the disk, or its length if that is less; nothing for what is not a
    /// plain file of the folder's owner.
    ///
    /// # Errors
    /// When there is nothing under that name, or it cannot be looked at.
    pub fn size(&self, name: &str) -> std::io::Result<u64> {
        let found = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(if self.is_ours(&found) {
            size(&found)
        } else {
            0
        })
    }

    /// Brings a file within its bounds, or nearer to them where that is much to do.
    ///
    /// # Errors
    /// When that fails, or when it succeeds but what was to be kept is lost.
    pub fn rotate(&self, name: &str, bounds: OutputBounds) -> Result<(), RotationError> {
        let at = |source: std::io::Error| RotationError::File {
            name: name.to_owned(),
            source,
        };
        if self.size(name).map_err(at)? <= bounds.max_bytes {
            return Ok(());
        }
        let flags =
            OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.folder, name, flags, Mode::empty()).map_err(|e| at(e.into()))?;
        // What is open may be another file than the one that was looked at by name.
        let found = fstat(&file).map_err(|e| at(e.into()))?;
        if !self.is_ours(&found) {
            return Ok(());
        }
        let output = Output {
            folder: self,
            name,
            file: file.into(),
            bounds,
            lost: None,
        };
        match output.cut() {
            Ok(None) => Ok(()),
            Ok(Some(source)) => Err(RotationError::Lost {
                name: name.to_owned(),
                source,
            }),
            Err(source) => Err(at(source)),
        }
    }

    /// Whether a file is the owner's and cannot be reached elsewhere: a user may be able to bring
    /// files of others under these names.
    fn is_ours(&self, found: &Stat) -> bool {
        FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
            && found.st_nlink == 1
            && found.st_uid == self.owner
    }
}

/// A file that is too large.
struct Output<'a> {
    folder: &'a OutputFolder,
    name: &'a str,
    file: File,
    bounds: OutputBounds,
    /// Why a head could not be kept.
    lost: Option<std::io::Error>,
}

impl Output<'_> {
    /// Cuts heads off until the file is small enough. Gives the reason why some of that is lost.
    fn cut(mut self) -> std::io::Result<Option<std::io::Error>> {
        let block = fstatvfs(&self.file)?.f_frsize.max(1);
        let head = (self.bounds.max_bytes / block).max(1).saturating_mul(block);
        // Where the file system cannot collapse, what is done with stays until all is.
        let mut done = 0;
        let mut can_collapse = true;
        if !self.squeeze(block)? {
            can_collapse = false;
            done = self.next(SeekFrom::Data(0))?.unwrap_or(0) / block * block;
        }
        // Nobody would keep what is older than all files together.
        let heads = self.length_from(done)?.saturating_sub(1) / head;
        let superfluous = heads.saturating_sub(self.bounds.rotated.into()) * head;
        if superfluous > 0 && !(can_collapse && self.collapse(0, superfluous)?) {
            can_collapse = false;
            done += superfluous;
        }
        let mut latest = None;
        let mut cut = 0;
        // Whoever writes faster than this copies does not hold it up for ever, nor one who wants very
        // many small files; where nothing is lost by it, the rest is cut another time.
        while cut <= self.bounds.rotated && !(can_collapse && cut >= HEADS_AT_ONCE) {
            if self.length_from(done)? <= head {
                break;
            }
            cut += 1;
            latest = self.keep_or_lose(done, head);
            if !(can_collapse && self.collapse(0, head)?) {
                can_collapse = false;
                done += head;
            }
        }
        if !can_collapse {
            self.move_rest(latest.as_ref(), done, head)?;
        }
        Ok(self.lost)
    }

    fn length_from(&self, place: u64) -> std::io::Result<u64> {
        let length = fstat(&self.file)?.st_size.unsigned_abs();
        Ok(length.saturating_sub(place))
    }

    /// Takes holes out of the file: who does not append leaves one where a head was cut off. False
    /// where the file system cannot do that.
    fn squeeze(&self, block: u64) -> std::io::Result<bool> {
        let mut place = 0;
        for _ in 0..MAX_HOLES {
            let Some(hole) = self.next(SeekFrom::Hole(place))? else {
                break;
            };
            // The one behind the end is none.
            let Some(data) = self.next(SeekFrom::Data(hole))? else {
                break;
            };
            let (from, to) = (hole.next_multiple_of(block), data / block * block);
            if from < to && !self.collapse(from, to - from)? {
                return Ok(false);
            }
            place = if from < to { from } else { data };
        }
        Ok(true)
    }

    /// Where the next hole is, or the next data; nothing if there is none, or the file system does
    /// not know.
    fn next(&self, what: SeekFrom) -> std::io::Result<Option<u64>> {
        match seek(&self.file, what) {
            Ok(place) => Ok(Some(place)),
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Cuts a piece out of the file, in one step with regard to writers; false where the file system
    /// cannot do that.
    fn collapse(&self, from: u64, length: u64) -> std::io::Result<bool> {
        match fallocate(&self.file, FallocateFlags::COLLAPSE_RANGE, from, length) {
            Ok(()) => Ok(true),
            // Truncated meanwhile by whoever writes it: there is nothing left to be cut.
            Err(Errno::INVAL) if self.length_from(from.saturating_add(length))? == 0 => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::NODEV) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Copies what the file has from a place on, as long as there is more, and empties it. What is
    /// written after the last look and before the file is empty is lost.
    fn move_rest(&mut self, to: Option<&File>, place: u64, head: u64) -> std::io::Result<()> {
        let mut done = place;
        while let Some(to) = to
            // Whoever writes faster than this copies must not fill the disk.
            && done - place <= head
        {
            match copy(&self.file, done, head, to) {
                Ok(0) => break,
                Ok(copied) => done += copied,
                Err(error) => {
                    self.lost = Some(error);
                    break;
                }
            }
        }
        Ok(ftruncate(&self.file, 0)?)
    }

    fn keep_or_lose(&mut self, start: u64, length: u64) -> Option<File> {
        match self.keep(start, length) {
            Ok(kept) => kept,
            Err(error) => {
                self.lost = Some(error);
                None
            }
        }
    }

    /// Copies a piece of the file to the first of the rotated ones, and those before it on to the
    /// next; gives it, unless none is kept.
    fn keep(&self, start: u64, length: u64) -> std::io::Result<Option<File>> {
        if self.bounds.rotated == 0 {
            return Ok(None);
        }
        let folder = self.folder.folder.as_fd();
        // Whole before it is seen under its name.
        let fresh = format!(".{}.rotating", self.name);
        unlink(&self.folder.folder, &fresh)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made: File = openat(folder, fresh.as_str(), flags, Mode::from_raw_mode(0o600))?.into();
        let moved = self.fill(&made, start, length).and_then(|()| {
            self.make_room()?;
            Ok(renameat(
                folder,
                fresh.as_str(),
                folder,
                self.rotated(1).as_str(),
            )?)
        });
        match moved {
            Ok(()) => Ok(Some(made)),
            Err(error) => {
                // The reason matters more than what is left over, which the next rotation removes.
                let _ = unlink(&self.folder.folder, &fresh);
                Err(error)
            }
        }
    }

    fn fill(&self, made: &File, start: u64, length: u64) -> std::io::Result<()> {
        copy(&self.file, start, length, made)?;
        let found = fstat(&self.file)?;
        let (uid, gid) = (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid));
        let made_by = fstat(made)?;
        if (made_by.st_uid, made_by.st_gid) != (found.st_uid, found.st_gid) {
            fchown(made, Some(uid), Some(gid))?;
        }
        // After its owner: nobody reads it who could not read the original.
        fchmod(made, Mode::from_raw_mode(found.st_mode & 0o666))?;
        Ok(())
    }

    /// Frees the name of the first rotated file. Those up to the first gap move on by one.
    fn make_room(&self) -> std::io::Result<()> {
        let folder = &self.folder.folder;
        let mut free = 1;
        while free < self.bounds.rotated && self.exists(&self.rotated(free))? {
            free += 1;
        }
        unlink(folder, &self.rotated(free))?;
        for number in (1..free).rev() {
            let (from, to) = (self.rotated(number), self.rotated(number + 1));
            renameat(folder, from.as_str(), folder, to.as_str())?;
        }
        Ok(())
    }

    fn exists(&self, name: &str) -> std::io::Result<bool> {
        match statat(&self.folder.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn rotated(&self, number: u32) -> String {
        format!("{}.{number}", self.name)
    }
}

/// Copies at most `length` bytes from a place in a file to the end of another; gives how many.
fn copy(mut from: &File, start: u64, length: u64, mut to: &File) -> std::io::Result<u64> {
    from.seek(std::io::SeekFrom::Start(start))?;
    std::io::copy(&mut from.take(length), &mut to)
}

/// Removes a name, if it is there.
fn unlink(folder: &OwnedFd, name: &str) -> std::io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Holes count for nothing, and blocks that are kept for later neither.
fn size(found: &Stat) -> u64 {
    let length = found.st_size.unsigned_abs();
    let allocated = found.st_blocks.unsigned_abs().saturating_mul(512);
    length.min(allocated)
}

#[cfg(test)]
mod tests;
