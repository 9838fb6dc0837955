//! `meseta volume`: persistent volumes on agents' disks.

use meseta_proto::v1::master::Call;
use meseta_proto::v1::master::call::{self, Type};
use meseta_proto::v1::master::response::get_agents::Agent;
use meseta_proto::v1::resource::disk_info::Persistence;
use meseta_proto::v1::value::Scalar;
use meseta_proto::v1::{Resource, Volume, volume};
use meseta_resources::Resources;

use super::arguments::{Consent, NewVolume, Volume as Command, VolumeName};
use super::client::{Client, to_master};
use super::error::Error;
use super::find::{self, Names};
use super::output::{Output, Table};
use super::{agent, consent, reserve, text};

pub(super) fn run(command: Command, client: &Client, output: &Output) -> Result<(), Error> {
    match command {
        Command::List => list(client, output),
        Command::Create(new) => create(new, client, output),
        Command::Destroy { volume, consent } => destroy(&volume, &consent, client, output),
        Command::Grow { volume, by } => grow(&volume, by, client, output),
        Command::Shrink { volume, by } => shrink(&volume, by, client, output),
    }
}

fn create(new: NewVolume, client: &Client, output: &Output) -> Result<(), Error> {
    let NewVolume {
        agent,
        id,
        role,
        size,
        path,
    } = new;
    let agent = agent::named(client, &agent.agent)?;
    let attempt = format!("make volume {id} on agent {}", agent::id(&agent));
    let mut volume = free_disk(&agent, &role, size, &attempt)?;
    let disk = volume.disk.get_or_insert_default();
    let principal = volume.reservations.last();
    let principal = principal.and_then(|it| it.principal.clone());
    disk.persistence = Some(Persistence {
        id: id.clone(),
        principal: client.principal().map(str::to_owned).or(principal),
    });
    disk.volume = Some(Volume {
        mode: volume::Mode::Rw.into(),
        container_path: path,
        ..Volume::default()
    });
    let call = Call {
        create_volumes: Some(call::CreateVolumes {
            agent_id: agent::id(&agent),
            volumes: vec![volume],
        }),
        ..to_master(Type::CreateVolumes)
    };
    client.change(&call, &attempt)?;
    let size = text::megabytes(size);
    output.done(&format!("Volume {id} is made, of {size}."))
}

fn destroy(
    name: &VolumeName,
    consent: &Consent,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let (agent, volume) = named(client, name)?;
    let id = id_of(&volume).unwrap_or_default().to_owned();
    consent::ask(
        consent,
        &format!("destroying volume {id} and all data on it"),
    )?;
    let call = Call {
        destroy_volumes: Some(call::DestroyVolumes {
            agent_id: agent::id(&agent),
            volumes: vec![volume],
        }),
        ..to_master(Type::DestroyVolumes)
    };
    client.change(&call, &format!("destroy volume {id}"))?;
    output.done(&format!("Volume {id} is destroyed."))
}

fn grow(name: &VolumeName, by: f64, client: &Client, output: &Output) -> Result<(), Error> {
    let (agent, volume) = named(client, name)?;
    let id = id_of(&volume).unwrap_or_default().to_owned();
    let size = text::megabytes(by);
    let attempt = format!("make volume {id} larger by {size}");
    let role = reserve::role_of(&volume).unwrap_or_default();
    let addition = free_disk(&agent, role, by, &attempt)?;
    let call = Call {
        grow_volume: Some(call::GrowVolume {
            agent_id: Some(agent::id(&agent)),
            volume,
            addition,
        }),
        ..to_master(Type::GrowVolume)
    };
    client.change(&call, &attempt)?;
    output.done(&format!("Volume {id} is larger by {size}."))
}

