//! Names of roles, and the hierarchy that their slashes make.

use crate::Error;

/// The role of those without one, and of resources that are reserved to nobody.
pub const DEFAULT: &str = "*";

/// Checks a role's name.
pub fn validate(role: &str) -> Result<(), Error> {
    if role == DEFAULT {
        return Ok(());
    }
    let invalid = |sentence: String| Err(Error::Invalid(sentence));
    if role.starts_with('/') {
        return invalid(format!("Role '{role}' cannot start with a slash"));
    }
    if role.ends_with('/') {
        return invalid(format!("Role '{role}' cannot end with a slash"));
    }
    if role.contains("//") {
        return invalid(format!("Role '{role}' cannot contain two adjacent slashes"));
    }
    if role.is_empty() {
        return invalid("Role names cannot be the empty string".into());
    }
    for component in role.split('/') {
        if matches!(component, "." | ".." | "*") {
            return invalid(format!(
                "Role '{role}' cannot include '{component}' as a component"
            ));
        }
        if component.starts_with('-') {
            return invalid(format!(
                "Role component '{component}' is invalid because it starts with a dash"
            ));
        }
        if component.contains(['\t', '\n', '\u{b}', '\u{c}', '\r', ' ', '\u{7f}']) {
            return invalid(format!(
                "Role component '{component}' is invalid because it contains backspace or whitespace"
            ));
        }
    }
    Ok(())
}

/// Whether `role` lies below `ancestor` in the hierarchy.
pub fn is_strict_subrole_of(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether `role` is `ancestor` or lies below it.
pub fn is_in_subtree_of(role: &str, ancestor: &str) -> bool {
    role == ancestor || is_strict_subrole_of(role, ancestor)
}

/// The roles above `role`, nearest first.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    role.rmatch_indices('/')
        .filter_map(|(slash, _)| role.get(..slash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_follows_slashes() {
        assert!(is_strict_subrole_of("eng/dev", "eng"));
        assert!(!is_strict_subrole_of("eng", "eng"));
        assert!(!is_strict_subrole_of("engine", "eng"));
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
    }

    #[test]
    fn refusals_read_as_in_mesos() {
        let refusal = |role: &str| validate(role).unwrap_err().to_string();
        assert_eq!(validate("eng/dev"), Ok(()));
        assert_eq!(validate("*"), Ok(()));
        assert_eq!(refusal(""), "Role names cannot be the empty string");
        assert_eq!(refusal("/a"), "Role '/a' cannot start with a slash");
        assert_eq!(refusal("a/"), "Role 'a/' cannot end with a slash");
        assert_eq!(
            refusal("a//b"),
            "Role 'a//b' cannot contain two adjacent slashes"
        );
        assert_eq!(
            refusal("a/../b"),
            "Role 'a/../b' cannot include '..' as a component"
        );
        assert_eq!(
            refusal("a/-b"),
            "Role component '-b' is invalid because it starts with a dash"
        );
        assert_eq!(
            refusal("a b"),
            "Role component 'a b' is invalid because it contains backspace or whitespace"
        );
    }
}
