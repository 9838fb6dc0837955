//! An executor whose tasks write what they carry to its output, and finish.
//!
//! Agents start it as the command of an `ExecutorInfo`; it reads all else from its environment.

use std::error::Error;
use std::io::{Write as _, stdout};

use meseta_framework::Incoming;
use meseta_framework::executor::{Settings, subscribe};
use meseta_framework::v1::executor::event;
use meseta_framework::v1::{TaskState, TaskStatus};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (executor, mut events) = subscribe(Settings::from_environment()?);
    while let Some(incoming) = events.next().await? {
        let event = match incoming {
            Incoming::Event(event) => event,
            Incoming::Disconnected { reason } => {
                writeln!(stdout(), "the agent is away: {reason}")?;
                continue;
            }
        };
        // Its tasks end at once, so there is none to kill.
        if event.r#type() == event::Type::Shutdown {
            break;
        }
        let Some(launch) = event.launch else { continue };
        let data = launch.task.data();
        writeln!(stdout(), "{}", String::from_utf8_lossy(data))?;
        for state in [TaskState::TaskRunning, TaskState::TaskFinished] {
            let status = TaskStatus {
                task_id: launch.task.task_id.clone(),
                state: state.into(),
                ..TaskStatus::default()
            };
            executor.update(status).await?;
        }
    }
    Ok(())
}
