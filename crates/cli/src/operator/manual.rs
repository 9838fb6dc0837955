//! Completions and manual pages, from the same description that the words are read by.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::Arguments;
use super::error::Error;
use super::output::{Output, printing};

/// `meseta completions`.
pub(super) fn completions(shell: Shell, output: &Output) -> Result<(), Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut everything(), "meseta", &mut text);
    output.bytes(&text)
}

/// `meseta man`.
pub(super) fn pages(folder: Option<&Path>, output: &Output) -> Result<(), Error> {
    let Some(folder) = folder else {
        let mut text = Vec::new();
        Man::new(everything())
            .render(&mut text)
            .map_err(printing)?;
        return output.bytes(&text);
    };
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        clap_mangen::generate_to(everything(), folder)
    };
    write().map_err(|source| Error::Local {
        attempt: format!("write manual pages to {}", folder.display()),
        source,
    })?;
    output.done(&format!("The manual pages are in {}.", folder.display()))
}

/// The whole command line: the daemons with their flags, and the operator's commands.
fn everything() -> Command {
    let mut all = crate::overview();
    let operator = Arguments::command();
    let common: Vec<Arg> = operator.get_arguments().cloned().collect();
    for command in operator.get_subcommands() {
        let name = command.get_name();
        if all.find_subcommand(name).is_some() {
            // `meseta agent`: the daemon's flags beside the operator's commands.
            let nested = command.get_subcommands().cloned();
            let nested: Vec<Command> = nested.map(|it| it.args(&common)).collect();
            all = all.mut_subcommand(name, |daemon| daemon.subcommands(nested));
        } else {
            all = all.subcommand(command.clone().args(&common));
        }
    }
    for (name, flags) in crate::flags::tables() {
        let flags: Vec<Arg> = flags.iter().map(crate::flags::argument).collect();
        all = all.mut_subcommand(name, |command| command.args(flags));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_flag_of_the_binary_is_described_without_contradiction() {
        everything().debug_assert();
    }

    #[test]
    fn shells_complete_daemons_and_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut everything(), "meseta", &mut text);
            let text = String::from_utf8(text).unwrap();
            for word in ["drain", "work_dir", "teardown", "execute"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }
}
