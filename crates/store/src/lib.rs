//! An embedded store of facts: what a daemon must still know after its process, or its machine,
//! has died.
//!
//! A fact is a key and bytes. [`Store::commit`] returns when all of its changes, or none, are on
//! disk; a caller that has gathered the changes of many promises pays for one write and one sync.
//!
//! ```
//! use meseta_store::Store;
//!
//! let dir = tempfile::tempdir()?;
//! let mut store = Store::open(&dir.path().join("facts"))?;
//! store.commit(&[("agent/S0".into(), Some(b"admitted".to_vec()))])?;
//! assert_eq!(store.load()?, [("agent/S0".to_owned(), b"admitted".to_vec())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Damage
//!
//! Disks lose and change bytes. What was written is known again by checksums, one for each fact: damage
//! costs the facts that it has met, and the store says which ([`Store::damage`]). The damaged file is
//! kept beside, as `NAME.damaged-1` and so on. A commit that a crash has cut short is no damage: it
//! was never promised, and nothing of it counts.
//!
//! Why no database: those that do not check what they read take a changed bit for the truth or end
//! the process (of 1,000 files of redb with one changed bit each, 201 were read with other facts in
//! them and 13 ended in a panic), and those that do give up the whole file for it.

mod contents;
#[cfg(debug_assertions)]
mod fault;
mod file;
mod format;
mod limits;
mod registry;

use std::fs::File;
use std::path::{Path, PathBuf};

use file::Sync;

pub use contents::Damage;
pub use registry::{Forgetful, Registry};

/// A change of one fact: its key and its new bytes, or `None` to forget it.
pub type Change = (String, Option<Vec<u8>>);

/// A fact and its bytes.
pub type Fact = (String, Vec<u8>);

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses the store.
    #[error("the store '{path}' is used by another process", path = path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file was written by another version of this program.
    #[error("the store '{path}' is of another version; start the one that has written it", path = path.display())]
    Version {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is damaged, and the caller wants none of it then.
    #[error("the store '{path}' is damaged: {damage} can't be read", path = path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is lost.
        damage: Damage,
    },
    /// A commit is larger than the store can take.
    #[error("a commit is too large for the store '{path}'", path = path.display())]
    TooLarge {
        /// The store's file.
        path: PathBuf,
    },
    /// A file cannot be opened, read or written: for lack of space or of permission, for example.
    #[error("failed to {attempt} the store '{path}': {source}", path = path.display())]
    Access {
        /// What was tried: `open`, `read` or `write`.
        attempt: &'static str,
        /// The store's file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// What to do with a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// Keep it beside, and go on with what can be read.
    #[default]
    SetAside,
    /// Refuse it, and leave it as it is.
    Refuse,
}

/// The facts of one daemon, in one file that only it has open.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: file::Facts,
    damage: Damage,
    #[cfg(debug_assertions)]
    fault: Option<fault::Fault>,
    /// Held for as long as the store is open, by every process that has a copy of it.
    _lock: File,
}

