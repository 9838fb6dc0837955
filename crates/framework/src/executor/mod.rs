//! Executors: what runs a framework's tasks, as a client of the agent's v1 executor API.
//!
//! As for schedulers, [`subscribe`] gives two halves: [`Events`] to read, and an [`Executor`] to
//! report with. Behind them, updates that the agent has not confirmed are kept: after an agent's
//! restart the executor subscribes again and hands them in once more, together with the tasks that
//! the agent might not know, for as long as the agent's recovery may take.
//!
//! At a `SHUTDOWN` event an executor ends its tasks and exits within [`Settings::shutdown_grace`].
//!
//! An executor that finishes each task at once (a whole one is `examples/executor.rs`):
//!
//! ```no_run
//! use meseta_framework::Error;
//! use meseta_framework::executor::{Happening, Settings, subscribe};
//! use meseta_framework::v1::{TaskState, TaskStatus};
//!
//! # async fn run() -> Result<(), Error> {
//! let (executor, mut events) = subscribe(Settings::from_environment()?);
//! while let Some(incoming) = events.next().await? {
//!     match incoming.into_happening() {
//!         Happening::Launch(task) => {
//!             for state in [TaskState::TaskRunning, TaskState::TaskFinished] {
//!                 executor.update(TaskStatus {
//!                     task_id: task.task_id.clone(),
//!                     state: state.into(),
//!                     ..TaskStatus::default()
//!                 }).await?;
//!             }
//!         }
//!         Happening::Shutdown => break,
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod events;
mod handle;
mod happening;
mod settings;
mod unacknowledged;

use std::sync::Arc;

pub use events::Events;
pub use handle::Executor;
pub use happening::{Happening, Subscribed};
pub use settings::{Recovery, Settings};

/// Prepares a subscription; the first [`Events::next`] connects.
///
/// Both halves need a tokio runtime with its network and timers enabled.
pub fn subscribe(settings: Settings) -> (Executor, Events) {
    let settings = Arc::new(settings);
    let session = Arc::new(handle::Session::default());
    let executor = Executor::new(Arc::clone(&settings), Arc::clone(&session));
    (executor, Events::new(settings, session))
}
