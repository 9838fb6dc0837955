//! Containers inside of others: their sandboxes lie in those of their parents, where the parents'
//! processes may be at work at the same time.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::beneath::{descend_making, open, open_path};
use crate::user::Identity;
use crate::volumes::{VolumeError, put_link};

/// The folder of a container's nested ones. As in Mesos.
const CONTAINERS: &str = "containers";

/// Private data of a task, as that of other containers.
const DIRECTORY_MODE: u32 = 0o750;

/// What a task prints, readable for whoever reaches it.
const OUTPUT_MODE: u32 = 0o644;

/// Where the sandbox of a nested container lies.
pub fn nested_sandbox(parent: &Path, id: &str) -> PathBuf {
    parent.join(CONTAINERS).join(id)
}

/// Why a nested container has no sandbox.
#[derive(Debug, thiserror::Error)]
#[error("Failed to create nested sandbox '{directory}': {source}", directory = .directory.display())]
pub struct NestedSandboxError {
    /// The sandbox.
    pub directory: PathBuf,
    /// The reason.
    pub source: std::io::Error,
}

/// Makes the sandbox of a nested container with its files for output. One that is there, of an
/// earlier container of that id, is used again.
pub fn prepare_nested_sandbox(
    directory: &Path,
    outputs: [&OsStr; 2],
    user: Option<&str>,
) -> Result<(), NestedSandboxError> {
    make(directory, outputs, user).map_err(|source| NestedSandboxError {
        directory: directory.to_owned(),
        source,
    })
}

