//! Running other programs.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Error;

/// A program to run in the workspace's folder, with what to do when it fails.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) root: &'a Path,
    pub(crate) line: &'a [&'a str],
    pub(crate) help: &'static str,
}

impl Run<'_> {
    /// Runs it with its output on the terminal.
    pub(crate) fn show(&self) -> Result<(), Error> {
        let line = self.line.join(" ");
        eprintln!("$ {line}");
        let status = self
            .command()
            .status()
            .map_err(|source| self.not_started(source))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed {
            command: line,
            status,
            help: self.help,
        })
    }

    /// Runs it and takes its standard output.
    pub(crate) fn output(&self) -> Result<Vec<u8>, Error> {
        let output = self
            .command()
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| self.not_started(source))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::Failed {
            command: self.line.join(" "),
            status: output.status,
            help: self.help,
        })
    }

    fn command(&self) -> Command {
        let (program, arguments) = self.line.split_first().unwrap_or((&"", &[]));
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.root);
        command
    }

    fn not_started(&self, source: std::io::Error) -> Error {
        Error::NotStarted {
            command: self.line.join(" "),
            source,
            help: self.help,
        }
    }
}

/// Whether a program answers to the given arguments with success.
pub(crate) fn answers(line: &[&str]) -> bool {
    let Some((program, arguments)) = line.split_first() else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
