//! What outlives the framework: its id and the counter's record, each in a file.

use std::fmt::Display;
use std::path::PathBuf;

use meseta_framework::keep::{FileStore, Store as _};
use meseta_framework::v1::FrameworkId;
use tokio::task::block_in_place;

use crate::counter::Counter;
use crate::error::Error;

const FRAMEWORK: &str = "framework";
const COUNTER: &str = "counter";

#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    store: FileStore,
}

impl Files {
    /// Opens them, with what was found.
    pub(crate) fn open(folder: PathBuf) -> Result<(Self, Option<FrameworkId>, Counter), Error> {
        let failed = |what, reason: &dyn Display| Error::Files {
            folder: folder.clone(),
            what,
            reason: reason.to_string(),
        };
        let mut store = FileStore::open(&folder).map_err(|e| failed("the folder", &e))?;
        let (mut framework, mut counter) = (None, Counter::default());
        for (key, value) in store.load().map_err(|e| failed("the folder", &e))? {
            match key.as_str() {
                FRAMEWORK => {
                    let id: String =
                        serde_json::from_slice(&value).map_err(|e| failed(FRAMEWORK, &e))?;
                    framework = Some(id.into());
                }
                COUNTER => {
                    counter = serde_json::from_slice(&value).map_err(|e| failed(COUNTER, &e))?;
                }
                _ => {}
            }
        }
        Ok((Self { folder, store }, framework, counter))
    }

    pub(crate) fn save_framework(&mut self, id: &FrameworkId) -> Result<(), Error> {
        self.save(FRAMEWORK, serde_json::to_vec(id.as_str()))
    }

    pub(crate) fn save_counter(&mut self, counter: &Counter) -> Result<(), Error> {
        self.save(COUNTER, serde_json::to_vec(counter))
    }

    /// The next start is the first.
    pub(crate) fn forget(&mut self) -> Result<(), Error> {
        for key in [COUNTER, FRAMEWORK] {
            self.write(key, None)?;
        }
        Ok(())
    }

    fn save(
        &mut self,
        key: &'static str,
        value: Result<Vec<u8>, serde_json::Error>,
    ) -> Result<(), Error> {
        match value {
            Ok(value) => self.write(key, Some(&value)),
            Err(error) => Err(self.failed(key, &error)),
        }
    }

    fn write(&mut self, key: &'static str, value: Option<&[u8]>) -> Result<(), Error> {
        // The disk may take its time: meanwhile the runtime's other work goes on elsewhere.
        let written = block_in_place(|| self.store.save(key, value));
        written.map_err(|error| self.failed(key, &error))
    }

    fn failed(&self, what: &'static str, reason: &dyn Display) -> Error {
        Error::Files {
            folder: self.folder.clone(),
            what,
            reason: reason.to_string(),
        }
    }
}
