//! Attributes of agents.

use std::collections::BTreeMap;

use meseta_proto::{json, v1};
use v1::value::Type;

use crate::Error;
use crate::summary::SummaryValue;
use crate::values::{Ranges, Set, parse_value, tokens};

/// Reads `--attributes`: `rack:r2d2;zone:3;ports:[1-5]`, or a JSON array of `Attribute` messages.
///
/// # Errors
/// When a part is no `name:value`, or a value has no type that attributes may have.
pub fn parse_attributes(text: &str) -> Result<Vec<v1::Attribute>, Error> {
    if let Ok(serde_json::Value::Array(items)) = serde_json::from_str(text) {
        return items.iter().map(from_json).collect();
    }
    tokens(text, ";\n").map(from_text).collect()
}

fn from_json(item: &serde_json::Value) -> Result<v1::Attribute, Error> {
    let attribute: v1::Attribute = json::from_value(item).map_err(|error| {
        Error::Syntax(format!(
            "Some JSON attributes were not formatted properly: {error}"
        ))
    })?;
    let has_value = match attribute.r#type() {
        Type::Scalar => attribute.scalar.is_some(),
        Type::Ranges => attribute.ranges.is_some(),
        Type::Text => attribute.text.is_some(),
        Type::Set => false,
    };
    if attribute.name.is_empty() || !has_value {
        return Err(Error::Invalid(format!(
            "Invalid attribute '{}': expecting a name, and a value of type SCALAR, RANGES or TEXT",
            attribute.name
        )));
    }
    Ok(attribute)
}

fn from_text(token: &str) -> Result<v1::Attribute, Error> {
    let (name, text) = token
        .split_once(':')
        .filter(|(name, text)| !name.is_empty() && !text.is_empty())
        .ok_or_else(|| Error::Syntax(format!("Invalid attribute key:value pair '{token}'")))?;
    let value = parse_value(text).map_err(|error| {
        Error::Syntax(format!(
            "Failed to parse attribute {name} text {text} error {error}"
        ))
    })?;
    if value.r#type() == Type::Set {
        return Err(Error::NotAllowed(format!(
            "Bad type for attribute {name} text {text} type {}",
            Type::Set.as_str_name()
        )));
    }
    Ok(v1::Attribute {
        name: name.to_owned(),
        r#type: value.r#type,
        scalar: value.scalar,
        ranges: value.ranges,
        set: None,
        text: value.text,
    })
}

/// Attributes as the v0 endpoints show them; of several with one name, the last.
pub fn attribute_summary(attributes: &[v1::Attribute]) -> BTreeMap<String, SummaryValue> {
    attributes
        .iter()
        .map(|attribute| {
            let shown = match attribute.r#type() {
                Type::Scalar => {
                    SummaryValue::Number(attribute.scalar.map_or(0.0, |scalar| scalar.value))
                }
                Type::Ranges => SummaryValue::Text(
                    attribute
                        .ranges
                        .as_ref()
                        .map_or_else(Ranges::default, Ranges::from)
                        .to_string(),
                ),
                Type::Set => SummaryValue::Text(
                    Set::new(attribute.set.iter().flat_map(|set| set.item.clone())).to_string(),
                ),
                Type::Text => SummaryValue::Text(
                    attribute
                        .text
                        .as_ref()
                        .map(|text| text.value.clone())
                        .unwrap_or_default(),
                ),
            };
            (attribute.name.clone(), shown)
        })
        .collect()
}
