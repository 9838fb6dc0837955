//! What the user says.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::compare;
use crate::frameworks::Encoding;
use crate::real;
use crate::scenarios::{self, Scenario};

/// Drives a master, of Mesos or Meseta, with emulated agents and frameworks, and measures it.
#[derive(Debug, Parser)]
#[command(name = "meseta bench", disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) work: Work,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Work {
    #[command(flatten)]
    Scenario(Scenario),
    /// Trivial tasks end to end on real agents: those of --master, or a cluster that this starts
    Tasks(real::Sizes),
    /// Run scenarios on two masters in turns and tell how they differ
    Compare(compare::Sizes),
    /// Be a target that does nothing, to measure the generator itself against
    Null {
        /// The port to listen at; 0 for a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// End with standard input
        #[arg(long, hide = true)]
        until_eof: bool,
    },
}

/// What holds for every scenario.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The master to drive: host:port or a URL [default: 127.0.0.1:5050]; `null` for a target that does
    /// nothing
    #[arg(long, global = true)]
    pub(crate) master: Option<String>,
    /// The master's process [default: the one that listens at its port on this machine]
    #[arg(long, global = true)]
    pub(crate) pid: Option<i32>,
    /// Drive a master that is not on this machine
    #[arg(long, global = true)]
    pub(crate) allow_remote: bool,
    /// Where emulated agents listen: an address of this machine that the master reaches
    #[arg(long, global = true, default_value = "127.0.0.1")]
    pub(crate) ip: Ipv4Addr,
    /// Over how many ports the agents are spread; those of one share a connection
    #[arg(long, global = true, default_value_t = 1)]
    pub(crate) ports: usize,
    /// Makes runs alike
    #[arg(long, global = true, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How frameworks and operators write and read
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) encoding: Encoding,
    /// How long nothing may change before a run counts as hung
    #[arg(long, global = true, default_value = "60s", value_parser = scenarios::time)]
    pub(crate) patience: Duration,
    /// Write the report as JSON into this file too, or to standard output instead with `-`
    #[arg(long, global = true)]
    pub(crate) json: Option<PathBuf>,
}

impl Common {
    /// What runs of another process are to be told of this.
    pub(crate) fn passed_on(&self) -> Vec<String> {
        let encoding = match self.encoding {
            Encoding::Protobuf => "protobuf",
            Encoding::Json => "json",
        };
        let mut flags = vec![
            format!("--ip={}", self.ip),
            format!("--ports={}", self.ports),
            format!("--seed={}", self.seed),
            format!("--encoding={encoding}"),
            format!("--patience={}ms", self.patience.as_millis()),
        ];
        flags.extend(self.allow_remote.then(|| "--allow-remote".to_owned()));
        flags
    }
}

/// Flags may be written as Mesos writes its own: `--warm_up=5`.
pub(crate) fn dashed(argument: OsString) -> OsString {
    let Some(flag) = argument.to_str().and_then(|text| text.strip_prefix("--")) else {
        return argument;
    };
    let (name, value) = flag
        .split_once('=')
        .map_or((flag, None), |(n, v)| (n, Some(v)));
    let name = name.replace('_', "-");
    match value {
        Some(value) => format!("--{name}={value}").into(),
        None => format!("--{name}").into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_may_be_written_as_mesos_writes_its_own() {
        for (given, meant) in [
            ("--warm_up=a_b", "--warm-up=a_b"),
            ("--allow_remote", "--allow-remote"),
            ("a_b", "a_b"),
        ] {
            assert_eq!(dashed(given.into()), OsString::from(meant));
        }
    }
}
