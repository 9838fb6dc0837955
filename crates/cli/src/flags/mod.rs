//! Flags in Mesos's forms: `--name=value` or `--name value` (`-` for `_` too), `--switch` and
//! `--no-switch`, `file://` in place of a value, and `MESOS_NAME` in the environment.
//!
//! Every flag of Mesos is in the tables of [`master`] and [`agent`]. One that this version does not
//! serve is refused unless it asks for what happens anyway: nobody shall believe that a setting
//! holds which does not.

pub(crate) mod agent;
pub(crate) mod execute;
pub(crate) mod master;
pub(crate) mod modules;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

pub(crate) use values::{Bytes, FlagValue};

use crate::complain;

/// One flag of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) default: Option<&'static str>,
    pub(crate) serving: Serving,
    pub(crate) help: &'static str,
}

/// What a flag's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any text, or `file://` and the path of a file that holds it.
    Text,
    /// The path of a file or folder.
    Path,
    /// True or false; `--no-` before the name turns it off.
    Switch,
}

/// Whether this version acts on a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    /// It does what Mesos's does.
    Served,
    /// Only its default is accepted.
    NotYet,
    /// It has no meaning here and any value is right: a detail of the C++ implementation.
    Moot,
}

/// A flag that is served, with its default.
pub(crate) const fn served(
    name: &'static str,
    form: Form,
    default: Option<&'static str>,
    help: &'static str,
) -> Flag {
    Flag {
        name,
        form,
        default,
        serving: Serving::Served,
        help,
    }
}

/// A flag of Mesos that is not served yet, with Mesos's default.
pub(crate) const fn not_yet(name: &'static str, form: Form, default: Option<&'static str>) -> Flag {
    Flag {
        name,
        form,
        default,
        serving: Serving::NotYet,
        help: "",
    }
}

/// A flag that only the C++ implementation has a use for.
pub(crate) const fn moot(name: &'static str, form: Form, default: Option<&'static str>) -> Flag {
    Flag {
        name,
        form,
        default,
        serving: Serving::Moot,
        help: "",
    }
}

/// The variable by which a daemon of Mesos is told to speak TLS: libprocess reads it, and it is no flag.
const TLS: &str = "LIBPROCESS_SSL_ENABLED";

/// Why a command line cannot be served. The text is one line, ready to be printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlagError {
    /// The words do not fit the program's flags; also `--help`, which is no failure.
    #[error("{0}")]
    Usage(clap::Error),
    /// A value is not of its flag's form.
    #[error("invalid value '{value}' for --{name}: {reason}")]
    Value {
        name: &'static str,
        value: String,
        reason: String,
    },
    /// A flag of Mesos that this version has no behaviour for.
    #[error("--{name}={value} is not served yet: Meseta has no behaviour for this flag of Mesos")]
    NotServed { name: &'static str, value: String },
    /// The environment of libprocess asks for TLS, which would not be there.
    #[error(
        "{TLS}={0} is not served yet: this daemon speaks no TLS, and would take connections in plain text"
    )]
    TlsNotServed(String),
    /// A flag without which there is nothing to do.
    #[error("--{name} is required: {reason}")]
    Missing {
        name: &'static str,
        reason: &'static str,
    },
}

impl FlagError {
    /// Prints the error, or the help that was asked for, and gives the exit status.
    pub(crate) fn report(&self) -> u8 {
        match self {
            Self::Usage(e) if !e.use_stderr() => {
                let _ = e.print();
                0
            }
            Self::Usage(e) => {
                complain(&one_line(e));
                2
            }
            other => {
                complain(&format!("error: {other}"));
                2
            }
        }
    }
}

/// What is wrong and the nearest right word, without clap's paragraphs.
fn one_line(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(s)) => Some(s.clone()),
        // The likeliest suggestion is the last.
        Some(ContextValue::Strings(s)) => s.last().cloned(),
        Some(ContextValue::StyledStrs(s)) => s.first().map(StyledStr::to_string),
        _ => None,
    };
    let words = |kind| match error.get(kind) {
        Some(ContextValue::Strings(words)) => words.join(", "),
        _ => String::new(),
    };
    let suggestion = context(ContextKind::SuggestedArg)
        .or_else(|| context(ContextKind::SuggestedSubcommand))
        .map_or_else(
            || "; see --help".into(),
            |s| format!("; did you mean '{s}'?"),
        );
    match (
        error.kind(),
        context(ContextKind::InvalidArg),
        context(ContextKind::InvalidSubcommand),
    ) {
        (ErrorKind::UnknownArgument, Some(arg), _) if arg.starts_with('-') => {
            format!("error: unknown flag '{arg}'{suggestion}")
        }
        (ErrorKind::UnknownArgument, Some(word), _) => {
            format!("error: '{word}' is one word too many{suggestion}")
        }
        (ErrorKind::InvalidSubcommand, _, Some(word)) => {
            format!("error: unknown command '{word}'{suggestion}")
        }
        (ErrorKind::InvalidValue, Some(arg), _) if error.get(ContextKind::ValidValue).is_some() => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            let valid = words(ContextKind::ValidValue);
            format!("error: invalid value '{value}' for '{arg}': there are: {valid}")
        }
        (ErrorKind::MissingRequiredArgument, Some(_), _) => {
            let missing = words(ContextKind::InvalidArg);
            format!("error: missing: {missing}; see --help")
        }
        (ErrorKind::MissingSubcommand, ..) => {
            let valid = words(ContextKind::ValidSubcommand);
            format!("error: a command is missing; there are: {valid}")
        }
        _ => {
            let text = error.to_string();
            text.lines()
                .next()
                .unwrap_or("error: unusable arguments")
                .to_owned()
        }
    }
}

