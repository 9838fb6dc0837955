//! `meseta task logs`, `agent logs` and `master logs`: files, and where they are.
//!
//! Of a cluster of any size, no more is read than what concerns the one task and its agent.

use std::thread;

use meseta_proto::v1::agent::call::Type;
use meseta_proto::v1::{ContainerId, Task, TaskState};
use serde::Deserialize;

use super::arguments::{Part, TaskName};
use super::client::{Client, encoded, to_agent};
use super::error::Error;
use super::file::{File, Holder};
use super::limits::FOLLOW_EVERY;
use super::output::Output;
use super::{agent, task};

/// Prints the log of the leading master.
pub(super) fn of_master(part: Part, client: &Client, output: &Output) -> Result<(), Error> {
    let file = File {
        client,
        holder: Holder::Master,
        path: "/master/log".to_owned(),
        attempt: "read the log of the leading master".to_owned(),
    };
    print_log(&file, part, output)
}

/// Prints the log of an agent.
pub(super) fn of_agent(
    wanted: &str,
    part: Part,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let agent = agent::named(client, wanted)?;
    let file = File {
        client,
        holder: Holder::Agent(agent::process(&agent).unwrap_or_default()),
        path: "/slave/log".to_owned(),
        attempt: format!("read the log of agent {}", agent::id_text(&agent)),
    };
    print_log(&file, part, output)
}

fn print_log(file: &File<'_>, part: Part, output: &Output) -> Result<(), Error> {
    let printed = if part.follow {
        file.follow(part.tail, output)
    } else {
        file.print(part.tail, output).map(drop)
    };
    printed.map_err(|error| match error {
        Error::NoFile {
            attempt, address, ..
        } => Error::Unfit {
            attempt,
            reason: format!("{address} keeps none; its flag --log_dir says where to"),
        },
        error => error,
    })
}

/// Prints what stands in a file of a task's sandbox, or its last lines.
pub(super) fn print(
    name: &TaskName,
    file: &str,
    tail: Option<u64>,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let task = Whereabouts::of(name, client)?;
    let file = task.file(file, client)?;
    file.print(tail, output).map(drop)
}

/// Prints that, and what comes, until the task has ended.
pub(super) fn follow(
    name: &TaskName,
    file: &str,
    tail: Option<u64>,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let mut task = Whereabouts::of(name, client)?;
    let mut open = None;
    let mut printed = 0;
    loop {
        // Asked before the file is read: what a task writes, it writes before its end.
        let phase = task.look_again(client)?;
        let so_far = match &open {
            Some(file) => File::print_from(file, printed, output),
            None => task.file(file, client).and_then(|file| {
                let printed = file.print(tail, output);
                open = Some(file);
                printed
            }),
        };
        match (so_far, phase) {
            (Ok(so_far), _) => printed = so_far,
            // There is nothing yet.
            (Err(Error::NoFile { .. }), Phase::Before) => open = None,
            (Err(error), _) => return Err(error),
        }
        if phase == Phase::Ended {
            return Ok(());
        }
        thread::sleep(FOLLOW_EVERY);
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It may have no sandbox yet.
    Before,
    Running,
    Ended,
}

/// A task, and where it runs.
#[derive(Debug)]
pub(super) struct Whereabouts {
    id: String,
    framework: String,
    agent: String,
    executor: String,
    /// As soon as it is known.
    container: Option<ContainerId>,
    phase: Phase,
}

impl Whereabouts {
    /// The task that is meant. Only what is no whole id of one task is looked for among all.
    pub(super) fn of(name: &TaskName, client: &Client) -> Result<Self, Error> {
        if name.framework.is_none() && !name.task.is_empty() {
            let attempt = format!("look for task {}", name.task);
            let target = format!("/master/tasks?task_id={}", encoded(&name.task));
            let answer: Tasks = client.get(&target, &attempt)?;
            let mut found = answer.tasks.into_iter().filter(|it| it.id == name.task);
            if let (Some(one), None) = (found.next(), found.next()) {
                return Ok(one.into());
            }
        }
        task::named(client, name).map(|task| Self::from(&task))
    }

    /// How far it is by now. One that the master has forgotten has ended.
    fn look_again(&mut self, client: &Client) -> Result<Phase, Error> {
        let attempt = format!("ask for the state of task {}", self.id);
        let target = format!(
            "/master/tasks?framework_id={}&task_id={}",
            encoded(&self.framework),
            encoded(&self.id)
        );
        let answer: Tasks = client.get(&target, &attempt)?;
        let tasks = answer.tasks.into_iter().map(Self::from);
        let now = tasks
            .filter(|it| it.id == self.id && it.framework == self.framework)
            .max_by_key(|it| it.phase != Phase::Ended);
        match now {
            Some(now) => *self = now,
            None => self.phase = Phase::Ended,
        }
        Ok(self.phase)
    }

    /// The container that it runs in, if it does.
    pub(super) fn running_in(&self) -> Option<&ContainerId> {
        let container = self.container.as_ref();
        container.filter(|_| self.phase == Phase::Running)
    }

    /// The address and path of its agent's process.
    pub(super) fn agent_address(&self, client: &Client, attempt: &str) -> Result<String, Error> {
        let target = format!("/master/slaves?slave_id={}", encoded(&self.agent));
        let answer: Agents = client.get(&target, attempt)?;
        let agent = answer.slaves.into_iter().find(|it| it.id == self.agent);
        let Some((process, address)) = agent.as_ref().and_then(|it| it.pid.rsplit_once('@')) else {
            return Err(Error::Unfit {
                attempt: attempt.to_owned(),
                reason: format!("its agent {} is not connected", self.agent),
            });
        };
        Ok(format!("{address}/{process}"))
    }

    /// A file of its sandbox.
    fn file<'a>(&self, name: &str, client: &'a Client) -> Result<File<'a>, Error> {
        let attempt = format!("read {name} of task {}", self.id);
        let address = self.agent_address(client, &attempt)?;
        let folder = self.sandbox(client, &address, &attempt)?;
        Ok(File {
            client,
            path: format!("{folder}/{name}"),
            holder: Holder::Agent(address),
            attempt,
        })
    }

    /// The folder that the task's output is in: its executor's, or that of its own container inside
    /// of its executor's.
    fn sandbox(&self, client: &Client, address: &str, attempt: &str) -> Result<String, Error> {
        let executor = format!("frameworks/{}/executors/{}", self.framework, self.executor);
        let Some(container) = &self.container else {
            // The path of the latest run is shown by every agent.
            return Ok(format!("/{executor}/runs/latest"));
        };
        let flags = to_agent(Type::GetFlags);
        let answer = client.ask_agent(address, &flags, attempt)?;
        let flags = answer.get_flags.unwrap_or_default().flags;
        let work_dir = flags.into_iter().find(|it| it.name == "work_dir");
        let work_dir = work_dir.map(|it| it.value().to_owned());
        Ok(format!(
            "{}/slaves/{}/{executor}/runs/{}{}",
            work_dir.unwrap_or_default().trim_end_matches('/'),
            self.agent,
            outermost(container),
            inside(container)
        ))
    }
}

