use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use meseta_proto::json;
use meseta_proto::v1::MachineId;
use meseta_proto::v1::maintenance::Schedule;

use super::{Checked, Invalid};
use crate::maintenance::machine_key;

/// Checks a schedule of maintenance.
///
/// # Errors
/// In Mesos's words.
pub fn schedule(schedule: &Schedule) -> Checked {
    let mut seen = BTreeSet::new();
    for window in &schedule.windows {
        if window.machine_ids.is_empty() {
            return Err(Invalid::new(
                "List of machines in the maintenance window is empty",
            ));
        }
        let duration = window.unavailability.duration;
        if duration.is_some_and(|duration| duration.nanoseconds < 0) {
            return Err(Invalid::new("Unavailability 'duration' is negative"));
        }
        for id in &window.machine_ids {
            machine(id)?;
            if !seen.insert(machine_key(id)) {
                return Err(repeated(id));
            }
        }
    }
    Ok(())
}

/// Checks a list of machines.
///
/// # Errors
/// In Mesos's words.
pub fn machines(machines: &[MachineId]) -> Checked {
    if machines.is_empty() {
        return Err(Invalid::new("List of machines is empty"));
    }
    let mut seen = BTreeSet::new();
    for id in machines {
        machine(id)?;
        if !seen.insert(machine_key(id)) {
            return Err(repeated(id));
        }
    }
    Ok(())
}

fn repeated(id: &MachineId) -> Invalid {
    Invalid(format!(
        "Machine '{}' appears more than once in the schedule",
        json::to_string(id)
    ))
}

fn machine(id: &MachineId) -> Checked {
    if id.hostname().is_empty() && id.ip().is_empty() {
        return Err(Invalid::new(
            "Both 'hostname' and 'ip' for a machine are empty",
        ));
    }
    if !id.ip().is_empty() && id.ip().parse::<Ipv4Addr>().is_err() {
        return Err(Invalid(format!("Failed to parse IPv4: {}", id.ip())));
    }
    Ok(())
}