/// The values of a program's flags.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    values: BTreeMap<&'static str, String>,
    given: BTreeMap<&'static str, String>,
}

impl Flags {
    /// Reads the flags of `command` from its arguments, then from the environment, then from the
    /// defaults.
    pub(crate) fn parse(
        command: Command,
        flags: &[Flag],
        args: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, FlagError> {
        let name = command.get_name().to_owned();
        let args = args.into_iter().map(|a| normalize(a, flags));
        let matches = flags
            .iter()
            .fold(command.no_binary_name(true), |command, flag| {
                command.arg(argument(flag))
            })
            .override_usage(format!("{name} [--flag=value]…"))
            .try_get_matches_from(args)
            .map_err(FlagError::Usage)?;

        let wants_tls = |value: &String| matches!(value.as_str(), "1" | "true");
        if let Some(value) = environment(TLS).filter(wants_tls) {
            return Err(FlagError::TlsNotServed(value));
        }

        let mut values = BTreeMap::new();
        let mut given = BTreeMap::new();
        for flag in flags {
            let explicit = matches
                .get_one::<String>(flag.name)
                .cloned()
                .or_else(|| environment(&format!("MESOS_{}", flag.name.to_uppercase())));
            if let Some(value) = explicit {
                let value = resolve(flag, value)?;
                if flag.serving == Serving::NotYet && flag.default != Some(value.as_str()) {
                    return Err(FlagError::NotServed {
                        name: flag.name,
                        value,
                    });
                }
                given.insert(flag.name, value.clone());
                values.insert(flag.name, value);
            } else if let Some(default) = flag.default {
                values.insert(flag.name, default.to_owned());
            }
        }
        Ok(Self { values, given })
    }

    /// The value of a flag, if it was given or has a default.
    pub(crate) fn get<T: FlagValue>(&self, name: &'static str) -> Result<Option<T>, FlagError> {
        let Some(value) = self.values.get(name) else {
            return Ok(None);
        };
        T::parse(value)
            .map(Some)
            .map_err(|reason| FlagError::Value {
                name,
                value: value.clone(),
                reason,
            })
    }

    /// The value of a flag that has a default or must be given.
    pub(crate) fn require<T: FlagValue>(
        &self,
        name: &'static str,
        reason: &'static str,
    ) -> Result<T, FlagError> {
        self.get(name)?.ok_or(FlagError::Missing { name, reason })
    }

    /// Whether the user gave the flag.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Sets a flag as if the user had given it.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.given.insert(name, value.clone());
        self.values.insert(name, value);
    }

    /// These values, with the defaults of another table of flags and without what is not in it.
    pub(crate) fn for_program(&self, flags: &[Flag]) -> Self {
        let mut values = BTreeMap::new();
        let mut given = BTreeMap::new();
        for flag in flags {
            if let Some(value) = self.given.get(flag.name) {
                given.insert(flag.name, value.clone());
                values.insert(flag.name, value.clone());
            } else if let Some(default) = flag.default {
                values.insert(flag.name, default.to_owned());
            }
        }
        Self { values, given }
    }

    /// Every flag that has a value, as `/flags` shows them.
    pub(crate) fn shown(&self) -> BTreeMap<String, String> {
        self.values
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect()
    }
}

/// The flags of each program that has a table of them.
pub(crate) fn tables() -> [(&'static str, &'static [Flag]); 3] {
    [
        ("master", master::FLAGS),
        ("agent", agent::FLAGS),
        ("execute", execute::FLAGS),
    ]
}

/// A flag as clap knows it.
pub(crate) fn argument(flag: &Flag) -> Arg {
    let arg = Arg::new(flag.name)
        .long(flag.name)
        .action(ArgAction::Set)
        .hide(flag.serving != Serving::Served)
        .help(match flag.default {
            Some(default) if !default.is_empty() => format!("{} [default: {default}]", flag.help),
            _ => flag.help.to_owned(),
        });
    match flag.form {
        Form::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL"),
        Form::Text => arg.value_name("VALUE").allow_hyphen_values(true),
        Form::Path => arg.value_name("PATH"),
    }
}

