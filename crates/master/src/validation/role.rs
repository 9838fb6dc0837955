use super::{Checked, Invalid};

/// Checks the name of a role, such as `*`, `web` or `web/frontend`.
pub fn role(role: &str) -> Checked {
    let refuse = |rest: &str| Err(Invalid(format!("Role '{role}' {rest}")));
    if role == "*" {
        return Ok(());
    }
    if role.starts_with('/') {
        return refuse("cannot start with a slash");
    }
    if role.ends_with('/') {
        return refuse("cannot end with a slash");
    }
    if role.contains("//") {
        return refuse("cannot contain two adjacent slashes");
    }
    if role.is_empty() {
        return Err(Invalid::new("Role names cannot be the empty string"));
    }
    for component in role.split('/') {
        if matches!(component, "." | ".." | "*") {
            return refuse(&format!("cannot include '{component}' as a component"));
        }
        let because = |reason: &str| {
            Err(Invalid(format!(
                "Role component '{component}' is invalid because it {reason}"
            )))
        };
        if component.starts_with('-') {
            return because("starts with a dash");
        }
        if component
            .bytes()
            .any(|b| matches!(b, b'\t'..=b'\r' | b' ' | 0x7f))
        {
            return because("contains backspace or whitespace");
        }
    }
    Ok(())
}

/// Parses the value of the flag `--roles`: names with commas between them.
pub fn roles_flag(text: &str) -> Result<Vec<String>, Invalid> {
    let names: Vec<String> = text
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    for name in &names {
        role(name)?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_roles_are_refused() {
        for (name, sentence) in [
            ("", "Role names cannot be the empty string"),
            ("/a", "Role '/a' cannot start with a slash"),
            ("a/", "Role 'a/' cannot end with a slash"),
            ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
            ("a/*", "Role 'a/*' cannot include '*' as a component"),
            ("a/..", "Role 'a/..' cannot include '..' as a component"),
            (
                "-a",
                "Role component '-a' is invalid because it starts with a dash",
            ),
            (
                "a b",
                "Role component 'a b' is invalid because it contains backspace or whitespace",
            ),
        ] {
            assert_eq!(role(name).unwrap_err().to_string(), sentence);
        }
    }

    #[test]
    fn paths_of_roles_are_taken() {
        for name in ["*", "web", "web/front-end", "a.b", "é"] {
            assert_eq!(role(name), Ok(()), "{name}");
        }
        assert_eq!(roles_flag("a,,b").unwrap(), ["a", "b"]);
        assert!(roles_flag("a,-b").is_err());
    }
}
