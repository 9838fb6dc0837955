//! `cargo xtask lint`: everything that a reviewer should not have to say.

use std::path::Path;

use crate::command::{Run, answers};
use crate::error::Error;
use crate::{book, walls, webui};

pub(crate) fn run(root: &Path) -> Result<(), Error> {
    Run {
        root,
        line: &["cargo", "fmt", "--all", "--check"],
        help: "run `cargo fmt --all`",
    }
    .show()?;
    Run {
        root,
        line: &[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        help: "mend what clippy names above; `#[allow(…, reason = \"…\")]` where it is wrong",
    }
    .show()?;
    Run {
        root,
        line: &[
            "env",
            "RUSTDOCFLAGS=-D warnings",
            "cargo",
            "doc",
            "--workspace",
            "--no-deps",
            "--quiet",
        ],
        help: "mend what rustdoc names above",
    }
    .show()?;
    eprintln!("$ links of all pages, chapters of the book");
    if answers(&["mdbook", "--version"]) {
        book::run(root, &[])?;
    } else {
        book::check(root)?;
        eprintln!("(checked, but not built: `cargo install --locked mdbook`)");
    }
    eprintln!("$ walls between crates, file lengths");
    walls::check(root)?;
    if answers(&["cargo", "deny", "--version"]) {
        Run {
            root,
            // Advisories are news about old code: no reason to refuse a change.
            line: &["cargo", "deny", "check", "bans", "licenses", "sources"],
            help: "deny.toml lists what is accepted and why",
        }
        .show()?;
    } else {
        eprintln!("(licences and sources not checked: `cargo install --locked cargo-deny`)");
    }
    webui::check_if_possible(root)
}
