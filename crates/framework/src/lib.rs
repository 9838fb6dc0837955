//! Frameworks in Rust, for Meseta and for Mesos.
//!
//! * [`keep`]: say which tasks are to run, and they are kept running. Start here; a whole framework
//!   is `examples/hello.rs`.
//! * [`subscribe`]: the v1 scheduler API itself, for schedulers that decide everything.
//! * [`executor`]: the v1 executor API, for programs that run tasks in their own way.
//!
//! # Schedulers
//!
//! [`subscribe`] gives two halves: [`Events`], which the scheduler reads one by one, and a
//! [`Scheduler`], which can be cloned and sends its calls. Behind [`Events::next`] the framework
//! stays subscribed: redirects lead to the leading master, a connection that breaks or falls silent
//! is made anew with the id that the master gave, and attempts slow down while no master is there.
//!
//! A scheduler that runs one task and ends with it:
//!
//! ```no_run
//! use meseta_framework::{Incoming, Settings, is_terminal, subscribe};
//! use meseta_framework::v1::{
//!     CommandInfo, FrameworkInfo, TaskInfo, offer::{Operation, operation}, scheduler::event,
//! };
//!
//! # async fn run() -> Result<(), meseta_framework::Error> {
//! let framework = FrameworkInfo {
//!     user: "nobody".into(),
//!     name: "example".into(),
//!     ..FrameworkInfo::default()
//! };
//! let (scheduler, mut events) = subscribe(Settings::new("127.0.0.1:5050", framework));
//! let mut launched = false;
//! while let Some(incoming) = events.next().await? {
//!     let Incoming::Event(event) = incoming else { continue };
//!     if let Some(offers) = event.offers {
//!         for offer in offers.offers {
//!             if std::mem::replace(&mut launched, true) {
//!                 scheduler.decline([offer.id], None).await?;
//!                 continue;
//!             }
//!             let task = TaskInfo {
//!                 name: "hello".into(),
//!                 task_id: "hello".into(),
//!                 agent_id: offer.agent_id,
//!                 command: Some(CommandInfo {
//!                     value: Some("echo hello".into()),
//!                     ..CommandInfo::default()
//!                 }),
//!                 resources: offer.resources,
//!                 ..TaskInfo::default()
//!             };
//!             let launch = Operation {
//!                 r#type: Some(operation::Type::Launch.into()),
//!                 launch: Some(operation::Launch { task_infos: vec![task] }),
//!                 ..Operation::default()
//!             };
//!             scheduler.accept([offer.id], [launch], None).await?;
//!         }
//!     } else if let Some(update) = event.update {
//!         scheduler.acknowledge(&update.status).await?;
//!         println!("{}", update.status.state().as_str_name());
//!         if is_terminal(update.status.state()) {
//!             scheduler.teardown().await?;
//!             break;
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod backoff;
mod connection;
mod credential;
mod encoding;
mod error;
mod events;
pub mod executor;
pub mod keep;
mod limits;
mod scheduler;
mod state;
mod stream;

use std::sync::Arc;

pub use credential::Credential;
pub use encoding::Encoding;
pub use error::Error;
pub use events::{Events, Incoming};
pub use meseta_proto::v1;
pub use scheduler::Scheduler;
pub use state::is_terminal;

/// Who subscribes, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port` of each master, 5050 without a port; any of them knows the leading one.
    pub masters: Vec<String>,
    /// The framework. With an id, the framework of that id is taken over.
    pub framework: v1::FrameworkInfo,
    /// Roles for which no offers are wanted at first.
    pub suppressed_roles: Vec<String>,
    /// How calls and events are written.
    pub encoding: Encoding,
    /// What proves the framework's principal, where masters ask for it.
    pub credential: Option<Credential>,
}

impl Settings {
    /// A framework at masters listed as `host:port,host:port`, in protobuf, without a credential.
    ///
    /// An address that is none is told by the first [`Events::next`].
    pub fn new(masters: impl AsRef<str>, framework: v1::FrameworkInfo) -> Self {
        Self {
            masters: address::split(masters.as_ref()),
            framework,
            suppressed_roles: Vec::new(),
            encoding: Encoding::Protobuf,
            credential: None,
        }
    }
}

/// Prepares a subscription; the first [`Events::next`] connects.
///
/// Both halves need a tokio runtime with its network and timers enabled.
pub fn subscribe(settings: Settings) -> (Scheduler, Events) {
    let session = Arc::new(scheduler::Session::default());
    let scheduler = Scheduler::new(Arc::clone(&session));
    (scheduler, Events::new(settings, session))
}
