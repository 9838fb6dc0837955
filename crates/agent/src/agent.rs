use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use meseta_machine::{Entropy, Now};
use meseta_proto::v1::AgentInfo;

use crate::{Action, Config, Counters, Input, Snapshot};

/// The agent.
#[derive(Debug)]
pub struct Agent {
    config: Arc<Config>,
    #[allow(dead_code, reason = "the machine follows")]
    entropy: Entropy,
    start_time: Duration,
}

impl Agent {
    /// An agent that waits for [`Input::Recovered`].
    pub fn new(config: Config, entropy: Entropy, now: Now) -> Self {
        Self {
            config: Arc::new(config),
            entropy,
            start_time: now.wall,
        }
    }

    /// Takes one input.
    pub fn step(&mut self, _now: Now, _input: Input, _actions: &mut Vec<Action>) {}

    /// When the agent wants [`Input::Wake`], in monotonic time.
    pub fn next_wake(&self) -> Option<Duration> {
        None
    }

    /// The agent as it is now, for its readers.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            config: Arc::clone(&self.config),
            info: Arc::new(AgentInfo::default()),
            registered: false,
            start_time: self.start_time,
            master: None,
            frameworks: OrdMap::new(),
            completed_frameworks: Vector::new(),
            checkpointed_resources: Arc::default(),
            total_resources: Arc::default(),
            operations: OrdMap::new(),
            drain: None,
            counters: Counters::default(),
        }
    }
}
