use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use meseta_machine::StreamId;
use meseta_proto::Upid;
use meseta_proto::v1::{AgentId, FrameworkId};

/// Who is behind which address, stream and pinger.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    agents: ByAddress<AgentId>,
    drivers: ByAddress<FrameworkId>,
    streams: BTreeMap<StreamId, FrameworkId>,
    observers: BTreeMap<u64, AgentId>,
}

/// Several processes may share an address.
type ByAddress<T> = BTreeMap<SocketAddrV4, BTreeMap<String, T>>;

impl Peers {
    pub(crate) fn agent(&self, pid: &Upid) -> Option<&AgentId> {
        self.agents.get(&pid.address)?.get(&pid.id)
    }

    pub(crate) fn agents_at(&self, address: SocketAddrV4) -> Vec<AgentId> {
        values_at(&self.agents, address)
    }

    pub(crate) fn add_agent(&mut self, pid: &Upid, observer: u64, id: &AgentId) {
        insert(&mut self.agents, pid, id.clone());
        self.observers.insert(observer, id.clone());
    }

    pub(crate) fn remove_agent(&mut self, pid: &Upid, observer: u64) {
        remove(&mut self.agents, pid);
        self.observers.remove(&observer);
    }

    /// The agent that a process named `slave-observer(N)` pings.
    pub(crate) fn observed_by(&self, process: &str) -> Option<&AgentId> {
        let number = process.strip_prefix("slave-observer(")?.strip_suffix(')')?;
        self.observers.get(&number.parse().ok()?)
    }

    pub(crate) fn driver(&self, pid: &Upid) -> Option<&FrameworkId> {
        self.drivers.get(&pid.address)?.get(&pid.id)
    }

    pub(crate) fn drivers_at(&self, address: SocketAddrV4) -> Vec<FrameworkId> {
        values_at(&self.drivers, address)
    }

    pub(crate) fn add_driver(&mut self, pid: &Upid, id: &FrameworkId) {
        insert(&mut self.drivers, pid, id.clone());
    }

    pub(crate) fn remove_driver(&mut self, pid: &Upid) {
        remove(&mut self.drivers, pid);
    }

    pub(crate) fn stream(&self, stream: &StreamId) -> Option<&FrameworkId> {
        self.streams.get(stream)
    }

    pub(crate) fn add_stream(&mut self, stream: &StreamId, id: &FrameworkId) {
        self.streams.insert(stream.clone(), id.clone());
    }

    pub(crate) fn remove_stream(&mut self, stream: &StreamId) {
        self.streams.remove(stream);
    }
}

fn values_at<T: Clone>(map: &ByAddress<T>, address: SocketAddrV4) -> Vec<T> {
    let there = map.get(&address);
    there
        .map(|there| there.values().cloned().collect())
        .unwrap_or_default()
}

fn insert<T>(map: &mut ByAddress<T>, pid: &Upid, value: T) {
    map.entry(pid.address)
        .or_default()
        .insert(pid.id.clone(), value);
}

fn remove<T>(map: &mut ByAddress<T>, pid: &Upid) {
    if let Some(there) = map.get_mut(&pid.address) {
        there.remove(&pid.id);
        if there.is_empty() {
            map.remove(&pid.address);
        }
    }
}
