use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags};

use crate::user::{Identity, UserError};

/// Private data of a task: closed to all but its user and group.
const DIRECTORY_MODE: u32 = 0o750;

/// What a task prints, readable for whoever reaches it.
const OUTPUT_MODE: u32 = 0o644;

/// The place where a container runs, to be made.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'a> {
    /// The directory itself. Missing ones above it are made, too.
    pub directory: &'a Path,
    /// The link to be pointed at the directory; an older one is replaced in one step.
    pub latest: &'a Path,
    /// The file for standard output, made empty.
    pub stdout: &'a Path,
    /// The file for standard error, made empty.
    pub stderr: &'a Path,
    /// Who owns it all; `None` for this process's own user.
    pub user: Option<&'a str>,
}

/// Why there is no sandbox. The sentences are those of Mesos, which its users see in the status
/// updates of tasks.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The directory or a file in it could not be made, or not be given to the user.
    #[error("Failed to create executor directory '{directory}': {reason}", directory = .directory.display())]
    Directory {
        /// The sandbox.
        directory: PathBuf,
        /// What went wrong.
        reason: Reason,
    },
    /// The link to the newest sandbox could not be made.
    #[error("Failed to symlink '{directory}' to '{latest}': {source}", directory = .directory.display(), latest = .latest.display())]
    Latest {
        /// The sandbox.
        directory: PathBuf,
        /// The link.
        latest: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// What went wrong with a sandbox's directory.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// It could not be made.
    #[error("Failed to create directory: {0}")]
    Create(std::io::Error),
    /// Others could not be shut out.
    #[error("Failed to chmod directory: {0}")]
    Mode(std::io::Error),
    /// A file for output could not be made.
    #[error("Failed to create '{path}': {source}", path = .path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The user is not known.
    #[error("Failed to chown directory to '{user}': {source}")]
    User {
        /// The user.
        user: String,
        /// The reason.
        source: UserError,
    },
    /// It could not be given to the user.
    #[error("Failed to chown directory to '{user}': {source}")]
    Owner {
        /// The user.
        user: String,
        /// The reason.
        source: std::io::Error,
    },
}

/// Makes a sandbox, or nothing.
pub fn prepare_sandbox(sandbox: &Sandbox<'_>) -> Result<(), SandboxError> {
    let directory = sandbox.directory;
    if let Err(reason) = prepare_directory(sandbox) {
        if !matches!(reason, Reason::Create(_)) {
            // The error that is told already matters more than one of tidying up.
            let _ = std::fs::remove_file(sandbox.stdout);
            let _ = std::fs::remove_file(sandbox.stderr);
            let _ = std::fs::remove_dir(directory);
        }
        return Err(SandboxError::Directory {
            directory: directory.to_owned(),
            reason,
        });
    }
    point(sandbox.latest, directory).map_err(|source| SandboxError::Latest {
        directory: directory.to_owned(),
        latest: sandbox.latest.to_owned(),
        source,
    })
}

fn prepare_directory(sandbox: &Sandbox<'_>) -> Result<(), Reason> {
    let directory = sandbox.directory;
    if let Some(above) = directory.parent() {
        std::fs::create_dir_all(above).map_err(Reason::Create)?;
    }
    // One that is there already may be somebody else's by now.
    DirBuilder::new()
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(Reason::Create)?;
    // The umask has had its say in the creation.
    std::fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))
        .map_err(Reason::Mode)?;
    let owner = sandbox
        .user
        .map(|user| match Identity::of(user) {
            Ok(identity) => Ok((user, identity)),
            Err(source) => Err(Reason::User {
                user: user.to_owned(),
                source,
            }),
        })
        .transpose()?;
    // The files come first: once the directory is the user's, what a name in it leads to is up to
    // the user.
    for path in [sandbox.stdout, sandbox.stderr] {
        let file = create_output(path).map_err(|source| Reason::Output {
            path: path.to_owned(),
            source,
        })?;
        if let Some((user, owner)) = &owner {
            rustix::fs::fchown(&file, Some(owner.uid), Some(owner.gid))
                .map_err(|errno| not_given(user, errno))?;
        }
    }
    if let Some((user, owner)) = &owner {
        rustix::fs::chownat(
            CWD,
            directory,
            Some(owner.uid),
            Some(owner.gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|errno| not_given(user, errno))?;
    }
    Ok(())
}

