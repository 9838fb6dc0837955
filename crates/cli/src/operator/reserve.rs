//! `meseta reserve` and `meseta unreserve`: an agent's resources for one role alone.

use meseta_proto::v1::Resource;
use meseta_proto::v1::master::Call;
use meseta_proto::v1::master::call::{self, Type};
use meseta_proto::v1::resource::{ReservationInfo, reservation_info};
use meseta_resources::Resources;

use super::arguments::{Reserve, Unreserve};
use super::client::{Client, to_master};
use super::error::Error;
use super::output::Output;
use super::{agent, text, volume};

/// `meseta reserve`.
pub(super) fn reserve(command: Reserve, client: &Client, output: &Output) -> Result<(), Error> {
    let Reserve {
        agent,
        resources,
        role,
        principal,
    } = command;
    let mut wanted = parsed(&resources)?;
    let principal = principal.or_else(|| client.principal().map(str::to_owned));
    reserve_for(&role, principal.as_deref(), &mut wanted);
    let id = agent::id(&agent::named(client, &agent.agent)?);
    let amount = text::resources(&wanted);
    let call = Call {
        reserve_resources: Some(call::ReserveResources {
            agent_id: id.clone(),
            source: Vec::new(),
            resources: wanted,
        }),
        ..to_master(Type::ReserveResources)
    };
    client.change(&call, &format!("reserve {amount} on agent {id}"))?;
    output.done(&format!("{amount} on agent {id} are role {role}'s."))
}

/// `meseta unreserve`.
pub(super) fn unreserve(command: Unreserve, client: &Client, output: &Output) -> Result<(), Error> {
    let agent = agent::named(client, &command.agent.agent)?;
    let id = agent::id(&agent);
    let role = command.role;
    let attempt = format!("unreserve resources of role {role} on agent {id}");
    let unfit = |reason: String| Error::Unfit {
        attempt: attempt.clone(),
        reason,
    };
    let all = reserved(&agent.total_resources, &role).map_err(unfit)?;
    let taken = match &command.resources {
        None => all,
        Some(text) => part_of(&all, &parsed(text)?).map_err(unfit)?,
    };
    if taken.is_empty() {
        return Err(unfit(
            "nothing is reserved for it there, but for what is on volumes or in the agent's \
             --resources"
                .to_owned(),
        ));
    }
    let amount = text::resources(&taken);
    let call = Call {
        unreserve_resources: Some(call::UnreserveResources {
            agent_id: id.clone(),
            resources: taken,
        }),
        ..to_master(Type::UnreserveResources)
    };
    client.change(&call, &attempt)?;
    output.done(&format!(
        "{amount} on agent {id} are not role {role}'s any more."
    ))
}

/// Resources in Mesos's form, unreserved.
fn parsed(text: &str) -> Result<Vec<Resource>, Error> {
    let refused = |reason: String| Error::Word {
        what: "resources",
        value: text.to_owned(),
        reason,
    };
    let expected = "expected such as 'cpus:1;mem:128'";
    let resources = Resources::parse(text, "*");
    let resources = resources.map_err(|e| refused(format!("{e}; {expected}")))?;
    if resources.is_empty() {
        return Err(refused(expected.to_owned()));
    }
    Ok(resources.to_v1())
}

/// Reserves the resources for a role.
fn reserve_for(role: &str, principal: Option<&str>, resources: &mut [Resource]) {
    for resource in resources {
        resource.reservations.push(ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic.into()),
            role: Some(role.to_owned()),
            principal: principal.map(str::to_owned),
            labels: None,
        });
    }
}

/// The role that a resource is reserved for.
pub(super) fn role_of(resource: &Resource) -> Option<&str> {
    resource.reservations.last()?.role.as_deref()
}

fn is_dynamic(resource: &Resource) -> bool {
    let last = resource.reservations.last();
    last.is_some_and(|it| it.r#type() == reservation_info::Type::Dynamic)
}

/// What operations can take of an agent's resources for a role, in the form that they want.
pub(super) fn reserved(resources: &[Resource], role: &str) -> Result<Vec<Resource>, String> {
    // A genuine master shows reservations in an older form besides.
    let resources = Resources::from_v1(resources).map_err(|e| e.to_string())?;
    let mut resources = resources.unallocate().to_v1();
    resources.retain(|resource| {
        role_of(resource) == Some(role) && is_dynamic(resource) && volume::id_of(resource).is_none()
    });
    Ok(resources)
}

/// So much of these reserved resources.
fn part_of(reserved: &[Resource], wanted: &[Resource]) -> Result<Vec<Resource>, String> {
    let mut taken = Vec::new();
    for wanted in wanted {
        let of_name = reserved.iter().filter(|it| it.name == wanted.name);
        let Some(amount) = wanted.scalar.as_ref() else {
            // Ranges and sets: of the one reservation that has them.
            let mut of_name = of_name.filter(|it| it.r#type == wanted.r#type);
            let from = of_name
                .next()
                .ok_or_else(|| format!("no {} are reserved for it", wanted.name))?;
            taken.push(Resource {
                ranges: wanted.ranges.clone(),
                set: wanted.set.clone(),
                ..from.clone()
            });
            continue;
        };
        let mut left = amount.value;
        for from in of_name {
            let there = from.scalar.as_ref().map_or(0.0, |it| it.value);
            let part = there.min(left);
            if part <= 0.0 {
                continue;
            }
            taken.push(volume::of_size(from.clone(), part));
            left -= part;
        }
        // Mesos counts in thousandths.
        if left >= 0.0005 {
            let there = text::scalar(reserved, &wanted.name);
            return Err(format!(
                "only {}:{} are reserved for it and on no volume",
                wanted.name,
                text::number(there)
            ));
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_role(text: &str, role: &str, principal: Option<&str>) -> Vec<Resource> {
        let mut resources = parsed(text).unwrap();
        reserve_for(role, principal, &mut resources);
        resources
    }

    #[test]
    fn what_is_given_back_is_taken_from_what_is_reserved_by_whomever() {
        let mut all = of_role("cpus:1;mem:64", "web", None);
        all.extend(of_role("cpus:2", "web", Some("ops")));
        all.extend(of_role("cpus:4", "other", None));
        let mine = reserved(&all, "web").unwrap();
        assert_eq!(text::resources(&mine), "cpus:3; mem:64");
        let taken = part_of(&mine, &parsed("cpus:2.5").unwrap()).unwrap();
        assert_eq!(text::resources(&taken), "cpus:2.5");
        assert!(
            taken
                .iter()
                .any(|it| it.reservations[0].principal() == "ops")
        );
        assert_eq!(
            part_of(&mine, &parsed("cpus:3.5").unwrap()).unwrap_err(),
            "only cpus:3 are reserved for it and on no volume"
        );
    }
}