/// `--work-dir` as `--work_dir`, and `--no-switch_user` as `--switch_user=false`.
fn normalize(arg: OsString, flags: &[Flag]) -> OsString {
    let Some(rest) = arg.to_str().and_then(|a| a.strip_prefix("--")) else {
        return arg;
    };
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    let name = name.replace('-', "_");
    if let (Some(positive), None) = (name.strip_prefix("no_"), value)
        && flags
            .iter()
            .any(|f| f.name == positive && f.form == Form::Switch)
    {
        return format!("--{positive}=false").into();
    }
    match value {
        Some(value) => format!("--{name}={value}").into(),
        None => format!("--{name}").into(),
    }
}

/// What stands behind `file://`; switches in one spelling.
fn resolve(flag: &Flag, value: String) -> Result<String, FlagError> {
    let refuse = |value: String, reason: String| {
        Err(FlagError::Value {
            name: flag.name,
            value,
            reason,
        })
    };
    match flag.form {
        Form::Switch => match value.as_str() {
            "true" | "1" => Ok("true".into()),
            "false" | "0" => Ok("false".into()),
            _ => refuse(value, "expected true or false".into()),
        },
        Form::Text => match value.strip_prefix("file://") {
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end().to_owned()),
                Err(e) => refuse(value.clone(), format!("failed to read the file: {e}")),
            },
            None => Ok(value),
        },
        Form::Path => Ok(value
            .strip_prefix("file://")
            .map(str::to_owned)
            .unwrap_or(value)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The flags of a table with these arguments, for the tests of what reads them.
    pub(crate) fn parsed(flags: &[Flag], args: &[&str]) -> Flags {
        let args = args.iter().map(OsString::from);
        Flags::parse(Command::new("meseta"), flags, args, |_| None).unwrap()
    }

    const FLAGS: &[Flag] = &[
        served("work_dir", Form::Path, None, ""),
        served("port", Form::Text, Some("5050"), ""),
        served("switch_user", Form::Switch, Some("true"), ""),
        not_yet("acls", Form::Text, None),
        not_yet("authenticate_agents", Form::Switch, Some("false")),
    ];

    fn parse(args: &[&str]) -> Result<Flags, String> {
        let environment = |name: &str| (name == "MESOS_PORT").then(|| "7000".to_owned());
        let args = args.iter().map(OsString::from);
        Flags::parse(Command::new("meseta master"), FLAGS, args, environment).map_err(|e| match e {
            FlagError::Usage(e) => one_line(&e),
            other => other.to_string(),
        })
    }

    #[test]
    fn all_spellings_of_a_flag_are_one() {
        for args in [
            &["--work_dir=/x", "--no-switch_user"][..],
            &["--work-dir", "/x", "--switch-user=false"],
            &["--work-dir=file:///x", "--no-switch-user"],
        ] {
            let flags = parse(args).unwrap();
            assert_eq!(
                flags.get::<String>("work_dir").unwrap().as_deref(),
                Some("/x")
            );
            assert_eq!(flags.get::<bool>("switch_user").unwrap(), Some(false));
        }
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
        assert_eq!(
            parse(&["--port=1"]).unwrap().get::<u16>("port").unwrap(),
            Some(1)
        );
        assert_eq!(parse(&[]).unwrap().get::<u16>("port").unwrap(), Some(7000));
    }

    #[test]
    fn a_daemon_that_is_told_to_speak_tls_does_not_start_without() {
        let started = |value: &str| {
            let environment = |name: &str| (name == TLS).then(|| value.to_owned());
            Flags::parse(Command::new("meseta master"), FLAGS, [], environment)
        };
        for value in ["1", "true"] {
            let refusal = started(value).unwrap_err().to_string();
            assert!(refusal.starts_with("LIBPROCESS_SSL_ENABLED="), "{refusal}");
        }
        assert!(started("0").is_ok() && started("false").is_ok());
    }

    #[test]
    fn refusals_are_one_line_and_say_what_would_be_right() {
        assert_eq!(
            parse(&["--work_dri=/x"]).unwrap_err(),
            "error: unknown flag '--work_dri'; did you mean '--work_dir'?"
        );
        assert_eq!(
            parse(&["--acls={}"]).unwrap_err(),
            "--acls={} is not served yet: Meseta has no behaviour for this flag of Mesos"
        );
        assert!(parse(&["--authenticate_agents=false"]).is_ok());
        assert!(parse(&["--authenticate_agents"]).is_err());
        let flags = parse(&["--port=many"]).unwrap();
        assert_eq!(
            flags.get::<u16>("port").unwrap_err().to_string(),
            "invalid value 'many' for --port: expected a number from 0 to 65535"
        );
    }
}
