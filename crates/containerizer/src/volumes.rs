//! Persistent volumes: folders that outlive the containers which use them.

use std::ffi::CString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode};
use rustix::io::Errno;

use crate::beneath::open;
use crate::user::{Identity, UserError};

/// A volume to be found in a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct VolumeLink<'a> {
    /// The volume's folder.
    pub volume: &'a Path,
    /// The name of the link, relative to the sandbox. Folders on the way are made.
    pub name: &'a Path,
    /// The sandbox's user, if the volume is to become theirs. Root has no need of that.
    pub give_to: Option<&'a str>,
}

/// Why a volume is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// There is no folder.
    #[error("Failed to create the persistent volume at '{path}': {source}", path = .path.display())]
    Create {
        /// The volume.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Something of it is left.
    #[error("Failed to remove the persistent volume at '{path}': {source}", path = .path.display())]
    Remove {
        /// The volume.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// What should be the volume's folder is none.
    #[error("The persistent volume at '{path}' is not there", path = .path.display())]
    Missing {
        /// The volume.
        path: PathBuf,
    },
    /// The user who should get it is not known.
    #[error("Failed to change the ownership of the persistent volume at '{path}': {source}", path = .path.display())]
    User {
        /// The volume.
        path: PathBuf,
        /// The reason.
        source: UserError,
    },
    /// It could not be given to its user.
    #[error("Failed to change the ownership of the persistent volume at '{path}': {source}", path = .path.display())]
    Owner {
        /// The volume.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A folder that is to be shared is not there, and could not be made.
    #[error("Failed to create the directory '{path}' in the sandbox: {source}", path = .path.display())]
    Share {
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The link to a shared folder could not be made.
    #[error("Failed to symlink '{folder}' -> '{link}': {source}",
            folder = .folder.display(), link = .link.display())]
    LinkShared {
        /// The folder.
        folder: PathBuf,
        /// The link.
        link: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The link could not be made.
    #[error("Failed to symlink persistent volume from '{volume}' to '{link}': {source}",
            volume = .volume.display(), link = .link.display())]
    Link {
        /// The volume.
        volume: PathBuf,
        /// The link.
        link: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// Makes the folder of a volume. One that is there stays as it is: it may be a disk, or hold data.
pub fn create_volume(path: &Path) -> Result<(), VolumeError> {
    std::fs::create_dir_all(path).map_err(|source| VolumeError::Create {
        path: path.to_owned(),
        source,
    })
}

/// Removes the folder of a volume with all that is in it. One that is not there is as good as removed.
pub fn remove_volume(path: &Path) -> Result<(), VolumeError> {
    done(std::fs::remove_dir_all(path), path)
}

/// Removes all that is in a folder, such as the root of a disk, which stays.
pub fn empty_volume(path: &Path) -> Result<(), VolumeError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return done(Err(error), path),
    };
    for entry in entries {
        let removed = entry.and_then(|entry| {
            let is_folder = entry.file_type()?.is_dir();
            if is_folder {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            }
        });
        done(removed, path)?;
    }
    Ok(())
}

