//! The `meseta` binary: daemons and tools as subcommands.

fn main() {}
