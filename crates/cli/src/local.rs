//! `meseta local`: a whole cluster in one process, for one machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::daemon::process::{self, End, Ends, Signals};
use crate::daemon::{agent, master};
use crate::flags::Form::Text;
use crate::flags::{self, Flag, Flags, Serving, served};
use crate::{Failure, daemon_flags, logging, say};

/// How long Ctrl-C waits for executors to end by themselves before everything is killed: longer
/// than the grace that Mesos gives an executor (5 s) and a task in it (3 s).
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the first lines wait for the agents to register.
const READY: Duration = Duration::from_secs(5);

#[rustfmt::skip] // A table: one flag a line.
const FLAGS: &[Flag] = &[
    served("port", Text, Some("5050"), "Port of the master; agents take the ports after it; 0 picks free ones"),
    served("agents", Text, Some("1"), "How many agents to run"),
    served("work_dir", flags::Form::Path, None, "Where to keep sandboxes and the cluster's memory [default: a new folder, removed at the end]"),
    served("ip", Text, Some("127.0.0.1"), "Address to listen on"),
    served("logging_level", Text, Some("WARNING"), "INFO, WARNING or ERROR"),
];

/// `meseta local`.
pub(crate) fn run(args: Vec<OsString>) -> Result<(), Failure> {
    let about =
        "Run a whole cluster on this machine. Any flag of a master or an agent may be given.";
    let Some(mut flags) = daemon_flags("meseta local", about, &table(), args)? else {
        return Ok(());
    };
    let plan = Plan::from_flags(&flags)?;
    if !flags.is_given("log_dir") {
        flags.set("log_dir", text(&plan.work_dir.join("log")));
    }
    logging::start(&flags, "mesos-local")?;
    // What still reads or writes the work directory ends before the plan, and the directory with it.
    process::run(serve(&flags, &plan))
}

/// The flags of `local`, then those of master and agent that it does not have itself. What one of
/// them serves is served.
fn table() -> Vec<Flag> {
    let mut table = FLAGS.to_vec();
    for flag in flags::master::FLAGS.iter().chain(flags::agent::FLAGS) {
        match table.iter_mut().find(|f| f.name == flag.name) {
            Some(known) if known.serving == Serving::NotYet => *known = *flag,
            Some(_) => {}
            None if flag.name == "master" => {}
            None => table.push(*flag),
        }
    }
    table
}

struct Plan {
    port: u16,
    agents: u16,
    work_dir: PathBuf,
    /// Removes the work directory at the end, unless the user named it.
    temporary: Option<tempfile::TempDir>,
}

impl Plan {
    fn from_flags(flags: &Flags) -> Result<Self, Failure> {
        let (work_dir, temporary) = if let Some(path) = flags.get::<PathBuf>("work_dir")? {
            (path, None)
        } else {
            let folder = tempfile::Builder::new()
                .prefix("meseta-")
                .tempdir()
                .map_err(|e| Failure::Start(format!("failed to make a work directory: {e}")))?;
            (folder.path().to_owned(), Some(folder))
        };
        let port = flags.get::<u16>("port")?.unwrap_or_default();
        let agents = flags.get::<u16>("agents")?.unwrap_or(1);
        if port != 0 && port.checked_add(agents).is_none() {
            return Err(Failure::Flags(flags::FlagError::Value {
                name: "agents",
                value: agents.to_string(),
                reason: format!("there are not that many ports after {port}"),
            }));
        }
        Ok(Self {
            port,
            agents,
            work_dir,
            temporary,
        })
    }

    fn master_flags(&self, flags: &Flags) -> Flags {
        let mut flags = flags.for_program(flags::master::FLAGS);
        flags.set("port", self.port.to_string());
        flags.set("work_dir", text(&self.work_dir.join("master")));
        if self.temporary.is_some() && !flags.is_given("registry") {
            flags.set("registry", "in_memory".into());
        }
        flags
    }

    fn agent_flags(&self, flags: &Flags, master: &str, number: u16) -> Flags {
        let mut flags = flags.for_program(flags::agent::FLAGS);
        let port = if self.port == 0 {
            0
        } else {
            self.port.saturating_add(number)
        };
        flags.set("port", port.to_string());
        flags.set("master", master.into());
        flags.set(
            "work_dir",
            text(&self.work_dir.join(format!("agent-{number}"))),
        );
        if !flags.is_given("runtime_dir") {
            // The agents of one machine must not share it.
            let folder = self.work_dir.join(format!("agent-{number}"));
            flags.set("runtime_dir", text(&folder.join("run")));
        }
        if !flags.is_given("registration_backoff_factor") {
            // The wait spreads the agents of a large cluster; here it would only be felt.
            flags.set("registration_backoff_factor", "1ms".into());
        }
        flags
    }
}

async fn serve(flags: &Flags, plan: &Plan) -> Result<(), Failure> {
    let mut signals = Signals::install()?;
    let (ends, mut ended) = Ends::channel();
    let mut flags = flags.clone();
    if !flags.is_given("ip") {
        flags.set("ip", "127.0.0.1".into());
    }
    let master = master::start(&plan.master_flags(&flags), ends.clone())?;
    let address = master.address.to_string();
    let mut agents = Vec::new();
    for number in 1..=plan.agents {
        let started = agent::start(&plan.agent_flags(&flags, &address, number), ends.clone());
        agents.push(started?);
    }
    await_agents(&master, agents.len()).await;
    greet(&address, &agents, plan);

    tokio::select! {
        _ = signals.next() => {}
        end = ended.recv() => if let Some(End::Failed(sentence)) = end {
            for agent in &agents {
                agent.kill_everything();
            }
            return Err(Failure::Start(sentence));
        },
    }
    say("\nEnding…");
    end(&agents, &mut ended, &mut signals).await;
    Ok(())
}

/// Waits until the master knows every agent, or for as long as is reasonable.
async fn await_agents(master: &master::Running, agents: usize) {
    let mut check = tokio::time::interval(Duration::from_millis(5));
    let all = async {
        while master.latest.get().snapshot.agents.len() < agents {
            check.tick().await;
        }
    };
    if timeout(READY, all).await.is_err() {
        tracing::warn!("not all agents have registered yet");
    }
}

fn greet(master: &str, agents: &[agent::Running], plan: &Plan) {
    let program = program();
    let listening: Vec<String> = agents.iter().map(|a| a.address.to_string()).collect();
    say(&format!(
        "Meseta is running: a master on {master}, agents on {}.\n  \
           Web page:    http://{master}/\n  \
           First task:  {program} execute --master={master} --name=hello --command='echo hello'\n  \
           Sandboxes:   {}\n\
         Ctrl-C ends all of it.",
        listening.join(", "),
        plan.work_dir.display()
    ));
}

/// This program as the user can type it from here.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else {
        return "meseta".into();
    };
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).map_or_else(|_| text(&path), text)
}

/// Ends the agents with all that they run; a second Ctrl-C or too long a wait kills what is left.
async fn end(agents: &[agent::Running], ended: &mut UnboundedReceiver<End>, signals: &mut Signals) {
    for agent in agents {
        agent.shut_down();
    }
    let all = async {
        for _ in agents {
            ended.recv().await;
        }
    };
    tokio::select! {
        _ = timeout(PATIENCE, all) => {}
        _ = signals.next() => {}
    }
    for agent in agents {
        agent.kill_everything();
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
