//! The scheduler and its file server: `images run`; and `images samples`, to have something to run on.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{Write as _, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, Parser, Subcommand};
use images::samples;
use images::scheduler::{self, Told};
use images::server::{self, Files};
use images::work::{News, Plan, Work};
use indicatif::{ProgressBar, ProgressStyle};
use meseta_framework::resource::{cpus, mem};
use meseta_framework::v1::{CommandInfo, command_info::Uri};
use tokio::net::TcpListener;

/// What the executor takes beside its tasks.
const EXECUTOR_CPUS: f64 = 0.1;
const EXECUTOR_MEM: f64 = 32.0;

/// Inverts the colours of images on a cluster.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Inverts every .png, .jpg and .jpeg of a folder.
    Run(Run),
    /// Makes a folder of sample images.
    Samples {
        /// The folder.
        folder: PathBuf,
        /// How many.
        #[arg(long, default_value_t = 48)]
        count: u16,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// The folder of images.
    images: PathBuf,
    /// The folder for the results, which have the same names.
    results: PathBuf,
    /// The master: host:port, or a list of them.
    #[arg(long, default_value = "127.0.0.1:5050")]
    master: String,
    /// Where the file server listens. Agents of other machines need an address that they reach.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// The file server's host as agents know it, if that is not the address it listens on.
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// The user of the agents' machines who runs the executor.
    #[arg(long, env = "USER", default_value = "root")]
    user: String,
    /// The executor's program; without it, the one beside this program.
    #[arg(long, value_name = "FILE")]
    executor: Option<PathBuf>,
    /// How many times an image is tried.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// Processors of a task.
    #[arg(long, default_value_t = 0.2)]
    cpus: f64,
    /// Megabytes of memory of a task.
    #[arg(long, default_value_t = 64.0)]
    mem: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(run) => run.finish_all().await,
        Command::Samples { folder, count } => samples::make(&folder, count)
            .map(|()| true)
            .map_err(|error| format!("{}: {error}", folder.display()).into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("images: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Run {
    /// Whether every image has a result.
    async fn finish_all(self) -> Result<bool, Box<dyn Error>> {
        let names = names(&self.images)
            .map_err(|e| format!("cannot read the folder {}: {e}", self.images.display()))?;
        if names.is_empty() {
            return Err(format!(
                "there is no .png, .jpg or .jpeg in {}; `images samples {0}` makes some",
                self.images.display()
            )
            .into());
        }
        fs::create_dir_all(&self.results)
            .map_err(|e| format!("cannot make the folder {}: {e}", self.results.display()))?;
        if fs::canonicalize(&self.results)? == fs::canonicalize(&self.images)? {
            return Err("the results would replace the images: give another folder".into());
        }
        let executor = self.executor()?;
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|e| format!("cannot listen on {}: {e}", self.listen))?;
        let server = self.address(listener.local_addr()?);
        let work = Work::new(self.plan(&server), names.iter().cloned());
        let mut watched = Watched::new(names.len() as u64);
        let files = Files {
            executor,
            names,
            images: self.images.clone(),
            results: self.results.clone(),
        };
        let (calls, mut events) = scheduler::connect(&self.master, &self.user);
        tokio::select! {
            done = scheduler::run(&calls, &mut events, work, |told| watched.on(told)) => done?,
            stopped = server::serve(listener, files) => {
                scheduler::end(&calls).await?;
                stopped.map_err(|e| format!("the file server stopped: {e}"))?;
            }
            _ = tokio::signal::ctrl_c() => {
                scheduler::end(&calls).await?;
                return Err("interrupted".into());
            }
        }
        watched.finish(&self.results)
    }

    fn executor(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let path = match &self.executor {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("images-executor"),
        };
        fs::read(&path)
            .map_err(|e| format!("cannot read the executor {}: {e}", path.display()).into())
    }

    /// `http://host:port` of the file server, as agents know it.
    fn address(&self, bound: SocketAddr) -> String {
        match &self.advertise {
            Some(host) => format!("http://{host}:{}", bound.port()),
            None => format!("http://{bound}"),
        }
    }

    fn plan(&self, server: &str) -> Plan {
        let program = Uri {
            value: format!("{server}{}", server::EXECUTOR),
            executable: Some(true),
            ..Uri::default()
        };
        Plan {
            executor: CommandInfo {
                // Agents name what they fetch after the last part of its address.
                value: Some(format!(
                    "exec .{} {server}{}",
                    server::EXECUTOR,
                    server::RESULTS
                )),
                uris: vec![program],
                ..CommandInfo::default()
            },
            executor_share: vec![cpus(EXECUTOR_CPUS), mem(EXECUTOR_MEM)],
            share: vec![cpus(self.cpus), mem(self.mem)],
            images: format!("{server}{}", server::IMAGES),
            tries: self.tries,
        }
    }
}

/// The images of a folder.
fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if !["png", "jpg", "jpeg"]
            .iter()
            .any(|known| extension == *known)
            || !path.is_file()
        {
            continue;
        }
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => drop(names.insert(name.to_owned())),
            None => eprintln!("{} is left out: its name is no UTF-8", path.display()),
        }
    }
    Ok(names)
}

/// The bar in the terminal, and what is to be said in the end.
struct Watched {
    bar: ProgressBar,
    done: usize,
    again: usize,
    given_up: usize,
}

impl Watched {
    fn new(images: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} images {elapsed} {msg}");
        let bar = ProgressBar::new(images);
        Self {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            done: 0,
            again: 0,
            given_up: 0,
        }
    }

    fn on(&mut self, told: Told) {
        let say = |line: String| self.bar.suspend(|| eprintln!("{line}"));
        match told {
            Told::News(News::Done { .. }) => {
                self.done += 1;
                self.bar.inc(1);
            }
            Told::News(News::Again { name, reason }) => {
                self.again += 1;
                say(format!("{name} is tried again: {reason}"));
            }
            Told::News(News::GivenUp { name, reason }) => {
                self.given_up += 1;
                self.bar.inc(1);
                say(format!("{name} has no result: {reason}"));
            }
            Told::MasterAway(reason) => say(format!("no master: {reason}")),
        }
    }

    /// Whether every image has a result.
    fn finish(self, results: &Path) -> Result<bool, Box<dyn Error>> {
        self.bar.finish_and_clear();
        let Self {
            done,
            again,
            given_up,
            ..
        } = self;
        writeln!(
            stdout(),
            "{done} inverted into {}, {given_up} without a result, {again} tasks run again",
            results.display()
        )?;
        Ok(given_up == 0)
    }
}
