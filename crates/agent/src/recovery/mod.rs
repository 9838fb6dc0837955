//! What an agent's next life needs, as facts in a store.

pub(crate) mod facts;
mod rebuild;

use meseta_proto::v1::ContainerId;
use prost::Message;

use crate::records::Process;
use facts::{EXECUTOR, ExecutorFact};

/// The containers among the facts, with the process to look for: [`crate::Input::Recovered`]
/// wants to know which of them still live.
pub fn containers(facts: &[(String, Vec<u8>)]) -> Vec<(ContainerId, Process)> {
    facts
        .iter()
        .filter(|(key, _)| key.starts_with(EXECUTOR))
        .filter_map(|(_, bytes)| ExecutorFact::decode(bytes.as_slice()).ok())
        .filter(|fact| !fact.terminated)
        .filter_map(|fact| {
            let process = fact.process?;
            let process = Process {
                pid: process.pid,
                start_time: process.start_time,
            };
            Some((fact.container_id, process))
        })
        .collect()
}
