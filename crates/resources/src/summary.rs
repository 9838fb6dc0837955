//! Resources as the v0 endpoints show them.

use std::collections::BTreeMap;

use crate::values::{Scalar, Value};
use crate::{Resource, Resources};

/// By name, in the order of names: `{"cpus":4.0,"disk":…,"gpus":0.0,"mem":…,"ports":"[31000-32000]"}`.
/// The four well-known scalars are always there; revocable resources have `_revocable` at the end
/// of their name.
pub type Summary = BTreeMap<String, SummaryValue>;

/// A value in a [`Summary`].
#[derive(Debug, Clone, PartialEq)]
pub enum SummaryValue {
    /// A scalar, or nothing of one.
    Number(f64),
    /// Ranges or a set, as text.
    Text(String),
}

impl Resources {
    /// What an endpoint shows of them.
    pub fn summary(&self) -> Summary {
        let mut totals: BTreeMap<String, Value> = ["cpus", "disk", "gpus", "mem"]
            .map(|name| (name.to_owned(), Value::Scalar(Scalar::ZERO)))
            .into();
        for resource in self {
            let suffix = if resource.is_revocable() {
                "_revocable"
            } else {
                ""
            };
            let name = format!("{}{suffix}", resource.name());
            let total = match totals.remove(&name) {
                Some(total) => merge(&total, resource),
                None => resource.value().clone(),
            };
            totals.insert(name, total);
        }
        totals
            .into_iter()
            .map(|(name, total)| {
                let shown = match total {
                    Value::Scalar(scalar) => SummaryValue::Number(scalar.to_f64()),
                    text @ (Value::Ranges(_) | Value::Set(_)) => {
                        SummaryValue::Text(text.to_string())
                    }
                };
                (name, shown)
            })
            .collect()
    }

    /// What an endpoint shows as `reserved_resources`: a summary for each role.
    pub fn reserved_summary(&self) -> BTreeMap<String, Summary> {
        self.reservations()
            .into_iter()
            .map(|(role, resources)| (role, resources.summary()))
            .collect()
    }
}

/// One name may come in different types; the last one is shown, as a JSON object would.
fn merge(total: &Value, resource: &Resource) -> Value {
    crate::algebra::sum(total, resource.value()).unwrap_or_else(|| resource.value().clone())
}
