use std::collections::BTreeMap;
use std::time::Duration;

use meseta_machine::Reply;
use meseta_proto::v1::Metric;
use meseta_resources::{Quantities, Resources};
use serde::{Serialize, Serializer};

use crate::limits::MAX_DURATION_SECS;
use crate::reply::json;
use crate::request::Query;

/// Values by the names that Mesos gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges(BTreeMap<String, f64>);

impl Gauges {
    /// Sets one value.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Sets a counter.
    #[allow(clippy::cast_precision_loss, reason = "all metrics are doubles")]
    pub fn count(&mut self, name: impl Into<String>, value: u64) {
        self.set(name, value as f64);
    }

    /// Sets the count of what is in memory.
    pub fn len(&mut self, name: impl Into<String>, length: usize) {
        self.count(name, length as u64);
    }

    /// Sets `…/cpus_total`, `_used`, `_percent` and the rest for each of the well-known resources.
    pub fn resources(&mut self, prefix: &str, total: &Sums, used: &Sums) {
        for (infix, total, used) in [
            ("", &total.lasting, &used.lasting),
            ("_revocable", &total.revocable, &used.revocable),
        ] {
            for name in ["cpus", "disk", "gpus", "mem"] {
                let (total, used) = (total.get(name).to_f64(), used.get(name).to_f64());
                let percent = if total > 0.0 { used / total } else { 0.0 };
                self.set(format!("{prefix}/{name}{infix}_total"), total);
                self.set(format!("{prefix}/{name}{infix}_used"), used);
                self.set(format!("{prefix}/{name}{infix}_percent"), percent);
            }
        }
    }

    /// All values by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// All values as messages.
    pub fn messages(&self) -> Vec<Metric> {
        let metrics = self.iter().map(|(name, value)| Metric {
            name: name.to_owned(),
            value: Some(value),
        });
        metrics.collect()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

impl<N: Into<String>> Extend<(N, f64)> for Gauges {
    fn extend<I: IntoIterator<Item = (N, f64)>>(&mut self, values: I) {
        for (name, value) in values {
            self.set(name, value);
        }
    }
}

impl Serialize for Gauges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

/// Sums of scalars by name, whoever has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// What stays with its user.
    pub lasting: Quantities,
    /// What may be taken away at any time.
    pub revocable: Quantities,
}

impl Sums {
    /// Adds resources.
    pub fn add(&mut self, resources: &Resources) {
        for resource in resources {
            let amount = resource.scalar().map(|scalar| (resource.name(), scalar));
            if resource.is_revocable() {
                self.revocable.extend(amount);
            } else {
                self.lasting.extend(amount);
            }
        }
    }
}

/// What `/metrics/snapshot` answers. The `timeout` is checked but not needed: every value is at
/// hand.
pub fn metrics(query: Query<'_>, gauges: impl FnOnce() -> Gauges) -> Reply {
    if let Some(timeout) = query.get("timeout")
        && let Err(reason) = duration(timeout)
    {
        return Reply::bad_request(format!("Invalid timeout '{timeout}': {reason}.\n"));
    }
    json(query, &gauges())
}

/// Reads a number and a unit of time, such as `1.5secs`.
///
/// # Errors
/// In Mesos's words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let Some(end) = text.find(|c| !is_number(c)) else {
        return Err(format!("Invalid duration '{text}'"));
    };
    let (number, unit) = text.split_at(end);
    let Ok(number) = number.parse::<f64>() else {
        return Err(format!("Failed to convert '{number}' to number"));
    };
    let seconds = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "secs" => 1.0,
        "mins" => 60.0,
        "hrs" => 3600.0,
        "days" => 24.0 * 3600.0,
        "weeks" => 7.0 * 24.0 * 3600.0,
        _ => return Err(format!("Unknown duration unit '{unit}'")),
    };
    let seconds = (number * seconds).clamp(0.0, MAX_DURATION_SECS);
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_duration() {
        let body = |timeout: &str| {
            let query = [("timeout".to_owned(), timeout.to_owned())];
            let reply = metrics(Query(&query), Gauges::default);
            String::from_utf8(reply.body.to_vec()).unwrap()
        };
        assert_eq!(body("100ms"), "{}");
        assert_eq!(body("1.5secs"), "{}");
        assert_eq!(
            body("bogus"),
            "Invalid timeout 'bogus': Failed to convert '' to number.\n"
        );
        assert_eq!(body("5"), "Invalid timeout '5': Invalid duration '5'.\n");
        assert_eq!(
            body("5s"),
            "Invalid timeout '5s': Unknown duration unit 's'.\n"
        );
    }

    #[test]
    fn resources_are_shown_with_their_share() {
        let sums = |text: &str| {
            let mut sums = Sums::default();
            sums.add(&Resources::parse(text, "*").unwrap());
            sums
        };
        let mut gauges = Gauges::default();
        gauges.resources("master", &sums("cpus:3;cpus(r):1;mem:64"), &sums("cpus:1"));
        assert_eq!(gauges.get("master/cpus_percent"), Some(0.25));
        assert_eq!(gauges.get("master/mem_used"), Some(0.0));
        assert_eq!(gauges.get("master/gpus_revocable_percent"), Some(0.0));
        assert_eq!(gauges.0.len(), 24);
    }
}
