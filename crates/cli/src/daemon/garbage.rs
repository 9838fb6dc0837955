//! Removes the folders that the agent has no use for any more, and finds those of its former lives.
//!
//! Removing a folder takes as long as there is much in it. So it is first put aside, which is
//! instant, where nothing is launched; then one thread takes its time. What is put aside when the
//! agent's life ends is removed in the next.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meseta_agent::{FoundSandbox, Input};
use meseta_containerizer::machine::disk_used;
use meseta_containerizer::set_nested_sandbox_aside;

use super::driver::Inputs;
use super::limits::MAX_FOUND_AT_ONCE;

/// Where folders are put aside, below the work directory.
const ASIDE: &str = "garbage";

/// What lies in a work directory, level by level: fixed names, and one for each agent, framework,
/// executor and run.
const LEVELS: [&str; 4] = ["slaves", "frameworks", "executors", "runs"];

/// The way to the thread that removes.
#[derive(Debug)]
pub(crate) struct Garbage {
    orders: Sender<Order>,
    aside: PathBuf,
}

#[derive(Debug)]
enum Order {
    FindFormer,
    Remove(PathBuf),
    RemoveUncounted(PathBuf),
    Measure,
}

impl Garbage {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no place to put folders aside, or no thread.
    pub(crate) fn start(work_dir: &Path, inputs: Inputs<Input>) -> std::io::Result<Self> {
        let aside = work_dir.join(ASIDE);
        match std::fs::DirBuilder::new().mode(0o700).create(&aside) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let (orders, receiver) = channel();
        let work_dir = work_dir.to_owned();
        std::thread::Builder::new()
            .name("garbage".into())
            .spawn(move || carry_out(&work_dir, &receiver, &inputs))?;
        Ok(Self { orders, aside })
    }

    /// Removes what former lives have put aside, and tells what else they have left.
    pub(crate) fn find_former(&self) {
        // The thread lives as long as the process.
        let _ = self.orders.send(Order::FindFormer);
    }

    /// Puts a folder aside, so that its place is free, and has it removed.
    pub(crate) fn discard(&self, folder: PathBuf) {
        let aside = self.aside.join(uuid::Uuid::new_v4().to_string());
        let folder = match std::fs::rename(&folder, &aside) {
            Ok(()) => aside,
            // Not there, or not to be moved: then it is removed where it is.
            Err(_) => folder,
        };
        let _ = self.orders.send(Order::Remove(folder));
    }

    /// Puts the folder of a volume aside and has it removed; false if it cannot be put aside.
    pub(crate) fn discard_volume(&self, folder: &Path) -> bool {
        let aside = self.aside.join(uuid::Uuid::new_v4().to_string());
        let is_aside = std::fs::rename(folder, &aside).is_ok();
        if is_aside {
            let _ = self.orders.send(Order::RemoveUncounted(aside));
        }
        is_aside
    }

    /// Puts the sandbox of a nested container aside and has it removed.
    pub(crate) fn discard_nested(&self, folder: &Path) {
        let aside = self.aside.join(uuid::Uuid::new_v4().to_string());
        match set_nested_sandbox_aside(folder, &aside) {
            Ok(true) => {
                let _ = self.orders.send(Order::RemoveUncounted(aside));
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "a sandbox could not be removed");
            }
        }
    }

    /// Finds out how full the disk is.
    pub(crate) fn measure(&self) {
        let _ = self.orders.send(Order::Measure);
    }
}

fn carry_out(work_dir: &Path, orders: &Receiver<Order>, inputs: &Inputs<Input>) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::FindFormer => {
                for folder in entries(&work_dir.join(ASIDE)) {
                    remove(&folder);
                }
                find(work_dir, &mut |found| {
                    inputs.send(Input::SandboxesFound { found });
                });
            }
            Order::Remove(folder) => inputs.send(Input::Removed {
                has_succeeded: remove(&folder),
            }),
            // The agent counts those of executors' sandboxes alone.
            Order::RemoveUncounted(folder) => {
                remove(&folder);
            }
            Order::Measure => match disk_used(work_dir) {
                Ok(used) => inputs.send(Input::DiskMeasured { used }),
                Err(error) => tracing::warn!(%error, "the disk's use can't be measured"),
            },
        }
    }
}