impl Store {
    /// Opens the store at `path`, making it and the folders above it if need be. What is damaged is set
    /// aside.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, OnDamage::default())
    }

    /// Opens the store at `path` as [`Self::open`] does, and says what to do if it is damaged.
    pub fn open_with(path: &Path, on_damage: OnDamage) -> Result<Self, Error> {
        let failed = |source| Error::Access {
            attempt: "open",
            path: path.to_owned(),
            source,
        };
        if let Some(parent) = path.parent() {
            file::make_private(parent).map_err(failed)?;
        }
        let lock = file::lock(path).map_err(failed)?;
        let lock = lock.ok_or_else(|| Error::InUse {
            path: path.to_owned(),
        })?;
        let found = file::read(path).map_err(failed)?;
        let contents = found.as_deref().map(contents::read).transpose();
        let contents = contents.map_err(|()| Error::Version {
            path: path.to_owned(),
        })?;
        let damage = contents
            .as_ref()
            .map_or_else(Damage::default, |it| it.damage.clone());
        if !damage.is_none() && on_damage == OnDamage::Refuse {
            return Err(Error::Damaged {
                path: path.to_owned(),
                damage,
            });
        }
        if let Some(cut) = contents
            .as_ref()
            .map(|it| it.cut_short)
            .filter(|cut| *cut > 0)
        {
            tracing::info!(path = %path.display(), bytes = cut, "a crash has cut the last commit short");
        }
        if !damage.is_none() {
            let kept = file::keep_beside(path).map_err(failed)?;
            tracing::error!(
                path = %path.display(), kept = %kept.display(), lost = %damage,
                "the store is damaged; what can be read of it is used"
            );
        }
        let length = found.map_or(0, |bytes| bytes.len());
        let file = file::Facts::open(path, contents, length).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            damage,
            #[cfg(debug_assertions)]
            fault: fault::Fault::from_environment(),
            _lock: lock,
        })
    }

    /// What of the store could not be read when it was opened.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// What it takes on disk.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Takes room on the disk for what is to be committed next, so that others cannot take it; false while
    /// there is none. Then what was taken before is for what must be kept in any case, and nothing new
    /// should be begun. To be called again and again: it costs nothing while there is enough.
    pub fn has_room(&mut self) -> bool {
        self.file.take_room().unwrap_or_else(|error| {
            // The next commit will say what is wrong.
            tracing::debug!(path = %self.path.display(), %error, "no room can be taken");
            true
        })
    }

    /// Every fact, in the order of the keys.
    pub fn load(&self) -> Result<Vec<Fact>, Error> {
        let load = || {
            let bytes = file::read(&self.path)?.unwrap_or_default();
            let contents = contents::read(&bytes);
            Ok(contents.map(|it| it.facts).unwrap_or_default())
        };
        let facts = load().map_err(|source| self.failed("read", source))?;
        Ok(facts.into_iter().collect())
    }

    /// Makes the changes, in order, durable as one: after a crash either all of them are there or
    /// none is.
    pub fn commit<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), Error> {
        self.append(changes, Sync::Now)
    }

    /// Keeps the changes, in order, as one, but does not wait for the disk: they outlive this process, and
    /// the machine's power from the next commit on.
    pub fn write<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), Error> {
        self.append(changes, Sync::Later)
    }

    fn append<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
        sync: Sync,
    ) -> Result<(), Error> {
        let frame = self.file.frame(changes).ok_or_else(|| Error::TooLarge {
            path: self.path.clone(),
        })?;
        #[cfg(debug_assertions)]
        if let Some(fault) = &mut self.fault {
            fault.before_commit(&self.file, &frame);
        }
        let written = self.file.append(&frame, sync);
        written.map_err(|source| self.failed("write", source))?;
        #[cfg(debug_assertions)]
        if let Some(fault) = &self.fault {
            fault.after_commit();
        }
        let tidied = self.file.tidy(&self.path);
        tidied.map_err(|source| self.failed("write", source))
    }

    fn failed(&self, attempt: &'static str, source: std::io::Error) -> Error {
        Error::Access {
            attempt,
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn facts_survive_the_store_and_changes_apply_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/facts");
        let mut store = Store::open(&path).unwrap();
        store
            .commit(&[
                ("a".into(), Some(b"1".to_vec())),
                ("b".into(), Some(b"2".to_vec())),
                ("a".into(), Some(b"3".to_vec())),
                ("b".into(), None),
            ])
            .unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), [("a".to_owned(), b"3".to_vec())]);
    }

    #[test]
    fn facts_are_for_nobody_else_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("work/meta/facts");
        for _ in 0..2 {
            drop(Store::open(&path).unwrap());
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(path.parent().unwrap()), 0o700);
            let above = path.parent().and_then(Path::parent).unwrap();
            assert_ne!(mode(above) & 0o055, 0, "sandboxes may lie there");
            // One that an earlier version has made readable is closed as well.
            std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
    }

    #[test]
    fn a_store_belongs_to_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        let _held = Store::open(&path).unwrap();
        let refusal = Store::open(&path).unwrap_err().to_string();
        assert!(refusal.ends_with("is used by another process"), "{refusal}");
    }

    /// As if there were room for no other file.
    fn without_room(path: &Path) -> PathBuf {
        let fresh = path.with_file_name("facts.new");
        std::fs::create_dir(&fresh).unwrap();
        fresh
    }

    #[test]
    fn a_store_that_cannot_be_made_smaller_is_used_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        let mut store = Store::open(&path).unwrap();
        let fresh = without_room(&path);
        let commit = |store: &mut Store, byte| {
            let change = ("a".to_owned(), Some(vec![byte; 1 << 20]));
            store.commit(&[change]).unwrap();
        };
        (0..5).for_each(|byte| commit(&mut store, byte));
        drop(store);
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), [("a".to_owned(), vec![4; 1 << 20])]);
        std::fs::remove_dir(fresh).unwrap();
        (5..9).for_each(|byte| commit(&mut store, byte));
        assert!(path.metadata().unwrap().len() < 5 << 20);
    }

    #[test]
    fn half_a_commit_is_cut_off_though_there_is_room_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        let fact = |key: &str| (key.to_owned(), b"1".to_vec());
        let change = |key: &str| (key.to_owned(), Some(b"1".to_vec()));
        let mut store = Store::open(&path).unwrap();
        store.commit(&[change("a")]).unwrap();
        store.commit(&[change("b")]).unwrap();
        drop(store);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 3).unwrap();
        without_room(&path);
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), [fact("a")]);
        store.commit(&[change("c")]).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert!(store.damage().is_none());
        assert_eq!(store.load().unwrap(), [fact("a"), fact("c")]);
    }

    #[test]
    fn what_is_written_is_there_for_the_next_process_in_the_order_of_all_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        let mut store = Store::open(&path).unwrap();
        let change = |value: &[u8]| ("a".to_owned(), Some(value.to_vec()));
        store.commit(&[change(b"1")]).unwrap();
        store.write(&[change(b"2")]).unwrap();
        drop(store);
        let mut store = Store::open(&path).unwrap();
        assert!(store.damage().is_none());
        assert_eq!(store.load().unwrap(), [("a".to_owned(), b"2".to_vec())]);
        store.write(&[change(b"3")]).unwrap();
        store.commit(&[change(b"4")]).unwrap();
        assert_eq!(store.load().unwrap(), [("a".to_owned(), b"4".to_vec())]);
    }

    #[test]
    fn room_is_taken_before_it_is_needed_and_by_the_next_file_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        let mut store = Store::open(&path).unwrap();
        let has_room_on_disk = |beyond: u64| {
            let found = path.metadata().unwrap();
            std::os::unix::fs::MetadataExt::blocks(&found) * 512 >= found.len() + beyond
        };
        assert!(store.has_room());
        if !has_room_on_disk(limits::ROOM) {
            return; // This file system takes none.
        }
        let change = |byte| ("a".to_owned(), Some(vec![byte; 1 << 20]));
        for byte in 0..20 {
            store.commit(&[change(byte)]).unwrap();
            assert!(store.has_room());
            assert!(has_room_on_disk(limits::LITTLE_ROOM), "after {byte}");
        }
        assert!(
            path.metadata().unwrap().len() < 8 << 20,
            "it was written anew"
        );
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), [("a".to_owned(), vec![19; 1 << 20])]);
    }

    #[test]
    fn the_lock_of_a_process_that_ends_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        let held = Store::open(&path).unwrap();
        std::thread::scope(|scope| {
            let next = scope.spawn(|| Store::open(&path));
            drop(held);
            next.join().unwrap().unwrap();
        });
    }
}
