use std::time::Duration;

use meseta_machine::{Entropy, Now};

use crate::action::Action;
use crate::config::Config;
use crate::input::Input;
use crate::snapshot::Snapshot;

/// A master.
#[derive(Debug)]
pub struct Master {
    snapshot: Snapshot,
    entropy: Entropy,
}

impl Master {
    /// A master that waits for [`Input::Recovered`].
    pub fn new(config: Config, entropy: Entropy, now: Now) -> Self {
        let master_info = config.master_info();
        Self {
            snapshot: Snapshot {
                config: config.into(),
                master_info: master_info.into(),
                time: now.wall,
                agents: Default::default(),
                recovered_agents: Default::default(),
                unreachable_agents: Default::default(),
                gone_agents: Default::default(),
                frameworks: Default::default(),
                completed_frameworks: Default::default(),
                offers: Default::default(),
                metrics: Default::default(),
            },
            entropy,
        }
    }

    /// Takes one input and appends what is to be done.
    pub fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        let _ = (input, actions, &mut self.entropy);
        self.snapshot.time = now.wall;
    }

    /// When [`Input::Wake`] is wanted next, in monotonic time.
    pub fn next_wake(&self) -> Option<Duration> {
        None
    }

    /// What readers may see now; takes constant time.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }
}
