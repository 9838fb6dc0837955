//! `meseta maintenance`: when machines are worked on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meseta_proto::v1::maintenance::{Schedule, Window};
use meseta_proto::v1::master::Call;
use meseta_proto::v1::master::call::{self, Type};
use meseta_proto::v1::master::response::get_agents::Agent;
use meseta_proto::v1::{DurationInfo, MachineId, TimeInfo, Unavailability};

use super::arguments::Maintenance as Command;
use super::client::{Client, to_master};
use super::error::Error;
use super::find;
use super::output::{Output, Table};
use super::{agent, consent, text};

pub(super) fn run(command: Command, client: &Client, output: &Output) -> Result<(), Error> {
    match command {
        Command::Status => status(client, output),
        Command::Schedule {
            machines,
            start,
            duration,
            clear,
        } => {
            let machines = named(client, &machines.machines)?;
            match start {
                Some(start) => {
                    let start = moment(&start, SystemTime::now())?;
                    add(machines, start, duration, client, output)
                }
                None if clear => remove(&machines, client, output),
                None => show(&machines, client, output),
            }
        }
        Command::Start { machines, consent } => {
            let machines = named(client, &machines.machines)?;
            let all = listed(&machines);
            consent::ask(
                &consent,
                &format!("taking down {all}, where agents and tasks end,"),
            )?;
            let call = Call {
                start_maintenance: Some(call::StartMaintenance { machines }),
                ..to_master(Type::StartMaintenance)
            };
            client
                .change(&call, &format!("start the maintenance of {all}"))
                .map_err(with_advice)?;
            output.done(&format!("Down for maintenance: {all}."))
        }
        Command::Stop { machines } => {
            let machines = named(client, &machines.machines)?;
            let all = listed(&machines);
            let call = Call {
                stop_maintenance: Some(call::StopMaintenance { machines }),
                ..to_master(Type::StopMaintenance)
            };
            client.change(&call, &format!("stop the maintenance of {all}"))?;
            output.done(&format!("Up again: {all}."))
        }
    }
}

/// Machines that are not scheduled cannot be taken down.
fn with_advice(error: Error) -> Error {
    match error {
        Error::Refused {
            attempt,
            address,
            status,
            sentence,
        } if sentence.ends_with("is not part of a maintenance schedule") => Error::Refused {
            attempt,
            address,
            status,
            sentence: sentence
                + "; `meseta maintenance schedule MACHINE --start=now` puts it there",
        },
        error => error,
    }
}

/// The machines that words mean: those of agents, those in the schedule, or `HOST/IP`.
fn named(client: &Client, words: &[String]) -> Result<Vec<MachineId>, Error> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let attempt = format!("look for {}", words.join(", "));
    let agents = agent::all(client, &attempt)?.agents;
    let scheduled = schedule(client, &attempt)?;
    let scheduled = scheduled.windows.into_iter().flat_map(|it| it.machine_ids);
    let scheduled: Vec<MachineId> = scheduled.collect();
    words
        .iter()
        .map(|word| {
            if let Some((host, ip)) = word.split_once('/') {
                let some = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
                return Ok(MachineId {
                    hostname: some(host),
                    ip: some(ip),
                });
            }
            // A machine that is down has no agents, but still its window.
            let is_it = |machine: &&MachineId| machine.hostname() == word || machine.ip() == word;
            if let Some(machine) = scheduled.iter().find(is_it) {
                return Ok(machine.clone());
            }
            let on_it: Vec<MachineId> = agents
                .iter()
                .map(machine_of)
                .filter(|machine| is_it(&machine))
                .collect();
            match on_it.first() {
                // Several agents of one machine are one machine.
                Some(first) if on_it.iter().all(|machine| machine == first) => Ok(first.clone()),
                _ => find::one(find::AGENT, word, agents.clone(), agent::names)
                    .map(|agent| machine_of(&agent))
                    .map_err(|error| unknown(error, word)),
            }
        })
        .collect()
}

/// Machines need no agent.
fn unknown(error: Error, word: &str) -> Error {
    match error {
        Error::Unknown { .. } => Error::Unfit {
            attempt: format!("look for machine {word}"),
            reason: "no agent and no window of the schedule is there; HOST/IP names a machine \
                     without agents"
                .to_owned(),
        },
        error => error,
    }
}

fn machine_of(agent: &Agent) -> MachineId {
    let ip = agent::address(agent).and_then(|address| address.rsplit_once(':'));
    MachineId {
        hostname: Some(agent.agent_info.hostname.clone()),
        ip: ip.map(|(ip, _)| ip.to_owned()),
    }
}

fn name(machine: &MachineId) -> String {
    match (machine.hostname(), machine.ip()) {
        (host, "") => host.to_owned(),
        ("", ip) => ip.to_owned(),
        (host, ip) if host == ip => host.to_owned(),
        (host, ip) => format!("{host}/{ip}"),
    }
}

