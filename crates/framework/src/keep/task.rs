//! What is to be kept running, and where.

use meseta_proto::json;
use meseta_proto::v1::value::{Scalar, Type};
use meseta_proto::v1::{CommandInfo, Offer, Resource, TaskInfo};
use meseta_resources::Resources;
use serde::{Deserialize, Serialize};

use crate::Error;

/// A task to keep running.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What to run. The id and the agent are filled in for each run.
    pub info: TaskInfo,
    /// What agents must be like.
    pub constraints: Vec<Constraint>,
    /// Whether to run again after an end.
    pub restart: Restart,
}

/// What becomes of a task that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// It runs again, however it ended.
    #[default]
    Always,
    /// It runs again unless it has finished.
    OnFailure,
    /// It runs once.
    Never,
}

/// What an agent must be like. `hostname` stands for the agent's name beside its attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// It has the attribute, with any value.
    Has(String),
    /// It has the attribute, with this text.
    Is(String, String),
    /// It does not have the attribute with this text.
    IsNot(String, String),
}

/// How a task is remembered.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    info: serde_json::Value,
    constraints: Vec<Constraint>,
    restart: Restart,
}

impl Task {
    /// A command for `/bin/sh`, with a tenth of a processor and 32 MB, that always runs again.
    pub fn command(name: impl Into<String>, command: impl Into<String>) -> Self {
        let info = TaskInfo {
            name: name.into(),
            command: Some(CommandInfo {
                value: Some(command.into()),
                ..CommandInfo::default()
            }),
            resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
            ..TaskInfo::default()
        };
        Self {
            info,
            constraints: Vec::new(),
            restart: Restart::default(),
        }
    }

    /// With so many processors.
    #[must_use]
    pub fn cpus(self, cpus: f64) -> Self {
        self.with_scalar("cpus", cpus)
    }

    /// With so many megabytes of memory.
    #[must_use]
    pub fn mem(self, megabytes: f64) -> Self {
        self.with_scalar("mem", megabytes)
    }

    /// Only on agents like this.
    #[must_use]
    pub fn only_where(mut self, constraint: Constraint) -> Self {
        self.constraints.push(constraint);
        self
    }

    /// With another rule for what becomes of it after its end.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// The name by which it is kept.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    fn with_scalar(mut self, name: &str, value: f64) -> Self {
        self.info.resources.retain(|r| r.name != name);
        self.info.resources.push(scalar(name, value));
        self
    }

    /// Whether it could ever be launched.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |reason: String| Error::Task {
            name: self.name().to_owned(),
            reason,
        };
        if self.name().is_empty() {
            return Err(wrong("it has no name".into()));
        }
        match Resources::from_v1(&self.info.resources) {
            Err(error) => Err(wrong(error.to_string())),
            Ok(resources) if resources.is_empty() => Err(wrong("it asks for no resources".into())),
            Ok(_) => Ok(()),
        }
    }

    /// Takes what the task needs out of what is left of an offer, preferring what is reserved:
    /// others cannot use that.
    pub(super) fn take_from(&self, offer: &Offer, left: &mut Resources) -> Option<Vec<Resource>> {
        if !self.constraints.iter().all(|c| c.is_met_by(offer)) {
            return None;
        }
        let role = offer.allocation_info.as_ref().map(|a| a.role().to_owned());
        let mut rest = left.clone();
        let mut taken = Resources::new();
        for wanted in Resources::from_v1(&self.info.resources).ok()?.to_v1() {
            let offered = rest.to_v1();
            let reserved = offered.iter().filter(|r| !r.reservations.is_empty());
            let unreserved = offered.iter().filter(|r| r.reservations.is_empty());
            let piece = reserved.chain(unreserved).find_map(|source| {
                let reservations = source.reservations.clone();
                let piece = Resource {
                    reservations,
                    ..wanted.clone()
                };
                let piece = Resources::from_v1(&[piece]).ok()?;
                rest.contains(&piece).then_some(piece)
            })?;
            rest = &rest - &piece;
            taken = &taken + &piece;
        }
        *left = rest;
        let taken = role.map_or_else(|| taken.clone(), |role| taken.allocate(&role));
        Some(taken.to_v1())
    }

    pub(super) fn to_record(&self) -> Record {
        Record {
            info: serde_json::from_str(&json::to_string(&self.info)).unwrap_or_default(),
            constraints: self.constraints.clone(),
            restart: self.restart,
        }
    }

    pub(super) fn from_record(record: Record) -> Result<Self, String> {
        let info = record.info.to_string();
        Ok(Self {
            info: json::from_slice(info.as_bytes()).map_err(|e| e.to_string())?,
            constraints: record.constraints,
            restart: record.restart,
        })
    }
}

impl Constraint {
    fn is_met_by(&self, offer: &Offer) -> bool {
        let has = |name: &str, text: Option<&str>| {
            let is_it = |value: &str| text.is_none_or(|text| text == value);
            (name == "hostname" && is_it(&offer.hostname))
                || offer.attributes.iter().any(|attribute| {
                    let value = attribute.text.as_ref().map_or("", |t| t.value.as_str());
                    attribute.name == name && is_it(value)
                })
        };
        match self {
            Self::Has(name) => has(name, None),
            Self::Is(name, text) => has(name, Some(text)),
            Self::IsNot(name, text) => !has(name, Some(text)),
        }
    }
}

fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: Type::Scalar.into(),
        scalar: Some(Scalar { value }),
        ..Resource::default()
    }
}
