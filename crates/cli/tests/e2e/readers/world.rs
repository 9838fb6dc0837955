//! The cluster that readers look at.

use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::support::daemon::{Cluster, RESOURCES, agent_address, registered_agents};
use crate::support::http::Answer;
use crate::support::scheduler::{Scheduler, framework, scalar};

/// A cluster with one running task that has a port, labels, and something to discover.
pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) agent: SocketAddr,
    pub(super) agent_id: String,
    pub(super) scheduler: Scheduler,
}

impl World {
    pub(super) fn start() -> Self {
        let cluster = Cluster::with(&[RESOURCES, "--attributes=rack:r1;size:2"]);
        let agent = registered_agents(cluster.master(), 1).remove(0);
        let mut scheduler = cluster.subscribe(framework("shop"));
        scheduler.start_and_see_running(&json!({
            "name": "web",
            "task_id": {"value": "web.1"},
            "command": {"shell": true, "value": "echo one; echo two; echo three; sleep 1000"},
            "resources": [
                scalar("cpus", 0.5),
                scalar("mem", 64.0),
                {"name": "ports", "type": "RANGES", "role": "*",
                 "ranges": {"range": [{"begin": 31005, "end": 31005}, {"begin": 31007, "end": 31009}]}},
            ],
            "labels": {"labels": [
                {"key": "prometheus.metrics.enabled", "value": "true"},
                {"key": "tier", "value": "front"},
            ]},
            "discovery": {
                "visibility": "FRAMEWORK",
                "name": "web",
                "ports": {"ports": [{"number": 31005, "name": "http", "protocol": "tcp"}]},
            },
        }));
        // The rest is not wanted: offers come and go in what is shown.
        let offer = scheduler.offer();
        scheduler.tell(json!({"type": "DECLINE", "decline": {
            "offer_ids": [offer["id"]],
            "filters": {"refuse_seconds": 1e6},
        }}));
        Self {
            agent: agent_address(&agent),
            agent_id: agent["id"].as_str().expect("an id").to_owned(),
            cluster,
            scheduler,
        }
    }

    pub(super) fn master(&self) -> SocketAddr {
        self.cluster.master()
    }
}

/// A document as a reader in a typed language takes it.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer) -> T {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|e| panic!("not as it is read ({e}): {}", answer.text()))
}
