//! The executor: one process on each agent, with many images at work at a time.

use std::collections::BTreeMap;

use http::Uri;
use meseta_framework::Error;
use meseta_framework::executor::{Executor, Happening, Settings, subscribe};
use meseta_framework::v1::{TaskId, TaskInfo, TaskState, TaskStatus};
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};

use crate::UNREADABLE;
use crate::picture::{self, Unreadable};
use crate::transfer::{self, Client};

/// Why the executor ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The agent is gone or wants nothing of it.
    #[error(transparent)]
    Agent(#[from] Error),
    /// Where to put results is no address.
    #[error("'{0}' is no address for results: give http://HOST:PORT/FOLDER")]
    Results(String),
}

/// Why there is no result of an image.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the task's data is no address of an image")]
    NoAddress,
    #[error(transparent)]
    Transfer(#[from] transfer::Error),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("inverting it failed: {0}")]
    Crashed(#[from] tokio::task::JoinError),
}

impl Failure {
    fn is_for_good(&self) -> bool {
        match self {
            Self::NoAddress
            | Self::Unreadable(_)
            | Self::Transfer(transfer::Error::TooLarge { .. }) => true,
            Self::Transfer(_) | Self::Crashed(_) => false,
        }
    }
}

/// Works at the tasks that the agent brings until it says SHUTDOWN. Results go below `results`.
///
/// # Errors
/// [`Ended`]; the tasks end with the process.
pub async fn run(results: &str) -> Result<(), Ended> {
    let address: Uri = results
        .parse()
        .map_err(|_| Ended::Results(results.to_owned()))?;
    if address.scheme_str() != Some("http") || address.authority().is_none() {
        return Err(Ended::Results(results.to_owned()));
    }
    let (executor, mut events) = subscribe(Settings::from_environment()?);
    let mut tasks = Tasks {
        executor,
        client: Client::new(),
        results: results.trim_end_matches('/').to_owned(),
        work: JoinSet::new(),
        running: BTreeMap::new(),
    };
    loop {
        tokio::select! {
            incoming = events.next() => {
                // After the agent has ended the executor nothing follows.
                let Some(incoming) = incoming? else { return Ok(()) };
                match incoming.into_happening() {
                    Happening::Launch(task) => tasks.launch(*task).await?,
                    Happening::Kill { task_id, .. } => tasks.kill(task_id).await?,
                    Happening::Shutdown => return Ok(tasks.kill_all().await?),
                    // It restarts: tasks go on, and what they report is handed in later.
                    Happening::Disconnected { reason } => eprintln!("the agent is away: {reason}"),
                    _ => {}
                }
            }
            Some(ended) = tasks.work.join_next() => {
                // What was aborted has been reported already.
                if let Ok((task_id, result)) = ended {
                    tasks.on_ended(task_id, result).await?;
                }
            }
        }
    }
}

struct Tasks {
    executor: Executor,
    client: Client,
    results: String,
    work: JoinSet<(TaskId, Result<(), Failure>)>,
    running: BTreeMap<TaskId, AbortHandle>,
}

impl Tasks {
    async fn launch(&mut self, task: TaskInfo) -> Result<(), Error> {
        let task_id = task.task_id.clone();
        // An agent that restarted may bring a task again.
        if self.running.contains_key(&task_id) {
            return Ok(());
        }
        eprintln!("task {}: {}", task_id.as_str(), task.name);
        self.report(status(task_id.clone(), TaskState::TaskRunning))
            .await?;
        let work = invert(self.client.clone(), task, self.results.clone());
        let named = {
            let task_id = task_id.clone();
            async move { (task_id, work.await) }
        };
        let handle = self.work.spawn(named);
        self.running.insert(task_id, handle);
        Ok(())
    }

    async fn on_ended(
        &mut self,
        task_id: TaskId,
        result: Result<(), Failure>,
    ) -> Result<(), Error> {
        // It ended while it was being killed.
        if self.running.remove(&task_id).is_none() {
            return Ok(());
        }
        let status = match result {
            Ok(()) => status(task_id, TaskState::TaskFinished),
            Err(failure) => TaskStatus {
                message: Some(failure.to_string()),
                data: failure.is_for_good().then(|| UNREADABLE.to_vec()),
                ..status(task_id, TaskState::TaskFailed)
            },
        };
        self.report(status).await
    }

    async fn kill(&mut self, task_id: TaskId) -> Result<(), Error> {
        // One that ended already has been reported.
        let Some(handle) = self.running.remove(&task_id) else {
            return Ok(());
        };
        handle.abort();
        self.report(status(task_id, TaskState::TaskKilled)).await
    }

    async fn kill_all(&mut self) -> Result<(), Error> {
        let ids: Vec<TaskId> = self.running.keys().cloned().collect();
        for task_id in ids {
            self.kill(task_id).await?;
        }
        Ok(())
    }

    async fn report(&self, status: TaskStatus) -> Result<(), Error> {
        self.executor.update(status).await
    }
}

/// What one task does: the result bears the image's name.
async fn invert(client: Client, task: TaskInfo, results: String) -> Result<(), Failure> {
    let address = std::str::from_utf8(task.data()).ok();
    let image: Uri = address
        .and_then(|address| address.parse().ok())
        .ok_or(Failure::NoAddress)?;
    let name = image.path().rsplit('/').next().unwrap_or_default();
    let result: Uri = format!("{results}/{name}")
        .parse()
        .map_err(|_| Failure::NoAddress)?;
    let content = client.download(&image).await?;
    // Decoding takes the processor for a while: not on the threads that speak with the agent.
    let inverted = spawn_blocking(move || picture::invert(&content)).await??;
    Ok(client.upload(&result, inverted).await?)
}

fn status(task_id: TaskId, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id,
        state: state.into(),
        ..TaskStatus::default()
    }
}