fn shrink(name: &VolumeName, by: f64, client: &Client, output: &Output) -> Result<(), Error> {
    let (agent, volume) = named(client, name)?;
    let id = id_of(&volume).unwrap_or_default().to_owned();
    let size = text::megabytes(by);
    let call = Call {
        shrink_volume: Some(call::ShrinkVolume {
            agent_id: Some(agent::id(&agent)),
            volume,
            subtract: Scalar { value: by },
        }),
        ..to_master(Type::ShrinkVolume)
    };
    client.change(&call, &format!("make volume {id} smaller by {size}"))?;
    output.done(&format!("Volume {id} is smaller by {size}."))
}

/// The id of a persistent volume.
pub(super) fn id_of(resource: &Resource) -> Option<&str> {
    let persistence = resource.disk.as_ref()?.persistence.as_ref()?;
    Some(&persistence.id)
}

/// The same resource with another amount.
pub(super) fn of_size(mut resource: Resource, amount: f64) -> Resource {
    resource.scalar = Some(Scalar { value: amount });
    resource
}

/// So much disk that is reserved for a role, of one piece.
fn free_disk(agent: &Agent, role: &str, size: f64, attempt: &str) -> Result<Resource, Error> {
    let unfit = |reason: String| Error::Unfit {
        attempt: attempt.to_owned(),
        reason,
    };
    let reserved = reserve::reserved(&agent.total_resources, role).map_err(unfit)?;
    let disks = reserved.into_iter().filter(|it| it.name == "disk");
    let disks: Vec<Resource> = disks.collect();
    let amount = |disk: &Resource| disk.scalar.as_ref().map_or(0.0, |it| it.value);
    let largest = disks.iter().map(amount).fold(0.0, f64::max);
    disks
        .into_iter()
        .find(|disk| amount(disk) >= size)
        .map(|disk| of_size(disk, size))
        .ok_or_else(|| {
            unfit(format!(
                "the agent has {} of reserved disk for role {role} in one piece; `meseta reserve` \
                 reserves more",
                text::megabytes(largest)
            ))
        })
}

/// Every volume of an agent.
fn volumes(agent: &Agent) -> Vec<Resource> {
    // A genuine master shows reservations in an older form besides.
    let resources = Resources::from_v1(&agent.total_resources).unwrap_or_default();
    let mut resources = resources.unallocate().to_v1();
    resources.retain(|resource| id_of(resource).is_some());
    resources
}

/// The volume that words mean, and its agent.
fn named(client: &Client, name: &VolumeName) -> Result<(Agent, Resource), Error> {
    let agent = agent::named(client, &name.agent.agent)?;
    let volume = find::one(find::VOLUME, &name.volume, volumes(&agent), |volume| {
        let id = id_of(volume).unwrap_or_default();
        Names {
            id,
            name: id,
            beside: String::new(),
        }
    })?;
    Ok((agent, volume))
}

fn list(client: &Client, output: &Output) -> Result<(), Error> {
    let agents = agent::all(client, "list the volumes")?.agents;
    if !output.is_for_people() {
        let volumes: Vec<Resource> = agents.iter().flat_map(volumes).collect();
        return output.messages(&volumes);
    }
    let mut table = Table::new(["VOLUME", "AGENT", "ROLE", "SIZE", "PATH", "IN USE"]);
    for agent in &agents {
        let is_used = |id: Option<&str>| agent.allocated_resources.iter().any(|it| id_of(it) == id);
        for volume in volumes(agent) {
            let id = id_of(&volume);
            let mount = volume.disk.as_ref().and_then(|it| it.volume.as_ref());
            table.row([
                id.unwrap_or_default().to_owned(),
                output.id(agent::id_text(agent)),
                reserve::role_of(&volume).unwrap_or("*").to_owned(),
                text::amount(std::slice::from_ref(&volume), "disk"),
                mount
                    .map_or("-", |it| it.container_path.as_str())
                    .to_owned(),
                if is_used(id) { "yes" } else { "no" }.to_owned(),
            ]);
        }
    }
    output.table(&table)
}
