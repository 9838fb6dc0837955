//! The file of facts, and those beside it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

use crate::Change;
use crate::contents::{self, Contents};
use crate::format::{self, Salt};
use crate::limits::{
    FRAME_BYTES, GROWTH, KEPT_FILES, LITTLE_ROOM, LOCK_PATIENCE, LOCK_RETRY, ROOM,
};

/// Whether a frame is to be on disk, or only in the kernel's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Now,
    Later,
}

/// The open file, to whose end commits are written.
#[derive(Debug)]
pub(crate) struct Facts {
    file: File,
    salt: Salt,
    /// Of the last commit.
    sequence: u64,
    length: u64,
    /// When the file is that long it is written anew.
    too_long: u64,
    /// How long it may become in the room on the disk that it has for certain.
    room_until: u64,
}

impl Facts {
    /// Goes on with a file that was read; half a commit at its end is cut off, and one that is not as it
    /// should be otherwise is written anew before.
    pub(crate) fn open(
        path: &Path,
        contents: Option<Contents>,
        length: usize,
    ) -> std::io::Result<Self> {
        match contents {
            Some(Contents {
                salt: Some(salt),
                cut_short,
                sequence,
                ref damage,
                ..
            }) if damage.is_none() => {
                let file = OpenOptions::new().append(true).open(path)?;
                // Facts hold what users gave their tasks, secrets among it.
                file.set_permissions(Permissions::from_mode(0o600))?;
                let length = length.saturating_sub(cut_short) as u64;
                if cut_short > 0 {
                    // A full disk leaves half a commit, too, and has no room for another file.
                    file.set_len(length)?;
                    file.sync_all()?;
                }
                let mut facts = Self {
                    file,
                    salt,
                    sequence,
                    length,
                    too_long: 0,
                    room_until: 0,
                };
                facts.tidy(path)?;
                Ok(facts)
            }
            contents => Fresh::write(path, &contents.unwrap_or_default())?.put_in_place(path),
        }
    }

    /// Takes room on the disk behind the end of the file, where little is left of what was taken; false if
    /// there is not so much.
    pub(crate) fn take_room(&mut self) -> std::io::Result<bool> {
        if self.room_until.saturating_sub(self.length) >= LITTLE_ROOM {
            return Ok(true);
        }
        let has_room = take_room(&self.file, self.length)?;
        if has_room {
            self.room_until = self.length.saturating_add(ROOM);
        }
        Ok(has_room)
    }

    /// How long the file is.
    pub(crate) fn bytes(&self) -> u64 {
        self.length
    }

    /// The changes as they are to be appended.
    pub(crate) fn frame<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Option<Vec<u8>> {
        format::frame(self.salt, self.sequence + 1, changes)
    }

    /// Appends a frame. Others see it at once; with a sync it outlives the machine's power, and so does all
    /// that was appended before.
    pub(crate) fn append(&mut self, frame: &[u8], sync: Sync) -> std::io::Result<()> {
        self.file.write_all(frame)?;
        if sync == Sync::Now {
            self.file.sync_data()?;
        }
        self.sequence += 1;
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Writes bytes as they are, as a crash would leave them.
    #[cfg(debug_assertions)]
    pub(crate) fn write_part(&self, part: &[u8]) {
        let _ = (&self.file).write_all(part);
    }

    /// Writes the file anew when most of it is past. Where that is impossible, for lack of room perhaps,
    /// it goes on as it is, for nothing is lost.
    pub(crate) fn tidy(&mut self, path: &Path) -> std::io::Result<()> {
        if self.length < self.too_long {
            return Ok(());
        }
        let bytes = read(path)?.unwrap_or_default();
        let contents = contents::read(&bytes).unwrap_or_default();
        if !contents.damage.is_none() {
            let kept = keep_beside(path)?;
            tracing::error!(
                path = %path.display(), kept = %kept.display(), lost = %contents.damage,
                "the store was damaged while it was in use"
            );
        }
        let facts = contents.facts.iter();
        let live: usize = facts.map(|(key, value)| key.len() + value.len()).sum();
        if self.length <= twice(live as u64) {
            self.too_long = twice(live as u64);
            return Ok(());
        }
        match Fresh::write(path, &contents).and_then(|fresh| fresh.with_room(path)) {
            Ok(fresh) => *self = fresh.put_in_place(path)?,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the store can't be made smaller");
                self.too_long = self.length.saturating_add(GROWTH);
            }
        }
        Ok(())
    }
}

