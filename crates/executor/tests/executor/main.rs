//! The command executor as a real process with real tasks, against an agent played by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's way to fail"
)]

mod checks;
mod groups;
mod support;
mod tasks;
