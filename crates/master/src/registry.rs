//! The facts that outlive a master, as the registry holds them.
//!
//! | key | value |
//! |---|---|
//! | `agents/<id>` | `Registry.Slave`: an agent that was admitted and is not gone |
//! | `unreachable/<id>` | `Registry.UnreachableSlave`: it was given up, and may come back |
//! | `gone/<id>` | `Registry.GoneSlave`: an operator declared it gone for ever |
//! | `deactivated/<id>` | `DrainInfo`: an operator wants nothing offered of the agent; of one that is not drained, the state is unknown |
//! | `quotas/<role>` | `QuotaConfig`: what the role is guaranteed and limited to |
//! | `maintenance` | `Schedule`: when machines will be away |
//! | `machines` | `Registry.Machines`: those that are away just now |
//! | `weights/<role>` | `Registry.Weight`: how much the role counts beside others |

use std::fmt::Display;

use meseta_proto::internal::registry;
use meseta_proto::v1::maintenance::Schedule;
use meseta_proto::v1::quota::QuotaConfig;
use meseta_proto::v1::{
    AgentId, AgentInfo, DrainInfo, DrainState, MachineId, MachineInfo, TimeInfo, WeightInfo,
    machine_info,
};
use meseta_proto::{Wire, decode};

/// One change: a value to write under a key, or nothing to forget it.
pub(crate) type Change = (String, Option<Vec<u8>>);

const AGENTS: &str = "agents/";
const UNREACHABLE: &str = "unreachable/";
const GONE: &str = "gone/";
const DEACTIVATED: &str = "deactivated/";
const QUOTAS: &str = "quotas/";
const WEIGHTS: &str = "weights/";
const MAINTENANCE: &str = "maintenance";
const MACHINES: &str = "machines";

/// The agent is admitted, or what it says about itself has changed.
pub(crate) fn admit(id: &AgentId, info: &AgentInfo) -> Change {
    let fact = registry::Slave {
        info: info.clone().into(),
        ..Default::default()
    };
    write(AGENTS, id, &fact)
}

/// The agent is forgotten.
pub(crate) fn forget(id: &AgentId) -> Change {
    (format!("{AGENTS}{id}"), None)
}

/// The agent is given up.
pub(crate) fn mark_unreachable(id: &AgentId, since: TimeInfo) -> Change {
    let fact = registry::UnreachableSlave {
        id: id.clone(),
        timestamp: since,
        ..Default::default()
    };
    write(UNREACHABLE, id, &fact)
}

/// The agent is back.
pub(crate) fn mark_reachable(id: &AgentId) -> Change {
    (format!("{UNREACHABLE}{id}"), None)
}

/// The role has a quota, or another one than before.
pub(crate) fn set_quota(config: &QuotaConfig) -> Change {
    write(QUOTAS, &config.role, config)
}

/// The role has no quota.
pub(crate) fn forget_quota(role: &str) -> Change {
    (format!("{QUOTAS}{role}"), None)
}

/// The role has a weight, or another one than before.
pub(crate) fn set_weight(role: &str, weight: f64) -> Change {
    let info = WeightInfo {
        role: Some(role.to_owned()),
        weight,
    };
    write(WEIGHTS, role, &registry::Weight { info })
}

/// Machines will be away at other times than before.
pub(crate) fn set_schedule(schedule: &Schedule) -> Change {
    write(MAINTENANCE, "", schedule)
}

/// Which machines are away just now.
pub(crate) fn set_down_machines<'a>(machines: impl Iterator<Item = &'a MachineId>) -> Change {
    let machines = machines.map(|id| registry::Machine {
        info: MachineInfo {
            id: id.clone(),
            mode: Some(machine_info::Mode::Down.into()),
            unavailability: None,
        },
    });
    let fact = registry::Machines {
        machines: machines.collect(),
    };
    write(MACHINES, "", &fact)
}

fn write(prefix: &str, name: impl Display, fact: &impl Wire) -> Change {
    (format!("{prefix}{name}"), Some(fact.encode_to_vec()))
}

/// An operator declared the agent gone for ever.
pub(crate) fn mark_gone(id: &AgentId, since: TimeInfo) -> Change {
    let fact = registry::GoneSlave {
        id: id.clone(),
        timestamp: since,
    };
    write(GONE, id, &fact)
}

