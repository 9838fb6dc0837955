//! Finding the processes of a cluster.

use std::net::SocketAddrV4;

use meseta_proto::Upid;
use procfs::process::{Process, Stat, all_processes};
use serde_json::Value;

use crate::error::Error;
use crate::measure::{ProcessError, Usage, Watched, listener_of};
use crate::stage::Connection;

/// What tasks of this run are, to be told apart from their executors.
const TASKS: [&str; 3] = ["sh", "sleep", "true"];

/// The agents of a master that run on this machine.
pub(super) async fn agents_of(master: SocketAddrV4) -> Result<Vec<Watched>, Error> {
    let what = "/master/slaves";
    let answer = Connection::open(master).await?.get(what).await?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let agents = said.get("slaves").and_then(Value::as_array);
    let pids = agents
        .into_iter()
        .flatten()
        .filter_map(|agent| Upid::from_field(agent.get("pid")?.as_str()));
    let mut watched: Vec<Watched> = Vec::new();
    for pid in pids.filter(|pid| pid.address.ip().is_loopback()) {
        watched.push(Watched::new(listener_of(pid.address)?)?);
    }
    Ok(watched)
}

/// What the executors of an agent use: its descendants that are no tasks.
pub(super) fn executors_of(agent: i32) -> Result<Vec<Usage>, Error> {
    let stats: Vec<Stat> = all_processes()
        .map_err(ProcessError::from)?
        .filter_map(Result::ok)
        .filter_map(|process: Process| process.stat().ok())
        .collect();
    let mut family = vec![agent];
    let mut executors = Vec::new();
    while let Some(parent) = family.pop() {
        for child in stats.iter().filter(|stat| stat.ppid == parent) {
            family.push(child.pid);
            if !TASKS.contains(&child.comm.as_str()) {
                // One that has ended in between is none.
                let usage = Watched::new(child.pid).and_then(|watched| watched.usage());
                executors.extend(usage.ok());
            }
        }
    }
    Ok(executors)
}
