//! What `meseta top` watches: the master's `/state-summary`, which stays small on large clusters.

use serde::{Deserialize, Serialize};

use crate::operator::client::Client;
use crate::operator::error::Error;

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) hostname: String,
    pub(super) cluster: Option<String>,
    #[serde(rename = "slaves")]
    pub(super) agents: Vec<Agent>,
    pub(super) frameworks: Vec<Framework>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Agent {
    pub(super) id: String,
    pub(super) hostname: String,
    #[serde(default)]
    pub(super) active: bool,
    #[serde(default)]
    pub(super) resources: Amounts,
    #[serde(default, rename = "used_resources")]
    pub(super) used: Amounts,
    #[serde(flatten)]
    pub(super) states: States,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Framework {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) active: bool,
    #[serde(default, rename = "used_resources")]
    pub(super) used: Amounts,
    #[serde(flatten)]
    pub(super) states: States,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Amounts {
    pub(super) cpus: f64,
    pub(super) mem: f64,
    pub(super) disk: f64,
}

/// How many tasks are in each state.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct States {
    #[serde(rename = "TASK_STAGING")]
    pub(super) staging: u64,
    #[serde(rename = "TASK_STARTING")]
    pub(super) starting: u64,
    #[serde(rename = "TASK_RUNNING")]
    pub(super) running: u64,
    #[serde(rename = "TASK_KILLING")]
    pub(super) killing: u64,
    #[serde(rename = "TASK_FINISHED")]
    pub(super) finished: u64,
    #[serde(rename = "TASK_KILLED")]
    pub(super) killed: u64,
    #[serde(rename = "TASK_FAILED")]
    pub(super) failed: u64,
    #[serde(rename = "TASK_LOST")]
    pub(super) lost: u64,
    #[serde(rename = "TASK_ERROR")]
    pub(super) error: u64,
    #[serde(rename = "TASK_UNREACHABLE")]
    pub(super) unreachable: u64,
}

impl States {
    fn named(self) -> [(&'static str, u64); 10] {
        [
            ("running", self.running),
            ("staging", self.staging),
            ("starting", self.starting),
            ("killing", self.killing),
            ("unreachable", self.unreachable),
            ("finished", self.finished),
            ("killed", self.killed),
            ("failed", self.failed),
            ("lost", self.lost),
            ("error", self.error),
        ]
    }
}

impl Amounts {
    pub(super) fn get(&self, resource: &str) -> f64 {
        match resource {
            "cpus" => self.cpus,
            "mem" => self.mem,
            "disk" => self.disk,
            _ => 0.0,
        }
    }
}

impl Summary {
    pub(super) fn of(client: &Client, attempt: &str) -> Result<Self, Error> {
        client.get("/master/state-summary", attempt)
    }

    /// How much of a resource is used, and how much there is.
    pub(super) fn use_of(&self, resource: &str) -> (f64, f64) {
        let used = self.agents.iter().map(|it| it.used.get(resource)).sum();
        let total = self.agents.iter().map(|it| it.resources.get(resource));
        (used, total.sum())
    }

    /// The tasks of all frameworks, in words.
    pub(super) fn tasks_by_state(&self) -> String {
        let mut counts = States::default().named();
        for framework in &self.frameworks {
            for (sum, (_, count)) in counts.iter_mut().zip(framework.states.named()) {
                sum.1 += count;
            }
        }
        let counts = counts.iter().enumerate();
        // Running tasks are named even if there are none.
        let counts = counts.filter(|(place, (_, count))| *place == 0 || *count > 0);
        let words: Vec<String> = counts
            .map(|(_, (state, count))| format!("{count} {state}"))
            .collect();
        words.join(", ")
    }
}
