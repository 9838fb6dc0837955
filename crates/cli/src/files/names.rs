//! Names of users and groups, from the system's files: the C library's lookups do not work in a
//! static binary.

use std::fs;

/// The name of a user, or its number where it has none.
pub(crate) fn user(id: u32) -> String {
    lookup("/etc/passwd", id)
}

/// The name of a group, or its number where it has none.
pub(crate) fn group(id: u32) -> String {
    lookup("/etc/group", id)
}

fn lookup(file: &str, id: u32) -> String {
    let number = id.to_string();
    // Both files are `name:password:number:…`.
    fs::read_to_string(file)
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                (fields.nth(1)? == number).then(|| name.to_owned())
            })
        })
        .unwrap_or(number)
}
