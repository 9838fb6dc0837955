//! Paths in places that belong to tasks: what a task has put in the way is not followed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

/// How a folder is opened that may have become a link.
const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

/// Opens a folder that is no link, by its name in another.
pub(crate) fn open(at: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, name, FOLDER, Mode::empty())
}

/// Opens a folder on the way to which there is no link. Sandboxes are named by their real paths, so
/// that any link is one that somebody has put there since.
pub(crate) fn open_path(path: &Path) -> Result<OwnedFd, Errno> {
    open_at_once(path, FOLDER, Mode::empty()).unwrap_or_else(|| walk_to(path))
}

/// Opens, or makes, a file on the way to which there is no link.
pub(crate) fn open_file(path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open_at_once(path, flags, mode).unwrap_or_else(|| {
        let folder = walk_to(path.parent().unwrap_or(Path::new("")))?;
        rustix::fs::openat(folder, path.file_name().unwrap_or_default(), flags, mode)
    })
}

/// Has the kernel refuse links; `None` if it cannot, or whoever bounds this process keeps it from it.
fn open_at_once(path: &Path, flags: OFlags, mode: Mode) -> Option<Result<OwnedFd, Errno>> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Some(Err(Errno::INVAL));
    }
    // The folder that one is in has no name.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    match openat2(CWD, path, flags, mode, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS | Errno::PERM) => None,
        opened => Some(opened),
    }
}

fn walk_to(path: &Path) -> Result<OwnedFd, Errno> {
    let start = if path.is_absolute() { "/" } else { "." };
    let start = open(CWD, OsStr::new(start))?;
    descend(start, path)
}

/// Goes down from a folder without following links, or leaving it.
pub(crate) fn descend(start: OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mut folder = start;
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => folder = open(&folder, name)?,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        }
    }
    Ok(folder)
}

/// Goes down from a folder like [`descend`], and makes the folders that are not there, for the owner
/// of the one they are in.
pub(crate) fn descend_making(start: OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mut folder = start;
    for part in path.components() {
        let name = match part {
            Component::CurDir => continue,
            Component::Normal(name) => name,
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return Err(Errno::INVAL);
            }
        };
        match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let around = fstat(&folder)?;
                let made = open(&folder, name)?;
                let owner = (Uid::from_raw(around.st_uid), Gid::from_raw(around.st_gid));
                rustix::fs::fchown(&made, Some(owner.0), Some(owner.1))?;
                folder = made;
            }
            Err(Errno::EXIST) => folder = open(&folder, name)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_on_the_way_are_not_followed_and_the_way_never_leads_up() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("in/side")).unwrap();
        symlink("/etc", home.path().join("in/link")).unwrap();
        let start = || open_path(home.path()).unwrap();
        assert!(descend(start(), Path::new("in/side")).is_ok());
        for refused in ["in/link", "in/link/ssl", "in/side/../..", "/etc"] {
            assert!(descend(start(), Path::new(refused)).is_err(), "{refused}");
            let made = descend_making(start(), Path::new(refused));
            assert!(made.is_err(), "{refused}");
        }
        for open in [open_path, walk_to] {
            assert!(open(&home.path().join("in/side")).is_ok());
            for refused in ["in/link", "in/link/ssl", "in/side/.."] {
                assert!(open(&home.path().join(refused)).is_err(), "{refused}");
            }
        }
        let make = |name: &str| {
            let flags = OFlags::WRONLY | OFlags::CREATE;
            open_file(&home.path().join(name), flags, Mode::from_raw_mode(0o600))
        };
        assert!(make("in/side/file").is_ok());
        symlink("side/file", home.path().join("in/other")).unwrap();
        for refused in ["in/other", "in/link/passwd", "in/none/file", "in/side"] {
            assert!(make(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_is_missing_is_made_below_and_nowhere_else() {
        let home = tempfile::tempdir().unwrap();
        let start = open_path(home.path()).unwrap();
        descend_making(start, Path::new("a/b/c")).unwrap();
        assert!(home.path().join("a/b/c").is_dir());
    }
}
