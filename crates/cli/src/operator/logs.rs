//! `meseta task logs`: the files of a task's sandbox, read from its agent.

use std::thread;

use meseta_proto::v1::agent::{Call, call};
use meseta_proto::v1::{ContainerId, Task};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::client::Client;
use super::error::Error;
use super::limits::{FOLLOW_EVERY, READ_LENGTH};
use super::output::Output;
use super::{agent, text};

/// A file of a sandbox.
struct File<'a> {
    client: &'a Client,
    /// Of the agent's process.
    address: String,
    path: String,
    /// For errors.
    attempt: String,
}

/// Prints what stands in the file now.
pub(super) fn print(
    task: &Task,
    name: &str,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let file = File::of(task, name, client)?;
    file.print_from(0, output).map(drop)
}

/// Prints what stands in the file and what comes, until the task has ended.
pub(super) fn follow(
    task: &Task,
    name: &str,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let file = File::of(task, name, client)?;
    let mut printed = 0;
    loop {
        // Asked before the file is read: what a task writes, it writes before its end.
        let has_ended = has_ended(task, client)?;
        printed = file.print_from(printed, output)?;
        if has_ended {
            return Ok(());
        }
        thread::sleep(FOLLOW_EVERY);
    }
}

impl<'a> File<'a> {
    fn of(task: &Task, name: &str, client: &'a Client) -> Result<Self, Error> {
        let attempt = format!("read {name} of task {}", task.task_id);
        let agent = match agent::named(client, task.agent_id.as_str()) {
            Err(Error::Unknown { .. }) => {
                let reason = format!(
                    "its agent {} is not connected, and the files are there",
                    task.agent_id
                );
                return Err(Error::Unfit { attempt, reason });
            }
            found => found?,
        };
        let address = agent::process(&agent).unwrap_or_default();
        let folder = sandbox(task, client, &address, &attempt)?;
        Ok(Self {
            client,
            address,
            path: format!("{folder}/{name}"),
            attempt,
        })
    }

    /// Prints what comes after so many bytes; gives how many there are now.
    fn print_from(&self, from: u64, output: &Output) -> Result<u64, Error> {
        let mut offset = from;
        loop {
            let call = Call {
                r#type: Some(call::Type::ReadFile.into()),
                read_file: Some(call::ReadFile {
                    path: self.path.clone(),
                    offset,
                    length: Some(READ_LENGTH),
                }),
                ..Call::default()
            };
            let answer = self.client.ask_agent(&self.address, &call, &self.attempt);
            let answer = answer.map_err(|error| match error {
                Error::Refused { status: 404, .. } => Error::Unfit {
                    attempt: self.attempt.clone(),
                    reason: format!("the agent at {} has no file {}", self.address, self.path),
                },
                error => error,
            })?;
            let piece = answer.read_file.unwrap_or_default();
            if piece.size < offset {
                // The file was rotated: the new one begins anew.
                offset = 0;
                continue;
            }
            if piece.data.is_empty() {
                return Ok(offset);
            }
            output.bytes(&piece.data)?;
            offset = offset.saturating_add(u64::try_from(piece.data.len()).unwrap_or_default());
        }
    }
}

/// The parts of an agent's state that tell where sandboxes are.
#[derive(Debug, Deserialize)]
struct State {
    #[serde(default)]
    frameworks: Vec<Framework>,
    #[serde(default)]
    completed_frameworks: Vec<Framework>,
}

#[derive(Debug, Deserialize)]
struct Framework {
    id: String,
    #[serde(default)]
    executors: Vec<Executor>,
    #[serde(default)]
    completed_executors: Vec<Executor>,
}

#[derive(Debug, Deserialize)]
struct Executor {
    id: String,
    directory: String,
    #[serde(default)]
    tasks: Vec<Id>,
    #[serde(default)]
    queued_tasks: Vec<Id>,
    #[serde(default)]
    completed_tasks: Vec<Id>,
}

#[derive(Debug, Deserialize)]
struct Id {
    id: String,
}

impl Executor {
    fn has_task(&self, id: &str) -> bool {
        let all = [&self.tasks, &self.queued_tasks, &self.completed_tasks];
        all.into_iter().flatten().any(|task| task.id == id)
    }
}

/// The folder that the task's output is in: its executor's, or that of its own container inside of
/// its executor's.
fn sandbox(task: &Task, client: &Client, address: &str, attempt: &str) -> Result<String, Error> {
    let body = client.get_from_agent(address, "/state", attempt)?;
    let state: State = serde_json::from_slice(&body).map_err(|e| Error::Unreadable {
        attempt: attempt.to_owned(),
        address: address.to_owned(),
        reason: e.to_string(),
    })?;
    let frameworks = state.frameworks.iter().chain(&state.completed_frameworks);
    let executors: Vec<&Executor> = frameworks
        .filter(|framework| framework.id == task.framework_id.as_str())
        .flat_map(|framework| {
            let ended = framework.completed_executors.iter().rev();
            framework.executors.iter().chain(ended)
        })
        .collect();
    // A command executor is named after its task.
    let id = task.task_id.as_str();
    let executor_id = task.executor_id.as_ref().map_or(id, |it| it.as_str());
    let mine = |executor: &&&Executor| executor.id == executor_id;
    let executor = executors
        .iter()
        .filter(mine)
        .find(|executor| executor.has_task(id))
        .or_else(|| executors.iter().find(mine));
    let Some(executor) = executor else {
        return Err(Error::Unfit {
            attempt: attempt.to_owned(),
            reason: format!("the agent at {address} knows no sandbox of it any more"),
        });
    };
    Ok(match container(task) {
        Some(container) if container.parent.is_some() => {
            format!("{}{}", executor.directory, inside(container))
        }
        _ => executor.directory.clone(),
    })
}

fn container(task: &Task) -> Option<&ContainerId> {
    let statuses = task.statuses.iter().rev();
    statuses
        .filter_map(|status| status.container_status.as_ref())
        .find_map(|status| status.container_id.as_ref())
}

/// The path of a container's sandbox inside of its executor's.
fn inside(container: &ContainerId) -> String {
    match &container.parent {
        Some(parent) => format!("{}/containers/{}", inside(parent), container.value),
        None => String::new(),
    }
}

#[derive(Debug, Deserialize)]
struct Tasks {
    tasks: Vec<Stated>,
}

#[derive(Debug, Deserialize)]
struct Stated {
    id: String,
    framework_id: String,
    state: String,
}

/// Whether the task is over. One that the master has forgotten is.
fn has_ended(task: &Task, client: &Client) -> Result<bool, Error> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (framework, id) = (task.framework_id.as_str(), task.task_id.as_str());
    let attempt = format!("ask for the state of task {id}");
    // One task of many: the operator API has no question for that.
    let target = format!(
        "/master/tasks?framework_id={}&task_id={}",
        encoded(framework),
        encoded(id)
    );
    let body = client.get(&target, &attempt)?;
    let answer: Tasks = serde_json::from_slice(&body).map_err(|e| Error::Unreadable {
        attempt,
        address: "the master".to_owned(),
        reason: e.to_string(),
    })?;
    let runs = answer
        .tasks
        .iter()
        .filter(|it| it.id == id && it.framework_id == framework)
        .any(|it| !text::is_end(&it.state));
    Ok(!runs)
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
    }
}
