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
        Man::new(everything()).render(&mut text).map_err(printing)?;
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
    use std::fmt::Write as _;

    use super::*;

    const BOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");

    /// What stands in the book from here to its end is made by [`reference`].
    const MARK: &str = "<!-- From here on: what the commands' own help says. -->\n";

    /// Every command with its arguments and flags, but for those that all have.
    fn reference(command: &Command, path: &str, text: &mut String) {
        for command in command.get_subcommands() {
            let path = format!("{path} {}", command.get_name());
            if command.has_subcommands() {
                reference(command, &path, text);
                continue;
            }
            let shown = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set();
            let args: Vec<&Arg> = command.get_arguments().filter(shown).collect();
            let mut usage = format!("meseta{path}");
            let mut rows = String::new();
            for arg in args {
                let value = arg.get_value_names().and_then(|it| it.first());
                let value = value.map(ToString::to_string).unwrap_or_default();
                let name = match (arg.get_long(), arg.get_short()) {
                    _ if arg.is_positional() => format!("`{value}`"),
                    (Some(long), short) => {
                        let short = short.map_or(String::new(), |it| format!("`-{it}`, "));
                        let takes_value = arg.get_action().takes_values();
                        let value = if takes_value {
                            format!("={value}")
                        } else {
                            String::new()
                        };
                        format!("{short}`--{long}{value}`")
                    }
                    _ => continue,
                };
                if arg.is_positional() {
                    let (open, close) = if arg.is_required_set() {
                        ("", "")
                    } else {
                        ("[", "]")
                    };
                    write!(usage, " {open}{value}{close}").unwrap();
                }
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let default = arg.get_default_values().first();
                let default = default
                    .filter(|_| arg.get_action().takes_values())
                    .map(|it| format!(" [default: {}]", it.to_string_lossy()))
                    .unwrap_or_default();
                writeln!(rows, "| {name} | {help}{default} |").unwrap();
            }
            let about = command.get_about().map(ToString::to_string);
            writeln!(text, "\n### `{usage}`\n\n{}.", about.unwrap_or_default()).unwrap();
            if !rows.is_empty() {
                write!(text, "\n| | |\n|---|---|\n{rows}").unwrap();
            }
        }
    }

    #[test]
    fn the_book_says_what_the_help_says() {
        let mut expected = String::new();
        reference(&Arguments::command(), "", &mut expected);
        let book = fs::read_to_string(BOOK).unwrap();
        let (by_hand, made) = book.split_once(MARK).expect("the mark is in the book");
        if made != expected && std::env::var_os("UPDATE_BOOK").is_some() {
            fs::write(BOOK, format!("{by_hand}{MARK}{expected}")).unwrap();
            return;
        }
        assert_eq!(made, expected, "UPDATE_BOOK=1 and this test write it anew");
    }

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
