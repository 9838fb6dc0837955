//! How nested containers have ended: files that their supervisors write, agent or no agent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use meseta_containerizer as containerizer;
use meseta_proto::v1::ContainerId;

/// Where they lie, below the work directory: closed to all but the agent.
const FOLDER: &str = "meta/ends";

/// What follows a container's id in the name of its file. No id has a dot in it.
const SUFFIX: &str = ".status";

/// The files of one agent: one for each nested container, in a folder for what it is in.
#[derive(Debug)]
pub(super) struct KnownEnds {
    folder: PathBuf,
}

impl KnownEnds {
    pub(super) fn new(work_dir: &Path) -> Self {
        Self {
            folder: work_dir.join(FOLDER),
        }
    }

    /// Where the end of a container is written to.
    pub(super) fn file(&self, id: &ContainerId) -> PathBuf {
        let parent = id.parent.as_deref();
        let folder = parent.map_or_else(|| self.folder.clone(), |it| self.inside(it));
        folder.join(format!("{}{SUFFIX}", id.value))
    }

    /// How a container has ended, if that was written.
    pub(super) fn read(&self, id: &ContainerId) -> Option<i32> {
        id.parent.as_ref()?;
        containerizer::exit_status(&self.file(id))
    }

    /// Forgets a container and those inside of it.
    pub(super) fn forget(&self, id: &ContainerId) {
        // Most have none: an executor's own, or one without others in it.
        let _ = std::fs::remove_file(self.file(id));
        let _ = std::fs::remove_dir_all(self.inside(id));
    }

    /// Forgets all that were not in one of these.
    pub(super) fn keep_only(&self, roots: &BTreeSet<ContainerId>) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !roots.iter().any(|root| *root.value == *name) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    fn inside(&self, id: &ContainerId) -> PathBuf {
        let parent = id.parent.as_deref();
        let folder = parent.map_or_else(|| self.folder.clone(), |it| self.inside(it));
        folder.join(&id.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(parent: &ContainerId, name: &str) -> ContainerId {
        ContainerId {
            parent: Some(Box::new(parent.clone())),
            ..name.into()
        }
    }

    #[test]
    fn ends_are_forgotten_with_what_the_container_was_in() {
        let home = tempfile::tempdir().unwrap();
        let ends = KnownEnds::new(home.path());
        let (one, two) = (ContainerId::from("one"), ContainerId::from("two"));
        let child = nested(&one, "child");
        let grandchild = nested(&child, "grandchild");
        let other = nested(&two, "child");
        for id in [&child, &grandchild, &other] {
            let file = ends.file(id);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "256\n").unwrap();
            assert_eq!(ends.read(id), Some(256));
        }
        ends.forget(&child);
        assert_eq!([&child, &grandchild].map(|id| ends.read(id)), [None; 2]);
        ends.keep_only(&BTreeSet::from([one]));
        assert_eq!(ends.read(&other), None);
    }
}
