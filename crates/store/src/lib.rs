//! An embedded store of facts with group commit.
