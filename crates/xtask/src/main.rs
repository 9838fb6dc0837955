//! Developer commands: `cargo xtask help` lists them.
//!
//! Every command runs from any folder of the checkout, and a failure ends with what to run to
//! mend it.

mod bench;
mod book;
mod command;
mod error;
mod instructions;
mod lint;
mod nightly;
mod release;
mod test;
mod walls;
mod webui;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use error::Error;

const HELP: &str = "\
Developer commands of Meseta:

  cargo xtask test [ARGS]  installs what the tests need (as root, with apt-get), runs every test
                           (ARGS go to the test runner: cargo xtask test -p meseta-cli tutorial)
  cargo xtask nightly [N]  what takes too long for every change: the agent dies N times (1000) at
                           moments of chance, and N times at what it writes
  cargo xtask lint         format, clippy, cargo doc, the walls between crates, file lengths, the
                           links of the book, licences, the web page's bundle
  cargo xtask walls        the walls between crates and file lengths alone
  cargo xtask book         builds the book of docs/ into target/book/html (needs mdbook); with --check
                           looks whether all links of all pages lead somewhere
  cargo xtask webui        builds the web page's bundle (needs Node and npm); with --check proves
                           that the committed bundle is what the sources build
  cargo xtask ci           lint, then test
  cargo xtask release      builds target/release/meseta as it is to be installed: one static binary
  cargo xtask bench [--large] [NAME…]
                           builds a release, runs every scenario of `meseta bench` and the benchmarks
                           of parts (or those that are named: register, tasks, allocation, …), and
                           writes their tables into docs/performance.md
  cargo xtask bench page [--binary=PATH] [--tasks=N]
                           with a flag: the frames of the web page with a binary that is there already
                           (target/release/meseta), printed
  cargo xtask instructions [--set]
                           counts the instructions of hot paths with callgrind and compares them with
                           tests/instructions.tsv, or stores them there
  cargo xtask help         this text
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match name.as_deref() {
        Some("test") => test::run(&root(), &rest),
        Some("nightly") => nightly::run(&root(), &rest),
        Some("lint") => lint::run(&root()),
        Some("walls") => walls::check(&root()),
        Some("book") => book::run(&root(), &rest),
        Some("webui") => webui::run(&root(), &rest),
        Some("ci") => lint::run(&root()).and_then(|()| test::run(&root(), &rest)),
        Some("release") => release::build(&root()),
        Some("bench") => bench::run(&root(), &rest),
        Some("instructions") => instructions::run(&root(), &rest),
        Some("help" | "--help" | "-h") => {
            eprint!("{HELP}");
            Ok(())
        }
        Some(other) => Err(Error::UnknownCommand(other.to_owned())),
        None => Err(Error::NoCommand),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder: two above this crate's.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
