//! An embedded store of facts: what a daemon must still know after its process, or its machine,
//! has died.
//!
//! A fact is a key and bytes. [`Store::commit`] returns when all of its changes, or none, are on
//! disk; a caller that has gathered the changes of many promises pays for one sync.
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

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// A change of one fact: its key and its new bytes, or `None` to forget it.
pub type Change = (String, Option<Vec<u8>>);

/// A fact and its bytes.
pub type Fact = (String, Vec<u8>);

const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");

/// The store reads everything once, at start; after that a small cache serves the writes.
const CACHE_BYTES: usize = 1024 * 1024;

/// How long the lock of a process that is about to end is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Between two attempts to get it.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses the store.
    #[error("the store '{path}' is used by another process", path = path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file cannot be opened: it is damaged, or access is denied.
    #[error("failed to open the store '{path}': {source}", path = path.display())]
    Open {
        /// The store's file.
        path: PathBuf,
        /// The reason.
        source: Box<redb::Error>,
    },
    /// A read or a commit failed, for lack of space for example.
    #[error("failed to {attempt} the store '{path}': {source}", path = path.display())]
    Access {
        /// What was tried: `read` or `write`.
        attempt: &'static str,
        /// The store's file.
        path: PathBuf,
        /// The reason.
        source: Box<redb::Error>,
    },
}

/// The facts of one daemon, in one file that only it has open.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Database,
}

impl Store {
    /// Opens the store at `path`, making it and the folders above it if need be.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let open = || -> Result<Database, redb::Error> {
            if let Some(parent) = path.parent() {
                make_private(parent)?;
            }
            // Facts hold what users gave their tasks, secrets among it.
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            let database = lock_and_open(&file)?;
            let setup = database.begin_write()?;
            setup.open_table(FACTS)?;
            setup.commit()?;
            Ok(database)
        };
        let path_of = || path.to_owned();
        let database = open().map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => Error::InUse { path: path_of() },
            error => Error::Open {
                path: path_of(),
                source: Box::new(error),
            },
        })?;
        Ok(Self {
            path: path.to_owned(),
            database,
        })
    }

    /// Every fact, in the order of the keys.
    pub fn load(&self) -> Result<Vec<Fact>, Error> {
        let load = || -> Result<Vec<Fact>, redb::Error> {
            let read = self.database.begin_read()?;
            let table = read.open_table(FACTS)?;
            let mut facts = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                facts.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(facts)
        };
        load().map_err(|e| self.failed("read", e))
    }

    /// Makes the changes, in order, durable as one: after a crash either all of them are there or
    /// none is.
    pub fn commit<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), Error> {
        let commit = || -> Result<(), redb::Error> {
            let write = self.database.begin_write()?;
            {
                let mut table = write.open_table(FACTS)?;
                for (key, value) in changes {
                    match value {
                        Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                        None => drop(table.remove(key.as_str())?),
                    }
                }
            }
            write.commit()?;
            Ok(())
        };
        commit().map_err(|e| self.failed("write", e))
    }

    fn failed(&self, attempt: &'static str, source: redb::Error) -> Error {
        Error::Access {
            attempt,
            path: self.path.clone(),
            source: Box::new(source),
        }
    }
}

/// Makes a folder that is closed to others, below folders that are not: there may be more in them.
fn make_private(folder: &Path) -> std::io::Result<()> {
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Opens the store in a file when no other process has it open any more. The lock of a process that
/// was killed while it started another is held by that one for a moment.
fn lock_and_open(file: &File) -> Result<Database, redb::Error> {
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        let opened = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_file(file.try_clone()?);
        match opened {
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < give_up => {
                std::thread::sleep(LOCK_RETRY);
            }
            opened => return Ok(opened?),
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_damaged_file_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        std::fs::write(&path, vec![7u8; 65536]).unwrap();
        let refusal = Store::open(&path).unwrap_err().to_string();
        assert!(refusal.contains("facts"), "{refusal}");
    }
}