/// The agent that an operator declared gone is forgotten.
pub(crate) fn forget_gone(id: &AgentId) -> Change {
    (format!("{GONE}{id}"), None)
}

/// Nothing is offered of the agent, which is drained, or not.
pub(crate) fn deactivate(id: &AgentId, drain: Option<&DrainInfo>) -> Change {
    write(DEACTIVATED, id, &drain.copied().unwrap_or_default())
}

/// The agent is offered again, or forgotten.
pub(crate) fn reactivate(id: &AgentId) -> Change {
    (format!("{DEACTIVATED}{id}"), None)
}

/// A fact as it was found.
#[derive(Debug, PartialEq)]
pub(crate) enum Fact {
    Agent(AgentId, AgentInfo),
    Unreachable(AgentId, TimeInfo),
    Gone(AgentId, TimeInfo),
    Deactivation(AgentId, Option<DrainInfo>),
    Quota(QuotaConfig),
    Weight(WeightInfo),
    Schedule(Schedule),
    DownMachines(Vec<MachineId>),
}

/// Reads a fact; `None` when this program did not write it.
pub(crate) fn read(key: &str, value: &[u8]) -> Option<Fact> {
    if let Some(id) = key.strip_prefix(AGENTS) {
        let fact: registry::Slave = decode(value).ok()?;
        return Some(Fact::Agent(id.into(), fact.info.into()));
    }
    if key.starts_with(UNREACHABLE) {
        let fact: registry::UnreachableSlave = decode(value).ok()?;
        return Some(Fact::Unreachable(fact.id, fact.timestamp));
    }
    if key.starts_with(GONE) {
        let fact: registry::GoneSlave = decode(value).ok()?;
        return Some(Fact::Gone(fact.id, fact.timestamp));
    }
    if let Some(id) = key.strip_prefix(DEACTIVATED) {
        let drain: DrainInfo = decode(value).ok()?;
        let drain = (drain.state() != DrainState::Unknown).then_some(drain);
        return Some(Fact::Deactivation(id.into(), drain));
    }
    if key == MAINTENANCE {
        return decode(value).ok().map(Fact::Schedule);
    }
    if key == MACHINES {
        let fact: registry::Machines = decode(value).ok()?;
        let machines = fact.machines.into_iter();
        return Some(Fact::DownMachines(machines.map(|it| it.info.id).collect()));
    }
    if key.starts_with(QUOTAS) {
        return decode(value).ok().map(Fact::Quota);
    }
    if key.starts_with(WEIGHTS) {
        let fact: registry::Weight = decode(value).ok()?;
        return Some(Fact::Weight(fact.info));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_they_were_written() {
        let id = AgentId::from("m-S1");
        let info = AgentInfo {
            hostname: "h".into(),
            id: Some(id.clone()),
            ..Default::default()
        };
        let since = TimeInfo { nanoseconds: 7 };
        let round = |(key, value): Change| read(&key, &value.unwrap());
        assert_eq!(
            round(admit(&id, &info)),
            Some(Fact::Agent(id.clone(), info))
        );
        assert_eq!(
            round(mark_unreachable(&id, since)),
            Some(Fact::Unreachable(id, since))
        );
        let id = AgentId::from("m-S1");
        let drain = DrainInfo {
            state: DrainState::Drained.into(),
            ..Default::default()
        };
        for drain in [Some(drain), None] {
            let fact = Fact::Deactivation(id.clone(), drain);
            assert_eq!(round(deactivate(&id, drain.as_ref())), Some(fact));
        }
        let config = QuotaConfig {
            role: "a/b".into(),
            ..Default::default()
        };
        assert_eq!(round(set_quota(&config)), Some(Fact::Quota(config)));
        let weight = WeightInfo {
            role: Some("a".into()),
            weight: 2.5,
        };
        assert_eq!(round(set_weight("a", 2.5)), Some(Fact::Weight(weight)));
        let machine = MachineId {
            hostname: Some("h".into()),
            ip: None,
        };
        assert_eq!(
            round(set_down_machines([&machine].into_iter())),
            Some(Fact::DownMachines(vec![machine]))
        );
        assert_eq!(read("weights/a", b""), None);
        assert_eq!(read("others/a", b""), None);
    }
}
