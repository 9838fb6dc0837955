//! What executors decide: when to subscribe, what to report, when to kill, when to end.
//!
//! Two machines, one for each executor: [`Command`] runs a single command as a process of its own,
//! [`Group`] runs task groups in containers that the agent keeps for it. They share the connection
//! to the agent ([`link`]), the updates on their way to it ([`status`]) and what checks mean
//! ([`checks`]).

mod checks;
mod command;
mod group;
mod link;
mod status;

use std::time::Duration;

use meseta_machine::Now;
use meseta_proto::v1::executor::{Call, Event};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    CommandInfo, ContainerId, ExecutorId, FrameworkId, KillPolicy, TaskInfo, TaskState, agent,
};

use crate::status::Ending;
pub(crate) use checks::{HttpProbe, Observation, Outcome as ProbeOutcome, Probe, Scheme, Which};
pub(crate) use command::Command;
pub(crate) use group::Group;

/// A machine: the only way in, and the actions the only way out.
pub(crate) trait Machine {
    /// Takes one input and appends what is to be done, in order.
    fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>);

    /// When to step with [`Input::Wake`], in monotonic time.
    fn next_wake(&self) -> Option<Duration>;
}

/// Who an executor is, and how it is to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) framework_id: FrameworkId,
    pub(crate) executor_id: ExecutorId,
    /// How long the agent waits after SHUTDOWN before it destroys the container.
    pub(crate) shutdown_grace: Duration,
    /// How to outlive the agent; without, the executor ends with its connection.
    pub(crate) recovery: Option<Recovery>,
}

/// How an executor waits for an agent that went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// How long altogether.
    pub(crate) timeout: Duration,
    /// The longest pause between two attempts.
    pub(crate) backoff_max: Duration,
}

/// What happens to an executor.
#[derive(Debug)]
pub(crate) enum Input {
    /// The process has begun.
    Start,
    /// A timer is due.
    Wake,
    /// The agent says something.
    Event(Box<Event>),
    /// The agent refused the subscription.
    Refused { status: u16, sentence: String },
    /// The connection could not be made, or is gone.
    Disconnected { reason: String },
    /// A probe of a task came to something.
    Probed {
        probe: ProbeId,
        outcome: ProbeOutcome,
    },
    /// Somebody wants this process to end.
    Terminate,
    /// The task's first process ended, or could not even be started.
    Ended(Ending),
    /// Nothing of the task is left.
    Swept,
    /// The agent answered a request, or the connection failed before it did.
    Answered {
        request: RequestId,
        answer: Result<Answer, String>,
    },
}

/// What an executor does.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Connect to the agent and subscribe, in place of an earlier connection.
    Subscribe(Call),
    /// Drop the connection.
    Disconnect,
    /// Post a call on the present connection.
    Send(Call),
    /// Probe a task, and answer with [`Input::Probed`].
    Probe(ProbeId, Probe),
    /// End the probe: nobody wants to know its outcome any more.
    StopProbe(ProbeId),
    /// Tell the reader of the sandbox's stderr.
    Log(String),
    /// End this process.
    Exit(Outcome),
    /// Start the task.
    Launch(Launch),
    /// Signal every process of the task.
    Kill(Signal),
    /// Kill whatever the task has left behind, and answer with [`Input::Swept`] when it is gone.
    Sweep,
    /// Post a call to the agent's own API, and answer with [`Input::Answered`].
    Request(RequestId, Box<agent::Call>),
    /// Drop the connection of a request: nobody wants to know its answer any more.
    Abandon(RequestId),
    /// Let the sandbox of a container be found under its task's id.
    LinkSandbox {
        task_id: String,
        container_id: ContainerId,
    },
}

/// Names a probe: a task, by the number that its machine gave it, and what it is probed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProbeId {
    pub(crate) task: u64,
    pub(crate) which: Which,
}

/// Names a request to the agent's own API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// What the agent answered to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Launch {
    pub(crate) command: CommandInfo,
    /// Variables that come before the command's own, by name.
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// The signals of a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Term,
    Kill,
}

/// How the executor itself ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that was to be told has been acknowledged.
    Success,
    /// The agent does not know the end of every task.
    Failure,
}

/// Why a task is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// By KILL, SHUTDOWN, or the loss of the agent.
    Request,
    /// The task's `max_completion_time` is over.
    TimeIsUp,
    /// The task's health check failed too often.
    Unhealthy,
    /// Another task of its group failed or was killed.
    Group,
}

fn grace_period(policy: &KillPolicy) -> Option<Duration> {
    policy.grace_period.map(Duration::from)
}

/// How long a task may run, if that has an end.
fn time_limit(task: &TaskInfo) -> Option<Duration> {
    let limit = task.max_completion_time.map(Duration::from);
    limit.filter(|limit| !limit.is_zero())
}

/// What is told of a task whose command has ended so, killed or by itself.
fn verdict(cause: Option<Cause>, ending: Ending) -> (TaskState, Option<Reason>) {
    match (cause, ending) {
        (Some(Cause::TimeIsUp), _) => (
            TaskState::TaskFailed,
            Some(Reason::MaxCompletionTimeReached),
        ),
        (Some(Cause::Request | Cause::Unhealthy | Cause::Group), _) => {
            (TaskState::TaskKilled, None)
        }
        (None, Ending::Exited(0)) => (TaskState::TaskFinished, None),
        (None, _) => (TaskState::TaskFailed, None),
    }
}
