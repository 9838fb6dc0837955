//! The `meseta` binary: daemons and tools as subcommands.
//!
//! Under the name `mesos-master`, `mesos-agent`, `mesos-slave`, `mesos-local` or `mesos-execute`
//! it acts as that program.

mod address;
mod daemon;
mod execute;
mod files;
mod flags;
mod local;
mod logging;
mod memory;
mod operator;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use meseta_executor::Kind;

use crate::flags::{FlagError, Flags};

/// A program that the binary can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Local,
    Master,
    Agent,
    Execute,
    Bench,
    Operator,
    CommandExecutor,
    DefaultExecutor,
    Fetcher,
    Supervisor,
    Attendant,
    TerminalKeeper,
}

const PROGRAMS: [(&str, Program, &str); 5] = [
    (
        "local",
        Program::Local,
        "Run a whole cluster on this machine, with its web page",
    ),
    (
        "master",
        Program::Master,
        "Run a master; with logs: read what the leading one logs",
    ),
    (
        "agent",
        Program::Agent,
        "Run an agent; with list, show, drain, …: see and retire agents",
    ),
    (
        "execute",
        Program::Execute,
        "Run one command on a cluster and follow it to its end",
    ),
    (
        "bench",
        Program::Bench,
        "Measure a master under emulated agents and frameworks",
    ),
];

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let invoked_as = args.next().unwrap_or_default();
    let mut args: Vec<OsString> = args.collect();
    // `meseta help agent drain` asks what `meseta agent drain --help` does.
    if args.first().is_some_and(|it| it == "help") {
        args.rotate_left(1);
        args.pop();
        args.push("--help".into());
    }
    let program = match by_name(&invoked_as) {
        Some(program) => program,
        // Hot: one process a task. Nothing is parsed before it runs.
        None if args.first().is_some_and(|a| a == daemon::COMMAND_EXECUTOR) => {
            Program::CommandExecutor
        }
        None if args.first().is_some_and(|a| a == daemon::DEFAULT_EXECUTOR) => {
            Program::DefaultExecutor
        }
        None if args.first().is_some_and(|a| a == daemon::FETCHER) => Program::Fetcher,
        // Hot as well: one process a nested container, which lives as long.
        None if args.first().is_some_and(|a| a == daemon::SUPERVISOR) => Program::Supervisor,
        None if args.first().is_some_and(|a| a == daemon::ATTENDANT) => Program::Attendant,
        None if args.first().is_some_and(|a| a == daemon::TERMINAL_KEEPER) => {
            Program::TerminalKeeper
        }
        None if operator::is_meant_by(&args) => Program::Operator,
        None => match by_subcommand(&args) {
            Ok(program) => {
                args.remove(0);
                program
            }
            Err(error) => return FlagError::Usage(error).report().into(),
        },
    };
    match program {
        Program::CommandExecutor => meseta_executor::run(Kind::Command),
        Program::DefaultExecutor => meseta_executor::run(Kind::Default),
        Program::Fetcher => meseta_fetcher::run(),
        Program::Supervisor => meseta_containerizer::supervise(args.into_iter().skip(1)),
        Program::Attendant => meseta_containerizer::attend(args.into_iter().skip(1)),
        Program::TerminalKeeper => meseta_containerizer::keep(args.into_iter().skip(1)),
        Program::Local => finish(local::run(args)),
        Program::Master => {
            memory::expect_much();
            finish(daemon::master::run(args))
        }
        Program::Agent => finish(daemon::agent::run(args)),
        Program::Execute => execute::run(args),
        Program::Bench => meseta_bench::run(args),
        Program::Operator => operator::run(args),
    }
}

fn by_name(invoked_as: &OsString) -> Option<Program> {
    match Path::new(invoked_as).file_name()?.to_str()? {
        "mesos-master" => Some(Program::Master),
        "mesos-agent" | "mesos-slave" => Some(Program::Agent),
        "mesos-local" => Some(Program::Local),
        "mesos-execute" => Some(Program::Execute),
        "mesos-executor" => Some(Program::CommandExecutor),
        "mesos-default-executor" => Some(Program::DefaultExecutor),
        _ => None,
    }
}

/// The programs, without their flags.
pub(crate) fn overview() -> Command {
    let mut command = Command::new("meseta")
        .about("Runs frameworks written for Apache Mesos")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .override_usage("meseta <COMMAND> [--flag=value]…");
    for (name, _, about) in PROGRAMS {
        command = command.subcommand(Command::new(name).about(about));
    }
    command
}

fn by_subcommand(args: &[OsString]) -> Result<Program, clap::Error> {
    let command = operator::commands()
        .into_iter()
        .filter(|command| !operator::DAEMONS.contains(&command.get_name()))
        .fold(overview(), Command::subcommand);
    let words = std::iter::once(OsString::from("meseta")).chain(args.first().cloned());
    let matches = command.try_get_matches_from(words)?;
    let chosen = matches.subcommand_name().unwrap_or_default();
    Ok(PROGRAMS
        .iter()
        .find(|(name, ..)| *name == chosen)
        .map_or(Program::Local, |(_, p, _)| *p))
}

/// Why a program could not do its work. Printed as one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Flags(#[from] FlagError),
    #[error("{0}")]
    Start(String),
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Flags(error)) => error.report().into(),
        Err(Failure::Start(sentence)) => {
            complain(&format!("error: {sentence}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints lines for the user. Nobody need be there to read them: a daemon goes on without.
pub(crate) fn say(lines: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{lines}").and_then(|()| stdout.flush());
}

/// Prints a line to standard error, if anybody is there to read it.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Parses a daemon's flags; `None` when only the version was asked for, which is then printed.
pub(crate) fn daemon_flags(
    name: &'static str,
    about: &'static str,
    table: &[flags::Flag],
    args: Vec<OsString>,
) -> Result<Option<Flags>, FlagError> {
    let mut command = Command::new(name).about(about).disable_version_flag(true);
    if let Some(more) = operator::beside(name) {
        command = command.after_help(more);
    }
    let flags = Flags::parse(command, table, args, |name| std::env::var(name).ok())?;
    if flags.get("version")? == Some(true) {
        say(&format!(
            "meseta {} (Mesos {})",
            env!("CARGO_PKG_VERSION"),
            meseta_master::VERSION
        ));
        return Ok(None);
    }
    Ok(Some(flags))
}
