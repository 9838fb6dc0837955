//! The word that containers' first processes leave of themselves: files from which a later life of the
//! agent knows what this one has started, at whatever moment it may have died.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use meseta_containerizer::{Record, Started};
use meseta_proto::v1::ContainerId;

/// Where the files lie, below the work directory: closed to all but the agent.
const FOLDER: &str = "meta/started";

/// What follows a container's id in the name of its file. No id has a dot in it.
const SUFFIX: &str = ".process";

/// The files of one agent: one for each container, in a folder for what it is in.
#[derive(Debug)]
pub(super) struct StartedFiles {
    folder: PathBuf,
    boot_id: String,
}

impl StartedFiles {
    pub(super) fn new(work_dir: &Path, boot_id: &str) -> Self {
        Self {
            folder: work_dir.join(FOLDER),
            boot_id: boot_id.to_owned(),
        }
    }

    /// Where a container's process leaves word.
    pub(super) fn file(&self, id: &ContainerId) -> PathBuf {
        let around = id.parent.as_deref();
        let folder = around.map_or_else(|| self.folder.clone(), |it| self.inside(it));
        folder.join(format!("{}{SUFFIX}", id.value))
    }

    pub(super) fn record<'a>(&'a self, file: &'a Path) -> Record<'a> {
        Record {
            file,
            boot_id: &self.boot_id,
        }
    }

    /// What is known of a container's process; `None` if it was never started, or in another boot of
    /// the machine.
    pub(super) fn read(&self, id: &ContainerId) -> Option<Started> {
        let file = self.file(id);
        Started::read(&self.record(&file)).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "a process can't be read of");
            None
        })
    }

    /// Forgets a container and those inside of it.
    pub(super) fn forget(&self, id: &ContainerId) {
        let _ = std::fs::remove_file(self.file(id));
        let _ = std::fs::remove_dir_all(self.inside(id));
    }

    /// Every container of which there is word, each after those inside of it.
    pub(super) fn all(&self) -> BTreeSet<ContainerId> {
        let mut found = BTreeSet::new();
        gather(&self.folder, None, &mut found);
        found
    }

    fn inside(&self, id: &ContainerId) -> PathBuf {
        let around = id.parent.as_deref();
        let folder = around.map_or_else(|| self.folder.clone(), |it| self.inside(it));
        folder.join(&id.value)
    }
}

fn gather(folder: &Path, parent: Option<&ContainerId>, found: &mut BTreeSet<ContainerId>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let id = |name: &str| ContainerId {
            parent: parent.cloned().map(Box::new),
            ..ContainerId::from(name)
        };
        match name.strip_suffix(SUFFIX) {
            Some(name) => drop(found.insert(id(name))),
            None => gather(&entry.path(), Some(&id(name)), found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_found_by_their_files_until_they_are_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let files = StartedFiles::new(home.path(), "boot");
        let root = ContainerId::from("root");
        let nested = ContainerId {
            parent: Some(Box::new(root.clone())),
            ..ContainerId::from("nested")
        };
        let other = ContainerId::from("other");
        for id in [&root, &nested, &other] {
            let file = files.file(id);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "boot\0/sandbox\0").unwrap();
            assert_eq!(files.read(id).unwrap().directory, Path::new("/sandbox"));
        }
        assert_eq!(files.all().len(), 3);
        assert!(files.all().contains(&nested));
        files.forget(&root);
        assert_eq!(files.all(), [other].into());
    }
}
