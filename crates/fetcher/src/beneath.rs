//! Writing below a folder and nowhere else.
//!
//! A path is walked from the folder's descriptor, one name at a time and never through a link, so
//! that neither what a path says nor what anybody puts in its way meanwhile leads out.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::limits::MAX_DEPTH;

/// A folder that nothing is written outside of.
#[derive(Debug)]
pub(crate) struct Folder {
    root: OwnedFd,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// Makes a file anew, to be written and read. What had its name is gone: an older file may have
    /// other names, too.
    pub(crate) fn create(&self, path: &Path) -> Result<File> {
        let (parent, name) = self.parent(path)?;
        remove(&parent, name)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
        Ok(file.into())
    }

    /// Opens a file that is there.
    pub(crate) fn open_file(&self, path: &Path) -> Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&parent, name, flags, Mode::empty())?.into())
    }

    /// Makes a folder unless it is there.
    pub(crate) fn make_folder(&self, path: &Path, mode: u32) -> Result<()> {
        let mut folder = self.root.try_clone()?;
        for name in components(path)? {
            folder = enter(&folder, name)?;
        }
        // Its user must be able to fill and to remove it.
        let mode = Mode::from_raw_mode(mode & 0o777 | 0o700);
        // The sandbox itself is not the archive's to open to others.
        if !components(path)?.is_empty() {
            rustix::fs::fchmod(&folder, mode)?;
        }
        Ok(())
    }

    /// Makes a symbolic link that leads to somewhere in the folder.
    pub(crate) fn symlink(&self, target: &Path, path: &Path) -> Result<()> {
        if leads_out(target, path)? {
            let target = target.display();
            return Err(refused(format!(
                "the link leads out of the sandbox, to '{target}'"
            )));
        }
        let (parent, name) = self.parent(path)?;
        remove(&parent, name)?;
        Ok(rustix::fs::symlinkat(target, &parent, name)?)
    }

    /// Gives a file a second name.
    pub(crate) fn hard_link(&self, existing: &Path, path: &Path) -> Result<()> {
        let (from, old) = self.parent(existing)?;
        let found = rustix::fs::statat(&from, old, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            let existing = existing.display();
            return Err(refused(format!(
                "'{existing}', which it links to, is no file"
            )));
        }
        let (parent, name) = self.parent(path)?;
        if path == existing {
            return Ok(());
        }
        remove(&parent, name)?;
        Ok(rustix::fs::linkat(
            &from,
            old,
            &parent,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Moves a file to another name, in place of what had it.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (source, old) = self.parent(from)?;
        let (parent, name) = self.parent(to)?;
        Ok(rustix::fs::renameat(&source, old, &parent, name)?)
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        remove(&parent, name)
    }

    /// The folder that a path's last name is in, made if need be, and that name.
    fn parent<'a>(&self, path: &'a Path) -> Result<(OwnedFd, &'a OsStr)> {
        let names = components(path)?;
        let Some((name, above)) = names.split_last() else {
            return Err(refused("the path names no file".into()));
        };
        let mut folder = self.root.try_clone()?;
        for name in above {
            folder = enter(&folder, name)?;
        }
        Ok((folder, name))
    }
}

/// Gives a file its mode, without what would make its user another one, and its time.
pub(crate) fn finish(file: &File, mode: u32, modified: Option<u64>) -> Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode & 0o777))?;
    if let Some(seconds) = modified.and_then(|seconds| i64::try_from(seconds).ok()) {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        // Some file systems keep no such time. The content is what matters.
        let _ = rustix::fs::futimens(file, &times);
    }
    Ok(())
}

/// The names in a relative path that stays below where it starts.
pub(crate) fn components(path: &Path) -> Result<Vec<&OsStr>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(refused("the path leads out of the sandbox".into()));
            }
        }
    }
    if names.len() > MAX_DEPTH {
        return Err(refused(format!("the path has more than {MAX_DEPTH} parts")));
    }
    Ok(names)
}

/// Whether a link at a path would lead out, as far as the words of its target say.
fn leads_out(target: &Path, path: &Path) -> Result<bool> {
    let mut depth = components(path)?.len().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Ok(true),
        }
    }
    Ok(false)
}

fn enter(folder: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(folder) => Ok(folder),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let name = name.display();
            Err(refused(format!("'{name}' in its path is a link or a file")))
        }
        Err(errno) => Err(errno.into()),
    }
}

fn remove(folder: &OwnedFd, name: &OsStr) -> Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// What is refused for where it would lead.
pub(crate) fn refused(sentence: String) -> Error {
    Error::new(ErrorKind::InvalidData, sentence)
}
