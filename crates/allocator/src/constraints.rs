//! Offer constraints: which agents a framework wants to hear of.

use std::collections::HashMap;

use meseta_proto::v1::scheduler::attribute_constraint::predicate::Predicate as Wire;
use meseta_proto::v1::scheduler::attribute_constraint::selector::{self, PseudoattributeType};
use meseta_proto::v1::scheduler::{AttributeConstraint, OfferConstraints};
use meseta_proto::v1::{AgentInfo, Attribute, value};
use regex::{Regex, RegexBuilder};

use crate::limits::MAX_PATTERN_SIZE;

/// Compiled offer constraints of one framework.
#[derive(Debug)]
pub struct Constraints {
    /// An agent must satisfy all constraints of one of the role's groups.
    groups: HashMap<String, Vec<Vec<Constraint>>>,
}

/// Offer constraints that say nothing, or whose pattern is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// A constraint names no attribute.
    #[error("An attribute constraint for role {0} selects nothing that is known")]
    Selector(String),
    /// A constraint has no predicate.
    #[error("An attribute constraint for role {0} has no predicate that is known")]
    Predicate(String),
    /// A pattern is malformed or too large.
    #[error("Failed to construct regex from pattern '{pattern}': {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Debug)]
struct Constraint {
    selector: Selector,
    predicate: Predicate,
}

#[derive(Debug)]
enum Selector {
    Attribute(String),
    Hostname,
    Region,
    Zone,
}

#[derive(Debug)]
enum Predicate {
    Exists,
    NotExists,
    TextEquals(String),
    TextNotEquals(String),
    TextMatches(Regex),
    TextNotMatches(Regex),
}

/// What a selector finds on an agent.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// Ranges or a scalar, on which predicates about text have no say.
    NotText,
}

impl Constraints {
    /// Compiles what a scheduler sent.
    pub fn new(given: &OfferConstraints) -> Result<Self, ConstraintError> {
        let mut groups = HashMap::new();
        for (role, constraints) in &given.role_constraints {
            let compiled = constraints
                .groups
                .iter()
                .map(|group| {
                    let constraints = group.attribute_constraints.iter();
                    constraints.map(|c| Constraint::new(role, c)).collect()
                })
                .collect::<Result<_, _>>()?;
            groups.insert(role.clone(), compiled);
        }
        Ok(Self { groups })
    }

    /// Whether the framework does not want offers of the agent in the role.
    pub fn exclude(&self, role: &str, agent: &AgentInfo) -> bool {
        self.groups.get(role).is_some_and(|groups| {
            !groups
                .iter()
                .any(|group| group.iter().all(|constraint| constraint.holds(agent)))
        })
    }
}

impl Constraint {
    fn new(role: &str, given: &AttributeConstraint) -> Result<Self, ConstraintError> {
        let selector = match &given.selector.selector {
            Some(selector::Selector::AttributeName(name)) => Selector::Attribute(name.clone()),
            Some(selector::Selector::PseudoattributeType(number)) => {
                match PseudoattributeType::try_from(*number) {
                    Ok(PseudoattributeType::Hostname) => Selector::Hostname,
                    Ok(PseudoattributeType::Region) => Selector::Region,
                    Ok(PseudoattributeType::Zone) => Selector::Zone,
                    Ok(PseudoattributeType::Unknown) | Err(_) => {
                        return Err(ConstraintError::Selector(role.to_owned()));
                    }
                }
            }
            None => return Err(ConstraintError::Selector(role.to_owned())),
        };
        let predicate = match &given.predicate.predicate {
            Some(Wire::Exists(_)) => Predicate::Exists,
            Some(Wire::NotExists(_)) => Predicate::NotExists,
            Some(Wire::TextEquals(text)) => Predicate::TextEquals(text.value.clone()),
            Some(Wire::TextNotEquals(text)) => Predicate::TextNotEquals(text.value.clone()),
            Some(Wire::TextMatches(text)) => Predicate::TextMatches(pattern(&text.regex)?),
            Some(Wire::TextNotMatches(text)) => Predicate::TextNotMatches(pattern(&text.regex)?),
            None => return Err(ConstraintError::Predicate(role.to_owned())),
        };
        Ok(Self {
            selector,
            predicate,
        })
    }

    fn holds(&self, agent: &AgentInfo) -> bool {
        match (&self.predicate, self.selector.find(agent)) {
            (Predicate::Exists, found) => !matches!(found, Found::Nothing),
            (Predicate::NotExists, found) => matches!(found, Found::Nothing),
            (_, Found::NotText)
            | (Predicate::TextNotEquals(_) | Predicate::TextNotMatches(_), Found::Nothing) => true,
            (Predicate::TextEquals(_) | Predicate::TextMatches(_), Found::Nothing) => false,
            (Predicate::TextEquals(wanted), Found::Text(text)) => text == wanted,
            (Predicate::TextNotEquals(unwanted), Found::Text(text)) => text != unwanted,
            (Predicate::TextMatches(wanted), Found::Text(text)) => wanted.is_match(text),
            (Predicate::TextNotMatches(unwanted), Found::Text(text)) => !unwanted.is_match(text),
        }
    }
}

impl Selector {
    fn find<'a>(&self, agent: &'a AgentInfo) -> Found<'a> {
        let fault_domain = || agent.domain.as_ref()?.fault_domain.as_ref();
        let text = match self {
            Self::Attribute(name) => {
                let named = |attribute: &&Attribute| attribute.name == *name;
                return match agent.attributes.iter().find(named) {
                    None => Found::Nothing,
                    Some(attribute) if attribute.r#type() == value::Type::Text => {
                        Found::Text(attribute.text.as_ref().map_or("", |text| &text.value))
                    }
                    Some(_) => Found::NotText,
                };
            }
            Self::Hostname => Some(agent.hostname.as_str()),
            Self::Region => fault_domain().map(|domain| domain.region.name.as_str()),
            Self::Zone => fault_domain().map(|domain| domain.zone.name.as_str()),
        };
        text.map_or(Found::Nothing, Found::Text)
    }
}

/// Patterns must match the whole text.
fn pattern(pattern: &str) -> Result<Regex, ConstraintError> {
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(MAX_PATTERN_SIZE)
        .build()
        .map_err(|error| ConstraintError::Pattern {
            pattern: pattern.to_owned(),
            reason: error.to_string(),
        })
}
