//! Schedulers in Rust: a client of the v1 scheduler API.
