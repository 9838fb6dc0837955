//! Tasks that are kept running: say what is to run, and a [`Keeper`] sees to it.
//!
//! It takes offers that fit by resources and [`Constraint`]s, runs again what has ended, asks for
//! offers only while a task waits for one, and reconciles after every subscription. What it keeps is
//! in a [`Store`] before anything is launched, so that its next life, with the same store, goes on
//! as the same framework with the same tasks. All that runs under the framework's id is the keeper's:
//! what it does not remember, it kills. Whether there is a master is told by [`Keeper::status`].
//!
//! ```no_run
//! use meseta_framework::keep::{Constraint, FileStore, Keeper, Task};
//! use meseta_framework::{Settings, v1::FrameworkInfo};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let framework = FrameworkInfo {
//!     user: "nobody".into(),
//!     name: "web".into(),
//!     checkpoint: Some(true),
//!     failover_timeout: Some(3600.0),
//!     ..FrameworkInfo::default()
//! };
//! let settings = Settings::new("10.0.0.1:5050,10.0.0.2:5050", framework);
//! let mut keeper = Keeper::start(settings, FileStore::open("/var/lib/web")?).await?;
//! let server = Task::command("server", "exec python3 -m http.server 8000")
//!     .cpus(0.5)
//!     .mem(128.0)
//!     .only_where(Constraint::Is("rack".into(), "r1".into()));
//! keeper.declare(server).await?;
//! while let Some(status) = keeper.next().await? {
//!     println!("{} {}", status.task_id, status.state().as_str_name());
//! }
//! # Ok(())
//! # }
//! ```

mod constraint;
mod keeper;
mod machine;
mod store;
mod task;
#[cfg(test)]
mod tests;

pub use constraint::{Constraint, Pattern};
pub use keeper::{Keeper, Status};
pub use machine::KeptTask;
pub use store::{Change, FileStore, LogStore, MemoryStore, Store};
pub use task::{Restart, Task};