fn done(removed: std::io::Result<()>, path: &Path) -> Result<(), VolumeError> {
    match removed {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(VolumeError::Remove {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Puts a volume into a sandbox, in place of a link of that name. Its user may be at work there:
/// what lies on the way is not followed out of the sandbox.
pub fn link_volume(sandbox: &Path, link: &VolumeLink<'_>) -> Result<(), VolumeError> {
    let path = || link.volume.to_owned();
    if !link.volume.is_dir() {
        return Err(VolumeError::Missing { path: path() });
    }
    let owner = link
        .give_to
        .map(Identity::of)
        .transpose()
        .map_err(|source| VolumeError::User {
            path: path(),
            source,
        })?
        .filter(|owner| !owner.uid.is_root());
    if let Some(owner) = &owner {
        let (uid, gid) = (Some(owner.uid), Some(owner.gid));
        rustix::fs::chownat(CWD, link.volume, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(
            |errno| VolumeError::Owner {
                path: path(),
                source: errno.into(),
            },
        )?;
    }
    make_link(sandbox, link.volume, link.name, owner.as_ref()).map_err(|errno| VolumeError::Link {
        volume: path(),
        link: sandbox.join(link.name),
        source: errno.into(),
    })
}

/// Puts a link to a folder into a sandbox, in place of a link of that name. What is made on the way
/// is the user's.
pub(crate) fn put_link(
    sandbox: &Path,
    folder: &Path,
    name: &Path,
    user: Option<&str>,
) -> Result<(), VolumeError> {
    let owner = user
        .map(Identity::of)
        .transpose()
        .map_err(|source| VolumeError::User {
            path: folder.to_owned(),
            source,
        })?;
    make_link(sandbox, folder, name, owner.as_ref()).map_err(|errno| VolumeError::LinkShared {
        folder: folder.to_owned(),
        link: sandbox.join(name),
        source: errno.into(),
    })
}

fn make_link(
    sandbox: &Path,
    target: &Path,
    path: &Path,
    owner: Option<&Identity>,
) -> Result<(), Errno> {
    let mut folder = open(CWD, sandbox.as_os_str())?;
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let on_the_way = path.parent().into_iter().flat_map(Path::iter);
    for part in on_the_way {
        match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o750)) {
            Ok(()) => {
                let made = open(&folder, part)?;
                if let Some(owner) = owner {
                    rustix::fs::fchown(&made, Some(owner.uid), Some(owner.gid))?;
                }
                folder = made;
            }
            Err(Errno::EXIST) => folder = open(&folder, part)?,
            Err(errno) => return Err(errno),
        }
    }
    match rustix::fs::symlinkat(target, &folder, name) {
        Err(Errno::EXIST) => {}
        other => return other,
    }
    // Of an earlier task, or of an earlier attempt. What is no link is the user's own.
    let found = rustix::fs::readlinkat(&folder, name, Vec::new()).map_err(|_| Errno::EXIST)?;
    if is_same(&found, target) {
        return Ok(());
    }
    rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
    rustix::fs::symlinkat(target, &folder, name)
}

fn is_same(found: &CString, volume: &Path) -> bool {
    found.as_bytes() == volume.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    struct Place {
        home: tempfile::TempDir,
    }

    impl Place {
        /// A sandbox and two volumes with something in them.
        fn new() -> Self {
            let place = Self {
                home: tempfile::tempdir().unwrap(),
            };
            std::fs::create_dir(place.sandbox()).unwrap();
            for name in ["one", "two"] {
                create_volume(&place.volume(name)).unwrap();
                std::fs::write(place.volume(name).join("file"), name).unwrap();
            }
            place
        }

        fn sandbox(&self) -> PathBuf {
            self.home.path().join("sandbox")
        }

        fn volume(&self, name: &str) -> PathBuf {
            self.home.path().join("volumes/roles/r").join(name)
        }

        fn link(&self, volume: &str, name: &str) -> Result<(), VolumeError> {
            let volume = self.volume(volume);
            let link = VolumeLink {
                volume: &volume,
                name: Path::new(name),
                give_to: None,
            };
            link_volume(&self.sandbox(), &link)
        }

        fn read(&self, path: &str) -> String {
            std::fs::read_to_string(self.sandbox().join(path)).unwrap()
        }
    }

    #[test]
    fn a_volume_is_found_under_its_name_and_the_next_one_after_it() {
        let place = Place::new();
        for (volume, name) in [("one", "data"), ("one", "data"), ("two", "data")] {
            place.link(volume, name).unwrap();
            assert_eq!(place.read("data/file"), volume);
        }
        place.link("one", "deep/inside/data").unwrap();
        assert_eq!(place.read("deep/inside/data/file"), "one");
    }

    #[test]
    fn a_volume_that_is_made_again_keeps_its_data() {
        let place = Place::new();
        create_volume(&place.volume("one")).unwrap();
        assert!(place.volume("one").join("file").exists());
    }

    #[test]
    fn what_is_the_users_own_is_not_replaced_and_links_are_not_followed() {
        let place = Place::new();
        std::fs::write(place.sandbox().join("data"), "mine").unwrap();
        let error = place.link("one", "data").unwrap_err().to_string();
        assert!(
            error.starts_with("Failed to symlink persistent volume"),
            "{error}"
        );
        assert_eq!(place.read("data"), "mine");
        let outside = place.home.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        symlink(&outside, place.sandbox().join("way")).unwrap();
        place.link("one", "way/data").unwrap_err();
        assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
    }

    #[test]
    fn a_volume_that_is_not_there_is_told() {
        let place = Place::new();
        let error = place.link("none", "data").unwrap_err().to_string();
        let path = place.volume("none");
        assert_eq!(
            error,
            format!("The persistent volume at '{}' is not there", path.display())
        );
    }

    #[test]
    fn removal_leaves_nothing_and_emptying_leaves_the_folder() {
        let place = Place::new();
        remove_volume(&place.volume("one")).unwrap();
        remove_volume(&place.volume("one")).unwrap();
        assert!(!place.volume("one").exists());
        std::fs::create_dir(place.volume("two").join("folder")).unwrap();
        symlink(place.sandbox(), place.volume("two").join("link")).unwrap();
        empty_volume(&place.volume("two")).unwrap();
        let mut left = std::fs::read_dir(place.volume("two")).unwrap();
        assert!(left.next().is_none());
        assert!(place.sandbox().exists(), "links are removed, not followed");
    }

    #[test]
    fn a_volume_becomes_its_users() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root gives folders away.
        }
        let nobody = Identity::of("nobody").unwrap();
        let place = Place::new();
        let volume = place.volume("one");
        for (user, owner) in [
            ("nobody", nobody.uid.as_raw()),
            ("root", nobody.uid.as_raw()),
        ] {
            let link = VolumeLink {
                volume: &volume,
                name: Path::new("data"),
                give_to: Some(user),
            };
            link_volume(&place.sandbox(), &link).unwrap();
            assert_eq!(volume.metadata().unwrap().uid(), owner, "{user}");
        }
    }
}