fn remove(folder: &Path) -> bool {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "something could not be removed");
            false
        }
    }
}

/// Finds the folders of all agents, frameworks, executors and runs, a bounded number at a time.
fn find(work_dir: &Path, tell: &mut impl FnMut(Vec<FoundSandbox>)) {
    let mut found = Vec::new();
    find_below(work_dir, work_dir, &LEVELS, &mut found, tell);
    tell(found);
}

/// Gives the time when anything of it was last used.
fn find_below(
    work_dir: &Path,
    folder: &Path,
    levels: &[&str],
    found: &mut Vec<FoundSandbox>,
    tell: &mut impl FnMut(Vec<FoundSandbox>),
) -> Duration {
    let Some((level, below)) = levels.split_first() else {
        return modified(folder);
    };
    let mut latest = None;
    for entry in entries(&folder.join(level)) {
        // The link to the latest run is none of its own.
        if !entry.symlink_metadata().is_ok_and(|entry| entry.is_dir()) {
            continue;
        }
        let last_used = find_below(work_dir, &entry, below, found, tell);
        latest = latest.max(Some(last_used));
        if let Ok(path) = entry.strip_prefix(work_dir) {
            let path = path.to_owned();
            found.push(FoundSandbox { path, last_used });
        }
        if found.len() >= MAX_FOUND_AT_ONCE {
            tell(std::mem::take(found));
        }
    }
    latest.unwrap_or_else(|| modified(folder))
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    // One that can't be read holds nothing that could be removed.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn modified(folder: &Path) -> Duration {
    folder
        .symlink_metadata()
        .and_then(|metadata| metadata.modified())
        .unwrap_or_else(|_| SystemTime::now())
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Notes that a sandbox is used no longer: its folder's time tells a later life of the agent.
pub(crate) fn mark_end(sandbox: &Path) {
    // Another user's may refuse; then its last change counts.
    let _ = std::fs::File::open(sandbox).and_then(|it| it.set_modified(SystemTime::now()));
}

#[cfg(test)]
mod tests {
    use super::super::driver;
    use super::*;

    const RUN: &str = "slaves/S/frameworks/F/executors/E/runs/C";

    fn next<I>(receiver: &Receiver<I>) -> I {
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn the_folders_of_former_lives_are_found_with_the_time_of_their_last_use() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join(RUN);
        std::fs::create_dir_all(run.join("inner")).unwrap();
        std::os::unix::fs::symlink(&run, run.with_file_name("latest")).unwrap();
        let last_used = Duration::from_secs(1_000_000);
        let folder = std::fs::File::open(&run).unwrap();
        folder.set_modified(UNIX_EPOCH + last_used).unwrap();

        let mut all = Vec::new();
        find(home.path(), &mut |found| all.extend(found));

        let places: Vec<_> = all.iter().map(|it| it.path.to_str().unwrap()).collect();
        let executor = "slaves/S/frameworks/F/executors/E";
        assert_eq!(places, [RUN, executor, "slaves/S/frameworks/F", "slaves/S"]);
        assert!(all.iter().all(|it| it.last_used == last_used), "{all:?}");
    }

    #[test]
    fn a_folder_is_out_of_the_way_at_once_and_gone_in_the_end() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join(RUN);
        std::fs::create_dir_all(run.join("much/in/it")).unwrap();
        std::fs::create_dir_all(home.path().join(ASIDE).join("of a former life")).unwrap();
        let (inputs, queue) = driver::queue(|_| crate::daemon::waiting::Sort::Dispatch);
        let garbage = Garbage::start(home.path(), inputs).unwrap();
        garbage.find_former();
        let first = next(&queue.receiver).input;
        assert!(matches!(first, Input::SandboxesFound { found } if found.len() == 4));

        garbage.discard(run.clone());
        assert!(!run.exists());
        for _ in 0..2 {
            let removed = next(&queue.receiver).input;
            assert!(matches!(
                removed,
                Input::Removed {
                    has_succeeded: true
                }
            ));
            // What is not there is as good as removed.
            garbage.discard(run.clone());
        }
        assert!(entries(&home.path().join(ASIDE)).next().is_none());
    }
}
