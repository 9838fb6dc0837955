//! Persistent volumes: folders beside the sandboxes, which outlive tasks and agents.
//!
//! They lie where Mesos puts them: `volumes/roles/<role>/<persistence id>` below the work directory
//! or the root of a PATH disk, and the whole of a MOUNT disk. A task finds its volume through a link
//! in its sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use meseta_proto::v1::Resource as Message;
use meseta_proto::v1::resource::disk_info::source::Type as DiskType;
use meseta_resources::{Conversion, Resource, Resources, roles};

use crate::agent::{Agent, Turn};
use crate::executors::RunKey;
use crate::records::{Executor, ExecutorState};
use crate::snapshot::Snapshot;
use crate::{Action, sandbox};

/// The place of a persistent volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeFolder {
    /// The folder.
    pub path: PathBuf,
    /// Whether it is the root of a disk, which stays when the volume goes.
    pub is_mount: bool,
}

/// A persistent volume in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeLink {
    /// The volume's folder.
    pub volume: PathBuf,
    /// Where its user finds it, below the sandbox.
    pub name: PathBuf,
    /// Whether the volume is to be given to the sandbox's user: nobody else has it at the moment.
    pub is_given: bool,
}

/// What is to be done on disk.
#[derive(Debug, Default)]
pub(crate) struct FolderChanges {
    pub(crate) create: Vec<VolumeFolder>,
    pub(crate) remove: Vec<VolumeFolder>,
}

impl FolderChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.create.is_empty() && self.remove.is_empty()
    }

    /// What makes the folders of the volumes before those of the volumes after.
    pub(crate) fn between(work_dir: &Path, before: &Resources, after: &Resources) -> Self {
        let (before, after) = (folders(work_dir, before), folders(work_dir, after));
        let only = |these: &BTreeMap<PathBuf, VolumeFolder>, those: &BTreeMap<PathBuf, _>| {
            let these = these.iter();
            let new = these.filter(|(path, _)| !those.contains_key(*path));
            new.map(|(_, folder)| folder.clone()).collect()
        };
        Self {
            create: only(&after, &before),
            remove: only(&before, &after),
        }
    }

    /// What conversions make of folders.
    pub(crate) fn of(work_dir: &Path, conversions: &[Conversion]) -> Self {
        let consumed: Resources = conversions.iter().map(|c| &c.consumed).sum();
        let converted: Resources = conversions.iter().map(|c| &c.converted).sum();
        Self::between(work_dir, &consumed, &converted)
    }
}

/// The folders of all volumes that have one. A grown volume has the folder that it had.
fn folders(work_dir: &Path, resources: &Resources) -> BTreeMap<PathBuf, VolumeFolder> {
    resources
        .iter()
        .filter_map(|resource| folder(work_dir, resource))
        .map(|folder| (folder.path.clone(), folder))
        .collect()
}

/// Where a persistent volume lies. `None` for what is none, and for one that has no place: its names
/// cannot be those of folders, or its disk says nothing of where it is.
pub(crate) fn folder(work_dir: &Path, volume: &Resource) -> Option<VolumeFolder> {
    let disk = volume.disk()?;
    let id = &disk.persistence.as_ref()?.id;
    let role = volume.reservation_role()?;
    if !sandbox::is_valid_id(id) || roles::validate(role).is_err() {
        return None;
    }
    // A role cannot have a blank in its name, so that no two roles share a folder.
    let below = |root: &Path| VolumeFolder {
        path: root
            .join("volumes/roles")
            .join(role.replace('/', " "))
            .join(id),
        is_mount: false,
    };
    let Some(source) = &disk.source else {
        return Some(below(work_dir));
    };
    match source.r#type() {
        DiskType::Path => {
            let root = source.path.as_ref()?.root.as_ref()?;
            // A relative one is below the work directory.
            Some(below(&work_dir.join(root)))
        }
        DiskType::Mount => {
            let root = source.mount.as_ref()?.root.as_ref()?;
            Some(VolumeFolder {
                path: work_dir.join(root),
                is_mount: true,
            })
        }
        DiskType::Block | DiskType::Raw | DiskType::Unknown => None,
    }
}

impl Snapshot {
    /// The folders of the volumes that an executor has or had, of whichever run.
    pub fn volumes_of(&self, framework: &str, executor: &str) -> Vec<PathBuf> {
        let here = self.frameworks.values();
        let frameworks = here.chain(&self.completed_frameworks);
        let runs = frameworks
            .filter(|it| it.id().as_str() == framework)
            .flat_map(|it| it.executors.values().chain(&it.completed_executors))
            .filter(|it| it.id().as_str() == executor);
        let mut folders = BTreeSet::new();
        for run in runs {
            let tasks = run.launched_tasks.values();
            let tasks = tasks.chain(run.terminated_tasks.values());
            let tasks = tasks.chain(&run.completed_tasks);
            let tasks = tasks.map(|task| &task.resources);
            let queued = run.queued_tasks.values().map(|task| &task.resources);
            for resources in tasks.chain(queued).chain([&run.info.resources]) {
                let resources = Resources::from_v1(resources).unwrap_or_default();
                let found = resources.iter();
                let found = found.filter_map(|it| folder(&self.config.work_dir, it));
                folders.extend(found.map(|it| it.path));
            }
        }
        folders.into_iter().collect()
    }
}