fn create_output(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OUTPUT_MODE)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    file.set_permissions(Permissions::from_mode(OUTPUT_MODE))?;
    Ok(file)
}

fn not_given(user: &str, errno: rustix::io::Errno) -> Reason {
    Reason::Owner {
        user: user.to_owned(),
        source: errno.into(),
    }
}

/// Points a link at a directory; who follows it meanwhile finds the old one or the new one.
fn point(link: &Path, directory: &Path) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(link.file_name().unwrap_or_default());
    name.push(".");
    name.push(directory.file_name().unwrap_or_default());
    let fresh = link.with_file_name(name);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(directory, &fresh)?;
    std::fs::rename(&fresh, link).inspect_err(|_| {
        let _ = std::fs::remove_file(&fresh);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    struct Place {
        home: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self {
                home: tempfile::tempdir().unwrap(),
            }
        }

        fn run(&self, name: &str) -> PathBuf {
            self.home.path().join("executors/e/runs").join(name)
        }

        fn prepare(&self, name: &str, user: Option<&str>) -> Result<(), SandboxError> {
            prepare_sandbox(&Sandbox {
                directory: &self.run(name),
                latest: &self.run("latest"),
                stdout: &self.run(name).join("stdout"),
                stderr: &self.run(name).join("stderr"),
                user,
            })
        }
    }

    #[test]
    fn a_sandbox_is_closed_to_others_and_has_two_empty_files() {
        let place = Place::new();
        place.prepare("1", None).unwrap();
        let directory = place.run("1");
        assert_eq!(directory.metadata().unwrap().mode() & 0o7777, 0o750);
        for name in ["stdout", "stderr"] {
            let file = directory.join(name).metadata().unwrap();
            assert_eq!((file.mode() & 0o7777, file.len()), (0o644, 0));
        }
    }

    #[test]
    fn latest_leads_to_the_newest_and_nothing_else_is_left_beside_it() {
        let place = Place::new();
        for name in ["1", "2"] {
            place.prepare(name, None).unwrap();
            assert_eq!(
                std::fs::read_link(place.run("latest")).unwrap(),
                place.run(name)
            );
        }
        let runs = place.home.path().join("executors/e/runs");
        let mut names: Vec<_> = std::fs::read_dir(runs)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["1", "2", "latest"]);
    }

    #[test]
    fn an_unknown_user_gets_the_sentence_of_mesos_and_leaves_no_directory() {
        let place = Place::new();
        let error = place.prepare("1", Some("nosuchuser")).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "Failed to create executor directory '{}': Failed to chown directory to \
                 'nosuchuser': No such user 'nosuchuser'",
                place.run("1").display()
            )
        );
        assert!(!place.run("1").exists());
        assert!(!place.run("latest").exists());
    }

    #[test]
    fn everything_is_the_users() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root gives files away.
        }
        let nobody = Identity::of("nobody").unwrap();
        let place = Place::new();
        place.prepare("1", Some("nobody")).unwrap();
        let directory = place.run("1");
        for path in [
            directory.clone(),
            directory.join("stdout"),
            directory.join("stderr"),
        ] {
            let found = path.metadata().unwrap();
            assert_eq!(
                (found.uid(), found.gid()),
                (nobody.uid.as_raw(), nobody.gid.as_raw())
            );
        }
    }

    #[test]
    fn a_directory_that_is_there_already_is_left_alone() {
        let place = Place::new();
        place.prepare("1", None).unwrap();
        std::fs::write(place.run("1").join("stdout"), "precious").unwrap();
        let error = place.prepare("1", None).unwrap_err();
        assert!(
            error.to_string().contains("Failed to create directory"),
            "{error}"
        );
        assert_eq!(
            std::fs::read_to_string(place.run("1").join("stdout")).unwrap(),
            "precious"
        );
    }
}
