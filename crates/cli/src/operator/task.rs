//! `meseta task`: tasks, and what became of them.

use std::process::ExitCode;
use std::time::SystemTime;

use meseta_proto::v1::master::call::Type;
use meseta_proto::v1::master::response::GetTasks;
use meseta_proto::v1::{Task, TaskState, TaskStatus};

use super::arguments::{Task as Command, TaskName};
use super::client::Client;
use super::error::Error;
use super::find::{self, Names};
use super::output::{Output, Table};
use super::{agent, exec, framework, logs, text};

pub(super) fn run(command: Command, client: &Client, output: &Output) -> Result<ExitCode, Error> {
    let done = match command {
        Command::Exec(exec) => return exec::exec(&exec, client),
        Command::Attach(attach) => return exec::attach(&attach, client),
        Command::List {
            all,
            framework,
            agent,
            state,
        } => {
            let filter = Filter::new(client, framework, agent, state)?;
            list(all, &filter, client, output)
        }
        Command::Show { task } => show(&named(client, &task)?, output),
        Command::Logs {
            task,
            follow,
            tail,
            stderr,
            file,
        } => {
            let name = if stderr { "stderr" } else { "stdout" };
            let file = file.as_deref().unwrap_or(name);
            if follow {
                logs::follow(&task, file, tail, client, output)
            } else {
                logs::print(&task, file, tail, client, output)
            }
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// All tasks, in all states.
pub(super) fn all(client: &Client, attempt: &str) -> Result<GetTasks, Error> {
    let answer = client.ask(Type::GetTasks, attempt)?;
    Ok(answer.get_tasks.unwrap_or_default())
}

/// The task that a word means: one that runs before one that has ended.
pub(super) fn named(client: &Client, name: &TaskName) -> Result<Task, Error> {
    let wanted = &name.task;
    let attempt = format!("look for task {wanted}");
    let mut tasks = all(client, &attempt)?;
    if let Some(wanted) = &name.framework {
        let framework = framework::named(framework::all(client, &attempt)?, wanted)?;
        let id = framework::id(&framework);
        for tasks in [
            &mut tasks.tasks,
            &mut tasks.unreachable_tasks,
            &mut tasks.completed_tasks,
        ] {
            tasks.retain(|task| task.framework_id == id);
        }
    }
    let living = [tasks.tasks, tasks.unreachable_tasks].concat();
    match find::one(find::TASK, wanted, living, names) {
        Err(Error::Unknown { .. }) => find::one(find::TASK, wanted, tasks.completed_tasks, names),
        found => found,
    }
}

fn names(task: &Task) -> Names<'_> {
    Names {
        id: task.task_id.as_str(),
        name: &task.name,
        beside: format!("--framework={}", task.framework_id),
    }
}

/// Which tasks are wanted.
struct Filter {
    framework: Option<String>,
    agent: Option<String>,
    state: Option<TaskState>,
}

impl Filter {
    fn new(
        client: &Client,
        framework: Option<String>,
        agent: Option<String>,
        state: Option<String>,
    ) -> Result<Self, Error> {
        let framework = match framework {
            Some(wanted) => {
                let frameworks = framework::all(client, &format!("look for framework {wanted}"))?;
                let found = framework::named(frameworks, &wanted)?;
                Some(framework::id_text(&found).to_owned())
            }
            None => None,
        };
        let agent = match agent {
            Some(wanted) => Some(agent::id_text(&agent::named(client, &wanted)?).to_owned()),
            None => None,
        };
        let state = match state {
            Some(word) => Some(state_named(&word)?),
            None => None,
        };
        Ok(Self {
            framework,
            agent,
            state,
        })
    }

    fn takes(&self, task: &Task) -> bool {
        let is = |wanted: &Option<String>, id: &str| wanted.as_ref().is_none_or(|it| it == id);
        is(&self.framework, task.framework_id.as_str())
            && is(&self.agent, task.agent_id.as_str())
            && self.state.is_none_or(|state| task.state() == state)
    }
}

/// The state of a name with or without `TASK_`, in any case.
fn state_named(word: &str) -> Result<TaskState, Error> {
    let upper = word.to_uppercase();
    let name = upper.strip_prefix("TASK_").unwrap_or(&upper);
    TaskState::from_str_name(&format!("TASK_{name}")).ok_or_else(|| Error::Word {
        what: "state",
        value: word.to_owned(),
        reason: "expected a state of tasks, such as running, finished or failed".to_owned(),
    })
}

fn list(with_ended: bool, filter: &Filter, client: &Client, output: &Output) -> Result<(), Error> {
    let mut tasks = all(client, "list the tasks")?;
    if !with_ended {
        tasks.completed_tasks.clear();
    }
    for tasks in [
        &mut tasks.tasks,
        &mut tasks.unreachable_tasks,
        &mut tasks.completed_tasks,
    ] {
        tasks.retain(|task| filter.takes(task));
    }
    if !output.is_for_people() {
        return output.message(&tasks);
    }
    let now = SystemTime::now();
    let mut table = Table::new(["TASK", "FRAMEWORK", "AGENT", "STATE", "CPUS", "MEM", "AGE"]);
    if output.is_wide() {
        for heading in ["NAME", "EXECUTOR", "HEALTH"] {
            table.heading(heading);
        }
    }
    let all = [
        &tasks.tasks,
        &tasks.unreachable_tasks,
        &tasks.completed_tasks,
    ];
    for task in all.into_iter().flatten() {
        let amount = |name| text::amount(&task.resources, name);
        let mut row = vec![
            task.task_id.to_string(),
            output.id(task.framework_id.as_str()),
            output.id(task.agent_id.as_str()),
            text::state(task.state()),
            amount("cpus"),
            amount("mem"),
            text::age(since(task), now),
        ];
        if output.is_wide() {
            row.push(task.name.clone());
            let executor = task.executor_id.as_ref();
            row.push(executor.map_or("-".to_owned(), ToString::to_string));
            row.push(health(task).unwrap_or("-").to_owned());
        }
        table.row(row);
    }
    output.table(&table)
}

/// When the task was first heard of.
fn since(task: &Task) -> Option<SystemTime> {
    text::moment_of(task.statuses.first()?.timestamp?)
}

fn health(task: &Task) -> Option<&'static str> {
    let is_healthy = task.statuses.last()?.healthy?;
    Some(if is_healthy { "healthy" } else { "unhealthy" })
}

fn show(task: &Task, output: &Output) -> Result<(), Error> {
    if !output.is_for_people() {
        return output.message(task);
    }
    let now = SystemTime::now();
    let mut table = Table::of_facts();
    table.fact("Task", task.task_id.as_str());
    table.fact("Name", &*task.name);
    table.fact("State", text::state(task.state()));
    table.fact("Health", health(task).unwrap_or_default());
    table.fact("Framework", task.framework_id.as_str());
    table.fact("Agent", task.agent_id.as_str());
    if let Some(executor) = &task.executor_id {
        table.fact("Executor", executor.as_str());
    }
    table.fact("User", task.user());
    table.fact("Resources", text::resources(&task.resources));
    if !task.limits.is_empty() {
        table.fact("Limits", text::amounts(&task.limits));
    }
    let labels = task.labels.iter().flat_map(|labels| &labels.labels);
    for label in labels {
        table.fact("Label", format!("{}={}", label.key, label.value()));
    }
    output.table(&table)?;
    if task.statuses.is_empty() {
        return Ok(());
    }
    output.blank()?;
    let mut history = Table::new(["STATUS", "TIME", "AGE", "SOURCE", "MESSAGE"]);
    for status in &task.statuses {
        history.row(row_of(status, now));
    }
    output.table(&history)
}

fn row_of(status: &TaskStatus, now: SystemTime) -> Vec<String> {
    let at = status.timestamp.and_then(text::moment_of);
    let source = status.source.map_or("-", |_| {
        let name = status.source().as_str_name();
        name.strip_prefix("SOURCE_").unwrap_or(name)
    });
    let reason = status.reason.map_or("", |_| {
        let name = status.reason().as_str_name();
        name.strip_prefix("REASON_").unwrap_or(name)
    });
    let message = match (reason, status.message()) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    };
    vec![
        text::state(status.state()),
        at.map_or("-".to_owned(), text::time),
        text::age(at, now),
        source.to_lowercase(),
        message,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_people_name_them() {
        for word in ["running", "TASK_RUNNING", "Running", "task_running"] {
            assert_eq!(state_named(word).unwrap(), TaskState::TaskRunning, "{word}");
        }
        assert_eq!(
            state_named("gone-away").unwrap_err().to_string(),
            "invalid state 'gone-away': expected a state of tasks, such as running, finished or failed"
        );
    }
}
