//! What is to be kept running, and where.

use meseta_proto::json;
use meseta_proto::v1::{CommandInfo, Resource, TaskInfo};
use meseta_resources::Resources;
use serde::{Deserialize, Serialize};

use super::constraint::Constraint;
use crate::Error;
use crate::limits::MAX_NAME;
use crate::resource::{cpus, mem};

/// A task to keep running.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What to run. The id and the agent are filled in for each run.
    pub info: TaskInfo,
    /// What agents must be like.
    pub constraints: Vec<Constraint>,
    /// Whether to run again after an end.
    pub restart: Restart,
    /// Which tasks it keeps apart from, where its constraints say so; its own name otherwise.
    pub group: Option<String>,
}

/// What becomes of a task that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// It runs again, however it ended.
    #[default]
    Always,
    /// It runs again unless it has finished.
    OnFailure,
    /// It runs once.
    Never,
}

/// How a task is remembered.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    info: serde_json::Value,
    constraints: Vec<Constraint>,
    restart: Restart,
    #[serde(default)]
    group: Option<String>,
}

impl Task {
    /// A command for `/bin/sh`, with a tenth of a processor and 32 MB, that always runs again.
    pub fn command(name: impl Into<String>, command: impl Into<String>) -> Self {
        let info = TaskInfo {
            name: name.into(),
            command: Some(CommandInfo {
                value: Some(command.into()),
                ..CommandInfo::default()
            }),
            resources: vec![cpus(0.1), mem(32.0)],
            ..TaskInfo::default()
        };
        Self {
            info,
            constraints: Vec::new(),
            restart: Restart::default(),
            group: None,
        }
    }

    /// With so many processors.
    #[must_use]
    pub fn cpus(self, processors: f64) -> Self {
        self.with(cpus(processors))
    }

    /// With so many megabytes of memory.
    #[must_use]
    pub fn mem(self, megabytes: f64) -> Self {
        self.with(mem(megabytes))
    }

    /// With another resource, in place of what it had of that name.
    #[must_use]
    pub fn with(mut self, resource: Resource) -> Self {
        self.info.resources.retain(|r| r.name != resource.name);
        self.info.resources.push(resource);
        self
    }

    /// Only on agents like this.
    #[must_use]
    pub fn only_where(mut self, constraint: Constraint) -> Self {
        self.constraints.push(constraint);
        self
    }

    /// One of a group of tasks, for constraints that keep them apart:
    ///
    /// ```
    /// use meseta_framework::keep::{Constraint, Task};
    ///
    /// // Three servers, no two of them on one agent.
    /// let servers = (0..3).map(|i| {
    ///     Task::command(format!("web-{i}"), "exec python3 -m http.server")
    ///         .in_group("web")
    ///         .only_where(Constraint::Unique("hostname".into()))
    /// });
    /// assert_eq!(servers.count(), 3);
    /// ```
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// With another rule for what becomes of it after its end.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// The name by which it is kept.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// The tasks that it keeps apart from.
    pub(super) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(self.name())
    }

    /// Whether it could ever be launched.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |reason: String| Error::Task {
            name: self.name().to_owned(),
            reason,
        };
        if self.name().is_empty() {
            return Err(wrong("it has no name".into()));
        }
        // The number of its run is added to it.
        if self.name().len() > MAX_NAME
            || self
                .name()
                .contains(|c: char| c == '/' || c == '\\' || c.is_control())
        {
            let reason = format!(
                "its name is part of ids: at most {MAX_NAME} bytes without slashes and line ends"
            );
            return Err(wrong(reason));
        }
        match Resources::from_v1(&self.info.resources) {
            Err(error) => Err(wrong(error.to_string())),
            Ok(resources) if resources.is_empty() => Err(wrong("it asks for no resources".into())),
            Ok(_) => Ok(()),
        }
    }

    pub(super) fn to_record(&self) -> Record {
        Record {
            info: serde_json::from_str(&json::to_string(&self.info)).unwrap_or_default(),
            constraints: self.constraints.clone(),
            restart: self.restart,
            group: self.group.clone(),
        }
    }

    pub(super) fn from_record(record: Record) -> Result<Self, String> {
        let info = record.info.to_string();
        Ok(Self {
            info: json::from_slice(info.as_bytes()).map_err(|e| e.to_string())?,
            constraints: record.constraints,
            restart: record.restart,
            group: record.group,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_never_run_is_refused_with_the_reason() {
        let web = |name: &str| Task::command(name, "serve");
        let mut bare = web("web");
        bare.info.resources.clear();
        for (task, reason) in [
            (web(""), "no name"),
            (web("a/b"), "slashes"),
            (web(&"a".repeat(MAX_NAME + 1)), "at most"),
            (bare, "no resources"),
            (web("web").cpus(-1.0), "cpus"),
        ] {
            let error = task.check().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(web(&"a".repeat(MAX_NAME)).check(), Ok(()));
    }

    #[test]
    fn a_resource_takes_the_place_of_the_one_of_its_name() {
        let task = Task::command("web", "serve").cpus(2.0).cpus(3.0).mem(64.0);
        assert_eq!(task.info.resources, [cpus(3.0), mem(64.0)]);
    }
}
