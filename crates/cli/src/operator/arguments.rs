//! The words and flags of the operator's commands.
//!
//! The daemons take Mesos's flags, whose forms are a matter of compatibility (`crate::flags`).
//! These commands are Meseta's own, and what clap makes of this description is all there is: help,
//! completions and manual pages come from it.

mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::{Deserialize, Serialize};

use self::values::{count, interval, megabytes, time};

/// See and change a cluster.
#[derive(Debug, Parser)]
#[command(
    name = "meseta",
    disable_version_flag = true,
    infer_subcommands = false
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Operation,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common flags")]
pub(super) struct Common {
    /// Masters, as HOST:PORT,…; any of them leads to the leader
    #[arg(
        long,
        global = true,
        value_name = "MASTERS",
        env = "MESETA_MASTER",
        hide_env_values = true
    )]
    pub(super) master: Option<String>,
    /// Context of the configuration file to use
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "MESETA_CONTEXT",
        hide_env_values = true
    )]
    pub(super) context: Option<String>,
    /// Certificates of those who vouch for masters with https [default: whom the system trusts]
    #[arg(
        long = "ca-cert",
        global = true,
        value_name = "PATH",
        env = "MESETA_CA_CERT",
        hide_env_values = true
    )]
    pub(super) ca_cert: Option<PathBuf>,
    /// How to print
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(super) output: Format,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For people with wide terminals: whole ids, more columns
    Wide,
    /// The messages of the operator API, in Mesos's JSON
    Json,
    /// The same as YAML
    Yaml,
}

/// How servers are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scheme {
    /// Plain
    Http,
    /// With TLS
    Https,
}

#[derive(Debug, Subcommand)]
pub(super) enum Operation {
    /// Read what the leading master logs
    #[command(subcommand)]
    Master(Master),
    /// List, show, drain and retire agents
    #[command(subcommand)]
    Agent(Agent),
    /// List, show and tear down frameworks
    #[command(subcommand)]
    Framework(Framework),
    /// Say why a framework gets no offers
    #[command(after_help = "Example:\n  meseta why shop --role=web")]
    Why(Why),
    /// List and show tasks, and read what they print
    #[command(subcommand)]
    Task(Task),
    /// List roles
    #[command(subcommand)]
    Role(Role),
    /// List, set and remove quotas
    #[command(subcommand)]
    Quota(Quota),
    /// List and set the weights of roles
    #[command(subcommand)]
    Weight(Weight),
    /// Plan, start and end the maintenance of machines
    #[command(subcommand)]
    Maintenance(Maintenance),
    /// Reserve an agent's resources for a role
    #[command(after_help = "Example:\n  meseta reserve S0 'cpus:1;mem:128' --role=web")]
    Reserve(Reserve),
    /// Give an agent's reserved resources back
    Unreserve(Unreserve),
    /// List, make, destroy and resize persistent volumes
    #[command(subcommand)]
    Volume(Volume),
    /// Print the cluster's state on one page
    State,
    /// Print what happens on the cluster
    Events(Events),
    /// Watch the cluster live
    Top(Top),
    /// Keep addresses and credentials of clusters
    #[command(subcommand)]
    Context(Context),
    /// Print the versions of this program and of the master
    Version,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages
    Man {
        /// Folder for one page a command [default: the main page to standard output]
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Master {
    /// Print the log of the leading master
    Logs {
        #[command(flatten)]
        part: Part,
    },
}

/// What is printed of a file.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Part {
    /// Go on as it grows
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Begin with so many of its last lines [default: all of it]
    #[arg(short = 'n', long, value_name = "LINES", value_parser = count)]
    pub(super) tail: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Agent {
    /// List agents
    List,
    /// Show one agent
    Show {
        #[command(flatten)]
        agent: AgentName,
    },
    /// End an agent's tasks with grace and take it out of service
    #[command(after_help = "Example:\n  meseta agent drain S0 --grace=5m")]
    Drain {
        #[command(flatten)]
        agent: AgentName,
        /// Longest time that a task may take to end, such as 5m [default: what its kill policy says]
        #[arg(long, value_name = "TIME", value_parser = time)]
        grace: Option<Duration>,
        /// Mark the agent gone for good when it is drained
        #[arg(long)]
        gone: bool,
    },
    /// Make no more offers of an agent's resources; its tasks go on
    Deactivate {
        #[command(flatten)]
        agent: AgentName,
    },
    /// Take a drained or deactivated agent into service again
    Reactivate {
        #[command(flatten)]
        agent: AgentName,
    },
    /// Say that an agent never comes back: its tasks are TASK_GONE_BY_OPERATOR, for good
    Gone {
        #[command(flatten)]
        agent: AgentName,
        #[command(flatten)]
        consent: Consent,
    },
    /// Print an agent's log
    Logs {
        #[command(flatten)]
        agent: AgentName,
        #[command(flatten)]
        part: Part,
    },
}

#[derive(Debug, Args)]
pub(super) struct AgentName {
    /// Id of the agent, a part of it that is unique (such as S0), or its host
    #[arg(value_name = "AGENT")]
    pub(super) agent: String,
}

#[derive(Debug, Args)]
pub(super) struct Consent {
    /// Do not ask whether this is meant
    #[arg(short, long)]
    pub(super) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Framework {
    /// List frameworks
    List {
        /// Completed frameworks, too
        #[arg(short, long)]
        all: bool,
    },
    /// Show one framework
    Show {
        #[command(flatten)]
        framework: FrameworkName,
    },
    /// Remove a framework and kill all its tasks
    Teardown {
        #[command(flatten)]
        framework: FrameworkName,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Debug, Args)]
pub(super) struct FrameworkName {
    /// Id of the framework, a part of it that is unique (such as 0001), or its name
    #[arg(value_name = "FRAMEWORK")]
    pub(super) framework: String,
}

#[derive(Debug, Args)]
pub(super) struct Why {
    #[command(flatten)]
    pub(super) framework: FrameworkName,
    /// Look at this role alone [default: all roles of the framework]
    #[arg(long, value_name = "ROLE")]
    pub(super) role: Option<String>,
    /// How many agents to show for each role, those that come nearest to an offer first
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = count)]
    pub(super) nearest: u64,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// List tasks
    List {
        /// Tasks that have ended, too
        #[arg(short, long)]
        all: bool,
        /// Of this framework alone
        #[arg(long, value_name = "FRAMEWORK")]
        framework: Option<String>,
        /// On this agent alone
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        /// In this state alone, such as running
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Show one task
    Show {
        #[command(flatten)]
        task: TaskName,
    },
    /// Print what a task writes to its standard output
    #[command(after_help = "Example:\n  meseta task logs cart-1 --follow --tail=20")]
    Logs {
        #[command(flatten)]
        task: TaskName,
        /// Go on as the output grows, until the task has ended
        #[arg(short, long)]
        follow: bool,
        /// Begin with so many of the last lines [default: all that is there]
        #[arg(short = 'n', long, value_name = "LINES", value_parser = count)]
        tail: Option<u64>,
        /// Its standard error instead
        #[arg(long, conflicts_with = "file")]
        stderr: bool,
        /// Another file of its sandbox instead
        #[arg(long, value_name = "PATH")]
        file: Option<String>,
    },
    /// Run a command in a task's container, or a shell; ends as that does
    #[command(
        after_help = "Examples:\n  meseta task exec cart-1 cat /proc/loadavg\n  meseta task exec cart-1"
    )]
    Exec(Exec),
    /// See what a task prints that has a terminal, and type there; Ctrl-P Ctrl-Q lets it go
    Attach(Attach),
}

