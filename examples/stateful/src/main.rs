//! An example: a counter on a persistent volume, which goes on after every death.
//!
//! * `wanted.rs`: resources, the volume, the task (`count.sh`);
//! * `counter.rs`: what is known, and what to do with an offer;
//! * `files.rs`: what is remembered;
//! * `service.rs`: what the master is told and when.

mod counter;
mod error;
mod files;
mod service;
mod wanted;

use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use meseta_framework::v1::FrameworkInfo;
use meseta_framework::v1::framework_info::{Capability, capability::Type};
use meseta_framework::{Settings, subscribe};

use crate::error::Error;
use crate::files::Files;
use crate::service::{Aim, Service};
use crate::wanted::{PRINCIPAL, ROLE};

/// Counts up in a file on a persistent volume
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the masters are: `host:port` or `https://host:port`, several with commas
    #[arg(long, global = true, default_value = "127.0.0.1:5050")]
    master: String,
    /// Where the framework and its counter are remembered
    #[arg(long, global = true, default_value = "stateful-state")]
    folder: PathBuf,
    /// As whom the task runs
    #[arg(long, global = true, env = "USER", default_value = "root")]
    user: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Counts, from where it was; without a command, this one
    Run,
    /// Kills the task, destroys the volume with the count, and gives everything back
    End,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let (files, id, counter) = Files::open(arguments.folder)?;
    let aim = match arguments.command {
        None | Some(Command::Run) => Aim::Run,
        Some(Command::End) => Aim::End,
    };
    if aim == Aim::End && id.is_none() {
        tracing::info!("there is nothing to end");
        return Ok(());
    }
    let framework = FrameworkInfo {
        id,
        user: arguments.user,
        name: "stateful".into(),
        principal: Some(PRINCIPAL.into()),
        roles: vec![ROLE.into()],
        // Tasks go on without the framework for so long, and without their agent's process.
        failover_timeout: Some(3600.0),
        checkpoint: Some(true),
        // The last one is for reservations as they are written today, as a list.
        capabilities: [
            Type::MultiRole,
            Type::PartitionAware,
            Type::ReservationRefinement,
        ]
        .into_iter()
        .map(|capability| Capability {
            r#type: Some(capability.into()),
        })
        .collect(),
        ..FrameworkInfo::default()
    };
    let (scheduler, events) = subscribe(Settings::new(&arguments.master, framework));
    Service::new(aim, counter, files, scheduler)
        .run(events)
        .await
}
