//! Whether an agent that has changed between two lives may go on under its id: Mesos's rules and
//! sentences.

use meseta_proto::v1::{AgentInfo, Attribute, Resource, value};
use meseta_resources::Resources;

use crate::config::ReconfigurationPolicy;

/// Checks a change against the policy.
///
/// # Errors
/// Says what may not have changed.
pub(super) fn check(
    policy: ReconfigurationPolicy,
    former: &AgentInfo,
    current: &AgentInfo,
) -> Result<(), String> {
    // The id is what the answer is about.
    let former = AgentInfo {
        id: current.id.clone(),
        ..former.clone()
    };
    let checked = match policy {
        ReconfigurationPolicy::Equal => equal(&former, current),
        ReconfigurationPolicy::Additive => additive(&former, current),
        ReconfigurationPolicy::Any => same_name(&former, current),
    };
    checked.map_err(|error| {
        format!(
            "Failed to perform recovery: {error}\n\
             If recovery failed due to a change in configuration and you want to\n\
             keep the current agent id, you might want to change the\n\
             `--reconfiguration_policy` flag to a more permissive value.\n\
             To restart this agent with a new agent id instead, give it an empty work directory"
        )
    })
}

fn equal(former: &AgentInfo, current: &AgentInfo) -> Result<(), String> {
    const RULE: &str = "\n------------------------------------------------------------";
    if former == current {
        return Ok(());
    }
    Err(format!(
        "Incompatible agent info detected. \n{RULE}\nOld agent info:\n{}\n{RULE}\n\
         New agent info:\n{}\n{RULE}",
        shown(former),
        shown(current)
    ))
}

/// Masters know an agent by its name: they shut down one that has come by another.
fn same_name(former: &AgentInfo, current: &AgentInfo) -> Result<(), String> {
    if former.hostname == current.hostname {
        return Ok(());
    }
    Err(format!(
        "Hostname changed from {} to {}, which masters do not permit. Start the agent with \
         --hostname={}",
        former.hostname, current.hostname, former.hostname
    ))
}

fn additive(former: &AgentInfo, current: &AgentInfo) -> Result<(), String> {
    let refuse = |what: &str, former: String, current: String| {
        Err(format!(
            "Configuration change not permitted under `additive` policy: {what} changed from \
             {former} to {current}"
        ))
    };
    if former.hostname != current.hostname {
        return refuse(
            "Hostname",
            former.hostname.clone(),
            current.hostname.clone(),
        );
    }
    if former.port() != current.port() {
        let (former, current) = (former.port(), current.port());
        return refuse("Port", former.to_string(), current.to_string());
    }
    if former.domain.is_some() && former.domain != current.domain {
        let shown = |info: &AgentInfo| info.domain.as_ref().map_or_else(String::new, shown);
        return refuse("Domain", shown(former), shown(current));
    }
    let parse = |info: &AgentInfo| Resources::from_v1(&info.resources).map_err(|e| e.to_string());
    let (before, now) = (parse(former)?.to_v1(), parse(current)?.to_v1());
    before.iter().try_for_each(|it| has_resource(&now, it))?;
    let attributes = &former.attributes;
    attributes
        .iter()
        .try_for_each(|it| has_attribute(&current.attributes, it))
}

fn has_resource(current: &[Resource], former: &Resource) -> Result<(), String> {
    let not_found = || {
        format!(
            "Configuration change not permitted under 'additive' policy. Resource not found: {}",
            text(former)
        )
    };
    let like = |it: &&Resource| without_value(it) == without_value(former);
    let current = current.iter().find(like).ok_or_else(not_found)?;
    let contained = single(current).contains(&single(former));
    if contained {
        return Ok(());
    }
    let name = &former.name;
    let kind = former.r#type();
    let (former, current) = (value_of(former), value_of(current));
    let change = match kind {
        value::Type::Scalar => {
            format!("Value of scalar resource '{name}' decreased from {former} to {current}")
        }
        value::Type::Ranges => format!(
            "Previous value of range resource '{name}' ({former}) not included in current {current}"
        ),
        value::Type::Set | value::Type::Text => format!(
            "Previous value of set resource '{name}' ({former}) not included in current {current}"
        ),
    };
    Err(format!(
        "Configuration change not permitted under 'additive' policy: {change}"
    ))
}

fn single(resource: &Resource) -> Resources {
    // It comes out of resources that were read.
    Resources::from_v1(std::slice::from_ref(resource)).unwrap_or_default()
}

/// The value, as it is written.
fn value_of(resource: &Resource) -> String {
    let resources = single(resource);
    let value = resources.iter().next().map(|it| it.value().to_string());
    value.unwrap_or_default()
}

fn text(resource: &Resource) -> String {
    single(resource).to_string()
}

/// What must be alike for one resource to be more of another.
fn without_value(resource: &Resource) -> Resource {
    Resource {
        scalar: None,
        ranges: None,
        set: None,
        ..resource.clone()
    }
}

fn has_attribute(current: &[Attribute], former: &Attribute) -> Result<(), String> {
    const PREFIX: &str = "Configuration change not permitted under 'additive' policy: ";
    let name = &former.name;
    let Some(current) = current.iter().find(|it| it.name == *name) else {
        return Err(format!("{PREFIX}Couldn't find attribute {}", shown(former)));
    };
    let (kind, now) = (former.r#type(), current.r#type());
    if kind != now {
        return Err(format!(
            "{PREFIX}Type of attribute '{name}' changed from {} to {}",
            kind.as_str_name(),
            now.as_str_name()
        ));
    }
    match kind {
        value::Type::Scalar if former.scalar != current.scalar => {
            let value = |it: &Attribute| it.scalar.unwrap_or_default().value;
            Err(format!(
                "{PREFIX}Value of scalar attribute '{name}' changed from {} to {}",
                value(former),
                value(current)
            ))
        }
        value::Type::Text if former.text != current.text => {
            let value = |it: &Attribute| it.text.clone().unwrap_or_default().value;
            Err(format!(
                "{PREFIX}Value of text attribute '{name}' changed from {} to {}",
                value(former),
                value(current)
            ))
        }
        value::Type::Ranges => {
            let (before, now) = (ranges_of(former), ranges_of(current));
            if single(&now).contains(&single(&before)) {
                return Ok(());
            }
            Err(format!(
                "Previous value of ranges resource '{name}' ({}) not included in current {}",
                value_of(&before),
                value_of(&now)
            ))
        }
        value::Type::Scalar | value::Type::Text | value::Type::Set => Ok(()),
    }
}

/// Ranges are compared as those of resources.
fn ranges_of(attribute: &Attribute) -> Resource {
    Resource {
        name: attribute.name.clone(),
        r#type: value::Type::Ranges.into(),
        ranges: attribute.ranges.clone().map(Box::new),
        ..Resource::default()
    }
}

fn shown<M: meseta_proto::Wire>(message: &M) -> String {
    meseta_proto::json::to_string(message)
}
