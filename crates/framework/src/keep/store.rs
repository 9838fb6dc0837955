//! Where a keeper remembers what it keeps.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Remembers values by key. What [`Store::save`] has returned for survives whatever the store is
/// made to survive; nothing is promised to the master or to tasks before that.
pub trait Store: Send + 'static {
    /// Everything that was saved, in any order.
    fn load(&mut self) -> io::Result<Vec<(String, Vec<u8>)>>;

    /// Replaces the value of a key, or forgets it if there is none.
    fn save(&mut self, key: &str, value: Option<&[u8]>) -> io::Result<()>;
}

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

/// Remembers in a folder, one file for each key. A crash at any moment leaves the old value or the
/// new one.
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
                values.push((key, fs::read(entry.path())?));
            }
        }
        Ok(values)
    }

    fn save(&mut self, key: &str, value: Option<&[u8]>) -> io::Result<()> {
        let path = self.0.join(name_of(key));
        if let Some(value) = value {
            let unfinished = self.0.join(UNFINISHED);
            let mut file = File::create(&unfinished)?;
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
}
