//! `meseta agent`: agents, and taking them out of service.

use std::time::{Duration, SystemTime};

use meseta_proto::v1::master::call::{self, Type};
use meseta_proto::v1::master::response::get_agents::Agent;
use meseta_proto::v1::master::{Call, response::GetAgents};
use meseta_proto::v1::{AgentId, Attribute, DrainInfo, DrainState};

use super::arguments::{Agent as Command, Consent};
use super::client::{Client, to_master};
use super::error::Error;
use super::find::{self, Names};
use super::output::{Output, Table};
use super::{consent, logs, text};

pub(super) fn run(command: Command, client: &Client, output: &Output) -> Result<(), Error> {
    match command {
        Command::List => list(client, output),
        Command::Show { agent } => show(&named(client, &agent.agent)?, output),
        Command::Drain { agent, grace, gone } => {
            let id = id(&named(client, &agent.agent)?);
            drain(&id, grace, gone, client, output)
        }
        Command::Deactivate { agent } => {
            let id = id(&named(client, &agent.agent)?);
            let call = Call {
                deactivate_agent: Some(call::DeactivateAgent {
                    agent_id: id.clone(),
                }),
                ..to_master(Type::DeactivateAgent)
            };
            client.change(&call, &format!("deactivate agent {id}"))?;
            output.done(&format!("Agent {id} is deactivated; its tasks go on."))
        }
        Command::Reactivate { agent } => {
            let id = id(&named(client, &agent.agent)?);
            let call = Call {
                reactivate_agent: Some(call::ReactivateAgent {
                    agent_id: id.clone(),
                }),
                ..to_master(Type::ReactivateAgent)
            };
            client.change(&call, &format!("reactivate agent {id}"))?;
            output.done(&format!("Agent {id} is active again."))
        }
        Command::Gone { agent, consent } => gone(agent.agent, &consent, client, output),
        Command::Logs { agent, part } => logs::of_agent(&agent.agent, part, client, output),
    }
}

fn drain(
    id: &AgentId,
    grace: Option<Duration>,
    mark_gone: bool,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let grace = grace.map(|grace| prost_types::Duration {
        seconds: i64::try_from(grace.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(grace.subsec_nanos()).unwrap_or_default(),
    });
    let call = Call {
        drain_agent: Some(call::DrainAgent {
            agent_id: id.clone(),
            max_grace_period: grace,
            mark_gone: mark_gone.then_some(true),
        }),
        ..to_master(Type::DrainAgent)
    };
    client.change(&call, &format!("drain agent {id}"))?;
    output.done(&format!(
        "Agent {id} is being drained; `meseta agent show {id}` tells how far it is."
    ))
}

fn gone(wanted: String, consent: &Consent, client: &Client, output: &Output) -> Result<(), Error> {
    let id = match named(client, &wanted) {
        Ok(agent) => id(&agent),
        // The master lists no unreachable agents, which are those that go most often.
        Err(Error::Unknown { .. }) if wanted.len() > MIN_ID => AgentId::from(wanted),
        Err(error) => return Err(error),
    };
    consent::ask(consent, &format!("marking agent {id} gone"))?;
    let call = Call {
        mark_agent_gone: Some(call::MarkAgentGone {
            agent_id: id.clone(),
        }),
        ..to_master(Type::MarkAgentGone)
    };
    client.change(&call, &format!("mark agent {id} gone"))?;
    output.done(&format!("Agent {id} is gone for good."))
}

/// The length of a UUID: what is shorter is no whole id of an agent.
const MIN_ID: usize = 36;

/// All agents that the master knows.
pub(super) fn all(client: &Client, attempt: &str) -> Result<GetAgents, Error> {
    let answer = client.ask(Type::GetAgents, attempt)?;
    Ok(answer.get_agents.unwrap_or_default())
}

/// The agent that a word means.
pub(super) fn named(client: &Client, wanted: &str) -> Result<Agent, Error> {
    let agents = all(client, &format!("look for agent {wanted}"))?.agents;
    find::one(find::AGENT, wanted, agents, names)
}

pub(super) fn names(agent: &Agent) -> Names<'_> {
    Names {
        id: id_text(agent),
        name: &agent.agent_info.hostname,
        beside: String::new(),
    }
}

pub(super) fn id_text(agent: &Agent) -> &str {
    agent.agent_info.id.as_ref().map_or("", AgentId::as_str)
}

pub(super) fn id(agent: &Agent) -> AgentId {
    AgentId::from(id_text(agent))
}

/// Where the agent listens: the address in its process id.
pub(super) fn address(agent: &Agent) -> Option<&str> {
    Some(agent.pid.as_deref()?.rsplit_once('@')?.1)
}

/// The agent's process as part of a URL: `host:port/slave(1)`. On a port that several processes
/// share, only the path tells which one is meant.
pub(super) fn process(agent: &Agent) -> Option<String> {
    let (process, address) = agent.pid.as_deref()?.rsplit_once('@')?;
    Some(format!("{address}/{process}"))
}

