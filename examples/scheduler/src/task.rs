//! One task: what is remembered of it, and where it is in its life.
//!
//! ```text
//!             an offer fits               it ends
//!   waiting ────────────────▶ launched ──────────────▶ ended
//!      ▲                         │
//!      └── it has never started ─┘
//! ```

use meseta_framework::v1::task_status::Reason;
use meseta_framework::v1::{
    AgentId, CommandInfo, Resource, TaskId, TaskInfo, TaskState, TaskStatus,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A command that was sent, and what has become of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) command: String,
    /// How often it was launched. All launches but the last are known to have come to nothing.
    pub(crate) launches: u32,
    /// Where it was launched last.
    pub(crate) agent_id: Option<String>,
    /// What was last heard of it.
    #[serde(serialize_with = "to_name", deserialize_with = "from_name")]
    pub(crate) state: TaskState,
    pub(crate) message: String,
    /// Whether somebody wants it to end.
    pub(crate) is_to_die: bool,
    /// Whether anything was heard of it since the framework subscribed last, or it was launched.
    #[serde(skip)]
    pub(crate) is_confirmed: bool,
}

impl Task {
    pub(crate) fn new(id: u64, command: String) -> Self {
        Self {
            id,
            command,
            launches: 0,
            agent_id: None,
            state: TaskState::TaskStaging,
            message: String::new(),
            is_to_die: false,
            is_confirmed: false,
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.agent_id.is_none() && !self.has_ended()
    }

    pub(crate) fn is_launched(&self) -> bool {
        self.agent_id.is_some() && !self.has_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state.is_terminal()
    }

    /// What the cluster calls the last launch. Each has an id of its own, since Mesos wants none used
    /// twice.
    pub(crate) fn task_id(&self) -> TaskId {
        format!("{}.{}", self.id, self.launches).into()
    }

    /// The number of the task that the cluster calls so.
    pub(crate) fn number_in(task_id: &TaskId) -> Option<u64> {
        task_id.as_str().split_once('.')?.0.parse().ok()
    }

    /// Enters that it is about to be launched, and tells as what.
    pub(crate) fn launch(&mut self, agent_id: &AgentId, resources: Vec<Resource>) -> TaskInfo {
        self.launches += 1;
        self.agent_id = Some(agent_id.as_str().to_owned());
        self.is_confirmed = false;
        TaskInfo {
            // What the master's page shows.
            name: self.command.chars().take(80).collect(),
            task_id: self.task_id(),
            agent_id: agent_id.clone(),
            command: Some(CommandInfo {
                value: Some(self.command.clone()),
                ..CommandInfo::default()
            }),
            resources,
            ..TaskInfo::default()
        }
    }

    /// Enters a status of its last launch. Whether that changes what is remembered.
    pub(crate) fn enter(&mut self, status: &TaskStatus) -> bool {
        self.is_confirmed = true;
        let before = self.clone();
        if self.has_never_started(status) {
            if self.is_to_die {
                self.die();
            } else {
                self.agent_id = None;
            }
        } else {
            self.state = status.state();
            status.message().clone_into(&mut self.message);
        }
        *self != before
    }

    /// Ends, while nothing of it runs.
    pub(crate) fn die(&mut self) {
        self.state = TaskState::TaskKilled;
        "Killed before it was launched".clone_into(&mut self.message);
    }

    /// Whether a status tells that the last launch came to nothing, so that there can be another.
    ///
    /// The scheduler may die after it has written a launch down and before the master hears of it;
    /// the master and the agent may die before they have. If it is us who ask, the answer for a task
    /// that the agent does not know is TASK_GONE. One that has run is known until we have acknowledged
    /// its end, and that we only do once we have written it down.
    fn has_never_started(&self, status: &TaskStatus) -> bool {
        let is_answer = status.reason() == Reason::Reconciliation;
        self.state == TaskState::TaskStaging
            && match status.state() {
                TaskState::TaskDropped => true,
                TaskState::TaskGone => is_answer,
                _ => false,
            }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn to_name<S: Serializer>(state: &TaskState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str_name())
}

fn from_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TaskState, D::Error> {
    let name = String::deserialize(deserializer)?;
    TaskState::from_str_name(&name)
        .ok_or_else(|| serde::de::Error::custom(format!("'{name}' is no state of a task")))
}
