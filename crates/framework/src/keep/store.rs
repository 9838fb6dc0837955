//! Where a keeper remembers what it keeps.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Remembers values by key. What [`Store::save`] has returned for survives whatever the store is
/// made to survive; nothing is promised to the master or to tasks before that.
pub trait Store: Send + 'static {
    /// Everything that was saved, in any order.
    fn load(&mut self) -> io::Result<Vec<(String, Vec<u8>)>>;

    /// Replaces the value of a key, or forgets it if there is none.
    fn save(&mut self, key: &str, value: Option<&[u8]>) -> io::Result<()>;

    /// Saves several, in their order. Stores that can do so in one go save time here; nothing relies
    /// on it that all or none are saved.
    fn save_all(&mut self, changes: &[Change]) -> io::Result<()> {
        changes
            .iter()
            .try_for_each(|(key, value)| self.save(key, value.as_deref()))
    }
}

/// A key with its new value, or without one to forget it.
pub type Change = (String, Option<Vec<u8>>);

/// Remembers for as long as the process lives.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(BTreeMap<String, Vec<u8>>);

impl Store for MemoryStore {
    fn load(&mut self) -> io::Result<Vec<(String, Vec<u8>)>> {
        Ok(self.0.clone().into_iter().collect())
    }

    fn save(&mut self, key: &str, value: Option<&[u8]>) -> io::Result<()> {
        match value {
            Some(value) => self.0.insert(key.to_owned(), value.to_vec()),
            None => self.0.remove(key),
        };
        Ok(())
    }
}

/// Remembers in a folder, one file for each key: a line with a checksum, and the value, which people
/// can read. A crash at any moment leaves the old value or the new one, and a value that the disk has
/// changed is refused.
#[derive(Debug)]
pub struct FileStore(PathBuf);

/// What a file is called until it is whole.
const UNFINISHED: &str = "unfinished";

impl FileStore {
    /// Keeps files in a folder of its own, which is made if it is not there.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Store for FileStore {
    fn load(&mut self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut values = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(key) = name.to_str().and_then(key_of) {
                let bytes = fs::read(entry.path())?;
                let value = unseal(&bytes).ok_or_else(|| damaged(&entry.path()))?;
                values.push((key, value.to_vec()));
            }
        }
        Ok(values)
    }

    fn save(&mut self, key: &str, value: Option<&[u8]>) -> io::Result<()> {
        let path = self.0.join(name_of(key));
        if let Some(value) = value {
            let unfinished = self.0.join(UNFINISHED);
            let mut file = File::create(&unfinished)?;
            file.write_all(seal(value).as_bytes())?;
            file.write_all(value)?;
            file.sync_all()?;
            fs::rename(unfinished, path)?;
        } else if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        File::open(&self.0)?.sync_all()
    }
}

/// The line before a value.
fn seal(value: &[u8]) -> String {
    format!("{SEAL}{:08x}\n", crc32fast::hash(value))
}

const SEAL: &str = "crc32 ";

/// The value behind its line, if it is what was written.
fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, value) = bytes.split_at_checked(end + 1)?;
    (line == seal(value).as_bytes()).then_some(value)
}

fn damaged(path: &Path) -> io::Error {
    let sentence = format!(
        "'{}' is damaged: restore it from a copy, or remove it and declare its task again",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, sentence)
}

/// Remembers in one file, a log whose every record has a checksum and which only one keeper has open:
/// the store for many tasks, since what is launched together costs one write and one sync.
///
/// It is Meseta's own ([`meseta_store`]), and no database, for the reason that is given there: those
/// that do not check what they read take a changed bit for the truth.
#[derive(Debug)]
pub struct LogStore(meseta_store::Store);

impl LogStore {
    /// Opens the file, making it and the folders above it if need be.
    ///
    /// # Errors
    /// When it cannot be read or written, when another process has it open, and when it is damaged:
    /// half a memory would lose tasks without a word.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let opened = meseta_store::Store::open_with(path.as_ref(), meseta_store::OnDamage::Refuse);
        opened.map(Self).map_err(io::Error::other)
    }
}

impl Store for LogStore {
    fn load(&mut self) -> io::Result<Vec<(String, Vec<u8>)>> {
        self.0.load().map_err(io::Error::other)
    }

    fn save(&mut self, key: &str, value: Option<&[u8]>) -> io::Result<()> {
        self.save_all(&[(key.to_owned(), value.map(<[u8]>::to_vec))])
    }

    fn save_all(&mut self, changes: &[Change]) -> io::Result<()> {
        self.0.commit(changes).map_err(io::Error::other)
    }
}

/// A file's name: the key, in which everything but letters, digits and hyphens is written as `_`
/// and the two hexadecimal digits of each byte.
fn name_of(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + ENDING.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            name.extend(['_', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    name + ENDING
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

const ENDING: &str = ".json";

fn key_of(name: &str) -> Option<String> {
    let mut parts = name.strip_suffix(ENDING)?.split('_');
    let mut key = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (byte, rest) = part.split_at_checked(2)?;
        key.push(u8::from_str_radix(byte, 16).ok()?);
        key.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_remembers_what_was_saved_last_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let open = || FileStore::open(folder.path()).unwrap();
        let mut store = open();
        for key in ["framework", "task/ä_b.c", "task/.."] {
            store.save(key, Some(b"old")).unwrap();
            store.save(key, Some(key.as_bytes())).unwrap();
        }
        store.save("task/..", None).unwrap();
        store.save("never there", None).unwrap();
        // As a crash in the middle of a save leaves it.
        fs::write(folder.path().join(UNFINISHED), "half").unwrap();
        let mut loaded = open().load().unwrap();
        loaded.sort();
        let expected = ["framework", "task/ä_b.c"].map(|k| (k.to_owned(), k.as_bytes().to_vec()));
        assert_eq!(loaded, expected);
    }

    #[test]
    fn a_changed_bit_is_no_truth() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        store.save("framework", Some(b"\"f\"")).unwrap();
        let path = folder.path().join("framework.json");
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let error = store.load().unwrap_err().to_string();
            assert!(error.contains("framework.json' is damaged"), "{error}");
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(store.load().unwrap().len(), 1);
    }

    #[test]
    fn a_log_remembers_and_belongs_to_one_keeper_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper");
        let mut store = LogStore::open(&path).unwrap();
        let changes = [
            ("a".to_owned(), Some(b"1".to_vec())),
            ("b".to_owned(), Some(b"2".to_vec())),
            ("a".to_owned(), None),
        ];
        store.save_all(&changes).unwrap();
        let error = LogStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("is used by another process"), "{error}");
        drop(store);
        let mut store = LogStore::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), [("b".to_owned(), b"2".to_vec())]);
        drop(store);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = LogStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
    }
}
