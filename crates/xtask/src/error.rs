use std::path::PathBuf;

/// Why a developer command failed, each with what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no command given; `cargo xtask help` lists them")]
    NoCommand,
    #[error("no command `{0}`; `cargo xtask help` lists them")]
    UnknownCommand(String),
    #[error("no argument `{0}`; `cargo xtask help` lists what there is")]
    UnknownArgument(String),
    #[error(
        "the committed bundle of the web page is not what its sources build; \
         run `cargo xtask webui` and commit crates/webui/dist"
    )]
    StaleBundle,
    #[error("`{command}` could not be started: {source}{}", hint(.help))]
    NotStarted {
        command: String,
        source: std::io::Error,
        help: &'static str,
    },
    #[error("`{command}` failed ({status}){}", hint(.help))]
    Failed {
        command: String,
        status: std::process::ExitStatus,
        help: &'static str,
    },
    #[error("reading {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("writing {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`cargo metadata` printed something else than its JSON: {0}")]
    Metadata(String),
    #[error("{} broken:\n  {}\nARCHITECTURE.md says why each wall stands", walls(.0.len()), .0.join("\n  "))]
    Walls(Vec<String>),
    #[error("hot paths and their limits:\n  {}\n{}", .0.join("\n  "), .1)]
    Instructions(Vec<String>, &'static str),
    #[error("the book is not whole:\n  {}", .0.join("\n  "))]
    Book(Vec<String>),
}

fn hint(help: &str) -> String {
    if help.is_empty() {
        String::new()
    } else {
        format!("\n{help}")
    }
}

fn walls(count: usize) -> String {
    if count == 1 {
        "a rule of the house is".to_owned()
    } else {
        format!("{count} rules of the house are")
    }
}
