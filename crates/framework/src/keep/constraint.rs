//! What agents must be like for a task to run there.

use std::collections::BTreeMap;
use std::fmt;

use meseta_proto::v1::Offer;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What an agent must be like. Attributes are compared as text; `hostname` stands for the agent's name
/// beside its attributes. Of several attributes of one name, the last counts.
///
/// The last three look at where the other tasks of the same group ([`Task::in_group`](super::Task::in_group))
/// run. Agents without the attribute are not for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// It has the attribute, with any value.
    Has(String),
    /// It has the attribute, with this text.
    Is(String, String),
    /// It does not have the attribute with this text.
    IsNot(String, String),
    /// It has the attribute, with a text that is wholly matched.
    Like(String, Pattern),
    /// It does not have the attribute with a text that is wholly matched.
    Unlike(String, Pattern),
    /// No other of the group runs where the attribute has the same value.
    Unique(String),
    /// At most so many of the group run where the attribute has the same value.
    MaxPer(String, usize),
    /// The group is spread evenly over the values of the attribute, of which there are so many.
    GroupBy(String, usize),
}

/// A regular expression, for [`Constraint::Like`] and [`Constraint::Unlike`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Pattern`] when it is none.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(regex) => Ok(Self { text, regex }),
            Err(error) => Err(Error::Pattern {
                text,
                reason: error.to_string(),
            }),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

/// An agent's name and attributes, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place(BTreeMap<String, String>);

impl Place {
    pub(super) fn of(offer: &Offer) -> Self {
        let attributes = offer.attributes.iter().filter_map(|attribute| {
            let text = attribute.text.as_ref().map(|text| text.value.clone());
            let scalar = attribute.scalar.as_ref();
            let value = text.or_else(|| scalar.map(|scalar| scalar.value.to_string()))?;
            Some((attribute.name.clone(), value))
        });
        let mut place: BTreeMap<_, _> = attributes.collect();
        place
            .entry("hostname".to_owned())
            .or_insert_with(|| offer.hostname.clone());
        Self(place)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Constraint {
    /// Whether it is met at a place, given where the others of the group are.
    pub(super) fn is_met_at<'a, I: Iterator<Item = &'a Place>>(
        &self,
        place: &Place,
        others: impl Fn() -> I,
    ) -> bool {
        let count_at = |name: &str, value: &str| {
            let others = others();
            others
                .filter(|other| other.get(name) == Some(value))
                .count()
        };
        match self {
            Self::Has(name) => place.get(name).is_some(),
            Self::Is(name, text) => place.get(name) == Some(text),
            Self::IsNot(name, text) => place.get(name) != Some(text),
            Self::Like(name, pattern) => place.get(name).is_some_and(|v| pattern.regex.is_match(v)),
            Self::Unlike(name, pattern) => {
                !place.get(name).is_some_and(|v| pattern.regex.is_match(v))
            }
            Self::Unique(name) => place.get(name).is_some_and(|v| count_at(name, v) == 0),
            Self::MaxPer(name, most) => place.get(name).is_some_and(|v| count_at(name, v) < *most),
            Self::GroupBy(name, values) => place.get(name).is_some_and(|value| {
                let mut counts = BTreeMap::<&str, usize>::new();
                for other in others().filter_map(|other| other.get(name)) {
                    *counts.entry(other).or_default() += 1;
                }
                let here = counts.get(value).copied().unwrap_or_default();
                let is_seen_everywhere = counts.len() >= *values;
                let fewest = counts.values().min().copied().unwrap_or_default();
                here <= if is_seen_everywhere { fewest } else { 0 }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rack: &str) -> Place {
        let place = [("hostname", "host"), ("rack", rack)];
        Place(place.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
    }

    fn is_met(constraint: &Constraint, rack: &str, others: &[&str]) -> bool {
        let others: Vec<_> = others.iter().map(|rack| at(rack)).collect();
        constraint.is_met_at(&at(rack), || others.iter())
    }

    #[test]
    fn patterns_match_whole_texts() {
        let rack = || "rack".to_owned();
        let like = Constraint::Like(rack(), Pattern::new("r[12]|s").unwrap());
        let unlike = Constraint::Unlike(rack(), Pattern::new("r[12]|s").unwrap());
        for (text, matches) in [("r1", true), ("s", true), ("r12", false), ("xs", false)] {
            assert_eq!(is_met(&like, text, &[]), matches, "{text}");
            assert_eq!(is_met(&unlike, text, &[]), !matches, "{text}");
        }
        let nowhere = Constraint::Unlike("pod".into(), Pattern::new(".*").unwrap());
        assert!(is_met(&nowhere, "r1", &[]));
        let error = Pattern::new("r[").unwrap_err().to_string();
        assert!(error.contains("'r['"), "{error}");
    }

    #[test]
    fn a_group_keeps_apart_as_it_is_told() {
        let rack = || "rack".to_owned();
        let unique = Constraint::Unique(rack());
        assert!(is_met(&unique, "a", &["b", "c"]));
        assert!(!is_met(&unique, "a", &["b", "a"]));
        let max = Constraint::MaxPer(rack(), 2);
        assert!(is_met(&max, "a", &["a", "b", "b"]));
        assert!(!is_met(&max, "a", &["a", "a"]));
        let spread = Constraint::GroupBy(rack(), 2);
        assert!(is_met(&spread, "a", &[]));
        assert!(!is_met(&spread, "a", &["a"]), "the other rack comes first");
        assert!(is_met(&spread, "b", &["a"]));
        assert!(is_met(&spread, "a", &["a", "b"]));
        assert!(!is_met(&spread, "a", &["a", "a", "b"]));
        for constraint in ["pod".to_owned()].map(Constraint::Unique) {
            assert!(!is_met(&constraint, "a", &[]), "agents without it");
        }
    }

    #[test]
    fn constraints_are_remembered_as_they_are() {
        let pattern = Pattern::new("r.*").unwrap();
        for constraint in [
            Constraint::Like("rack".into(), pattern),
            Constraint::GroupBy("rack".into(), 3),
        ] {
            let text = serde_json::to_string(&constraint).unwrap();
            let read: Constraint = serde_json::from_str(&text).unwrap();
            assert_eq!(read, constraint, "{text}");
        }
        let wrong = serde_json::from_str::<Constraint>(r#"{"like":["rack","r["]}"#);
        assert!(wrong.is_err());
    }
}