fn listed(machines: &[MachineId]) -> String {
    machines.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn schedule(client: &Client, attempt: &str) -> Result<Schedule, Error> {
    let answer = client.ask(Type::GetMaintenanceSchedule, attempt)?;
    Ok(answer
        .get_maintenance_schedule
        .map(|it| it.schedule)
        .unwrap_or_default())
}

/// `now`, a time from now, or a moment in RFC 3339.
fn moment(text: &str, now: SystemTime) -> Result<SystemTime, Error> {
    if text == "now" {
        return Ok(now);
    }
    let from_now = humantime::parse_duration(text).ok();
    from_now
        .and_then(|time| now.checked_add(time))
        .or_else(|| humantime::parse_rfc3339_weak(text).ok())
        .ok_or_else(|| Error::Word {
            what: "time",
            value: text.to_owned(),
            reason: "expected now, a time from now such as 2h, or a moment such as \
                     2026-05-01T02:00:00Z"
                .to_owned(),
        })
}

/// The windows without these machines; windows without any machine are no more.
fn without(schedule: Schedule, machines: &[MachineId]) -> Schedule {
    let mut windows = schedule.windows;
    for window in &mut windows {
        window.machine_ids.retain(|it| !machines.contains(it));
    }
    windows.retain(|window| !window.machine_ids.is_empty());
    Schedule { windows }
}

fn update(schedule: Schedule, client: &Client, attempt: &str) -> Result<(), Error> {
    let call = Call {
        update_maintenance_schedule: Some(call::UpdateMaintenanceSchedule { schedule }),
        ..to_master(Type::UpdateMaintenanceSchedule)
    };
    client.change(&call, attempt)
}

/// Gives the machines this window in place of those that they had.
fn add(
    machines: Vec<MachineId>,
    start: SystemTime,
    duration: Option<Duration>,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let attempt = format!("schedule the maintenance of {}", listed(&machines));
    let mut new = without(schedule(client, &attempt)?, &machines);
    let since_epoch = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let sentence = format!("{} from {}.", listed(&machines), text::time(start));
    new.windows.push(Window {
        machine_ids: machines,
        unavailability: Unavailability {
            start: TimeInfo {
                nanoseconds: DurationInfo::from(since_epoch).nanoseconds,
            },
            duration: duration.map(DurationInfo::from),
        },
    });
    update(new, client, &attempt)?;
    output.done(&format!("Scheduled for maintenance: {sentence}"))
}

fn remove(machines: &[MachineId], client: &Client, output: &Output) -> Result<(), Error> {
    let attempt = "clear the maintenance schedule";
    let new = if machines.is_empty() {
        Schedule::default()
    } else {
        without(schedule(client, attempt)?, machines)
    };
    update(new, client, attempt)?;
    output.done(&if machines.is_empty() {
        "The maintenance schedule is empty.".to_owned()
    } else {
        format!("Scheduled no more: {}.", listed(machines))
    })
}

fn show(machines: &[MachineId], client: &Client, output: &Output) -> Result<(), Error> {
    let mut schedule = schedule(client, "show the maintenance schedule")?;
    if !machines.is_empty() {
        let is_asked_for = |window: &Window| {
            let mut all = window.machine_ids.iter();
            all.any(|machine| machines.contains(machine))
        };
        schedule.windows.retain(is_asked_for);
    }
    if !output.is_for_people() {
        return output.message(&schedule);
    }
    let mut table = Table::new(["START", "DURATION", "MACHINES"]);
    for window in &schedule.windows {
        let start = text::moment(window.unavailability.start);
        let duration = window.unavailability.duration.map(Duration::from);
        table.row([
            start.map_or("-".to_owned(), text::time),
            duration.map_or("without end".to_owned(), text::duration),
            listed(&window.machine_ids),
        ]);
    }
    output.table(&table)
}

fn status(client: &Client, output: &Output) -> Result<(), Error> {
    let answer = client.ask(Type::GetMaintenanceStatus, "show the maintenance status")?;
    let status = answer.get_maintenance_status.unwrap_or_default().status;
    if !output.is_for_people() {
        return output.message(&status);
    }
    let mut table = Table::new(["MACHINE", "MODE", "ANSWERS"]);
    for machine in &status.draining_machines {
        let answers = machine.statuses.iter().map(|answer| {
            let what = answer.status().as_str_name().to_lowercase();
            format!("{} {what}", find::short(answer.framework_id.as_str()))
        });
        let answers: Vec<String> = answers.collect();
        table.row([name(&machine.id), "draining".to_owned(), answers.join(", ")]);
    }
    for machine in &status.down_machines {
        table.row([name(machine), "down".to_owned(), String::new()]);
    }
    output.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_now_after_a_while_or_at_a_moment() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |text: &str| moment(text, now).map(text::time).map_err(|e| e.to_string());
        assert_eq!(at("now").unwrap(), "1970-01-12T13:46:40Z");
        assert_eq!(at("2h").unwrap(), "1970-01-12T15:46:40Z");
        assert_eq!(at("2026-05-01T02:00:00Z").unwrap(), "2026-05-01T02:00:00Z");
        assert!(at("soon").unwrap_err().starts_with("invalid time 'soon'"));
    }

    #[test]
    fn a_machine_is_in_one_window() {
        let machine = |host: &str| MachineId {
            hostname: Some(host.to_owned()),
            ip: None,
        };
        let window = |hosts: &[&str]| Window {
            machine_ids: hosts.iter().map(|host| machine(host)).collect(),
            ..Window::default()
        };
        let schedule = Schedule {
            windows: vec![window(&["a", "b"]), window(&["a"])],
        };
        let left = without(schedule, &[machine("a")]);
        assert_eq!(left.windows, [window(&["b"])]);
    }
}