fn state(agent: &Agent) -> &'static str {
    match agent.drain_info.as_ref().map(DrainInfo::state) {
        Some(DrainState::Draining) => "draining",
        Some(DrainState::Drained) => "drained",
        _ if agent.deactivated() => "deactivated",
        _ if agent.active => "active",
        _ => "disconnected",
    }
}

fn list(client: &Client, output: &Output) -> Result<(), Error> {
    let mut answer = all(client, "list the agents")?;
    answer.agents.sort_by(|a, b| {
        let key = |agent: &Agent| (agent.agent_info.hostname.clone(), id_text(agent).to_owned());
        key(a).cmp(&key(b))
    });
    if !output.is_for_people() {
        return output.message(&answer);
    }
    let now = SystemTime::now();
    let mut table = Table::new(["AGENT", "HOST", "STATE", "CPUS", "MEM", "DISK", "AGE"]);
    if output.is_wide() {
        for heading in ["ADDRESS", "VERSION", "ATTRIBUTES"] {
            table.heading(heading);
        }
    }
    for agent in &answer.agents {
        let share = |name| text::share(&agent.allocated_resources, &agent.total_resources, name);
        let mut row = vec![
            output.id(id_text(agent)),
            agent.agent_info.hostname.clone(),
            state(agent).to_owned(),
            share("cpus"),
            share("mem"),
            share("disk"),
            text::age(registered(agent), now),
        ];
        if output.is_wide() {
            row.push(address(agent).unwrap_or("-").to_owned());
            row.push(agent.version.clone());
            row.push(attributes(&agent.agent_info.attributes));
        }
        table.row(row);
    }
    for info in &answer.recovered_agents {
        let id = info.id.as_ref().map_or("", AgentId::as_str);
        let mut row = vec![output.id(id), info.hostname.clone(), "awaited".to_owned()];
        row.resize(7, "-".to_owned());
        table.row(row);
    }
    output.table(&table)
}

fn registered(agent: &Agent) -> Option<SystemTime> {
    agent.registered_time.and_then(text::moment)
}

fn attributes(attributes: &[Attribute]) -> String {
    if attributes.is_empty() {
        return "-".to_owned();
    }
    let attributes = attributes.iter().map(|attribute| {
        let value = match (&attribute.scalar, &attribute.text) {
            (Some(scalar), _) => text::number(scalar.value),
            (_, Some(text)) => text.value.clone(),
            _ => "…".to_owned(),
        };
        format!("{}:{value}", attribute.name)
    });
    attributes.collect::<Vec<_>>().join(";")
}

fn show(agent: &Agent, output: &Output) -> Result<(), Error> {
    if !output.is_for_people() {
        return output.message(agent);
    }
    let now = SystemTime::now();
    let mut table = Table::of_facts();
    table.fact("Agent", id_text(agent));
    table.fact("Host", &*agent.agent_info.hostname);
    table.fact("Address", address(agent).unwrap_or_default());
    table.fact("Version", &*agent.version);
    table.fact("State", state(agent));
    if let Some(drain) = &agent.drain_info {
        let config = &drain.config;
        let grace = config.max_grace_period.map_or_else(
            || "as long as tasks' kill policies say".to_owned(),
            |grace| format!("at most {}", text::duration(grace.into())),
        );
        let then = if config.mark_gone() {
            ", then gone for good"
        } else {
            ""
        };
        table.fact("Drain", format!("grace {grace}{then}"));
    }
    table.fact("Registered", text::time_and_age(registered(agent), now));
    let again = agent.reregistered_time.and_then(text::moment);
    let again = again.filter(|again| Some(*again) != registered(agent));
    table.fact("Registered again", text::time_and_age(again, now));
    let fault = agent.agent_info.domain.as_ref();
    if let Some(fault) = fault.and_then(|domain| domain.fault_domain.as_ref()) {
        let (region, zone) = (&fault.region.name, &fault.zone.name);
        table.fact("Domain", format!("region {region}, zone {zone}"));
    }
    if !agent.agent_info.attributes.is_empty() {
        table.fact("Attributes", attributes(&agent.agent_info.attributes));
    }
    table.fact("Resources", text::resources(&agent.total_resources));
    table.fact("Allocated", text::resources(&agent.allocated_resources));
    table.fact("Offered", text::resources(&agent.offered_resources));
    for resource in &agent.total_resources {
        if let Some(role) = super::reserve::role_of(resource) {
            let one = text::resources(std::slice::from_ref(resource));
            let volume = super::volume::id_of(resource)
                .map_or_else(String::new, |id| format!(" (volume {id})"));
            table.fact("Reserved", format!("{one} for {role}{volume}"));
        }
    }
    output.table(&table)
}
