use super::{Checked, Invalid};

/// Ids become names of directories, so they are as long as those may be.
const MAX_ID_LENGTH: usize = 255;

/// Checks an id that a client chose: of a task, an executor, a framework, a persistent volume.
pub fn id(id: &str) -> Checked {
    if id.is_empty() {
        return Err(Invalid::new("ID must not be empty"));
    }
    if id.len() > MAX_ID_LENGTH {
        return Err(Invalid(format!(
            "ID must not be greater than {MAX_ID_LENGTH} characters"
        )));
    }
    if id == "." || id == ".." {
        return Err(Invalid(format!("'{id}' is disallowed")));
    }
    let is_invalid = |b: u8| b.is_ascii_control() || b == b'/' || b == b'\\';
    if id.bytes().any(is_invalid) {
        return Err(Invalid(format!("'{id}' contains invalid characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_cannot_name_a_directory_are_refused() {
        let refusal = |text: &str| id(text).unwrap_err().to_string();
        assert_eq!(refusal(""), "ID must not be empty");
        assert_eq!(refusal("."), "'.' is disallowed");
        assert_eq!(refusal(".."), "'..' is disallowed");
        assert_eq!(refusal("a/b"), "'a/b' contains invalid characters");
        assert_eq!(refusal("a\\b"), "'a\\b' contains invalid characters");
        assert_eq!(refusal("a\u{7f}"), "'a\u{7f}' contains invalid characters");
        assert_eq!(
            refusal(&"x".repeat(256)),
            "ID must not be greater than 255 characters"
        );
    }

    #[test]
    fn ids_with_blanks_and_dots_are_taken() {
        assert_eq!(id("shell hello world loop"), Ok(()));
        assert_eq!(id("..."), Ok(()));
        assert_eq!(id(&"x".repeat(255)), Ok(()));
    }
}