impl From<&Task> for Whereabouts {
    fn from(task: &Task) -> Self {
        let statuses = task.statuses.iter().rev();
        let container = statuses
            .filter_map(|status| status.container_status.as_ref())
            .find_map(|status| status.container_id.clone());
        // A command executor is named after its task.
        let executor = task.executor_id.as_ref().map(ToString::to_string);
        Self {
            id: task.task_id.to_string(),
            framework: task.framework_id.to_string(),
            agent: task.agent_id.to_string(),
            executor: executor.unwrap_or_else(|| task.task_id.to_string()),
            container,
            phase: phase(task.state()),
        }
    }
}

fn phase(state: TaskState) -> Phase {
    match state {
        TaskState::TaskStaging | TaskState::TaskStarting => Phase::Before,
        state if state.is_terminal() => Phase::Ended,
        _ => Phase::Running,
    }
}

/// The container that stands at the top, of the executor.
fn outermost(container: &ContainerId) -> &str {
    match &container.parent {
        Some(parent) => outermost(parent),
        None => &container.value,
    }
}

/// The path of a container's sandbox inside of its executor's.
fn inside(container: &ContainerId) -> String {
    match &container.parent {
        Some(parent) => format!("{}/containers/{}", inside(parent), container.value),
        None => String::new(),
    }
}

/// What `/slaves` says of one agent.
#[derive(Debug, Deserialize)]
struct Agents {
    slaves: Vec<Agent>,
}

#[derive(Debug, Deserialize)]
struct Agent {
    id: String,
    pid: String,
}

/// What `/tasks` says of one task. The operator API has no question for that.
#[derive(Debug, Deserialize)]
struct Tasks {
    tasks: Vec<Stated>,
}

#[derive(Debug, Deserialize)]
struct Stated {
    id: String,
    framework_id: String,
    slave_id: String,
    /// Empty if the task has an executor of the agent's making.
    #[serde(default)]
    executor_id: String,
    state: String,
    #[serde(default)]
    statuses: Vec<Status>,
}

#[derive(Debug, Deserialize)]
struct Status {
    container_status: Option<ContainerStatus>,
}

#[derive(Debug, Deserialize)]
struct ContainerStatus {
    container_id: Option<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    value: String,
    parent: Option<Box<Container>>,
}

impl From<Stated> for Whereabouts {
    fn from(task: Stated) -> Self {
        let statuses = task.statuses.into_iter().rev();
        let container = statuses
            .filter_map(|status| status.container_status)
            .find_map(|status| status.container_id);
        let executor = Some(task.executor_id).filter(|it| !it.is_empty());
        Self {
            executor: executor.unwrap_or_else(|| task.id.clone()),
            id: task.id,
            framework: task.framework_id,
            agent: task.slave_id,
            container: container.map(ContainerId::from),
            phase: TaskState::from_str_name(&task.state).map_or(Phase::Running, phase),
        }
    }
}

impl From<Container> for ContainerId {
    fn from(container: Container) -> Self {
        Self {
            value: container.value,
            parent: container.parent.map(|it| Box::new(Self::from(*it))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_inside_of_another_has_its_sandbox_there() {
        let child = |value: &str, parent: ContainerId| ContainerId {
            value: value.to_owned(),
            parent: Some(Box::new(parent)),
        };
        let container = child("inner", child("outer", ContainerId::from("root")));
        assert_eq!(inside(&container), "/containers/outer/containers/inner");
        assert_eq!(outermost(&container), "root");
    }
}
