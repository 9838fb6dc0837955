//! What was measured, for people and for programs.

mod machine;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use machine::{Machine, date};
pub(crate) use table::table;

use crate::measure::Distribution;
use crate::target::Cost;

/// All that a run of a scenario gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    pub(crate) target: String,
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) seed: u64,
    pub(crate) sizes: BTreeMap<String, u64>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) cost: Cost,
    /// What was odd: refusals, repetitions.
    pub(crate) notes: Vec<String>,
}

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) value: Value,
}

/// What a figure is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Value {
    /// How long something took, in seconds.
    Seconds(f64),
    /// How many a second: more is better.
    Rate(f64),
    /// How many.
    Count(u64),
    /// How many, of which there may be parts.
    Amount(f64),
    Bytes(u64),
    /// How long each of many took, in milliseconds.
    Times {
        count: u64,
        p50: f64,
        p90: f64,
        p99: f64,
        max: f64,
    },
}

/// Figures in the making.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    fn add(&mut self, name: &str, value: Value) -> &mut Self {
        let name = name.to_owned();
        self.0.push(Figure { name, value });
        self
    }

    pub(crate) fn seconds(&mut self, name: &str, took: Duration) -> &mut Self {
        self.add(name, Value::Seconds(took.as_secs_f64()))
    }

    pub(crate) fn number(&mut self, name: &str, seconds: f64) -> &mut Self {
        self.add(name, Value::Seconds(seconds))
    }

    #[allow(clippy::cast_precision_loss, reason = "shown with few digits")]
    pub(crate) fn rate(&mut self, name: &str, count: u64, took: Duration) -> &mut Self {
        let rate = count as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE);
        self.add(name, Value::Rate(rate))
    }

    pub(crate) fn count(&mut self, name: &str, count: u64) -> &mut Self {
        self.add(name, Value::Count(count))
    }

    pub(crate) fn amount(&mut self, name: &str, amount: f64) -> &mut Self {
        self.add(name, Value::Amount(amount))
    }

    pub(crate) fn bytes(&mut self, name: &str, bytes: u64) -> &mut Self {
        self.add(name, Value::Bytes(bytes))
    }

    /// Nothing if nothing was measured.
    pub(crate) fn times(&mut self, name: &str, times: &Distribution) -> &mut Self {
        if times.count() == 0 {
            return self;
        }
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let value = Value::Times {
            count: times.count(),
            p50: millis(times.percentile(50.0)),
            p90: millis(times.percentile(90.0)),
            p99: millis(times.percentile(99.0)),
            max: millis(times.max()),
        };
        self.add(name, value)
    }

    pub(crate) fn done(&mut self) -> Vec<Figure> {
        std::mem::take(&mut self.0)
    }
}

impl Report {
    /// The figures one by one, each a number: what comparisons are made of.
    #[allow(clippy::cast_precision_loss, reason = "ratios need few digits")]
    pub(crate) fn numbers(&self) -> Vec<(String, f64)> {
        let mut numbers = Vec::new();
        for Figure { name, value } in &self.figures {
            match value {
                Value::Seconds(value) => numbers.push((format!("{name}, s"), *value)),
                Value::Rate(value) => numbers.push((format!("{name}, a second"), *value)),
                Value::Count(count) => numbers.push((name.clone(), *count as f64)),
                Value::Amount(amount) => numbers.push((name.clone(), *amount)),
                Value::Bytes(bytes) => numbers.push((format!("{name}, bytes"), *bytes as f64)),
                Value::Times { p50, p99, .. } => {
                    numbers.push((format!("{name}, p50, ms"), *p50));
                    numbers.push((format!("{name}, p99, ms"), *p99));
                }
            }
        }
        if let Some(target) = &self.cost.target {
            numbers.push(("CPU of the target, s".to_owned(), target.cpu_seconds));
            let memory = target.memory_after as f64;
            numbers.push(("memory of the target, bytes".to_owned(), memory));
        }
        numbers
    }
}
