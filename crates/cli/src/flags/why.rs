//! The flags of `meseta why`.

use super::Form::Text;
use super::{Flag, served};

/// Every flag of `meseta why`.
#[rustfmt::skip] // A table: one flag a line.
pub(crate) const FLAGS: &[Flag] = &[
    served("master", Text, Some("127.0.0.1:5050"), "host:port of the master"),
    served("role", Text, None, "Look at this role alone [default: all roles of the framework]"),
    served("nearest", Text, Some("5"), "How many agents to show for each role, those that come nearest to an offer first"),
];