fn make(directory: &Path, outputs: [&OsStr; 2], user: Option<&str>) -> std::io::Result<()> {
    let owner = user
        .map(Identity::of)
        .transpose()
        .map_err(std::io::Error::other)?;
    let owner = owner.map_or((None, None), |owner| (Some(owner.uid), Some(owner.gid)));
    let (folder, name) = open_around(directory)?;
    match rustix::fs::mkdirat(&folder, &name, Mode::from_raw_mode(DIRECTORY_MODE)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let sandbox = open(&folder, &name)?;
    // The umask has had its say in the creation.
    rustix::fs::fchmod(&sandbox, Mode::from_raw_mode(DIRECTORY_MODE))?;
    // The files come first: once the folder is the user's, so is what lies in it.
    for output in outputs {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(OUTPUT_MODE);
        let file = match rustix::fs::openat(&sandbox, output, flags, mode) {
            Ok(file) => File::from(file),
            Err(Errno::EXIST) => continue,
            Err(errno) => return Err(errno.into()),
        };
        file.set_permissions(Permissions::from_mode(OUTPUT_MODE))?;
        rustix::fs::fchown(&file, owner.0, owner.1)?;
    }
    Ok(rustix::fs::fchown(&sandbox, owner.0, owner.1)?)
}

/// Opens the folder around a nested sandbox, made if it is not there.
fn open_around(directory: &Path) -> std::io::Result<(OwnedFd, OsString)> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let name = directory.file_name().ok_or_else(invalid)?;
    let around = directory.parent().ok_or_else(invalid)?;
    let parent = open_path(around.parent().ok_or_else(invalid)?)?;
    let around = around.file_name().ok_or_else(invalid)?;
    match rustix::fs::mkdirat(&parent, around, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok((open(&parent, around)?, name.to_owned()))
}

/// Moves the sandbox of a nested container to a path of the caller's, out of everybody's way. False
/// if there is none.
pub fn set_nested_sandbox_aside(directory: &Path, aside: &Path) -> std::io::Result<bool> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let name = directory.file_name().ok_or_else(invalid)?;
    let around = match open_path(directory.parent().ok_or_else(invalid)?) {
        Ok(around) => around,
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    match rustix::fs::renameat(&around, name, CWD, aside) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// A folder of one container in the sandbox of another.
#[derive(Debug, Clone, Copy)]
pub struct SharedFolder<'a> {
    /// What the folder is in: a sandbox, or a volume.
    pub root: &'a Path,
    /// The folder, relative to that. It is made if it is not there.
    pub path: &'a Path,
    /// The name of the link to it, relative to the sandbox. Folders on the way are made.
    pub name: &'a Path,
}

/// Puts a folder of one container into the sandbox of another. No link on the way to it is followed:
/// it never leads out of what it is in.
pub fn link_shared_folder(
    sandbox: &Path,
    shared: &SharedFolder<'_>,
    user: Option<&str>,
) -> Result<(), VolumeError> {
    let folder = shared.root.join(shared.path);
    open_path(shared.root)
        .and_then(|root| match shared.path.parent() {
            // A file may be shared as well, if it is there.
            Some(around) if is_file(&folder) => descend_making(root, around),
            _ => descend_making(root, shared.path),
        })
        .map_err(|errno| VolumeError::Share {
            path: folder.clone(),
            source: errno.into(),
        })?;
    put_link(sandbox, &folder, shared.name, user)
}

fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    const OUTPUTS: [&str; 2] = ["stdout", "stderr"];

    fn prepare(directory: &Path, user: Option<&str>) -> Result<(), NestedSandboxError> {
        prepare_nested_sandbox(directory, OUTPUTS.map(OsStr::new), user)
    }

    fn parent() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let parent = home.path().canonicalize().unwrap().join("run");
        std::fs::create_dir(&parent).unwrap();
        (home, parent)
    }

    #[test]
    fn a_nested_sandbox_lies_in_its_parents_however_deep() {
        let (_home, parent) = parent();
        let child = nested_sandbox(&parent, "child");
        prepare(&child, None).unwrap();
        let grandchild = nested_sandbox(&child, "grandchild");
        prepare(&grandchild, None).unwrap();
        assert_eq!(
            grandchild,
            parent.join("containers/child/containers/grandchild")
        );
        assert_eq!(grandchild.metadata().unwrap().mode() & 0o7777, 0o750);
        for name in OUTPUTS {
            let file = grandchild.join(name).metadata().unwrap();
            assert_eq!((file.mode() & 0o7777, file.len()), (0o644, 0));
        }
    }

    #[test]
    fn a_sandbox_of_the_same_id_is_used_again() {
        let (_home, parent) = parent();
        let child = nested_sandbox(&parent, "child");
        prepare(&child, None).unwrap();
        std::fs::write(child.join("stdout"), "precious").unwrap();
        prepare(&child, None).unwrap();
        assert_eq!(
            std::fs::read_to_string(child.join("stdout")).unwrap(),
            "precious"
        );
    }

    #[test]
    fn a_parent_cannot_have_sandboxes_made_or_moved_elsewhere() {
        let (home, parent) = parent();
        let elsewhere = home.path().join("elsewhere");
        std::fs::create_dir_all(elsewhere.join("victim")).unwrap();
        symlink(&elsewhere, parent.join("containers")).unwrap();
        let error = prepare(&nested_sandbox(&parent, "child"), None).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("Failed to create nested sandbox '"),
            "{error}"
        );
        assert!(!elsewhere.join("child").exists());
        let victim = nested_sandbox(&parent, "victim");
        set_nested_sandbox_aside(&victim, &home.path().join("aside")).unwrap_err();
        assert!(elsewhere.join("victim").is_dir());
    }

    #[test]
    fn a_sandbox_that_is_set_aside_is_gone_from_its_place_and_may_be_made_anew() {
        let (home, parent) = parent();
        let child = nested_sandbox(&parent, "child");
        let aside = home.path().join("aside");
        assert!(!set_nested_sandbox_aside(&child, &aside).unwrap());
        prepare(&child, None).unwrap();
        assert!(set_nested_sandbox_aside(&child, &aside).unwrap());
        assert!(aside.join("stdout").exists());
        prepare(&child, None).unwrap();
    }

    #[test]
    fn two_containers_share_a_folder_of_their_parent() {
        let (_home, parent) = parent();
        let shared = |name| SharedFolder {
            root: &parent,
            path: Path::new("shared/deep"),
            name: Path::new(name),
        };
        for (id, name) in [("one", "data"), ("two", "on/the/way")] {
            let child = nested_sandbox(&parent, id);
            prepare(&child, None).unwrap();
            link_shared_folder(&child, &shared(name), None).unwrap();
        }
        std::fs::write(parent.join("containers/one/data/file"), "seen").unwrap();
        let seen = parent.join("containers/two/on/the/way/file");
        assert_eq!(std::fs::read_to_string(seen).unwrap(), "seen");
    }

    #[test]
    fn what_is_shared_never_leaves_the_parents_sandbox() {
        let (home, parent) = parent();
        symlink(home.path(), parent.join("out")).unwrap();
        let child = nested_sandbox(&parent, "child");
        prepare(&child, None).unwrap();
        for path in ["out", "out/made", "../made", "a/../../made"] {
            let shared = SharedFolder {
                root: &parent,
                path: Path::new(path),
                name: Path::new("data"),
            };
            assert!(link_shared_folder(&child, &shared, None).is_err(), "{path}");
        }
        assert!(!home.path().join("made").exists());
        assert!(child.join("data").symlink_metadata().is_err());
    }
}
