use std::collections::BTreeMap;

use meseta_proto::json::AsJson;
use meseta_proto::v1::{self, value};
use meseta_resources::{
    Quantities, Ranges, Resources, Scalar, Set, SummaryValue, Value, to_endpoint,
};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Each;

/// Resources as one object: `{"cpus":1.0,"disk":0.0,"gpus":0.0,"mem":128.0,"ports":"[1-2]"}`.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a>(pub &'a Resources);

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let summary = self.0.summary();
        serializer.collect_map(summary.iter().map(|(name, value)| (name, Quantity(value))))
    }
}

/// One value of such an object, or of attributes.
#[derive(Debug, Clone, Copy)]
pub struct Quantity<'a>(pub &'a SummaryValue);

impl Serialize for Quantity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            SummaryValue::Number(number) => serializer.serialize_f64(*number),
            SummaryValue::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// The same object from the messages of a task or an executor. There are hundreds of thousands of
/// those, so that nothing is built in memory for resources that are plain scalars.
#[derive(Debug, Clone, Copy)]
pub struct Amounts<'a>(pub &'a [v1::Resource]);

impl Serialize for Amounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut known = [
            ("cpus", Scalar::ZERO),
            ("disk", Scalar::ZERO),
            ("gpus", Scalar::ZERO),
            ("mem", Scalar::ZERO),
        ];
        let mut others: BTreeMap<String, Value> = BTreeMap::new();
        for resource in self.0 {
            let known = known.iter_mut().find(|(name, _)| resource.name == *name);
            match (known, &resource.scalar) {
                (Some((_, total)), Some(scalar)) if resource.revocable.is_none() => {
                    *total += Scalar::from_f64(scalar.value).unwrap_or_default();
                }
                _ => add(&mut others, resource),
            }
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, total) in known {
            map.serialize_entry(name, &total.to_f64())?;
        }
        for (name, total) in others {
            match total {
                Value::Scalar(scalar) => map.serialize_entry(&name, &scalar.to_f64())?,
                text => map.serialize_entry(&name, &text.to_string())?,
            }
        }
        map.end()
    }
}

fn add(totals: &mut BTreeMap<String, Value>, resource: &v1::Resource) {
    let suffix = match resource.revocable {
        Some(_) => "_revocable",
        None => "",
    };
    let name = format!("{}{suffix}", resource.name);
    let earlier = totals.remove(&name);
    let total = match (resource.r#type(), earlier) {
        (value::Type::Scalar, earlier) => {
            let own = resource.scalar.map_or(0.0, |scalar| scalar.value);
            let own = Scalar::from_f64(own).unwrap_or_default();
            match earlier {
                Some(Value::Scalar(earlier)) => Value::Scalar(earlier + own),
                _ => Value::Scalar(own),
            }
        }
        (value::Type::Ranges, earlier) => {
            let own: Ranges = resource
                .ranges
                .as_deref()
                .map(Into::into)
                .unwrap_or_default();
            match earlier {
                Some(Value::Ranges(earlier)) => {
                    Value::Ranges(Ranges::new(earlier.iter().chain(own.iter())))
                }
                _ => Value::Ranges(own),
            }
        }
        (value::Type::Set, earlier) => {
            let own = resource.set.iter().flat_map(|set| set.item.iter().cloned());
            match earlier {
                Some(Value::Set(earlier)) => {
                    Value::Set(Set::new(earlier.iter().map(str::to_owned).chain(own)))
                }
                _ => Value::Set(Set::new(own)),
            }
        }
        (value::Type::Text, earlier) => match earlier {
            Some(earlier) => earlier,
            None => return,
        },
    };
    totals.insert(name, total);
}

/// What is reserved, as one object for each role.
#[derive(Debug, Clone, Copy)]
pub struct SummaryByRole<'a>(pub &'a Resources);

impl Serialize for SummaryByRole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reservations = self.0.reservations();
        serializer.collect_map(
            reservations
                .iter()
                .map(|(role, part)| (role, Summary(part))),
        )
    }
}

/// Resources with everything that is to be said of them, for operators who unreserve them.
#[derive(Debug, Clone, Copy)]
pub struct Full<'a>(pub &'a Resources);

impl Serialize for Full<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Each(|| self.0.iter().map(|resource| Endpoint(resource.to_v1()))).serialize(serializer)
    }
}

/// A resource in the form in which old and new readers both find what they look for.
struct Endpoint(v1::Resource);

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = self.0.clone();
        to_endpoint(&mut message);
        AsJson(&message).serialize(serializer)
    }
}

/// What is reserved, in full, for each role.
#[derive(Debug, Clone, Copy)]
pub struct FullByRole<'a>(pub &'a Resources);

impl Serialize for FullByRole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reservations = self.0.reservations();
        serializer.collect_map(reservations.iter().map(|(role, part)| (role, Full(part))))
    }
}

/// Amounts by name, without those that there is nothing of.
pub fn quantities(quantities: &Quantities) -> impl Serialize + '_ {
    let amounts: BTreeMap<&str, f64> = quantities
        .iter()
        .map(|(name, amount)| (name, amount.to_f64()))
        .collect();
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(form: &impl Serialize) -> String {
        serde_json::to_string(form).unwrap()
    }

    #[test]
    fn messages_are_summed_up_as_resources_are() {
        for given in [
            "",
            "cpus:0.1;cpus:0.2;mem:32",
            "cpus:1;ports:[5-6];ports:[1-4,8-9];names:{b};names:{a}",
            "cpus(r):1;cpus:1;extra:3",
        ] {
            let resources = Resources::parse(given, "*").unwrap();
            let values =
                |text: String| -> serde_json::Value { serde_json::from_str(&text).unwrap() };
            assert_eq!(
                values(text(&Amounts(&resources.to_v1()))),
                values(text(&Summary(&resources))),
                "{given}"
            );
        }
    }

    #[test]
    fn full_resources_have_their_role_in_the_old_place_too() {
        let resources = Resources::parse("cpus:1;cpus(r):2", "*").unwrap();
        assert_eq!(
            text(&Full(&resources.unreserved())),
            r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0},"role":"*"}]"#
        );
        let reserved = text(&FullByRole(&resources));
        assert!(
            reserved.starts_with(r#"{"r":[{"name":"cpus""#),
            "{reserved}"
        );
        assert!(reserved.contains(r#""role":"r""#), "{reserved}");
        assert_eq!(
            text(&SummaryByRole(&resources)),
            r#"{"r":{"cpus":2.0,"disk":0.0,"gpus":0.0,"mem":0.0}}"#
        );
    }
}
