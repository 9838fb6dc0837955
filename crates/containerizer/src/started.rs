//! Word of processes that outlives whoever started them.
//!
//! Who starts a process learns its number only when it runs, and may die before he has written it
//! down. So the new process leaves word itself, before it becomes its program: a copy of what the kernel
//! says of it, behind what its starter has written into the same file before. Nothing is synced: the word
//! is of no use to another boot of the machine, and names its own.
//!
//! A reader must know that no process is under way that has yet to write. That is so when it holds a lock
//! which the starter held, on a file that programs do not inherit: the kernel lets it go when the last
//! new process of the starter has become its program.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use procfs::FromRead as _;
use procfs::process::Stat;

use crate::launch::LaunchError;
use crate::limits::RECORD_LENGTH;
use crate::process::Process;

/// Where a new process is to leave word.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The file; the folders around it are made if need be.
    pub file: &'a Path,
    /// What the kernel calls the time since the machine was started.
    pub boot_id: &'a str,
}

impl Record<'_> {
    /// Makes the file, with all in it but what the process itself has to say.
    pub(crate) fn begin(&self, directory: &Path) -> Result<OwnedFd, LaunchError> {
        let make = || -> std::io::Result<OwnedFd> {
            if let Some(folder) = self.file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(self.file)?;
            let mut head = self.boot_id.as_bytes().to_vec();
            head.push(0);
            head.extend(directory.as_os_str().as_bytes());
            head.push(0);
            file.write_all(&head)?;
            Ok(file.into())
        };
        make().map_err(|source| LaunchError::Open {
            path: self.file.to_owned(),
            source,
        })
    }

    /// The process did not come to be.
    pub(crate) fn withdraw(&self) {
        let _ = std::fs::remove_file(self.file);
    }
}

/// A process that was to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The process, which may have ended since; `None` if it never became its program.
    pub process: Option<Process>,
    /// The sandbox.
    pub directory: PathBuf,
}

impl Started {
    /// Reads what a process has left. `None` if there is no word, or it is of another boot.
    pub fn read(record: &Record<'_>) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        match File::open(record.file) {
            Ok(file) => file.take(RECORD_LENGTH).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Self::parse(record.boot_id, &bytes))
    }

    fn parse(boot_id: &str, bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(3, |byte| *byte == 0);
        let is_of_this_boot = parts.next()? == boot_id.as_bytes();
        let directory = PathBuf::from(OsStr::from_bytes(parts.next()?));
        let stat = parts.next()?;
        let stat = stat.ends_with(b"\n").then(|| Stat::from_read(stat));
        let process = stat.and_then(Result::ok).map(|stat| Process {
            pid: stat.pid,
            start_time: stat.starttime,
        });
        is_of_this_boot.then_some(Self { process, directory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::{Spec, launch_recorded};
    use crate::watch::wait;

    fn spec(home: &Path, program: &str) -> Spec {
        Spec {
            program: program.into(),
            arguments: vec!["sh".into(), "-c".into(), "exit 3".into()],
            environment: Vec::new(),
            directory: home.to_owned(),
            stdout: home.join("stdout"),
            stderr: home.join("stderr"),
            user: None,
        }
    }

    fn home() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().canonicalize().unwrap();
        (home, path)
    }

    #[test]
    fn a_process_says_who_it_is_before_anybody_else_can() {
        let (_home, home) = home();
        let file = home.join("meta/started/1");
        let record = Record {
            file: &file,
            boot_id: "this",
        };
        let process = launch_recorded(&spec(&home, "sh"), &record).unwrap();
        let started = Started {
            process: Some(process),
            directory: home.clone(),
        };
        assert_eq!(Started::read(&record).unwrap(), Some(started));
        wait(process).unwrap();
        let other = Record {
            boot_id: "other",
            ..record
        };
        assert_eq!(Started::read(&other).unwrap(), None);
    }

    #[test]
    fn of_what_never_ran_there_is_no_word() {
        let (_home, home) = home();
        let file = home.join("1");
        let record = Record {
            file: &file,
            boot_id: "this",
        };
        launch_recorded(&spec(&home, "/not/there"), &record).unwrap_err();
        assert_eq!(Started::read(&record).unwrap(), None);
        // Its starter died before it came to be, or it died while it said who it was.
        for word in ["", "77 (launches) R 1 2"] {
            drop(record.begin(Path::new("/sandbox")).unwrap());
            let mut text = std::fs::read(&file).unwrap();
            text.extend(word.as_bytes());
            std::fs::write(&file, text).unwrap();
            let started = Started::read(&record).unwrap().unwrap();
            assert_eq!(started.process, None);
            assert_eq!(started.directory, Path::new("/sandbox"));
        }
        for damaged in ["", "this", "this\0/sandbox", "\0\0\0\n"] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(Started::read(&record).unwrap(), None);
        }
    }
}
