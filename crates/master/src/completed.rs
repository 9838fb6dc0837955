use std::sync::Arc;

use meseta_proto::v1::{AgentId, Task, TaskId, TaskState};
use prost::Message as _;

/// A task that is over, as it is remembered: encoded, which takes a fraction of the memory of its
/// parts. A master may remember a thousand for each of its frameworks, and few are ever looked at.
#[derive(Debug, PartialEq)]
pub struct CompletedTask {
    task_id: TaskId,
    agent_id: AgentId,
    state: TaskState,
    first_heard: Option<f64>,
    encoded: Box<[u8]>,
}

impl CompletedTask {
    /// Packs a task.
    pub fn new(task: &Task) -> Arc<Self> {
        Arc::new(Self {
            task_id: task.task_id.clone(),
            agent_id: task.agent_id.clone(),
            state: task.state(),
            first_heard: first_heard(task),
            encoded: task.encode_to_vec().into_boxed_slice(),
        })
    }

    /// The task's id.
    pub fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    /// Where it ran.
    pub fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }

    /// How it ended.
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// When its first status was made, in seconds since the Unix epoch.
    pub fn first_heard(&self) -> Option<f64> {
        self.first_heard
    }

    /// All of the task, as a `Task` in its protobuf encoding.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// All of the task.
    pub fn unpack(&self) -> Task {
        // It was encoded here, so it can be decoded.
        Task::decode(&*self.encoded).unwrap_or_default()
    }
}

/// When a task's first status was made; none if it has no status yet.
pub(crate) fn first_heard(task: &Task) -> Option<f64> {
    let first = task.statuses.first()?;
    Some(first.timestamp.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use meseta_proto::v1::{Resource, TaskStatus, value};

    use super::*;

    /// As a command task leaves it behind.
    fn finished() -> Task {
        let status = |state: TaskState| TaskStatus {
            task_id: "count-to-ten-000123".into(),
            state: state.into(),
            agent_id: Some("d3b07384-d9a0-4c0b-8b1a-5f2c1b7e6a10-S0".into()),
            executor_id: Some("count-to-ten-000123".into()),
            timestamp: Some(1_700_000_000.123),
            uuid: Some(vec![7; 16]),
            message: Some("Command exited with status 0".into()),
            ..TaskStatus::default()
        };
        let amount = |name: &str, value: f64| Resource {
            name: name.into(),
            r#type: value::Type::Scalar.into(),
            scalar: Some(value::Scalar { value }),
            ..Resource::default()
        };
        Task {
            name: "count-to-ten".into(),
            task_id: "count-to-ten-000123".into(),
            framework_id: "d3b07384-d9a0-4c0b-8b1a-5f2c1b7e6a10-0000".into(),
            agent_id: "d3b07384-d9a0-4c0b-8b1a-5f2c1b7e6a10-S0".into(),
            state: TaskState::TaskFinished.into(),
            resources: vec![amount("cpus", 0.1), amount("mem", 32.0)],
            statuses: vec![
                status(TaskState::TaskStarting),
                status(TaskState::TaskRunning),
                status(TaskState::TaskFinished),
            ],
            ..Task::default()
        }
    }

    #[test]
    fn nothing_of_a_task_is_lost() {
        let task = finished();
        let packed = CompletedTask::new(&task);
        assert_eq!(packed.unpack(), task);
        assert_eq!(*packed.task_id(), task.task_id);
        assert_eq!(*packed.agent_id(), task.agent_id);
        assert_eq!(packed.state(), TaskState::TaskFinished);
        assert_eq!(packed.first_heard(), Some(1_700_000_000.123));
    }

    #[test]
    fn a_trivial_task_takes_less_than_a_kilobyte() {
        let packed = CompletedTask::new(&finished());
        let ids = packed.task_id.as_str().len() + packed.agent_id.as_str().len();
        let bytes = size_of::<CompletedTask>() + ids + packed.encoded.len();
        assert!(bytes < 1024, "{bytes}");
    }
}
