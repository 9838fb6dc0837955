//! `--resources`: text and JSON.

use std::collections::HashMap;

use meseta_proto::{json, v1};
use v1::resource::{ReservationInfo, reservation_info};
use v1::value::Type;

use crate::values::{parse_value, tokens};
use crate::{Error, Resources, format, roles, validate_one};

impl Resources {
    /// Reads resources as an operator gives them: `cpus:2;mem(role):1024;ports:[1-5,7-9]`, or a JSON
    /// array of `Resource` messages. Those that name no role get `default_role`.
    ///
    /// # Errors
    /// In Mesos's words, when the text is malformed or holds what has to be made by operations
    /// (volumes, dynamic reservations, revocable resources).
    pub fn parse(text: &str, default_role: &str) -> Result<Self, Error> {
        let messages = match serde_json::from_str(text) {
            Ok(serde_json::Value::Array(items)) => from_json(&items, default_role)?,
            _ => from_text(text, default_role)?,
        };
        for message in &messages {
            validate_one(message)?;
        }
        let resources = Self::from_v1(&messages)?;
        resources.check_command_line()?;
        Ok(resources)
    }

    fn check_command_line(&self) -> Result<(), Error> {
        let refuse = |sentence: &str| Err(Error::NotAllowed(sentence.to_owned()));
        let mut kinds = HashMap::new();
        for resource in self {
            if resource.is_persistent_volume() {
                return refuse("Persistent volumes cannot be specified at the command line");
            }
            if resource.is_revocable() {
                return refuse(
                    "Revocable resources cannot be specified at the command line; do not \
                     include a 'revocable' key in the resources JSON",
                );
            }
            if resource.is_dynamically_reserved() {
                return refuse(
                    "Dynamic reservations cannot be specified at the command line; do not \
                     include a reservation with DYNAMIC type in the resources JSON",
                );
            }
            let kind = std::mem::discriminant(resource.value());
            if *kinds.entry(resource.name()).or_insert(kind) != kind {
                return Err(Error::NotAllowed(format!(
                    "Resources with the same name ('{}') but different types are not allowed",
                    resource.name()
                )));
            }
        }
        Ok(())
    }
}

#[allow(deprecated, reason = "reads the old form")]
fn from_json(items: &[serde_json::Value], default_role: &str) -> Result<Vec<v1::Resource>, Error> {
    items
        .iter()
        .map(|item| {
            let mut message: v1::Resource = json::from_value(item).map_err(|error| {
                Error::Syntax(format!(
                    "Some JSON resources were not formatted properly: {error}"
                ))
            })?;
            if message.role.is_none() && message.reservations.is_empty() {
                message.role = Some(default_role.to_owned());
            }
            // The role is checked while it still stands where the operator wrote it.
            validate_one(&message)?;
            format::upgrade(&mut message)?;
            Ok(message)
        })
        .collect()
}

fn from_text(text: &str, default_role: &str) -> Result<Vec<v1::Resource>, Error> {
    tokens(text, ";")
        .map(|token| {
            let pair: Vec<&str> = tokens(token, ":").collect();
            let [head, value] = pair.as_slice() else {
                return Err(Error::Syntax(format!(
                    "Bad value for resources, missing or extra ':' in {token}"
                )));
            };
            let (name, role) = match head.split_once('(') {
                None => (head.trim(), default_role),
                Some((name, rest)) => match rest.split_once(')') {
                    Some((role, _)) if !name.contains(')') => (name.trim(), role.trim()),
                    _ => {
                        return Err(Error::Syntax(format!(
                            "Bad value for resources, mismatched parentheses in {token}"
                        )));
                    }
                },
            };
            one(name, value, role)
        })
        .collect()
}

fn one(name: &str, text: &str, role: &str) -> Result<v1::Resource, Error> {
    let value = parse_value(text).map_err(|error| {
        Error::Syntax(format!(
            "Failed to parse resource {name} value {text} error {error}"
        ))
    })?;
    if value.r#type() == Type::Text {
        return Err(Error::Syntax(format!(
            "Bad type for resource {name} value {text} type {}",
            Type::Text.as_str_name()
        )));
    }
    let reservations = if role == roles::DEFAULT {
        Vec::new()
    } else {
        vec![ReservationInfo {
            r#type: Some(reservation_info::Type::Static.into()),
            role: Some(role.to_owned()),
            ..ReservationInfo::default()
        }]
    };
    Ok(v1::Resource {
        name: name.to_owned(),
        r#type: value.r#type,
        scalar: value.scalar,
        ranges: value.ranges.map(Box::new),
        set: value.set.map(Box::new),
        reservations,
        ..v1::Resource::default()
    })
}
