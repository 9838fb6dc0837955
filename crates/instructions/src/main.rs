//! Hot paths of the master, each with a load that is always the same, for counting instructions: `cargo xtask
//! instructions` runs this program under callgrind and compares with stored limits. Counts do not depend on
//! what else the machine does, as times would.
//!
//! Without an argument it prints the names of the paths; with one it runs that path.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the loads are this program's own; it fails by panicking, and names are what it prints"
)]

mod paths;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        for (name, _) in paths::ALL {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let Some((_, run)) = paths::ALL.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("error: there is no path '{wanted}'; without an argument they are listed");
        return ExitCode::FAILURE;
    };
    run();
    ExitCode::SUCCESS
}
