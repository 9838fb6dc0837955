use std::fs::File;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::{Shown, beneath};

/// The sandboxes below an agent's work directory, by their real paths and by the virtual ones
/// (`/frameworks/F/executors/E/runs/latest`).
pub(crate) struct Sandboxes<'a> {
    /// `<work_dir>/slaves`, without links in it.
    root: PathBuf,
    /// The agent whose sandboxes the virtual paths name.
    agent: Option<String>,
    /// The folders of the volumes that an executor of a framework has or had, to which its sandbox has
    /// links.
    volumes: &'a Volumes<'a>,
}

/// What gives the folders of the volumes of an executor, from the ids of its framework and itself.
pub(crate) type Volumes<'a> = dyn Fn(&str, &str) -> Vec<PathBuf> + 'a;

impl<'a> Sandboxes<'a> {
    /// The sandboxes of an agent that works in `work_dir` and has this id, if any yet.
    pub(crate) fn new(work_dir: &Path, agent: Option<String>, volumes: &'a Volumes<'a>) -> Self {
        let work_dir = work_dir
            .canonicalize()
            .unwrap_or_else(|_| work_dir.to_owned());
        Self {
            root: work_dir.join("slaves"),
            agent,
            volumes,
        }
    }

    /// The run that a path lies in.
    fn run_of(&self, path: &Path) -> Option<Run> {
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
        let [_, frameworks, framework, executors, executor, runs, _, ..] = parts.as_slice() else {
            return None;
        };
        if *frameworks != "frameworks" || *executors != "executors" || *runs != "runs" {
            return None;
        }
        let (run, rest) = parts.split_at(7);
        Some(Run {
            framework: framework.to_str()?.to_owned(),
            executor: executor.to_str()?.to_owned(),
            directory: self.root.join(run.iter().collect::<PathBuf>()),
            rest: rest.iter().collect(),
        })
    }
}

/// A run of an executor, and a path in its directory.
struct Run {
    framework: String,
    executor: String,
    directory: PathBuf,
    rest: PathBuf,
}

impl Shown for Sandboxes<'_> {
    fn open(&self, path: &str) -> std::io::Result<File> {
        let run = self.run_of(Path::new(path)).ok_or(ErrorKind::NotFound)?;
        // Down to here all is the agent's own, the link to the latest run included.
        let directory = run.directory.canonicalize()?;
        if !directory.starts_with(&self.root) {
            return Err(ErrorKind::NotFound.into());
        }
        let volumes = || (self.volumes)(&run.framework, &run.executor);
        beneath::open(&directory, &run.rest, &volumes)
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

        let shown = Sandboxes::new(&work, Some("S0".into()), &|_, _| Vec::new());
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
    #[test]
    fn an_executor_shows_the_volumes_that_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().canonicalize().unwrap();
        let volumes = work.join("volumes/roles/r");
        for name in ["mine/below", "others"] {
            fs::create_dir_all(volumes.join(name)).unwrap();
        }
        fs::write(volumes.join("mine/below/file"), "x").unwrap();
        fs::write(volumes.join("others/file"), "x").unwrap();
        let run = |executor: &str| {
            let run = work.join(format!(
                "slaves/S0/frameworks/F/executors/{executor}/runs/c"
            ));
            fs::create_dir_all(&run).unwrap();
            symlink(volumes.join("mine"), run.join("data")).unwrap();
            symlink(volumes.join("others"), run.join("stolen")).unwrap();
            run
        };
        let (owner, other) = (run("owner"), run("other"));
        // What a task puts into its volume leads no further than what is its own.
        symlink("../others", volumes.join("mine/up")).unwrap();
        symlink(volumes.join("others"), volumes.join("mine/across")).unwrap();
        fs::write(owner.join("stdout"), "x").unwrap();
        symlink(owner.join("stdout"), volumes.join("mine/back")).unwrap();

        let mine = volumes.join("mine");
        let of = move |framework: &str, executor: &str| match (framework, executor) {
            ("F", "owner") => vec![mine.clone()],
            _ => Vec::new(),
        };
        let shown = Sandboxes::new(&work, Some("S0".into()), &of);
        let is_found = |run: &Path, path: &str| {
            let path = run.join(path);
            shown.open(path.to_str().unwrap()).is_ok()
        };
        for path in ["data", "data/below/file", "data/back"] {
            assert!(is_found(&owner, path), "{path}");
            assert!(!is_found(&other, path), "{path}");
        }
        for path in [
            "stolen/file",
            "data/up/file",
            "data/across/file",
            "data/../others/file",
        ] {
            assert!(!is_found(&owner, path), "{path}");
        }
    }
}
