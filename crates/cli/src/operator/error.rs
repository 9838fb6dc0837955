//! Why an operator's command could not do its work: what was attempted, on what, and what helps.

use std::path::PathBuf;

/// Printed as one line, but for lists of candidates.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No master took the question.
    #[error(
        "failed to {attempt}: no leading master was reached ({reasons}); name the masters with \
         --master, MESETA_MASTER or a context (`meseta context set`)"
    )]
    Unreachable { attempt: String, reasons: String },
    /// An agent did not take the question.
    #[error("failed to {attempt}: the agent at {agent} was not reached: {reason}{advice}")]
    AgentUnreachable {
        attempt: String,
        agent: String,
        reason: String,
        advice: &'static str,
    },
    /// The connection ended before the answer.
    #[error("failed to {attempt}: {address} did not answer to the end: {reason}{advice}")]
    Broken {
        attempt: String,
        address: String,
        reason: String,
        advice: &'static str,
    },
    /// It was answered with a refusal.
    #[error("failed to {attempt}: {address} refused it with status {status}: {sentence}")]
    Refused {
        attempt: String,
        address: String,
        status: u16,
        sentence: String,
    },
    /// It was answered with something else than expected.
    #[error("failed to {attempt}: the answer of {address} is not understood: {reason}")]
    Unreadable {
        attempt: String,
        address: String,
        reason: String,
    },
    /// A master or an agent shows no such file.
    #[error("failed to {attempt}: {address} has no file {path}")]
    NoFile {
        attempt: String,
        address: String,
        path: String,
    },
    /// Nothing has the name.
    #[error("no {kind} is named '{wanted}'; `{list}` lists them")]
    Unknown {
        kind: &'static str,
        wanted: String,
        list: &'static str,
    },
    /// Several things have the name.
    #[error("'{wanted}' may be any of {count} {kind}s; name one of them:{}", lines(.candidates, *.count))]
    Ambiguous {
        kind: &'static str,
        wanted: String,
        count: usize,
        /// The first of them.
        candidates: Vec<String>,
    },
    /// The configuration file.
    #[error("failed to {attempt} the configuration {}: {reason}", path.display())]
    Configuration {
        attempt: &'static str,
        path: PathBuf,
        reason: String,
    },
    /// A word of the command line. Exit status 2.
    #[error("invalid {what} '{value}': {reason}")]
    Word {
        what: &'static str,
        value: String,
        reason: String,
    },
    /// Somebody is to type, and cannot. Exit status 2.
    #[error("standard input is no terminal: {instead}")]
    NoTerminal { instead: &'static str },
    /// What cannot be undone wants a word of consent. Exit status 2.
    #[error("{what} cannot be undone: add --yes if it is meant")]
    Unconfirmed { what: String },
    /// The cluster is not in the state that the command wants.
    #[error("failed to {attempt}: {reason}")]
    Unfit { attempt: String, reason: String },
    /// The terminal, standard output or a file.
    #[error("failed to {attempt}: {source}")]
    Local {
        attempt: String,
        source: std::io::Error,
    },
}

impl Error {
    /// 2 if the command line is at fault, 1 otherwise.
    pub(super) fn status(&self) -> u8 {
        match self {
            Self::Word { .. } | Self::NoTerminal { .. } | Self::Unconfirmed { .. } => 2,
            _ => 1,
        }
    }
}

fn lines(candidates: &[String], count: usize) -> String {
    let mut text = String::new();
    for candidate in candidates {
        text.push_str("\n  ");
        text.push_str(candidate);
    }
    if count > candidates.len() {
        text.push_str("\n  …");
    }
    text
}
