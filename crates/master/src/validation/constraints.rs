use meseta_proto::v1::scheduler::attribute_constraint::{Selector, predicate, selector};
use meseta_proto::v1::scheduler::{AttributeConstraint, OfferConstraints};
use regex_syntax::ast::{self, ErrorKind};

use super::{Checked, Invalid};
use crate::limits::MAX_REGEX_LENGTH;

/// Checks everything about offer constraints that does not depend on the framework.
pub(super) fn constraints(given: &OfferConstraints) -> Checked {
    for (role, constraints) in &given.role_constraints {
        if constraints.groups.is_empty() {
            return Err(Invalid(format!(
                "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for \
                 role {role}"
            )));
        }
        for group in &constraints.groups {
            if group.attribute_constraints.is_empty() {
                // The blank that is missing here is missing in Mesos's sentence.
                return Err(Invalid(format!(
                    "'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty \
                     RoleConstraints::Group"
                )));
            }
            for constraint in &group.attribute_constraints {
                attribute_constraint(constraint).map_err(|e| {
                    Invalid(format!(
                        "A role {role} has an invalid 'AttributeConstraint': {e}"
                    ))
                })?;
            }
        }
    }
    Ok(())
}

fn attribute_constraint(constraint: &AttributeConstraint) -> Checked {
    attribute_selector(&constraint.selector)?;
    match &constraint.predicate.predicate {
        Some(predicate::Predicate::TextMatches(matches)) => regex(&matches.regex),
        Some(predicate::Predicate::TextNotMatches(matches)) => regex(&matches.regex),
        Some(_) => Ok(()),
        None => Err(Invalid::new("Unknown predicate type")),
    }
}

fn attribute_selector(given: &Selector) -> Checked {
    use selector::PseudoattributeType;
    match given.selector {
        Some(selector::Selector::AttributeName(_)) => Ok(()),
        Some(selector::Selector::PseudoattributeType(number)) => {
            match PseudoattributeType::try_from(number) {
                Err(_) | Ok(PseudoattributeType::Unknown) => {
                    Err(Invalid::new("Unknown pseudoattribute type"))
                }
                Ok(_) => Ok(()),
            }
        }
        None => Err(Invalid::new(
            "Exactly one of 'AttributeConstraint::Selector::name' or \
             'AttributeConstraint::Selector::pseudoattribute_type' must be set",
        )),
    }
}

fn regex(pattern: &str) -> Checked {
    if pattern.len() > MAX_REGEX_LENGTH {
        return Err(Invalid(format!(
            "Regex '{pattern}' is too complex: it is longer than {MAX_REGEX_LENGTH} bytes"
        )));
    }
    let reason = match regex_syntax::parse(pattern) {
        Ok(_) => return Ok(()),
        Err(regex_syntax::Error::Parse(error)) => re2_sentence(pattern, &error),
        Err(error) => error.to_string(),
    };
    Err(Invalid(format!(
        "Failed to construct regex from pattern '{pattern}': {reason}"
    )))
}

/// What RE2, with which Mesos parses patterns, says about the commonest mistakes.
fn re2_sentence(pattern: &str, error: &ast::Error) -> String {
    let (start, end) = (error.span().start.offset, error.span().end.offset);
    let from_start = pattern.get(start..).unwrap_or_default();
    let part = pattern.get(start..end).unwrap_or_default();
    match error.kind() {
        ErrorKind::GroupUnclosed => format!("missing ): {pattern}"),
        ErrorKind::GroupUnopened => format!("unexpected ): {pattern}"),
        ErrorKind::ClassUnclosed => format!("missing ]: {from_start}"),
        ErrorKind::ClassRangeInvalid => format!("invalid character class range: {part}"),
        ErrorKind::RepetitionMissing => {
            // The span is empty and lies before the operator.
            let operator = from_start.chars().next().unwrap_or_default();
            format!("no argument for repetition operator: {operator}")
        }
        ErrorKind::EscapeUnexpectedEof => "trailing \\".to_owned(),
        ErrorKind::EscapeUnrecognized => format!("invalid escape sequence: {part}"),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    fn refusal(role_constraints: &str) -> Option<String> {
        let text = format!(r#"{{"role_constraints":{{"r":{role_constraints}}}}}"#);
        let given: OfferConstraints = json::from_slice(text.as_bytes()).unwrap();
        constraints(&given).err().map(|e| e.0)
    }

    fn regex_refusal(pattern: &str) -> Option<String> {
        refusal(&format!(
            r#"{{"groups":[{{"attribute_constraints":[{{"selector":{{"attribute_name":"a"}},
            "predicate":{{"text_matches":{{"regex":{pattern:?}}}}}}}]}}]}}"#
        ))
    }

    #[test]
    fn empty_parts_are_refused() {
        assert_eq!(
            refusal("{}").unwrap(),
            "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role r"
        );
        assert_eq!(
            refusal(r#"{"groups":[{}]}"#).unwrap(),
            "'OfferConstraints::RoleConstraints::groups' for role rcontains an empty \
             RoleConstraints::Group"
        );
        let constraint = |parts: &str| {
            refusal(&format!(
                r#"{{"groups":[{{"attribute_constraints":[{{{parts}}}]}}]}}"#
            ))
            .unwrap()
        };
        assert_eq!(
            constraint(r#""selector":{},"predicate":{"exists":{}}"#),
            "A role r has an invalid 'AttributeConstraint': Exactly one of \
             'AttributeConstraint::Selector::name' or \
             'AttributeConstraint::Selector::pseudoattribute_type' must be set"
        );
        assert_eq!(
            constraint(r#""selector":{"attribute_name":"a"},"predicate":{}"#),
            "A role r has an invalid 'AttributeConstraint': Unknown predicate type"
        );
    }

    #[test]
    fn patterns_that_do_not_parse_are_refused_in_the_words_of_re2() {
        for (pattern, reason) in [
            ("(", "missing ): ("),
            ("a)", "unexpected ): a)"),
            ("a[b", "missing ]: [b"),
            ("*", "no argument for repetition operator: *"),
            ("[z-a]", "invalid character class range: z-a"),
            ("\\", "trailing \\"),
        ] {
            assert_eq!(
                regex_refusal(pattern).unwrap(),
                format!(
                    "A role r has an invalid 'AttributeConstraint': Failed to construct regex from \
                     pattern '{pattern}': {reason}"
                )
            );
        }
        assert_eq!(regex_refusal("rack-[0-9]+"), None);
        assert!(regex_refusal(&"a".repeat(MAX_REGEX_LENGTH + 1)).is_some());
    }
}