/// A file of all facts that is not in its place yet.
struct Fresh {
    salt: Salt,
    sequence: u64,
    length: u64,
}

impl Fresh {
    /// Writes these facts into a file beside; of one that fails nothing stays.
    fn write(path: &Path, contents: &Contents) -> std::io::Result<Self> {
        let fresh = beside(path, "new");
        Self::fill(&fresh, contents).inspect_err(|_| {
            // What it has taken may be the room that others lack.
            let _ = std::fs::remove_file(&fresh);
        })
    }

    fn fill(fresh: &Path, contents: &Contents) -> std::io::Result<Self> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(fresh)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let salt = Salt(RandomState::new().build_hasher().finish());
        let mut bytes = format::preamble(salt);
        let mut sequence = contents.sequence;
        let mut length = 0;
        let mut facts = contents.facts.iter().peekable();
        loop {
            let mut changes: Vec<Change> = Vec::new();
            let mut size = 0;
            while size < FRAME_BYTES
                && let Some((key, value)) = facts.next()
            {
                size += key.len() + value.len();
                changes.push((key.clone(), Some(value.clone())));
            }
            if !changes.is_empty() {
                sequence += 1;
                let frame = format::frame(salt, sequence, &changes);
                bytes.extend(frame.ok_or(ErrorKind::FileTooLarge)?);
            }
            file.write_all(&bytes)?;
            length += bytes.len() as u64;
            bytes.clear();
            if facts.peek().is_none() {
                break;
            }
        }
        file.sync_all()?;
        Ok(Self {
            salt,
            sequence,
            length,
        })
    }

    /// Takes the room for it that the former one has: once that gives way, others may take it.
    fn with_room(self, path: &Path) -> std::io::Result<Self> {
        let fresh = beside(path, "new");
        let file = OpenOptions::new().append(true).open(&fresh)?;
        match take_room(&file, self.length) {
            Ok(true) => Ok(self),
            no_room => {
                // What it has taken may be the room that others lack.
                let _ = std::fs::remove_file(&fresh);
                Err(no_room.err().unwrap_or(ErrorKind::StorageFull.into()))
            }
        }
    }

    /// Puts the file in the place of the former one, if there was one.
    fn put_in_place(self, path: &Path) -> std::io::Result<Facts> {
        std::fs::rename(beside(path, "new"), path)?;
        sync_folder(path)?;
        Ok(Facts {
            file: OpenOptions::new().append(true).open(path)?,
            salt: self.salt,
            sequence: self.sequence,
            length: self.length,
            too_long: twice(self.length),
            room_until: 0,
        })
    }
}

/// Takes room on the disk behind a file of that length; false if there is not so much.
fn take_room(file: &File, length: u64) -> std::io::Result<bool> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, length, ROOM) {
        // Where a file system cannot do that, nobody knows before it is needed.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::FBIG) => Ok(true),
        Err(Errno::NOSPC | Errno::DQUOT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn twice(length: u64) -> u64 {
    length.saturating_mul(2).saturating_add(GROWTH)
}

/// What is in a file; `None` if it is not there.
pub(crate) fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the store this process's, when it is no other's any more; `None` if it stays one's.
pub(crate) fn lock(path: &Path) -> std::io::Result<Option<File>> {
    // Not the file of facts itself: that is another one whenever it is written anew.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(beside(path, "lock"))?;
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < give_up => {
                std::thread::sleep(LOCK_RETRY);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Gives a damaged file another name beside its own, for an operator to look at.
pub(crate) fn keep_beside(path: &Path) -> std::io::Result<PathBuf> {
    let names = (1..=KEPT_FILES).map(|number| beside(path, &format!("damaged-{number}")));
    let mut last = None;
    for kept in names {
        match std::fs::hard_link(path, &kept) {
            Ok(()) => return Ok(kept),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => last = Some(kept),
            Err(error) => return Err(error),
        }
    }
    let kept = last.ok_or(ErrorKind::NotFound)?;
    std::fs::remove_file(&kept)?;
    std::fs::hard_link(path, &kept)?;
    Ok(kept)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes a folder that is closed to others, below folders that are not: there may be more in them.
pub(crate) fn make_private(folder: &Path) -> std::io::Result<()> {
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
