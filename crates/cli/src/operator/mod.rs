//! The operator's commands: `meseta agent list`, `meseta task logs`, `meseta top` and so on.
//!
//! They speak the operator API v1 of Mesos, so that they work with a genuine Mesos as well.
//! [`arguments`] says what there is; each module does one group of commands.

mod agent;
mod arguments;
mod client;
mod consent;
mod context;
mod error;
mod events;
mod exec;
mod file;
mod find;
mod framework;
mod limits;
mod logs;
mod maintenance;
mod manual;
mod output;
mod quota;
mod reserve;
mod role;
mod state;
mod task;
mod text;
mod top;
mod version;
mod volume;
mod weight;
mod why;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::complain;
use crate::flags::FlagError;
use arguments::{Arguments, Master, Operation};
use error::Error;
use output::Output;

/// The commands, in the order that help lists them in: after the programs.
pub(crate) fn commands() -> Vec<clap::Command> {
    let all = Arguments::command();
    let all = all.get_subcommands().cloned().enumerate();
    all.map(|(place, command)| command.display_order(AFTER_PROGRAMS + place))
        .collect()
}

/// More than there are programs.
const AFTER_PROGRAMS: usize = 100;

/// The daemons that have commands beside them.
pub(crate) const DAEMONS: [&str; 2] = ["master", "agent"];

/// What the help of a daemon says of the commands that go by its name.
pub(crate) fn beside(program: &str) -> Option<String> {
    let name = DAEMONS.into_iter().find(|name| program.ends_with(name))?;
    let all = Arguments::command();
    let words: Vec<&str> = all
        .find_subcommand(name)?
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    Some(format!(
        "Operators have commands of this name as well: {} (`meseta help {name} {}`).",
        words.join(", "),
        words.first()?
    ))
}

/// Whether these words are for an operator's command. `meseta agent` alone or with flags is the
/// daemon; a word after it, such as `list`, makes it a command.
pub(crate) fn is_meant_by(args: &[OsString]) -> bool {
    let Some(first) = args.first().and_then(|it| it.to_str()) else {
        return false;
    };
    if DAEMONS.contains(&first) {
        let second = args.get(1).map(|it| it.to_string_lossy());
        return second.is_some_and(|it| !it.starts_with('-'));
    }
    commands().iter().any(|command| command.get_name() == first)
}

/// The whole program: status 0 if it is done, 1 if it could not be, 2 if the command line is wrong.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from("meseta")).chain(args);
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => return FlagError::Usage(error).report().into(),
    };
    match perform(arguments) {
        Ok(status) => status,
        // Who reads our output has seen enough.
        Err(Error::Local { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            error.status().into()
        }
    }
}

fn perform(arguments: Arguments) -> Result<ExitCode, Error> {
    let Arguments { common, command } = arguments;
    let output = Output::new(common.output);
    let client = || context::client(&common);
    let done = match command {
        Operation::Master(Master::Logs { part }) => logs::of_master(part, &client()?, &output),
        Operation::Agent(command) => agent::run(command, &client()?, &output),
        Operation::Framework(command) => framework::run(command, &client()?, &output),
        Operation::Why(command) => why::run(&command, &client()?, &output),
        Operation::Task(command) => return task::run(command, &client()?, &output),
        Operation::Role(command) => role::run(&command, &client()?, &output),
        Operation::Quota(command) => quota::run(command, &client()?, &output),
        Operation::Weight(command) => weight::run(command, &client()?, &output),
        Operation::Maintenance(command) => maintenance::run(command, &client()?, &output),
        Operation::Reserve(command) => reserve::reserve(command, &client()?, &output),
        Operation::Unreserve(command) => reserve::unreserve(command, &client()?, &output),
        Operation::Volume(command) => volume::run(command, &client()?, &output),
        Operation::State => state::run(&client()?, &output),
        Operation::Events(command) => events::run(&command, &client()?, &output),
        Operation::Top(command) => top::run(&command, &client()?, &output),
        Operation::Context(command) => context::run(command, &common, &output),
        Operation::Version => version::run(&client()?, &output),
        Operation::Completions { shell } => manual::completions(shell, &output),
        Operation::Man { folder } => manual::pages(folder.as_deref(), &output),
    };
    done.map(|()| ExitCode::SUCCESS)
}
