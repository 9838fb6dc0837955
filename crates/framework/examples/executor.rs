//! An executor that runs what each task carries, as a shell's script, and tells how it ended.
//!
//! Agents start it as the command of an `ExecutorInfo`; it reads all else from its environment.

use std::collections::HashMap;
use std::error::Error;
use std::io::{Write as _, stdout};
use std::process::ExitStatus;

use meseta_framework::executor::{Executor, Happening, Settings, subscribe};
use meseta_framework::v1::{TaskId, TaskInfo, TaskState, TaskStatus};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Ends a task when it is told to, or dropped.
type Kill = oneshot::Sender<()>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (executor, mut events) = subscribe(Settings::from_environment()?);
    let mut tasks: HashMap<String, Kill> = HashMap::new();
    let mut running = JoinSet::new();
    while let Some(incoming) = events.next().await? {
        match incoming.into_happening() {
            Happening::Launch(task) => {
                let (kill, killed) = oneshot::channel();
                tasks.insert(task.task_id.to_string(), kill);
                running.spawn(run(executor.clone(), *task, killed));
            }
            Happening::Kill { task_id, .. } => drop(tasks.remove(task_id.as_str())),
            Happening::Message(data) => executor.message(data).await?,
            Happening::Shutdown => break,
            Happening::Disconnected { reason } => writeln!(stdout(), "no agent: {reason}")?,
            _ => {}
        }
    }
    // All end, and the agent knows of it before this process is gone.
    tasks.clear();
    running.join_all().await;
    Ok(())
}

async fn run(executor: Executor, task: TaskInfo, killed: oneshot::Receiver<()>) {
    let script = String::from_utf8_lossy(task.data()).into_owned();
    let started = Command::new("/bin/sh").arg("-c").arg(script).spawn();
    let Ok(mut process) = started else {
        return tell(&executor, &task.task_id, TaskState::TaskFailed, "no shell").await;
    };
    tell(&executor, &task.task_id, TaskState::TaskRunning, "").await;
    let (state, message) = tokio::select! {
        ended = process.wait() => match ended {
            Ok(status) if status.success() => (TaskState::TaskFinished, status.to_string()),
            ended => (TaskState::TaskFailed, ended.as_ref().map_or("lost".into(), ExitStatus::to_string)),
        },
        _ = killed => (TaskState::TaskKilled, format!("killed: {:?}", process.kill().await)),
    };
    tell(&executor, &task.task_id, state, &message).await;
}

async fn tell(executor: &Executor, task_id: &TaskId, state: TaskState, message: &str) {
    let status = TaskStatus {
        task_id: task_id.clone(),
        state: state.into(),
        message: Some(message.to_owned()),
        ..TaskStatus::default()
    };
    if let Err(error) = executor.update(status).await {
        // To the output, which is in the sandbox; there is nobody else to tell.
        drop(writeln!(stdout(), "{task_id}: {error}"));
    }
}
