//! Opening what lies below a folder that a task may change at any moment.
//!
//! A path is walked from the folder's descriptor, one name at a time; links are read and followed
//! here, not by the kernel. So there is no moment between the check of a path and its use. (The
//! kernel's own `RESOLVE_BENEATH` refuses every absolute link, also one that leads back inside, and
//! old kernels lack it.)

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Links that a path may lead through, as in Linux.
const MAX_LINKS: usize = 40;

/// Reads without waiting: tasks put whatever they want into their sandboxes, and the other end of a
/// pipe may never come.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Enters a folder, whether or not it may be listed.
const ENTER: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a file or a folder below `root`, which is a real path that no task can change. Links may
/// lead anywhere below it and below the folders `beside` it, and nowhere else.
pub(super) fn open(root: &Path, path: &Path, beside: &Beside<'_>) -> Result<File> {
    Walk {
        root,
        beside,
        way: vec![rustix::fs::open(root, ENTER, Mode::empty())?],
        ahead: VecDeque::new(),
        links: 0,
    }
    .to(path)
}

/// Other folders that links may lead to, by paths that no task can change either.
pub(super) type Beside<'a> = dyn Fn() -> Vec<PathBuf> + 'a;

struct Walk<'a> {
    root: &'a Path,
    beside: &'a Beside<'a>,
    /// The folders that lead to where the walk is, from the root or a folder beside it; never empty.
    way: Vec<OwnedFd>,
    ahead: VecDeque<OsString>,
    links: usize,
}

impl Walk<'_> {
    fn to(mut self, path: &Path) -> Result<File> {
        self.put_ahead(path)?;
        while let Some(name) = self.ahead.pop_front() {
            if name == ".." {
                self.up()?;
                continue;
            }
            let is_last = self.ahead.is_empty();
            let flags = if is_last { READ } else { ENTER };
            match rustix::fs::openat(self.here()?, &name, flags, Mode::empty()) {
                Ok(file) if is_last => return Ok(file.into()),
                Ok(folder) => self.way.push(folder),
                Err(Errno::LOOP | Errno::NOTDIR) => self.follow(&name)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        let here = rustix::fs::openat(self.here()?, ".", READ, Mode::empty())?;
        Ok(here.into())
    }

    /// Goes where a link leads. What is no link after all leads nowhere.
    fn follow(&mut self, name: &OsStr) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = rustix::fs::readlinkat(self.here()?, name, Vec::new());
        let target = target.map_err(|_| Error::from(ErrorKind::NotFound))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            return self.begin_again(&target);
        }
        self.put_ahead(&target)
    }

    /// Goes where an absolute link leads.
    fn begin_again(&mut self, target: &Path) -> Result<()> {
        if let Ok(inside) = target.strip_prefix(self.root) {
            self.way = vec![rustix::fs::open(self.root, ENTER, Mode::empty())?];
            return self.put_ahead(inside);
        }
        for root in (self.beside)() {
            if let Ok(inside) = target.strip_prefix(&root) {
                self.way = vec![rustix::fs::open(&root, ENTER, Mode::empty())?];
                return self.put_ahead(inside);
            }
        }
        Err(leads_out())
    }

    fn put_ahead(&mut self, path: &Path) -> Result<()> {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.ahead.push_front(name.to_owned()),
                Component::ParentDir => self.ahead.push_front("..".into()),
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return Err(leads_out()),
            }
        }
        Ok(())
    }

    fn up(&mut self) -> Result<()> {
        self.way.pop();
        self.here().map(|_| ())
    }

    fn here(&self) -> Result<&OwnedFd> {
        self.way.last().ok_or_else(leads_out)
    }
}

/// Whoever asks learns nothing of what is there.
fn leads_out() -> Error {
    ErrorKind::NotFound.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    use super::*;

    /// A sandbox, and a secret beside it.
    struct Place {
        home: tempfile::TempDir,
        root: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let root = home.path().canonicalize().unwrap().join("sandbox");
            fs::create_dir_all(root.join("folder/inner")).unwrap();
            fs::write(root.join("folder/file"), "ours").unwrap();
            fs::create_dir(home.path().join("outside")).unwrap();
            fs::write(home.path().join("outside/file"), "secret").unwrap();
            Self { home, root }
        }

        fn read(&self, path: &str) -> Result<String> {
            let mut text = String::new();
            open(&self.root, Path::new(path), &Vec::new)?.read_to_string(&mut text)?;
            Ok(text)
        }

        fn link(&self, target: impl AsRef<Path>, name: &str) {
            symlink(target, self.root.join(name)).unwrap();
        }
    }

    #[test]
    fn links_lead_anywhere_inside() {
        let place = Place::new();
        place.link("folder", "relative");
        place.link(place.root.join("folder"), "absolute");
        place.link("../relative/inner/../file", "folder/winding");
        for path in [
            "folder/file",
            "folder/inner/../file",
            "relative/file",
            "absolute/file",
            "folder/winding",
            "./absolute/winding",
        ] {
            assert_eq!(place.read(path).unwrap(), "ours", "{path}");
        }
        assert!(
            open(&place.root, Path::new(""), &Vec::new)
                .unwrap()
                .metadata()
                .unwrap()
                .is_dir()
        );
    }

    #[test]
    fn nothing_leads_out() {
        let place = Place::new();
        place.link("../outside", "relative");
        place.link(place.home.path().join("outside"), "absolute");
        place.link("folder/../../outside/file", "winding");
        place.link(place.root.join("../outside/file"), "feigned");
        place.link("round", "round");
        for path in [
            "../outside/file",
            "/etc/passwd",
            "relative/file",
            "absolute/file",
            "winding",
            "feigned",
            "round",
            "folder/file/..",
            "nothing",
        ] {
            assert!(place.read(path).is_err(), "{path}");
        }
    }

    #[test]
    fn no_exchange_of_a_folder_for_a_link_is_quick_enough() {
        let place = Place::new();
        place.link("../outside", "trap");
        let (folder, trap) = (place.root.join("folder"), place.root.join("trap"));
        let is_over = AtomicBool::new(false);
        let seen: Vec<String> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    renameat_with(CWD, &folder, CWD, &trap, RenameFlags::EXCHANGE).unwrap();
                }
            });
            // Until it was met in both states, and many times more.
            let mut seen = Vec::new();
            let (mut found, mut refused) = (0, 0);
            while found < 2_000 || refused < 2_000 {
                match place.read("folder/file") {
                    Ok(text) => {
                        found += 1;
                        seen.push(text);
                    }
                    Err(_) => refused += 1,
                }
            }
            is_over.store(true, Ordering::Relaxed);
            seen
        });
        assert!(seen.iter().all(|text| text == "ours"));
    }
}
