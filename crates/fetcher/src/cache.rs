//! What many fetches ask for is downloaded once, and kept as long as there is room.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a copy is kept under. Users do not share copies: what one may read, others may not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who fetches; `None` for the agent's own user.
    pub user: Option<String>,
    /// The URI, as it was asked for.
    pub uri: String,
}

/// A store of files, bounded in size. The least recently used go first, never those in use.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    capacity: u64,
    state: Mutex<State>,
    /// A download has ended, or a waiting fetch was cancelled.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Of complete entries, those that only their users still hold on to included.
    used: u64,
    /// Orders uses, and names files.
    clock: u64,
}

#[derive(Debug)]
enum Entry {
    /// Somebody downloads it.
    Filling {
        /// Whether that has failed, for those who wait.
        failed: Arc<AtomicBool>,
    },
    Complete {
        path: PathBuf,
        size: u64,
        users: usize,
        last_used: u64,
    },
}

/// Whether a fetch is no longer wanted.
#[derive(Debug, Clone, Default)]
pub struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Says so. [`Cache::wake`] lets it be noticed.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was said.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a fetch finds in the cache.
#[derive(Debug)]
pub enum Claim {
    /// There is a copy.
    Ready(Use),
    /// There is none: whoever gets this is to download it.
    Fill(Filling),
    /// Another fetch's download has failed.
    Failed,
    /// The fetch was cancelled while it waited.
    Cancelled,
}

/// A copy that stays as long as this lives.
#[derive(Debug)]
pub struct Use {
    cache: Arc<Cache>,
    key: Key,
    path: PathBuf,
}

/// The duty to download something. Dropped before its end, the next one who waits takes it over.
#[derive(Debug)]
pub struct Filling {
    cache: Arc<Cache>,
    key: Key,
    file: String,
    failed: Arc<AtomicBool>,
    ended: bool,
}

impl Cache {
    /// A cache with nothing in it yet, whose files go below a directory. Users have directories of
    /// their own there, which are the caller's to make.
    pub fn new(directory: PathBuf, capacity: u64) -> Arc<Self> {
        Arc::new(Self {
            directory,
            capacity,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// The size that no file and no sum of what is kept exceeds.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The bytes of what is kept now.
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// Where the files of a user go.
    pub fn directory(&self, user: Option<&str>) -> PathBuf {
        match user {
            // Not a name of a user, so that nobody's files mix with the agent's own.
            None => self.directory.join(".agent"),
            Some(user) => self.directory.join(user.replace('/', "_")),
        }
    }

    /// Looks for a copy, waiting for the end of a download by another fetch.
    pub fn claim(self: &Arc<Self>, key: &Key, cancelled: &Cancelled) -> Claim {
        let mut state = self.state();
        let mut awaited: Option<Arc<AtomicBool>> = None;
        loop {
            if awaited.is_some_and(|failed| failed.load(Ordering::SeqCst)) {
                return Claim::Failed;
            }
            let now = state.tick();
            match state.entries.get_mut(key) {
                Some(Entry::Complete {
                    path,
                    users,
                    last_used,
                    ..
                }) => {
                    *users += 1;
                    *last_used = now;
                    let path = path.clone();
                    return Claim::Ready(self.lend(key, path));
                }
                _ if cancelled.is_cancelled() => return Claim::Cancelled,
                Some(Entry::Filling { failed }) => awaited = Some(Arc::clone(failed)),
                None => return Claim::Fill(self.begin_filling(&mut state, key)),
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn begin_filling(self: &Arc<Self>, state: &mut State, key: &Key) -> Filling {
        let failed = Arc::new(AtomicBool::new(false));
        let entry = Entry::Filling {
            failed: Arc::clone(&failed),
        };
        state.entries.insert(key.clone(), entry);
        Filling {
            cache: Arc::clone(self),
            key: key.clone(),
            // No name is used twice, so that what an abandoned download still writes harms nobody.
            file: format!("c{}", state.tick()),
            failed,
            ended: false,
        }
    }

    /// Lets those who wait look whether they were cancelled.
    pub fn wake(&self) {
        // Whoever has looked and not waited yet holds the lock.
        drop(self.state());
        self.changed.notify_all();
    }

    fn lend(self: &Arc<Self>, key: &Key, path: PathBuf) -> Use {
        Use {
            cache: Arc::clone(self),
            key: key.clone(),
            path,
        }
    }

    fn release(&self, key: &Key) {
        let mut state = self.state();
        if let Some(Entry::Complete { users, .. }) = state.entries.get_mut(key) {
            *users -= 1;
        }
        self.make_room(&mut state);
    }

    /// Removes what was not used for longest until the rest has room.
    fn make_room(&self, state: &mut State) {
        while state.used > self.capacity {
            let idle = state.entries.iter().filter_map(|(key, entry)| match entry {
                Entry::Complete {
                    users: 0,
                    last_used,
                    ..
                } => Some((*last_used, key)),
                _ => None,
            });
            let Some(key) = idle
                .min_by_key(|(used, _)| *used)
                .map(|(_, key)| key.clone())
            else {
                return;
            };
            if let Some(Entry::Complete { path, size, .. }) = state.entries.remove(&key) {
                state.used -= size;
                // One that can't be removed is removed with the whole directory at the next start.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// What is done under the lock is whole between any two statements.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl Use {
    /// The copy.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.cache.release(&self.key);
    }
}

impl Filling {
    /// The directory to put the file in.
    pub fn directory(&self) -> PathBuf {
        self.cache.directory(self.key.user.as_deref())
    }

    /// The name to give the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The file is there, in this size.
    pub fn complete(mut self, size: u64) -> Use {
        self.ended = true;
        let path = self.directory().join(&self.file);
        let mut state = self.cache.state();
        let last_used = state.tick();
        let entry = Entry::Complete {
            path: path.clone(),
            size,
            users: 1,
            last_used,
        };
        state.entries.insert(self.key.clone(), entry);
        state.used += size;
        self.cache.make_room(&mut state);
        drop(state);
        self.cache.changed.notify_all();
        self.cache.lend(&self.key, path)
    }

    /// It can't be downloaded. Those who wait for it are told; later ones try again.
    pub fn fail(self) {
        self.failed.store(true, Ordering::SeqCst);
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.cache.state().entries.remove(&self.key);
        let _ = std::fs::remove_file(self.directory().join(&self.file));
        self.cache.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
