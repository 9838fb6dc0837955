use std::fs::File;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::{Shown, beneath};

/// The sandboxes below an agent's work directory, by their real paths and by the virtual ones
/// (`/frameworks/F/executors/E/runs/latest`).
#[derive(Debug, Clone)]
pub(crate) struct Sandboxes {
    /// `<work_dir>/slaves`, without links in it.
    root: PathBuf,
    /// The agent whose sandboxes the virtual paths name.
    agent: Option<String>,
}

impl Sandboxes {
    /// The sandboxes of an agent that works in `work_dir` and has this id, if any yet.
    pub(crate) fn new(work_dir: &Path, agent: Option<String>) -> Self {
        let work_dir = work_dir
            .canonicalize()
            .unwrap_or_else(|_| work_dir.to_owned());
        Self {
            root: work_dir.join("slaves"),
            agent,
        }
    }

    /// The run directory that a path lies in, and the rest of the path.
    fn run_of(&self, path: &Path) -> Option<(PathBuf, PathBuf)> {
        let inside = if let Ok(inside) = path.strip_prefix(&self.root) {
            inside.to_owned()
        } else {
            let inside = path.strip_prefix("/frameworks").ok()?;
            Path::new(self.agent.as_ref()?)
                .join("frameworks")
                .join(inside)
        };
        // <agent>/frameworks/<framework>/executors/<executor>/runs/<container>
        let parts: Option<Vec<_>> = inside
            .components()
            .map(|c| match c {
                Component::Normal(part) => Some(part),
                _ => None,
            })
            .collect();
        let parts = parts?;
        let [_, frameworks, _, executors, _, runs, _, ..] = parts.as_slice() else {
            return None;
        };
        if *frameworks != "frameworks" || *executors != "executors" || *runs != "runs" {
            return None;
        }
        let (run, rest) = parts.split_at(7);
        Some((
            self.root.join(run.iter().collect::<PathBuf>()),
            rest.iter().collect(),
        ))
    }
}

impl Shown for Sandboxes {
    fn open(&self, path: &str) -> std::io::Result<File> {
        let (run, rest) = self.run_of(Path::new(path)).ok_or(ErrorKind::NotFound)?;
        // Down to here all is the agent's own, the link to the latest run included.
        let run = run.canonicalize()?;
        if !run.starts_with(&self.root) {
            return Err(ErrorKind::NotFound.into());
        }
        beneath::open(&run, &rest)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn sandboxes_are_found_by_both_paths_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().canonicalize().unwrap();
        let runs = work.join("slaves/S0/frameworks/F/executors/my task/runs");
        fs::create_dir_all(runs.join("c1/inner")).unwrap();
        fs::write(runs.join("c1/stdout"), "x").unwrap();
        symlink("c1", runs.join("latest")).unwrap();
        symlink("/etc", runs.join("c1/escape")).unwrap();
        fs::write(work.join("secret"), "x").unwrap();

        let shown = Sandboxes::new(&work, Some("S0".into()));
        let found = |path: &str| {
            let inode = shown.open(path).ok()?.metadata().ok()?.ino();
            Some(inode)
        };
        let inode = |path: &str| fs::metadata(runs.join(path)).ok().map(|it| it.ino());
        let stdout = inode("c1/stdout");
        assert!(stdout.is_some());
        assert_eq!(
            found("/frameworks/F/executors/my task/runs/latest/stdout"),
            stdout
        );
        assert_eq!(found(&format!("{}/c1/stdout", runs.display())), stdout);
        assert_eq!(found(&format!("{}/latest", runs.display())), inode("c1"));
        for hidden in [
            "/etc/passwd",
            "/frameworks",
            "/frameworks/F/executors/my task/runs",
            "/frameworks/F/executors/my task/runs/latest/escape/passwd",
            "/frameworks/F/executors/my task/runs/latest/../../../../../../../secret",
            "/frameworks/../../../secret",
            "",
        ] {
            assert_eq!(found(hidden), None, "{hidden}");
        }
        assert_eq!(found(&format!("{}/secret", work.display())), None);
    }
}
