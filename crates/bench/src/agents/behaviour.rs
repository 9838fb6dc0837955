//! What emulated agents do with their tasks, and what they come back with.

use std::str::FromStr;
use std::time::Duration;

use meseta_proto::v1::{FrameworkInfo, TaskState};

/// The updates that every task gets: the first ones at once, the last one at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) opening: Vec<TaskState>,
    /// None for tasks that run until they are killed.
    pub(crate) ending: Option<TaskState>,
    /// From the launch to the last update.
    pub(crate) duration: Duration,
}

impl Pattern {
    /// Starts, runs, and finishes after a while.
    pub(crate) fn finishing(after: Duration) -> Self {
        Self {
            opening: vec![TaskState::TaskStarting, TaskState::TaskRunning],
            ending: Some(TaskState::TaskFinished),
            duration: after,
        }
    }

    /// Runs until killed.
    pub(crate) fn running() -> Self {
        Self {
            ending: None,
            ..Self::finishing(Duration::ZERO)
        }
    }
}

/// Why a text names no pattern of updates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no list of task states such as starting,running,finished")]
pub(crate) struct PatternError(String);

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let state = |name: &str| {
            let name = format!("TASK_{}", name.trim().to_uppercase());
            TaskState::from_str_name(&name).ok_or_else(|| PatternError(text.to_owned()))
        };
        let mut opening: Vec<TaskState> = text.split(',').map(state).collect::<Result<_, _>>()?;
        let ending = opening.pop_if(|last| last.is_terminal());
        // What follows an end would never be sent, and TASK_STAGING ends an executor.
        if opening
            .iter()
            .any(|state| state.is_terminal() || *state == TaskState::TaskStaging)
        {
            return Err(PatternError(text.to_owned()));
        }
        Ok(Self {
            opening,
            ending,
            duration: Duration::ZERO,
        })
    }
}

/// What every agent has from a life before, and comes back with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Whose tasks they are, with ids. Empty if agents register for the first time.
    pub(crate) frameworks: Vec<FrameworkInfo>,
    /// Running tasks on each agent.
    pub(crate) tasks: usize,
    /// Completed tasks on each agent.
    pub(crate) completed: usize,
}

impl Standing {
    pub(crate) fn is_nothing(&self) -> bool {
        self.frameworks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_list_of_states_with_at_most_one_end() {
        let pattern: Pattern = "starting,running,finished".parse().unwrap();
        assert_eq!(pattern, Pattern::finishing(Duration::ZERO));
        let pattern: Pattern = "STARTING, RUNNING".parse().unwrap();
        assert_eq!(pattern, Pattern::running());
        for text in [
            "",
            "walking",
            "finished,running",
            "staging,running",
            "failed,failed",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