#[derive(Debug, Args)]
pub(super) struct Exec {
    /// Pass standard input on
    #[arg(short, long)]
    pub(super) interactive: bool,
    /// Give the command a terminal: this one
    #[arg(short, long)]
    pub(super) tty: bool,
    #[command(flatten)]
    pub(super) task: TaskName,
    /// The command with its arguments [default: a shell, with -i and -t]
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Attach {
    #[command(flatten)]
    pub(super) task: TaskName,
    /// Only look: what is typed goes nowhere
    #[arg(long)]
    pub(super) no_stdin: bool,
}

#[derive(Debug, Args)]
pub(super) struct TaskName {
    /// Id of the task, a beginning or end of it that is unique, or its name
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// The framework that it is of, where several have such a task
    #[arg(long, value_name = "FRAMEWORK")]
    pub(super) framework: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Role {
    /// List roles with their weights, frameworks and allocated resources
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Quota {
    /// List quotas
    List,
    /// Set a role's quota; what is not named is neither guaranteed nor limited any more
    #[command(
        after_help = "Example:\n  meseta quota set web --guarantee='cpus:4;mem:1024' --limit='cpus:8;mem:4096'"
    )]
    Set {
        /// The role
        role: String,
        /// What the role gets before others, such as 'cpus:4;mem:1024'; memory and disk are in megabytes
        #[arg(long, value_name = "AMOUNTS")]
        guarantee: Option<String>,
        /// What the role never gets more than, in the same form
        #[arg(long, value_name = "AMOUNTS")]
        limit: Option<String>,
        /// Set it even where the cluster cannot keep the guarantee
        #[arg(long)]
        force: bool,
    },
    /// Remove a role's quota
    Remove {
        /// The role
        role: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Weight {
    /// List the weights that are not 1
    List,
    /// Set weights: a role of weight 2 gets twice as much as one of weight 1
    #[command(after_help = "Example:\n  meseta weight set web=2 batch=0.5")]
    Set {
        /// Roles with their weights, such as web=2
        #[arg(value_name = "ROLE=WEIGHT", required = true)]
        weights: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Maintenance {
    /// Show which machines are asked to empty and which are down
    Status,
    /// Show the schedule, or add a window to it, or clear it
    #[command(after_help = "Example:\n  meseta maintenance schedule S0 --start=2h --duration=90m")]
    Schedule {
        #[command(flatten)]
        machines: MachineNames,
        /// When the window begins: now, a time from now such as 2h, or 2026-05-01T02:00:00Z
        #[arg(long, value_name = "TIME", requires = "machines")]
        start: Option<String>,
        /// How long the window is, such as 90m [default: without end]
        #[arg(long, value_name = "TIME", requires = "start", value_parser = time)]
        duration: Option<Duration>,
        /// Remove the machines' windows, or all without machines
        #[arg(long, conflicts_with = "start")]
        clear: bool,
    },
    /// Take scheduled machines down: their agents end
    Start {
        #[command(flatten)]
        machines: SomeMachines,
        #[command(flatten)]
        consent: Consent,
    },
    /// Bring machines up again
    Stop {
        #[command(flatten)]
        machines: SomeMachines,
    },
}

#[derive(Debug, Args)]
pub(super) struct SomeMachines {
    /// Machines, by their agents' ids or hosts, or as HOST/IP
    #[arg(value_name = "MACHINE", required = true)]
    pub(super) machines: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct MachineNames {
    /// Machines, by their agents' ids or hosts, or as HOST/IP
    #[arg(value_name = "MACHINE")]
    pub(super) machines: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Reserve {
    #[command(flatten)]
    pub(super) agent: AgentName,
    /// What to reserve, such as 'cpus:1;mem:128'; memory and disk are in megabytes
    pub(super) resources: String,
    /// The role to reserve it for
    #[arg(long, value_name = "ROLE")]
    pub(super) role: String,
    /// Who reserves it [default: the context's principal]
    #[arg(long, value_name = "NAME")]
    pub(super) principal: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Unreserve {
    #[command(flatten)]
    pub(super) agent: AgentName,
    /// What to give back [default: all that is reserved for the role and on no volume]
    pub(super) resources: Option<String>,
    /// The role that it is reserved for
    #[arg(long, value_name = "ROLE")]
    pub(super) role: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Volume {
    /// List persistent volumes
    List,
    /// Make a volume of reserved disk
    #[command(after_help = "Example:\n  meseta volume create S0 data --role=web --size=512")]
    Create(NewVolume),
    /// Destroy a volume and all data on it
    Destroy {
        #[command(flatten)]
        volume: VolumeName,
        #[command(flatten)]
        consent: Consent,
    },
    /// Make a volume larger
    Grow {
        #[command(flatten)]
        volume: VolumeName,
        /// How much larger, in megabytes
        #[arg(long, value_name = "MB", value_parser = megabytes)]
        by: f64,
    },
    /// Make a volume smaller
    Shrink {
        #[command(flatten)]
        volume: VolumeName,
        /// How much smaller, in megabytes
        #[arg(long, value_name = "MB", value_parser = megabytes)]
        by: f64,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewVolume {
    #[command(flatten)]
    pub(super) agent: AgentName,
    /// Id of the volume
    #[arg(value_name = "VOLUME")]
    pub(super) id: String,
    /// The role whose reserved disk it is made of
    #[arg(long, value_name = "ROLE")]
    pub(super) role: String,
    /// Size, in megabytes
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    pub(super) size: f64,
    /// Where tasks find it in their sandboxes
    #[arg(long, value_name = "PATH", default_value = "volume")]
    pub(super) path: String,
}

#[derive(Debug, Args)]
pub(super) struct VolumeName {
    #[command(flatten)]
    pub(super) agent: AgentName,
    /// Id of the volume
    #[arg(value_name = "VOLUME")]
    pub(super) volume: String,
}

#[derive(Debug, Args)]
pub(super) struct Events {
    /// Go on as things happen [default: how things are now]
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Follow events of this kind alone, such as TASK_UPDATED; may be given several times
    #[arg(long = "type", value_name = "TYPE", requires = "follow")]
    pub(super) kinds: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Top {
    /// Time between looks, such as 2s
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub(super) every: Duration,
}

#[derive(Debug, Subcommand)]
pub(super) enum Context {
    /// List contexts
    List,
    /// Use a context from now on
    Use {
        /// Its name
        name: String,
    },
    /// Forget a context
    Remove {
        /// Its name
        name: String,
    },
    /// Make a context or change it; the first one is used from then on
    #[command(after_help = "Example:\n  meseta context set prod --address=m1:5050,m2:5050")]
    Set {
        /// Its name
        name: String,
        /// The cluster's masters, as HOST:PORT,… or https://HOST:PORT
        #[arg(long = "address", value_name = "MASTERS")]
        address: Option<String>,
        /// Principal to authenticate as
        #[arg(long, value_name = "NAME")]
        principal: Option<String>,
        /// File that holds the principal's secret
        #[arg(long, value_name = "PATH")]
        secret: Option<PathBuf>,
        /// How its agents are reached [default: as its masters]
        #[arg(long, value_name = "SCHEME")]
        agents: Option<Scheme>,
    },
}
