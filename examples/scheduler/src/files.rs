//! What outlives the scheduler: a folder with a file for the framework and one for each task.
//!
//! [`FileStore`] replaces a file as a whole and returns once it is on the disk, so a crash at any
//! moment leaves what was there before or what is there after.

use std::fmt::Display;
use std::path::PathBuf;

use meseta_framework::keep::{FileStore, Store as _};
use meseta_framework::v1::FrameworkInfo;
use meseta_proto::json;
use tokio::task::block_in_place;

use crate::error::Error;
use crate::task::Task;

const FRAMEWORK: &str = "framework";

#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    store: FileStore,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) framework: Option<FrameworkInfo>,
    pub(crate) tasks: Vec<Task>,
}

impl Files {
    pub(crate) fn open(folder: PathBuf) -> Result<(Self, Found), Error> {
        let failed = |what: &str, reason: &dyn Display| Error::Files {
            folder: folder.clone(),
            what: what.to_owned(),
            reason: reason.to_string(),
        };
        let mut store = FileStore::open(&folder).map_err(|e| failed("the folder", &e))?;
        let values = store.load().map_err(|e| failed("the folder", &e))?;
        let mut found = Found::default();
        for (key, value) in values {
            if key == FRAMEWORK {
                let framework = json::from_slice(&value).map_err(|e| failed(&key, &e))?;
                found.framework = Some(framework);
            } else {
                let task = serde_json::from_slice(&value).map_err(|e| failed(&key, &e))?;
                found.tasks.push(task);
            }
        }
        Ok((Self { folder, store }, found))
    }

    pub(crate) fn save_framework(&mut self, framework: &FrameworkInfo) -> Result<(), Error> {
        self.save(FRAMEWORK, Some(&json::to_vec(framework)))
    }

    pub(crate) fn save_task(&mut self, task: &Task) -> Result<(), Error> {
        let key = key_of(task.id);
        match serde_json::to_vec(task) {
            Ok(value) => self.save(&key, Some(&value)),
            Err(error) => Err(self.failed(&key, &error)),
        }
    }

    pub(crate) fn forget_task(&mut self, id: u64) -> Result<(), Error> {
        self.save(&key_of(id), None)
    }

    fn save(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), Error> {
        // The disk may take its time: meanwhile the runtime's other work goes on elsewhere.
        let saved = block_in_place(|| self.store.save(key, value));
        saved.map_err(|error| self.failed(key, &error))
    }

    fn failed(&self, what: &str, reason: &dyn Display) -> Error {
        Error::Files {
            folder: self.folder.clone(),
            what: what.to_owned(),
            reason: reason.to_string(),
        }
    }
}

fn key_of(id: u64) -> String {
    format!("task-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_next_life_finds_the_framework_and_every_task_as_they_were_last() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Files::open(folder.path().to_owned()).unwrap();
        let (mut files, found) = open();
        assert_eq!(found.framework, None);
        assert_eq!(found.tasks, []);

        let framework = FrameworkInfo {
            name: "scheduler".into(),
            id: Some("f".into()),
            failover_timeout: Some(1.0),
            checkpoint: Some(true),
            ..FrameworkInfo::default()
        };
        files.save_framework(&framework).unwrap();
        let mut kept = Task::new(1, "echo kept".into());
        files.save_task(&kept).unwrap();
        kept.die();
        files.save_task(&kept).unwrap();
        files.save_task(&Task::new(2, "forgotten".into())).unwrap();
        files.forget_task(2).unwrap();

        let (_, found) = open();
        assert_eq!(found.framework, Some(framework));
        assert_eq!(found.tasks, [kept]);
    }

    #[test]
    fn a_file_that_is_no_task_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        store.save("task-7", Some(b"{}")).unwrap();
        let error = Files::open(folder.path().to_owned()).unwrap_err();
        assert!(error.to_string().contains("task-7"), "{error}");
    }
}
