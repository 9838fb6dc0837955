//! Log files, named as Mesos names them.
//!
//! `mesos-master.HOST.USER.log.INFO.DATE-TIME.PID` is written until it is full, and then another
//! one; the link `mesos-master.INFO` always leads to the one that is written. The oldest are
//! removed, so that a folder takes no more than so many files of so many bytes.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How much is kept of a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The size at which a file is full.
    pub(super) bytes: u64,
    /// How many files there are at most, the one that is written among them.
    pub(super) files: usize,
}

/// A log that goes from file to file.
#[derive(Debug)]
pub(super) struct LogFiles {
    folder: PathBuf,
    /// What the names of all its files begin with.
    stem: String,
    link: PathBuf,
    bounds: Bounds,
    file: File,
    written: u64,
    /// Its files, the oldest first.
    kept: VecDeque<PathBuf>,
}

impl LogFiles {
    /// Begins a log of a program in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be made.
    pub(super) fn open(folder: &Path, program: &str, level: &str, bounds: Bounds) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let system = rustix::system::uname();
        let host = system.nodename().to_string_lossy();
        let user = crate::files::user_name(rustix::process::geteuid().as_raw());
        let stem = format!("{program}.{host}.{user}.log.{level}.");
        let mut kept = former(folder, &stem)?;
        let (path, file) = create(folder, &stem)?;
        kept.push_back(path);
        let mut log = Self {
            folder: folder.to_owned(),
            stem,
            link: folder.join(format!("{program}.{level}")),
            bounds,
            file,
            written: 0,
            kept,
        };
        log.lead_to_latest()?;
        log.remove_oldest();
        Ok(log)
    }

    /// The link that leads to the file that is written.
    pub(super) fn link(&self) -> &Path {
        &self.link
    }

    /// Goes on in another file. Where none can be made, the present one is begun again: a log that
    /// grows without bound would be worse than one that is lost.
    fn go_on(&mut self) {
        self.written = 0;
        match create(&self.folder, &self.stem) {
            Ok((path, file)) => {
                self.file = file;
                self.kept.push_back(path);
                // Without the link the files are still there.
                let _ = self.lead_to_latest();
                self.remove_oldest();
            }
            Err(_) => {
                let _ = self.file.set_len(0);
            }
        }
    }

    /// Swings the link in one step: there is no moment without it.
    fn lead_to_latest(&mut self) -> Result<()> {
        let Some(name) = self.kept.back().and_then(|path| path.file_name()) else {
            return Ok(());
        };
        let fresh = self.folder.join(format!("{}link", self.stem));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(name, &fresh)?;
        fs::rename(&fresh, &self.link)
    }

    fn remove_oldest(&mut self) {
        while self.kept.len() > self.bounds.files
            && let Some(oldest) = self.kept.pop_front()
        {
            // What somebody else has removed is gone as well.
            let _ = fs::remove_file(oldest);
        }
    }
}

impl Write for LogFiles {
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        let length = line.len() as u64;
        if self.written > 0 && self.written + length > self.bounds.bytes {
            self.go_on();
        }
        let length = self.file.write(line)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

/// What is left of former processes, the oldest first. Files of others that still run are theirs.
fn former(folder: &Path, stem: &str) -> Result<VecDeque<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(stem)) else {
            continue;
        };
        let Some((_, pid)) = rest.rsplit_once('.') else {
            continue;
        };
        let is_number = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && !Path::new("/proc").join(pid).exists() {
            let modified = entry.metadata()?.modified()?;
            found.push((modified, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Makes the next file, whose name nothing else has.
fn create(folder: &Path, stem: &str) -> Result<(PathBuf, File)> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let now = now.replace(['-', ':', 'Z'], "").replace('T', "-");
    let pid = std::process::id();
    let mut number = 0;
    loop {
        let more = match number {
            0 => String::new(),
            number => format!("-{number}"),
        };
        let path = folder.join(format!("{stem}{now}{more}.{pid}"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 10,
        files: 3,
    };

    fn open(folder: &Path) -> LogFiles {
        LogFiles::open(folder, "mesos-master", "INFO", BOUNDS).unwrap()
    }

    /// The contents of all files that are no links.
    fn contents(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let files = files.filter(|entry| !entry.file_type().unwrap().is_symlink());
        let mut contents: Vec<String> = files
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .collect();
        contents.sort();
        contents
    }

    #[test]
    fn the_link_leads_to_what_is_written_and_names_are_those_of_mesos() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/below");
        let mut log = open(&folder);
        log.write_all(b"a line\n").unwrap();
        assert_eq!(log.link(), folder.join("mesos-master.INFO"));
        assert_eq!(fs::read_to_string(log.link()).unwrap(), "a line\n");
        let name = fs::read_link(log.link()).unwrap();
        let name = name.to_str().unwrap();
        let pid = std::process::id().to_string();
        assert!(name.starts_with("mesos-master."), "{name}");
        assert!(name.contains(".log.INFO.2"), "{name}");
        assert!(name.ends_with(&pid), "{name}");
    }

    #[test]
    fn a_full_file_is_followed_by_another_and_the_oldest_goes() {
        let place = tempfile::tempdir().unwrap();
        let mut log = open(place.path());
        for line in ["first 1\n", "second\n", "third\n", "fourth\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(log.link()).unwrap(), "fourth\n");
        assert_eq!(contents(place.path()), ["fourth\n", "second\n", "third\n"]);
    }

    #[test]
    fn a_line_longer_than_a_file_is_whole_in_one_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let mut log = open(place.path());
        for line in ["short\n", "much longer than ten\n", "short\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let all = ["much longer than ten\n", "short\n", "short\n"];
        assert_eq!(contents(place.path()), all);
    }

    #[test]
    fn files_of_former_processes_count_and_those_of_others_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let log = open(place.path());
        let stem = log.stem.clone();
        // No process has such a number; the first one is always there.
        for former in ["1.4294967295", "2.4294967295", "3.4294967295", "4.1"] {
            fs::write(place.path().join(format!("{stem}{former}")), former).unwrap();
        }
        fs::write(place.path().join("mesos-agent.INFO"), "not ours").unwrap();
        drop(log);
        let mut log = open(place.path());
        log.write_all(b"new").unwrap();
        let left = contents(place.path());
        assert!(left.contains(&"4.1".to_owned()), "{left:?}");
        assert!(left.contains(&"not ours".to_owned()), "{left:?}");
        assert!(!left.contains(&"1.4294967295".to_owned()), "{left:?}");
        assert!(left.contains(&"3.4294967295".to_owned()), "{left:?}");
    }

    #[test]
    fn without_its_folder_the_log_stays_within_its_bounds() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("log");
        let mut log = open(&folder);
        fs::remove_dir_all(&folder).unwrap();
        for _ in 0..100 {
            log.write_all(b"a line\n").unwrap();
        }
        assert!(log.file.metadata().unwrap().len() <= BOUNDS.bytes);
    }
}