impl Agent {
    /// The volumes among resources that an executor is to find in its sandbox.
    ///
    /// # Errors
    /// Says which volume cannot be put where it is wanted.
    pub(crate) fn volume_links(
        &self,
        key: &RunKey,
        resources: &[Message],
    ) -> Result<Vec<VolumeLink>, String> {
        let resources = Resources::from_v1(resources).map_err(|e| e.to_string())?;
        let mut links: Vec<VolumeLink> = Vec::new();
        for volume in &resources.persistent_volumes() {
            let folder = folder(&self.config.work_dir, volume)
                .ok_or_else(|| format!("The persistent volume {volume} has no place here"))?;
            let name = place(volume)?;
            if links.iter().any(|link| link.name == name) {
                return Err(format!(
                    "Two persistent volumes are to be put at '{}'",
                    name.display()
                ));
            }
            links.push(VolumeLink {
                volume: folder.path,
                name,
                is_given: !volume.is_shared() || !self.is_used_elsewhere(key, volume),
            });
        }
        Ok(links)
    }

    /// Whether another executor that may run has the volume, too.
    fn is_used_elsewhere(&self, key: &RunKey, volume: &Resource) -> bool {
        let work_dir = &self.config.work_dir;
        let wanted = folder(work_dir, volume);
        let uses = |resources: &[Message]| {
            let resources = Resources::from_v1(resources).unwrap_or_default();
            resources.iter().any(|it| folder(work_dir, it) == wanted)
        };
        let uses_in = |executor: &Executor| {
            uses(&executor.info.resources)
                || executor.queued_tasks.values().any(|t| uses(&t.resources))
                || executor.launched_tasks.values().any(|t| uses(&t.resources))
        };
        self.runs.keys().filter(|other| *other != key).any(|other| {
            let executor = self.executor(other);
            executor.is_some_and(|e| e.state != ExecutorState::Terminated && uses_in(e))
        })
    }

    /// Makes sure after a restart that every volume has its folder.
    pub(crate) fn restore_volumes(&self, turn: &mut Turn<'_>) {
        let nothing = Resources::new();
        let changes = FolderChanges::between(&self.config.work_dir, &nothing, &self.checkpointed);
        if !changes.is_empty() {
            turn.act(Action::ChangeVolumes {
                operation: None,
                create: changes.create,
                remove: changes.remove,
            });
        }
    }
}

/// Where in the sandbox a volume is wanted. Without a root filesystem of its own a program cannot be
/// shown anything outside of it.
fn place(volume: &Resource) -> Result<PathBuf, String> {
    let wanted = volume.disk().and_then(|disk| disk.volume.as_ref());
    let wanted = wanted.map_or("", |volume| volume.container_path.as_str());
    let path = Path::new(wanted);
    let is_below = |part: Component<'_>| matches!(part, Component::Normal(_));
    if wanted.is_empty() || !path.components().all(is_below) {
        return Err(format!(
            "The persistent volume {volume} cannot be put at '{wanted}': this agent serves paths \
             inside of the sandbox"
        ));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(role: &str, id: &str, disk: &str) -> Resources {
        let text = format!(
            r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":1}},
            "reservations":[{{"type":"DYNAMIC","role":"{role}"}}],
            "disk":{{"persistence":{{"id":"{id}"}},
            "volume":{{"mode":"RW","container_path":"data"}}{disk}}}}}"#
        );
        let message = meseta_proto::json::from_slice(text.as_bytes()).unwrap();
        Resources::from_v1(&[message]).unwrap()
    }

    fn path(volume: &Resources) -> Option<String> {
        let volume = volume.iter().next().unwrap();
        let folder = folder(Path::new("/w"), volume)?;
        Some(folder.path.to_str().unwrap().to_owned())
    }

    #[test]
    fn volumes_lie_where_mesos_puts_them() {
        for (disk, expected) in [
            ("", "/w/volumes/roles/a b/v"),
            (
                r#","source":{"type":"PATH","path":{"root":"/disk"}}"#,
                "/disk/volumes/roles/a b/v",
            ),
            (
                r#","source":{"type":"PATH","path":{"root":"disk"}}"#,
                "/w/disk/volumes/roles/a b/v",
            ),
            (
                r#","source":{"type":"MOUNT","mount":{"root":"/mnt"}}"#,
                "/mnt",
            ),
        ] {
            assert_eq!(path(&volume("a/b", "v", disk)).as_deref(), Some(expected));
        }
        assert_eq!(path(&volume("a", "..", "")), None);
        assert_eq!(path(&volume("a", "x/y", "")), None);
    }

    #[test]
    fn only_what_comes_and_goes_is_touched() {
        let (one, two) = (volume("r", "one", ""), volume("r", "two", ""));
        let changes = FolderChanges::between(Path::new("/w"), &one, &two);
        assert_eq!(changes.create[0].path, Path::new("/w/volumes/roles/r/two"));
        assert_eq!(changes.remove[0].path, Path::new("/w/volumes/roles/r/one"));
        assert!(FolderChanges::between(Path::new("/w"), &one, &one).is_empty());
    }
}
