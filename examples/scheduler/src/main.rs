//! An example: a scheduler that runs the commands it is sent by HTTP, and survives its own death.
//!
//! * `task.rs`, `book.rs`: what it knows, and by which rules that changes;
//! * `files.rs`: what it remembers;
//! * `service.rs`: what it tells the master and when;
//! * `http.rs`: what it is asked.

mod book;
mod error;
mod files;
mod http;
mod limits;
mod service;
mod task;

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use meseta_framework::v1::FrameworkInfo;
use meseta_framework::v1::framework_info::{Capability, capability};
use meseta_framework::{Encoding, Settings, subscribe};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::book::Book;
use crate::error::Error;
use crate::files::Files;
use crate::limits::{FAILOVER_SECONDS, MAX_REQUESTS};
use crate::service::Service;

/// Runs the commands that it is sent by HTTP as tasks on a cluster
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the masters are: `host:port` or `https://host:port`, several with commas
    #[arg(long, default_value = "127.0.0.1:5050")]
    master: String,
    /// Where commands are taken
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Where the framework and its tasks are remembered
    #[arg(long, default_value = "scheduler-state")]
    folder: PathBuf,
    /// As whom the tasks run
    #[arg(long, env = "USER", default_value = "root")]
    user: String,
    /// Speaks JSON with the master instead of protobuf
    #[arg(long)]
    json: bool,
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
    let failed = |source| Error::Listen {
        address: arguments.listen,
        source,
    };
    let (files, found) = Files::open(arguments.folder.clone())?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(failed)?;
    let page = format!("http://{}/", listener.local_addr().map_err(failed)?);

    let framework = FrameworkInfo {
        // Under the id of its former life it has that one's tasks.
        id: found.framework.and_then(|framework| framework.id),
        user: arguments.user,
        name: "scheduler".into(),
        // Tasks go on without the scheduler for so long, and without their agent's process.
        failover_timeout: Some(FAILOVER_SECONDS),
        checkpoint: Some(true),
        // On the master's page the framework's name leads there.
        webui_url: Some(page.clone()),
        // Tasks on an agent that is out of reach are told to be so, and may come back with it.
        capabilities: vec![Capability {
            r#type: Some(capability::Type::PartitionAware.into()),
        }],
        ..FrameworkInfo::default()
    };
    let mut settings = Settings::new(&arguments.master, framework.clone());
    if arguments.json {
        settings.encoding = Encoding::Json;
    }
    let (scheduler, events) = subscribe(settings);
    let book = Book::new(found.tasks);
    let service = Service::new(book, files, arguments.folder, framework, scheduler);

    // Nothing is lost when nobody reads it.
    let _ = writeln!(stdout(), "takes commands at {page}");
    let (ask, requests) = mpsc::channel(MAX_REQUESTS);
    let server = axum::serve(listener, http::routes(ask));
    tokio::select! {
        ended = service.run(events, requests) => ended,
        stopped = server.into_future() => stopped.map_err(failed),
    }
}
