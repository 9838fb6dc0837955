use std::collections::BTreeMap;

use meseta_proto::v1::{AgentId, ExecutorInfo, FrameworkId, TaskGroupInfo, TaskId, TaskInfo};
use meseta_resources::Resources;

use super::{Checked, Invalid};

/// What a task must agree with: the framework that launches it and the agent that is to run it.
pub trait LaunchContext {
    /// The framework.
    fn framework_id(&self) -> &FrameworkId;
    /// The agent whose offers are accepted.
    fn agent_id(&self) -> &AgentId;
    /// Whether the agent has the capability TASK_RESOURCE_LIMITS.
    fn agent_limits_tasks(&self) -> bool;
    /// Whether the framework has a task of this id that is not yet completed.
    fn has_task(&self, task: &TaskId) -> bool;
    /// Whether the framework has a task of this id on an unreachable agent.
    fn has_unreachable_task(&self, task: &TaskId) -> bool;
    /// The framework's executor of this id on the agent, if one is known.
    fn executor(&self, executor: &meseta_proto::v1::ExecutorId) -> Option<&ExecutorInfo>;
}

/// Checks a task of a LAUNCH operation. `offered` is what is left of the offers; the task's
/// resources carry allocation roles already, and its executor (if any) the framework's id.
pub fn task(task: &TaskInfo, context: &impl LaunchContext, offered: &Resources) -> Checked;

/// Checks the tasks and the executor of a LAUNCH_GROUP operation, likewise.
pub fn task_group(group: &TaskGroupInfo, executor: &ExecutorInfo, context: &impl LaunchContext, offered: &Resources) -> Checked;
